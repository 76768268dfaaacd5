/**
 * The bodies of limits, their keys, and schedules. As in `ApiModel`, instants are epoch milliseconds of the store's clock
 * and durations are milliseconds.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { DeadReason, State } from "./ApiModel.ts"
import { Name } from "./internal/names.ts"

/**
 * What a limit is of: a queue, or the keys of a limit by its name.
 *
 * @category models
 * @since 0.1.0
 */
export const LimitOf = Schema.Union([Schema.Struct({ queue: Name }), Schema.Struct({ key: Name })])
  .annotate({ identifier: "LimitOf" })

/**
 * What a limit says. What is left out is not limited.
 *
 * @category models
 * @since 0.1.0
 */
export const LimitSettings = Schema.Struct({
  /** At most so many run at a time, over all workers. */
  concurrency: Schema.optionalKey(Schema.Int),
  /** At most `limit` start in any `perMillis`, `burst` of them at once after a pause. */
  rate: Schema.optionalKey(Schema.Struct({
    limit: Schema.Int,
    perMillis: Schema.Finite,
    burst: Schema.optionalKey(Schema.Int)
  })),
  /** Of keys alone. */
  breaker: Schema.optionalKey(Schema.Struct({ consecutive: Schema.Int, openMillis: Schema.Finite })),
  /** Of keys alone. */
  order: Schema.optionalKey(Schema.Literals(["fifo", "fair"]))
}).annotate({ identifier: "LimitSettings" })

/**
 * A limit as it stands: `holds` is what workers keep to.
 *
 * @category models
 * @since 0.1.0
 */
export const Limit = Schema.Struct({
  of: LimitOf,
  /** Of the code whose proposal holds. */
  release: Schema.optionalKey(Schema.Int),
  proposed: LimitSettings,
  /** What an operator set. */
  override: Schema.optionalKey(LimitSettings),
  holds: LimitSettings
}).annotate({ identifier: "Limit" })

/**
 * All limits that the caller may see.
 *
 * @category models
 * @since 0.1.0
 */
export const Limits = Schema.Struct({ limits: Schema.Array(Limit) }).annotate({ identifier: "Limits" })

/**
 * The keys of a limit for which something waits or runs, or that are limited.
 *
 * @category models
 * @since 0.1.0
 */
export const Keys = Schema.Struct({
  keys: Schema.Array(Schema.Struct({
    key: Schema.String,
    waiting: Schema.Int,
    ready: Schema.Int,
    running: Schema.Int,
    limitedUntil: Schema.optionalKey(Schema.Number),
    failed: Schema.Int
  })),
  /** Whether there are more than these 500. */
  isCut: Schema.Boolean
}).annotate({ identifier: "Keys" })

/**
 * A schedule: when it runs, what it did last and what it will do next.
 *
 * @category models
 * @since 0.1.0
 */
export const Schedule = Schema.Struct({
  name: Schema.String,
  job: Schema.String,
  queue: Schema.String,
  /** `code`: it is declared, and changed, there. `data`: it was made while the program ran. */
  origin: Schema.Literals(["code", "data"]),
  cron: Schema.optionalKey(Schema.String),
  timeZone: Schema.optionalKey(Schema.String),
  every: Schema.optionalKey(Schema.Number),
  start: Schema.optionalKey(Schema.Number),
  end: Schema.optionalKey(Schema.Number),
  limit: Schema.optionalKey(Schema.Int),
  jitter: Schema.optionalKey(Schema.Number),
  missed: Schema.String,
  overlap: Schema.String,
  status: Schema.Literals(["active", "paused", "ended"]),
  paused: Schema.optionalKey(Schema.Struct({
    reason: Schema.Literals(["Operator", "Vanished"]),
    at: Schema.Number,
    detail: Schema.String
  })),
  /** The planned instant, and when that is due: later by the jitter. */
  next: Schema.optionalKey(Schema.Struct({ at: Schema.Number, dueAt: Schema.Number })),
  last: Schema.optionalKey(Schema.Struct({
    at: Schema.Number,
    tickedAt: Schema.Number,
    lateness: Schema.Number,
    outcome: Schema.Literals(["Enqueued", "Skipped"]),
    run: Schema.optionalKey(Schema.Struct({
      id: Schema.String,
      state: Schema.Union([State, Schema.Literal("Gone")]),
      deadReason: Schema.optionalKey(DeadReason),
      finishedAt: Schema.optionalKey(Schema.Number)
    }))
  })),
  /** How many records its plan has enqueued. */
  count: Schema.Int
}).annotate({ identifier: "Schedule" })

/**
 * A page of schedules, in the order of their names. `after` is for the next page.
 *
 * @category models
 * @since 0.1.0
 */
export const Schedules = Schema.Struct({
  schedules: Schema.Array(Schedule),
  after: Schema.optionalKey(Schema.String)
}).annotate({ identifier: "Schedules" })

/**
 * What a run by hand did. `Requested`: a process that declares the schedule makes its payload, within seconds.
 *
 * @category models
 * @since 0.1.0
 */
export const Run = Schema.Struct({
  outcome: Schema.Literals(["Enqueued", "Skipped", "Requested"]),
  id: Schema.optionalKey(Schema.String)
}).annotate({ identifier: "Run" })
