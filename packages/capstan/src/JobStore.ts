/**
 * The seam between Capstan and the place where jobs live.
 *
 * A store is batch-first and knows no Schemas, no handlers and no fibers: records come encoded and leave encoded. It
 * guarantees that each verb is atomic, that a stale fence changes nothing, and that only its own clock decides; whoever
 * calls sends durations, never instants (a user's `runAt` is the exception). Delivery is at least once.
 *
 * `docs/writing-a-store.md` tells how to write one; `JobStoreSuite` of `@capstan/testing` shows that it is right.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Stream from "effect/Stream"
import { make as makeMemory, type MemoryOptions } from "./internal/memory/store.ts"
import type { JobStoreError } from "./JobError.ts"
import type {
  BlockedReason,
  DeadReason,
  Failure,
  FailureKind,
  JobId,
  JobRecord,
  Retention,
  Sensitive,
  State
} from "./JobRecord.ts"

// ---------------------------------------------------------------------------------------------------------- enqueue

/**
 * A unique key with what to do when another record holds it.
 *
 * @category enqueue
 * @since 0.1.0
 */
export interface UniqueClaim {
  readonly key: string
  /** The key is free again when its record starts, when it is finished, or `windowMillis` after the enqueue. */
  readonly until: "started" | "finished" | { readonly windowMillis: number }
  readonly onConflict: "keep" | "replace" | "reschedule" | "runAfter"
}

/**
 * The attempt on whose behalf a write is made. A store refuses the write with `LeaseLost` when the fence is stale.
 *
 * @category models
 * @since 0.1.0
 */
export interface AttemptRef {
  readonly id: JobId
  readonly fence: number
}

/**
 * A record to store, encoded.
 *
 * @category enqueue
 * @since 0.1.0
 */
export interface NewRecord {
  readonly id: JobId
  readonly tag: string
  readonly version: number
  readonly queue: string
  /** -100 to 100, higher first. */
  readonly priority: number
  readonly payload: string
  /** Milliseconds until it may run, 0 for now. */
  readonly delay: number
  /** The user's own instant; when present it holds, and `delay` is ignored. */
  readonly runAt?: number | undefined
  /** It is dead with reason `Expired` when it has not started this many milliseconds after it could. */
  readonly startBefore?: number | undefined
  readonly retention: Retention
  readonly sensitive: Sensitive
  readonly tags: ReadonlyArray<string>
  readonly headers: Readonly<Record<string, string>>
  readonly idempotencyKey?: string | undefined
  readonly unique?: UniqueClaim | undefined
  readonly concurrency?: { readonly key: string; readonly limit: number } | undefined
  readonly rateKey?: string | undefined
  readonly batchKey?: string | undefined
  readonly flowId?: string | undefined
  readonly parent?: JobId | undefined
  /** Records that must be completed first, by the name under which the attempt finds their results. */
  readonly dependencies?: ReadonlyArray<{ readonly name: string; readonly id: JobId }> | undefined
}

/**
 * What an enqueue did with one record, and the id that owns the key.
 *
 * `UniqueConflict`: it would replace the record with this id, a member of a flow. Nothing of its batch is stored then: the
 * other records of it are `Refused`. `Deferred`: it is stored when the caller's SQL transaction has committed, by a store that
 * takes no part in it.
 *
 * @category enqueue
 * @since 0.1.0
 */
export interface Enqueued {
  readonly id: JobId
  readonly outcome: "Inserted" | "Existing" | "Replaced" | "Deferred" | "UniqueConflict" | "Refused"
}

/**
 * A batch of records, all or none. With `by`, the whole batch is refused when that attempt is stale.
 *
 * @category enqueue
 * @since 0.1.0
 */
export interface EnqueueRequest {
  readonly records: ReadonlyArray<NewRecord>
  readonly by?: AttemptRef | undefined
}

// --------------------------------------------------------------------------------------------------------- exchange

/**
 * A failure as a worker reports it; the store adds when.
 *
 * @category exchange
 * @since 0.1.0
 */
export interface NewFailure {
  readonly kind: FailureKind
  readonly tag?: string | undefined
  readonly message: string
  readonly error?: string | undefined
}

/**
 * What an attempt ends with.
 *
 * @category exchange
 * @since 0.1.0
 */
