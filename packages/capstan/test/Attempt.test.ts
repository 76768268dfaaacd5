import { assert, describe, it } from "@effect/vitest"
import { Job, JobContext, JobError, JobGroup, JobMiddleware, Jobs, JobSchedule, JobStore, JobWorker } from "capstan"
import { Context, Effect, Exit, Fiber, Latch, Layer, Option, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { recordOf, settle, withOnly, withWorker } from "./harness.ts"

const storeOnly = Layer.provideMerge(Jobs.layer, JobStore.layerMemory())

class Tenant extends Context.Service<Tenant, string>()("test/Tenant") {}
class WithTenant extends JobMiddleware.Service<WithTenant, { readonly provides: Tenant }>()("WithTenant") {}
class Named extends Job.make("Named", { payload: Schema.String, success: Schema.String }) {}

describe("await", () => {
  class Answer extends Job.make("Answer", { payload: Schema.Number, success: Schema.NullOr(Schema.Unknown) }) {}
  const values = [0, false, "", null, { a: [undefined] }]
  const layer = withWorker(JobGroup.make(Answer), Answer.toLayer((i) => Effect.succeed(values[i])))

  it.effect("falsy results arrive exactly", () =>
    Effect.gen(function*() {
      for (const i of [0, 1, 2, 3]) assert.strictEqual(yield* Answer.run(i), values[i])
    }).pipe(Effect.provide(layer)))

  it.effect("poll answers None before the end and the exit after it", () =>
    Effect.gen(function*() {
      const handle = yield* Answer.enqueue(1, { delay: "1 minute" })
      assert.deepStrictEqual(yield* handle.poll, Option.none())
      yield* settle
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* Answer.handle(handle.id).poll, Option.some(Exit.succeed(false)))
    }).pipe(Effect.provide(layer)))

  it.effect("a timeout is typed, and the record goes on", () =>
    Effect.gen(function*() {
      const handle = yield* Answer.enqueue(1, { delay: "1 minute" })
      const fiber = yield* Effect.forkChild(Effect.flip(handle.awaitFor("10 seconds")))
      yield* settle
      yield* TestClock.adjust("10 seconds")
      assert.isTrue((yield* Fiber.join(fiber)) instanceof JobError.AwaitTimedOut)
      yield* TestClock.adjust("50 seconds")
      assert.strictEqual(yield* handle.await, false)
    }).pipe(Effect.provide(layer)))

  it.effect("an id that no record has, and a record that is deleted during the wait, are told apart", () =>
    Effect.gen(function*() {
      const never = yield* Effect.flip(Answer.handle("00000000-0000-7000-8000-000000000000").await)
      assert.strictEqual((never as JobError.JobGone).reason, "NotFound")
      const handle = yield* Answer.enqueue(1, { delay: "1 minute" })
      const fiber = yield* Effect.forkChild(Effect.flip(handle.await))
      yield* settle
      const jobs = yield* Jobs.Jobs
      assert.strictEqual((yield* jobs.delete({ ids: [handle.id] })).changed, 1)
      assert.strictEqual((yield* Fiber.join(fiber) as Effect.Effect<JobError.JobGone>).reason, "Deleted")
    }).pipe(Effect.provide(layer)))

  it.effect("a stored result that does not decode is Unreadable", () => {
    const Before = Job.make("Result", { success: Schema.String })
    const After = Job.make("Result", { success: Schema.Number })
    return Effect.gen(function*() {
      const { id } = yield* Before.enqueue()
      yield* settle
      const error = yield* Effect.flip(After.handle(id).await)
      assert.strictEqual((error as JobError.JobGone).reason, "Unreadable")
    }).pipe(Effect.provide(withWorker(JobGroup.make(Before), Before.toLayer(() => Effect.succeed("text")))))
  })

  it.effect("interrupting the wait does not cancel the record", () =>
    Effect.gen(function*() {
      const handle = yield* Answer.enqueue(0, { delay: "1 second" })
      const fiber = yield* Effect.forkChild(handle.await)
      yield* settle
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* handle.await, 0)
    }).pipe(Effect.provide(layer)))
})

