/**
 * Schedules as data: made, changed, stopped and looked at while the program runs, such as one for each customer.
 *
 * Guarantee: what is made here is ticked by every worker of the store, without a leader and without the code of its job;
 * each planned instant once. Schedules that code declares (`JobSchedule`) are listed here too; they can be paused, resumed
 * and run, and are changed where they are declared.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { overlapIssue } from "./internal/partitions.ts"
import { attendAll } from "./internal/schedules/attend.ts"
import { anew, type Body, decode, encode, isSameTime, standing } from "./internal/schedules/body.ts"
import { define } from "./internal/schedules/define.ts"
import { type Spec, toPlan } from "./internal/schedules/plan.ts"
import { templateOf } from "./internal/schedules/template.ts"
import { tickAsked } from "./internal/schedules/tick.ts"
import { viewAll } from "./internal/schedules/view.ts"
import * as Job from "./Job.ts"
import {
  DeclaredInCode,
  type EnqueueError,
  InvalidSchedule,
  type JobStoreError,
  ScheduleError,
  ScheduleNotFound
} from "./JobError.ts"
import type { DeadReason, JobId, State } from "./JobRecord.ts"
import type { ScheduleOptions } from "./JobSchedule.ts"
import { JobStore, type SchedulePut, type ScheduleRow, type Shape as Store } from "./JobStore.ts"

/**
 * Options of a schedule that is data. Its payload is a value: no process needs code of yours to tick it.
 *
 * @category options
 * @since 0.1.0
 */
export type Options<J extends Job.Any> =
  & ScheduleOptions
  & (undefined extends J["payloadSchema"]["~type.make.in"]
    ? { readonly payload?: J["payloadSchema"]["~type.make.in"] | undefined }
    : { readonly payload: J["payloadSchema"]["~type.make.in"] })

/**
 * A schedule as a reader sees it. Instants are epoch milliseconds of the store's clock, durations milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Schedule {
  readonly name: string
  /** The tag of its job. */
  readonly job: string
  readonly queue: string
  /** Who looks after it: the processes that declare it (`JobSchedule`), or every worker (`upsert`). */
  readonly origin: "code" | "data"
  readonly cron: string | undefined
  readonly timeZone: string | undefined
  /** Its period in milliseconds, where it has no `cron`. */
  readonly every: number | undefined
  /** No instant before it. */
  readonly start: number | undefined
  /** No instant after it. */
  readonly end: number | undefined
  /** It ends when its plan has enqueued so many records. */
  readonly limit: number | undefined
  /** How much later than planned a tick may come, in milliseconds. */
  readonly jitter: number | undefined
  readonly missed: Spec["missed"]
  readonly overlap: Spec["overlap"]
  /** `ended`: no instant is to come, by its end, its limit or its expression. */
  readonly status: "active" | "paused" | "ended"
  readonly paused: Option.Option<Paused>
  /** Its next planned instant while it is active, and when that is due: later by the jitter. */
  readonly next: Option.Option<{ readonly at: number; readonly dueAt: number }>
  readonly last: Option.Option<LastTick>
  /** How many records its plan has enqueued. */
  readonly count: number
}

/**
 * Why a schedule does not tick.
 *
 * - `Operator`: somebody paused it
 * - `Vanished`: it is declared in code, and no process that runs declares it any more
 *
 * @category models
 * @since 0.1.0
 */
export interface Paused {
  readonly reason: "Operator" | "Vanished"
  /** Since when, in epoch milliseconds. */
  readonly at: number
  readonly detail: string
}

/**
 * What a schedule did last.
 *
 * @category models
 * @since 0.1.0
 */
export interface LastTick {
  /** The planned instant. */
  readonly at: number
  /** When it came to pass. */
  readonly tickedAt: number
  /** How long after it was due it came to pass. */
  readonly lateness: number
  /** `Skipped`: the run before it had not ended (`overlap: "skip"`). */
  readonly outcome: "Enqueued" | "Skipped"
  /** The last record that was enqueued. */
  readonly run: Option.Option<Run>
}

/**
 * The last record of a schedule, and how it stands. `Gone`: its retention, or an operator, has removed it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Run {
  readonly id: JobId
  readonly state: State | "Gone"
  readonly deadReason?: DeadReason | undefined
  /** When that record ended, in epoch milliseconds. */
  readonly finishedAt?: number | undefined
}

/**
 * What a run by hand did. `Skipped`: the record with this id has not ended (`overlap: "skip"`). `Requested`: a process that
 * declares the schedule makes its payload, within seconds.
 *
 * @category models
 * @since 0.1.0
 */
