/** Work for so many seconds, when somebody calls. */
import { Drain } from "@capstan/http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobError, JobGroup, Jobs, JobSchedules, JobStore } from "capstan"
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http"

class Count extends Job.make("Count", { payload: { n: Schema.Number }, queue: "counts" }) {}
class Long extends Job.make("Long", { queue: "long", maxAttempts: 1 }) {}
class Work extends JobGroup.make(Count, Long) {}

const secret = Redacted.make("a secret for the scheduler")

/** The route on a port of its own, and what its handlers have done. */
const serve = (
  options: Partial<Drain.Options> = {},
  store: Layer.Layer<JobStore.JobStore> = JobStore.layerMemory()
) =>
  Effect.gen(function*() {
    const done = { counts: [] as Array<number>, begun: 0, ended: 0 }
    const handlers = Work.toLayer({
      Count: ({ n }) => Effect.sync(() => void done.counts.push(n)),
      Long: () =>
        Effect.sync(() => void done.begun++).pipe(
          Effect.andThen(Effect.never),
          Effect.ensuring(Effect.sync(() => void done.ended++))
        )
    })
    const context = yield* Layer.build(
      HttpRouter.serve(Drain.layer(Work, { secret, atMost: "20 seconds", ...options }), {
        disableListenLog: true,
        disableLogger: true
      }).pipe(
        Layer.provideMerge(
          Layer.orDie(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1", gracefulShutdownTimeout: 0 }))
        ),
        Layer.provide(handlers),
        Layer.provideMerge(Jobs.layer),
        Layer.provideMerge(store)
      )
    )
    const url = `${HttpServer.formatAddress(Context.get(context, HttpServer.HttpServer).address)}/capstan/drain`
    const call = (token = Redacted.value(secret), method = "GET") =>
      Effect.promise(async (signal) => {
        const headers = { authorization: `Bearer ${token}` }
        const response = await fetch(url, { method, headers, signal })
        const body: any = await response.json()
        return { status: response.status, body }
      })
    return { call, context, done, jobs: Context.get(context, Jobs.Jobs) }
  })

const numbers = (many: number) => Array.from({ length: many }, (_, n) => ({ n }))

describe("a call", () => {
  it.live("does what is ready and due, and says that nothing is left", () =>
    Effect.gen(function*() {
      const { call, context, done } = yield* serve()
      yield* Effect.provide(Count.enqueueMany(numbers(150)), context)
      yield* Effect.provide(Count.enqueue({ n: 150 }, { delay: "1 hour" }), context)
      const { body, status } = yield* call()
      assert.strictEqual(status, 200)
      assert.deepStrictEqual(body, { stopped: "idle", ready: 0, running: 0, scheduled: 1, blocked: 0 })
      assert.deepStrictEqual(done.counts.toSorted((a, b) => a - b), numbers(150).map(({ n }) => n))
      // The next call begins anew.
      yield* Effect.provide(Count.enqueue({ n: 151 }), context)
      assert.strictEqual((yield* call("", "POST")).status, 401)
      assert.strictEqual((yield* call(Redacted.value(secret), "POST")).body.ready, 0)
      assert.strictEqual(done.counts.at(-1), 151)
    }).pipe(Effect.scoped))

  it.live("ticks what is due of the schedules, and does the work of it", () =>
    Effect.gen(function*() {
      const { call, context, done } = yield* serve()
      const store = Context.get(context, JobStore.JobStore)
      yield* JobSchedules.JobSchedules.pipe(
        Effect.flatMap(({ upsert }) => upsert("nightly", Count, { every: "1 day", payload: { n: 7 } })),
        Effect.provide(JobSchedules.layer),
        Effect.provide(context)
      )
      // A day later.
      const { now, rows: [row] } = yield* store.schedules({ names: ["nightly"], limit: 1 })
      yield* store.putSchedule({
        name: "nightly",
        revision: row!.revision,
        row: { nextAt: now - 1, attendAt: now - 1, body: row!.body }
      })
      assert.deepInclude((yield* call()).body, { stopped: "idle", ready: 0 })
      assert.deepStrictEqual(done.counts, [7])
      assert.deepInclude((yield* call()).body, { stopped: "idle" })
      assert.deepStrictEqual(done.counts, [7])
    }).pipe(Effect.scoped))

  it.live("does first what comes before, also when that fails", () =>
    Effect.gen(function*() {
      const order: Array<string> = []
      const before = Effect.andThen(Effect.sync(() => void order.push("before")), Effect.fail("no schedules today"))
      const { call, context, done } = yield* serve({ before })
      yield* Effect.provide(Count.enqueue({ n: 1 }), context)
      assert.strictEqual((yield* call()).status, 200)
      assert.deepStrictEqual([order, done.counts], [["before"], [1]])
    }).pipe(Effect.scoped))

  it.live("leaves alone what is paused", () =>
    Effect.gen(function*() {
      const { call, context, done, jobs } = yield* serve()
      yield* jobs.pause("counts")
      yield* Effect.provide(Count.enqueue({ n: 1 }), context)
      assert.deepInclude((yield* call()).body, { stopped: "idle", ready: 1 })
      assert.deepStrictEqual(done.counts, [])
    }).pipe(Effect.scoped))

  it.live("stops in time, and what it interrupts is given back uncharged", () =>
    Effect.gen(function*() {
      const { call, context, done, jobs } = yield* serve({ atMost: "1 second" })
      const { id } = yield* Effect.provide(Long.enqueue(undefined), context)
      const start = performance.now()
      const { body } = yield* call()
      assert.isBelow(performance.now() - start, 5000)
      assert.deepStrictEqual(body, { stopped: "time", ready: 1, running: 0, scheduled: 0, blocked: 0 })
      assert.deepStrictEqual([done.begun, done.ended], [1, 1])
      const [record] = (yield* jobs.query({ ids: [id] })).records
      assert.deepInclude(record, { state: "ready", attempt: 0 })
    }).pipe(Effect.scoped))

  it.live("at the same time as another one does each record once", () =>
    Effect.gen(function*() {
      const { call, context, done, jobs } = yield* serve()
      yield* Effect.provide(Count.enqueueMany(numbers(500)), context)
      const answers = yield* Effect.all([call(), call(), call()], { concurrency: "unbounded" })
      for (const { body } of answers) assert.deepInclude(body, { stopped: "idle", ready: 0 })
      assert.deepStrictEqual(done.counts.toSorted((a, b) => a - b), numbers(500).map(({ n }) => n))
      const { records } = yield* jobs.query({ queue: "counts", limit: 1000 })
      assert.deepStrictEqual(records.filter(({ attempt, state }) => attempt !== 1 || state !== "completed"), [])
    }).pipe(Effect.scoped))

  it.live("says that the store is away, in time", () =>
    Effect.gen(function*() {
      const away = Effect.fail(
        new JobError.JobStoreError({ reason: new JobError.Unavailable({ operation: "exchange", detail: "refused" }) })
      )
      const store = Layer.effect(
        JobStore.JobStore,
        Effect.map(JobStore.JobStore, (store) => ({ ...store, exchange: () => away, renew: () => away, stats: away }))
      ).pipe(Layer.provide(JobStore.layerMemory()))
      const { call } = yield* serve({ atMost: "1 second" }, store)
      const { body, status } = yield* call()
      assert.deepStrictEqual([status, body._tag], [503, "StoreFailed"])
      assert.include(body.detail, "refused")
    }).pipe(Effect.scoped))
})

describe("the secret", () => {
  it.live.each(["", "wrong", "a secret for the schedulex", "a secret for the scheduler and more"])(
    "is not %j, and nothing is done",
    (token) =>
      Effect.gen(function*() {
        const { context, done, jobs, ...served } = yield* serve()
        yield* Effect.provide(Count.enqueue({ n: 1 }), context)
        const { body, status } = yield* served.call(token)
        assert.deepStrictEqual([status, body._tag], [401, "Unauthorized"])
        assert.deepStrictEqual(done.counts, [])
        assert.deepStrictEqual((yield* jobs.stats).workers, [])
      }).pipe(Effect.scoped)
  )

  it("is needed at construction, and so is a time", () => {
    const make = (options: Partial<Drain.Options>) => () =>
      Drain.layer(Work, { secret, atMost: "20 seconds", ...options })
    assert.throws(make({ secret: Redacted.make("") }), /the secret of the drain handler has less than 16 characters/)
    assert.throws(make({ secret: Redacted.make("fifteen letters") }), /less than 16/)
    for (const atMost of [0, "999 millis", Infinity] as const) {
      assert.throws(make({ atMost }), /atMost of a drain is a finite duration from 1 second/)
    }
  })
})
