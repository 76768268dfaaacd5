/**
 * Serves `JobsApi`: as routes of an Effect `HttpRouter` under any prefix, or as a web-standard handler.
 *
 * Every way in needs an `Auth`; `Jobs` is the only way to the store. Every answer has the headers that keep a browser from
 * framing, sniffing, caching or running it. `GET openapi.json` under the prefix is the description.
 *
 * @since 0.1.0
 */
import type { JobGroup, Jobs, JobSchedules } from "capstan"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as OpenApi from "effect/http-api/OpenApi"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import { RouteNotFound } from "./ApiError.ts"
import type { Auth } from "./Auth.ts"
import * as Guard from "./internal/guard.ts"
import * as Handlers from "./internal/handlers.ts"
import { dataHeaders, prefixOf, refuseOpenServer, secured, under } from "./internal/mount.ts"
import { JobsApi } from "./JobsApi.ts"

/**
 * How the API is mounted.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * The path that it is under, as in `/ops/jobs`.
   *
   * @default "/capstan/api"
   */
  readonly prefix?: `/${string}` | undefined
  /**
   * Origins from which changes are taken beside the page's own, as in `https://ops.example.com`: where a proxy gives the
   * request another `Host` than the one in the browser.
   *
   * @default []
   */
  readonly origins?: ReadonlyArray<string> | undefined
  /**
   * The jobs whose records may be enqueued, or edited and run again: a payload is checked by the schema of its job, on the
   * server. Their payload schemas need no services.
   *
   * @default none
   */
  readonly groups?: ReadonlyArray<JobGroup.Any> | undefined
  /**
   * Whether the last half hour (`GET /series`) is kept from the start on: one reading of the store's figures every five
   * seconds, and one subscription to its events. Else it begins with the first who asks, and ends an hour after the last.
   *
   * @default false
   */
  readonly watch?: boolean | undefined
}

/**
 * The routes, for `HttpRouter.serve` or beside routes of your own.
 *
 * **Details**
 *
 * With `Auth.none` a server that listens on another address than a loopback one is a defect at construction.
 *
 * Of the body of a request at most 1 MiB is read, or twice the largest `maxPayloadBytes` of the jobs of `groups` and 64 KiB where that is
 * more. A longer one is answered with 413 and `BodyTooLarge`.
 *
 * **Example**
 *
 * ```ts
 * const Server = HttpRouter.serve(JobsHttp.layer({ prefix: "/ops/jobs" })).pipe(
 *   Layer.provide(NodeHttpServer.layer(createServer, { port: 3000 })),
 *   Layer.provide(AuthLive),
 *   Layer.provide([Jobs.layer, JobSchedules.layer]),
 *   Layer.provide(StoreLive)
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<
  never,
  never,
  HttpRouter.HttpRouter | Jobs.Jobs | JobSchedules.JobSchedules | Auth
> => {
  const prefix = prefixOf(options?.prefix ?? "/capstan/api", "the jobs API")
  const origins = (options?.origins ?? []).map(originOf)
  const routes = Layer.mergeAll(HttpApiBuilder.layer(JobsApi), unknownRoute).pipe(
    Layer.provide(
      Handlers.layer(
        OpenApi.fromApi(JobsApi.annotate(OpenApi.Servers, [{ url: prefix || "/" }])),
        options?.groups ?? [],
        options?.watch ?? false
      )
    ),
    Layer.provide(Guard.layer(origins, Guard.mostOf(options?.groups ?? []))),
    Layer.provide(secured(dataHeaders)),
    Layer.provide(under(prefix)),
    Layer.provide(HttpServer.layerServices)
  )
  return Layer.provide(routes, Layer.effectDiscard(refuseOpenServer))
}

/**
 * A web-standard handler, for hosts that speak `Request` and `Response`. Built at once; `dispose` closes what it holds.
 *
 * **Gotchas**
 *
 * Whoever calls the handler is not known here, so `Auth.none` refuses every request.
 *
 * @category handlers
 * @since 0.1.0
 */
export const webHandler = <E>(
  services: Layer.Layer<Jobs.Jobs | JobSchedules.JobSchedules | Auth, E>,
  options?: Options & {
    /**
     * Shares layers with a `ManagedRuntime` of the program (`runtime.memoMap`), so that both have one store.
     *
     * @default layers of its own
     */
    readonly memoMap?: Layer.MemoMap | undefined
  }
): WebHandler =>
  HttpRouter.toWebHandler(Layer.provide(layer(options), shared(services, options?.memoMap)), { disableLogger: true })

/** By another memo map than that of the handler: its router is its own, also when a program makes several. */
const shared = <A, E>(services: Layer.Layer<A, E>, memoMap: Layer.MemoMap | undefined): Layer.Layer<A, E> =>
  memoMap === undefined
    ? services
    : Layer.effectContext(Effect.flatMap(Effect.scope, (scope) => Layer.buildWithMemoMap(services, memoMap, scope)))

/**
 * What `webHandler` answers.
 *
 * @category models
 * @since 0.1.0
 */
export interface WebHandler {
  /** Answers a request, as the hosts call it: what is under no route of the API gets a 404. */
  readonly handler: (request: Request) => Promise<Response>
  /** Closes the layers that the handler has built, event streams included. */
  readonly dispose: () => Promise<void>
}

const originOf = (origin: string): string => {
  if (URL.parse(origin)?.origin !== origin) {
    throw new Error(`an origin of the jobs API is one such as https://ops.example.com, it is ${JSON.stringify(origin)}`)
  }
  return origin
}

/** Under the prefix nobody else's answer is given. */
const unknownRoute = HttpRouter.add("*", "/*", (request) =>
  Effect.succeed(HttpServerResponse.jsonUnsafe(
    {
      _tag: "RouteNotFound",
      method: request.method,
      path: request.url.replace(/\?.*$/, "")
    } satisfies (typeof RouteNotFound)["Encoded"],
    { status: 404 }
  )))
