/**
 * What operators and the clock ask of a store, and what it answers: query, control, figures, maintenance, events.
 *
 * All of it is part of `JobStore`, under whose name it is imported.
 *
 * @since 0.1.0
 */
import type { BlockedReason, DeadReason, JobId, JobRecord, Sensitive, State } from "./JobRecord.ts"
import type { SchedulesReply } from "./StoreSchedule.ts"

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
  readonly at: number
  readonly attempt: number
  /** The dead reason, the error's tag, the cancel reason or the blocked reason. */
  readonly reason?: string | undefined
}
