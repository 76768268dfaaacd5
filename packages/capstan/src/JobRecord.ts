/**
 * The record model: what one enqueued unit of a job is, in every store.
 *
 * Everything here is encoded: payloads, results and errors are JSON text, instants are epoch milliseconds of the
 * store's clock, durations are milliseconds. No Schema and no handler is needed to read a record.
 *
 * @since 0.1.0
 */
import type * as Brand from "effect/Brand"

/**
 * The identity of a record: a UUIDv7, so ids sort by creation.
 *
 * @category models
 * @since 0.1.0
 */
export type JobId = string & Brand.Brand<"capstan/JobId">

/**
 * Brands text that is known to be a record's id, such as one read from a column of your own.
 *
 * @category constructors
 * @since 0.1.0
 */
export const JobId = (id: string): JobId => id as JobId

/**
 * Where a record is in its life.
 *
 * `blocked` waits for something other than time, `scheduled` waits for its due instant, `ready` may be claimed.
 * `completed`, `cancelled` and `dead` are final until somebody acts.
 *
 * @category models
 * @since 0.1.0
 */
export type State = "blocked" | "scheduled" | "ready" | "running" | "completed" | "cancelled" | "dead"

/**
 * All states, in the order of a record's life.
 *
 * @category models
 * @since 0.1.0
 */
export const states: ReadonlyArray<State> = [
  "blocked",
  "scheduled",
  "ready",
  "running",
  "completed",
  "cancelled",
  "dead"
]

/**
 * What a blocked record waits for.
 *
 * - `Dependencies`: other records of its flow
 * - `ConcurrencyKey`: its key's turn
 * - `Unique`: the end of the record that holds its unique key (`onConflict: "runAfter"`)
 * - `Waitpoint`: a signal
 * - `Children`: the records that its last attempt left behind
 * - `NoHandler`, `NewerPayload`: parked until a worker registers its tag and version
 *
 * @category models
 * @since 0.1.0
 */
export type BlockedReason =
  | "Dependencies"
  | "ConcurrencyKey"
  | "Unique"
  | "Waitpoint"
  | "Children"
  | "NoHandler"
  | "NewerPayload"

/**
 * Why a record is dead.
 *
 * - `Failed`: a declared error, by `onError`, by the end of its schedule, by `maxAttempts` or `retryFor`
 * - `Defect`, `TimedOut`: the same, for a failure that was not declared
 * - `Crashed`: its workers died `maxCrashes` times while they held it
 * - `Expired`: it did not start before `startBefore`
 * - `InvalidPayload`: its payload no longer decodes, or could not be lifted to the current version
 * - `DependencyFailed`: a record that it waited for ended dead, cancelled or was deleted; its last failure names it
 *
 * @category models
 * @since 0.1.0
 */
export type DeadReason =
  | "Failed"
  | "Defect"
  | "TimedOut"
  | "Crashed"
  | "Expired"
  | "InvalidPayload"
  | "DependencyFailed"

/**
 * How one attempt failed.
 *
 * `Declared` failures are errors of the job's error schema and decided by its `retry`; all other kinds are decided by
 * `retryDefects`. `Dependency` is no attempt's: a record that it waited for failed.
 *
 * @category models
 * @since 0.1.0
 */
export type FailureKind = "Declared" | "Defect" | "TimedOut" | "Crashed" | "Dependency"

/**
 * One failed attempt, as it travels with the record.
 *
 * @category models
 * @since 0.1.0
 */
export interface Failure {
  /** A failure that gave its attempt back (a snooze, a store that was away) has the number of the attempt after it. */
  readonly attempt: number
  readonly kind: FailureKind
  /** When the attempt ended, by the store's clock. */
  readonly at: number
  /** The declared error's `_tag`, or the name of the defect. */
  readonly tag?: string | undefined
  readonly message: string
  /** The declared error as JSON, at most 4 KiB; a longer one is cut and no longer decodes. */
  readonly error?: string | undefined
}

/**
 * What ended an attempt.
 *
 * @category models
 * @since 0.1.0
 */
export type Decision =
  | "completed"
  | "retried"
  | "snoozed"
  | "waiting"
  | "cancelled"
  | "dead"
  | "released"
  | "parked"
  | "crashed"

/**
 * One attempt in a record's history.
 *
 * @category models
 * @since 0.1.0
 */
export interface Attempt {
  /** Its number, from 1. One that was given back has the number of the one after it. */
  readonly attempt: number
  /** The id of the worker that had it. */
  readonly worker: string
  /** When it was claimed, in epoch milliseconds. */
  readonly startedAt: number
  /** When the store took its end, in epoch milliseconds. */
  readonly endedAt: number
  /** What became of the record by it. */
  readonly decision: Decision
  readonly failure?: Failure | undefined
  /** The W3C `traceparent` of the attempt's span, when a tracer was present. */
  readonly trace?: string | undefined
}

