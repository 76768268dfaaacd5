/**
 * The options of a job: those of its declaration, and those of a call that enqueues it.
 *
 * All of it is part of `Job`, under whose name it is imported.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import type * as Schedule from "effect/Schedule"
import type * as Schema from "effect/Schema"
import type * as D from "./internal/definition.ts"
import type * as Propagate from "./internal/propagate.ts"
import type { Request as InternalRequest } from "./internal/request.ts"
import type { BreakerOptions, JobLimit } from "./JobLimit.ts"
import type { DeadReason, Failure, JobId } from "./JobRecord.ts"
import type { NewFailure } from "./JobStore.ts"
import type { Completion, Match, Subscription } from "./Topic.ts"

// ------------------------------------------------------------------------------------------------- options of calls

/**
 * Options of one enqueue.
 *
 * @category options
 * @since 0.1.0
 */
export interface EnqueueOptions {
  /**
   * Runs not before this long from now, by the store's clock.
   *
   * @default 0
   */
  readonly delay?: Duration.Input | undefined
  /**
   * Runs not before this instant: a `DateTime`, a `Date`, epoch milliseconds or ISO text. Excludes `delay`.
   *
   * @default at once
   */
  readonly runAt?: DateTime.DateTime.Input | undefined
  /**
   * `"low"` is -10, `"normal"` 0, `"high"` 10; an integer from -100 to 100 goes between. Higher first; first in, first
   * out within one.
   *
   * @default the job's
   */
  readonly priority?: "low" | "normal" | "high" | number | undefined
  /**
   * While a record of this job with this key is kept, in whatever state, the call answers `Existing` with its id.
   *
   * @default none
   */
  readonly idempotencyKey?: string | undefined
  /**
   * `false` leaves the job's unique key out for this record.
   *
   * @default the job's
   */
  readonly unique?: false | undefined
  /**
   * Labels to find the record by, added to those of the job.
   *
   * @default none
   */
  readonly tags?: ReadonlyArray<string> | undefined
  /**
   * Text that travels with the record; the handler reads it from `JobContext.headers`.
   *
   * @default none
   */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/**
 * Options of `enqueueMany`: as of one, with a key per payload.
 *
 * @category options
 * @since 0.1.0
 */
export interface EnqueueManyOptions<in Payload> extends Omit<EnqueueOptions, "idempotencyKey"> {
  /**
   * The key of each payload; `index` counts from 0. While a record of this job with that key is kept, its payload is
   * answered `Existing` with the id.
   *
   * @default none
   */
  readonly idempotencyKey?: ((payload: Payload, index: number) => string) | undefined
}

// ------------------------------------------------------------------------------------------- options of declarations

type TagOf<E> = E extends { readonly _tag: infer T extends string } ? T : never

/**
 * What a failure with one declared error leads to.
 *
 * - `"retry"`: by the job's `retry`
 * - `"dead"`: no further attempt
 * - `{ retry }`: by a schedule of its own, over the failures with this tag alone
 * - `{ snooze }`: again after the duration, without charging an attempt (such as a 429 with `Retry-After`)
 *
 * @category options
 * @since 0.1.0
 */
export type OnError<E> =
  | "retry"
  | "dead"
  | { readonly retry: Schedule.Schedule<unknown, E> }
  | { readonly snooze: Duration.Input | ((error: E) => Duration.Input) }

/**
 * How long a finished record is kept: a duration, `"forever"`, or bounds by age and count of which the first one holds.
 *
 * @category options
 * @since 0.1.0
 */
export type Keep = D.KeepInput

/**
 * What decides the attempts of a job. Read from the worker's code when an attempt ends, so a deploy mends waiting
 * records. In the place of what throws, answers an infinite delay, or has not decided after five minutes, the
 * defaults hold.
 *
 * @category options
 * @since 0.1.0
 */
export interface RunOptions<E> {
  /**
   * After this many attempts a failed record is dead. `Infinity` leaves it to the schedules.
   *
   * @default 10
   */
  readonly maxAttempts?: number | undefined
  /**
   * A record that fails later than this after its first attempt began is dead, whatever its schedule says.
   *
   * @default no limit
   */
  readonly retryFor?: Duration.Input | undefined
  /**
   * Decides attempts that failed with a declared error. It is replayed over the recorded errors, with `Random` seeded by
   * the record's id, so its delays are exact across processes and restarts. Of more than 32 failures the last delay repeats;
   * it ends as it says, unless it counts beyond a thousand of them.
   *
   * @default exponential from 1 s, at most 5 min, jittered
   */
  readonly retry?: Schedule.Schedule<unknown, NoInfer<E>> | undefined
  /**
   * Decides attempts that failed otherwise: a defect, a timeout.
   *
   * @default exponential from 1 s, at most 5 min, jittered
   */
  readonly retryDefects?: Schedule.Schedule<unknown, Failure> | undefined
  /**
   * An attempt is interrupted after this long. `"infinite"` switches it off.
   *
   * @default 15 minutes
   */
  readonly timeout?: Duration.Input | "infinite" | undefined
  /**
   * Whether the attempt's span is linked to the enqueue (a trace of its own) or is its child.
   *
   * @default "link"
   */
  readonly trace?: "link" | "child" | undefined
  /**
   * What to do by the `_tag` of a declared error. A tag that is not given is retried.
   *
   * (`NoInfer` around its conditional type would turn the argument of `snooze` into `never`.)
   *
   * @default every error is retried
   */
  readonly onError?: { readonly [T in TagOf<E>]?: OnError<Extract<E, { readonly _tag: T }>> } | undefined
}

/**
 * A key of which at most one record is live.
 *
 * @category options
 * @since 0.1.0
 */
export type Unique<P> = UniqueOnce<P> | UniqueTrailing<P>

/**
 * A key that one record has until it starts, until it is finished, or for a while.
 *
 * @category options
 * @since 0.1.0
 */
export interface UniqueOnce<in P> {
  /**
   * What the records share of which one is live at a time, such as the order: text made from the payload. Another job has
   * keys of its own.
   */
  readonly key: (payload: P) => string
  /**
   * When the key is free again: when its record starts, when it is finished, or this long after the enqueue. A dead or
   * cancelled record always frees its key, and so does one that is removed: keep completed records for as long as a window.
   *
   * With `"started"`, a record that a worker takes and gives back unstarted has the key again, unless another enqueue took
   * it meanwhile: then both run.
   *
   * @default "finished"
   */
  readonly until?: "started" | "finished" | { readonly window: Duration.Input } | undefined
  /**
   * What an enqueue does while another record holds the key.
   *
   * - `"keep"`: nothing
   * - `"replace"`: the waiting record gets the new payload and options; one that has begun gets a successor
   * - `"reschedule"`: the waiting record gets the new due instant
   * - `"runAfter"`: a record that has begun gets one successor, which runs when it is finished
   *
   * @default "keep"
   */
  readonly onConflict?: "keep" | "replace" | "reschedule" | "runAfter" | undefined
  /**
   * Debounce: enqueues with a `delay` and `"replace"` (the last payload) or `"reschedule"` (the first) put the waiting record
   * off, each time anew; it is due no later than this long after its first enqueue.
   *
   * @default no limit
   */
  readonly maxWait?: Duration.Input | undefined
}

/**
 * Throttle: the first record runs at once, and at most one more in each window, with the last payload of those that came in it.
 *
 * @category options
 * @since 0.1.0
 */
export interface UniqueTrailing<in P> {
  /**
   * What the records share of which one is live at a time, such as the order: text made from the payload. Another job has
   * keys of its own.
   */
  readonly key: (payload: P) => string
  /** How far two of its records are apart, from when each is due. */
  readonly until: { readonly window: Duration.Input }
  /**
   * A record that has not begun gets the new payload and options, and stays due when it was. While one that has begun, or has ended,
   * has its window, another waits for the window's end, and has the key from then on.
   */
  readonly onConflict: "trailing"
  /**
   * Not for a throttle: its window is how long the last payload waits at most.
   *
   * @default none
   */
  readonly maxWait?: undefined
}

/**
 * At most `limit` records with the same key run at a time, over all workers.
 *
 * @category options
 * @since 0.1.0
 */
export interface Concurrency<P> {
  /**
   * What the records share that may not all run together, such as the tenant: text made from the payload. Another job has
   * keys of its own.
   */
  readonly key: (payload: P) => string
  /** How many records of one key run at a time: an integer from 1. */
  readonly limit: number
  /**
   * Whose turn it is within the job's queue and a priority: `"fifo"` by age, `"fair"` one record of each key in turn, so that a key
   * that comes anew does not wait behind the backlog of another. Fair records come after those of jobs without.
   *
   * `"fair"` makes a limit of the job's name, as `JobLimit.make` does: `Jobs.limits` shows it, `Jobs.setLimit({ key })` changes it.
   *
   * @default "fifo"
   */
  readonly order?: "fifo" | "fair" | undefined
}

/**
 * The limit that a record counts for, and its key there.
 *
 * @category options
 * @since 0.1.0
 */
export interface Limited<P> {
  /** The limit, made by `JobLimit.make` once for all jobs that share it. */
  readonly by: JobLimit
  /** Such as the tenant, or the account at a third party. Records of all jobs with this limit and key count together. */
  readonly key: (payload: P) => string
}

/**
 * How the records of a batch job are collected.
 *
 * @category options
 * @since 0.1.0
 */
export interface Batch<P> {
  /** How many records the handler gets at a time, at most: from 1 to 1,000. */
  readonly size: number
  /**
   * How long a worker goes on collecting after the first record of a batch. A batch that is not full by then runs as it is.
   *
   * What a worker collects is leased to it: others do not see it meanwhile, and when the worker is closed it is given back,
   * without an attempt.
   */
  readonly within: Duration.Input
  /**
   * Such as the tenant, or the account at a third party: only records with the same key come together. Stamped at the enqueue.
   *
   * @default one batch for all
   */
  readonly key?: ((payload: P) => string) | undefined
}

type SchemaOf<P> = P extends Schema.Top ? P : P extends Schema.Struct.Fields ? Schema.Struct<P> : never
type TypeOf<P> = SchemaOf<P>["Type"]
type MakeIn<P> = SchemaOf<P>["~type.make.in"]
type Subscribed<P> = WithoutServices<MakeIn<P>, SchemaOf<P>["EncodingServices"]>

/**
 * `A` where no services are needed, and else what no value is: for what runs where nobody could provide them. `never` in its place
 * would refuse nothing, since it fits everywhere.
 *
 * @category models
 * @since 0.1.0
 */
export type WithoutServices<A, Services> = [Services] extends [never] ? A : Unprovided<Services>

/**
 * What no value is; the compiler shows the services that nobody could provide.
 *
 * @category models
 * @since 0.1.0
 */
export interface Unprovided<out Services> {
  readonly [UnprovidedTypeId]: Services
}

declare const UnprovidedTypeId: unique symbol

/**
 * An older version of a payload, lifted to `Out`.
 *
 * @category models
 * @since 0.1.0
 */
export interface PreviousVersion<out Out> extends D.Previous {
  readonly "~out": Out
}

/**
 * A Reference whose value travels with records.
 *
 * @category models
 * @since 0.1.0
 */
export interface Propagated {
  /** @internal */
  readonly "~propagation": Propagate.Propagation
}

/**
 * A record to enqueue, made by `X.request`.
 *
 * @category models
 * @since 0.1.0
 */
export type Request = InternalRequest

/**
 * What follows: nothing, one record, or some.
 *
 * @category models
 * @since 0.1.0
 */
export type Requests = Request | ReadonlyArray<Request> | undefined

/**
 * A completed record, for `onComplete`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Completed<out Payload, out Success> {
  readonly id: JobId
  readonly payload: Payload
  readonly success: Success
}

/**
 * A dead record, for `onFailure`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Failed<out Payload> {
  readonly id: JobId
  /** `undefined` when it no longer decodes. */
  readonly payload: Payload | undefined
  readonly reason: DeadReason
  readonly failure: NewFailure | undefined
}

