/** The handlers of the routes: each calls `Jobs` once, in the words of the API. */
import { type JobError, type JobGroup, JobRecord, Jobs, type JobStore } from "capstan"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import type * as OpenApi from "effect/http-api/OpenApi"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Option from "effect/Option"
import * as RcRef from "effect/RcRef"
import { BadRequest, RecordNotFound } from "../ApiError.ts"
import type * as Model from "../ApiModel.ts"
import { Caller, JobsApi } from "../JobsApi.ts"
import { actions } from "../Permission.ts"
import * as Audited from "./audited.ts"
import * as Bounded from "./bounded.ts"
import { answered, make as makeChange } from "./change.ts"
import { estimate, isFigure, usualCalls } from "./estimate.ts"
import * as Events from "./events.ts"
import * as Figures from "./figures.ts"
import * as Hubs from "./hubs.ts"
import * as Inside from "./inside.ts"
import * as Insight from "./insight.ts"
import { checkedPayload, unread } from "./payload.ts"
import { permit, permitQueue, refuse } from "./permit.ts"
import * as Series from "./series.ts"
import * as Settings from "./settings.ts"
import { recordOf, statsOf, summaryOf, usualLength } from "./view.ts"
import * as Visible from "./visible.ts"

const selectionOf = ({ ids, parent, ...rest }: typeof Model.Selection.Type): Inside.Asked => ({
  ...rest,
  ...ids === undefined ? {} : { ids: ids.map(JobRecord.JobId) },
  ...parent === undefined ? {} : { parent: JobRecord.JobId(parent) }
})

const stats = (description: OpenApi.OpenAPISpec) =>
  HttpApiBuilder.group(
    JobsApi,
    "stats",
    Effect.fnUntraced(function*(handlers) {
      const series = yield* Series.Series
      const figures = yield* Figures.Figures
      const { last } = yield* Audited.Audited
      return handlers.handleAll({
        openapi: () => Effect.succeed(HttpServerResponse.jsonUnsafe(description)),
        stats: () =>
          answered(Effect.gen(function*() {
            const { may } = yield* Caller
            return statsOf(yield* figures.stats, (queue) => may("view", queue))
          })),
        me: () =>
          answered(Effect.gen(function*() {
            const { may, name } = yield* Caller
            const everywhere = actions.filter((action) => may(action))
            if (everywhere.length === actions.length) return { name, everywhere, queues: {} }
            const queues = (yield* figures.stats).queues
              .map(({ queue }) => [queue, actions.filter((action) => may(action, queue))] as const)
              .filter(([, allowed]) => allowed.length > everywhere.length)
            return { name, everywhere, queues: Object.fromEntries(queues) }
          })),
        series: ({ query: { queue } }) =>
          answered(Effect.scoped(Effect.gen(function*() {
            const caller = yield* Caller
            if (queue !== undefined) yield* permitQueue(caller, "view", queue)
            const { samples } = yield* RcRef.get(series)
            return Series.seriesOf(
              samples,
              (name) => (queue === undefined || queue === name) && caller.may("view", name)
            )
          }))),
        history: ({ query: { before, from, queue } }) =>
          answered(Effect.scoped(Effect.gen(function*() {
            const caller = yield* Caller
            if (queue !== undefined) yield* permitQueue(caller, "view", queue)
            const { history } = yield* RcRef.get(series)
            return history.between(
              from,
              before,
              (name) => (queue === undefined || queue === name) && caller.may("view", name)
            )
          }))),
        metrics: () =>
          Effect.gen(function*() {
            const { may, name } = yield* Caller
            // They are of all queues together.
            return may("view")
              ? yield* PrometheusMetrics.format()
              : yield* refuse(`${name} may not view on every queue, and the metrics are of all of them`)
          }),
        audit: () =>
          Effect.map(Caller, ({ may }) => ({
            entries: last()
              .filter(({ queue }) => queue === undefined ? may("view") : may("view", queue))
              .map(({ shown }) => shown)
          }))
      })
    })
  )

/** A filter that somebody forgot would mean all records of the store. */
const wanted = (where: JobStore.Selection): Effect.Effect<void, BadRequest> =>
  Object.keys(where).length > 0
    ? Effect.void
    : Effect.fail(new BadRequest({ detail: "where: name at least one condition, else the action meets every record" }))

type EnqueueFailure = JobError.EnqueueError | JobError.JobStoreError
type EditFailure = EnqueueFailure | JobError.JobControlError

