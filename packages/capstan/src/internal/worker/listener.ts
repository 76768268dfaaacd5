/**
 * Hears when there may be something for the worker. What came while nobody listened is looked for once it listens, again
 * or for the first time.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type { JobStoreError } from "../../JobError.ts"
import type { WorkerState } from "./state.ts"

export const listener = (state: WorkerState): Effect.Effect<void, JobStoreError> =>
  Effect.gen(function*() {
    const wake = Effect.sync(() => state.wake())
    const wakeups = state.store.wakeups(state.settings.id, [...state.slots.queues.keys()])
    const hearing = yield* Effect.forkChild(Stream.runForEach(wakeups, () => wake), { startImmediately: true })
    yield* wake
    yield* Fiber.join(hearing)
  })
