/**
 * UUIDv7 (RFC 9562, section 5.7) from the Clock and Random services, so that a seeded run makes the same ids.
 *
 * Ids of one millisecond rise: the 12 bits after the version are a counter (method 1 of section 6.2). 62 random bits
 * follow. They tell records apart and are no secret.
 */
import * as Clock from "effect/Clock"
import type * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import type { JobId } from "../JobRecord.ts"

/** The last id of each clock: a test's clock starts at zero and must not be held back by the system's. */
const last = new WeakMap<Clock.Clock, { millis: number; counter: number }>()

const bytes = new Array<number>(36)
const hex = (value: number, from: number, digits: number): void => {
  for (let i = from + digits - 1; i >= from; i--) {
    const digit = value % 16
    bytes[i] = digit < 10 ? 48 + digit : 87 + digit
    value = (value - digit) / 16
  }
}

export const make = (fiber: Fiber.Fiber<unknown, unknown>): JobId => {
  const clock = fiber.getRef(Clock.Clock)
  const random = fiber.getRef(Random.Random)
  const state = last.get(clock) ?? { millis: -1, counter: 0 }
  const now = Math.max(0, clock.currentTimeMillisUnsafe())
  if (now > state.millis) {
    state.millis = now
    state.counter = 0
    last.set(clock, state)
  } else if (++state.counter > 0xfff) {
    // The counter is used up, or the clock went back: run ahead of it, as the RFC allows.
    state.millis++
    state.counter = 0
  }
  const high = Math.floor(random.nextDoubleUnsafe() * 0x40000000)
  const low = Math.floor(random.nextDoubleUnsafe() * 0x100000000)
  hex(Math.floor(state.millis / 0x10000), 0, 8)
  hex(state.millis % 0x10000, 9, 4)
  hex(0x7000 + state.counter, 14, 4)
  hex(0x8000 + (high >>> 16), 19, 4)
  hex(high & 0xffff, 24, 4)
  hex(low, 28, 8)
  bytes[8] =
    bytes[13] =
    bytes[18] =
    bytes[23] =
      45
  // One flat string: a concatenation would keep its parts alive in every record.
  return String.fromCharCode.apply(undefined, bytes) as JobId
}
