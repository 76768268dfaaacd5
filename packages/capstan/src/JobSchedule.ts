/**
 * A recurring enqueue, declared in code.
 *
 * Guarantee: every planned instant is one tick, by however many processes the same schedule is run: the store moves the
 * schedule on and stores the record in one step, which only one process succeeds in. There is no leader. What becomes of
 * instants that passed while no process ran is said by `missed`, and what a tick does while the run before it goes on by
 * `overlap`. The store's clock decides, not that of the process, and a clock that is set back makes no tick twice.
 *
 * While two definitions of one schedule run side by side, as during a deploy, the one that started last holds and the other
 * stands by; it takes over when nobody serves that one any more. A schedule that no process declares any more is paused
 * when it was to tick, with a warning; `JobSchedules` shows it.
 *
 * @since 0.1.0
 */
import type * as Cron from "effect/Cron"
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { integer } from "./internal/definition.ts"
import type { Options as EnqueueOptions } from "./internal/enqueue.ts"
import { overlapIssue } from "./internal/partitions.ts"
import { define } from "./internal/schedules/define.ts"
import { type Spec, toPlan } from "./internal/schedules/plan.ts"
import { type Declared, serve } from "./internal/schedules/serve.ts"
import { templateOf } from "./internal/schedules/template.ts"
import * as Job from "./Job.ts"
import { JobStore } from "./JobStore.ts"

/**
 * When a schedule ticks, and what a tick may do. Give `cron` or `every`.
 *
 * @category options
 * @since 0.1.0
 */
export interface ScheduleOptions {
  /**
   * A cron expression of five fields, or six with seconds first.
   *
   * @default none: `every` is given
   */
  readonly cron?: string | undefined
  /**
   * The time zone of `cron`, such as `"Europe/Berlin"`.
   *
   * @default "UTC"
   */
  readonly timeZone?: string | undefined
  /**
   * Which of the two, where a clock change repeats a local time that `cron` names. A time that one leaves out happens at
   * the instant after the gap.
   *
   * @default "both" where the field of the hour has a `*` or a `/`, else "earlier"
   */
  readonly onDstOverlap?: Cron.DstOverlapPolicy | undefined
  /**
   * A period instead of `cron`, counted from `start`, or from the epoch: every process finds the same instants.
   *
   * @default none: `cron` is given
   */
  readonly every?: Duration.Input | undefined
  /**
   * No instant before this one.
   *
   * @default no bound
   */
  readonly start?: DateTime.DateTime.Input | undefined
  /**
   * No instant after this one.
   *
   * @default no bound
   */
  readonly end?: DateTime.DateTime.Input | undefined
  /**
   * When its plan has enqueued so many records, it has ended. Skipped ticks and runs by hand do not count.
   *
   * @default no limit
   */
  readonly limit?: number | undefined
  /**
   * Ticks come up to this much later than planned, each instant by a delay of its own that all processes agree on. At most
   * the period.
   *
   * @default none
   */
  readonly jitter?: Duration.Input | undefined
  /**
   * What becomes of instants that passed while nobody ticked.
   *
   * - `"skip"`: nothing; one that is less than a minute late still ticks
   * - `"runOnce"`: one tick stands for all of them, the latest
   * - `"runAll"`: each ticks, in order, a hundred in one write
   *
   * @default "runOnce"
   */
  readonly missed?: "skip" | "runOnce" | "runAll" | undefined
  /**
   * What a tick does while the last record of the schedule is not final.
   *
   * - `"allow"`: enqueues all the same
   * - `"skip"`: enqueues nothing
   * - `"queue"`: enqueues a record that waits until that one has ended, its retries included
   * - `"cancelPrevious"`: cancels that record, which is interrupted where it runs, and enqueues
   *
   * @default "allow"
   */
  readonly overlap?: "skip" | "queue" | "allow" | "cancelPrevious" | undefined
  /**
   * Of the records that it enqueues: `"low"`, `"normal"`, `"high"`, or an integer from -100 to 100.
   *
   * @default the job's
   */
  readonly priority?: EnqueueOptions["priority"]
  /**
   * Of the records, beside `schedule:` and its name, by which they are found.
   *
   * @default none
   */
  readonly tags?: ReadonlyArray<string> | undefined
}

/**
 * One planned instant of a schedule.
 *
 * @category models
 * @since 0.1.0
 */
export interface Tick {
  /** The planned instant in epoch milliseconds; of a run by hand, when it was asked for. */
  readonly at: number
  /** The name of the schedule. */
  readonly name: string
}

/**
 * What the records of a schedule carry: a payload, or a function that makes one for each tick. A job without a payload
 * needs none.
 *
 * @category options
 * @since 0.1.0
 */
export type PayloadOption<J extends Job.Any> = undefined extends J["payloadSchema"]["~type.make.in"]
  ? { readonly payload?: Payload<J> | undefined }
  : { readonly payload: Payload<J> }

/**
 * The payload of every record of a schedule, or what makes it from the tick. A function runs in the
 * processes that declare the schedule, for each tick; while it throws, the tick is tried again.
 *
 * @category options
 * @since 0.1.0
 */
export type Payload<J extends Job.Any> =
  | J["payloadSchema"]["~type.make.in"]
  | ((tick: Tick) => J["payloadSchema"]["~type.make.in"])

