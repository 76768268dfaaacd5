/**
 * A token bucket that needs one number, `full_at`: when it is full again. The memory store's `bucket.ts` says how it works,
 * and these are its expressions; `l` is a row of `limits`, whose `gap` is the time that one token takes.
 */

/** An empty bucket's, and a second for calls whose clock was read before that of one decided earlier. */
const latest = "p_now + l.burst * l.gap + 1000.9"

/** How many may start now. */
export const tokens = (fullAt: string): string =>
  `greatest(0, floor(l.burst + (p_now - greatest(least(${fullAt}, ${latest}), p_now) + 0.901) / l.gap))`

/** When it is full again after `count` more starts. */
export const taken = (fullAt: string, count: string): string =>
  `greatest(least(${fullAt}, ${latest}), p_now) + ${count} * l.gap`

/** From when on `count` may start. */
export const nextAt = (fullAt: string, count: string): string =>
  `ceil(least(${fullAt}, ${latest}) - (l.burst - (${count})) * l.gap - 0.9)::bigint`

/** How many may start at one instant. */
export const size = "floor(l.burst + 0.9 / l.gap)"
