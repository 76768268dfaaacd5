/**
 * The contract of the API: its routes, their bodies and their errors. `JobsHttp` serves it; a typed client is made of it
 * (`client`), in a browser too: this module imports nothing of a server.
 *
 * Paths are relative to the prefix that it is mounted under. A change needs the header `x-capstan-request` and an
 * `Origin` that is the page's own.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiClient from "effect/http-api/HttpApiClient"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Schema from "effect/Schema"
import {
  BadRequest,
  BodyTooLarge,
  Forbidden,
  RecordNotFound,
  ScheduleNotFound,
  StoreFailed,
  TooBusy,
  Unauthorized
} from "./ApiError.ts"
import * as Insight from "./ApiInsight.ts"
import * as Model from "./ApiModel.ts"
import * as Settings from "./ApiSettings.ts"
import { Key, Label, Name } from "./internal/names.ts"
import type { Action } from "./Permission.ts"

/**
 * The header that every change has. A form or an image of another site cannot send it.
 *
 * @category headers
 * @since 0.1.0
 */
export const changeHeader = "x-capstan-request"

/**
 * Who asks and for what, as the handlers see it. `Guard` provides it when the request has passed.
 *
 * @category guard
 * @since 0.1.0
 */
export class Caller extends Context.Service<Caller, {
  readonly name: string
  /** Of the route that was asked for. */
  readonly action: Action
  /** Without a queue: on every queue, also on those that are yet to come. */
  readonly may: (action: Action, queue?: string) => boolean
}>()("@capstan/http/JobsApi/Caller") {}

/**
 * Stands before every route: loopback where there is no authorisation, origin and header of a change, who asks, and how much of a body
 * is read.
 *
 * @category guard
 * @since 0.1.0
 */
export class Guard extends HttpApiMiddleware.Service<Guard, { provides: Caller }>()("@capstan/http/JobsApi/Guard", {
  error: [BadRequest, BodyTooLarge, Unauthorized, Forbidden]
}) {}

/**
 * The action that a route is, as an annotation of its endpoint.
 *
 * @category guard
 * @since 0.1.0
 */
export class RouteAction extends Context.Service<RouteAction, Action>()("@capstan/http/JobsApi/RouteAction") {}

const view = (description: string) => annotations("view", description)

/** A condition that nobody knows is refused: left out, it would mean more records than were meant. */
const strict = { onExcessProperty: "error" } as const

const annotations = (action: Action, description: string): Context.Context<RouteAction> =>
  Context.merge(OpenApi.annotations({ description }), Context.make(RouteAction, action))

/** Epoch milliseconds within what a date may be. */
const Instant = Schema.Finite.check(Schema.isBetween({ minimum: -8.64e15, maximum: 8.64e15 }))

const longText = 16 * 1024 * 1024

/**
 * The figures, and who asks for them.
 *
 * @category groups
 * @since 0.1.0
 */
export class StatsGroup extends HttpApiGroup.make("stats").add(
  HttpApiEndpoint.get("stats", "/stats", { success: Model.Stats, error: StoreFailed }).annotateMerge(
    view("Counts of every queue, and the workers. Maintained by the store, never scanned.")
  ),
  HttpApiEndpoint.get("openapi", "/openapi.json", { success: Schema.Json }).annotateMerge(
    view("This description.")
  ),
  HttpApiEndpoint.get("me", "/me", { success: Model.Me, error: StoreFailed }).annotateMerge(
    view("Who asks, and what may be asked for.")
  ),
  HttpApiEndpoint.get("series", "/series", {
    query: { queue: Schema.optionalKey(Name) },
    success: Insight.Series,
    error: StoreFailed
  }).annotateMerge(view("The last half hour as this process saw it. It looks from the first time that somebody asks.")),
  HttpApiEndpoint.get("history", "/history", {
    query: {
      queue: Schema.optionalKey(Name),
      /** An hour before `before` where it is absent. */
      from: Schema.optionalKey(Instant),
      /** The last reading where it is absent. */
      before: Schema.optionalKey(Instant)
    },
    success: Insight.History,
    error: StoreFailed
  }).annotateMerge(
    view("A stretch of the last 30 hours as this process saw it: how long was waited and run, and how much.")
  ),
  HttpApiEndpoint.get("metrics", "/metrics", {
    success: Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/plain; version=0.0.4; charset=utf-8" }))
  }).annotateMerge(view("The metrics of this process, as Prometheus reads them.")),
  HttpApiEndpoint.get("audit", "/audit", { success: Insight.Audit }).annotateMerge(
    view("The last changes that were asked for, of those that this process has seen.")
  )
) {}

