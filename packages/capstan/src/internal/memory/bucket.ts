/**
 * A token bucket that needs one number: the instant at which it will be full again (the generic cell rate algorithm,
 * ITU-T I.371). A start moves that instant on by the time that one token takes; starts are allowed for as long as it is no
 * more than a burst ahead of the clock.
 *
 * The clock tells whole milliseconds: nearly one of them is granted, so that starts which can only come at a whole one are
 * not late by a fraction each. With less than one, no window has more starts than without; the rest is for rounding.
 */
import type { Rate } from "../../StoreLimits.ts"

const granted = 0.9

/** What rounding may take of an instant: whoever comes when `nextAt` says finds a token. */
const rounding = 0.001

/**
 * How far the clock may be behind an earlier reading of it. A call reads it once, and may be decided after one that read it
 * later; nothing may be gained by that. A clock that was set back by more must not keep a bucket empty for as long.
 */
const leeway = 1000

/** Milliseconds that one token takes. */
const gap = (rate: Rate): number => rate.perMillis / rate.limit

/** How many may start at one instant. */
export const size = (rate: Rate): number => Math.floor(rate.burst + granted / gap(rate))

/** How many may start now. */
export const tokens = (rate: Rate, fullAt: number, now: number): number =>
  Math.max(0, Math.floor(rate.burst + (now - Math.max(fullAt, now) + granted + rounding) / gap(rate)))

/** When the bucket is full again, after one more start. */
export const taken = (rate: Rate, fullAt: number, now: number): number => Math.max(fullAt, now) + gap(rate)

/** When an empty bucket is full: later than this it is only by a slower rate than the present one, or by another clock. */
export const emptyUntil = (rate: Rate, now: number): number => now + rate.burst * gap(rate) + granted + leeway

/** From when on `count` may start. */
export const nextAt = (rate: Rate, fullAt: number, count: number): number =>
  Math.ceil(fullAt - (rate.burst - count) * gap(rate) - granted)
