/**
 * A worker that is changed while it runs, a loop of it that fails, and an attempt that knows that it is stale.
 */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobError, JobGroup, Jobs, JobStore, JobWorker } from "capstan"
import { Effect, Exit, Latch, Layer, Logger, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { recordOf, settle, withOnly, withWorker } from "./harness.ts"

class Slow extends Job.make("Slow", { payload: Schema.Number, queue: "slow" }) {}
class Fast extends Job.make("Fast", { payload: Schema.Number, queue: "fast" }) {}
const group = JobGroup.make(Slow, Fast)
const numbers = (count: number) => Array.from({ length: count }, (_, i) => i)
const storeOnly = Layer.provideMerge(Jobs.layer, JobStore.layerMemory())

/** Runs for a second each, and counts what runs. */
const counting = () => {
  const running = { now: 0, order: Array<string>(), interrupted: 0 }
  const hold = (name: string) =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        running.now++
        running.order.push(name)
      }),
      () => Effect.onInterrupt(Effect.sleep("1 second"), () => Effect.sync(() => running.interrupted++)),
      () => Effect.sync(() => running.now--)
    )
  return { running, handlers: group.toLayer({ Slow: () => hold("slow"), Fast: () => hold("fast") }) }
}

describe("a worker's pool", () => {
  it.effect("has 100 slots by default", () => {
    const { handlers, running } = counting()
    return Effect.gen(function*() {
      yield* Slow.enqueueMany(numbers(150))
      yield* settle
      assert.strictEqual(running.now, 100)
      assert.strictEqual((yield* (yield* JobWorker.JobWorker).health).concurrency, 100)
    }).pipe(Effect.provide(withWorker(group, handlers)))
  })

  it.effect("grows and shrinks while it runs, and interrupts nothing", () => {
    const { handlers, running } = counting()
    return Effect.gen(function*() {
      const { health, resize } = yield* JobWorker.JobWorker
      yield* Slow.enqueueMany(numbers(100))
      yield* settle
      assert.strictEqual(running.now, 4)
      yield* resize({ concurrency: 9 })
      yield* settle
      assert.strictEqual(running.now, 9)
      yield* resize({ concurrency: 2 })
      yield* settle
      assert.strictEqual(running.now, 9)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(running.now, 2)
      assert.strictEqual(running.interrupted, 0)
      assert.strictEqual((yield* health).concurrency, 2)
    }).pipe(Effect.provide(withWorker(group, handlers, { concurrency: 4 })))
  })

  it.effect("refuses a size and a queue that cannot be meant, and stays as it is", () => {
    const { handlers, running } = counting()
    return Effect.gen(function*() {
      const { health, resize } = yield* JobWorker.JobWorker
      const changes = [
        { concurrency: 0 },
        { concurrency: 1.5 },
        { concurrency: 9, queues: { nope: {} } },
        { concurrency: 9, queues: { slow: { concurrency: 0 }, fast: { weight: 0 } } }
      ]
      for (const change of changes) {
        assert.isTrue(Exit.isFailure(yield* Effect.exit(resize(change))))
      }
      assert.strictEqual((yield* health).concurrency, 4)
      yield* Slow.enqueueMany(numbers(9))
      yield* settle
      assert.strictEqual(running.now, 4)
    }).pipe(Effect.provide(withWorker(group, handlers, { concurrency: 4 })))
  })

  it.effect("serves a queue that is called as something that every object has", () => {
    class Odd extends Job.make("Odd", { queue: "constructor" }) {}
    class Even extends Job.make("Even", { queue: "even" }) {}
    const ran: Array<string> = []
    const note = (name: string) => Effect.sync(() => void ran.push(name))
    const handlers = Layer.merge(Odd.toLayer(() => note("odd")), Even.toLayer(() => note("even")))
    return Effect.gen(function*() {
      yield* Odd.enqueue()
      yield* settle
      assert.deepStrictEqual(ran, ["odd"])
    }).pipe(Effect.provide(withWorker(JobGroup.make(Odd, Even), handlers)))
  })

  it.effect("shares by the weights that hold now", () => {
    const { handlers, running } = counting()
    const shareOfFast = Effect.gen(function*() {
      running.order.length = 0
      for (let i = 0; i < 10; i++) yield* TestClock.adjust("1 second")
      return running.order.filter((name) => name === "fast").length / running.order.length
    })
    return Effect.gen(function*() {
      const { resize } = yield* JobWorker.JobWorker
      yield* Slow.enqueueMany(numbers(200))
      yield* Fast.enqueueMany(numbers(200))
      yield* settle
      assert.strictEqual(yield* shareOfFast, 1 / 2)
      yield* resize({ queues: { fast: { weight: 3 } } })
      assert.strictEqual(yield* shareOfFast, 3 / 4)
    }).pipe(Effect.provide(withWorker(group, handlers, { concurrency: 4 })))
  })
})

describe("a loop that fails", () => {
  it.effect("starts again, is warned of, and finds what came meanwhile", () => {
    let subscriptions = 0
    const broken = Layer.effect(
      JobStore.JobStore,
      Effect.map(JobStore.JobStore, (store): JobStore.Shape => ({
        ...store,
        wakeups: (worker, queues) =>
          ++subscriptions === 1 ? Stream.die(new Error("the listener's own defect")) : store.wakeups(worker, queues)
      }))
    ).pipe(Layer.provide(JobStore.layerMemory()))
    const warnings: Array<string> = []
    const logger = Logger.make(({ message }) => void warnings.push(String(message)))
    const { handlers, running } = counting()
    return Effect.gen(function*() {
      yield* Layer.build(withOnly(group, handlers))
      yield* settle
      // Nobody listens: the store tells of it in vain.
      yield* Slow.enqueue(1)
      yield* settle
      assert.strictEqual(running.order.length, 0)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(running.order.length, 1)
      yield* Slow.enqueue(2)
      yield* settle
      assert.strictEqual(running.order.length, 2)
      assert.strictEqual(warnings.length, 1)
      assert.include(warnings[0]!, "its listener failed and starts again")
    }).pipe(
      Effect.scoped,
      Effect.provide(Layer.provide(Layer.provideMerge(Jobs.layer, broken), Logger.layer([logger]))),
      Effect.provide(Logger.layer([logger]))
    )
  })
})

describe("a handler that ends with LeaseLost", () => {
  it.effect("is not settled: whoever holds the record now decides", () => {
    const gate = Latch.makeUnsafe(false)
    const stale = new JobError.JobStoreError({ reason: new JobError.LeaseLost({ id: "x", fence: 1 }) })
    const handlers = Slow.toLayer(() => Effect.andThen(gate.await, Effect.fail(stale)))
    return Effect.gen(function*() {
      const { id } = yield* Slow.enqueue(1)
      yield* settle
      yield* gate.open
      yield* settle
      const { attempts, failures, state } = yield* recordOf(id)
      assert.deepStrictEqual([state, attempts, failures], ["running", [], []])
    }).pipe(Effect.provide(Layer.provideMerge(withOnly(JobGroup.make(Slow), handlers), storeOnly)))
  })
})
