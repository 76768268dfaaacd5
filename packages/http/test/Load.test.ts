/** What looking costs the store: the same however many look. */
import { Auth } from "@capstan/http"
import { assert, describe, it } from "@effect/vitest"
import { Job, Jobs, JobStore } from "capstan"
import { Effect, Fiber, Latch, Layer, Option } from "effect"
import { HttpServerRequest } from "effect/http"
import * as Visible from "../src/internal/visible.ts"
import { everybody, Greet, serve, type Served } from "./harness.ts"

/** A memory store that counts what it is asked. */
const counted = () => {
  const calls = { stats: 0, query: 0 }
  const store = Layer.effect(
    JobStore.JobStore,
    Effect.map(JobStore.JobStore, (store): JobStore.JobStore["Service"] => ({
      ...store,
      stats: Effect.suspend(() => {
        calls.stats++
        return store.stats
      }),
      query: (request) =>
        Effect.suspend(() => {
          calls.query++
          return store.query(request)
        })
    }))
  ).pipe(Layer.provide(JobStore.layerMemory()))
  return { calls, store }
}

describe("many pages", () => {
  it.live("read the figures together", () =>
    Effect.gen(function*() {
      const { calls, store } = counted()
      const { ask } = yield* serve({ store })
      const ask100 = (path: string) =>
        Effect.forEach(Array.from({ length: 100 }), () => ask("viewer", path), { concurrency: 20, discard: true })
      const start = performance.now()
      yield* ask100("/stats")
      // One reading each half second, and one for what had begun.
      assert.isAtMost(calls.stats, Math.ceil((performance.now() - start) / 500) + 1)
      const before = calls.stats
      const later = performance.now()
      yield* ask100("/series")
      assert.isAtMost(calls.stats - before, Math.ceil((performance.now() - later) / 5000) + 1)
      const asked = performance.now()
      yield* ask100("/jobs")
      yield* ask100("/flows")
      assert.isAtMost(calls.query, Math.ceil((performance.now() - asked) / 2000) + 1)
    }).pipe(Effect.scoped))

  it.live("see at once what one of them has changed", () =>
    Effect.gen(function*() {
      const { ask, context } = yield* serve()
      yield* Effect.provide(Greet.enqueue({ name: "a" }), context)
      const isPaused = Effect.map(ask("viewer", "/stats"), ({ body }) => body.queues[0].paused)
      assert.isFalse(yield* isPaused)
      yield* ask("operator", "/queues/mail/pause", {})
      assert.isTrue(yield* isPaused)
      yield* ask("operator", "/queues/mail/resume", {})
      assert.isFalse(yield* isPaused)
    }).pipe(Effect.scoped))

  it.live("are not read anew for what changes nothing, as whoever may only look can ask for it", () =>
    Effect.gen(function*() {
      const { calls, store } = counted()
      const { ask } = yield* serve({ store })
      const where = { ids: ["01890000-0000-7000-8000-000000000000"] }
      for (
        const [path, given, right] of [
          ["/queues/mail/pause", {}, 403],
          ["/records/promote", { where }, 200],
          ["/records/reschedule", { where, delay: -1 }, 400]
        ] as const
      ) {
        const before = calls.stats
        const start = performance.now()
        for (let n = 0; n < 20; n++) {
          yield* ask("viewer", "/stats")
          assert.strictEqual((yield* ask("viewer", path, given)).status, right)
        }
        assert.isAtMost(calls.stats - before, Math.ceil((performance.now() - start) / 500) + 1, path)
      }
    }).pipe(Effect.scoped))

  it.live("keep the last half hour from the start where it is wanted", () =>
    Effect.gen(function*() {
      const { calls, store } = counted()
      yield* serve({ store, watch: true })
      yield* Effect.yieldNow
      yield* Effect.repeat(Effect.sleep("10 millis"), { until: () => Effect.succeed(calls.stats > 0), times: 200 })
      assert.isAbove(calls.stats, 0)
      const idle = counted()
      yield* serve({ store: idle.store })
      assert.strictEqual(idle.calls.stats, 0)
    }).pipe(Effect.scoped))
})

