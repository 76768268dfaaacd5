/**
 * A record, seen from the program that enqueued it: await its typed result, poll it, watch it, cancel it.
 *
 * Guarantee: no await hangs. A record that ended fails or answers at once; one that is gone says by what.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { awaitFinal, type Final, watch } from "./internal/awaiter.ts"
import type { Codec } from "./internal/codec.ts"
import type { Definition } from "./internal/definition.ts"
import type { Stored } from "./internal/stored.ts"
import { AwaitTimedOut, JobCancelled, JobDead, JobGone } from "./JobError.ts"
import type { JobStoreError } from "./JobError.ts"
import type { Failure, JobId } from "./JobRecord.ts"
import { JobStore } from "./JobStore.ts"

/**
 * What an enqueue did. `Existing`: another record holds the key. `Replaced`: it does, and got the new contents. `Deferred`:
 * nothing yet; the record is stored when the SQL transaction around the call has committed, by a store that takes no part in
 * it (`insideSqlTransaction: "afterCommit"` of the Redis store).
 *
 * @category models
 * @since 0.1.0
 */
export type Outcome = "Inserted" | "Existing" | "Replaced" | "Deferred"

/**
 * How a cancel found the record: waiting (`Cancelled`), running (`Requested`: its fiber is interrupted, and the first
 * settlement wins), ended (`Settled`), or not at all.
 *
 * @category models
 * @since 0.1.0
 */
export type CancelAnswer = "Cancelled" | "Requested" | "Settled" | "NotFound"

/**
 * How a record can end other than by its job's success and errors.
 *
 * @category models
 * @since 0.1.0
 */
export type Ended = JobDead | JobCancelled | JobGone

/**
 * The handle of one record.
 *
 * @category models
 * @since 0.1.0
 */
export interface JobHandle<out A, out E, out P, out R, out RP> {
  /** The id that owns the key, when the enqueue found another record. */
  readonly id: JobId
  readonly outcome: Outcome
  /** The result. Interrupting the wait does not cancel the record. */
  readonly await: Effect.Effect<A, E | Ended | JobStoreError, JobStore | R>
  /** The result, unless it takes longer than this. The record goes on. */
  readonly awaitFor: (
    duration: Duration.Input
  ) => Effect.Effect<A, E | Ended | AwaitTimedOut | JobStoreError, JobStore | R>
  /** The result, if there is one already. */
  readonly poll: Effect.Effect<Option.Option<Exit.Exit<A, E | Ended>>, JobStoreError, JobStore | R>
  /** The progress that is reported, the latest first of all, until the record ends. Values may be skipped, never the last. */
  readonly progress: Stream.Stream<P, Ended | JobStoreError, JobStore | RP>
  /**
   * Cancels the record: one that waits at once, one that runs by interrupting its fiber. Awaiters fail with `JobCancelled`,
   * which has the reason.
   */
  readonly cancel: (options: { readonly reason: string }) => Effect.Effect<CancelAnswer, JobStoreError, JobStore>
}

/** @internal */
export const make = (job: Definition, id: JobId, outcome: Outcome): JobHandle<never, never, never, never, never> =>
  new Handle(job, id, outcome)

/** @internal The handle of what an enqueue stored. */
export const ofStored = (job: Definition, { id, outcome }: Stored): JobHandle<never, never, never, never, never> =>
  new Handle(job, id, outcome)

/** @internal Awaits a record that the same call has stored: when it is not there, it was removed meanwhile. */
export const awaitStored = (job: Definition, { id }: Stored): Effect.Effect<never, Ended | JobStoreError, JobStore> =>
  new Handle(job, id, "Inserted").awaitSeen(true)

class Handle implements JobHandle<never, never, never, never, never> {
  readonly id: JobId
  readonly outcome: Outcome
  private readonly job: Definition

  constructor(job: Definition, id: JobId, outcome: Outcome) {
    this.job = job
    this.id = id
    this.outcome = outcome
  }

  get await(): Effect.Effect<never, Ended | JobStoreError, JobStore> {
    return this.awaitSeen(false)
  }

  awaitSeen(seen: boolean): Effect.Effect<never, Ended | JobStoreError, JobStore> {
    return Effect.flatMap(
      JobStore,
      (store) =>
        Effect.flatMap(awaitFinal(store, this.id), (answer) => readFinal(this.job, answer, seen || answer.seen))
    )
  }

  get awaitFor(): (
    duration: Duration.Input
  ) => Effect.Effect<never, Ended | AwaitTimedOut | JobStoreError, JobStore> {
    return (duration) =>
      Effect.timeoutOrElse(this.await, {
        duration,
        orElse: () =>
          Effect.fail(
            new AwaitTimedOut({
              id: this.id,
              job: this.job.tag,
              millis: Duration.toMillis(Duration.fromInputUnsafe(duration))
            })
          )
      })
  }