export type Outcome =
  | { readonly _tag: "Complete"; readonly result: string | undefined }
  | { readonly _tag: "RetryAfter"; readonly delay: number; readonly failure: NewFailure; readonly uncharged?: boolean }
  | { readonly _tag: "SnoozeFor"; readonly delay: number; readonly failure?: NewFailure | undefined }
  | { readonly _tag: "WaitFor"; readonly waitpoint: string }
  | { readonly _tag: "WaitForChildren" }
  | { readonly _tag: "Cancel"; readonly reason: string }
  | { readonly _tag: "Dead"; readonly reason: DeadReason; readonly failure?: NewFailure | undefined }
  | { readonly _tag: "Release" }
  | { readonly _tag: "Park"; readonly reason: "NoHandler" | "NewerPayload" }

/**
 * The end of one attempt.
 *
 * @category exchange
 * @since 0.1.0
 */
export interface Settlement {
  readonly id: JobId
  readonly fence: number
  readonly outcome: Outcome
  /** Records that are inserted in the same write. */
  readonly children?: ReadonlyArray<NewRecord> | undefined
  /** Milliseconds from the claim to the end of the handler, measured monotonically. */
  readonly finishedAfter: number
  readonly trace?: string | undefined
}

/**
 * What a worker can take from one queue.
 *
 * @category exchange
 * @since 0.1.0
 */
export interface Demand {
  readonly queue: string
  /** At most this many. */
  readonly slots: number
  /** How many of the total are kept for this queue before the rest is given out in the order of the demands. */
  readonly share: number
}

/**
 * The hot path: settle a batch of attempts and claim the next ones, in one atomic round trip.
 *
 * @category exchange
 * @since 0.1.0
 */
export interface ExchangeRequest {
  readonly worker: string
  /** Milliseconds for which the worker's claims hold from now, unless renewed. */
  readonly lease: number
  readonly settlements: ReadonlyArray<Settlement>
  readonly demand: ReadonlyArray<Demand>
  /** At most this many over all queues. */
  readonly total: number
}

/**
 * How the store took one settlement. `Done` also answers a settlement that is sent again.
 *
 * @category exchange
 * @since 0.1.0
 */
export type Settled = "Done" | "LeaseLost"

/**
 * A record as a worker gets it.
 *
 * @category exchange
 * @since 0.1.0
 */
export interface Claimed {
  readonly id: JobId
  readonly tag: string
  readonly version: number
  readonly queue: string
  readonly priority: number
  readonly payload: string
  /** From 1. */
  readonly attempt: number
  readonly fence: number
  readonly crashes: number
  readonly enqueuedAt: number
  /** When the first attempt of its present life was claimed. */
  readonly begunAt: number
  /** When it became ready: what it has waited since is the queue's latency. */
  readonly readyAt: number
  /** The last 32 failures, oldest first. One that gave its attempt back is replaced by the next failure. */
  readonly failures: ReadonlyArray<Failure>
  readonly tags: ReadonlyArray<string>
  readonly headers: Readonly<Record<string, string>>
  readonly idempotencyKey?: string | undefined
  readonly parent?: JobId | undefined
  readonly flowId?: string | undefined
  /** Step results and signals by name, up to 64 KiB; the rest by `get`. */
  readonly checkpoints: Readonly<Record<string, string>>
  /** Results of the records that it waited for, by name. */
  readonly dependencies: Readonly<Record<string, string | undefined>>
}

/**
 * The answer to an exchange.
 *
 * @category exchange
 * @since 0.1.0
 */
export interface ExchangeReply {
  /** The store's clock. */
  readonly now: number
  /** One per settlement, in order. */
  readonly settled: ReadonlyArray<Settled>
  readonly claimed: ReadonlyArray<Claimed>
  /** Milliseconds until the next record of the demanded queues is due; `undefined` when none is. */
  readonly nextDueIn: number | undefined
  /** Milliseconds until `maintain` has something to do; `undefined` when nothing is foreseen. */
  readonly maintainIn: number | undefined
  /** Attempts of this worker that somebody asked to cancel, told once per fence. */
  readonly cancel: ReadonlyArray<CancelRequest>
  /** The demanded queues of which this worker could claim more right now. */
  readonly more: ReadonlyArray<string>
}

/**
 * A cancel request for a running attempt.
 *
 * @category exchange
 * @since 0.1.0
 */
export interface CancelRequest extends AttemptRef {
  readonly reason: string
}

// ------------------------------------------------------------------------------------------------------------ renew

