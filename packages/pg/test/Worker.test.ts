/** A worker on Postgres: what ends its handlers from outside, and what it leaves behind. */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobContext, JobGroup, type JobRecord, JobStore, JobWorker } from "capstan"
import { Deferred, Effect, Exit, Layer, Logger, Ref, Scope, Stream } from "effect"
import { afterAll } from "vitest"
import * as Harness from "./harness.ts"

class Long extends Job.make("Long", {}) {}
const group = JobGroup.make(Long)

const schema = Harness.schemaName("worker")
afterAll(() => Harness.drop(schema))

/** A process of its own with a worker, whose handler runs until somebody ends it. */
const working = (options: Parameters<typeof JobWorker.layer>[1] = {}) =>
  Effect.gen(function*() {
    const side = yield* Harness.open(schema)
    const calls = { exchange: 0, renew: 0 }
    const counted = <A>(verb: keyof typeof calls, call: A): A => (calls[verb]++, call)
    const store: JobStore.Shape = {
      ...side.store,
      exchange: (request) => counted("exchange", side.store.exchange(request)),
      renew: (request) => counted("renew", side.store.renew(request))
    }
    const started = yield* Deferred.make<number>()
    const ended = yield* Deferred.make<string>()
    const handlers = group.toLayer({
      Long: () =>
        Effect.flatMap(JobContext.JobContext, ({ attempt }) => Deferred.succeed(started, attempt)).pipe(
          Effect.andThen(Effect.never),
          Effect.onExit((exit) => Deferred.succeed(ended, Exit.isFailure(exit) ? "interrupted" : "done"))
        )
    })
    const scope = yield* Scope.fork(yield* Effect.scope)
    yield* Layer.buildWithScope(
      JobWorker.layer(group, { shutdownGrace: 0, ...options }).pipe(
        Layer.provide(handlers),
        Layer.provide(Layer.succeed(JobStore.JobStore, store))
      ),
      scope
    )
    return { side, started, ended, calls, close: Scope.close(scope, Exit.void) }
  })

/** Another process on the same store, with nothing of the last fact in it. */
const operating = Effect.gen(function*() {
  const side = yield* Harness.open(schema)
  yield* Harness.empty(side)
  return side
})

const enqueue = (side: Harness.Side) => Effect.provide(Long.enqueue(undefined), side.context)
const stateOf = (side: Harness.Side, id: JobRecord.JobId) =>
  Effect.map(side.store.get(id), (record) => record === undefined ? "gone" : record.state)

const fact = <E>(name: string, run: () => Effect.Effect<void, E, Scope.Scope>) =>
  it.live(
    name,
    () => Effect.scoped(Effect.suspend(run)).pipe(Effect.timeout("20 seconds"), Effect.provide(Logger.layer([]))),
    30_000
  )

describe("a worker on Postgres", () => {
  fact(
    "hears of a cancel from another process: the fiber is interrupted, its finalizers run",
    () =>
      Effect.gen(function*() {
        const operator = yield* operating
        const worker = yield* working()
        const handle = yield* enqueue(operator)
        yield* Deferred.await(worker.started)
        assert.strictEqual(yield* Effect.provide(handle.cancel({ reason: "test" }), operator.context), "Requested")
        assert.strictEqual(yield* Deferred.await(worker.ended), "interrupted")
        yield* Harness.until(
          "it is cancelled",
          Effect.map(stateOf(operator, handle.id), (state) => state === "cancelled")
        )
        yield* worker.close
      })
  )

  fact(
    "is told when its lease is lost: the fiber is interrupted, and another worker runs the record",
    () =>
      Effect.gen(function*() {
        const operator = yield* operating
        const first = yield* working({ lease: "1 second" })
        const { id } = yield* enqueue(operator)
        yield* Deferred.await(first.started)
        // As if the worker had not been heard of: whoever maintains gives its record to another.
        const { schema: s, sql } = operator
        yield* sql.unsafe(`UPDATE ${s}.worker SET lease_until = 0`)
        yield* operator.store.maintain
        assert.strictEqual(yield* Deferred.await(first.ended), "interrupted")
        yield* first.close
        const second = yield* working()
        assert.strictEqual(yield* Deferred.await(second.started), 2)
        assert.strictEqual(yield* stateOf(operator, id), "running")
        yield* second.close
      })
  )

  fact("that closes gives back what it runs, with the attempt", () =>
    Effect.gen(function*() {
      const operator = yield* operating
      const worker = yield* working()
      const { id } = yield* enqueue(operator)
      yield* Deferred.await(worker.started)
      yield* worker.close
      assert.strictEqual(yield* Deferred.await(worker.ended), "interrupted")
      const record = yield* operator.store.get(id)
      assert.deepInclude(record, { state: "ready", attempt: 0 })
    }))

  fact("that has nothing to do asks no more often than it polls", () =>
    Effect.gen(function*() {
      yield* operating
      const { calls, close } = yield* working({ pollInterval: "200 millis", lease: "3 seconds" })
      const renewed = (times: number) => Harness.until("its renewals", Effect.sync(() => calls.renew >= times))
      yield* renewed(2)
      const before = calls.exchange
      // A second each.
      yield* renewed(4)
      // Ten polls, jittered by a fifth.
      assert.isAtMost(calls.exchange - before, 15)
      yield* close
    }))
})

describe("a worker that sleeps", () => {
  const schema = Harness.schemaName("sleep")
  afterAll(() => Harness.drop(schema))

  it.live("is woken for as long as it renews its lease, however seldom it looks", () =>
    Effect.scoped(Effect.gen(function*() {
      const one = yield* Harness.open(schema)
      const advance = yield* Effect.provide(Harness.frozen(schema), one.context)
      const heard = yield* Ref.make(0)
      const until = (times: number) => Harness.until(`wake-up ${times}`, Effect.map(Ref.get(heard), (n) => n >= times))
      yield* Effect.forkScoped(
        Stream.runForEach(one.store.wakeups("worker", ["default"]), () => Ref.update(heard, (n) => n + 1))
      )
      yield* until(1)
      const idle = { worker: "worker", lease: 30_000, queues: ["default"], handles: [], holding: [] }
      yield* Harness.claim(one)
      for (let i = 0; i < 5; i++) {
        yield* one.store.renew({ ...idle, reconcileOlderThan: Infinity })
        yield* advance(10_000)
      }
      yield* Harness.enqueue(one)
      yield* until(2)
    })))
})