describe("counts of many records", () => {
  /** A memory store whose queries wait until they are let go, and which knows how many of them are under way. */
  const held = () => {
    const gate = Latch.makeUnsafe(false)
    const queries = { now: 0, most: 0, limits: 0 }
    const store = Layer.effect(
      JobStore.JobStore,
      Effect.map(JobStore.JobStore, (store): JobStore.JobStore["Service"] => ({
        ...store,
        query: (request) =>
          Effect.suspend(() => {
            queries.most = Math.max(queries.most, ++queries.now)
            queries.limits += request.limit
            return Effect.ensuring(Effect.andThen(gate.await, store.query(request)), Effect.sync(() => queries.now--))
          })
      }))
    ).pipe(Layer.provide(JobStore.layerMemory()))
    return { gate, queries, store }
  }

  it.live("are four at a time; sixteen wait, and who comes beyond that is told when to come again", () =>
    Effect.gen(function*() {
      const { gate, queries, store } = held()
      const { ask, audited, context } = yield* serve({ store })
      yield* Effect.provide(Greet.enqueue({ name: "a" }), context)
      const answers: Array<{ readonly status: number; readonly headers: Headers; readonly body: any }> = []
      const asked = yield* Effect.forkChild(Effect.forEach(
        Array.from({ length: 30 }),
        () =>
          Effect.map(ask("operator", "/records/count?action=cancel&tag=Greet"), (answer) => void answers.push(answer)),
        { concurrency: "unbounded", discard: true }
      ))
      yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => Effect.succeed(answers.length >= 10), times: 1000 })
      assert.deepStrictEqual(answers.map(({ status }) => status), Array(10).fill(429))
      assert.deepStrictEqual(answers.map(({ headers }) => headers.get("retry-after")), Array(10).fill("2"))
      assert.strictEqual(answers[0]!.body._tag, "TooBusy")
      assert.include(answers[0]!.body.detail, "ask again in 2 seconds")
      assert.strictEqual(queries.most, 4)

      // An action by what is inside of payloads reads as many; the store's figures are no reading at all.
      const where = { tag: "Greet", payload: { "/name": "a" } }
      assert.strictEqual((yield* ask("operator", "/records/cancel", { where, reason: "r" })).status, 429)
      assert.deepStrictEqual(audited.map(({ outcome }) => outcome._tag), ["Failed"])
      const figures = yield* ask("operator", "/records/count?action=cancel&queue=mail")
      assert.deepStrictEqual([figures.status, figures.body.matched], [200, 1])

      yield* gate.open
      yield* Fiber.join(asked)
      assert.deepStrictEqual(
        answers.slice(10).map(({ body, status }) => [status, body.matched]),
        Array.from({ length: 20 }, () => [200, 1])
      )
      assert.strictEqual(queries.most, 4)
      assert.strictEqual((yield* ask("operator", "/records/cancel", { where, reason: "r" })).body.changed, 1)
    }).pipe(Effect.scoped))

  /** What a caller is answered while the store holds back what many others ask for. */
  const refusedOf = (served: Served, gate: Latch.Latch, who: string, paths: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const statuses: Array<number> = []
      const asked = yield* Effect.forkChild(Effect.forEach(
        paths,
        (path) => Effect.map(served.ask(who, path), ({ status }) => void statuses.push(status)),
        { concurrency: "unbounded", discard: true }
      ))
      yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => Effect.succeed(statuses.length >= 10), times: 200 })
      const refused = [...statuses]
      yield* gate.open
      yield* Fiber.join(asked)
      return { refused, last: new Set(statuses.slice(10)) }
    })

  it.live("pages of many records of several queues are among them, each with no more records than it may hold", () =>
    Effect.gen(function*() {
      const { gate, queries, store } = held()
      const some = Auth.principal("some", "viewer", { queues: Array.from({ length: 32 }, (_, n) => `q${n}`) })
      const served = yield* serve({ store, auth: everybody({ some }) })
      for (let n = 0; n < 32; n++) {
        yield* Effect.provide(Job.make(`Job${n}`, { queue: `q${n}` }).enqueue(), served.context)
      }
      const answers = yield* refusedOf(served, gate, "some", Array(30).fill("/records?limit=1000"))
      assert.deepStrictEqual(answers, { refused: Array(10).fill(429), last: new Set([200]) })
      assert.strictEqual(queries.most, 16)
      queries.limits = 0
      const { body } = yield* served.ask("some", "/records?limit=1000")
      assert.deepStrictEqual([body.records.length, body.cursor], [32, undefined])
      assert.isAtMost(queries.limits, 4000)
    }).pipe(Effect.scoped))

  it.live("schedules are, for who may not see all of them", () =>
    Effect.gen(function*() {
      const gate = Latch.makeUnsafe(false)
      const store = Layer.effect(
        JobStore.JobStore,
        Effect.map(JobStore.JobStore, (store): JobStore.JobStore["Service"] => ({
          ...store,
          schedules: (request) => Effect.andThen(gate.await, store.schedules(request))
        }))
      ).pipe(Layer.provide(JobStore.layerMemory()))
      const answers = yield* refusedOf(yield* serve({ store }), gate, "mailAdmin", Array(30).fill("/schedules"))
      assert.deepStrictEqual(answers, { refused: Array(10).fill(429), last: new Set([200]) })
    }).pipe(Effect.scoped))

  it.live("flows of more than one page are", () =>
    Effect.gen(function*() {
      const gate = Latch.makeUnsafe(false)
      const begun = new Set<string>()
      const store = Layer.effect(
        JobStore.JobStore,
        Effect.map(JobStore.JobStore, (store): JobStore.JobStore["Service"] => ({
          ...store,
          query: ({ where: { flowId = "" } }) => {
            const isFirst = !begun.has(flowId)
            begun.add(flowId)
            const reply = { records: [], cursor: isFirst ? "1" : undefined }
            return isFirst ? Effect.succeed(reply) : Effect.as(gate.await, reply)
          }
        }))
      ).pipe(Layer.provide(JobStore.layerMemory()))
      const flows = Array.from({ length: 30 }, (_, n) => `/flows/01890000-0000-7000-8000-0000000000${n + 10}`)
      const answers = yield* refusedOf(yield* serve({ store }), gate, "viewer", flows)
      assert.deepStrictEqual(answers, { refused: Array(10).fill(429), last: new Set([404]) })
    }).pipe(Effect.scoped))

  it.effect("of the records of a page of several queues only those of four calls are whole", () =>
    Effect.gen(function*() {
      let whole = 0
      let most = 0
      const queues = Array.from({ length: 32 }, (_, n) => `q${n}`)
      const jobs = yield* Jobs.Jobs
      yield* Greet.enqueue({ name: "a" })
      const record = (yield* jobs.query({})).records[0]!
      const counting: Jobs.Shape = {
        ...jobs,
        query: (query) =>
          Effect.sync(() => {
            most = Math.max(most, ++whole)
            return {
              cursor: Option.none(),
              looked: undefined,
              records: [{
                ...record,
                queue: query.queue!,
                get payload() {
                  whole--
                  return "{}"
                }
              }]
            }
          }).pipe(Effect.andThen((page) => Effect.as(Effect.yieldNow, page)))
      }
      const { records } = yield* Visible.page(counting, { read: (reading) => reading }, queues, {}).pipe(
        Effect.provideService(
          HttpServerRequest.HttpServerRequest,
          HttpServerRequest.fromWeb(new Request("http://127.0.0.1"))
        )
      )
      assert.strictEqual(records.length, 32)
      assert.isAtMost(most, 4)
    }).pipe(Effect.provide(Layer.provideMerge(Jobs.layer, JobStore.layerMemory())), Effect.scoped))

  it.live("give their turn to others when whoever asked has gone", () =>
    Effect.gen(function*() {
      const { gate, queries, store } = held()
      const { ask } = yield* serve({ store })
      const count = ask("operator", "/records/count?action=cancel&tag=Greet")
      const gone = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 20 }), () => count, { concurrency: "unbounded", discard: true })
      )
      /** How many read when so many do, or when it has been too long. */
      const reading = (many: number) =>
        Effect.map(
          Effect.repeat(Effect.sleep("5 millis"), { until: () => Effect.succeed(queries.now === many), times: 1000 }),
          () => queries.now
        )
      assert.strictEqual(yield* reading(4), 4)
      yield* Fiber.interrupt(gone)
      const left = yield* reading(0)
      // First: the server does not close while one reads.
      yield* gate.open
      assert.strictEqual(left, 0)
      assert.strictEqual((yield* count).status, 200)
    }).pipe(Effect.scoped))
})
