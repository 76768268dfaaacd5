import { assert, describe, it } from "@effect/vitest"
import { Job, JobError, JobGroup, Jobs, JobStore, JobWorker } from "capstan"
import { Effect, Latch, Layer } from "effect"
import { TestClock } from "effect/testing"
import { recordOf, settle, withOnly } from "./harness.ts"

class Task extends Job.make("Task", { timeout: "infinite" }) {}
const group = JobGroup.make(Task)

/** The memory store, which one can take away. */
const fragile = () => {
  const state = { isAway: false }
  const away = new JobError.JobStoreError({ reason: new JobError.Unavailable({ operation: "any", detail: "test" }) })
  const guarded = <A>(call: Effect.Effect<A, JobError.JobStoreError>) =>
    Effect.suspend(() => state.isAway ? Effect.fail(away) : call)
  const layer = Layer.effect(
    JobStore.JobStore,
    Effect.map(JobStore.JobStore, (store): JobStore.Shape => ({
      ...store,
      exchange: (request) => guarded(store.exchange(request)),
      renew: (request) => guarded(store.renew(request)),
      maintain: guarded(store.maintain)
    }))
  ).pipe(Layer.provide(JobStore.layerMemory()))
  return { state, layer: Layer.provideMerge(Jobs.layer, layer) }
}

describe("an outage of the store", () => {
  it.effect("degrades the worker's health, loses no settlement, and ends by itself (P13)", () => {
    const { layer, state } = fragile()
    const gate = Latch.makeUnsafe(false)
    let runs = 0
    const handler = Effect.andThen(Effect.sync(() => runs++), gate.await)
    return Effect.gen(function*() {
      const { health } = yield* JobWorker.JobWorker
      const first = yield* Task.enqueue()
      yield* settle
      state.isAway = true
      yield* gate.open
      yield* settle
      assert.strictEqual((yield* health).status, "degraded")
      assert.include((yield* health).lastError ?? "", "unavailable")
      const second = yield* Task.enqueue()
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* recordOf(first.id)).state, "running")
      state.isAway = false
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* health).status, "ready")
      for (const { id } of [first, second]) assert.strictEqual((yield* recordOf(id)).state, "completed")
      assert.strictEqual(runs, 2)
    }).pipe(Effect.provide(Layer.provideMerge(withOnly(group, Task.toLayer(() => handler)), layer)))
  })

  it.effect("makes the worker fence itself before its lease ends, and the record runs again (P4)", () => {
    const { layer, state } = fragile()
    const interruptedAt: Array<number> = []
    let runs = 0
    const handler = Effect.suspend(() =>
      runs++ > 0 ?
        Effect.void :
        Effect.onInterrupt(Effect.never, () =>
          Effect.clockWith((clock) => Effect.sync(() => void interruptedAt.push(clock.currentTimeMillisUnsafe()))))
    )
    return Effect.gen(function*() {
      const { id } = yield* Task.enqueue()
      yield* settle
      state.isAway = true
      yield* TestClock.adjust("40 seconds")
      assert.deepStrictEqual(interruptedAt, [24_000])
      assert.strictEqual((yield* recordOf(id)).state, "running")
      state.isAway = false
      yield* TestClock.adjust("10 seconds")
      const record = yield* recordOf(id)
      assert.deepStrictEqual([record.state, record.attempt], ["completed", 2])
    }).pipe(Effect.provide(Layer.provideMerge(withOnly(group, Task.toLayer(() => handler)), layer)))
  })

  it.effect("lets a worker start without its store", () => {
    const { layer, state } = fragile()
    state.isAway = true
    return Effect.gen(function*() {
      const { awaitReady, health } = yield* JobWorker.JobWorker
      yield* settle
      assert.strictEqual((yield* health).status, "degraded")
      state.isAway = false
      yield* TestClock.adjust("5 seconds")
      yield* awaitReady
    }).pipe(Effect.provide(Layer.provideMerge(withOnly(group, Task.toLayer(() => Effect.void)), layer)))
  })
})
