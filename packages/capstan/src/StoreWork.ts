/**
 * What producers and workers ask of a store, and what it answers: enqueue, exchange, renew, write, results and signal.
 *
 * All of it is part of `JobStore`, under whose name it is imported.
 *
 * @since 0.1.0
 */
import type * as Exit from "effect/Exit"
import type { JobStoreError } from "./JobError.ts"
import type { DeadReason, Failure, FailureKind, JobId, Retention, Sensitive } from "./JobRecord.ts"

// ---------------------------------------------------------------------------------------------------------- enqueue

/**
 * A unique key with what to do when another record holds it.
 *
 * @category enqueue
 * @since 0.1.0
 */
export interface UniqueClaim {
  readonly key: string
  /**
   * The key is free again when its record starts, when it is finished, or `windowMillis` after the enqueue; with `trailing`, after it was
   * due.
   */
  readonly until: "started" | "finished" | { readonly windowMillis: number }
  /** `trailing`, with a window: what comes while a record that has begun has the key waits for the end of the window. */
  readonly onConflict: "keep" | "replace" | "reschedule" | "runAfter" | "trailing"
  /** A conflict moves the record's due instant no further than this many milliseconds after its first enqueue. */
  readonly maxWait?: number | undefined
}

/**
 * The attempt on whose behalf a write is made. A store refuses the write with `LeaseLost` when the fence is stale.
 *
 * @category models
 * @since 0.1.0
 */
export interface AttemptRef {
  readonly id: JobId
  /** What the attempt was claimed with. */
  readonly fence: number
}

/**
 * What it means for a record that one that it waits for ended otherwise than completed.
 *
 * - `fail`: it is dead with reason `DependencyFailed`, and its last failure names the other
 * - `cancelSiblings`: the same, and what else it waits for is cancelled
 * - `continue`: it has ended, and that is enough
 *
 * @category enqueue
 * @since 0.1.0
 */
export type OnDependencyFailure = "fail" | "cancelSiblings" | "continue"

/**
 * The other end of a wait: for a record that waits, the one that it waits for; and the other way round.
 *
 * @category enqueue
 * @since 0.1.0
 */
export interface Dependency {
  /** The name under which the record that waits finds the result. */
  readonly name: string
  readonly id: JobId
  /** `fail` when it is not given. */
  readonly onFailure?: OnDependencyFailure | undefined
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
  /** That of the payload's schema. */
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
  /** Its key, and how many records of that key may run at a time. */
  readonly concurrency?: { readonly key: string; readonly limit: number } | undefined
  readonly rateKey?: string | undefined
  readonly batchKey?: string | undefined
  /** Records with the same one lie together, where a store has several partitions. */
  readonly partitionKey?: string | undefined
  /** The id of the flow that it is a member of. When this is a UUIDv7, the ids of all members begin with its 48 bits of time. */
  readonly flowId?: string | undefined
  readonly parent?: JobId | undefined
  /** Names of what cancels it: see `EnqueueRequest.cancels`. */
  readonly cancelOn?: ReadonlyArray<string> | undefined
  /** Names of what completes waitpoints of it, none of which cancels it too: see `EnqueueRequest.completes`. */
  readonly completeOn?: ReadonlyArray<string> | undefined
  /**
   * Something follows its death. When the store ends it by itself (it crashed its workers too often, it expired, what it waited
   * for failed), it stores another record in the same write: with the job, version, queue, payload, tags, retention and headers of this one, this
   * one for its parent, no keys, and how it ended in the header `endedHeader`.
   */
  readonly followed?: true | undefined
  /** Records that must be completed first, by the name under which the attempt finds their results. */
  readonly dependencies?: ReadonlyArray<Dependency> | undefined
  /** Records that are to wait for this one too: each still waits for others. When one has begun, the batch is refused. */
  readonly dependents?: ReadonlyArray<Dependency> | undefined
}

/**
 * What an enqueue did with one record, and the id that owns the key.
 *
 * `UniqueConflict`: it would replace the record with this id, or that would stand for it, and one of the two is a member of a
 * flow. Nothing of its batch is stored then: the other records of it are `Refused`. `Begun`: the record with this id was to wait for it, and waits for nothing any more; the
 * batch is refused alike. `Deferred`: it is stored when the caller's SQL transaction has committed, by a store that
 * takes no part in it; or it is safe, and on its way to the partition of the store that it belongs to.
 *
 * @category enqueue
 * @since 0.1.0
 */
export interface Enqueued {
  readonly id: JobId
  readonly outcome: "Inserted" | "Existing" | "Replaced" | "Deferred" | "UniqueConflict" | "Begun" | "Refused"
}

/**
 * A batch of records, all or none; each comes after those that it waits for. With `by`, the whole batch is refused when that attempt is stale.
 *
 * @category enqueue
 * @since 0.1.0
 */
