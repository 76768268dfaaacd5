/**
 * Proposes the limits of this worker's code before it claims anything, so that its first claim keeps to them.
 */
import * as Effect from "effect/Effect"
import type { LimitChange } from "../../JobStore.ts"
import { within } from "./call.ts"
import type { WorkerState } from "./state.ts"

/** Tries again for as long as the store is away. A loop that starts again proposes again, which changes nothing. */
export const proposing = (
  state: WorkerState,
  changes: ReadonlyArray<LimitChange>
): Effect.Effect<void> =>
  changes.length === 0 ?
    Effect.void :
    Effect.suspend(() => within(state, "limits", () => state.store.limits(changes))).pipe(
      Effect.catchCause((cause) =>
        Effect.andThen(
          state.health.failed("limits", cause),
          Effect.andThen(Effect.sleep(1000), proposing(state, changes))
        )
      ),
      Effect.andThen(Effect.sync(() => state.health.succeeded("limits")))
    )