export type RunAnswer =
  | { readonly _tag: "Enqueued"; readonly id: JobId }
  | { readonly _tag: "Skipped"; readonly id: JobId }
  | { readonly _tag: "Requested" }

/**
 * The operations.
 *
 * @category models
 * @since 0.1.0
 */
export interface Shape {
  /**
   * Makes a schedule, or changes the one of this name. While its instants stay the same, the next one stays; else they
   * count from now. A pause stays.
   *
   * **Gotchas**
   *
   * It takes no part in a transaction of the caller's. It fails with `DeclaredInCode` for a name that code declares.
   */
  readonly upsert: <J extends Job.Any>(
    name: string,
    job: J,
    options: Options<J>
  ) => Effect.Effect<Schedule, ScheduleError | EnqueueError | JobStoreError, J["payloadSchema"]["EncodingServices"]>
  /** Removes a schedule. Its records stay. One that code declares is only removed once it has vanished from there. */
  readonly remove: (name: string) => Effect.Effect<void, ScheduleError | JobStoreError>
  /** Stops the ticks until `resume`, across restarts. Says whether it ticked. */
  readonly pause: (
    name: string,
    options?: { readonly reason?: string | undefined }
  ) => Effect.Effect<boolean, ScheduleError | JobStoreError>
  /** Lets it tick again, from now on: what passed while it was paused was not missed. Says whether it was paused. */
  readonly resume: (name: string) => Effect.Effect<boolean, ScheduleError | JobStoreError>
  /** Runs it once now, besides its plan, also while it is paused. `overlap` holds for this run, too. */
  readonly runNow: (name: string) => Effect.Effect<RunAnswer, ScheduleError | JobStoreError>
  /**
   * Ticks what is due of the schedules that are data. Every worker does so by itself: this is for a host on which none runs, or which
   * wants it done before its work begins. Safe to race with workers; what one of them has begun with is left to it.
   */
  readonly tickDue: Effect.Effect<void, JobStoreError>
  /** The schedule of this name as it stands, with its next tick; also one that code declares. */
  readonly get: (name: string) => Effect.Effect<Option.Option<Schedule>, JobStoreError>
  /** In the order of their names, at most 100, from the one after `after`. */
  readonly list: (
    options?: { readonly after?: string | undefined }
  ) => Effect.Effect<ReadonlyArray<Schedule>, JobStoreError>
}

/**
 * The service for schedules.
 *
 * @category service
 * @since 0.1.0
 */
export class JobSchedules extends Context.Service<JobSchedules, Shape>()("capstan/JobSchedules") {}

/** How many `list` answers. */
const page = 100

/**
 * The service over the program's store.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<JobSchedules, never, JobStore> = Layer.effect(
  JobSchedules,
  Effect.map(JobStore, (store) => {
    const service: Shape = {
      upsert: (name, job, options) => upsert(store, name, job, options),
      remove: (name) => remove(store, name),
      pause: (name, options) => pause(store, name, options?.reason ?? ""),
      resume: (name) => resume(store, name),
      runNow: (name) => runNow(store, name),
      tickDue: tickAllDue(store),
      get: (name) =>
        Effect.map(
          Effect.flatMap(store.schedules({ names: [name], limit: 1 }), ({ rows }) => viewAll(store, rows)),
          ([found]) => Option.fromUndefinedOr(found)
        ),
      list: (options) =>
        Effect.flatMap(store.schedules({ after: options?.after, limit: page }), ({ rows }) => viewAll(store, rows))
    }
    return service
  })
)

/** The store hands them out a hundred at a time, each to one who asks. */
const tickAllDue = (store: Store): Effect.Effect<void, JobStoreError> =>
  Effect.gen(function*() {
    for (;;) {
      const { schedules } = yield* store.maintain
      if (schedules === undefined) return
      yield* attendAll(store, schedules)
    }
  })

interface Read {
  readonly now: number
  readonly row: ScheduleRow | undefined
}

/** What a write makes of a schedule as it was read: what to put, and the answer; without a put the answer alone. */
interface Change<A> {
  readonly put?: SchedulePut["row"] | "remove"
  readonly answer: A
}

/** Reads, decides and writes, again and again until nobody else has written in between. */
const change = <A, E>(
  store: Store,
  name: string,
  decide: (read: Read) => Effect.Effect<Change<A>, E>
): Effect.Effect<A, E | JobStoreError> =>
  Effect.gen(function*() {
    for (;;) {
      const { now, rows: [row] } = yield* store.schedules({ names: [name], limit: 1 })
      const { answer, put } = yield* decide({ now, row })
      if (put === undefined) return answer
      const isPut = yield* store.putSchedule({
        name,
        revision: row?.revision ?? 0,
        row: put === "remove" ? undefined : put
      })
      if (isPut) return answer
    }
  })

