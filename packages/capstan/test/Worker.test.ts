import { assert, describe, it } from "@effect/vitest"
import { Job, JobContext, JobError, JobGroup, JobStore, JobWorker } from "capstan"
import { Effect, Exit, Fiber, Layer, Ref, Schedule, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"

class Declined extends Schema.TaggedError<Declined>()("Declined", { code: Schema.String }) {}

class Charge extends Job.make("Charge", {
  payload: { id: Schema.String, amount: Schema.Number },
  success: Schema.Struct({ receipt: Schema.String }),
  error: Declined,
  retry: Schedule.exponential("10 seconds")
}) {}

class Notify extends Job.make("Notify", { payload: { text: Schema.String }, queue: "mail" }) {}

class Billing extends JobGroup.make(Charge, Notify) {}

const handlers = (charge: (attempt: number) => Effect.Effect<{ receipt: string }, Declined>) =>
  Billing.toLayer({
    Charge: () => Effect.flatMap(JobContext.JobContext, ({ attempt }) => charge(attempt)),
    Notify: () => Effect.void
  })

const run = <A, E>(
  charge: (attempt: number) => Effect.Effect<{ receipt: string }, Declined>,
  test: Effect.Effect<A, E, JobStore.JobStore | JobWorker.JobWorker>
) =>
  Effect.provide(
    test,
    JobWorker.layer(Billing, { shutdownGrace: 0 }).pipe(
      Layer.provide(handlers(charge)),
      Layer.provideMerge(JobStore.layerMemory())
    )
  )

describe("JobWorker", () => {
  it.effect("runs a record and answers its typed result", () =>
    run(
      () => Effect.succeed({ receipt: "r1" }),
      Effect.gen(function*() {
        const { receipt } = yield* Charge.run({ id: "a", amount: 1 })
        assert.strictEqual(receipt, "r1")
        yield* Notify.run({ text: "hello" })
      })
    ))

  it.effect("retries by the schedule and fails the awaiter with the typed error", () =>
    run(
      (attempt) => Effect.fail(new Declined({ code: `no-${attempt}` })),
      Effect.gen(function*() {
        const handle = yield* Charge.enqueue({ id: "a", amount: 1 })
        const fiber = yield* Effect.forkChild(Effect.exit(handle.await))
        yield* TestClock.adjust(0)
        yield* TestClock.adjust("2 hours")
        const exit = yield* Fiber.join(fiber)
        assert.isTrue(exit._tag === "Failure")
        const error = yield* Effect.flip(handle.await)
        assert.isTrue(error instanceof Declined)
        assert.strictEqual((error as Declined).code, "no-10")
      })
    ))

  it.effect("fails twice, backs off, succeeds", () =>
    Effect.gen(function*() {
      const at = yield* Ref.make<ReadonlyArray<number>>([])
      yield* run(
        (attempt) =>
          Effect.andThen(
            Effect.clockWith((clock) => Ref.update(at, (all) => [...all, clock.currentTimeMillisUnsafe()])),
            attempt < 3 ? Effect.fail(new Declined({ code: "no" })) : Effect.succeed({ receipt: "r" })
          ),
        Effect.gen(function*() {
          const handle = yield* Charge.enqueue({ id: "a", amount: 1 })
          yield* TestClock.adjust(0)
          yield* TestClock.adjust("10 seconds")
          yield* TestClock.adjust("20 seconds")
          assert.deepStrictEqual(yield* handle.await, { receipt: "r" })
        })
      )
      assert.deepStrictEqual(yield* Ref.get(at), [0, 10_000, 30_000])
    }))

  it.effect("is listed for as long as it is there, however long it has had nothing to do", () =>
    Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(
        Layer.fresh(JobWorker.layer(Billing).pipe(Layer.provide(handlers(() => Effect.never)))),
        scope
      )
      yield* TestClock.adjust("2 days")
      yield* store.maintain
      const { workers } = yield* store.stats
      assert.deepStrictEqual(
        workers.map(({ holds, leaseLeft, queues }) => ({ holds, leaseLeft, queues })),
        [{ holds: 0, leaseLeft: 30_000, queues: ["default", "mail"] }]
      )
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual((yield* store.stats).workers, [])
    }).pipe(Effect.provide(JobStore.layerMemory())))

  it.effect("a timeout interrupts the handler", () =>
    run(
      () => Effect.never,
      Effect.gen(function*() {
        const handle = yield* Charge.enqueue({ id: "a", amount: 1 })
        yield* TestClock.adjust("15 minutes")
        const store = yield* JobStore.JobStore
        const record = yield* store.get(handle.id)
        assert.strictEqual(record?.failures[0]?.kind, "TimedOut")
      })
    ))

  it.effect("a cancel interrupts a running handler and the awaiter is told", () =>
    run(
      () => Effect.never,
      Effect.gen(function*() {
        const handle = yield* Charge.enqueue({ id: "a", amount: 1 })
        yield* TestClock.adjust(0)
        assert.strictEqual(yield* handle.cancel({ reason: "enough" }), "Requested")
        const error = yield* Effect.flip(handle.await)
        assert.isTrue(error instanceof JobError.JobCancelled)
      })
    ))
})
