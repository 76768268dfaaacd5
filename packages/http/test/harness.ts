/** What the tests of the API are written with: a store, the API on a port of loopback, and requests over real HTTP. */
import { AuditLog, Auth, JobsApi, JobsHttp } from "@capstan/http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Job, JobContext, JobGroup, JobLimit, Jobs, JobSchedules, JobStore, JobWorker } from "capstan"
import { Context, Effect, Layer, Redacted, Schema, type Scope } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest, HttpRouter, HttpServer } from "effect/http"
import { createServer, get } from "node:http"

export class Declined extends Schema.TaggedError<Declined>()("Declined", {}) {}

/** A job that does as its payload says. */
export class Greet extends Job.make("Greet", {
  payload: { name: Schema.String, card: Schema.optionalKey(Schema.Redacted(Schema.String)) },
  success: Schema.Struct({ greeting: Schema.String }),
  error: Declined,
  queue: "mail",
  maxAttempts: 1
}) {}

/** Calls of one account, one after the other. */
export const Calls = JobLimit.make("calls", { concurrency: 1 })

/** A job with a limit by key. */
export class Call extends Job.make("Call", {
  payload: { account: Schema.String },
  queue: "mail",
  maxAttempts: 1,
  limit: { by: Calls, key: ({ account }) => account }
}) {}

/** A job of another queue. */
export class Bill extends Job.make("Bill", { payload: { amount: Schema.Number }, queue: "billing", maxAttempts: 1 }) {}

export class All extends JobGroup.make(Greet, Bill, Call) {}

export const handlers = All.toLayer({
  Greet: Effect.fnUntraced(function*({ name }) {
    const { log } = yield* JobContext.JobContext
    yield* log(`greeting ${name}`)
    return name === "nobody" ? yield* new Declined() : { greeting: `Hello, ${name}!` }
  }),
  Bill: () => Effect.void,
  Call: () => Effect.void
})

/** Works until the effect has ended. */
export const worked = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.provide(effect, JobWorker.layer(All, { shutdownGrace: 0 }).pipe(Layer.provide(handlers)))

/** A token for each principal of the tests. */
export const token = (who: string): string => `the token of ${who}, long enough`

export const principals = {
  viewer: Auth.principal("viewer", "viewer"),
  operator: Auth.principal("operator", "operator"),
  admin: Auth.principal("admin", "admin"),
  /** May do everything on one queue, and nothing on another. */
  mailAdmin: Auth.principal("mailAdmin", "admin", { queues: ["mail"] })
}

export type Who = keyof typeof principals

export const everybody = (known: Readonly<Record<string, Auth.Principal>> = principals): Layer.Layer<Auth.Auth> =>
  Auth.layerBearer(
    Object.entries(known).map(([who, principal]) => ({ token: Redacted.make(token(who)), principal }))
  )

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: any
}

export interface Served {
  readonly url: string
  readonly jobs: Jobs.Shape
  readonly context: Context.Context<JobStore.JobStore | JobSchedules.JobSchedules>
  /** A request as it is, with nothing added. */
  readonly request: (path: string, init?: RequestInit) => Effect.Effect<Answer>
  /** What a program of a principal asks: a change with a body, else a look. */
  readonly ask: (who: string, path: string, body?: unknown) => Effect.Effect<Answer>
  readonly client: (who: string) => Effect.Effect<JobsApi.Client>
  readonly audited: Array<AuditLog.Entry>
}

export interface Options extends JobsHttp.Options {
  readonly auth?: Layer.Layer<Auth.Auth> | undefined
  readonly store?: Layer.Layer<JobStore.JobStore> | undefined
  readonly host?: string | undefined
}

/** The API on a port of its own, until the scope closes. */
export const serve = (
  { auth = everybody(), host = "127.0.0.1", store = JobStore.layerMemory(), ...options }: Options = {}
): Effect.Effect<Served, never, Scope.Scope> =>
  Effect.gen(function*() {
    const audited: Array<AuditLog.Entry> = []
    const context = yield* Layer.build(
      HttpRouter.serve(JobsHttp.layer({ groups: [All], ...options }), { disableListenLog: true, disableLogger: true })
        .pipe(
          Layer.provideMerge(
            Layer.orDie(NodeHttpServer.layer(createServer, { port: 0, host, gracefulShutdownTimeout: 0 }))
          ),
          Layer.provide(auth),
          Layer.provide(Layer.succeed(AuditLog.AuditLog, {
            write: (entry) => Effect.sync(() => void audited.push(entry))
          })),
          Layer.provideMerge(Layer.merge(Jobs.layer, JobSchedules.layer)),
          Layer.provideMerge(store)
        )
    )
    const base = HttpServer.formatAddress(Context.get(context, HttpServer.HttpServer).address)
    const url = `${base}${options.prefix ?? "/capstan/api"}`
    const request = (path: string, init?: RequestInit) => send(`${url}${path}`, init)
    return {
      url,
      context,
      audited,
      jobs: Context.get(context, Jobs.Jobs),
      request,
      ask: (who, path, body) =>
        request(path, {
          headers: { ...credentials(who), ...body === undefined ? {} : changeOf(url) },
          ...body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }
        }),
      client: (who) =>
        JobsApi.client({
          url,
          transformClient: HttpClient.mapRequest(HttpClientRequest.bearerToken(token(who)))
        }).pipe(Effect.provide(FetchHttpClient.layer))
    }
  })

export const credentials = (who: string) => ({ authorization: `Bearer ${token(who)}` })

/** What a change of a program has. */
export const changeOf = (url: string) => ({
  "content-type": "application/json",
  [JobsApi.changeHeader]: "1",
  origin: new URL(url).origin
})

const send = (url: string, init?: RequestInit): Effect.Effect<Answer> =>
  Effect.promise(async (signal) => {
    const response = await fetch(url, { ...init, signal })
    // A stream of events has no end.
    const isStream = response.headers.get("content-type")?.startsWith("text/event-stream") === true
    const text = isStream ? "" : await response.text()
    if (isStream) await response.body?.cancel()
    return {
      status: response.status,
      headers: response.headers,
      body: response.headers.get("content-type")?.startsWith("application/json") ? JSON.parse(text) : text
    }
  })

/** A request whose `Host` may be any: `fetch` does not let it be set. */
export const raw = (
  url: string,
  headers: Record<string, string>
): Effect.Effect<{ readonly status: number; readonly reason: string | undefined }> =>
  Effect.callback((resume) => {
    get(`${url}/stats`, { headers, agent: false }, (response) => {
      let text = ""
      response.setEncoding("utf8")
      response.on("data", (chunk: string) => text += chunk)
      response.on(
        "end",
        () => resume(Effect.succeed({ status: response.statusCode!, reason: JSON.parse(text).reason }))
      )
    })
  })
