/**
 * Schedules as a store keeps them: rows that core computes and a store compares, and the tick that enqueues.
 *
 * All of it is part of `JobStore`, under whose name it is imported.
 *
 * @since 0.1.0
 */
import type { JobId } from "./JobRecord.ts"
import type { NewRecord } from "./StoreWork.ts"

/**
 * A recurring enqueue as it is stored. The store knows when it is next and what became of it last; what it means is in
 * `body`, which only core reads.
 *
 * @category schedules
 * @since 0.1.0
 */
export interface ScheduleRow {
  readonly name: string
  /** From 1, one more at every put and tick. Whoever writes names the revision that it has read. */
  readonly revision: number
  /** The planned instant of the next tick, in epoch milliseconds. Absent when there is none to come. */
  readonly nextAt?: number | undefined
  /** When `maintain` hands it to a worker. Absent while nobody needs to see to it. */
  readonly attendAt?: number | undefined
  readonly body: string
  /** How many records its plan has enqueued. */
  readonly count: number
  readonly last?: LastTick | undefined
}

/**
 * The last tick of a schedule.
 *
 * @category schedules
 * @since 0.1.0
 */
export interface LastTick {
  /** Its planned instant, in epoch milliseconds. */
  readonly at: number
  /** When it was due: later by the jitter. */
  readonly dueAt: number
  /** When it came to pass, by the store's clock. */
  readonly tickedAt: number
  readonly outcome: TickOutcome["outcome"]
  /** The last record that the schedule has enqueued, by this tick or an earlier one. */
  readonly id?: JobId | undefined
}

/**
 * Which schedules to read: those with a name in `names`, or else all in the order of their names, from the one after
 * `after`.
 *
 * @category schedules
 * @since 0.1.0
 */
export interface SchedulesRequest {
  readonly names?: ReadonlyArray<string> | undefined
  readonly after?: string | undefined
  /** How many are answered at most. */
  readonly limit: number
}

/**
 * The schedules that were found, and the store's clock.
 *
 * @category schedules
 * @since 0.1.0
 */
export interface SchedulesReply {
  /** The store's clock, in epoch milliseconds. */
  readonly now: number
  readonly rows: ReadonlyArray<ScheduleRow>
}

/**
 * Adds, changes or removes a schedule, if it is still as it was read.
 *
 * @category schedules
 * @since 0.1.0
 */
export interface SchedulePut {
  readonly name: string
  /** The revision that was read; 0 when there was no such schedule. */
  readonly revision: number
  /** Absent: it is removed. */
  readonly row?: Pick<ScheduleRow, "nextAt" | "attendAt" | "body"> | undefined
}

/**
 * What a tick does while the record of the one before is not final: nothing (`skip`), or it cancels that record
 * (`cancelPrevious`), or it takes no notice (`allow`).
 *
 * @category schedules
 * @since 0.1.0
 */
export type OverlapRule = "skip" | "allow" | "cancelPrevious"

/**
 * Planned instants that have come, in their order: their records are stored in the same write that moves the schedule on,
 * if it is still as it was read. Without ticks it only moves on.
 *
 * @category schedules
 * @since 0.1.0
 */
export interface TickRequest {
  readonly name: string
  /** The revision that was read. */
  readonly revision: number
  /** The next instant as it was read. */
  readonly at: number | undefined
  readonly overlap: OverlapRule
  /** Each with its planned instant, when it was due, and the record to store. */
  readonly ticks: ReadonlyArray<{ readonly at: number; readonly dueAt: number; readonly record: NewRecord }>
  /** How the schedule stands after it; without `body` that stays. */
  readonly next: {
    readonly nextAt?: number | undefined
    readonly attendAt?: number | undefined
    readonly body?: string
  }
  /** Somebody asked for it by hand: it is none of the plan's, and not counted. */
  readonly isAsked?: boolean | undefined
  /** When so many records have been enqueued by its plan, there is no next instant, whatever `next` says. */
  readonly limit?: number | undefined
}

/**
 * What one tick did. `id` is the record that stands for it: a job's own keys may answer with one that was there. Of a
 * skipped tick it is the record that is not final yet.
 *
 * @category schedules
 * @since 0.1.0
 */
export interface TickOutcome {
  readonly outcome: "Enqueued" | "Skipped"
  readonly id: JobId
}

/**
 * The answer to a tick that was taken: when, and one outcome for each of its ticks, fewer when the limit was reached.
 *
 * @category schedules
 * @since 0.1.0
 */
export interface TickReply {
  /** The store's clock when it was taken, in epoch milliseconds. */
  readonly now: number
  readonly outcomes: ReadonlyArray<TickOutcome>
}