describe("an attempt", () => {
  it.effect("reports progress, typed, and logs lines that are bounded", () => {
    class Import extends Job.make("Import", { progress: Schema.Struct({ done: Schema.Number }) }) {}
    const gate = Latch.makeUnsafe(false)
    const handler = Effect.gen(function*() {
      const { log } = yield* JobContext.JobContext
      yield* Import.progress({ done: 1 })
      for (let i = 0; i < 150; i++) yield* log(`line ${i} ${"x".repeat(i === 0 ? 3000 : 0)}`)
      yield* gate.await
      yield* Import.progress({ done: 2 })
    })
    return Effect.gen(function*() {
      const handle = yield* Import.enqueue()
      const fiber = yield* Effect.forkChild(Stream.runCollect(handle.progress))
      yield* settle
      yield* gate.open
      yield* settle
      const record = yield* recordOf(handle.id)
      assert.strictEqual(record.logs.length, 100)
      assert.strictEqual(record.logs[0]!.message.length, 2001)
      assert.include(record.logs[99]!.message, "only the first 99 lines")
      assert.strictEqual(record.progress, `{"done":2}`)
      // The second was reported in the attempt's last instant: it arrives with the end.
      assert.deepStrictEqual([...yield* Fiber.join(fiber)], [{ done: 1 }, { done: 2 }])
    }).pipe(Effect.provide(withWorker(JobGroup.make(Import), Import.toLayer(() => handler))))
  })

  it.effect("has the same idempotency key in every attempt, and its own fence", () => {
    class Key extends Job.make("Key") {}
    const keys: Array<string> = []
    const fences: Array<number> = []
    const handler = Effect.flatMap(JobContext.JobContext, ({ attempt, fence, idempotencyKey }) => {
      keys.push(idempotencyKey)
      fences.push(fence)
      return attempt < 3 ? Effect.die("again") : Effect.void
    })
    return Effect.gen(function*() {
      const { id } = yield* Key.enqueue()
      yield* settle
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(keys, [id, id, id])
      assert.isTrue(fences[0]! < fences[1]! && fences[1]! < fences[2]!)
    }).pipe(Effect.provide(withWorker(JobGroup.make(Key), Key.toLayer(() => handler))))
  })

  it.effect("what a handler throws is a defect of the attempt", () => {
    class Bad extends Job.make("Bad", { maxAttempts: 1 }) {}
    return Effect.gen(function*() {
      const { id } = yield* Bad.enqueue()
      yield* settle
      const record = yield* recordOf(id)
      assert.strictEqual(record.deadReason, "Defect")
      assert.strictEqual(record.failures[0]?.message, "thrown")
    }).pipe(Effect.provide(withWorker(
      JobGroup.make(Bad),
      Bad.toLayer((): Effect.Effect<void> => {
        throw new Error("thrown")
      })
    )))
  })

  it.effect("a middleware gives a service and sees the payload", () => {
    const group = JobGroup.make(Named).middleware(WithTenant)
    const middleware = Layer.succeed(
      WithTenant,
      (attempt, { payload }) => Effect.provideService(attempt, Tenant, `tenant of ${String(payload)}`)
    )
    const handlers = group.toLayer({ Named: () => Effect.map(Tenant, (tenant) => `hello ${tenant}`) }).pipe(
      Layer.provide(middleware)
    )
    return Effect.gen(function*() {
      assert.strictEqual(yield* Named.run("x"), "hello tenant of x")
    }).pipe(Effect.provide(withWorker(group, handlers)))
  })
})