/**
 * One line that an attempt logged with `JobContext.log`.
 *
 * @category models
 * @since 0.1.0
 */
export interface LogLine {
  /** The number of the attempt that logged it. */
  readonly attempt: number
  /** When it was logged, in epoch milliseconds. */
  readonly at: number
  readonly message: string
}

/**
 * How long finished records are kept: by age, by count, or both. The first bound that is passed removes the record.
 *
 * @category models
 * @since 0.1.0
 */
export interface Keep {
  /** Milliseconds after the end; `Infinity` keeps for ever. */
  readonly age: number
  /** How many of the same job and outcome are kept; `Infinity` does not count. */
  readonly count: number
}

/**
 * The retention of a record for each way it can end.
 *
 * @category models
 * @since 0.1.0
 */
export interface Retention {
  readonly completed: Keep
  readonly cancelled: Keep
  readonly dead: Keep
}

/**
 * A record as a reader sees it.
 *
 * @category models
 * @since 0.1.0
 */
export interface JobRecord {
  readonly id: JobId
  /** The tag of its job. */
  readonly tag: string
  /** That of the payload's schema when it was enqueued. */
  readonly version: number
  readonly queue: string
  /** From -100 to 100, higher first. */
  readonly priority: number
  readonly state: State
  /** JSON, as the job's schema encodes it. */
  readonly payload: string
  /** JSON, once it is completed and its job has a result. */
  readonly result?: string | undefined
  /** How many attempts were charged: 0 before the first. A snooze, a release and a wait give theirs back. */
  readonly attempt: number
  /** Rises with every claim, rescue and end of an attempt: what is written with an older one is refused. */
  readonly fence: number
  /** How many deaths of workers it is charged with. */
  readonly crashes: number
  /** In epoch milliseconds. */
  readonly enqueuedAt: number
  /** When it may run, while it is scheduled or waits for a signal no longer than that. */
  readonly dueAt?: number | undefined
  /** When its present attempt was claimed, while it is running. */
  readonly claimedAt?: number | undefined
  /** The id of the worker that has it, while it is running. */
  readonly worker?: string | undefined
  /** When it was completed, cancelled or dead, in epoch milliseconds. */
  readonly finishedAt?: number | undefined
  /** When it is dead with reason `Expired` unless it has started by then, where its job has `startBefore`. */
  readonly expiresAt?: number | undefined
  readonly blocked?: { readonly reason: BlockedReason; readonly on?: string | undefined } | undefined
  readonly deadReason?: DeadReason | undefined
  /** The reason of a cancel that its running attempt was asked for. */
  readonly cancelRequested?: string | undefined
  /** The last value that an attempt reported, as JSON. */
  readonly progress?: string | undefined
  /** The newest 32, oldest first. */
  readonly failures: ReadonlyArray<Failure>
  /** The newest 100, oldest first. */
  readonly attempts: ReadonlyArray<Attempt>
  /** The newest 200, oldest first. */
  readonly logs: ReadonlyArray<LogLine>
  readonly tags: ReadonlyArray<string>
  readonly headers: Readonly<Record<string, string>>
  readonly idempotencyKey?: string | undefined
  readonly uniqueKey?: string | undefined
  readonly concurrencyKey?: string | undefined
  readonly rateKey?: string | undefined
  readonly batchKey?: string | undefined
  /** The flow that it is a member of. */
  readonly flowId?: string | undefined
  /** The record in whose handler it was enqueued. */
  readonly parent?: JobId | undefined
  /**
   * Step results and signals by name, as long as they may be asked for again: not of a completed record. Of the store's `get`
   * alone; `Jobs` shows their names.
   */
  readonly checkpoints?: Readonly<Record<string, string>> | undefined
  /** JSON pointers into payload, result and error whose values no reader may see. */
  readonly sensitive: Sensitive
}

/**
 * Where the parts of a record that must stay masked are: JSON pointers (RFC 6901), with `*` for every index or key.
 *
 * @category models
 * @since 0.1.0
 */
export interface Sensitive {
  readonly payload: ReadonlyArray<string>
  readonly result: ReadonlyArray<string>
  readonly error: ReadonlyArray<string>
  readonly progress: ReadonlyArray<string>
}

/**
 * Whether a state is final: the record will not run again by itself.
 *
 * @category guards
 * @since 0.1.0
 */
export const isFinal = (state: State): state is "completed" | "cancelled" | "dead" =>
  state === "completed" || state === "cancelled" || state === "dead"
