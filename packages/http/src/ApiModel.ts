/**
 * The bodies of the API: what a record, a page and the figures look like as JSON.
 *
 * Instants are epoch milliseconds of the store's clock, durations are milliseconds. What a job marks as sensitive is
 * masked. A field that does not apply is absent. Long texts are cut on the server, and say how long they are.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { Key, Label, Name } from "./internal/names.ts"

/** The id of a record. */
const Id = Schema.String.check(Schema.isUUID())
const maxIds = 1000

/**
 * Where a record is in its life.
 *
 * @category models
 * @since 0.1.0
 */
export const State = Schema.Literals(["blocked", "scheduled", "ready", "running", "completed", "cancelled", "dead"])

/**
 * What a blocked record waits for.
 *
 * @category models
 * @since 0.1.0
 */
export const BlockedReason = Schema.Literals([
  "Dependencies",
  "ConcurrencyKey",
  "Unique",
  "Waitpoint",
  "Children",
  "NoHandler",
  "NewerPayload"
])

/**
 * Why a record is dead.
 *
 * @category models
 * @since 0.1.0
 */
export const DeadReason = Schema.Literals([
  "Failed",
  "Defect",
  "TimedOut",
  "Crashed",
  "Expired",
  "InvalidPayload",
  "DependencyFailed"
])

/** The conditions of a selection. Each is bounded: what was asked for is kept in the audit log. */
const conditions = {
  /** At most 1,000. */
  ids: Schema.optionalKey(Schema.NonEmptyArray(Id).check(Schema.isMaxLength(maxIds))),
  tag: Schema.optionalKey(Name),
  queue: Schema.optionalKey(Name),
  states: Schema.optionalKey(Schema.NonEmptyArray(State)),
  deadReason: Schema.optionalKey(DeadReason),
  blockedReason: Schema.optionalKey(BlockedReason),
  /** The tag of the last failure's declared error. */
  errorTag: Schema.optionalKey(Label),
  /** A tag given at enqueue. */
  label: Schema.optionalKey(Label),
  flowId: Schema.optionalKey(Name),
  parent: Schema.optionalKey(Id),
  /** The concurrency key, as records have it. */
  concurrencyKey: Schema.optionalKey(Key),
  /** What a worker runs: its id. */
  worker: Schema.optionalKey(Name),
  /** Enqueued at or after. */
  enqueuedFrom: Schema.optionalKey(Schema.Finite),
  enqueuedBefore: Schema.optionalKey(Schema.Finite)
}

/**
 * What stands inside of payloads, by JSON pointer: `{ "/to": "ada@example.com" }`. All of it holds; `"3"` is another value than `3`. It
 * wants another condition beside it, since no store has an index of it, and what is masked is found by nothing but its mask. At most 20
 * pointers of 1,024 characters, and texts of 4,096.
 *
 * @category models
 * @since 0.1.0
 */
export const Inside = Schema.Record(
  Schema.String,
  Schema.Union([Schema.String.check(Schema.isMaxLength(4096)), Schema.Finite, Schema.Boolean, Schema.Null])
).check(
  Schema.isMaxProperties(20),
  Schema.isPropertyNames(Schema.String.check(Schema.isMaxLength(1024)))
).annotate({ identifier: "Inside" })

/** In a query it is JSON text. */
const insideQuery = { payload: Schema.optionalKey(Schema.fromJsonString(Inside)) }

/**
 * Which records. All given conditions hold together; an action wants at least one.
 *
 * @category models
 * @since 0.1.0
 */
export const Selection = Schema.Struct({
  ...conditions,
  /** At most 100,000 records are looked into. Where the other conditions leave more, nothing is changed and `BadRequest` says so. */
  payload: Schema.optionalKey(Inside)
}).annotate({ identifier: "Selection" })

/**
 * Which records, and which page of them.
 *
 * @category models
 * @since 0.1.0
 */
export const PageQuery = {
  ...conditions,
  ...insideQuery,
  /** By the instant of the enqueue; `newest` where it is absent. */
  order: Schema.optionalKey(Schema.Literals(["newest", "oldest"])),
  /** From 1 to 1,000; 50 where it is absent. */
  limit: Schema.optionalKey(Schema.Int),
  /** The cursor of the page before. */
  cursor: Schema.optionalKey(Schema.String)
}

/**
 * Which records an action would meet.
 *
 * @category models
 * @since 0.1.0
 */
export const EstimateQuery = {
  ...conditions,
  ...insideQuery,
  action: Schema.Literals(["cancel", "retry", "promote", "reschedule", "reprioritise", "delete"])
}

/**
 * A text, cut to what the request asked for.
 *
 * @category models
 * @since 0.1.0
 */
