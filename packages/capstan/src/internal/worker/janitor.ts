/**
 * Rescue, expiry, retention and schedules, when the store says that some is due. Every worker has one; they race safely, so
 * there is no leader whose death would matter.
 */
import * as Effect from "effect/Effect"
import { attendAll } from "../schedules/attend.ts"
import { within } from "./call.ts"
import type { WorkerState } from "./state.ts"

/** After a call that failed, in milliseconds. */
const pause = 1000

export const janitor = (state: WorkerState): Effect.Effect<never> =>
  Effect.gen(function*() {
    for (;;) {
      state.clean.closeUnsafe()
      const at = state.maintainAt
      state.janitorAt = at
      const wait = at - state.elapsedNow()
      if (at === Infinity) yield* state.clean.await
      else if (wait > 0) {
        yield* Effect.timeoutOrElse(state.clean.await, {
          duration: Math.ceil(wait),
          orElse: () => Effect.void
        })
      }
      if (state.elapsedNow() < state.maintainAt) continue
      yield* Effect.matchCauseEffect(within(state, "maintain", () => state.store.maintain), {
        onSuccess: (reply) => {
          state.health.succeeded("maintain")
          state.telemetry.maintained(reply)
          state.foreseeMaintenance(reply.maintainIn)
          return reply.schedules === undefined
            ? Effect.void
            : Effect.map(attendAll(state.store, reply.schedules), (soonest) => state.foreseeWithin(soonest))
        },
        onFailure: (cause) => Effect.andThen(state.health.failed("maintain", cause), Effect.sleep(pause))
      })
    }
  })
