/**
 * The bodies of what is told from a bounded number of records, or from what this process heard: never from all of them.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { Failure, RecordSummary, State } from "./ApiModel.ts"

const counts = Schema.Record(State, Schema.Int)

/**
 * The last half hour as this process saw it: depths as the store keeps them, and what ended as it was told of.
 *
 * @category models
 * @since 0.1.0
 */
export const Series = Schema.Struct({
  /** Milliseconds between two samples. */
  every: Schema.Int,
  /** The 95th percentile of `wait` in what is told but the last minute; absent before there are three. */
  waitBefore: Schema.optionalKey(Schema.Number),
  runBefore: Schema.optionalKey(Schema.Number),
  samples: Schema.Array(Schema.Struct({
    at: Schema.Number,
    ready: Schema.Int,
    running: Schema.Int,
    /** Blocked and scheduled. */
    waiting: Schema.Int,
    dead: Schema.Int,
    oldestReadyAge: Schema.optionalKey(Schema.Number),
    /** Since the sample before. */
    completed: Schema.Int,
    /** Retried after a failure, or dead, since the sample before. */
    failed: Schema.Int,
    /**
     * The 95th percentile of the minute up to this sample: from the enqueue to the start of the first attempt, a delay that was
     * asked for included. Absent where none started.
     */
    wait: Schema.optionalKey(Schema.Number),
    /** The 95th percentile of the attempts that ended in the minute up to this sample. */
    run: Schema.optionalKey(Schema.Number),
    /** More ended than was told. */
    isAtLeast: Schema.Boolean
  }))
}).annotate({ identifier: "Series" })

/** Milliseconds, off by 5 % at most; and of how many. */
const Times = Schema.Struct({ count: Schema.Int, p50: Schema.Number, p95: Schema.Number, p99: Schema.Number })

const figures = {
  completed: Schema.Int,
  /** Attempts that were retried after a failure, or after which the record was dead. */
  failed: Schema.Int,
  /** From when a record was due to the start of its first attempt. */
  wait: Schema.optionalKey(Times),
  /** Of attempts, however they ended. */
  run: Schema.optionalKey(Times),
  /** The longest that was seen. */
  oldestReadyAge: Schema.optionalKey(Schema.Number),
  /** As many as there were on average. */
  ready: Schema.Number,
  running: Schema.Number,
  /** In which the store answered this process, when it was asked for its figures. */
  roundTrip: Schema.optionalKey(Times),
  /** More ended than was told. */
  isAtLeast: Schema.Boolean
}

/**
 * A stretch of the last 30 hours, as this process saw it: as a whole, and in at most 60 parts. What it was not there for is
 * missing, and so is what it heard of first before `since`.
 *
 * @category models
 * @since 0.1.0
 */
export const History = Schema.Struct({
  from: Schema.Number,
  before: Schema.Number,
  /** Since when this process looks; absent before its first sample. */
  since: Schema.optionalKey(Schema.Number),
  /** Milliseconds of each part. */
  every: Schema.Int,
  total: Schema.Struct(figures),
  /** Those of which something is known. */
  parts: Schema.Array(Schema.Struct({ at: Schema.Number, ...figures }))
}).annotate({ identifier: "History" })

/** Milliseconds; absent where nothing was measured. */
const Percentiles = Schema.Struct({ p50: Schema.Number, p95: Schema.Number })

/**
 * The jobs among the newest records.
 *
 * @category models
 * @since 0.1.0
 */
export const JobsSeen = Schema.Struct({
  /** How many records this is told from. */
  looked: Schema.Int,
  jobs: Schema.Array(Schema.Struct({
    job: Schema.String,
    queues: Schema.Array(Schema.String),
    versions: Schema.Array(Schema.Int),
    counts,
    attempts: Schema.Int,
    failures: Schema.Int,
    /** From the enqueue to the first attempt. */
    wait: Schema.optionalKey(Percentiles),
    /** Of one attempt. */
    run: Schema.optionalKey(Percentiles),
    newest: Schema.Number
  }))
}).annotate({ identifier: "JobsSeen" })

/**
 * Failures of one kind, among the newest records that are dead or wait for another try.
 *
 * @category models
 * @since 0.1.0
 */
