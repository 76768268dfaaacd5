/**
 * What follows an attempt: records that are stored in the write that ends it, so that they are there exactly when it is.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { JobContext } from "../JobContext.ts"
import type { EnqueueError, JobStoreError } from "../JobError.ts"
import type { DeadReason, Failure, JobId } from "../JobRecord.ts"
import { JobStore, type NewFailure, type NewRecord, type Outcome } from "../JobStore.ts"
import type { Definition } from "./definition.ts"
import { type Ended, endedHeader } from "./ended.ts"
import { refusalOf } from "./enqueue.ts"
import { inTime } from "./inTime.ts"
import * as Log from "./log.ts"
import { decode } from "./payload.ts"
import { recordsOf, type Requests } from "./request.ts"
import { isStored } from "./stored.ts"
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
  // What follows the death that it tells of has been said.
  if (attempt.headers[endedHeader] !== undefined) return decided
  if (next === undefined || decided === undefined) return decided
  return Effect.tap(
    Effect.isEffect(decided) ? decided : Effect.succeed(decided),
    (outcome) => leave(attempt, attempt.id, recordsAfter(attempt, next, outcome))
  )
}

/** What a record is run for that tells of a death which a store decided: what follows that is stored in the write that ends this one. */
export const followDeath = (attempt: Attempt, told: string): Effect.Effect<undefined> => {
  const { claimed: { parent: id }, runnable: { definition } } = attempt
  const failure = definition.next?.failure
  if (failure === undefined || id === undefined) return Effect.undefined
  const records = Effect.map(
    Effect.suspend(() => requestsAfterDeath(attempt, failure, id, JSON.parse(told) as Ended)),
    (records) => records.map((record): NewRecord => ({ ...record, parent: id }))
  )
  return Effect.as(leave(attempt, id, records), undefined)
}

const leave = (
  attempt: Attempt,
  id: JobId,
  records: Effect.Effect<ReadonlyArray<NewRecord>, unknown>
): Effect.Effect<void> =>
  Effect.catchCause(
    Effect.map(inTime(records, Effect.die(new Error("its functions have not answered in time"))), (records) => {
      if (records.length > 0) attempt.children = records
    }),
    (cause) =>
      Log.error(
        `${attempt.job}: record ${id} has ended, and what was to follow it was not enqueued`,
        Cause.squash(cause)
      )
  )

const recordsAfter = (
  attempt: Attempt,
  next: Next,
  outcome: Outcome | undefined
): Effect.Effect<ReadonlyArray<NewRecord>, unknown> => {
  const { definition } = attempt.runnable
  const { id } = attempt
  if (outcome?._tag === "Complete" && next.complete !== undefined) {
    const { complete } = next
    return Effect.gen(function*() {
      const payload = yield* decode(definition, attempt.claimed)
      const success = yield* definition.success.decode(outcome.result)
      return yield* prepared(attempt, () => complete({ id, payload, success } as never))
    })
  }
  if (outcome?._tag === "Dead" && next.failure !== undefined) {
    return requestsAfterDeath(attempt, next.failure, id, outcome)
  }
  return Effect.succeed([])
}

const requestsAfterDeath = (
  attempt: Attempt,
  follower: (end: never) => Requests,
  id: JobId,
  { failure, reason }: { readonly reason: DeadReason; readonly failure?: NewFailure | Failure | null | undefined }
): Effect.Effect<ReadonlyArray<NewRecord>, EnqueueError> =>
  Effect.flatMap(
    Effect.orElseSucceed(decode(attempt.runnable.definition, attempt.claimed), () => undefined),
    (payload) => prepared(attempt, () => follower({ id, payload, reason, failure: failure ?? undefined } as never))
  )

const prepared = (attempt: Attempt, requests: () => Requests) =>
  Effect.provideService(Effect.suspend(() => recordsOf(requests())), JobContext, attempt)

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
    const answers = yield* (yield* JobStore).enqueue({ records, by: { id: attempt.id, fence: attempt.fence } })
    if (!answers.every(isStored)) return yield* Effect.fail(refusalOf(records, answers))
  })
}
