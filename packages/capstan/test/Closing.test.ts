/**
 * The end of a worker (P9): bounded in time whatever its handlers and its store do, and nothing is lost.
 */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobBatch, JobError, JobGroup, Jobs, JobStore, JobWorker } from "capstan"
import { Clock, Context, Effect, Exit, Fiber, Latch, Layer, Logger, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import { recordOf, settle, storeWith, withOnly } from "./harness.ts"

class Task extends Job.make("Task", { timeout: "infinite" }) {}
class Bulk extends JobBatch.make("Bulk", {
  payload: { n: Schema.Int },
  timeout: "infinite",
  batch: { size: 3, within: "1 second" }
}) {}
const group = JobGroup.make(Task)
const storeOnly = Layer.provideMerge(Jobs.layer, JobStore.layerMemory())
const now = Clock.currentTimeMillis

const graces = { shutdownGrace: "15 seconds", interruptGrace: "5 seconds" } as const

/** A worker for the handler, and how to close it: answers how long that took. */
const start = (
  handler: Effect.Effect<void, JobError.EnqueueError | JobError.JobStoreError>,
  options?: JobWorker.Options
) => opened(withOnly(group, Task.toLayer(() => handler), { ...graces, ...options }))

const opened = <R>(layer: Layer.Layer<JobWorker.JobWorker, never, R>) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const built = yield* Layer.buildWithScope(layer, scope)
    const close = Effect.gen(function*() {
      const before = yield* now
      yield* Scope.close(scope, Exit.void)
      return (yield* now) - before
    })
    return { worker: Context.get(built, JobWorker.JobWorker), close: Effect.forkChild(close) }
  })

describe("a worker that closes", () => {
  it.effect("completes what ends within the grace, and does not wait for longer", () =>
    Effect.gen(function*() {
      const { close } = yield* start(Effect.sleep("10 seconds"))
      const { id } = yield* Task.enqueue()
      yield* settle
      const closing = yield* close
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(yield* Fiber.join(closing), 10_000)
      const { attempt, state } = yield* recordOf(id)
      assert.deepStrictEqual([state, attempt], ["completed", 1])
    }).pipe(Effect.provide(storeOnly)))

  it.effect("waits until the store has taken the last settlement", () => {
    const slow = storeWith((store) => ({ exchange: (request) => Effect.delay(store.exchange(request), "2 seconds") }))
    return Effect.gen(function*() {
      const { close } = yield* start(Effect.sleep("10 seconds"))
      const { id } = yield* Task.enqueue()
      yield* TestClock.adjust("5 seconds")
      const closing = yield* close
      yield* TestClock.adjust("20 seconds")
      yield* Fiber.join(closing)
      assert.strictEqual((yield* recordOf(id)).state, "completed")
    }).pipe(Effect.provide(slow))
  })

  it.effect("claims nothing more", () =>
    Effect.gen(function*() {
      let runs = 0
      const { close } = yield* start(Effect.andThen(Effect.sync(() => runs++), Effect.sleep("10 seconds")), {
        concurrency: 2
      })
      yield* Task.enqueue()
      yield* settle
      const closing = yield* close
      yield* settle
      const { id } = yield* Task.enqueue()
      yield* TestClock.adjust("20 seconds")
      yield* Fiber.join(closing)
      assert.strictEqual(runs, 1)
      assert.strictEqual((yield* recordOf(id)).state, "ready")
    }).pipe(Effect.provide(storeOnly)))

  it.effect("gives an interrupted handler interruptGrace for its finalizers, then gives the record back", () => {
    const warnings: Array<unknown> = []
    const logger = Logger.make(({ message }) => void warnings.push(message))
    const finalized: Array<number> = []
    const finalizer = Effect.andThen(Effect.sleep("4 seconds"), Effect.map(now, (at) => finalized.push(at)))
    return Effect.gen(function*() {
      const { close, worker } = yield* start(Effect.ensuring(Effect.never, finalizer))
      const { id } = yield* Task.enqueue()
      yield* settle
      const closing = yield* close
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(closing), 19_000)
      assert.deepStrictEqual(finalized, [19_000])
      const { attempt, attempts, state } = yield* recordOf(id)
      assert.deepStrictEqual([state, attempt, attempts], ["ready", 0, []])
      assert.strictEqual((yield* worker.health).abandoned, 0)
      assert.deepStrictEqual(warnings, [])
    }).pipe(Effect.provide(storeOnly), Effect.provide(Logger.layer([logger])))
  })

  it.effect("gives up what cannot be interrupted: counted, warned of, and given back uncharged", () => {
    const warnings: Array<string> = []
    const logger = Logger.make(({ message }) => void warnings.push(JSON.stringify(message)))
    const gate = Latch.makeUnsafe(false)
    return Effect.gen(function*() {
      const { close, worker } = yield* start(Effect.uninterruptible(gate.await))
      const { id } = yield* Task.enqueue()
      yield* settle
      const closing = yield* close
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(closing), 20_000)
      const { attempt, state } = yield* recordOf(id)
      assert.deepStrictEqual([state, attempt], ["ready", 0])
      const { abandoned, running, status } = yield* worker.health
      assert.deepStrictEqual({ abandoned, running, status }, { abandoned: 1, running: 0, status: "stopped" })
      assert.strictEqual(warnings.length, 1)
      assert.include(warnings[0]!, "1 attempts could not be interrupted within 5000 ms")
      assert.include(warnings[0]!, id)
      // What it still does counts no more: another attempt may run.
      const next = yield* start(Effect.void)
      yield* settle
      yield* gate.open
      yield* settle
      assert.deepStrictEqual((yield* recordOf(id)).attempts.map(({ decision }) => decision), ["completed"])
      yield* Effect.flatMap(next.close, Fiber.join)
    }).pipe(Effect.provide(storeOnly), Effect.provide(Logger.layer([logger])))
  })

  it.effect("counts and warns of the records of a batch that cannot be interrupted, and of no other batch", () => {
    const warnings: Array<string> = []
    const logger = Logger.make(({ message }) => void warnings.push(JSON.stringify(message)))
    const gate = Latch.makeUnsafe(false)
    const closed = (handler: Effect.Effect<ReadonlyArray<never>>) =>
      Effect.gen(function*() {
        const { close, worker } = yield* opened(withOnly(JobGroup.make(Bulk), Bulk.toLayer(() => handler), graces))
        yield* settle
        const ending = yield* close
        yield* TestClock.adjust("1 minute")
        return [yield* Fiber.join(ending), (yield* worker.health).abandoned]
      })
    return Effect.gen(function*() {
      const handles = yield* Bulk.enqueueMany([{ n: 1 }, { n: 2 }, { n: 3 }])
      assert.deepStrictEqual(yield* closed(Effect.never), [15_000, 0])
      assert.deepStrictEqual(warnings, [])
      assert.deepStrictEqual(yield* closed(Effect.uninterruptible(Effect.as(gate.await, []))), [20_000, 3])
      assert.strictEqual(warnings.length, 1)
      assert.include(warnings[0]!, "3 attempts could not be interrupted within 5000 ms")
      for (const { id } of handles) {
        const { attempt, state } = yield* recordOf(id)
        assert.deepStrictEqual([state, attempt], ["ready", 0])
      }
      yield* gate.open
      yield* settle
    }).pipe(Effect.provide(storeOnly), Effect.provide(Logger.layer([logger])))
  })

  it.effect("gives back what it had claimed ahead, and starts none of it", () =>
    Effect.gen(function*() {
      // Handlers that end at once make the worker claim ahead; then one takes its time.
      let runs = 0
      const { close, worker } = yield* start(
        Effect.suspend(() => ++runs < 300 ? Effect.void : Effect.sleep("10 millis")),
        { concurrency: 1 }
      )
      yield* Task.enqueueMany(Array.from({ length: 400 }, () => undefined))
      yield* settle
      assert.isAbove((yield* worker.health).waiting, 0)
      const closing = yield* close
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(yield* Fiber.join(closing), 10)
      const { counts } = (yield* (yield* Jobs.Jobs).stats).queues[0]!
      assert.deepStrictEqual([counts.completed, counts.ready, counts.running], [300, 100, 0])
    }).pipe(Effect.provide(storeOnly)))

  it.effect("leaves no name behind in the store", () =>
    Effect.gen(function*() {
      const { close } = yield* start(Effect.void)
      yield* Task.run()
      const workers = Effect.flatMap(Jobs.Jobs, ({ stats }) => Effect.map(stats, ({ workers }) => workers.length))
      assert.strictEqual(yield* workers, 1)
      yield* Effect.flatMap(close, Fiber.join)
      assert.strictEqual(yield* workers, 0)
    }).pipe(Effect.provide(storeOnly)))
})