const unknownJob = (tag: string): BadRequest =>
  new BadRequest({ detail: `the job ${tag} is not known here: mount the API with its group` })

const records = (groups: ReadonlyArray<JobGroup.Any>) =>
  HttpApiBuilder.group(
    JobsApi,
    "records",
    Effect.fnUntraced(function*(handlers) {
      const jobs = yield* Jobs.Jobs
      const change = yield* makeChange
      const bounded = yield* Bounded.Bounded
      const figures = yield* Figures.Figures
      const visible = ({ may }: Caller["Service"]) =>
        Effect.map(figures.stats, ({ queues }) => queues.flatMap(({ queue }) => may("view", queue) ? [queue] : []))
      const declared = new Map(groups.flatMap(({ jobs }) => [...jobs]))
      /** An action on a selection, with the options that it was given. */
      const act = (
        given: typeof Model.Selection.Type,
        run: (where: JobStore.Selection) => ReturnType<Jobs.Shape["reschedule"]>,
        options?: Readonly<Record<string, unknown>>
      ) => {
        const where = selectionOf(given)
        const checked = (where: Inside.Asked) =>
          where.payload === undefined
            ? Effect.andThen(wanted(where), run(where))
            : Inside.act(bounded.read(Inside.look(jobs, where)), where, run)
        return change({
          where,
          run: (reached) => {
            const hidden = new Set(where.ids).size - new Set(reached.ids).size
            return Effect.map(
              reached.ids?.length === 0 ? Effect.succeed(nothing) : checked(reached),
              // Inside of payloads only what matches is acted on, and nothing else is said of the others.
              (counts) => where.payload === undefined ? { ...counts, notFound: counts.notFound + hidden } : counts
            )
          },
          count: (counts) => counts,
          ...options === undefined ? {} : { options }
        })
      }

      return handlers.handleAll({
        list: ({ query: { cursor, limit, order, ...given } }) =>
          answered(Effect.gen(function*() {
            const caller = yield* Caller
            const where = selectionOf(given)
            // How long a page is, and whether another comes after it, would tell of payloads that may not be seen.
            if (where.payload !== undefined) yield* permit(caller, "view", where, jobs)
            else if (where.queue !== undefined) yield* permitQueue(caller, "view", where.queue)
            if (!caller.may("view")) {
              const queues = where.queue === undefined ? yield* visible(caller) : [where.queue]
              const { cursor: next, records } = yield* Visible.page(jobs, bounded, queues, {
                ...where,
                cursor,
                limit,
                order
              })
              // Of what it may not see somebody is not told how much there is.
              return { records, ...Option.isNone(next) ? {} : { cursor: next.value } }
            }
            const page = yield* jobs.query({ ...where, cursor, limit, order })
            return {
              records: page.records.filter(({ queue }) => caller.may("view", queue)).map(summaryOf),
              ...Option.isNone(page.cursor) ? {} : {
                cursor: page.cursor.value,
                ...page.looked === undefined ? {} : { looked: page.looked }
              }
            }
          })),
        count: ({ query: { action, ...given } }) =>
          answered(Effect.gen(function*() {
            const caller = yield* Caller
            const where = yield* permit(caller, "view", selectionOf(given), jobs)
            // Where records of other queues are passed over, more calls count as many of what may be seen.
            const counting = estimate(jobs, action, where, caller.may("view") ? usualCalls : Visible.mostCalls)
            return yield* isFigure(where) ? counting : bounded.read(counting)
          })),
        get: ({ params: { id }, query: { maxText = usualLength } }) =>
          Effect.gen(function*() {
            const { may } = yield* Caller
            const record = yield* answered(jobs.get(id))
            // Who may not see it is not told that it is there.
            if (Option.isNone(record) || !may("view", record.value.queue)) return yield* new RecordNotFound({ id })
            return recordOf(record.value, maxText)
          }),
        cancel: ({ payload: { reason, where } }) =>
          act(where, (where) => jobs.cancelMany(where, { reason }), { reason }),
        retry: ({ payload: { where } }) => act(where, jobs.retry),
        promote: ({ payload: { where } }) => act(where, jobs.promote),
        reschedule: ({ payload: { where, ...due } }) => act(where, (where) => jobs.reschedule(where, due), due),
        reprioritise: ({ payload: { priority, where } }) =>
          act(where, (where) => jobs.reprioritise(where, priority), { priority }),
        delete: ({ payload: { where } }) => act(where, jobs.delete),
        enqueue: ({ payload: { job: tag, payload, ...options } }) => {
          const job = declared.get(tag)
          const run = job === undefined
            ? Effect.fail(unknownJob(tag))
            : Effect.andThen(
              checkedPayload(job, payload),
              Effect.catchTag(
                // The schemas of a group that is mounted need no services: the option says so.
                jobs.enqueueJson(job, payload, options) as Effect.Effect<Jobs.EnqueuedJson, EnqueueFailure>,
                "EnqueueError",
                ({ message }) => Effect.fail(new BadRequest({ detail: message }))
              )
            )
          const enqueued = change({
            where: { tag, ...job === undefined ? {} : { queue: job.queue } },
            options: { ...options, characters: payload.length },
            run: () => run,
            count: ({ outcome }) => switched(outcome !== "Existing")
          })
          return Effect.gen(function*() {
            const { may } = yield* Caller
            const isSeen = may("view") || job !== undefined && may("view", job.queue)
            // Who may not see its queue is not told that there is such a job.
            return yield* isSeen ? enqueued : Effect.catchTag(enqueued, "Forbidden", () => Effect.fail(unknownJob(tag)))
          })
        },
        edit: ({ payload: { id, payload } }) =>
          Effect.gen(function*() {
            const { may } = yield* Caller
            const record = yield* answered(jobs.get(id))
            if (Option.isNone(record) || !may("view", record.value.queue)) return yield* new RecordNotFound({ id })
            const job = declared.get(record.value.tag)
            const run = job === undefined
              ? Effect.fail(unknownJob(record.value.tag))
              : Effect.catchTags(
                // The schemas of a group that is mounted need no services: the option says so.
                jobs.editAndReplayJson(job, id, payload) as Effect.Effect<JobStore.ControlOutcome, EditFailure>,
                {
                  EnqueueError: ({ message }) => Effect.fail(new BadRequest({ detail: message })),
                  JobControlError: (error) => Effect.fail(error.option === "payload" ? unread(error.message) : error)
                }
              )
            const outcome = yield* change({
              where: { ids: [JobRecord.JobId(id)] },
              options: { characters: payload.length },
              run: () => run,
              count: (outcome) => ({
                changed: outcome === "Changed" ? 1 : 0,
                requested: 0,
                unchanged: outcome === "Unchanged" ? 1 : 0,
                notFound: outcome === "NotFound" ? 1 : 0
              })
            })
            return { outcome: outcome === "Requested" ? "Changed" : outcome }
          })
      })
    })
  )