export interface EnqueueRequest {
  readonly records: ReadonlyArray<NewRecord>
  readonly by?: AttemptRef | undefined
  /**
   * The batch is one thing, such as a flow, and this record of it stands for all: when it is known already, by id or
   * idempotency key, all of them are `Existing` and nothing is stored; and a record whose unique key another one holds is a
   * `UniqueConflict` unless it may be stored beside that one.
   */
  readonly whole?: JobId | undefined
  /**
   * What cancels others, in the same write and before the records are stored: whatever has not ended and names it in `cancelOn` is
   * cancelled, as by `control`. Not what stands for a record of the batch, by id or idempotency key: a batch that is sent again finds what
   * it has stored. Nothing is cancelled by a batch that is refused. There may be no records beside it. Not with `whole`.
   */
  readonly cancels?: ReadonlyArray<{ readonly on: string; readonly reason: string }> | undefined
  /**
   * What completes waitpoints of others, in the same write and before the records are stored, after what is cancelled: whatever has not
   * ended and names it in `completeOn` takes it as from `signal`, but for what stands for a record of the batch. Nothing is completed by a
   * batch that is refused. Not with `whole`.
   */
  readonly completes?:
    | ReadonlyArray<{ readonly on: string; readonly waitpoint: string; readonly value: string }>
    | undefined
}

// --------------------------------------------------------------------------------------------------------- exchange

/**
 * A failure as a worker reports it; the store adds when.
 *
 * @category exchange
 * @since 0.1.0
 */