const selected = { where: Model.Selection }
const acts = { success: Model.Counts, error: [BadRequest, TooBusy, StoreFailed] } as const

/**
 * Records: a page, one, how many, and the actions on them. Each action takes a selection: one id, some, or a filter.
 *
 * @category groups
 * @since 0.1.0
 */
export class RecordsGroup extends HttpApiGroup.make("records").add(
  HttpApiEndpoint.get("list", "/records", {
    query: Model.PageQuery,
    success: Model.Page,
    error: [BadRequest, TooBusy, StoreFailed]
  }).annotate(HttpApi.QueryParseOptions, strict).annotateMerge(view("A page of the records that match.")),
  HttpApiEndpoint.get("count", "/records/count", {
    query: Model.EstimateQuery,
    success: Model.Estimate,
    error: [BadRequest, TooBusy, StoreFailed]
  }).annotate(HttpApi.QueryParseOptions, strict).annotateMerge(
    view("How many records an action would meet. Changes nothing. Few of them are counted at a time.")
  ),
  HttpApiEndpoint.get("get", "/records/:id", {
    params: { id: Schema.String.check(Schema.isUUID()) },
    query: {
      /** How much of payload, result and progress is sent, in UTF-16 code units; 65,536 where it is absent. */
      maxText: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: longText })))
    },
    success: Model.Record,
    error: [RecordNotFound, StoreFailed]
  }).annotateMerge(view("One record with its attempts and logs.")),
  HttpApiEndpoint.post("cancel", "/records/cancel", {
    payload: Schema.Struct({ ...selected, reason: Schema.NonEmptyString.check(Schema.isMaxLength(1000)) }),
    ...acts
  }).annotateMerge(annotations("cancel", "Cancels what waits, and asks what runs to stop.")),
  HttpApiEndpoint.post("retry", "/records/retry", { payload: Schema.Struct(selected), ...acts }).annotateMerge(
    annotations("retry", "Runs final records again with a fresh budget of attempts, and scheduled ones now.")
  ),
  HttpApiEndpoint.post("promote", "/records/promote", { payload: Schema.Struct(selected), ...acts }).annotateMerge(
    annotations("promote", "Makes scheduled records ready now.")
  ),
  HttpApiEndpoint.post("reschedule", "/records/reschedule", {
    payload: Schema.Union([
      Schema.Struct({ ...selected, delay: Schema.Finite }),
      Schema.Struct({ ...selected, runAt: Schema.Finite })
    ]),
    ...acts
  }).annotateMerge(
    annotations("reschedule", "Gives waiting records another due instant: `delay` milliseconds from now, or `runAt`.")
  ),
  HttpApiEndpoint.post("reprioritise", "/records/reprioritise", {
    payload: Schema.Struct({
      ...selected,
      priority: Schema.Union([Schema.Literals(["low", "normal", "high"]), Schema.Int])
    }),
    ...acts
  }).annotateMerge(annotations("reprioritise", "Gives waiting records another priority.")),
  HttpApiEndpoint.post("delete", "/records/delete", { payload: Schema.Struct(selected), ...acts }).annotateMerge(
    annotations("delete", "Removes records that are not running.")
  ),
  HttpApiEndpoint.post("enqueue", "/records/enqueue", {
    payload: Schema.Struct({
      job: Name,
      /** JSON text. */
      payload: Schema.String,
      /** Milliseconds from now. */
      delay: Schema.optionalKey(Schema.Finite),
      /** The job's where it is absent. */
      priority: Schema.optionalKey(Schema.Int),
      /** While a record of the job with this key is kept, it is answered instead. */
      idempotencyKey: Schema.optionalKey(Key),
      tags: Schema.optionalKey(Schema.Array(Label).check(Schema.isMaxLength(20)))
    }),
    success: Insight.Enqueued,
    error: [BadRequest, StoreFailed]
  }).annotateMerge(
    annotations(
      "enqueue",
      "Enqueues a record of a job that the API was mounted with; its payload is checked by the job's schema."
    )
  ),
  HttpApiEndpoint.post("edit", "/records/edit", {
    payload: Schema.Struct({
      id: Schema.String.check(Schema.isUUID()),
      /** JSON text. What is masked in it stays as it was. */
      payload: Schema.String
    }),
    success: Insight.Edited,
    error: [BadRequest, RecordNotFound, StoreFailed]
  }).annotateMerge(
    annotations("edit", "Gives a record another payload, checked by its job's schema, and runs it again.")
  )
) {}