  get poll(): Effect.Effect<Option.Option<Exit.Exit<never, Ended>>, JobStoreError, JobStore> {
    return Effect.gen({ self: this }, function*() {
      const [answer] = yield* (yield* JobStore).results([this.id])
      if (answer === undefined || answer._tag === "Pending") return Option.none()
      return Option.some(yield* Effect.exit(readFinal(this.job, answer, false)))
    })
  }

  get progress(): Stream.Stream<never, Ended | JobStoreError, JobStore> {
    const { id, job } = this
    return Stream.unwrap(Effect.gen(function*() {
      const store = yield* JobStore
      const context = yield* Effect.context<never>()
      const values = yield* Queue.sliding<string, Ended | JobStoreError | Cause.Done>(1)
      let last: string | undefined
      let seen = false
      const tell = (progress: string | undefined) => {
        if (progress === undefined || progress === last) return
        last = progress
        Queue.offerUnsafe(values, progress)
      }
      yield* Effect.acquireRelease(
        Effect.sync(() =>
          watch(store, id, {
            pending: (answer) => {
              seen = true
              tell(answer.progress)
            },
            final: (answer) => {
              if (answer._tag === "NotFound") {
                Queue.failCauseUnsafe(values, Cause.fail(gone(job, answer, seen)))
              } else {
                tell(answer.progress)
                Queue.endUnsafe(values)
              }
            },
            failed: (cause) => {
              Queue.failCauseUnsafe(values, cause)
            }
          }, context)
        ),
        (stop) => Effect.sync(stop)
      )
      return Stream.mapEffect(Stream.fromQueue(values), (json) => decode(job.progress, job, id, json))
    })) as Stream.Stream<never, Ended | JobStoreError, JobStore>
  }

  get cancel(): (options: { readonly reason: string }) => Effect.Effect<CancelAnswer, JobStoreError, JobStore> {
    return ({ reason }) => Effect.flatMap(JobStore, (store) => cancel(store, this.id, reason))
  }
}

/** @internal What the end of a record is to who awaits it. */
export const readFinal = (job: Definition, answer: Final, seen = true): Effect.Effect<never, Ended> => {
  const { id } = answer
  switch (answer._tag) {
    case "Completed":
      return decode(job.success, job, id, answer.result) as Effect.Effect<never, JobGone>
    case "Cancelled":
      return Effect.fail(new JobCancelled({ id, job: job.tag, cancelReason: answer.reason }))
    case "NotFound":
      return Effect.fail(gone(job, answer, seen))
    case "Dead": {
      const { failure, reason } = answer
      if (reason !== "Failed" || failure?.kind !== "Declared" || failure.error === undefined) {
        return Effect.fail(new JobDead({ id, job: job.tag, reason, detail: detailOf(failure) }))
      }
      return Effect.flatMap(decode(job.error, job, id, failure.error), (error) => Effect.fail(error as never))
    }
  }
}

const detailOf = (failure: Failure | undefined): string =>
  failure === undefined ? "no attempt of it failed" : failure.message

const gone = (job: Definition, { by, id }: Final & { readonly _tag: "NotFound" }, seen: boolean): JobGone => {
  const reason = by === "Operator" ? "Deleted" : by === "Retention" ? "Swept" : seen ? "Removed" : "NotFound"
  return new JobGone({ id, job: job.tag, reason, detail: removals[reason] })
}

const removals = {
  NotFound: "no record has this id: never stored, rolled back, or removed before the wait",
  Deleted: "an operator deleted or purged it",
  Swept: "it had finished, and its retention removed it",
  Removed: "it was deleted, purged or swept by retention during the wait"
} as const

const decode = (codec: Codec, job: Definition, id: JobId, json: string | undefined): Effect.Effect<unknown, JobGone> =>
  Effect.mapError(codec.decode(json), (error) =>
    new JobGone({
      id,
      job: job.tag,
      reason: "Unreadable",
      detail: `what is stored does not decode with this program's schema: ${error.message}`
    }))

/** @internal */
export const cancel = (
  store: JobStore["Service"],
  id: JobId,
  reason: string
): Effect.Effect<CancelAnswer, JobStoreError> =>
  Effect.map(
    store.control({ action: { _tag: "Cancel", reason }, where: { ids: [id] }, limit: 1 }),
    ({ outcomes }) => answers[outcomes[0]?.outcome ?? "NotFound"]
  )

const answers = { Changed: "Cancelled", Requested: "Requested", Unchanged: "Settled", NotFound: "NotFound" } as const