describe("cancel", () => {
  class Long extends Job.make("Long") {}
  const group = JobGroup.make(Long)

  it.effect("answers Cancelled, Requested, Settled and NotFound", () => {
    let finalized = 0
    const handler = Effect.never.pipe(Effect.ensuring(Effect.sync(() => finalized++)))
    return Effect.gen(function*() {
      const reason = { reason: "test" }
      const waiting = yield* Long.enqueue(undefined, { delay: "1 minute" })
      assert.strictEqual(yield* waiting.cancel(reason), "Cancelled")
      assert.strictEqual(yield* waiting.cancel(reason), "Settled")
      const running = yield* Long.enqueue()
      yield* settle
      assert.strictEqual(yield* running.cancel(reason), "Requested")
      yield* settle
      assert.strictEqual((yield* recordOf(running.id)).state, "cancelled")
      assert.strictEqual(finalized, 1)
      assert.strictEqual(yield* Long.handle("no-such-id").cancel(reason), "NotFound")
    }).pipe(Effect.provide(withWorker(group, Long.toLayer(() => handler))))
  })

  it.effect("a handler that succeeds before the interruption reaches it is completed", () => {
    const gate = Latch.makeUnsafe(false)
    return Effect.gen(function*() {
      const { cancel, id } = yield* Long.enqueue()
      yield* settle
      yield* gate.open
      assert.strictEqual(yield* cancel({ reason: "too late" }), "Requested")
      yield* settle
      assert.strictEqual((yield* recordOf(id)).state, "completed")
    }).pipe(Effect.provide(withWorker(group, Long.toLayer(() => gate.await))))
  })

  it.effect("a timed-out attempt that cannot be interrupted frees its slot after interruptGrace", () => {
    class Stuck extends Job.make("Stuck", { timeout: "10 seconds", maxAttempts: 1 }) {}
    const gate = Latch.makeUnsafe(false)
    return Effect.gen(function*() {
      const { id } = yield* Stuck.enqueue()
      yield* settle
      yield* TestClock.adjust("14 seconds")
      assert.strictEqual((yield* recordOf(id)).state, "running")
      yield* TestClock.adjust("1 second")
      const record = yield* recordOf(id)
      assert.strictEqual(record.deadReason, "TimedOut")
      const { abandoned, running } = yield* (yield* JobWorker.JobWorker).health
      assert.deepStrictEqual({ abandoned, running }, { abandoned: 1, running: 0 })
      yield* gate.open
      yield* settle
      assert.strictEqual((yield* recordOf(id)).state, "dead")
    }).pipe(Effect.provide(withWorker(JobGroup.make(Stuck), Stuck.toLayer(() => Effect.uninterruptible(gate.await)))))
  })
})

