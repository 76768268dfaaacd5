/**
 * A token bucket that needs one number, `full_at`: when it is full again. The memory store's `bucket.ts` says how it works,
 * and these are its expressions; `l` is a row of `limits`, whose `gap` is the time that one token takes.
 */

/** How many may start now. */
export const tokens = (fullAt: string): string =>
  `floor(l.burst + (p_now - greatest(least(${fullAt}, p_now + l.burst * l.gap + 0.9), p_now) + 0.901) / l.gap)`

/** When it is full again after `count` more starts. */
export const taken = (fullAt: string, count: string): string =>
  `greatest(least(${fullAt}, p_now + l.burst * l.gap + 0.9), p_now) + ${count} * l.gap`

/** From when on `count` may start. */
export const nextAt = (fullAt: string, count: string): string =>
  `ceil(least(${fullAt}, p_now + l.burst * l.gap + 0.9) - (l.burst - (${count})) * l.gap - 0.9)::bigint`

/** How many may start at one instant. */
export const size = "floor(l.burst + 0.9 / l.gap)"
