/** Steps that wait for an instant of the store's clock. */
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