describe("a worker that closes while its store is away", () => {
  const state = { mode: "here" as "here" | "fails" | "hangs" }
  const away = new JobError.JobStoreError({ reason: new JobError.Unavailable({ operation: "any", detail: "test" }) })
  const guarded = <A>(call: Effect.Effect<A, JobError.JobStoreError>) =>
    Effect.suspend(() => state.mode === "here" ? call : state.mode === "fails" ? Effect.fail(away) : Effect.never)
  const fragile = (notifications: "exact" | "hint") =>
    storeWith((store) => ({
      notifications,
      exchange: (request) => guarded(store.exchange(request)),
      renew: (request) => guarded(store.renew(request)),
      write: (entries) => guarded(store.write(entries)),
      maintain: guarded(store.maintain)
    }))
  /** `shutdownGrace`, `interruptGrace`, and twice what the store may take to answer: for the settlements and the goodbye. */
  const bound = 15_000 + 5000 + 2 * 10_000

  for (const notifications of ["exact", "hint"] as const) {
    for (const mode of ["fails", "hangs"] as const) {
      it.effect(`ends in bounded time: a store of ${notifications} wake-ups that ${mode}`, () => {
        state.mode = "here"
        let runs = 0
        return Effect.gen(function*() {
          const { close } = yield* start(Effect.suspend(() => runs++ === 0 ? Effect.never : Effect.void))
          const { id } = yield* Task.enqueue()
          yield* TestClock.adjust("2 seconds")
          state.mode = mode
          const closing = yield* close
          yield* TestClock.adjust("2 minutes")
          assert.isAtMost(yield* Fiber.join(closing), bound)
          // The store learns from the lease what it was not told.
          assert.strictEqual((yield* recordOf(id)).state, "running")
          state.mode = "here"
          const next = yield* start(Effect.void)
          yield* TestClock.adjust("1 minute")
          assert.strictEqual((yield* recordOf(id)).state, "completed")
          yield* Effect.flatMap(next.close, Fiber.join)
        }).pipe(Effect.provide(fragile(notifications)))
      })
    }
  }

  it.effect("settles what ended meanwhile when the store is back in time", () => {
    state.mode = "here"
    return Effect.gen(function*() {
      const { close } = yield* start(Effect.sleep("5 seconds"))
      const { id } = yield* Task.enqueue()
      yield* settle
      state.mode = "fails"
      const closing = yield* close
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* recordOf(id)).state, "running")
      state.mode = "here"
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(closing)
      const { attempt, state: now } = yield* recordOf(id)
      assert.deepStrictEqual([now, attempt], ["completed", 1])
    }).pipe(Effect.provide(fragile("exact")))
  })
})
