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
import type { JobId, JobRecord } from "./JobRecord.ts"
import type {
  ControlReply,
  ControlRequest,
  MaintainReply,
  QueryReply,
  QueryRequest,
  Stats,
  StoreEvent
} from "./StoreControl.ts"
import type { KeyRow, KeysRequest, LimitChange, LimitRow } from "./StoreLimits.ts"
import type { SchedulePut, SchedulesReply, SchedulesRequest, TickReply, TickRequest } from "./StoreSchedule.ts"
import type {
  DependenciesReply,
  DependenciesRequest,
  Enqueued,
  EnqueueRequest,
  ExchangeReply,
  ExchangeRequest,
  RenewReply,
  RenewRequest,
  ResultAnswer,
  Settled,
  Signalled,
  SignalRequest,
  Standing,
  WriteEntry
} from "./StoreWork.ts"

export {
  /**
   * Whether an answer to an enqueue says where the record is. Where one does not, nothing of its call is stored.
   *
   * @category enqueue
   * @since 0.1.0
   */
  isStored
} from "./internal/stored.ts"
export type * from "./StoreControl.ts"
export type * from "./StoreLimits.ts"
export type * from "./StoreSchedule.ts"
export type * from "./StoreWork.ts"

export {
  /**
   * The header of a record that a store has stored for a `followed` one which it ended by itself. JSON: `reason`, and the last
   * `failure` when there is one.
   *
   * @category enqueue
   * @since 0.1.0
   */
  endedHeader
} from "./internal/ended.ts"

/**
 * What a store says of itself.
 *
 * @category describe
 * @since 0.1.0
 */
export interface Description {
  /** What it stands on, such as `memory` or the name and version of the server. */
  readonly kind: string
  /** What an acknowledged enqueue survives, in words. */
  readonly durability: string
  /** That of the tables or keys, by which releases know each other. */
  readonly schemaVersion: number
  readonly capabilities: ReadonlyArray<"transactional" | "events" | "schedules">
  /** Promises that it cannot keep where it lives, one line each. Left out when there are none. */
  readonly absent?: ReadonlyArray<string> | undefined
  /** A record whose workers died this often is dead with reason `Crashed`. */
  readonly maxCrashes: number
  /** How its server stands now, where it can say so. */
  readonly server?: Server | undefined
}

/**
 * How a store's server stands at the moment.
 *
 * @category describe
 * @since 0.1.0
 */
export interface Server {
  /** On a standby nothing can be enqueued or claimed. */
  readonly role: "primary" | "standby"
  /**
   * By how much its clock is ahead of this process's, in milliseconds, to half of a round trip. Only the store's clock decides
   * anything; the skew misleads who compares its instants with others, and moves what is enqueued with `runAt`.
   */
  readonly clockSkew: number
  /** The age of the oldest open transaction that it may see, in milliseconds: what that may still see is not cleaned up. */
  readonly oldestTransaction: number
}

/**
 * One thing that a store has looked at in itself, in a sentence for an operator.
 *
 * @category describe
 * @since 0.1.0
 */
export interface Finding {
  /** What was looked at, such as `indexes`. */
  readonly what: string
  /** `note`: worth knowing. `warning`: to be mended, and the detail says how. */
  readonly is: "ok" | "note" | "warning"
  readonly detail: string
}

/**
 * How far a repair is.
 *
 * @category describe
 * @since 0.1.0
 */
