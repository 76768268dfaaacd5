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
import { BadRequest, Forbidden, RecordNotFound, StoreFailed, Unauthorized } from "./ApiError.ts"
import * as Model from "./ApiModel.ts"
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
 * Stands before every route: loopback where there is no authorisation, origin and header of a change, and who asks.
 *
 * @category guard
 * @since 0.1.0
 */
export class Guard extends HttpApiMiddleware.Service<Guard, { provides: Caller }>()("@capstan/http/JobsApi/Guard", {
  error: [BadRequest, Unauthorized, Forbidden]
}) {}

/**
 * The action that a route is, as an annotation of its endpoint.
 *
 * @category guard
 * @since 0.1.0
 */
export class RouteAction extends Context.Service<RouteAction, Action>()("@capstan/http/JobsApi/RouteAction") {}

const view = (description: string) => annotations("view", description)

const annotations = (action: Action, description: string): Context.Context<RouteAction> =>
  Context.merge(OpenApi.annotations({ description }), Context.make(RouteAction, action))

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
  )
) {}

const selected = { where: Model.Selection }
const acts = { success: Model.Counts, error: [BadRequest, StoreFailed] } as const

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
    error: [BadRequest, StoreFailed]
  }).annotateMerge(view("A page of the records that match.")),
  HttpApiEndpoint.get("count", "/records/count", {
    query: Model.EstimateQuery,
    success: Model.Estimate,
    error: [BadRequest, StoreFailed]
  }).annotateMerge(view("How many records an action would meet. Changes nothing.")),
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
  )
) {}

const queue = { params: { queue: Schema.NonEmptyString } }

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

/**
 * What happens, as server-sent events.
 *
 * @category groups
 * @since 0.1.0
 */
export class EventsGroup extends HttpApiGroup.make("events").add(
  HttpApiEndpoint.get("events", "/events", {
    query: { queue: Schema.optionalKey(Schema.NonEmptyString) },
    headers: { "last-event-id": Schema.optionalKey(Schema.String) },
    success: HttpApiSchema.StreamSse({ events: Model.Event })
  }).annotateMerge(
    view("What happens to records, of one queue or of all. Hints: after `missed` read anew what is shown.")
  )
) {}

/**
 * The API.
 *
 * @category api
 * @since 0.1.0
 */
export class JobsApi
  extends HttpApi.make("capstan").add(StatsGroup, RecordsGroup, QueuesGroup, EventsGroup).middleware(Guard)
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
 * `url` is where the API is mounted, as in `https://app.example.com/ops/jobs`. A browser sends the origin of its page by
 * itself; everywhere else the client names that of `url`. Credentials are added by `transformClient`.
 *
 * @category client
 * @since 0.1.0
 */
export const client = (options: {
  readonly url: string
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
