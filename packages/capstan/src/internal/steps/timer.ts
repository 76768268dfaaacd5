/** Steps that wait for an instant of the store's clock. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { JobContext } from "../../JobContext.ts"
import type { JobStoreError } from "../../JobError.ts"
import { checked } from "./run.ts"
import type { Steps } from "./steps.ts"

/** Waits until the instant that the first attempt has found, however often the record runs until then. */
export const waitUntil = (
  given: string,
  instant: (steps: Steps) => Effect.Effect<number>
): Effect.Effect<void, JobStoreError, JobContext> => {
  const name = checked(given)
  return Effect.gen(function*() {
    const { steps } = yield* JobContext
    const found = yield* steps.ask(name, "timer")
    const until = found === undefined ? yield* begin(steps, name, instant(steps)) : Number(found.value)
    if (steps.record.storeNow < until) return yield* steps.wait(name, { _tag: "Timer", until })
  })
}

/** Until when a step waits for something else: so long from when the record first came to it. */
export const deadline = (
  steps: Steps,
  step: string,
  duration: Duration.Input
): Effect.Effect<number, JobStoreError> => {
  const name = `${step}~until`
  const millis = Duration.toMillis(Duration.fromInputUnsafe(duration))
  if (!(millis >= 0)) return Effect.die(new Error(`step ${step}: must be a duration from 0, it is ${millis} ms`))
  return Effect.flatMap(steps.find(name), (found) =>
    found === undefined
      ? begin(steps, name, Effect.sync(() => steps.record.storeNow + millis))
      : Effect.succeed(Number(found.value)))
}

/** Keeps an instant, and answers it. */
export const begin = (
  steps: Steps,
  name: string,
  instant: Effect.Effect<number>
): Effect.Effect<number, JobStoreError> =>
  Effect.gen(function*() {
    yield* steps.stopHere
    const until = Math.ceil(yield* instant)
    yield* steps.keep(name, { kind: "timer", value: String(until) })
    return until
  })
