/**
 * What follows an attempt: records that are stored in the write that ends it, so that they are there exactly when it is.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { JobContext } from "../JobContext.ts"
import type { EnqueueError, JobStoreError } from "../JobError.ts"
import { JobStore, type NewRecord, type Outcome } from "../JobStore.ts"
import type { Definition } from "./definition.ts"
import { decode } from "./payload.ts"
import { recordsOf, type Requests } from "./request.ts"
import type { Attempt } from "./worker/attempt.ts"
import type { Decided } from "./worker/runner.ts"

/** The functions of a declaration that say what follows. */
export interface Next {
  readonly complete: ((end: never) => Requests) | undefined
  readonly failure: ((end: never) => Requests) | undefined
}

/**
 * An end with what follows it. A function that throws, or a payload that is invalid, takes nothing from the end: it is logged
 * as an error, and nothing follows.
 */
export const following = (attempt: Attempt, decided: Decided): Decided => {
  const next = attempt.runnable.definition.next
  if (next === undefined || decided === undefined) return decided
  return Effect.tap(Effect.isEffect(decided) ? decided : Effect.succeed(decided), (outcome) =>
    Effect.catchCause(
      Effect.map(recordsAfter(attempt, next, outcome), (records) => {
        if (records.length > 0) attempt.children = records
      }),
      (cause) =>
        Effect.logError(
          `${attempt.job}: record ${attempt.id} has ended, and what was to follow it was not enqueued`,
          Cause.squash(cause)
        )
    ))
}

const recordsAfter = (
  attempt: Attempt,
  next: Next,
  outcome: Outcome | undefined
): Effect.Effect<ReadonlyArray<NewRecord>, unknown> => {
  const { definition } = attempt.runnable
  const { id } = attempt
  const prepared = (requests: () => Requests) =>
    Effect.provideService(Effect.suspend(() => recordsOf(requests())), JobContext, attempt)
  if (outcome?._tag === "Complete" && next.complete !== undefined) {
    const { complete } = next
    return Effect.gen(function*() {
      const payload = yield* decode(definition, attempt.claimed)
      const success = yield* definition.success.decode(outcome.result)
      return yield* prepared(() => complete({ id, payload, success } as never))
    })
  }
  if (outcome?._tag === "Dead" && next.failure !== undefined) {
    const { failure } = next
    return Effect.gen(function*() {
      const payload = yield* Effect.orElseSucceed(decode(definition, attempt.claimed), () => undefined)
      return yield* prepared(() => failure({ id, payload, reason: outcome.reason, failure: outcome.failure } as never))
    })
  }
  return Effect.succeed([])
}

/** The same in the transaction of a commit, which stores nothing when it fails. */
export const followCommit = (
  definition: Definition,
  attempt: JobContext["Service"],
  success: unknown
): Effect.Effect<void, EnqueueError | JobStoreError, JobStore> => {
  const complete = definition.next?.complete
  if (complete === undefined) return Effect.void
  const { claimed } = attempt as Attempt
  return Effect.gen(function*() {
    const payload = yield* Effect.orDie(decode(definition, claimed))
    const records = yield* recordsOf(complete({ id: attempt.id, payload, success } as never))
    if (records.length === 0) return
    yield* (yield* JobStore).enqueue({ records, by: { id: attempt.id, fence: attempt.fence } })
  })
}
