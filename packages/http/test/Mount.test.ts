/** Where the API is mounted, what every answer bears, and what it says of itself. */
import { JobsApi, JobsHttp } from "@capstan/http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import { Jobs, JobSchedules, JobStore } from "capstan"
import { Context, Effect, Layer, ManagedRuntime } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"
import { enqueueUnmatched } from "../../testing/src/internal/unmatched.ts"
import { Auth } from "../src/index.ts"
import { estimate, usualCalls } from "../src/internal/estimate.ts"
import { changeOf, credentials, everybody, Greet, serve } from "./harness.ts"
import { routes } from "./matrix.ts"

const services = (auth = everybody()) =>
  Layer.mergeAll(auth, Jobs.layer, JobSchedules.layer).pipe(Layer.provideMerge(JobStore.layerMemory()))

describe("every answer", () => {
  it.live("keeps a browser from framing, sniffing, running and keeping it", () =>
    Effect.gen(function*() {
      const { ask, request } = yield* serve()
      const answers = yield* Effect.all([
        ask("admin", "/stats"),
        ask("admin", "/queues/mail/pause", {}),
        ask("admin", "/nothing"),
        ask("admin", "/records?limit=0"),
        ask("viewer", "/queues/mail/pause", {}),
        request("/stats")
      ])
      assert.deepStrictEqual(answers.map(({ status }) => status), [200, 200, 404, 400, 403, 401])
      for (const { headers, status } of answers) {
        assert.match(
          headers.get("content-security-policy")!,
          /^default-src 'none';.*frame-ancestors 'none'/,
          `${status}`
        )
        assert.notInclude(headers.get("content-security-policy"), "unsafe")
        assert.strictEqual(headers.get("x-content-type-options"), "nosniff")
        assert.strictEqual(headers.get("x-frame-options"), "DENY")
        assert.strictEqual(headers.get("referrer-policy"), "no-referrer")
        assert.strictEqual(headers.get("cross-origin-resource-policy"), "same-origin")
        assert.strictEqual(headers.get("cache-control"), "no-store")
        assert.isNull(headers.get("access-control-allow-origin"))
      }
    }).pipe(Effect.scoped))
})

describe("the prefix", () => {
  it.live.each(["/ops/jobs", "/"] as const)("may be %s", (prefix) =>
    Effect.gen(function*() {
      const { ask } = yield* serve({ prefix })
      const { body, status } = yield* ask("viewer", prefix === "/" ? "stats" : "/stats")
      assert.strictEqual(status, 200)
      assert.deepStrictEqual(body.queues, [])
    }).pipe(Effect.scoped))

  it.each(["", "/a b", "ops", "/:id", "/a//b", "/*"])("is not %j", (prefix) => {
    assert.throws(() => JobsHttp.layer({ prefix: prefix as "/" }), /the prefix of the jobs API is a path/)
  })

  it.each(["https://a.example/", "a.example", "*"])("an origin is not %j", (origin) => {
    assert.throws(() => JobsHttp.layer({ origins: [origin] }), /an origin of the jobs API is one such as/)
  })

  it.live("leaves the application's own routes alone", () =>
    Effect.gen(function*() {
      const own = HttpRouter.add("GET", "/hello", HttpServerResponse.text("hello"))
      const context = yield* Layer.build(
        HttpRouter.serve(Layer.merge(own, JobsHttp.layer()), { disableListenLog: true, disableLogger: true }).pipe(
          Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })),
          Layer.provide(services())
        )
      )
      const base = HttpServer.formatAddress(Context.get(context, HttpServer.HttpServer).address)
      const response = yield* Effect.promise(() => fetch(`${base}/hello`))
      assert.strictEqual(yield* Effect.promise(() => response.text()), "hello")
      assert.isNull(response.headers.get("content-security-policy"))
    }).pipe(Effect.scoped))
})

describe("openapi.json", () => {
  it.live("describes every route, where it is mounted", () =>
    Effect.gen(function*() {
      const { ask, request } = yield* serve({ prefix: "/ops/jobs" })
      const { body, status } = yield* ask("viewer", "/openapi.json")
      assert.strictEqual(status, 200)
      assert.match(body.openapi, /^3\.1/)
      assert.deepStrictEqual(body.servers, [{ url: "/ops/jobs" }])
      for (const { method, path } of routes) {
        assert.property(body.paths[path.replace(/:(\w+)/g, "{$1}")], method.toLowerCase(), path)
      }
      for (const name of ["Record", "Page", "Stats", "Counts", "Estimate"]) {
        assert.property(body.components.schemas, name)
      }
      assert.property(body.paths["/records/cancel"].post.responses, "403")
      assert.strictEqual((yield* request("/openapi.json")).status, 401)
    }).pipe(Effect.scoped))
})