/**
 * When, and with what.
 *
 * @category options
 * @since 0.1.0
 */
export type Options<J extends Job.Any> = ScheduleOptions & PayloadOption<J>

/**
 * The property under which a schedule keeps what is not public of it.
 *
 * @category type ids
 * @since 0.1.0
 */
export const TypeId: unique symbol = Symbol.for("capstan/JobSchedule")

/**
 * A declared schedule.
 *
 * @category models
 * @since 0.1.0
 */
export interface JobSchedule<out J extends Job.Any> {
  /** @internal */
  readonly [TypeId]: { readonly spec: Spec; readonly options: ScheduleOptions & { readonly payload?: unknown } }
  readonly name: string
  readonly job: J
}

/**
 * Any schedule.
 *
 * @category models
 * @since 0.1.0
 */
export type Any = JobSchedule<Job.Any>

/**
 * Declares a schedule. Its name is what the store knows it by: renamed, it is another one.
 *
 * **Example**
 *
 * ```ts
 * const Nightly = JobSchedule.make("nightly-report", SendReport, {
 *   cron: "0 3 * * *",
 *   timeZone: "Europe/Berlin",
 *   overlap: "skip",
 *   payload: ({ at }) => ({ day: at })
 * })
 * ```
 *
 * **Gotchas**
 *
 * An expression or a name that is not valid throws here, at construction.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <J extends Job.Any>(name: string, job: J, options: Options<J>): JobSchedule<J> => {
  const spec = define(name, job[Job.TypeId], options)
  if (Result.isFailure(spec)) throw new Error(spec.failure.message)
  return { [TypeId]: { spec: spec.success, options }, name, job }
}

/**
 * Runs several schedules, for as long as the layer lives.
 *
 * **Example**
 *
 * ```ts
 * const Schedules = JobSchedule.layerAll(Nightly, Hourly)
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerAll = <const S extends ReadonlyArray<Any>>(
  ...schedules: S
): Layer.Layer<never, never, JobStore | S[number]["job"]["payloadSchema"]["EncodingServices"]> => {
  const names = schedules.map(({ name }) => name)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) throw new Error(`schedule ${twice}: the name is given twice`)
  return Layer.effectDiscard(Effect.flatMap(JobStore, (store) => {
    for (const { job, name, [TypeId]: { spec } } of schedules) {
      const issue = overlapIssue(spec, job[Job.TypeId], store.partitions ?? {})
      if (issue !== undefined) throw new Error(`schedule ${name}: ${issue}`)
    }
    return serve(store, schedules.map(declare))
  }))
}

/**
 * Enqueues a record of the job at every planned instant, for as long as the layer lives: one schedule, named after its job.
 *
 * **Example**
 *
 * ```ts
 * const Nightly = JobSchedule.layer(SendReport, {
 *   cron: "0 3 * * *",
 *   timeZone: "Europe/Berlin",
 *   payload: ({ at }) => ({ day: at })
 * })
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
  options: Options<J> & {
    /**
     * Tells schedules of the same job apart.
     *
     * @default the job's tag
     */
    readonly name?: string | undefined
  }
): Layer.Layer<never, never, JobStore | J["payloadSchema"]["EncodingServices"]> =>
  layerAll(make(options.name ?? job._tag, job, options))

/**
 * The next instants that a schedule is planned for, in epoch milliseconds: to look at an expression before it is deployed, or to show
 * it to whoever wrote it. There are fewer where its `end`, or the expression, has a last one. `limit`, `missed` and `jitter` change
 * none of them.
 *
 * **Gotchas**
 *
 * An `after` that is no instant, and a count that is none, throw.
 *
 * **Example**
 *
 * ```ts
 * const [next] = JobSchedule.instants(Nightly, { after: "2026-03-28T12:00:00Z", count: 3 })
 * ```
 *
 * @category accessors
 * @since 0.1.0
 */
export const instants = (
  schedule: Any,
  options: {
    /** They are later than this. */
    readonly after: DateTime.DateTime.Input
    /** How many, at most: an integer from 1 to 10,000. */
    readonly count: number
  }
): ReadonlyArray<number> => {
  const count = integer(`schedule ${schedule.name}`, "count", options.count, 1, 10_000)
  const plan = toPlan(schedule.name, schedule[TypeId].spec)
  const found: Array<number> = []
  let at: number | undefined = DateTime.toEpochMillis(DateTime.makeUnsafe(options.after))
  while (found.length < count && (at = plan.after(at)) !== undefined) found.push(at)
  return found
}

const declare = ({ job, name, [TypeId]: { options, spec } }: Any): Declared => {
  const definition = job[Job.TypeId]
  const { payload } = options
  const fixed = { origin: "code", job: definition.tag, queue: definition.queue, spec } as const
  if (typeof payload !== "function") {
    const template = templateOf(name, definition, spec, options, payload)
    return { name, body: Effect.map(template, (template) => ({ ...fixed, template })), templates: () => template }
  }
  return {
    name,
    body: Effect.succeed(fixed),
    // Suspended: what it throws is a failure of the tick.
    templates: (at) => Effect.suspend(() => templateOf(name, definition, spec, options, payload({ at, name })))
  }
}