const queues = HttpApiBuilder.group(
  JobsApi,
  "queues",
  Effect.fnUntraced(function*(handlers) {
    const jobs = yield* Jobs.Jobs
    const change = yield* makeChange
    const turn = (queue: string, run: ReturnType<Jobs.Shape["pause"]>) =>
      Effect.map(
        change({ where: { queue }, run: () => run, count: switched }),
        (changed) => ({ changed })
      )

    return handlers.handleAll({
      pause: ({ params: { queue } }) => turn(queue, jobs.pause(queue)),
      resume: ({ params: { queue } }) => turn(queue, jobs.resume(queue)),
      drain: ({ params: { queue } }) =>
        change({ where: { queue }, run: () => jobs.drain(queue), count: (counts) => counts }),
      purge: ({ params: { queue }, payload }) => {
        const where = { ...payload, queue }
        return change({ where, run: () => jobs.purge(where), count: (counts) => counts })
      }
    })
  })
)

const nothing: Jobs.Counts = { changed: 0, requested: 0, unchanged: 0, notFound: 0 }

/** A switch is one thing that is changed, or that stood so already. */
const switched = (changed: boolean): Jobs.Counts => ({
  changed: changed ? 1 : 0,
  requested: 0,
  unchanged: changed ? 0 : 1,
  notFound: 0
})

/** All routes; `description` is what they are, as OpenAPI. */
export const layer = (description: OpenApi.OpenAPISpec, groups: ReadonlyArray<JobGroup.Any>, isWatching: boolean) =>
  Layer.mergeAll(stats(description), records(groups), queues, Settings.layer, Insight.layer(groups), Events.layer).pipe(
    Layer.provide(Series.layer(isWatching)),
    Layer.provide(Hubs.layer),
    Layer.provide(Audited.layer),
    Layer.provide(Figures.layer),
    Layer.provide(Bounded.layer)
  )
