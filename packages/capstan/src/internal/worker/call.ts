/**
 * A call of the store, in bounded time, and what its failure means. A store in the same process answers or throws, and is
 * not timed.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { JobStoreError, OutcomeUnknown } from "../../JobError.ts"
import type { WorkerState } from "./state.ts"

/** The verbs that a worker's loops call. */
export type Verb = "exchange" | "renew" | "write" | "maintain" | "limits"

/** A reply that takes too long is lost: its claims are found again by reconciling (P14). */
export const within = <A>(
  { settings: { exchangeTimeout }, store }: WorkerState,
  operation: Verb | "get" | "results" | "dependencies",
  call: () => Effect.Effect<A, JobStoreError>
): Effect.Effect<A, JobStoreError> =>
  // Suspended: what a store throws is a failure of the call, not of the loop.
  store.notifications === "exact" ? Effect.suspend(call) : Effect.timeoutOrElse(Effect.suspend(call), {
    duration: exchangeTimeout,
    orElse: () =>
      Effect.fail(
        new JobStoreError({
          reason: new OutcomeUnknown({ operation, detail: `no reply within ${exchangeTimeout} ms` })
        })
      )
  })

/** The store does not answer: the same call may succeed later. */
export const isAway = (cause: Cause.Cause<unknown>): boolean =>
  cause.reasons.every((reason) =>
    Cause.isFailReason(reason) && reason.error instanceof JobStoreError && reason.error.isTransient
  )

/** The store answers no, or breaks over what it is given: to ask the same again does not help. */
export const isRefusal = (cause: Cause.Cause<unknown>): boolean => !isAway(cause) && !Cause.hasInterrupts(cause)