export const Excerpt = Schema.Struct({
  text: Schema.String,
  /** Of the whole text, in UTF-16 code units. `text` is cut when it is shorter. */
  length: Schema.Int
}).annotate({ identifier: "Excerpt" })

/**
 * How one attempt failed.
 *
 * @category models
 * @since 0.1.0
 */
export const Failure = Schema.Struct({
  attempt: Schema.Int,
  kind: Schema.Literals(["Declared", "Defect", "TimedOut", "Crashed", "Dependency"]),
  at: Schema.Number,
  tag: Schema.optionalKey(Schema.String),
  message: Schema.String,
  /** The declared error as JSON. */
  error: Schema.optionalKey(Schema.String)
}).annotate({ identifier: "Failure" })

/**
 * One attempt in a record's history.
 *
 * @category models
 * @since 0.1.0
 */
export const Attempt = Schema.Struct({
  attempt: Schema.Int,
  worker: Schema.String,
  startedAt: Schema.Number,
  endedAt: Schema.Number,
  decision: Schema.Literals([
    "completed",
    "retried",
    "snoozed",
    "waiting",
    "cancelled",
    "dead",
    "released",
    "parked",
    "crashed"
  ]),
  failure: Schema.optionalKey(Failure),
  /** The W3C `traceparent` of the attempt's span. */
  trace: Schema.optionalKey(Schema.String)
}).annotate({ identifier: "Attempt" })

/**
 * One line that an attempt logged.
 *
 * @category models
 * @since 0.1.0
 */
export const LogLine = Schema.Struct({
  attempt: Schema.Int,
  at: Schema.Number,
  message: Schema.String
}).annotate({ identifier: "LogLine" })

/** What a row of a list shows. */
const summary = {
  id: Schema.String,
  tag: Schema.String,
  version: Schema.Int,
  queue: Schema.String,
  priority: Schema.Int,
  state: State,
  attempt: Schema.Int,
  crashes: Schema.Int,
  enqueuedAt: Schema.Number,
  dueAt: Schema.optionalKey(Schema.Number),
  claimedAt: Schema.optionalKey(Schema.Number),
  finishedAt: Schema.optionalKey(Schema.Number),
  expiresAt: Schema.optionalKey(Schema.Number),
  worker: Schema.optionalKey(Schema.String),
  blocked: Schema.optionalKey(Schema.Struct({ reason: BlockedReason, on: Schema.optionalKey(Schema.String) })),
  deadReason: Schema.optionalKey(DeadReason),
  cancelRequested: Schema.optionalKey(Schema.String),
  tags: Schema.Array(Schema.String),
  flowId: Schema.optionalKey(Schema.String),
  parent: Schema.optionalKey(Schema.String),
  concurrencyKey: Schema.optionalKey(Schema.String),
  uniqueKey: Schema.optionalKey(Schema.String),
  progress: Schema.optionalKey(Excerpt),
  payload: Excerpt
}

/**
 * A record as a row of a list: no history, and the first 256 characters of its payload.
 *
 * @category models
 * @since 0.1.0
 */
export const RecordSummary = Schema.Struct({
  ...summary,
  lastFailure: Schema.optionalKey(Failure)
}).annotate({ identifier: "RecordSummary" })

/**
 * One record with its attempts and logs.
 *
 * @category models
 * @since 0.1.0
 */
export const Record = Schema.Struct({
  ...summary,
  fence: Schema.Int,
  result: Schema.optionalKey(Excerpt),
  failures: Schema.Array(Failure),
  attempts: Schema.Array(Attempt),
  logs: Schema.Array(LogLine),
  headers: Schema.Record(Schema.String, Schema.String),
  /** Names of the steps and signals that are kept. */
  steps: Schema.Array(Schema.String),
  idempotencyKey: Schema.optionalKey(Schema.String),
  rateKey: Schema.optionalKey(Schema.String),
  batchKey: Schema.optionalKey(Schema.String),
  /** Where values are masked: JSON pointers, with `*` for every index or key. */
  sensitive: Schema.Struct({
    payload: Schema.Array(Schema.String),
    result: Schema.Array(Schema.String),
    error: Schema.Array(Schema.String),
    progress: Schema.Array(Schema.String)
  })
}).annotate({ identifier: "Record" })

/**
 * One page of records. It may have fewer than the limit, or none, and still a cursor: a bounded number of records is looked at, and the
 * cursor says where that stopped. Only without one there are no more.
 *
 * @category models
 * @since 0.1.0
 */
export const Page = Schema.Struct({
  records: Schema.Array(RecordSummary),
  cursor: Schema.optionalKey(Schema.String),
  /**
   * Beside a cursor: at how many records the store looked, those that do not match included. Absent where it does not count them,
   * and for who may not view every queue.
   */
  looked: Schema.optionalKey(Schema.Int)
}).annotate({ identifier: "Page" })

