/**
 * What operators and the clock ask of a store, and what it answers: query, control, figures, maintenance, events.
 *
 * All of it is part of `JobStore`, under whose name it is imported.
 *
 * @since 0.1.0
 */
import type { BlockedReason, DeadReason, JobId, JobRecord, Sensitive, State } from "./JobRecord.ts"
import type { SchedulesReply } from "./StoreSchedule.ts"
import type { WorkerProcess } from "./StoreWork.ts"

// ------------------------------------------------------------------------------------------------- query and control

/**
 * Which records. All given conditions hold together.
 *
 * @category control
 * @since 0.1.0
 */
export interface Selection {
  /** Each once, and in pages as any other selection. */
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
  /** The concurrency key, as the record has it. */
  readonly concurrencyKey?: string | undefined
  /** What a worker runs: its id. */
  readonly worker?: string | undefined
  /** Enqueued at this instant or later, in epoch milliseconds. */
  readonly enqueuedFrom?: number | undefined
  /** Enqueued before this instant, in epoch milliseconds. */
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
  /** How many records the page has at most. */
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
  /** At how many records the call looked, those that do not match included, where the store counts it. */
  readonly looked?: number | undefined
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
  /** Another due instant for what is scheduled or ready. A ready record that is to run at once keeps its place. */
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
  /** That of the schema by which `json` was encoded. */
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
 * The answer to a control action. `cursor` is present while more may match. Of an id that no record has it is told once, however many
 * chunks there are.
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
  /** How many records are in each state. */
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
  /** The store's clock, in epoch milliseconds. */
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
  /** How many records it has claimed and not ended. */
  readonly holds: number
  /** Milliseconds that its lease still holds; negative when it has ended. */
  readonly leaseLeft: number
  readonly queues: ReadonlyArray<string>
  /** What it said of itself when it registered; a worker of a release before this one says nothing. */
  readonly process?: WorkerProcess | undefined
}

// ------------------------------------------------------------------------------------------------ maintain and events

/**
 * What a call of `maintain` did, in bounded work.
 *
 * @category maintain
 * @since 0.1.0
 */
export interface MaintainReply {
  /** Records of workers whose lease has ended, which run again. */
  readonly rescued: number
  /** Those that are dead with reason `Crashed` instead. */
  readonly quarantined: number
  /** Records that are dead because they have not started in time. */
  readonly expired: number
  /** Finished records that were removed by their retention. */
  readonly swept: number
  /** Milliseconds until there is more to do: 0 when this call stopped at its bound. */
  readonly maintainIn: number | undefined
  /**
   * Schedules whose `attendAt` has come, at most a hundred: this worker is to see to them. Nobody else is given them for
   * five seconds.
   */
  readonly schedules?: SchedulesReply | undefined
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
  /** When, by the store's clock. */
  readonly at: number
  /** How many attempts the record has been charged with. */
  readonly attempt: number
  /** The dead reason, the error's tag, the cancel reason or the blocked reason. */
  readonly reason?: string | undefined
  /** Of `retried`: the attempt gave itself back, for later. That is no failure. */
  readonly snoozed?: true | undefined
  /** Of `started`: when it became ready, which is when it was due. A store of a release before this one does not say. */
  readonly readyAt?: number | undefined
}
