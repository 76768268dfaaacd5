import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, type JobStore, JobWorker } from "capstan"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Logger, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import { recordOf, settle, storeWith, withOnly } from "./harness.ts"

class Task extends Job.make("Task", { timeout: "infinite", maxAttempts: 1 }) {}
const group = JobGroup.make(Task)

describe("a worker that closes", () => {
  it.effect("starts nothing that a late reply brings, and gives it back before it leaves (P9)", () => {
    const starts: Array<string> = []
    const leaves: Array<number> = []
    const late = storeWith((store) => ({
      notifications: "hint",
      exchange: (request) => Effect.tap(store.exchange(request), Effect.sleep(100)),
      renew: (request) =>
        Effect.tap(store.renew(request), ({ reconciled }) => {
          if (request.lease === 0) leaves.push(reconciled)
          return Effect.sleep(100)
        })
    }))
    const worker = withOnly(
      group,
      Task.toLayer(() => Effect.andThen(Effect.sync(() => starts.push("start")), Effect.never)),
      { shutdownGrace: "1 second" }
    )
    return Effect.gen(function*() {
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(worker, scope)
      yield* TestClock.adjust("1 second")
      const { id } = yield* Task.enqueue()
      yield* TestClock.adjust(20)
      assert.strictEqual((yield* recordOf(id)).state, "running")
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      const record = yield* recordOf(id)
      assert.deepStrictEqual([record.state, record.attempt], ["ready", 0])
      assert.deepStrictEqual([starts, leaves], [[], [0]])
    }).pipe(Effect.provide(late))
  })

  it.effect("settles what ends within its grace, before it leaves", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const worker = withOnly(group, Task.toLayer(() => Effect.sleep("2 seconds")), { shutdownGrace: "10 seconds" })
      yield* Layer.buildWithScope(worker, scope)
      const { id } = yield* Task.enqueue()
      yield* settle
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(closing)
      assert.strictEqual((yield* recordOf(id)).state, "completed")
    }).pipe(Effect.provide(storeWith(() => ({})))))

  it.effect("lets its handlers end also when the program that it belongs to is interrupted, as a signal does (P9)", () =>
    Effect.gen(function*() {
      const leaves: Array<number> = []
      const store = storeWith((store) => ({
        renew: (request) =>
          Effect.tap(store.renew(request), () => request.lease === 0 ? Effect.sync(() => leaves.push(0)) : Effect.void)
      }))
      const worker = withOnly(group, Task.toLayer(() => Effect.sleep("2 seconds")), { shutdownGrace: "10 seconds" })
      yield* Effect.gen(function*() {
        const program = yield* Effect.forkChild(Layer.launch(worker))
        const { id } = yield* Task.enqueue()
        yield* settle
        const interruption = yield* Effect.forkChild(Fiber.interrupt(program))
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(interruption)
        assert.strictEqual((yield* recordOf(id)).state, "completed")
        assert.lengthOf(leaves, 1)
      }).pipe(Effect.provide(store))
    }))

  it.effect("interrupts also the handler that has it closed while it starts (P9)", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const started = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<void>()
      const worker = withOnly(
        group,
        Task.toLayer(() =>
          Effect.andThen(Deferred.succeed(started, undefined), Effect.never).pipe(
            Effect.ensuring(Deferred.succeed(ended, undefined))
          )
        )
      )
      yield* Layer.buildWithScope(worker, scope)
      const closing = yield* Effect.forkChild(
        Effect.andThen(Deferred.await(started), Scope.close(scope, Exit.void)),
        { startImmediately: true }
      )
      const { id } = yield* Task.enqueue()
      yield* settle
      yield* Fiber.join(closing)
      assert.isTrue(yield* Deferred.isDone(ended))
      assert.strictEqual((yield* recordOf(id)).state, "ready")
    }).pipe(Effect.provide(storeWith(() => ({})))))

  it.effect("charges no attempt when a finalizer of what it interrupts dies (P9)", () => {
    const worker = withOnly(group, Task.toLayer(() => Effect.ensuring(Effect.never, Effect.die("finalizer"))))
    return Effect.gen(function*() {
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(worker, scope)
      const { id } = yield* Task.enqueue()
      yield* settle
      yield* Scope.close(scope, Exit.void)
      const record = yield* recordOf(id)
      assert.deepStrictEqual([record.state, record.attempt], ["ready", 0])
    }).pipe(Effect.provide(storeWith(() => ({}))))
  })
})