export interface NewFailure {
  readonly kind: Exclude<FailureKind, "Dependency">
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
  | {
    readonly _tag: "SnoozeFor"
    readonly delay: number
    readonly failure?: NewFailure | undefined
    /**
     * Nothing of its queue, or of its key where that is one of a space, starts for `delay`; it keeps its place, and where its
     * queue is closed the slot of its key.
     */
    readonly closes?: "key" | "queue" | undefined
  }
  /** With `delay` it goes on after so many milliseconds without the signal. */
  | { readonly _tag: "WaitFor"; readonly waitpoint: string; readonly delay?: number | undefined }
  /** With `delay` it goes on after so many milliseconds, whatever has not ended by then. */
  | { readonly _tag: "WaitForChildren"; readonly delay?: number | undefined }
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
  /** What the attempt was claimed with. */
  readonly fence: number
  readonly outcome: Outcome
  /**
   * Records that are inserted in the same write. With `WaitForChildren` and with `WaitFor` the record keeps how they end, for as long
   * as it is kept itself.
   */
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
 * A worker that sleeps, to the enqueues of its process.
 *
 * @category exchange
 * @since 0.1.0
 */
export interface Standing {
  /** It claims from these. */
  readonly queues: ReadonlyArray<string>
  /** An enqueue takes it along: what it asks for now, `undefined` where it has no room any more. */
  readonly take: () => ExchangeRequest | undefined
  /** What came of that, once: `undefined` when nothing was claimed because the enqueue stored nothing. */
  readonly receive: (reply: Exit.Exit<ExchangeReply | undefined, JobStoreError>) => void
}

/**
 * How the store took one settlement. `Done` also answers a settlement that is sent again. `Unreached` is for a store of several
 * places of which one is away: nothing was done, and the worker sends it again a moment later, while it goes on with the others.
 *
 * @category exchange
 * @since 0.1.0
 */
export type Settled = "Done" | "LeaseLost" | "Unreached"

/**
 * A record as a worker gets it.
 *
 * @category exchange
 * @since 0.1.0
 */
export interface Claimed {
  readonly id: JobId
  readonly tag: string
  /** That of the payload's schema when it was enqueued. */
  readonly version: number
  readonly queue: string
  /** -100 to 100, higher first. */
  readonly priority: number
  readonly payload: string
  /** From 1. */
  readonly attempt: number
  /** What everything that the attempt writes carries. */
  readonly fence: number
  /** How many deaths of workers it is charged with. */
  readonly crashes: number
  /** In epoch milliseconds. */
  readonly enqueuedAt: number
  /** When the first attempt of its present life was claimed. One that was released or parked was none. */
  readonly begunAt: number
  /** When it became ready, which is when it was due, though nobody looked then: what it has waited since is the queue's latency. */
  readonly readyAt: number
  /** The last 32 failures, oldest first. One that gave its attempt back is replaced by the next failure. */
  readonly failures: ReadonlyArray<Failure>
  readonly tags: ReadonlyArray<string>
  readonly headers: Readonly<Record<string, string>>
  readonly idempotencyKey?: string | undefined
  readonly parent?: JobId | undefined
  readonly flowId?: string | undefined
  /** What the record was enqueued with: a worker collects records with the same one. */
  readonly batchKey?: string | undefined
  /** Step results and signals by name, up to 64 KiB; those whose names begin with `!` are always among them. */
  readonly checkpoints: Readonly<Record<string, string>>
  /** There are more checkpoints than these: `get` has them all. */
  readonly isCut?: true | undefined
  /**
   * Results of the records that it waited for, by name, when these are at most 100: `undefined` for one that was completed without a
   * result, and for one that ended otherwise. How each ended, and those of more, is what `dependencies` answers.
   */
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
  /** Milliseconds until the next record of the demanded queues is due; `undefined` when none is, or when others watch for it. */
  readonly nextDueIn: number | undefined
  /** Milliseconds until `maintain` has something to do; `undefined` when nothing is foreseen. */
  readonly maintainIn: number | undefined
  /** Attempts of this worker that somebody asked to cancel, told once per fence. */
  readonly cancel: ReadonlyArray<CancelRequest>
  /** The demanded queues of which this worker could claim more right now. */
  readonly more: ReadonlyArray<string>
  /**
   * Whether a claim renewed the lease of all that the worker holds. A store of several places renews it where it gave something,
   * and its workers renew by themselves however often they claim.
   *
   * @default true
   */
  readonly renewsLease?: boolean | undefined
  /**
   * How many records such as these the store would rather give out in one answer: a larger one takes it longer for each. A worker
   * asks for no more at a time, until it is told otherwise.
   *
   * @default as many as there is room for
   */
  readonly fits?: number | undefined
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
 * Where a worker runs and what, as it says itself: for people who look, and nothing decides by it. A release before this one says
 * nothing.
 *
 * @category renew
 * @since 0.1.0
 */
export interface WorkerProcess {
  /** The machine's name, or the container's. */
  readonly host?: string | undefined
  /** The process's number on that machine. */
  readonly pid?: number | undefined
  /** The release of `capstan` that it runs. */
  readonly capstanVersion?: string | undefined
  /** What the application calls its own version. */
  readonly appVersion?: string | undefined
}

/**
 * Registers a worker and renews its lease, and reconciles what the store says that it holds with what it runs.
 *
 * @category renew
 * @since 0.1.0
 */
export interface RenewRequest {
  readonly worker: string
  /** Milliseconds for which all its claims hold from now. */
  readonly lease: number
  readonly queues: ReadonlyArray<string>
  /** What it can run: the newest payload version per tag. Parked records of these are released. */
  readonly handles: ReadonlyArray<{ readonly tag: string; readonly version: number }>
  /** All attempts that the worker knows to hold. */
  readonly holding: ReadonlyArray<AttemptRef>
  /** Claims older than this that are not in `holding` are given back: their reply was lost (P14). */
  readonly reconcileOlderThan: number
  /** What `stats` says of it. */
  readonly process?: WorkerProcess | undefined
}

/**
 * The answer to a renewal.
 *
 * @category renew
 * @since 0.1.0
 */
export interface RenewReply {
  /** The store's clock, in epoch milliseconds. */
  readonly now: number
  /** Attempts of `holding` that the worker no longer holds. */
  readonly lost: ReadonlyArray<AttemptRef>
  readonly cancel: ReadonlyArray<CancelRequest>
  /** How many stranded claims were given back. */
  readonly reconciled: number
  /** How many parked records were released. */
  readonly unparked: number
  /** Milliseconds until `maintain` has something to do; `undefined` when nothing is foreseen. */
  readonly maintainIn: number | undefined
}

// ----------------------------------------------------------------------------------------- write, results and signal

/**
 * A fenced write of a running attempt.
 *
 * A checkpoint is written once: a `Step` whose name is there already changes nothing, and is `Done`. `replaces` removes
 * another one in the same write. `undo` says that the step can be undone, and marks the record: whoever would end it while
 * no attempt of it decides (a cancel, the last crash) keeps how it is to end as the checkpoint `!end` and lets it run, so that
 * its handler can undo what it did.
 *
 * @category write
 * @since 0.1.0
 */
export type WriteEntry =
  | {
    readonly _tag: "Step"
    readonly at: AttemptRef
    readonly name: string
    readonly value: string
    readonly replaces?: string | undefined
    readonly undo?: true | undefined
  }
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
 * One page of what a record waits for, or has waited for.
 *
 * @category results
 * @since 0.1.0
 */
export interface DependenciesRequest {
  readonly id: JobId
  /** How many are answered at most. */
  readonly limit: number
  readonly cursor?: string | undefined
}

/**
 * How they stand; what has ended is remembered for as long as the record is kept, whatever became of the other.
 *
 * @category results
 * @since 0.1.0
 */
export interface DependenciesReply {
  readonly dependencies: ReadonlyArray<{ readonly name: string; readonly answer: ResultAnswer }>
  /** Present while there are more. */
  readonly cursor: string | undefined
}

/**
 * Completes a waitpoint of a record. `Early` when the record does not wait for it yet: it will find it. The first one wins:
 * `Existing` when there is a checkpoint of that name already, which stays.
 *
 * @category signal
 * @since 0.1.0
 */
export interface SignalRequest {
  readonly id: JobId
  readonly waitpoint: string
  readonly value: string
}

/**
 * How a record took a signal.
 *
 * @category signal
 * @since 0.1.0
 */
export type Signalled = "Delivered" | "Early" | "Existing" | "NotFound"
