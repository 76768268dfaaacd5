/**
 * A call of the store, in bounded time. A store in the same process answers or throws, and is not timed.
 */
import * as Effect from "effect/Effect"
import { JobStoreError, OutcomeUnknown } from "../../JobError.ts"
import type { WorkerState } from "./state.ts"

/** The verbs that a worker's loops call. */
export type Verb = "exchange" | "renew" | "write" | "maintain"

/** A reply that takes too long is lost: its claims are found again by reconciling (P14). */
export const within = <A>(
  { settings: { exchangeTimeout }, store }: WorkerState,
  operation: Verb,
  call: Effect.Effect<A, JobStoreError>
): Effect.Effect<A, JobStoreError> =>
  store.notifications === "exact" ? call : Effect.timeoutOrElse(call, {
    duration: exchangeTimeout,
    orElse: () =>
      Effect.fail(
        new JobStoreError({
          reason: new OutcomeUnknown({ operation, detail: `no reply within ${exchangeTimeout} ms` })
        })
      )
  })