const queue = { params: { queue: Name } }

/**
 * Actions on a whole queue.
 *
 * @category groups
 * @since 0.1.0
 */
export class QueuesGroup extends HttpApiGroup.make("queues").add(
  HttpApiEndpoint.post("pause", "/queues/:queue/pause", { ...queue, success: Model.Switched, error: StoreFailed })
    .annotateMerge(annotations("pause", "Stops claims from the queue in every worker; what runs goes on.")),
  HttpApiEndpoint.post("resume", "/queues/:queue/resume", { ...queue, success: Model.Switched, error: StoreFailed })
    .annotateMerge(annotations("resume", "Lets workers claim from the queue again.")),
  HttpApiEndpoint.post("drain", "/queues/:queue/drain", { ...queue, success: Model.Counts, error: StoreFailed })
    .annotateMerge(annotations("drain", "Cancels everything of the queue that waits. What runs goes on.")),
  HttpApiEndpoint.post("purge", "/queues/:queue/purge", {
    ...queue,
    payload: Schema.Struct({
      /** All three where it is absent. */
      states: Schema.optionalKey(Schema.NonEmptyArray(Schema.Literals(["completed", "cancelled", "dead"]))),
      enqueuedBefore: Schema.optionalKey(Schema.Finite)
    }),
    success: Model.Counts,
    error: [BadRequest, StoreFailed]
  }).annotateMerge(annotations("purge", "Removes final records of the queue: its history."))
) {}

const limited = { success: Settings.Limit, error: [BadRequest, StoreFailed] } as const

/**
 * Limits, and how their keys stand.
 *
 * @category groups
 * @since 0.1.0
 */
export class LimitsGroup extends HttpApiGroup.make("limits").add(
  HttpApiEndpoint.get("list", "/limits", { success: Settings.Limits, error: StoreFailed }).annotateMerge(
    view("All limits: what code proposes, what an operator set, and which holds.")
  ),
  HttpApiEndpoint.get("keys", "/limits/:name/keys", {
    params: { name: Name },
    success: Settings.Keys,
    error: StoreFailed
  }).annotateMerge(
    view("The first 500 keys of a limit by name, for which something waits or runs, or that are limited.")
  ),
  HttpApiEndpoint.post("set", "/limits/set", {
    payload: Schema.Struct({ of: Settings.LimitOf, settings: Settings.LimitSettings }),
    ...limited
  }).annotateMerge(annotations("limit", "Sets a limit by hand. It wins over what code proposes until it is cleared.")),
  HttpApiEndpoint.post("clear", "/limits/clear", { payload: Schema.Struct({ of: Settings.LimitOf }), ...limited })
    .annotateMerge(annotations("limit", "Lets what code proposes hold again."))
) {}

const scheduled = Schema.Struct({ name: Name })
const schedule = { payload: scheduled, error: [BadRequest, ScheduleNotFound, StoreFailed] } as const

/**
 * Schedules: those that code declares, and those that are data.
 *
 * @category groups
 * @since 0.1.0
 */
export class SchedulesGroup extends HttpApiGroup.make("schedules").add(
  HttpApiEndpoint.get("list", "/schedules", {
    query: { after: Schema.optionalKey(Schema.String) },
    success: Settings.Schedules,
    error: [TooBusy, StoreFailed]
  }).annotateMerge(view("Schedules in the order of their names, at most 100, from the one after `after`.")),
  HttpApiEndpoint.post("pause", "/schedules/pause", { ...schedule, success: Model.Switched }).annotateMerge(
    annotations("pause", "Stops the ticks of a schedule, across restarts.")
  ),
  HttpApiEndpoint.post("resume", "/schedules/resume", { ...schedule, success: Model.Switched }).annotateMerge(
    annotations("resume", "Lets a schedule tick again, from now on.")
  ),
  HttpApiEndpoint.post("run", "/schedules/run", { ...schedule, success: Settings.Run }).annotateMerge(
    annotations("run", "Runs a schedule once now, besides its plan.")
  ),
  HttpApiEndpoint.post("remove", "/schedules/remove", { ...schedule, success: Model.Switched }).annotateMerge(
    annotations("delete", "Removes a schedule that is data, or that no code declares any more. Its records stay.")
  )
) {}