/**
 * Registers a worker and renews its lease, and reconciles what the store says that it holds with what it runs.
 *
 * @category renew
 * @since 0.1.0
 */
export interface RenewRequest {
  readonly worker: string
  readonly lease: number
  readonly queues: ReadonlyArray<string>
  /** What it can run: the newest payload version per tag. Parked records of these are released. */
  readonly handles: ReadonlyArray<{ readonly tag: string; readonly version: number }>
  /** All attempts that the worker knows to hold. */
  readonly holding: ReadonlyArray<AttemptRef>
  /** Claims older than this that are not in `holding` are given back: their reply was lost (P14). */
  readonly reconcileOlderThan: number
}

/**
 * The answer to a renewal.
 *
 * @category renew
 * @since 0.1.0
 */
export interface RenewReply {
  readonly now: number
  /** Attempts of `holding` that the worker no longer holds. */
  readonly lost: ReadonlyArray<AttemptRef>
  readonly cancel: ReadonlyArray<CancelRequest>
  /** How many stranded claims were given back. */
  readonly reconciled: number
  /** How many parked records were released. */
  readonly unparked: number
  readonly maintainIn: number | undefined
}

// ----------------------------------------------------------------------------------------- write, results and signal

/**
 * A fenced write of a running attempt.
 *
 * @category write
 * @since 0.1.0
 */
export type WriteEntry =
  | { readonly _tag: "Step"; readonly at: AttemptRef; readonly name: string; readonly value: string }
  | { readonly _tag: "Progress"; readonly at: AttemptRef; readonly value: string }
  | { readonly _tag: "Log"; readonly at: AttemptRef; readonly lines: ReadonlyArray<string> }

/**
 * How a record that somebody awaits stands.
 *
 * @category results
 * @since 0.1.0
 */
export type ResultAnswer = Kept & { readonly id: JobId; readonly progress: string | undefined } | Missing

type Kept =
  | { readonly _tag: "Pending" }
  | { readonly _tag: "Completed"; readonly result: string | undefined }
  | { readonly _tag: "Cancelled"; readonly reason: string }
  | { readonly _tag: "Dead"; readonly reason: DeadReason; readonly failure: Failure | undefined }

interface Missing {
  readonly _tag: "NotFound"
  readonly id: JobId
  /** What removed it, where the store remembers: an operator, with a delete or a purge; or its retention. */
  readonly by?: "Operator" | "Retention" | undefined
}

/**
 * Completes a waitpoint of a record. `Early` when the record does not wait for it yet: it will find it.
 *
 * @category signal
 * @since 0.1.0
 */
export interface SignalRequest {
  readonly id: JobId
  readonly waitpoint: string
  readonly value: string
}

// ------------------------------------------------------------------------------------------------- query and control

/**
 * Which records. All given conditions hold together.
 *
 * @category control
 * @since 0.1.0
 */
export interface Selection {
  readonly ids?: ReadonlyArray<JobId> | undefined
  readonly tag?: string | undefined
  readonly queue?: string | undefined
  readonly states?: ReadonlyArray<State> | undefined
  readonly deadReason?: DeadReason | undefined
  readonly blockedReason?: BlockedReason | undefined
  /** The tag of the last failure's declared error. */
  readonly errorTag?: string | undefined
  /** A tag given at enqueue. */
  readonly label?: string | undefined
  readonly flowId?: string | undefined
  readonly parent?: JobId | undefined
  /** Enqueued at or after, and before: epoch milliseconds. */
  readonly enqueuedFrom?: number | undefined
  readonly enqueuedBefore?: number | undefined
}

/**
 * One page of a query.
 *
 * @category query
 * @since 0.1.0
 */
export interface QueryRequest {
  readonly where: Selection
  readonly order: "newest" | "oldest"
  readonly limit: number
  readonly cursor?: string | undefined
}

/**
 * The answer to a query. A cursor stays valid while records come and go. A page that is not full has one when the call
 * stopped looking: a store looks at a bounded number of records a call.
 *
 * @category query
 * @since 0.1.0
 */
export interface QueryReply {
  readonly records: ReadonlyArray<JobRecord>
  readonly cursor: string | undefined
}

/**
 * What to do with the selected records. Each is idempotent.
 *
 * @category control
 * @since 0.1.0
 */
