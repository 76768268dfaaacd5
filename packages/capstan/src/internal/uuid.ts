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

/** Three digits at a time: the text of an id was a fifth of what an enqueue cost. */
const digits = Array.from({ length: 0x1000 }, (_, value) => value.toString(16).padStart(3, "0"))

/** The two bits that say which layout this is, before two random ones. */
const variants = ["-8", "-9", "-a", "-b"]

/** The first twelve digits change once a millisecond. */
let prefixOf = -1
let prefix = ""
const timestamp = (millis: number): string => {
  if (millis === prefixOf) return prefix
  prefixOf = millis
  const text = millis.toString(16).padStart(12, "0")
  return prefix = `${text.slice(0, 8)}-${text.slice(8)}-7`
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
  const id = timestamp(state.millis) + digits[state.counter]! + variants[high >>> 28]! +
    digits[(high >>> 16) & 0xfff]! + "-" +
    digits[(high >>> 4) & 0xfff]! + digits[((high & 0xf) << 8) | (low >>> 24)]! + digits[(low >>> 12) & 0xfff]! +
    digits[low & 0xfff]!
  // A concatenation keeps its nine parts alive, 200 bytes in every record, until somebody reads a character of it.
  return (id.charCodeAt(35) > 0 ? id : "") as JobId
}
