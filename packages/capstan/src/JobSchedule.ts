/**
 * A recurring enqueue.
 *
 * Guarantee: every planned instant enqueues exactly one record, by however many processes the same schedule is run: the
 * store moves the schedule on and stores the record in one step. Instants that passed while no process ran are made up for
 * by one record, of the latest of them. The store's clock decides, not that of the process.
 *
 * While two definitions of one schedule run side by side, as during a deploy, the one that started last holds and the other
 * stands by; it takes over when nobody serves that one any more.
 *
 * @since 0.1.0
 */
import * as Cron from "effect/Cron"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import { millis, name as validName } from "./internal/definition.ts"
import { type Options as EnqueueOptions, prepareOne } from "./internal/enqueue.ts"
import { metrics } from "./internal/metrics.ts"
import * as Job from "./Job.ts"
import type { EnqueueError, JobStoreError } from "./JobError.ts"
import { JobStore, type ScheduleRow } from "./JobStore.ts"

/**
 * When, and with what.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options<J extends Job.Any> {
  /** A cron expression of five fields, or six with seconds first. */
  readonly cron?: string | undefined
  /**
   * The time zone of `cron`, such as `"Europe/Berlin"`.
   *
   * @default "UTC"
   */
  readonly timeZone?: string | undefined
  /** A period instead of `cron`, counted from the epoch: every process finds the same instants. */
  readonly every?: Duration.Input | undefined
  /** The payload, or a function of the planned instant (epoch milliseconds). */
  readonly payload: J["payloadSchema"]["~type.make.in"] | ((at: number) => J["payloadSchema"]["~type.make.in"])
  /**
   * Tells schedules of the same job apart.
   *
   * @default the job's tag
   */
  readonly name?: string | undefined
  readonly priority?: EnqueueOptions["priority"]
  readonly tags?: ReadonlyArray<string> | undefined
}

/**
 * Enqueues a record of the job at every planned instant, for as long as the layer lives.
 *
 * **Example**
 *
 * ```ts
 * const Nightly = JobSchedule.layer(SendReport, { cron: "0 3 * * *", timeZone: "Europe/Berlin", payload: {} })
 * ```
 *
 * **Gotchas**
 *
 * An expression or a name that is not valid throws here, at construction.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <J extends Job.Any>(
  job: J,
  options: Options<J>
): Layer.Layer<never, never, JobStore | J["payloadSchema"]["EncodingServices"]> => {
  const schedule = plan(job, options)
  return Layer.effectDiscard(Effect.forkScoped(run(job, options, schedule)))
}

interface Plan {
  readonly name: string
  /** When this text changes, the stored instant is set anew. */
  readonly definition: string
  readonly nextAfter: (at: number) => number
  /** The last planned instant up to now. */
  readonly latest: (now: number) => number
}

const plan = <J extends Job.Any>(job: J, options: Options<J>): Plan => {
  const name = validName(job._tag, "schedule name", options.name ?? job._tag)
  if ((options.cron === undefined) === (options.every === undefined)) {
    throw new Error(`schedule ${name}: give either cron or every`)
  }
  if (options.every !== undefined) {
    const period = millis(job._tag, "every", options.every)
    if (period < 1) throw new Error(`schedule ${name}: every must be at least one millisecond`)
    return {
      name,
      definition: `every ${period}`,
      nextAfter: (at) => (Math.floor(at / period) + 1) * period,
      latest: (now) => Math.floor(now / period) * period
    }
  }
  const expression = options.cron!
  const timeZone = options.timeZone ?? "UTC"
  // With a wildcard for the hour, the hour that a clock change repeats is meant twice.
  const hour = expression.trim().split(/\s+/).at(-4) ?? "*"
  const parsed = Cron.parse(expression, timeZone, { onDstOverlap: /[*/]/.test(hour) ? "both" : "earlier" })
  if (Result.isFailure(parsed)) {
    throw new Error(`schedule ${name}: "${expression}" in ${timeZone} is no cron expression: ${parsed.failure.message}`)
  }
  const cron = parsed.success
  const nextAfter = (at: number) => Cron.next(cron, at).getTime()
  try {
    nextAfter(0)
  } catch {
    throw new Error(`schedule ${name}: "${expression}" in ${timeZone} has no instant`)
  }
  return {
    name,
    definition: `cron ${expression} ${timeZone}`,
    nextAfter,
    latest: (now) => Cron.prev(cron, now + 1).getTime()
  }
}

const run = <J extends Job.Any>(job: J, options: Options<J>, schedule: Plan) =>
  Effect.gen(function*() {
    const store = yield* JobStore
    // Once: were it put again with every look, two definitions would overwrite each other and neither would ever tick.
    yield* again(schedule, Effect.flatMap(timeOf(store), (now) => put(store, schedule, schedule.nextAfter(now))))
    for (;;) yield* again(schedule, look(store, job, options, schedule))
  })

/** As often as it takes, whatever it fails with: a payload that throws, too, must not end the schedule. */
const again = <A, E, R>({ name }: Plan, effect: Effect.Effect<A, E, R>): Effect.Effect<A, never, R> =>
  effect.pipe(
    Effect.sandbox,
    Effect.tapError((cause) => Effect.logWarning(`schedule ${name} failed and goes on`, cause)),
    Effect.retry(Schedule.min([Schedule.exponential("1 second"), Schedule.spaced("1 minute")])),
    Effect.orDie
  )

const timeOf = (store: JobStore["Service"]): Effect.Effect<number, JobStoreError> =>
  Effect.map(store.stats, ({ now }) => now)

const put = (store: JobStore["Service"], { definition, name }: Plan, nextAt: number) =>
  store.schedules([{ name, definition, nextAt }])

/** A definition of somebody else whose instant is overdue for this long is served by nobody. */
const abandonedAfter = 5 * 60 * 1000

/**
 * Ticks when the stored instant has come, else sleeps until then and leaves the rest to the next look: another process may
 * have moved it on meanwhile. Who stands by looks at its own instants.
 */
const look = <J extends Job.Any>(store: JobStore["Service"], job: J, options: Options<J>, schedule: Plan) =>
  Effect.gen(function*() {
    const { definition, latest, name, nextAfter } = schedule
    const now = yield* timeOf(store)
    const row = (yield* store.schedules([])).find((row) => row.name === name)
    if (row?.definition === definition) {
      return yield* row.nextAt > now ? Effect.sleep(row.nextAt - now) : tick(store, job, options, schedule, row, now)
    }
    if (row === undefined) return yield* put(store, schedule, nextAfter(now))
    if (row.nextAt + abandonedAfter > now) return yield* Effect.sleep(nextAfter(now) - now)
    return yield* put(store, schedule, latest(now))
  })

const tick = <J extends Job.Any>(
  store: JobStore["Service"],
  job: J,
  { payload, priority, tags }: Options<J>,
  { latest, name, nextAfter }: Plan,
  row: ScheduleRow,
  now: number
): Effect.Effect<unknown, JobStoreError | EnqueueError> =>
  Effect.gen(function*() {
    // Of instants that nobody served, the latest stands for all.
    const at = Math.max(row.nextAt, latest(now))
    const record = yield* prepareOne(
      job[Job.TypeId],
      typeof payload === "function" ? (payload as (at: number) => unknown)(at) : payload,
      { priority, tags, idempotencyKey: `schedule/${name}/${at}` }
    )
    const isTaken = yield* store.tick({ name, at: row.nextAt, nextAt: nextAfter(at), record })
    if (isTaken) yield* Metric.update(metrics.lateness({ schedule: name, job: job._tag }), (now - at) / 1000)
  })