export type ControlAction =
  | { readonly _tag: "Cancel"; readonly reason: string }
  /** Runs final records again, and scheduled ones now; `payload` replaces the payload. */
  | { readonly _tag: "Retry"; readonly payload?: EditedPayload | undefined }
  /** Makes scheduled records ready now. */
  | { readonly _tag: "Promote" }
  | { readonly _tag: "Reschedule"; readonly delay: number; readonly runAt?: number | undefined }
  | { readonly _tag: "Reprioritise"; readonly priority: number }
  /** Removes records that are not running. */
  | { readonly _tag: "Delete" }

/**
 * Another payload for a record. Its keys stay as they were stamped at the enqueue.
 *
 * @category control
 * @since 0.1.0
 */
export interface EditedPayload {
  readonly json: string
  readonly version: number
  /** What must stay masked from now on. */
  readonly sensitive: Sensitive
}

/**
 * How one record took an action.
 *
 * @category control
 * @since 0.1.0
 */
export type ControlOutcome = "Changed" | "Requested" | "Unchanged" | "NotFound"

/**
 * A bounded chunk of a control action.
 *
 * @category control
 * @since 0.1.0
 */
export interface ControlRequest {
  readonly action: ControlAction
  readonly where: Selection
  /** At most this many records are looked at in this call. */
  readonly limit: number
  readonly cursor?: string | undefined
}

/**
 * The answer to a control action. `cursor` is present while more may match.
 *
 * @category control
 * @since 0.1.0
 */
export interface ControlReply {
  readonly outcomes: ReadonlyArray<{ readonly id: JobId; readonly outcome: ControlOutcome }>
  readonly cursor: string | undefined
}

/**
 * Counts of one queue, maintained with every write and never scanned.
 *
 * @category query
 * @since 0.1.0
 */
export interface QueueStats {
  readonly queue: string
  readonly counts: Readonly<Record<State, number>>
  /** Parked records: blocked for want of a handler. */
  readonly parked: number
  /** Milliseconds that the oldest ready record has waited. */
  readonly oldestReadyAge: number | undefined
  readonly paused: boolean
}

/**
 * The store's figures.
 *
 * @category query
 * @since 0.1.0
 */
export interface Stats {
  readonly now: number
  readonly queues: ReadonlyArray<QueueStats>
  readonly workers: ReadonlyArray<WorkerStats>
}

/**
 * One registered worker.
 *
 * @category query
 * @since 0.1.0
 */
export interface WorkerStats {
  readonly worker: string
  readonly holds: number
  /** Milliseconds that its lease still holds; negative when it has ended. */
  readonly leaseLeft: number
  readonly queues: ReadonlyArray<string>
}

// --------------------------------------------------------------------------------------------------------- schedules

/**
 * A recurring enqueue. The store keeps when it is next; core computes the instants.
 *
 * @category schedules
 * @since 0.1.0
 */
export interface ScheduleRow {
  readonly name: string
  /** What defines it: when this text changes, `nextAt` is set anew. */
  readonly definition: string
  /** Epoch milliseconds of the next planned tick. */
  readonly nextAt: number
}

/**
 * One planned instant: enqueues its record and moves the schedule on, unless another process did.
 *
 * @category schedules
 * @since 0.1.0
 */
export interface TickRequest {
  readonly name: string
  readonly at: number
  readonly nextAt: number
  readonly record: NewRecord | undefined
}

// ------------------------------------------------------------------------------------------------ maintain and events

/**
 * What a call of `maintain` did, in bounded work.
 *
 * @category maintain
 * @since 0.1.0
 */
export interface MaintainReply {
  readonly rescued: number
  readonly quarantined: number
  readonly expired: number
  readonly swept: number
  /** Milliseconds until there is more to do: 0 when this call stopped at its bound. */
  readonly maintainIn: number | undefined
}

/**
 * Something that happened to a record. Hints only: a store may drop them, and correctness never depends on them.
 *
 * @category events
 * @since 0.1.0
 */
export type StoreEvent = RecordEvent | MissedEvents

/**
 * Events from here on; what happened before is not told. It opens every subscription, and follows a lost connection and
 * a reader that was too slow: whoever keeps something up to date reads it anew.
 *
 * @category events
 * @since 0.1.0
 */
export interface MissedEvents {
  readonly type: "missed"
}

/**
 * What happened to one record.
 *
 * @category events
 * @since 0.1.0
 */