describe("a store that breaks over a goodbye", () => {
  const breaks: ReadonlyArray<readonly [string, JobStore.Shape["renew"]]> = [
    ["dies", () => Effect.die(new Error("no goodbye"))],
    ["throws", () => {
      throw new Error("no goodbye")
    }]
  ]
  for (const [how, goodbye] of breaks) {
    it.effect(`and ${how} keeps no loop of the worker alive: it is warned of`, () => {
      let calls = 0
      const warnings: Array<string> = []
      const logger = Logger.make(({ message }) => void warnings.push(String(message)))
      const broken = storeWith((store) => ({
        maintain: Effect.suspend(() => {
          calls++
          return store.maintain
        }),
        renew: (request) => request.lease === 0 ? goodbye(request) : store.renew(request)
      }))
      return Effect.gen(function*() {
        const scope = yield* Scope.make()
        const worker = withOnly(group, Task.toLayer(() => Effect.void))
        const { health } = Context.get(yield* Layer.buildWithScope(worker, scope), JobWorker.JobWorker)
        // What has ended is forgotten after a while: there is something to maintain.
        yield* Task.enqueue()
        yield* settle
        const exit = yield* Effect.exit(Scope.close(scope, Exit.void))
        assert.isTrue(Exit.isSuccess(exit))
        assert.strictEqual((yield* health).status, "stopped")
        const before = calls
        yield* TestClock.adjust("2 days")
        assert.strictEqual(calls, before)
        assert.deepStrictEqual(warnings.filter((text) => text.includes("goodbye")).length, 1)
      }).pipe(Effect.provide(broken), Effect.provide(Logger.layer([logger])))
    })
  }
})

describe("a handler that has succeeded, and is stopped in its finalizers", () => {
  class Brief extends Job.make("Brief", { success: Schema.Number, timeout: "2 seconds", maxAttempts: 1 }) {}
  const worker = (finalizer: Effect.Effect<void>) =>
    withOnly(
      JobGroup.make(Brief),
      Brief.toLayer(() =>
        Effect.gen(function*() {
          yield* Effect.addFinalizer(() => finalizer)
          yield* Effect.sleep("1 second")
          return 7
        })
      ),
      { interruptGrace: "3 seconds" }
    )
  const store = storeWith(() => ({}))
  const resultOf = (id: string) => Effect.map(recordOf(id), ({ result, state }) => [state, result])

  for (const seconds of [2, 10]) {
    const finalizer = Effect.sleep(seconds * 1000)

    it.effect(`for ${seconds} s: by its timeout`, () =>
      Effect.gen(function*() {
        const { id } = yield* Brief.enqueue()
        yield* TestClock.adjust("20 seconds")
        assert.deepStrictEqual(yield* resultOf(id), ["completed", "7"])
      }).pipe(Effect.provide(Layer.provideMerge(worker(finalizer), store))))

    it.effect(`for ${seconds} s: by a cancel`, () =>
      Effect.gen(function*() {
        const { cancel, id } = yield* Brief.enqueue()
        yield* TestClock.adjust("1500 millis")
        assert.strictEqual(yield* cancel({ reason: "too late" }), "Requested")
        yield* TestClock.adjust("20 seconds")
        assert.deepStrictEqual(yield* resultOf(id), ["completed", "7"])
      }).pipe(Effect.provide(Layer.provideMerge(worker(finalizer), store))))

    it.effect(`for ${seconds} s: by the end of its worker`, () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        yield* Layer.buildWithScope(worker(finalizer), scope)
        const { id } = yield* Brief.enqueue()
        yield* TestClock.adjust("1500 millis")
        yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* TestClock.adjust("20 seconds")
        assert.deepStrictEqual(yield* resultOf(id), ["completed", "7"])
      }).pipe(Effect.provide(store)))
  }

  it.effect("fails when a finalizer dies", () =>
    Effect.gen(function*() {
      const { id } = yield* Brief.enqueue()
      yield* TestClock.adjust("20 seconds")
      const { deadReason, failures } = yield* recordOf(id)
      assert.deepStrictEqual([deadReason, failures[0]?.message], ["Defect", "not flushed"])
    }).pipe(
      Effect.provide(
        Layer.provideMerge(worker(Effect.andThen(Effect.sleep("2 seconds"), Effect.die("not flushed"))), store)
      )
    ))
})