describe("a worker", () => {
  class Slow extends Job.make("Slow", { payload: Schema.Number, queue: "slow" }) {}
  class Fast extends Job.make("Fast", { payload: Schema.Number, queue: "fast" }) {}

  it.effect("closes: what runs gets its grace, is interrupted, given back, and charged no attempt", () => {
    let finalized = 0
    const handler = Effect.never.pipe(Effect.ensuring(Effect.sync(() => finalized++)))
    return Effect.gen(function*() {
      const scope = yield* Scope.make()
      const worker = withOnly(JobGroup.make(Slow), Slow.toLayer(() => handler), { shutdownGrace: "10 seconds" })
      yield* Layer.buildWithScope(worker, scope)
      const { id } = yield* Slow.enqueue(1)
      yield* settle
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* settle
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual((yield* recordOf(id)).state, "running")
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      const record = yield* recordOf(id)
      assert.strictEqual(record.state, "ready")
      assert.strictEqual(record.attempt, 0)
      assert.strictEqual(finalized, 1)
    }).pipe(Effect.provide(storeOnly))
  })

  it.effect("of two workers, one busy for a second, the other starts every ready record at once", () => {
    const started: Array<number> = []
    const hold = Effect.sleep("1 second")
    return Effect.gen(function*() {
      const worker = withOnly(
        JobGroup.make(Slow),
        Slow.toLayer((n) => n < 100 ? hold : Effect.sync(() => void started.push(n))),
        { concurrency: 2 }
      )
      yield* Layer.build(worker)
      for (let n = 100; n < 400; n++) yield* Slow.enqueue(n)
      yield* settle
      started.length = 0
      yield* Slow.enqueue(1)
      yield* Slow.enqueue(2)
      yield* settle
      yield* Layer.build(worker)
      for (let n = 500; n < 540; n++) yield* Slow.enqueue(n)
      yield* settle
      yield* TestClock.adjust(20)
      assert.strictEqual(started.length, 40)
    }).pipe(Effect.provide(storeOnly))
  })

  it.effect("a queue's cap holds, and can be changed while it runs", () => {
    let running = 0
    let most = 0
    const hold = Effect.acquireUseRelease(
      Effect.sync(() => (most = Math.max(most, ++running))),
      () => Effect.sleep("1 second"),
      () => Effect.sync(() => running--)
    ).pipe(Effect.asVoid)
    const group = JobGroup.make(Slow, Fast)
    return Effect.gen(function*() {
      yield* Slow.enqueueMany(Array.from({ length: 20 }, (_, i) => i))
      yield* settle
      assert.strictEqual(most, 3)
      yield* (yield* JobWorker.JobWorker).resize({ queues: { slow: { concurrency: 5 } } })
      yield* settle
      assert.strictEqual(most, 5)
    }).pipe(Effect.provide(withWorker(group, group.toLayer({ Slow: () => hold, Fast: () => hold }), {
      concurrency: 10,
      queues: { slow: { concurrency: 3 } }
    })))
  })

  it.effect("weights share what is contended", () => {
    const order: Array<string> = []
    const group = JobGroup.make(Slow, Fast)
    const note = (name: string) => Effect.andThen(Effect.sync(() => void order.push(name)), Effect.sleep("1 second"))
    return Effect.gen(function*() {
      yield* Slow.enqueueMany(Array.from({ length: 100 }, (_, i) => i))
      yield* Fast.enqueueMany(Array.from({ length: 100 }, (_, i) => i))
      yield* Layer.build(withOnly(group, group.toLayer({ Slow: () => note("slow"), Fast: () => note("fast") }), {
        concurrency: 4,
        queues: { fast: { weight: 3 }, slow: { weight: 1 } }
      }))
      yield* settle
      for (let i = 0; i < 9; i++) yield* TestClock.adjust("1 second")
      assert.strictEqual(order.length, 40)
      assert.strictEqual(order.filter((name) => name === "fast").length, 30)
    }).pipe(Effect.provide(storeOnly))
  })

  it.effect("strict order takes from a queue only what those before it left", () => {
    const order: Array<string> = []
    const group = JobGroup.make(Slow, Fast)
    const note = (name: string) => Effect.andThen(Effect.sync(() => void order.push(name)), Effect.sleep("1 second"))
    return Effect.gen(function*() {
      yield* Slow.enqueueMany(Array.from({ length: 6 }, (_, i) => i))
      yield* Fast.enqueueMany(Array.from({ length: 6 }, (_, i) => i))
      yield* Layer.build(withOnly(group, group.toLayer({ Slow: () => note("slow"), Fast: () => note("fast") }), {
        concurrency: 4,
        order: "strict",
        queues: { fast: {}, slow: {} }
      }))
      yield* settle
      for (let i = 0; i < 3; i++) yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(order, [...Array(6).fill("fast"), ...Array(6).fill("slow")])
    }).pipe(Effect.provide(storeOnly))
  })

  it.live("of handlers that end at once lets the rest of the process run", () => {
    let turns = 0
    let ran = 0
    const count = 50_000
    const group = JobGroup.make(Slow)
    return Effect.gen(function*() {
      yield* Slow.enqueueMany(Array.from({ length: count }, (_, i) => i))
      const turn = () => {
        turns++
        if (ran < count) setImmediate(turn)
      }
      setImmediate(turn)
      const done = yield* Latch.make()
      const handler = Slow.toLayer(() => Effect.sync(() => void (++ran === count && done.openUnsafe())))
      yield* Layer.build(withOnly(group, handler))
      yield* done.await
      // It keeps the thread for 4 ms at a time, and 50,000 attempts take far more than ten times that.
      assert.isAbove(turns, 10)
    }).pipe(Effect.scoped, Effect.provide(storeOnly))
  })

  it.effect("says that it is ready, and refuses options that cannot be meant", () => {
    const group = JobGroup.make(Slow)
    const layer = Slow.toLayer(() => Effect.void)
    return Effect.gen(function*() {
      const worker = yield* JobWorker.JobWorker
      yield* worker.awaitReady
      assert.strictEqual((yield* worker.health).status, "ready")
      const exit = yield* Effect.exit(Layer.build(withOnly(group, layer, { queues: { nope: {} } as {} })))
      assert.isTrue(Exit.isFailure(exit))
      assert.throws(() => JobGroup.make(Slow, Slow), /two jobs with the tag Slow/)
      assert.throws(() => Job.make("bad tag!"), /must start with a letter/)
    }).pipe(Effect.provide(withWorker(group, layer)))
  })
})