/**
 * The figures that the store maintains.
 *
 * @category models
 * @since 0.1.0
 */
export const Stats = Schema.Struct({
  now: Schema.Number,
  queues: Schema.Array(Schema.Struct({
    queue: Schema.String,
    counts: Schema.Record(State, Schema.Int),
    /** Blocked for want of a handler. */
    parked: Schema.Int,
    oldestReadyAge: Schema.optionalKey(Schema.Number),
    paused: Schema.Boolean
  })),
  workers: Schema.Array(Schema.Struct({
    worker: Schema.String,
    /** Records that it runs. Absent where some of its queues may not be seen. */
    holds: Schema.optionalKey(Schema.Int),
    /** Negative when its lease has ended. */
    leaseLeft: Schema.Number,
    queues: Schema.Array(Schema.String),
    /** Where it runs and what, as it says itself. Absent of a release that says nothing. */
    process: Schema.optionalKey(
      Schema.Struct({
        /** The machine's name, unless the worker keeps it to itself. */
        host: Schema.optionalKey(Schema.String),
        pid: Schema.optionalKey(Schema.Int),
        /** The release of Capstan. */
        capstanVersion: Schema.optionalKey(Schema.String),
        /** What the application calls its own version. */
        appVersion: Schema.optionalKey(Schema.String)
      }).annotate({ identifier: "WorkerProcess" })
    )
  }))
}).annotate({ identifier: "Stats" })

/**
 * What an action did.
 *
 * @category models
 * @since 0.1.0
 */
export const Counts = Schema.Struct({
  changed: Schema.Int,
  /** Running records that were asked to stop. */
  requested: Schema.Int,
  /** The action does not apply to them. */
  unchanged: Schema.Int,
  notFound: Schema.Int
}).annotate({ identifier: "Counts" })

/**
 * What an action would meet, if it began now.
 *
 * @category models
 * @since 0.1.0
 */
export const Estimate = Schema.Struct({
  /** Records that match. */
  matched: Schema.Int,
  /** Those of them in a state that the action applies to. */
  applies: Schema.Int,
  byState: Schema.Record(State, Schema.Int),
  /** Whether counting ended before the records did: there are at least so many. */
  isAtLeast: Schema.Boolean
}).annotate({ identifier: "Estimate" })

/**
 * Whether a switch was turned: not if it stood so already.
 *
 * @category models
 * @since 0.1.0
 */
export const Switched = Schema.Struct({ changed: Schema.Boolean }).annotate({ identifier: "Switched" })

/**
 * Who asks, and what may be asked for.
 *
 * @category models
 * @since 0.1.0
 */
export const Me = Schema.Struct({
  name: Schema.String,
  /** The actions that are allowed on every queue. */
  everywhere: Schema.Array(Schema.String),
  /** Where more than that is allowed on a queue: all that is allowed there. */
  queues: Schema.Record(Schema.String, Schema.Array(Schema.String))
}).annotate({ identifier: "Me" })

/**
 * What happened last to a record, in a frame of the event stream.
 *
 * @category events
 * @since 0.1.0
 */
export const Delta = Schema.Struct({
  type: Schema.Literals([
    "enqueued",
    "started",
    "progress",
    "retried",
    "blocked",
    "completed",
    "cancelled",
    "dead",
    "deleted"
  ]),
  id: Schema.String,
  tag: Schema.String,
  queue: Schema.String,
  at: Schema.Number,
  attempt: Schema.Int,
  reason: Schema.optionalKey(Schema.String),
  /** Of `retried`: the attempt gave itself back, for later. That is no failure. */
  snoozed: Schema.optionalKey(Schema.Literal(true)),
  /** Of `started`: when the record became ready, which is when it was due. */
  readyAt: Schema.optionalKey(Schema.Number)
}).annotate({ identifier: "Delta" })

/**
 * One event of the stream.
 *
 * - `records`: what happened, each record once, with the last that happened to it
 * - `missed`: more happened than is told; read anew what is shown
 * - `beat`: the stream is alive
 * - `dropped`: the reader was too slow, and the stream ends; connect again
 *
 * The `id` of the first two resumes after it, as `Last-Event-ID`: so does who comes back after the ten minutes that a stream has.
 *
 * @category events
 * @since 0.1.0
 */
export const Event = Schema.Union([
  Schema.Struct({
    event: Schema.Literal("records"),
    id: Schema.String,
    data: Schema.fromJsonString(Schema.Array(Delta))
  }),
  Schema.Struct({ event: Schema.Literal("missed"), id: Schema.String, data: Schema.String }),
  Schema.Struct({ event: Schema.Literal("beat"), data: Schema.String }),
  Schema.Struct({ event: Schema.Literal("dropped"), data: Schema.String })
])
