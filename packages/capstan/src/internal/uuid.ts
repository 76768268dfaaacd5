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

/** The characters of the sixteen digits. */
const hex = Uint8Array.from("0123456789abcdef", (digit) => digit.charCodeAt(0))

/** Those of the first twelve digits, which change once a millisecond. */
const time = new Uint8Array(12)
let written = -1
const write = (millis: number): void => {
  written = millis
  let rest = millis
  for (let i = 11; i >= 0; i--) {
    time[i] = hex[rest % 16]!
    rest = Math.floor(rest / 16)
  }
}

const hyphen = 0x2d
const version = 0x37

export const make = (fiber: Fiber.Fiber<unknown, unknown>): JobId => {
  const clock = fiber.getRef(Clock.Clock)
  const random = fiber.getRef(Random.Random)
  const state = last.get(clock) ?? { millis: -1, counter: 0 }
  // A test's clock may stand between two of them.
  const now = Math.max(0, Math.floor(clock.currentTimeMillisUnsafe()))
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
  if (state.millis !== written) write(state.millis)
  const { counter } = state
  // One call makes one flat text. A concatenation of nine parts took twice as long, kept its parts alive until it was
  // read, and its first look-up in a map took twice as long again: together a tenth of what an enqueue costs.
  return String.fromCharCode(
    time[0]!,
    time[1]!,
    time[2]!,
    time[3]!,
    time[4]!,
    time[5]!,
    time[6]!,
    time[7]!,
    hyphen,
    time[8]!,
    time[9]!,
    time[10]!,
    time[11]!,
    hyphen,
    version,
    hex[counter >>> 8]!,
    hex[(counter >>> 4) & 0xf]!,
    hex[counter & 0xf]!,
    hyphen,
    // The two bits that say which layout this is, before two random ones.
    hex[0x8 | (high >>> 28)]!,
    hex[(high >>> 24) & 0xf]!,
    hex[(high >>> 20) & 0xf]!,
    hex[(high >>> 16) & 0xf]!,
    hyphen,
    hex[(high >>> 12) & 0xf]!,
    hex[(high >>> 8) & 0xf]!,
    hex[(high >>> 4) & 0xf]!,
    hex[high & 0xf]!,
    hex[low >>> 28]!,
    hex[(low >>> 24) & 0xf]!,
    hex[(low >>> 20) & 0xf]!,
    hex[(low >>> 16) & 0xf]!,
    hex[(low >>> 12) & 0xf]!,
    hex[(low >>> 8) & 0xf]!,
    hex[(low >>> 4) & 0xf]!,
    hex[low & 0xf]!
  ) as JobId
}