describe("keys", () => {
  it.effect("records of one concurrency key never run beyond its limit", () => {
    let running = 0
    let most = 0
    class PerTenant extends Job.make("PerTenant", {
      payload: Schema.String,
      concurrency: { key: (tenant) => tenant, limit: 2 }
    }) {}
    const hold = Effect.acquireUseRelease(
      Effect.sync(() => (most = Math.max(most, ++running))),
      () => Effect.sleep("1 second"),
      () => Effect.sync(() => running--)
    ).pipe(Effect.asVoid)
    return Effect.gen(function*() {
      yield* PerTenant.enqueueMany(Array.from({ length: 10 }, () => "a"))
      yield* settle
      for (let i = 0; i < 5; i++) yield* TestClock.adjust("1 second")
      assert.strictEqual(most, 2)
      const jobs = yield* Jobs.Jobs
      assert.strictEqual((yield* jobs.stats).queues[0]!.counts.completed, 10)
    }).pipe(Effect.provide(withWorker(JobGroup.make(PerTenant), PerTenant.toLayer(() => hold))))
  })

  it.effect("startBefore expires what could not start in time", () => {
    class Offer extends Job.make("Offer", { startBefore: "1 minute" }) {}
    return Effect.gen(function*() {
      const jobs = yield* Jobs.Jobs
      yield* jobs.pause("default")
      const { id } = yield* Offer.enqueue()
      yield* settle
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* recordOf(id)).deadReason, "Expired")
    }).pipe(Effect.provide(withWorker(JobGroup.make(Offer), Offer.toLayer(() => Effect.void))))
  })
})

describe("JobSchedule", () => {
  it.effect("enqueues one record per planned instant", () => {
    class Report extends Job.make("Report", { payload: Schema.Number }) {}
    const at: Array<number> = []
    return Effect.gen(function*() {
      yield* Layer.build(JobSchedule.layer(Report, { cron: "0 * * * *", payload: ({ at }) => at }))
      // A second process with the same schedule.
      yield* Layer.build(Layer.fresh(JobSchedule.layer(Report, { cron: "0 * * * *", payload: ({ at }) => at })))
      yield* settle
      for (let i = 0; i < 3; i++) yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(at, [3_600_000, 7_200_000, 10_800_000])
    }).pipe(
      Effect.provide(withWorker(JobGroup.make(Report), Report.toLayer((n) => Effect.sync(() => void at.push(n)))))
    )
  })

  it.effect("refuses an expression that is none", () =>
    Effect.sync(() => {
      const Report = Job.make("Report")
      assert.throws(() => JobSchedule.layer(Report, { cron: "not cron", payload: undefined }), /is no cron expression/)
    }))
})