const told = (description: string) => view(`${description} A bounded number of records is looked at.`)

/**
 * What the newest records say of jobs, of errors and of flows, and the declarations that records can be edited by.
 *
 * @category groups
 * @since 0.1.0
 */
export class InsightGroup extends HttpApiGroup.make("insight").add(
  HttpApiEndpoint.get("jobs", "/jobs", { success: Insight.JobsSeen, error: [BadRequest, StoreFailed] }).annotateMerge(
    told("The jobs among the newest records, with how long they wait and run.")
  ),
  HttpApiEndpoint.get("errors", "/errors", { success: Insight.ErrorGroups, error: [BadRequest, StoreFailed] })
    .annotateMerge(told("What fails, by job and error.")),
  HttpApiEndpoint.get("flows", "/flows", { success: Insight.FlowsSeen, error: [BadRequest, StoreFailed] })
    .annotateMerge(told("The flows among the newest records.")),
  HttpApiEndpoint.get("flow", "/flows/:id", {
    params: { id: Schema.String.check(Schema.isUUID()) },
    success: Insight.FlowView,
    error: [BadRequest, RecordNotFound, TooBusy, StoreFailed]
  }).annotateMerge(told("A flow by its nodes.")),
  HttpApiEndpoint.get("declarations", "/declarations", { success: Insight.Declarations }).annotateMerge(
    view("The jobs that the API was mounted with, and the schema of their payload.")
  )
) {}

/**
 * What happens, as server-sent events.
 *
 * @category groups
 * @since 0.1.0
 */
export class EventsGroup extends HttpApiGroup.make("events").add(
  HttpApiEndpoint.get("events", "/events", {
    query: { queue: Schema.optionalKey(Name) },
    headers: { "last-event-id": Schema.optionalKey(Schema.String) },
    success: HttpApiSchema.StreamSse({ events: Model.Event })
  }).annotateMerge(
    view("What happens to records, of one queue or of all. Hints: after `missed` read anew what is shown.")
  )
) {}

/**
 * All routes as one declaration: the server, the typed client and the OpenAPI document are made of it.
 *
 * @category api
 * @since 0.1.0
 */
export class JobsApi extends HttpApi.make("capstan").add(
  StatsGroup,
  RecordsGroup,
  QueuesGroup,
  LimitsGroup,
  SchedulesGroup,
  InsightGroup,
  EventsGroup
).middleware(Guard)
  .annotate(HttpApi.PayloadParseOptions, strict)
  .annotateMerge(OpenApi.annotations({
    title: "Capstan",
    version: "1",
    description: "Looks at jobs and acts on them. Instants are epoch milliseconds, durations are milliseconds."
  }))
{}

/**
 * A typed client.
 *
 * **Details**
 *
 * A browser sends the origin of its page by itself; everywhere else the client names that of `url`.
 *
 * @category client
 * @since 0.1.0
 */
export const client = (options: {
  /** Where the API is mounted, as in `https://app.example.com/ops/jobs`. */
  readonly url: string
  /**
   * Changes what sends the requests: adds credentials, retries.
   *
   * @default nothing is added
   */
  readonly transformClient?: ((client: HttpClient.HttpClient) => HttpClient.HttpClient) | undefined
}): Effect.Effect<Client, never, HttpClient.HttpClient> =>
  HttpApiClient.make(JobsApi, {
    baseUrl: options.url.replace(/\/$/, ""),
    transformClient: (client) =>
      HttpClient.mapRequest(
        options.transformClient?.(client) ?? client,
        HttpClientRequest.setHeaders({ [changeHeader]: "1", origin: new URL(options.url).origin })
      )
  })

/**
 * What `client` makes: the routes as functions, by group.
 *
 * @category client
 * @since 0.1.0
 */
export type Client = HttpApiClient.ForApi<typeof JobsApi>
