/**
 * What a worker counts and says: each metric with a value, and the annotations of its logs.
 */
import { TransactionalMemory } from "@capstan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobBatch, JobError, JobGroup, Jobs, JobSchedule, JobStore } from "capstan"
import { Effect, Latch, Layer, Logger, Metric, References, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { metrics } from "../src/internal/metrics.ts"
import { recordOf, settle, storeWith, withOnly, withWorker } from "./harness.ts"

class Busy extends Schema.TaggedError<Busy>()("Busy", {}) {}
class Task extends Job.make("Counted", {
  payload: Schema.Number,
  error: Busy,
  queue: "counted",
  retry: Schedule.spaced("1 second"),
  retryDefects: Schedule.spaced("1 second"),
  maxAttempts: 3,
  timeout: "infinite"
}) {}
const group = JobGroup.make(Task)
const of = { queue: "counted", job: "Counted" }

/** Each test counts from zero. */
const counted = <A, E, R>(test: () => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => Effect.provideService(test(), Metric.MetricRegistry, new Map()))

const count = (series: Metric.Metric<never, { readonly count: number | bigint }>) =>
  Effect.map(Metric.value(series), ({ count }) => Number(count))

const storeOnly = Layer.provideMerge(Jobs.layer, JobStore.layerMemory())

describe("a worker counts", () => {
  it.effect("attempts by what was decided, and failures by error tag", () =>
    counted(() =>
      Effect.gen(function*() {
        const fail = [Effect.fail(new Busy()), Effect.die(new TypeError("no")), Effect.fail(new Busy())]
        let runs = 0
        yield* Layer.build(withOnly(group, Task.toLayer((n) => n === 0 ? Effect.void : fail[runs++]!)))
        yield* Task.enqueueMany([0, 0, 1])
        yield* settle
        yield* TestClock.adjust("2 seconds")
        const attempts = (decision: string) => count(metrics.attempts({ ...of, decision }))
        const failures = (error: string) => count(metrics.failures({ ...of, error }))
        assert.deepStrictEqual(yield* Effect.all(["completed", "retried", "dead", "lost"].map(attempts)), [2, 2, 1, 0])
        assert.deepStrictEqual(yield* Effect.all(["Busy", "TypeError"].map(failures)), [2, 1])
      }).pipe(Effect.provide(storeOnly))
    ))

  it.effect("an attempt that commits its own completion as completed", () => {
    class Pay extends Job.make("Paid", {}) {}
    return counted(() =>
      Effect.gen(function*() {
        yield* Layer.build(withOnly(JobGroup.make(Pay), Pay.toLayer(() => Pay.commit(Effect.void))))
        yield* Pay.run()
        const attempts = (decision: string) => count(metrics.attempts({ queue: "default", job: "Paid", decision }))
        assert.deepStrictEqual(yield* Effect.all(["completed", "lost"].map(attempts)), [1, 0])
      }).pipe(Effect.provide(TransactionalMemory.layer()))
    )
  })

  it.effect("the dead by reason, also those that the store decides", () => {
    class Offer extends Job.make("Offer", { queue: "counted", startBefore: "1 minute" }) {}
    return counted(() =>
      Effect.gen(function*() {
        const jobs = yield* Jobs.Jobs
        yield* Layer.build(withOnly(
          JobGroup.make(Task, Offer),
          Layer.merge(
            Task.toLayer((n) => n === 0 ? Effect.fail(new Busy()) : Effect.die("no")),
            Offer.toLayer(() => Effect.void)
          )
        ))
        yield* Task.enqueueMany([0, 0, 1])
        yield* settle
        yield* TestClock.adjust("5 seconds")
        yield* jobs.pause("counted")
        yield* Offer.enqueue()
        yield* TestClock.adjust("1 minute")
        const dead = (attributes: Parameters<typeof metrics.dead>[0]) => count(metrics.dead(attributes))
        assert.strictEqual(yield* dead({ ...of, reason: "Failed" }), 2)
        assert.strictEqual(yield* dead({ ...of, reason: "Defect" }), 1)
        assert.strictEqual(yield* dead({ reason: "Expired" }), 1)
      }).pipe(Effect.provide(storeOnly))
    )
  })

  it.effect("records that it takes from workers that died", () =>
    counted(() =>
      Effect.gen(function*() {
        const store = yield* JobStore.JobStore
        const { id } = yield* Task.enqueue(0)
        const crash = Effect.gen(function*() {
          const demand = [{ queue: "counted", slots: 1, share: 1 }]
          yield* store.exchange({ worker: "ghost", lease: 1000, settlements: [], demand, total: 1 })
          yield* TestClock.adjust("1 second")
        })
        for (let i = 0; i < 2; i++) yield* Effect.andThen(crash, store.maintain)
        yield* crash
        // The third crash is found by a worker.
        yield* Layer.build(withOnly(group, Task.toLayer(() => Effect.void)))
        yield* settle
        assert.strictEqual((yield* recordOf(id)).deadReason, "Crashed")
        const crashes = (decision: string) => count(metrics.crashes({ decision }))
        assert.deepStrictEqual(yield* Effect.all(["rescued", "dead"].map(crashes)), [0, 1])
        assert.strictEqual(yield* count(metrics.dead({ reason: "Crashed" })), 1)
      }).pipe(Effect.provide(storeOnly))
    ))

  it.effect("lost leases, and attempts that it gave up", () => {
    const away = new JobError.JobStoreError({ reason: new JobError.Unavailable({ operation: "any", detail: "test" }) })
    let isAway = false
    const guarded = <A>(call: Effect.Effect<A, JobError.JobStoreError>) =>
      Effect.suspend(() => isAway ? Effect.fail(away) : call)
    const fragile = storeWith((store) => ({
      exchange: (request) => guarded(store.exchange(request)),
      renew: (request) => guarded(store.renew(request)),
      maintain: guarded(store.maintain)
    }))
    return counted(() =>
      Effect.gen(function*() {
        const gate = yield* Latch.make()
        yield* Layer.build(
          withOnly(group, Task.toLayer((n) => n === 0 ? Effect.never : Effect.uninterruptible(gate.await)))
        )
        yield* Task.enqueueMany([0, 0, 1])
        yield* settle
        isAway = true
        yield* TestClock.adjust("40 seconds")
        assert.strictEqual(yield* count(metrics.leaseLosses(of)), 3)
        assert.strictEqual(yield* count(metrics.abandoned(of)), 1)
        assert.strictEqual(yield* count(metrics.attempts({ ...of, decision: "lost" })), 3)
        isAway = false
        yield* gate.open
      }).pipe(Effect.scoped, Effect.provide(fragile))
    )
  })
})

describe("a worker measures", () => {
  it.effect("how long a record waited, and how long its attempt ran, in seconds", () =>
    counted(() =>
      Effect.gen(function*() {
        yield* Task.enqueue(0)
        yield* TestClock.adjust("7 seconds")
        yield* Layer.build(withOnly(group, Task.toLayer(() => Effect.sleep("3 seconds"))))
        yield* settle
        yield* TestClock.adjust("3 seconds")
        const seen = ({ count, max, min }: Metric.HistogramState) => [count, min, max]
        assert.deepStrictEqual(seen(yield* Metric.value(metrics.waited(of))), [1, 7, 7])
        assert.deepStrictEqual(seen(yield* Metric.value(metrics.ran(of))), [1, 3, 3])
      }).pipe(Effect.provide(storeOnly))
    ))

  it.effect("its exchanges with the store: how many records, how many seconds", () => {
    let exchanges = 0
    const slow = storeWith((store) => ({
      exchange: (request) => Effect.delay(Effect.suspend(() => (exchanges++, store.exchange(request))), "2 seconds")
    }))
    return counted(() =>
      Effect.gen(function*() {
        yield* Task.enqueueMany([0, 0, 0])
        yield* Layer.build(withOnly(group, Task.toLayer(() => Effect.void)))
        yield* settle
        yield* TestClock.adjust("20 seconds")
        const size = yield* Metric.value(metrics.exchangeSize({}))
        // Three claims and three settlements.
        assert.deepStrictEqual([size.count, size.sum, size.max], [exchanges, 6, 3])
        const time = yield* Metric.value(metrics.exchangeTime({}))
        assert.deepStrictEqual([time.count, time.min, time.max], [exchanges, 2, 2])
      }).pipe(Effect.provide(slow))
    )
  })
})

describe("Jobs.layerMetrics", () => {
  it.effect("shows depth by queue and state, and the age of the oldest ready record", () =>
    counted(() =>
      Effect.gen(function*() {
        yield* Layer.build(Jobs.layerMetrics({ interval: "10 seconds" }))
        yield* Task.enqueueMany([0, 0])
        yield* Task.enqueue(0, { delay: "1 hour" })
        yield* TestClock.adjust("10 seconds")
        const depth = (state: string) =>
          Effect.map(Metric.value(metrics.records({ queue: "counted", state })), (s) => s.value)
        const oldest = Effect.map(Metric.value(metrics.oldestReady({ queue: "counted" })), ({ value }) => value)
        assert.deepStrictEqual(yield* Effect.all(["ready", "scheduled", "dead"].map(depth)), [2, 1, 0])
        assert.strictEqual(yield* oldest, 10)
        yield* (yield* Jobs.Jobs).drain("counted")
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(yield* Effect.all(["ready", "scheduled", "cancelled"].map(depth)), [0, 0, 3])
        assert.strictEqual(yield* oldest, 0)
      }).pipe(Effect.scoped, Effect.provide(storeOnly))
    ))

  it.effect("goes on after the store was away", () => {
    let isAway = true
    const away = new JobError.JobStoreError({
      reason: new JobError.Unavailable({ operation: "stats", detail: "test" })
    })
    const fragile = storeWith((store) => ({ stats: Effect.suspend(() => isAway ? Effect.fail(away) : store.stats) }))
    return counted(() =>
      Effect.gen(function*() {
        yield* Layer.build(Jobs.layerMetrics())
        yield* Task.enqueue(0)
        yield* TestClock.adjust("15 seconds")
        isAway = false
        yield* TestClock.adjust("15 seconds")
        const { value } = yield* Metric.value(metrics.records({ queue: "counted", state: "ready" }))
        assert.strictEqual(value, 1)
      }).pipe(Effect.scoped, Effect.provide(fragile))
    )
  })
})

describe("a schedule measures", () => {
  it.effect("how late it enqueued", () =>
    counted(() =>
      Effect.gen(function*() {
        yield* Effect.scoped(Effect.andThen(
          Layer.build(JobSchedule.layer(Task, { cron: "0 * * * *", payload: 0, name: "hourly" })),
          settle
        ))
        // Nobody runs it for two hours and a half.
        yield* TestClock.adjust("150 minutes")
        yield* Layer.build(Layer.fresh(JobSchedule.layer(Task, { cron: "0 * * * *", payload: 0, name: "hourly" })))
        yield* settle
        yield* TestClock.adjust("30 minutes")
        const { count, max, min } = yield* Metric.value(metrics.lateness({ schedule: "hourly", job: "Counted" }))
        assert.deepStrictEqual([count, min, max], [2, 0, 1800])
      }).pipe(Effect.scoped, Effect.provide(storeOnly))
    ))
})

describe("a handler's logs", () => {
  it.effect("are annotated with the job, the record and the attempt", () => {
    const seen: Array<Readonly<Record<string, unknown>>> = []
    const logger = Logger.make(({ fiber }) => void seen.push(fiber.getRef(References.CurrentLogAnnotations)))
    const handler = Effect.andThen(
      Effect.logInfo("working"),
      Effect.suspend(() => seen.length < 2 ? Effect.die("no") : Effect.void)
    )
    return Effect.gen(function*() {
      const { id } = yield* Task.enqueue(0)
      yield* settle
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(
        seen,
        [1, 2].map((attempt) => ({
          "capstan.job": "Counted",
          "capstan.id": id,
          "capstan.attempt": attempt
        }))
      )
    }).pipe(Effect.provide(Layer.provide(withWorker(group, Task.toLayer(() => handler)), Logger.layer([logger]))))
  })

  it.effect("keep the annotations of the program, those of a batch too", () => {
    class Bulk extends JobBatch.make("Bulk", { batch: { size: 2, within: "1 second" } }) {}
    const seen: Array<Readonly<Record<string, unknown>>> = []
    const logger = Logger.make(({ fiber }) => void seen.push(fiber.getRef(References.CurrentLogAnnotations)))
    const handlers = Layer.merge(
      Task.toLayer(() => Effect.logInfo("working")),
      Bulk.toLayer((members) => JobBatch.each(members, () => Effect.void).pipe(Effect.tap(Effect.logInfo("working"))))
    )
    const program = Effect.gen(function*() {
      yield* Layer.build(withOnly(JobGroup.make(Task, Bulk), handlers))
      const { id } = yield* Task.enqueue(0)
      yield* Bulk.enqueueMany([undefined, undefined])
      yield* settle
      assert.deepStrictEqual(seen, [
        { service: "billing", "capstan.job": "Counted", "capstan.id": id, "capstan.attempt": 1 },
        { service: "billing", "capstan.job": "Bulk", "capstan.batch.size": 2 }
      ])
    })
    return program.pipe(
      Effect.annotateLogs("service", "billing"),
      Effect.scoped,
      Effect.provide([storeOnly, Logger.layer([logger])])
    )
  })
})