/**
 * An event that cancels the records of a job of which `payload` says the same as the event.
 *
 * @category options
 * @since 0.1.0
 */
export interface CancelOn<in Payload> {
  /** The topic, with the text that is made of each of its events: `Topic.match`. */
  readonly event: Match
  /** The text that is made of a payload at the enqueue: a record is cancelled by the events that give the same. */
  readonly payload: (payload: Payload) => string
}

/**
 * Events that complete a waitpoint of those records of a job of which `payload` says the same.
 *
 * @category options
 * @since 0.1.0
 */
export interface CompleteOn<in Payload> {
  /** The topic and the waitpoint, with the text and the value that are made of each of its events: `Topic.completion`. */
  readonly event: Completion
  /** The text that is made of a payload at the enqueue: a record goes on with the first of the events that give the same. */
  readonly payload: (payload: Payload) => string
}

/**
 * Options of a declaration.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options<
  Payload extends Schema.Top | Schema.Struct.Fields,
  Success extends Schema.Top,
  Error extends Schema.Top,
  Progress extends Schema.Top,
  Queue extends string
> extends RunOptions<Error["Type"]> {
  /**
   * Fields, or a schema.
   *
   * @default Schema.Void
   */
  readonly payload?: Payload | undefined
  /**
   * The schema of what the handler answers and an awaiter gets.
   *
   * @default Schema.Void
   */
  readonly success?: Success | undefined
  /**
   * The errors that a handler may fail with, and an awaiter gets typed.
   *
   * @default Schema.Never
   */
  readonly error?: Error | undefined
  /**
   * What `X.progress` takes.
   *
   * @default Schema.Never
   */
  readonly progress?: Progress | undefined
  /**
   * The version of the payload's schema. Raise it with every change that older code or older records do not satisfy.
   *
   * @default 1
   */
  readonly version?: number | undefined
  /**
   * The older versions, rising; each lifts to the next, the last one to this.
   *
   * @default none: records of an older version are dead with reason `InvalidPayload`
   */
  readonly previous?:
    | readonly [...ReadonlyArray<PreviousVersion<unknown>>, PreviousVersion<MakeIn<NoInfer<Payload>>>]
    | undefined
  /**
   * The lane that its records wait in.
   *
   * @default "default"
   */
  readonly queue?: Queue | undefined
  /**
   * Of records that are ready in one queue the higher goes first: `"low"` is -10, `"normal"` 0, `"high"` 10, an integer
   * from -100 to 100 lies between.
   *
   * @default "normal"
   */
  readonly priority?: "low" | "normal" | "high" | number | undefined
  /**
   * A record that has not started this long after it could is dead with reason `Expired`.
   *
   * @default no limit
   */
  readonly startBefore?: Duration.Input | undefined
  /**
   * Which records are the same work, so that one of them waits or runs and the others are left out, replace it or follow
   * it.
   *
   * @default none: each enqueue is a record
   */
  readonly unique?: Unique<TypeOf<NoInfer<Payload>>> | undefined
  /**
   * How many records with one key run at a time, over all workers. The others wait in the order of their places.
   *
   * @default no limit
   */
  readonly concurrency?: Concurrency<TypeOf<NoInfer<Payload>>> | undefined
  /**
   * A limit that it shares with other jobs, in place of `concurrency`: a record has one key.
   *
   * @default none
   */
  readonly limit?: Limited<TypeOf<NoInfer<Payload>>> | undefined
  /**
   * A circuit breaker of each `concurrency` key, or of the whole job where it has none: `consecutive` attempts in a row that
   * failed open it, and nothing starts for `openDuration`. Then one probes. Attempts that are not made are not charged.
   *
   * It makes a limit of the job's name, as `JobLimit.make` does: `Jobs.limits` shows it, `Jobs.setLimit({ key })` changes it.
   * With `limit`, give that one the breaker.
   *
   * @default none
   */
  readonly breaker?: BreakerOptions | undefined
  /**
   * What decides in which partition of its queue a record lies, on a store that has several (`partitions` of the Redis store):
   * such as the tenant. Records with the same value lie together. The keys of `unique` and `concurrency` must be this value,
   * or begin with it and a character that is no letter and no digit: else the enqueue fails with `CrossPartition`. Other
   * stores do not look at it.
   *
   * @default the concurrency key, else the unique key, else the idempotency key, else the flow, else the id
   */
  readonly partition?: ((payload: TypeOf<NoInfer<Payload>>) => string) | undefined
  /**
   * How long finished records are kept, by how they ended. Whoever awaits a record finds its result while it is kept: with
   * 0 it is removed as soon as it has ended, and an awaiter may be told that it is gone. On Postgres no history is written
   * then, which spares the server a sixth of its CPU and half of its log: `docs/postgres.md`.
   *
   * @default completed 1 day, cancelled 7 days, dead 30 days
   */
  readonly retention?:
    | { readonly completed?: Keep | undefined; readonly cancelled?: Keep | undefined; readonly dead?: Keep | undefined }
    | undefined
  /**
   * The size that an encoded payload may have, in bytes of UTF-8.
   *
   * @default 262,144
   */
  readonly maxPayloadBytes?: number | undefined
  /**
   * What is enqueued in the write that completes a record, as a child of it: there exactly when the record is completed, and with
   * `X.commit` in its transaction. Read from the worker's code, like the policies.
   *
   * Nothing refuses it: where its unique key would replace a member of a flow it is enqueued without that key, rather too often than
   * not at all. A `commit` fails instead, for that stores nothing.
   *
   * The result is decoded from what is stored: `success` takes no services to decode, since a worker is asked for none.
   *
   * @default nothing follows
   */
  readonly onComplete?:
    | WithoutServices<
      (end: Completed<TypeOf<NoInfer<Payload>>, NoInfer<Success>["Type"]>) => Requests,
      NoInfer<Success>["DecodingServices"]
    >
    | undefined
  /**
   * The same for a record that is dead, also as to unique keys. Where no attempt has decided that (its workers crashed, it expired, what it waited for
   * failed), the store leaves a record of this job in the same write, which tells of it: the worker that claims it runs this in
   * place of the handler. Not for a record that is cancelled, whether it waits or runs: somebody wanted that.
   *
   * @default nothing follows
   */
  readonly onFailure?: ((end: Failed<TypeOf<NoInfer<Payload>>>) => Requests) | undefined
  /**
   * Events for each of which a record is enqueued: `Topic.on`. The payload takes no services to encode: who publishes is asked for
   * none.
   *
   * @default none
   */
  readonly on?: ReadonlyArray<Subscription<Subscribed<NoInfer<Payload>>>> | undefined
  /**
   * Events that cancel those of its records which say the same: `Topic.match` of the event, and `payload`. One that waits is cancelled
   * in the call that publishes, one that runs is asked to stop.
   *
   * @default none
   */
  readonly cancelOn?: ReadonlyArray<CancelOn<TypeOf<NoInfer<Payload>>>> | undefined
  /**
   * Events that complete waitpoints of those of its records which say the same: `Topic.completion` of the event, and `payload`. The first
   * one counts, in the call that publishes it, and is kept for a record that does not wait yet.
   *
   * @default none
   */
  readonly completeOn?: ReadonlyArray<CompleteOn<TypeOf<NoInfer<Payload>>>> | undefined
  /**
   * Labels of all its records.
   *
   * @default none
   */
  readonly tags?: ReadonlyArray<string> | undefined
  /**
   * References whose values travel from the enqueueing fiber to the handler, and on to its children.
   *
   * @default none
   */
  readonly propagate?: ReadonlyArray<Propagated> | undefined
}
