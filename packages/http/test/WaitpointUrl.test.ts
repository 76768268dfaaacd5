/** A waitpoint's URL over real HTTP: whom it believes, what it takes, and what it answers. */
import { WaitpointUrl } from "@capstan/http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobError, JobGroup, type JobRecord, JobStore, JobWorker, Waitpoint } from "capstan"
import { Context, DateTime, Effect, Layer, Redacted, Schema, Tracer } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { createServer } from "node:http"

class Approval extends Waitpoint.make("Approval", {
  success: Schema.Struct({ by: Schema.String, at: Schema.DateTimeUtc })
}) {}
class Bell extends Waitpoint.make("Bell") {}
class Ask extends Job.make("Ask", { success: Schema.String }) {}
class Ring extends Job.make("Ring") {}

const secret = Redacted.make("the secret of these tests, long enough")
const value = { by: "ada", at: "2026-11-26T00:00:00.000Z" }
const inAnHour = { secret, expiresIn: "1 hour" } as const

const work = JobWorker.layer(JobGroup.make(Ask, Ring)).pipe(
  Layer.provide(Ask.toLayer(() => Effect.map(Approval.await, ({ at, by }) => `${by} on ${DateTime.formatIso(at)}`))),
  Layer.provide(Ring.toLayer(() => Bell.await))
)