/** The same for a schedule that has to be there. */
const changeExisting = <A>(
  store: Store,
  name: string,
  decide: (row: ScheduleRow, body: Body, now: number) => Change<A> | ScheduleError
): Effect.Effect<A, ScheduleError | JobStoreError> =>
  change(store, name, ({ now, row }): Effect.Effect<Change<A>, ScheduleError> => {
    if (row === undefined) return Effect.fail(notFound(name))
    const decided = decide(row, decode(row.body), now)
    return decided instanceof ScheduleError ? Effect.fail(decided) : Effect.succeed(decided)
  })

const notFound = (name: string) => new ScheduleError({ reason: new ScheduleNotFound({ name }) })
const inCode = (name: string, operation: string) =>
  new ScheduleError({ reason: new DeclaredInCode({ name, operation }) })

const upsert = <J extends Job.Any>(store: Store, name: string, job: J, options: Options<J>) =>
  Effect.gen(function*() {
    const definition = job[Job.TypeId]
    const spec = define(name, definition, options)
    if (Result.isFailure(spec)) return yield* new ScheduleError({ reason: spec.failure })
    const issue = overlapIssue(spec.success, definition, store.partitions ?? {})
    if (issue !== undefined) {
      return yield* new ScheduleError({ reason: new InvalidSchedule({ name, option: "overlap", issue }) })
    }
    // The store that the records go to is told of the order of their keys, as by an enqueue.
    const template = yield* Effect.provideService(
      templateOf(name, definition, spec.success, options, options.payload),
      JobStore,
      store
    )
    const { queue, tag } = definition
    const body: Body = { origin: "data", job: tag, queue, spec: spec.success, template }
    yield* change(store, name, ({ now, row }): Effect.Effect<Change<void>, ScheduleError> => {
      const was = row === undefined ? undefined : decode(row.body)
      if (was?.origin === "code") return Effect.fail(inCode(name, "an upsert"))
      const next = was?.paused === undefined ? body : { ...body, paused: was.paused }
      const isKept = row?.nextAt !== undefined && was !== undefined && isSameTime(was.spec, next.spec)
      const put = isKept ? standing(next, toPlan(name, next.spec), row.nextAt) : anew(name, next, row?.last, now)
      return Effect.succeed({ put, answer: undefined })
    })
    const { rows } = yield* store.schedules({ names: [name], limit: 1 })
    const [view] = yield* viewAll(store, rows)
    return view === undefined ? yield* notFound(name) : view
  })

const remove = (store: Store, name: string) =>
  changeExisting(store, name, (_, { origin, paused }) =>
    origin === "code" && paused?.reason !== "Vanished"
      ? inCode(name, "a removal")
      : { put: "remove", answer: undefined })

const pause = (store: Store, name: string, detail: string) =>
  changeExisting(store, name, ({ nextAt }, body, now) => {
    if (body.paused?.reason === "Operator") return { answer: false }
    const paused = { reason: "Operator", at: now, detail } as const
    return {
      put: { nextAt, body: encode({ ...body, unservedSince: undefined, paused }) },
      answer: body.paused === undefined
    }
  })

const resume = (store: Store, name: string) =>
  changeExisting(
    store,
    name,
    ({ last }, { paused, ...body }, now) =>
      paused === undefined ? { answer: false } : { put: anew(name, body, last, now), answer: true }
  )

const runNow = (store: Store, name: string): Effect.Effect<RunAnswer, ScheduleError | JobStoreError> =>
  Effect.gen(function*() {
    for (;;) {
      const { now, rows: [row] } = yield* store.schedules({ names: [name], limit: 1 })
      if (row === undefined) return yield* notFound(name)
      const body = decode(row.body)
      const { template } = body
      if (template === undefined) return yield* ask(store, name)
      const reply = yield* tickAsked(store, row, body, () => Effect.succeed(template), now)
      if (reply !== undefined) return { _tag: reply.outcomes[0]!.outcome, id: reply.outcomes[0]!.id }
    }
  })

/** Its payload is a function, which the processes that declare it have. */
const ask = (store: Store, name: string) =>
  changeExisting(store, name, ({ attendAt, nextAt }, body, now): Change<RunAnswer> => ({
    put: body.askedAt === undefined ? { nextAt, attendAt, body: encode({ ...body, askedAt: now }) } : undefined,
    answer: { _tag: "Requested" }
  }))
