/**
 * What a queue that is left looks like to the mover: its jobs in pages, and what becomes of those that have moved.
 */
import type { JobError } from "capstan"
import type { Effect } from "effect"
import { Schema } from "effect"

/** A job that waits there. */
export interface SourceJob {
  /** Its id there, one of no other job that is there now. */
  readonly id: string
  /**
   * Tells it from another job that has had its id, and from what it was before a producer changed it: when it was made, how often
   * it was changed. A run that is repeated knows it by both.
   */
  readonly edition: string
  readonly name: string
  readonly payload: unknown
  /** Epoch milliseconds; not given: it is due. */
  readonly runAt?: number | undefined
  /** As Capstan counts: -100 to 100, higher first. */
  readonly priority: number
  /** Attempts that it has had there. */
  readonly attempts: number
  /** What keeps it from moving, whatever the routes say. */
  readonly obstacle?: Obstacle | undefined
}

export interface Obstacle {
  /**
   * - `Running`: a worker there has it, or the named queue that it belongs to
   * - `PartOfFlow`: others there wait for it, or it waits for them
   * - `OfSchedule`: a schedule there made it, and will make the next one
   * - `Schedule`: no job, but a schedule
   */
  readonly reason: "Running" | "PartOfFlow" | "OfSchedule" | "Schedule"
  readonly detail: string
}

/**
 * A job that stays where it is, and why.
 *
 * - `UnknownName`: no route
 * - `Unreadable`: its payload does not decode by the schema of the job
 * - `Refused`: the enqueue is refused: too large, an option out of bounds
 * - `Held`: another record has its unique key
 */
export interface Reject {
  readonly source: string
  readonly id: string
  readonly name: string
  readonly reason: Obstacle["reason"] | "UnknownName" | "Unreadable" | "Refused" | "Held"
  readonly detail: string
}

/** The queue that is left did not do what it was asked for. What was enqueued stays: run the mover again. */
export class SourceError extends Schema.TaggedError<SourceError>()("SourceError", {
  source: Schema.String,
  operation: Schema.String,
  cause: Schema.Defect()
}) {
  override get message() {
    return `${this.source}: ${this.operation} failed: ${String(this.cause)}`
  }
}

/** Its workers could take what has moved before it is removed: they must be stopped first. */
export class NotPaused extends Schema.TaggedError<NotPaused>()("NotPaused", { source: Schema.String }) {
  override get message() {
    return `${this.source} is not paused: call queue.pause(), and resume it when the mover has ended`
  }
}

/** The report could not be written. Nothing is removed before its rejects are. */
export class ReportError extends Schema.TaggedError<ReportError>()("ReportError", { cause: Schema.Defect() }) {
  override get message() {
    return `the report could not be written: ${String(this.cause)}`
  }
}

export type PageError = JobError.EnqueueError | JobError.JobStoreError | ReportError

export interface Source {
  /** Part of the keys that records are known by: the same in every run. */
  readonly name: string
  /**
   * Hands over its waiting jobs, page by page, in the order in which its workers would take them. Of each page it removes the
   * jobs whose ids come back, and not before they do.
   */
  readonly pages: (
    removes: boolean,
    use: (jobs: ReadonlyArray<SourceJob>) => Effect.Effect<ReadonlyArray<string>, PageError>
  ) => Effect.Effect<void, PageError | SourceError | NotPaused>
  /** What it has that does not wait: what runs, its schedules. */
  readonly others: Effect.Effect<ReadonlyArray<Omit<Reject, "source">>, SourceError>
}

export const clampPriority = (priority: number): number => Math.max(-100, Math.min(100, priority))