/** The routes on a port of their own, beside a worker where `work` is given. */
const serve = (
  options: Partial<WaitpointUrl.Options> = {},
  store: Layer.Layer<JobStore.JobStore> = JobStore.layerMemory(),
  beside: Layer.Layer<never, never, JobStore.JobStore> = Layer.empty
) =>
  Effect.gen(function*() {
    const routes = Layer.merge(
      WaitpointUrl.layer(Approval, { path: "/approvals", secret, maxBytes: 1000, ...options }),
      WaitpointUrl.layer(Bell, { path: "/bell", secret })
    )
    const context = yield* Layer.build(
      HttpRouter.serve(routes, { disableListenLog: true, disableLogger: true }).pipe(
        Layer.merge(beside),
        Layer.provideMerge(
          Layer.orDie(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1", gracefulShutdownTimeout: 0 }))
        ),
        Layer.provideMerge(store)
      )
    )
    const origin = HttpServer.formatAddress(Context.get(context, HttpServer.HttpServer).address)
    return {
      context,
      linkOf: WaitpointUrl.at(`${origin}/approvals`),
      bellOf: WaitpointUrl.at(`${origin}/bell`),
      /** A record that is there, and does not wait yet. */
      later: Effect.provide(Ask.enqueue(undefined, { delay: "1 day" }), context),
      /** What the store has for a record's waitpoint. */
      kept: (id: JobRecord.JobId) =>
        Effect.map(Context.get(context, JobStore.JobStore).get(id), (record) => record?.checkpoints?.["Approval"])
    }
  })

const send = (url: string, init: RequestInit) =>
  Effect.promise(async (signal) => {
    const response = await fetch(url, { ...init, signal })
    const text = await response.text()
    const isJson = text !== "" && response.headers.get("content-type")?.startsWith("application/json")
    const body: any = isJson ? JSON.parse(text) : text
    return { status: response.status, headers: response.headers, body }
  })

const post = (url: string, body: unknown = value) =>
  send(url, { method: "POST", body: typeof body === "string" ? body : JSON.stringify(body) })

const get = (url: string) => send(url, { method: "GET" })

const statusOf = ({ body, status }: { readonly status: number; readonly body: any }) => [
  status,
  body.outcome ?? body.reason ?? body._tag
]

const away = Layer.effect(
  JobStore.JobStore,
  Effect.map(JobStore.JobStore, (store) => {
    let isAway = true
    const refused = new JobError.JobStoreError({
      reason: new JobError.Unavailable({ operation: "signal", detail: "refused" })
    })
    return {
      ...store,
      signal: (request: JobStore.SignalRequest) => {
        if (!isAway) return store.signal(request)
        isAway = false
        return Effect.fail(refused)
      }
    }
  })
).pipe(Layer.provide(JobStore.layerMemory()))

describe("a POST", () => {
  it.live("completes what waits, with a value that the schema decodes, once", () =>
    Effect.gen(function*() {
      const { context, linkOf } = yield* serve({}, JobStore.layerMemory(), work)
      const handle = yield* Effect.provide(Ask.enqueue(), context)
      const url = linkOf(yield* Approval.sign(handle.id, inAnHour))
      // Whether the record waits by now is the worker's: it gets the value both ways.
      const first = yield* post(url)
      assert.strictEqual(first.status, 200)
      assert.include(["Completed", "Kept"], first.body.outcome)
      assert.strictEqual(yield* Effect.provide(handle.await, context), "ada on 2026-11-26T00:00:00.000Z")
      assert.deepStrictEqual(statusOf(yield* post(url)), [410, "NotFound"])
    }).pipe(Effect.scoped))

  it.live("that comes before the record waits is kept, and what comes later changes nothing", () =>
    Effect.gen(function*() {
      const { kept, later, linkOf } = yield* serve()
      const { id } = yield* later
      const url = linkOf(yield* Approval.sign(id, inAnHour))
      assert.deepStrictEqual(statusOf(yield* post(url)), [200, "Kept"])
      assert.deepStrictEqual(statusOf(yield* post(url)), [409, "TooLate"])
      const other = linkOf(yield* Approval.sign(id, { secret, expiresIn: "2 hours" }))
      assert.deepStrictEqual(statusOf(yield* post(other, { ...value, by: "eve" })), [409, "TooLate"])
      assert.include(yield* kept(id), `"by":"ada"`)
    }).pipe(Effect.scoped))

  it.live("of many at the same time completes for one", () =>
    Effect.gen(function*() {
      const { later, linkOf } = yield* serve()
      const url = linkOf(yield* Approval.sign((yield* later).id, inAnHour))
      const answers = yield* Effect.all(Array.from({ length: 20 }, () => post(url)), { concurrency: "unbounded" })
      assert.deepStrictEqual(
        answers.map(({ status }) => status).toSorted((a, b) => a - b),
        [200, ...Array.from({ length: 19 }, () => 409)]
      )
    }).pipe(Effect.scoped))

  it.live("needs no body where the waitpoint has no value", () =>
    Effect.gen(function*() {
      const { bellOf, context } = yield* serve()
      const { id } = yield* Effect.provide(Ring.enqueue(undefined, { delay: "1 day" }), context)
      const url = bellOf(yield* Bell.sign(id, inAnHour))
      assert.deepStrictEqual(statusOf(yield* post(url, "")), [200, "Kept"])
      assert.deepStrictEqual(statusOf(yield* post(url, "{}")), [409, "TooLate"])
    }).pipe(Effect.scoped))

  it.live("that finds the store away may be sent again", () =>
    Effect.gen(function*() {
      const { later, linkOf } = yield* serve({}, away)
      const url = linkOf(yield* Approval.sign((yield* later).id, inAnHour))
      const first = yield* post(url)
      assert.deepStrictEqual(statusOf(first), [503, "JobStoreError"])
      assert.include(first.body.detail, "refused")
      assert.deepStrictEqual(statusOf(yield* post(url)), [200, "Kept"])
    }).pipe(Effect.scoped))
})

describe("a token", () => {
  it.live("that is none, forged, of another waitpoint or expired completes nothing", () =>
    Effect.gen(function*() {
      const { later, linkOf } = yield* serve()
      const { id } = yield* later
      const token = yield* Approval.sign(id, inAnHour)
      const [claim, mac] = token.split(".")
      const another = Buffer.from(JSON.stringify([id, "Approval", 1e15])).toString("base64url")
      const cases: ReadonlyArray<readonly [string, number, string]> = [
        ["", 400, "Malformed"],
        ["nonsense", 400, "Malformed"],
        [`${token}.`, 400, "Malformed"],
        [`${claim}.`, 400, "Malformed"],
        [`${claim}.%00`, 400, "Malformed"],
        ["é".repeat(2000), 400, "Malformed"],
        [`${claim}.${"A".repeat(mac!.length)}`, 401, "Forged"],
        [`${claim}.${mac!.slice(0, -4)}`, 401, "Forged"],
        [`${another}.${mac}`, 401, "Forged"],
        [
          yield* Approval.sign(id, {
            secret: Redacted.make("another secret, which is long enough"),
            expiresIn: "1 hour"
          }),
          401,
          "Forged"
        ],
        [yield* Bell.sign(id, inAnHour), 403, "OtherWaitpoint"],
        [yield* Approval.sign(id, { secret, expiresIn: 0 }), 410, "Expired"]
      ]
      for (const [token, status, reason] of cases) {
        const answer = yield* post(linkOf(token))
        assert.deepStrictEqual([answer.status, answer.body._tag, answer.body.reason], [status, "InvalidToken", reason])
      }
      assert.deepStrictEqual(statusOf(yield* post(linkOf(token).replace(/\?.*/, ""))), [400, "Malformed"])
      // None of them has used it up.
      assert.deepStrictEqual(statusOf(yield* post(linkOf(token))), [200, "Kept"])
    }).pipe(Effect.scoped))

  it.effect("works until the moment in which it expires", () =>
    Effect.gen(function*() {
      const { later, linkOf } = yield* serve()
      const url = linkOf(yield* Approval.sign((yield* later).id, inAnHour))
      const other = linkOf(yield* Approval.sign((yield* later).id, inAnHour))
      yield* TestClock.adjust(3_599_999)
      assert.deepStrictEqual(statusOf(yield* post(url)), [200, "Kept"])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(statusOf(yield* post(other)), [410, "Expired"])
    }).pipe(Effect.scoped))

  it.live("is in no span of the server", () =>
    Effect.gen(function*() {
      const spans: Array<Tracer.NativeSpan> = []
      const tracer = Layer.succeed(
        Tracer.Tracer,
        Tracer.make({
          span: (options) => {
            const span = new Tracer.NativeSpan(options)
            spans.push(span)
            return span
          }
        })
      )
      const { later, linkOf } = yield* serve({}, Layer.merge(JobStore.layerMemory(), tracer))
      const token = yield* Approval.sign((yield* later).id, inAnHour)
      assert.strictEqual((yield* post(linkOf(token))).status, 200)
      const attributes = spans.flatMap((span) => [...span.attributes.values()].map(String))
      assert.isTrue(attributes.some((text) => text.includes("/approvals?sig=")), attributes.join("\n"))
      assert.isFalse(attributes.some((text) => text.includes(token)))
    }).pipe(Effect.scoped))

  it.live("of a record that is not there says so", () =>
    Effect.gen(function*() {
      const { linkOf } = yield* serve()
      const url = linkOf(yield* Approval.sign("00000000-0000-7000-8000-000000000001", inAnHour))
      assert.deepStrictEqual(statusOf(yield* post(url)), [410, "NotFound"])
    }).pipe(Effect.scoped))

  it.live("is looked at before the body: who has none learns nothing of what is taken", () =>
    Effect.gen(function*() {
      const { linkOf } = yield* serve()
      assert.deepStrictEqual(statusOf(yield* post(linkOf("aaaa.bbbb"), "x".repeat(2000))), [401, "Forged"])
    }).pipe(Effect.scoped))
})

describe("a body", () => {
  it.live("that is not what the waitpoint takes is refused, and the token stays", () =>
    Effect.gen(function*() {
      const { later, linkOf } = yield* serve()
      const url = linkOf(yield* Approval.sign((yield* later).id, inAnHour))
      const hostile = [
        "",
        "null",
        "{",
        "[]",
        "by=ada",
        "\u0000",
        "[".repeat(900),
        `{"by":5,"at":"${value.at}"}`,
        `{"by":"ada","at":"tomorrow"}`,
        `{"__proto__":{"by":"ada","at":"${value.at}"}}`
      ]
      for (const body of hostile) {
        assert.deepStrictEqual(statusOf(yield* post(url, body)), [400, "SchemaError"], body)
      }
      assert.strictEqual((yield* post(url, { ...value, by: "x".repeat(1000) })).status, 413)
      assert.deepStrictEqual(statusOf(yield* post(url)), [200, "Kept"])
    }).pipe(Effect.scoped))

  it.live("keeps what the schema knows, and nothing else", () =>
    Effect.gen(function*() {
      const { kept, later, linkOf } = yield* serve()
      const { id } = yield* later
      const url = linkOf(yield* Approval.sign(id, inAnHour))
      yield* post(url, `{"by":"ada","at":"${value.at}","isAdmin":true,"__proto__":{"x":1}}`)
      assert.deepStrictEqual(JSON.parse((yield* kept(id))!.split("\n")[1]!), value)
    }).pipe(Effect.scoped))
})

describe("a GET", () => {
  it.live("completes nothing, as mail scanners send it", () =>
    Effect.gen(function*() {
      const { later, linkOf } = yield* serve()
      const url = linkOf(yield* Approval.sign((yield* later).id, inAnHour))
      const opened = yield* get(url)
      assert.deepStrictEqual(statusOf(opened), [405, "MethodNotAllowed"])
      assert.strictEqual(opened.headers.get("allow"), "POST")
      assert.strictEqual((yield* send(url, { method: "HEAD" })).status, 405)
      assert.deepStrictEqual(statusOf(yield* post(url)), [200, "Kept"])
    }).pipe(Effect.scoped))

  it.live("is the application's page where it has one, which nobody keeps and no site is told of", () =>
    Effect.gen(function*() {
      const page = (token: string) =>
        Approval.verify(token, { secret }).pipe(
          Effect.map((id) => HttpServerResponse.html(`<p>${id}?</p>`)),
          Effect.catch(() => Effect.succeed(HttpServerResponse.text("this link is of no use", { status: 404 })))
        )
      const { later, linkOf } = yield* serve({ page })
      const { id } = yield* later
      const url = linkOf(yield* Approval.sign(id, inAnHour))
      const opened = yield* get(url)
      assert.deepStrictEqual([opened.status, opened.body], [200, `<p>${id}?</p>`])
      assert.strictEqual(opened.headers.get("referrer-policy"), "no-referrer")
      assert.strictEqual(opened.headers.get("cache-control"), "no-store")
      assert.strictEqual(opened.headers.get("x-frame-options"), "DENY")
      assert.strictEqual((yield* get(linkOf("a.b"))).status, 404)
      assert.deepStrictEqual(statusOf(yield* post(url)), [200, "Kept"])
    }).pipe(Effect.scoped))
})

it.live("every answer keeps a browser from framing, running and keeping it, and is for no other origin", () =>
  Effect.gen(function*() {
    const { later, linkOf } = yield* serve()
    const url = linkOf(yield* Approval.sign((yield* later).id, inAnHour))
    const origin = { origin: "https://evil.example" }
    const answers = yield* Effect.all([
      get(url),
      post(linkOf("aaaa.bbbb")),
      post(url, "{"),
      send(url, { method: "POST", body: JSON.stringify(value), headers: origin }),
      post(url),
      send(url, { method: "OPTIONS", headers: { ...origin, "access-control-request-method": "POST" } })
    ])
    assert.deepStrictEqual(answers.map(({ status }) => status), [405, 401, 400, 200, 409, 404])
    for (const { headers, status } of answers) {
      assert.isNull(headers.get("access-control-allow-origin"))
      // No route of ours: the router's own.
      if (status === 404) continue
      assert.match(headers.get("content-security-policy")!, /^default-src 'none';.*frame-ancestors 'none'/)
      assert.strictEqual(headers.get("cache-control"), "no-store")
      assert.strictEqual(headers.get("referrer-policy"), "no-referrer")
      assert.strictEqual(headers.get("x-content-type-options"), "nosniff")
    }
  }).pipe(Effect.scoped))

describe("at construction", () => {
  it("a secret has 32 characters", () => {
    const make = (text: string) => () =>
      WaitpointUrl.layer(Approval, { path: "/approvals", secret: Redacted.make(text) })
    assert.throws(make("x".repeat(31)), /less than 32 characters/)
    assert.doesNotThrow(make("x".repeat(32)))
  })

  it.each(["", "/approvals", "shop.example.com", "javascript:alert(1)", "mailto:a@b.example"])(
    "a URL does not begin with %j",
    (base) => {
      assert.throws(() => WaitpointUrl.at(base), /a waitpoint's URL begins as/)
    }
  )

  it("a URL keeps the query that it has", () => {
    assert.strictEqual(WaitpointUrl.at("https://a.example/x?y=1")("t.m"), "https://a.example/x?y=1&sig=t.m")
  })
})