export interface Repairing {
  /** How many records there are. */
  readonly records: number
  /** How many of them were seen to. */
  readonly seen: number
  /** Those of them that were missing in an index. */
  readonly missing: number
  /** Those that have lost a part of their own, which nothing makes anew. */
  readonly lost: number
  /** What lacked something, by the store's own names. */
  readonly lacking: ReadonlyArray<string>
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
  /** How many partitions a queue has, of those that have more than one. Absent: every queue has one. */
  readonly partitions?: Readonly<Record<string, number>> | undefined
  /**
   * Whether a fiber with this context has a transaction of this store open, in which its enqueues take part. What it
   * enqueued is seen by nobody before the commit, so to await it there would never end. Absent: never.
   */
  readonly inTransaction?: ((context: Context.Context<never>) => boolean) | undefined
  /** What the store is, and what an acknowledged enqueue survives: asked, where the server can say it. */
  readonly describe: Effect.Effect<Description, JobStoreError>
  /**
   * How its indexes are, and what else it is kept in order by: bounded reads, for an operator who asks. Absent: there is nothing to
   * look at.
   */
  readonly examine?: Effect.Effect<ReadonlyArray<Finding>, JobStoreError> | undefined
  /**
   * Makes what is derived from the records anew, all of it, while workers go on: for an operator whom `examine` has told that some is
   * lost. Tells how far it is, and in the end what came of it; it has to be read to its end. With `dryRun` it looks at every record and
   * changes nothing. Absent: what is derived is written with the records and cannot get lost without them.
   */
  readonly repair?: ((options: { readonly dryRun: boolean }) => Stream.Stream<Repairing, JobStoreError>) | undefined
  /**
   * Stores a batch, all or none, and answers what became of each record, in order. With `by` it is refused with `LeaseLost`
   * when that attempt is stale.
   */
  readonly enqueue: (request: EnqueueRequest) => Effect.Effect<ReadonlyArray<Enqueued>, JobStoreError>
  /**
   * Settles attempts and claims the next ones, in one atomic round trip. A settlement with a stale fence changes nothing
   * and is answered `LeaseLost`.
   */
  readonly exchange: (request: ExchangeRequest) => Effect.Effect<ExchangeReply, JobStoreError>
  /**
   * A worker that sleeps stands by for as long as this runs: an enqueue of the same process may take its exchange along, in one
   * atomic call, so that what is stored starts one round trip later. Absent: who sleeps is called, by `wakeups`.
   */
  readonly standBy?: ((standing: Standing) => Effect.Effect<never>) | undefined
  /**
   * Registers a worker, renews the lease of all that it holds, tells it what it has lost, and gives back claims whose reply
   * never reached it.
   */
  readonly renew: (request: RenewRequest) => Effect.Effect<RenewReply, JobStoreError>
  /**
   * Progress, logs and steps of running attempts, each by its fence, answered in order. A step's value is written once: the
   * first one stays; who writes one waits for it, so none is `Unreached`.
   */
  readonly write: (entries: ReadonlyArray<WriteEntry>) => Effect.Effect<ReadonlyArray<Settled>, JobStoreError>
  /** How records stand that somebody awaits, one answer for each id. */
  readonly results: (ids: ReadonlyArray<JobId>) => Effect.Effect<ReadonlyArray<ResultAnswer>, JobStoreError>
  /** What a record waits for, or has waited for, a page at a time. */
  readonly dependencies: (request: DependenciesRequest) => Effect.Effect<DependenciesReply, JobStoreError>
  /** Completes a waitpoint of a record, also before it waits there. The first value stays. */
  readonly signal: (request: SignalRequest) => Effect.Effect<Signalled, JobStoreError>
  /** A record with its history; `undefined` where it is not there, or not any more. */
  readonly get: (id: JobId) => Effect.Effect<JobRecord | undefined, JobStoreError>
  /**
   * One page of the records that match. It looks at a bounded number of records, so a page may be short and have a cursor.
   */
  readonly query: (request: QueryRequest) => Effect.Effect<QueryReply, JobStoreError>
  /** Whether a text may be the cursor of a page of `query`: callers' texts that cannot are refused before they come here. */
  readonly isCursor: (text: string) => boolean
  /** Figures of queues and workers, maintained with every write and never scanned. */
  readonly stats: Effect.Effect<Stats, JobStoreError>
  /** An operator's action on a bounded chunk of records, each idempotent. */
  readonly control: (request: ControlRequest) => Effect.Effect<ControlReply, JobStoreError>
  /** Stops or resumes claims from a queue. What runs goes on. Says whether it changed. */
  readonly pause: (queue: string, paused: boolean) => Effect.Effect<boolean, JobStoreError>
  /** Schedules by name or a page at a time, with the store's clock. */
  readonly schedules: (request: SchedulesRequest) => Effect.Effect<SchedulesReply, JobStoreError>
  /** Answers whether the schedule was still as it had been read, and is now as asked for. */
  readonly putSchedule: (put: SchedulePut) => Effect.Effect<boolean, JobStoreError>
  /** Answers `undefined` when the schedule is not as it was read any more: nothing was done. */
  readonly tick: (request: TickRequest) => Effect.Effect<TickReply | undefined, JobStoreError>
  /** Proposes or overrides limits, one after the other, and answers all of them as stored. */
  readonly limits: (changes: ReadonlyArray<LimitChange>) => Effect.Effect<ReadonlyArray<LimitRow>, JobStoreError>
  /** One page of the keys of a space. */
  readonly keys: (request: KeysRequest) => Effect.Effect<ReadonlyArray<KeyRow>, JobStoreError>
  /** One bounded step of what time asks for: records of dead workers, expiry, retention, due schedules. Safe to race. */
  readonly maintain: Effect.Effect<MaintainReply, JobStoreError>
  /** Emits when a sleeping worker may find work in one of the queues, or a cancel request for it. */
  readonly wakeups: (worker: string, queues: ReadonlyArray<string>) => Stream.Stream<void, JobStoreError>
  /** What happens to records from now on. Hints: some may be missed, and then `missed` says so. */
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
