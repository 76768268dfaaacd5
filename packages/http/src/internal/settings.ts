/** The handlers of limits and schedules. */
import { type JobError, type JobLimit, Jobs, JobSchedules, type JobStore } from "capstan"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { BadRequest, ScheduleNotFound } from "../ApiError.ts"
import type * as Settings from "../ApiSettings.ts"
import { Caller, JobsApi } from "../JobsApi.ts"
import { Bounded } from "./bounded.ts"
import { answered, type FromJobs, make as makeChange } from "./change.ts"
import { Figures } from "./figures.ts"
import { refuse } from "./permit.ts"
import { present } from "./view.ts"

const settingsOf = ({ rate, ...rest }: JobStore.LimitSettings): typeof Settings.LimitSettings.Type =>
  present({ ...rest, rate: rate === undefined ? undefined : { ...rate } })

const limitOf = ({ of, holds, override, proposed, release }: Jobs.Limit): typeof Settings.Limit.Type =>
  present({
    of,
    release: Option.getOrUndefined(release),
    proposed: settingsOf(proposed),
    override: Option.getOrUndefined(Option.map(override, settingsOf)),
    holds: settingsOf(holds)
  })

const optionsOf = ({ breaker, rate, ...rest }: typeof Settings.LimitSettings.Type): JobLimit.KeyOptions => ({
  ...rest,
  ...rate === undefined ? {} : { rate: { limit: rate.limit, per: rate.perMillis, burst: rate.burst } },
  ...breaker === undefined ? {} : {
    breaker: { consecutive: breaker.consecutive, openDuration: breaker.openMillis }
  }
})

/** A limit of keys is of every queue: so are the rights that it takes. */
const whereOf = (of: Jobs.LimitOf): JobStore.Selection => "queue" in of ? { queue: of.queue } : {}

const limits = HttpApiBuilder.group(
  JobsApi,
  "limits",
  Effect.fnUntraced(function*(handlers) {
    const jobs = yield* Jobs.Jobs
    const figures = yield* Figures
    const change = yield* makeChange
    const set = (
      of: Jobs.LimitOf,
      run: Effect.Effect<Jobs.Limit, FromJobs>,
      options: Readonly<Record<string, unknown>>
    ) =>
      Effect.map(
        change({ where: whereOf(of), run: () => run, count: () => one, options: { limit: of, ...options } }),
        limitOf
      )
    return handlers.handleAll({
      list: () =>
        answered(Effect.gen(function*() {
          const { may } = yield* Caller
          const all = yield* figures.limits
          return {
            limits: all.filter(({ of }) => "queue" in of ? may("view", of.queue) : may("view")).map(limitOf)
          }
        })),
      keys: ({ params: { name } }) =>
        answered(Effect.gen(function*() {
          const { may, name: who } = yield* Caller
          if (!may("view")) return yield* refuse(`${who} may not view on every queue, and a key is of all of them`)
          const { isCut, keys } = yield* figures.keys(name)
          return {
            keys: keys.map(({ limitedUntil, ...key }) =>
              present({ ...key, limitedUntil: Option.getOrUndefined(limitedUntil) })
            ),
            isCut
          }
        })),
      set: ({ payload: { of, settings } }) => set(of, jobs.setLimit(of, optionsOf(settings)), { settings }),
      clear: ({ payload: { of } }) => set(of, jobs.clearLimit(of), { settings: "cleared" })
    })
  })
)

/** What a page of schedules has at most, here and in the store. */
const pageSize = 100

const one: Jobs.Counts = { changed: 1, requested: 0, unchanged: 0, notFound: 0 }
const none: Jobs.Counts = { changed: 0, requested: 0, unchanged: 1, notFound: 0 }

const scheduleOf = (
  { last, next, paused, ...schedule }: JobSchedules.Schedule
): typeof Settings.Schedule.Type =>
  present({
    ...schedule,
    paused: Option.getOrUndefined(paused),
    next: Option.getOrUndefined(next),
    last: Option.getOrUndefined(
      Option.map(last, ({ run, ...tick }) =>
        present({ ...tick, run: Option.getOrUndefined(Option.map(run, (run) => present(run))) }))
    )
  })

const schedulesGroup = HttpApiBuilder.group(
  JobsApi,
  "schedules",
  Effect.fnUntraced(function*(handlers) {
    const schedules = yield* JobSchedules.JobSchedules
    const bounded = yield* Bounded
    const figures = yield* Figures
    const change = yield* makeChange

    /** A change of the schedule of this name, by the rights on the queue of its job. Who may not see that finds none. */
    const turn = <A>(
      name: string,
      run: Effect.Effect<A, JobError.ScheduleError | JobError.JobStoreError>,
      count: (answer: A) => Jobs.Counts
    ) =>
      Effect.gen(function*() {
        const { may } = yield* Caller
        const found = yield* answered(schedules.get(name))
        if (Option.isNone(found) || !may("view", found.value.queue)) return yield* new ScheduleNotFound({ name })
        return yield* change({
          where: { queue: found.value.queue },
          options: { schedule: name },
          run: () =>
            Effect.mapError(run, (error) =>
              error._tag === "ScheduleError" ? new BadRequest({ detail: error.message }) : error),
          count
        })
      })
    const turned = (name: string, run: Effect.Effect<boolean, JobError.ScheduleError | JobError.JobStoreError>) =>
      Effect.map(turn(name, run, (changed) => changed ? one : none), (changed) => ({ changed }))

    return handlers.handleAll({
      list: ({ query: { after } }) =>
        answered(Effect.gen(function*() {
          const { may } = yield* Caller
          // A page of those that may be seen: where else it ended, and whether another came, would tell of the others.
          const reading = Effect.gen(function*() {
            const seen: Array<JobSchedules.Schedule> = []
            let from = after
            for (;;) {
              const found = yield* figures.schedules(from)
              seen.push(...found.filter(({ queue }) => may("view", queue)))
              if (found.length < pageSize || seen.length > pageSize) return seen
              from = found.at(-1)!.name
            }
          })
          // Whoever may see few of them has all of them read.
          const seen = yield* may("view") ? reading : bounded.read(reading)
          const page = seen.slice(0, pageSize)
          return {
            schedules: page.map(scheduleOf),
            ...seen.length > pageSize ? { after: page.at(-1)!.name } : {}
          }
        })),
      pause: ({ payload: { name } }) => turned(name, schedules.pause(name)),
      resume: ({ payload: { name } }) => turned(name, schedules.resume(name)),
      run: ({ payload: { name } }) =>
        Effect.map(
          turn(name, schedules.runNow(name), (answer) => answer._tag === "Skipped" ? none : one),
          (answer) => ({
            outcome: answer._tag,
            ..."id" in answer ? { id: answer.id } : {}
          })
        ),
      remove: ({ payload: { name } }) => turned(name, Effect.as(schedules.remove(name), true))
    })
  })
)

export const layer = Layer.mergeAll(limits, schedulesGroup)
