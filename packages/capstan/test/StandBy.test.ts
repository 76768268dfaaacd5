/** A worker that sleeps, whose exchange goes to a store elsewhere with an enqueue of its process. */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobError, JobGroup, Jobs, JobStore, JobWorker, StandBy } from "capstan"
import { Deferred, Effect, Exit, Layer, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { storeWith, withOnly } from "./harness.ts"

class Task extends Job.make("Task", { payload: Schema.Number }) {}
const group = JobGroup.make(Task)

const lost = new JobError.JobStoreError({
  reason: new JobError.OutcomeUnknown({ operation: "exchange", detail: "test" })
})

/** A store elsewhere that calls nobody. `together` is what an enqueue and an exchange in one call come to. */
const elsewhere = (
  together: (stored: Effect.Effect<JobStore.ExchangeReply, JobError.JobStoreError>) => Effect.Effect<
    JobStore.ExchangeReply,
    JobError.JobStoreError
  > = (both) => both
) => {
  const standBy = new StandBy.StandBy()
  const calls = { exchange: 0, together: 0 }
  const layer = storeWith((store) => ({
    notifications: "hint",
    wakeups: () => Stream.never,
    exchange: (request) => Effect.suspend(() => (calls.exchange++, store.exchange(request))),
    standBy: standBy.wait,
    enqueue: (request) =>
      Effect.suspend(() => {
        const taken = standBy.take(request.records[0]!.queue)
        if (taken === undefined) return store.enqueue(request)
        calls.together++
        return Effect.flatMap(store.enqueue(request), (enqueued) =>
          enqueued[0]!.outcome === "Existing"
            ? Effect.as(Effect.sync(() => taken.receive(Exit.succeed(undefined))), enqueued)
            : Effect.as(
              Effect.exit(
                Effect.onExit(together(store.exchange(taken.request)), (exit) => Effect.sync(() => taken.receive(exit)))
              ),
              enqueued
            ))
      })
  }))
  return { calls, layer }
}

/** Nothing is found by looking again within a test. */
const options: JobWorker.Options<"default"> = { concurrency: 2, pollInterval: "1 hour" }

const stateOf = (id: string) =>
  Effect.flatMap(
    Jobs.Jobs,
    (jobs) => Effect.map(jobs.get(id), (found) => found._tag === "Some" ? found.value : undefined)
  )

describe("a worker that stands by", () => {
  it.effect("runs what is enqueued without an exchange of its own, and sleeps on where nothing was stored", () => {
    const { calls, layer } = elsewhere()
    const ran: Array<number> = []
    return Effect.gen(function*() {
      yield* TestClock.adjust(0)
      for (const n of [1, 2, 3]) {
        const before = calls.exchange
        yield* Task.enqueue(n, { idempotencyKey: `${n}` })
        assert.strictEqual(calls.exchange, before, "nothing but the enqueue has asked the store")
        yield* TestClock.adjust(0)
        assert.strictEqual(ran.at(-1), n)
        yield* Task.enqueue(n, { idempotencyKey: `${n}` })
        yield* TestClock.adjust(0)
      }
      assert.deepStrictEqual(ran, [1, 2, 3])
      assert.strictEqual(calls.together, 6)
    }).pipe(Effect.provide(Layer.provideMerge(
      withOnly(group, Task.toLayer((n) => Effect.sync(() => void ran.push(n))), options),
      layer
    )))
  })

  it.effect("takes what it has a slot for beside what runs, and is left alone when it has none", () => {
    const { calls, layer } = elsewhere()
    const ran: Array<number> = []
    return Effect.gen(function*() {
      yield* TestClock.adjust(0)
      for (const n of [1, 2, 3]) {
        yield* Task.enqueue(n)
        yield* TestClock.adjust(0)
      }
      assert.deepStrictEqual(ran, [1, 2])
      assert.strictEqual(calls.together, 2)
    }).pipe(Effect.provide(Layer.provideMerge(
      withOnly(group, Task.toLayer((n) => Effect.andThen(Effect.sync(() => void ran.push(n)), Effect.never)), options),
      layer
    )))
  })

  it.effect("finds again what a lost reply had claimed (P14)", () => {
    const { calls, layer } = elsewhere((both) => Effect.andThen(both, Effect.fail(lost)))
    const ran: Array<number> = []
    return Effect.gen(function*() {
      yield* TestClock.adjust(0)
      const { id } = yield* Task.enqueue(1)
      assert.strictEqual((yield* stateOf(id))?.state, "running")
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* stateOf(id))?.state, "completed")
      assert.deepStrictEqual(ran, [1])
      assert.strictEqual(calls.together, 1)
    }).pipe(Effect.provide(Layer.provideMerge(
      withOnly(group, Task.toLayer((n) => Effect.sync(() => void ran.push(n))), options),
      layer
    )))
  })

  it.effect("waits for the reply no longer than for that of an exchange", () => {
    const { layer } = elsewhere((both) => Effect.andThen(both, Effect.never))
    const ran: Array<number> = []
    return Effect.gen(function*() {
      yield* TestClock.adjust(0)
      const enqueuing = yield* Effect.forkChild(Task.enqueue(1), { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(ran, [1], "it was given back and claimed once more")
      assert.isUndefined(enqueuing.pollUnsafe())
    }).pipe(Effect.provide(Layer.provideMerge(
      withOnly(group, Task.toLayer((n) => Effect.sync(() => void ran.push(n))), {
        ...options,
        pollInterval: "20 seconds"
      }),
      layer
    )))
  })

  it.effect("that closes meanwhile gives the record back, and is gone only then", () =>
    Effect.gen(function*() {
      const answers = yield* Deferred.make<void>()
      const { layer } = elsewhere((both) => Effect.tap(both, Deferred.await(answers)))
      const context = yield* Layer.build(layer)
      const scope = yield* Scope.make()
      const ran: Array<number> = []
      yield* Layer.buildWithScope(
        Layer.provide(
          withOnly(group, Task.toLayer((n) => Effect.sync(() => void ran.push(n))), options),
          Layer.succeedContext(context)
        ),
        scope
      )
      yield* TestClock.adjust(0)
      yield* Effect.forkChild(Effect.provide(Task.enqueue(1), context), { startImmediately: true })
      yield* TestClock.adjust(0)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust(0)
      assert.isUndefined(closing.pollUnsafe(), "its claim is on the way")
      yield* Deferred.succeed(answers, undefined)
      yield* TestClock.adjust(0)
      assert.isDefined(closing.pollUnsafe())
      const jobs = yield* Effect.provide(Jobs.Jobs, context)
      const { queues: [queue] } = yield* jobs.stats
      assert.deepInclude(queue!.counts, { ready: 1, running: 0 })
      assert.deepStrictEqual(ran, [])
    }))
})

describe("StandBy", () => {
  it.effect("names who has stood longest, and passes who has no room any more", () =>
    Effect.gen(function*() {
      const standBy = new StandBy.StandBy()
      const standing = (worker: string, hasRoom = true): JobStore.Standing => ({
        queues: ["a", "b"],
        take: () => hasRoom ? { worker, lease: 1, settlements: [], demand: [], total: 1 } : undefined,
        receive: () => {}
      })
      const workers = [standing("1"), standing("2", false), standing("3"), standing("4")]
      const fibers = yield* Effect.forEach(workers, (worker) =>
        Effect.forkChild(standBy.wait(worker), { startImmediately: true }))
      assert.isUndefined(standBy.take("c"))
      assert.strictEqual(standBy.take("a")?.request.worker, "1")
      assert.strictEqual(standBy.take("b")?.request.worker, "3")
      fibers[3]!.interruptUnsafe()
      assert.isUndefined(standBy.take("a"))
    }))
})