describe("a list that next to nothing matches", () => {
  it.live("is one call of the store, says at how many records that looked, and is counted in ten at most", () => {
    const calls = { made: 0 }
    const store = Layer.effect(
      JobStore.JobStore,
      Effect.map(JobStore.JobStore, (store) => ({
        ...store,
        query: (request: JobStore.QueryRequest) => Effect.suspend(() => (calls.made++, store.query(request)))
      }))
    ).pipe(Layer.provide(JobStore.layerMemory()))
    return Effect.gen(function*() {
      // A count looks no further than ten calls do.
      yield* enqueueUnmatched("Mail", 110_000)
      const jobs = yield* Jobs.Jobs
      calls.made = 0
      const page = yield* jobs.query({ tag: "Mail", queue: "other" })
      assert.deepStrictEqual([page.records.length, page.looked, calls.made], [0, 10_000, 1])
      calls.made = 0
      const found = yield* estimate(jobs, "cancel", { tag: "Mail", queue: "other" }, usualCalls)
      assert.deepStrictEqual([found.matched, found.isAtLeast, calls.made], [0, true, 10])
    }).pipe(Effect.provide(Layer.provideMerge(Jobs.layer, store)))
  }, 60_000)
})

describe("the web-standard handler", () => {
  const url = "https://app.example.com/capstan/api"

  it.live("answers as the router does, over the program's own store", () =>
    Effect.gen(function*() {
      const runtime = ManagedRuntime.make(services())
      const { dispose, handler } = JobsHttp.webHandler(services(), { memoMap: runtime.memoMap })
      yield* Effect.addFinalizer(() => Effect.promise(() => Promise.all([dispose(), runtime.dispose()])))
      const ask = (path: string, init?: RequestInit) =>
        Effect.promise(() => handler(new Request(`${url}${path}`, init)))
      const listed = yield* ask("/records", { headers: credentials("viewer") })
      assert.strictEqual(listed.status, 200)
      assert.strictEqual(listed.headers.get("x-frame-options"), "DENY")
      assert.deepStrictEqual(yield* Effect.promise(() => listed.json()), { records: [] })
      const headers = { ...credentials("admin"), ...changeOf(url), host: "app.example.com" }
      const paused = yield* ask("/queues/mail/pause", { method: "POST", headers })
      assert.deepStrictEqual(yield* Effect.promise(() => paused.json()), { changed: true })
      assert.strictEqual((yield* ask("/stats")).status, 401)
    }).pipe(Effect.scoped))

  it.live("may be made again, as a host does that loads its module twice", () =>
    Effect.gen(function*() {
      const all = services()
      const runtime = ManagedRuntime.make(all)
      const handlers = [0, 1].map(() => JobsHttp.webHandler(all, { memoMap: runtime.memoMap }))
      yield* Effect.addFinalizer(() =>
        Effect.promise(() => Promise.all([...handlers.map(({ dispose }) => dispose()), runtime.dispose()]))
      )
      const { id } = yield* Effect.promise(() => runtime.runPromise(Greet.enqueue({ name: "a" })))
      for (const { handler } of handlers) {
        const response = yield* Effect.promise(() =>
          handler(new Request(`${url}/records`, { headers: credentials("viewer") }))
        )
        const { records }: any = yield* Effect.promise(() => response.json())
        assert.deepStrictEqual(records.map((record: any) => record.id), [id])
      }
    }).pipe(Effect.scoped))

  it.live("refuses everything without authorisation", () =>
    Effect.gen(function*() {
      const { dispose, handler } = JobsHttp.webHandler(services(Auth.none))
      yield* Effect.addFinalizer(() => Effect.promise(dispose))
      const response = yield* Effect.promise(() =>
        handler(new Request("http://localhost/capstan/api/stats", { headers: { host: "localhost" } }))
      )
      const body: any = yield* Effect.promise(() => response.json())
      assert.deepStrictEqual([response.status, body.reason], [403, "NotLoopback"])
    }).pipe(Effect.scoped))
})

it.live("the client is typed by the contract", () =>
  Effect.gen(function*() {
    const { client, context } = yield* serve()
    const { id } = yield* Effect.provide(Greet.enqueue({ name: "a" }), context)
    const { records }: JobsApi.Client = yield* client("viewer")
    const error = yield* Effect.flip(records.delete({ payload: { where: { ids: [id] } } }))
    assert.deepInclude(error, { _tag: "Forbidden", reason: "NotAllowed" })
  }).pipe(Effect.scoped))