export interface RecordEvent {
  readonly type:
    | "enqueued"
    | "started"
    | "progress"
    | "retried"
    | "blocked"
    | "completed"
    | "cancelled"
    | "dead"
    | "deleted"
  readonly id: JobId
  readonly tag: string
  readonly queue: string
  readonly at: number
  readonly attempt: number
  /** The dead reason, the error's tag, the cancel reason or the blocked reason. */
  readonly reason?: string | undefined
}

/**
 * What a store says of itself.
 *
 * @category describe
 * @since 0.1.0
 */
export interface Description {
  readonly kind: string
  /** What an acknowledged enqueue survives, in words. */
  readonly durability: string
  readonly schemaVersion: number
  readonly capabilities: ReadonlyArray<"transactional" | "events" | "schedules">
  /** Promises that it cannot keep where it lives, one line each. Left out when there are none. */
  readonly absent?: ReadonlyArray<string> | undefined
  /** A record whose workers died this often is dead with reason `Crashed`. */
  readonly maxCrashes: number
}

/**
 * The operations of a store.
 *
 * @category service
 * @since 0.1.0
 */
export interface Shape {
  /** Distinguishes this store from every other: two layers on the same data have the same identity. */
  readonly identity: string
  /** `exact`: neither a wake-up nor an event is ever lost in silence, so nobody who waits need poll. */
  readonly notifications: "exact" | "hint"
  /**
   * Whether a fiber with this context has a transaction of this store open, in which its enqueues take part. What it
   * enqueued is seen by nobody before the commit, so to await it there would never end. Absent: never.
   */
  readonly inTransaction?: ((context: Context.Context<never>) => boolean) | undefined
  readonly describe: Effect.Effect<Description, JobStoreError>
  readonly enqueue: (request: EnqueueRequest) => Effect.Effect<ReadonlyArray<Enqueued>, JobStoreError>
  readonly exchange: (request: ExchangeRequest) => Effect.Effect<ExchangeReply, JobStoreError>
  readonly renew: (request: RenewRequest) => Effect.Effect<RenewReply, JobStoreError>
  readonly write: (entries: ReadonlyArray<WriteEntry>) => Effect.Effect<ReadonlyArray<Settled>, JobStoreError>
  readonly results: (ids: ReadonlyArray<JobId>) => Effect.Effect<ReadonlyArray<ResultAnswer>, JobStoreError>
  readonly signal: (request: SignalRequest) => Effect.Effect<"Delivered" | "Early" | "NotFound", JobStoreError>
  readonly get: (id: JobId) => Effect.Effect<JobRecord | undefined, JobStoreError>
  readonly query: (request: QueryRequest) => Effect.Effect<QueryReply, JobStoreError>
  readonly stats: Effect.Effect<Stats, JobStoreError>
  readonly control: (request: ControlRequest) => Effect.Effect<ControlReply, JobStoreError>
  /** Stops or resumes claims from a queue. What runs goes on. Says whether it changed. */
  readonly pause: (queue: string, paused: boolean) => Effect.Effect<boolean, JobStoreError>
  /** Adds or changes schedules and answers all of them as stored. */
  readonly schedules: (put: ReadonlyArray<ScheduleRow>) => Effect.Effect<ReadonlyArray<ScheduleRow>, JobStoreError>
  /** Answers whether this call took the tick. */
  readonly tick: (request: TickRequest) => Effect.Effect<boolean, JobStoreError>
  readonly maintain: Effect.Effect<MaintainReply, JobStoreError>
  /** Emits when a sleeping worker may find work in one of the queues, or a cancel request for it. */
  readonly wakeups: (worker: string, queues: ReadonlyArray<string>) => Stream.Stream<void, JobStoreError>
  readonly events: Stream.Stream<StoreEvent, JobStoreError>
}

/**
 * The store that a program's jobs live in.
 *
 * @category service
 * @since 0.1.0
 */
export class JobStore extends Context.Service<JobStore, Shape>()("capstan/JobStore") {}

export type {
  /**
   * Options of the memory store.
   *
   * @category layers
   * @since 0.1.0
   */
  MemoryOptions
}

/**
 * The store in this process's memory.
 *
 * **When to use**
 *
 * Tests (deterministic under `TestClock`), command-line tools, and services of one process whose jobs may be lost when
 * the process ends.
 *
 * **Gotchas**
 *
 * Nothing survives the process. When the layer closes with unfinished records it logs a warning that says how many of
 * which jobs are lost.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory = (options?: MemoryOptions): Layer.Layer<JobStore> =>
  Layer.effect(JobStore, makeMemory(options))