export const ErrorGroups = Schema.Struct({
  looked: Schema.Int,
  errors: Schema.Array(Schema.Struct({
    job: Schema.String,
    /** The declared error's tag, or the name of the defect. */
    tag: Schema.optionalKey(Schema.String),
    kind: Failure.fields.kind,
    /** Of the newest; what differs from record to record is left as it is there. */
    message: Schema.String,
    dead: Schema.Int,
    retrying: Schema.Int,
    first: Schema.Number,
    last: Schema.Number,
    queues: Schema.Array(Schema.String),
    /** The newest record of it. */
    example: Schema.String
  }))
}).annotate({ identifier: "ErrorGroups" })

/**
 * The flows among the newest records.
 *
 * @category models
 * @since 0.1.0
 */
export const FlowsSeen = Schema.Struct({
  looked: Schema.Int,
  flows: Schema.Array(Schema.Struct({
    id: Schema.String,
    name: Schema.optionalKey(Schema.String),
    counts,
    newest: Schema.Number
  }))
}).annotate({ identifier: "FlowsSeen" })

/**
 * One flow: its graph, and its records by node, as many as are looked at. Nodes have the order in which they were declared, so
 * each comes after those that it waits for.
 *
 * @category models
 * @since 0.1.0
 */
export const FlowView = Schema.Struct({
  id: Schema.String,
  name: Schema.optionalKey(Schema.String),
  counts,
  nodes: Schema.Array(Schema.Struct({
    name: Schema.String,
    /** Whether it may be more than one record; absent where the flow does not tell how it was declared. */
    isList: Schema.optionalKey(Schema.Boolean),
    /**
     * The nodes that it waits for, and what the failure of each means for it; absent where the flow does not tell: its head is
     * gone, is on a queue that may not be seen, or was stored by a release that did not keep this.
     */
    after: Schema.optionalKey(
      Schema.Record(Schema.String, Schema.Literals(["fail", "cancelSiblings", "continue", "ignore"]))
    ),
    counts,
    /** At most 50 of each node: dead ones first, then running, cancelled and waiting ones, those that ended well last. */
    records: Schema.Array(RecordSummary)
  })),
  /** Whether it has more records than were counted, which are 10,000. */
  isCut: Schema.Boolean
}).annotate({ identifier: "FlowView" })

/**
 * The last changes that were asked for, of those that this process has seen. A text of more than 600 characters ends with `…`: the whole
 * of it is in the audit log.
 *
 * @category models
 * @since 0.1.0
 */
export const Audit = Schema.Struct({
  entries: Schema.Array(Schema.Struct({
    at: Schema.Number,
    principal: Schema.String,
    address: Schema.optionalKey(Schema.String),
    action: Schema.String,
    /** Which records, as JSON. */
    where: Schema.String,
    /** What else was given, as JSON. */
    options: Schema.String,
    outcome: Schema.Literals(["Done", "Refused", "Failed", "Interrupted"]),
    changed: Schema.optionalKey(Schema.Int),
    requested: Schema.optionalKey(Schema.Int),
    detail: Schema.optionalKey(Schema.String)
  }))
}).annotate({ identifier: "Audit" })

/**
 * The jobs whose records can be enqueued and edited here: those that the API was mounted with.
 *
 * @category models
 * @since 0.1.0
 */
export const Declarations = Schema.Struct({
  jobs: Schema.Array(Schema.Struct({
    job: Schema.String,
    queue: Schema.String,
    /** The JSON Schema of its payload. */
    payload: Schema.Json
  }))
}).annotate({ identifier: "Declarations" })

/**
 * A record that was enqueued. `Existing`: it was there by its idempotency key, or its unique one; `Replaced`: it got this
 * payload; `Deferred`: it comes after the one that holds its unique key.
 *
 * @category models
 * @since 0.1.0
 */
export const Enqueued = Schema.Struct({
  id: Schema.String,
  outcome: Schema.Literals(["Inserted", "Existing", "Replaced", "Deferred"])
}).annotate({ identifier: "Enqueued" })

/**
 * How a record took an edit. `Unchanged`: it runs, and was left alone.
 *
 * @category models
 * @since 0.1.0
 */
export const Edited = Schema.Struct({ outcome: Schema.Literals(["Changed", "Unchanged", "NotFound"]) })
  .annotate({ identifier: "Edited" })
