/** The handlers of the routes: each calls `Jobs` once, in the words of the API. */
import { JobRecord, Jobs, type JobStore } from "capstan"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import type * as OpenApi from "effect/http-api/OpenApi"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { RecordNotFound } from "../ApiError.ts"
import type * as Model from "../ApiModel.ts"
import { AuditLog } from "../AuditLog.ts"
import { Caller, JobsApi } from "../JobsApi.ts"
import { actions } from "../Permission.ts"
import { answered, make as makeChange } from "./change.ts"
import { estimate } from "./estimate.ts"
import * as Events from "./events.ts"
import { permit, permitQueue } from "./permit.ts"
import { recordOf, statsOf, summaryOf, usualLength } from "./view.ts"

const selectionOf = ({ ids, parent, ...rest }: typeof Model.Selection.Type): JobStore.Selection => ({
  ...rest,
  ...ids === undefined ? {} : { ids: ids.map(JobRecord.JobId) },
  ...parent === undefined ? {} : { parent: JobRecord.JobId(parent) }
})

const stats = (description: OpenApi.OpenAPISpec) =>
  HttpApiBuilder.group(JobsApi, "stats", (handlers) =>
    Effect.map(Jobs.Jobs, (jobs) =>
      handlers.handleAll({
        openapi: () => Effect.succeed(HttpServerResponse.jsonUnsafe(description)),
        stats: () =>
          answered(Effect.gen(function*() {
            const { may } = yield* Caller
            return statsOf(yield* jobs.stats, (queue) => may("view", queue))
          })),
        me: () =>
          answered(Effect.gen(function*() {
            const { may, name } = yield* Caller
            const everywhere = actions.filter((action) => may(action))
            if (everywhere.length === actions.length) return { name, everywhere, queues: {} }
            const queues = (yield* jobs.stats).queues
              .map(({ queue }) => [queue, actions.filter((action) => may(action, queue))] as const)
              .filter(([, allowed]) => allowed.length > everywhere.length)
            return { name, everywhere, queues: Object.fromEntries(queues) }
          }))
      })))

const records = HttpApiBuilder.group(
  JobsApi,
  "records",
  Effect.fnUntraced(function*(handlers) {
    const jobs = yield* Jobs.Jobs
    const change = makeChange(jobs, yield* AuditLog)
    /** An action on a selection, with the options that it was given. */
    const act = (
      given: typeof Model.Selection.Type,
      run: (where: JobStore.Selection) => ReturnType<Jobs.Shape["reschedule"]>,
      options?: Readonly<Record<string, unknown>>
    ) => {
      const where = selectionOf(given)
      return change({ where, run: run(where), count: (counts) => counts, ...options === undefined ? {} : { options } })
    }

    return handlers.handleAll({
      list: ({ query: { cursor, limit, order, ...given } }) =>
        answered(Effect.gen(function*() {
          const caller = yield* Caller
          if (given.queue !== undefined) yield* permitQueue(caller, "view", given.queue)
          const page = yield* jobs.query({ ...selectionOf(given), cursor, limit, order })
          return {
            records: page.records.filter(({ queue }) => caller.may("view", queue)).map(summaryOf),
            ...Option.isSome(page.cursor) ? { cursor: page.cursor.value } : {}
          }
        })),
      count: ({ query: { action, ...given } }) =>
        answered(Effect.gen(function*() {
          const where = selectionOf(given)
          yield* permit(yield* Caller, "view", where, jobs)
          return yield* estimate(jobs, action, where)
        })),
      get: ({ params: { id }, query: { maxText = usualLength } }) =>
        Effect.gen(function*() {
          const { may } = yield* Caller
          const record = yield* answered(jobs.get(id))
          // Who may not see it is not told that it is there.
          if (Option.isNone(record) || !may("view", record.value.queue)) return yield* new RecordNotFound({ id })
          return recordOf(record.value, maxText)
        }),
      cancel: ({ payload: { reason, where } }) => act(where, (where) => jobs.cancelMany(where, { reason }), { reason }),
      retry: ({ payload: { where } }) => act(where, jobs.retry),
      promote: ({ payload: { where } }) => act(where, jobs.promote),
      reschedule: ({ payload: { where, ...due } }) => act(where, (where) => jobs.reschedule(where, due), due),
      reprioritise: ({ payload: { priority, where } }) =>
        act(where, (where) => jobs.reprioritise(where, priority), { priority }),
      delete: ({ payload: { where } }) => act(where, jobs.delete)
    })
  })
)

const queues = HttpApiBuilder.group(
  JobsApi,
  "queues",
  Effect.fnUntraced(function*(handlers) {
    const jobs = yield* Jobs.Jobs
    const change = makeChange(jobs, yield* AuditLog)
    const turn = (queue: string, run: ReturnType<Jobs.Shape["pause"]>) =>
      Effect.map(
        change({ where: { queue }, run, count: switched }),
        (changed) => ({ changed })
      )

    return handlers.handleAll({
      pause: ({ params: { queue } }) => turn(queue, jobs.pause(queue)),
      resume: ({ params: { queue } }) => turn(queue, jobs.resume(queue)),
      drain: ({ params: { queue } }) => change({ where: { queue }, run: jobs.drain(queue), count: (counts) => counts }),
      purge: ({ params: { queue }, payload }) => {
        const where = { ...payload, queue }
        return change({ where, run: jobs.purge(where), count: (counts) => counts })
      }
    })
  })
)

/** A switch is one thing that is changed, or that stood so already. */
const switched = (changed: boolean): Jobs.Counts => ({
  changed: changed ? 1 : 0,
  requested: 0,
  unchanged: changed ? 0 : 1,
  notFound: 0
})

/** All routes; `description` is what they are, as OpenAPI. */
export const layer = (description: OpenApi.OpenAPISpec) =>
  Layer.mergeAll(stats(description), records, queues, Events.layer)
