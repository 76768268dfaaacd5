import { TestJobs, TransactionalMemory } from "@capstan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobContext, JobError, JobGroup, JobLimit, Jobs, JobStore, JobWorker, Transactional } from "capstan"
import { Cause, Duration, Effect, Exit, Layer, Schedule, Schema } from "effect"

class Busy extends Schema.TaggedError<Busy>()("Busy", {}) {}

class Charge extends Job.make("Charge", {
  payload: { invoice: Schema.String },
  success: Schema.String,
  error: Busy,
  retry: Schedule.exponential("1 minute"),
  retention: { completed: "forever" }
}) {}
class Remind extends Job.make("Remind", { payload: { invoice: Schema.String }, retention: { completed: "forever" } }) {}
class Billing extends JobGroup.make(Charge, Remind) {}

const BillingLive = Billing.toLayer({
  Charge: Effect.fnUntraced(function*({ invoice }) {
    const { attempt } = yield* JobContext.JobContext
    if (attempt < 3) return yield* new Busy()
    yield* Remind.enqueue({ invoice }, { delay: "30 days" })
    return `receipt of ${invoice}`
  }),
  Remind: () => Effect.void
})

const test = TestJobs.layer(Billing, BillingLive)

describe("TestJobs", () => {
  it.effect("shows what was enqueued, and not what tells of a death", () => {
    class Sorry extends Job.make("Sorry") {}
    class Late extends Job.make("Late", { queue: "late", startBefore: "1 minute", onFailure: () => Sorry.request() }) {}
    const late = JobGroup.make(Late, Sorry)
    return Effect.gen(function*() {
      const jobs = yield* TestJobs.TestJobs
      yield* Effect.flatMap(JobStore.JobStore, ({ pause }) => pause("late", true))
      yield* Late.enqueue()
      yield* jobs.advance("2 minutes")
      yield* Effect.flatMap(JobStore.JobStore, ({ pause }) => pause("late", false))
      yield* jobs.advanceUntilIdle
      assert.deepStrictEqual((yield* jobs.enqueued(Late)).map(({ record }) => record.deadReason), ["Expired"])
      assert.strictEqual((yield* jobs.enqueued(Sorry)).length, 1)
    }).pipe(Effect.provide(TestJobs.layer(late, late.toLayer({ Late: () => Effect.void, Sorry: () => Effect.void }))))
  })

  it.effect("fails twice, backs off, succeeds, and reminds after a month", () =>
    Effect.gen(function*() {
      const jobs = yield* TestJobs.TestJobs
      const handle = yield* Charge.enqueue({ invoice: "i" })
      yield* jobs.drain
      assert.deepStrictEqual((yield* jobs.enqueued(Charge)).map(({ payload, record }) => [payload, record.attempt]), [
        [{ invoice: "i" }, 1]
      ])
      const idleAt = yield* jobs.advanceUntilIdle
      // One minute, two minutes, thirty days.
      assert.strictEqual(idleAt, Duration.toMillis("30 days") + Duration.toMillis("3 minutes"))
      assert.strictEqual(yield* handle.await, "receipt of i")
      const [reminder] = yield* jobs.enqueued(Remind)
      assert.deepStrictEqual([reminder?.payload, reminder?.record.state], [{ invoice: "i" }, "completed"])
      assert.strictEqual(reminder?.record.parent, handle.id)
    }).pipe(Effect.provide(test)))

  it.effect("advance stops where it was told to", () =>
    Effect.gen(function*() {
      const jobs = yield* TestJobs.TestJobs
      yield* Charge.enqueue({ invoice: "i" })
      assert.strictEqual(yield* jobs.advance("90 seconds"), 90_000)
      assert.strictEqual((yield* jobs.enqueued(Charge))[0]?.record.attempt, 2)
    }).pipe(Effect.provide(test)))
})

describe("advanceUntilIdle", { timeout: 30_000 }, () => {
  class Slow extends Job.make("Slow", { payload: Schema.Number, timeout: "infinite", queue: "slow" }) {}
  const slow = TestJobs.layer(
    JobGroup.make(Slow, Remind),
    Layer.mergeAll(
      Slow.toLayer((millis) => millis < 0 ? Effect.never : Effect.sleep(millis)),
      Remind.toLayer(() => Effect.void)
    )
  )
  const hours = (count: number) => count * Duration.toMillis("1 hour")

  it.effect("leaves what a paused queue holds, ready or overdue", () =>
    Effect.gen(function*() {
      const jobs = yield* TestJobs.TestJobs
      yield* (yield* Jobs.Jobs).pause("default")
      yield* Remind.enqueue({ invoice: "ready" })
      yield* Remind.enqueue({ invoice: "due" }, { delay: "1 hour" })
      yield* Slow.enqueue(0, { delay: "2 hours" })
      assert.strictEqual(yield* jobs.advanceUntilIdle, hours(2))
    }).pipe(Effect.provide(slow)))

  it.effect("leaves a handler that never ends, after a day in which nothing happened", () =>
    Effect.gen(function*() {
      const jobs = yield* TestJobs.TestJobs
      yield* Slow.enqueue(-1)
      const idleAt = yield* jobs.advanceUntilIdle
      assert.isAtLeast(idleAt, hours(24))
      assert.isBelow(idleAt, hours(25))
    }).pipe(Effect.provide(slow)))

  it.effect("waits for a handler of many hours, to the minute for each hour", () =>
    Effect.gen(function*() {
      const jobs = yield* TestJobs.TestJobs
      const handle = yield* Slow.enqueue(hours(20))
      const idleAt = yield* jobs.advanceUntilIdle
      assert.isAtLeast(idleAt, hours(20))
      assert.isAtMost(idleAt, hours(20) + 20 * Duration.toMillis("1 minute"))
      yield* handle.await
    }).pipe(Effect.provide(slow)))

  it.effect("waits for a rate, one after the other", () => {
    const rate = { limit: 1, per: "1 minute" } as const
    const Calls = JobLimit.make("rated", { rate })
    class Call extends Job.make("Call", { queue: "calls", limit: { by: Calls, key: () => "k" } }) {}
    const calls = TestJobs.layer(JobGroup.make(Call), Call.toLayer(() => Effect.void))
    return Effect.gen(function*() {
      const jobs = yield* TestJobs.TestJobs
      for (let n = 0; n < 3; n++) yield* Call.enqueue()
      assert.strictEqual(yield* jobs.advanceUntilIdle, Duration.toMillis("2 minutes"))
      assert.deepStrictEqual((yield* jobs.enqueued(Call)).map(({ record }) => record.state), [
        "completed",
        "completed",
        "completed"
      ])
    }).pipe(Effect.provide(calls))
  })

  it.effect("waits for the rate of a queue of days, and for an open circuit", () => {
    class Call extends Job.make("Call", { queue: "calls", retention: { completed: "forever" } }) {}
    class Broken extends Job.make("Broken", {
      error: Busy,
      queue: "broken",
      maxAttempts: 1,
      concurrency: { key: () => "k", limit: 1 },
      breaker: { consecutive: 1, openDuration: "3 minutes" }
    }) {}
    const calls = TestJobs.layer(
      JobGroup.make(Call, Broken),
      Layer.mergeAll(Call.toLayer(() => Effect.void), Broken.toLayer(() => Effect.fail(new Busy())))
    )
    return Effect.gen(function*() {
      const jobs = yield* TestJobs.TestJobs
      for (let n = 0; n < 3; n++) yield* Broken.enqueue()
      assert.strictEqual(yield* jobs.advanceUntilIdle, Duration.toMillis("6 minutes"))
      assert.deepStrictEqual((yield* jobs.enqueued(Broken)).map(({ record }) => record.state), ["dead", "dead", "dead"])
      yield* (yield* Jobs.Jobs).setLimit({ queue: "calls" }, { rate: { limit: 1, per: "2 days" } })
      for (let n = 0; n < 2; n++) yield* Call.enqueue()
      yield* jobs.advanceUntilIdle
      assert.deepStrictEqual((yield* jobs.enqueued(Call)).map(({ record }) => record.state), ["completed", "completed"])
    }).pipe(Effect.provide(calls))
  })

  it.effect("waits for what is due beside a handler that never ends", () =>
    Effect.gen(function*() {
      const jobs = yield* TestJobs.TestJobs
      yield* Slow.enqueue(-1)
      yield* Remind.enqueue({ invoice: "i" }, { delay: "2 days" })
      const idleAt = yield* jobs.advanceUntilIdle
      assert.isAtLeast(idleAt, hours(3 * 24))
      assert.strictEqual((yield* jobs.enqueued(Remind))[0]?.record.state, "completed")
    }).pipe(Effect.provide(slow)))
})

describe("run", () => {
  it.effect("runs one handler inline: typed result, typed error, and what it enqueues waits", () =>
    Effect.gen(function*() {
      const jobs = yield* TestJobs.TestJobs
      assert.isTrue((yield* Effect.flip(jobs.run(Charge, { invoice: "i" }))) instanceof Busy)
      assert.strictEqual(yield* jobs.run(Charge, { invoice: "i" }, { attempt: 3 }), "receipt of i")
      assert.deepStrictEqual(yield* jobs.enqueued(Charge), [])
      const [reminder] = yield* jobs.enqueued(Remind)
      assert.deepStrictEqual([reminder?.record.state, reminder?.record.parent], ["scheduled", undefined])
      const invalid = yield* Effect.flip(jobs.run(Charge, { invoice: 1 as unknown as string }))
      assert.isTrue(invalid instanceof JobError.EnqueueError && invalid.reason._tag === "InvalidPayload")
    }).pipe(Effect.provide(test)))

  it.effect("runs finalizers, and says that a snooze needs a worker", () => {
    const order: Array<string> = []
    class Sleepy extends Job.make("Sleepy", { payload: Schema.Boolean }) {}
    const handler = Effect.fnUntraced(function*(isSleepy: boolean) {
      yield* Effect.addFinalizer(() => Effect.sync(() => order.push("finalizer")))
      const { attempt, snooze } = yield* JobContext.JobContext
      order.push(`attempt ${attempt}`)
      if (isSleepy) return yield* snooze("1 minute")
    })
    return Effect.gen(function*() {
      const jobs = yield* TestJobs.TestJobs
      yield* jobs.run(Sleepy, false)
      assert.deepStrictEqual(order, ["attempt 1", "finalizer"])
      const exit = yield* Effect.exit(jobs.run(Sleepy, true))
      assert.include(String(Exit.isFailure(exit) && Cause.squash(exit.cause)), "snoozed for 60000 ms")
    }).pipe(Effect.provide(TestJobs.layer(JobGroup.make(Sleepy), Sleepy.toLayer(handler))))
  })
})

describe("commit", () => {
  class Pay extends Job.make("Pay", { success: Schema.Number, error: Busy, maxAttempts: 1 }) {}
  const group = JobGroup.make(Pay, Remind)
  const program = (
    body: Effect.Effect<number, Busy | JobError.EnqueueError | JobError.JobStoreError, JobStore.JobStore>
  ) => {
    const handlers = group.toLayer({ Pay: () => Pay.commit(body), Remind: () => Effect.void })
    return JobWorker.layer(group, { shutdownGrace: 0 }).pipe(
      Layer.provide(handlers),
      Layer.provideMerge(TransactionalMemory.layer())
    )
  }
  const count = Effect.flatMap(
    JobStore.JobStore,
    ({ query }) =>
      Effect.map(query({ where: { tag: "Remind" }, order: "oldest", limit: 10 }), ({ records }) => records.length)
  )

  it.effect("runs in TestJobs by a worker, and `run` says so", () =>
    Effect.gen(function*() {
      const jobs = yield* TestJobs.TestJobs
      const exit = yield* Effect.exit(jobs.run(Pay, undefined))
      assert.include(String(Exit.isFailure(exit) && Cause.squash(exit.cause)), "enqueue it and let a worker run it")
      assert.deepStrictEqual(yield* jobs.enqueued(Remind), [])
      const handle = yield* Pay.enqueue()
      yield* jobs.advanceUntilIdle
      assert.strictEqual(yield* handle.await, 0)
      assert.strictEqual((yield* jobs.enqueued(Remind))[0]?.record.state, "completed")
    }).pipe(Effect.provide(TestJobs.layer(
      group,
      group.toLayer({
        Pay: () => Pay.commit(Effect.as(Remind.enqueue({ invoice: "i" }), 0)),
        Remind: () => Effect.void
      })
    ))))

  it.effect("stores the result, the completion and the children together", () =>
    Effect.gen(function*() {
      const { id } = yield* Pay.enqueue()
      assert.strictEqual(yield* Pay.handle(id).await, 0)
      assert.strictEqual(yield* count, 1)
    }).pipe(Effect.provide(program(Effect.as(Remind.enqueue({ invoice: "i" }), 0)))))

  it.effect("stores nothing of an effect that fails", () =>
    Effect.gen(function*() {
      const handle = yield* Pay.enqueue()
      assert.strictEqual((yield* Effect.flip(handle.await))._tag, "Busy")
      assert.strictEqual(yield* count, 0)
    }).pipe(Effect.provide(program(Effect.andThen(Remind.enqueue({ invoice: "i" }), Effect.fail(new Busy()))))))

  it.effect("a stale attempt commits nothing (P3)", () =>
    Effect.gen(function*() {
      const transactional = yield* Transactional.Transactional
      const { id } = yield* Remind.enqueue({ invoice: "i" })
      const error = yield* Effect.flip(transactional.commit(
        { id, fence: 7 },
        Remind.enqueue({ invoice: "child" }),
        () => Effect.succeed({ result: undefined, finishedAfter: 0 })
      ))
      assert.strictEqual((error as JobError.JobStoreError).reason._tag, "LeaseLost")
      assert.strictEqual(yield* count, 1)
    }).pipe(Effect.provide(TransactionalMemory.layer())))

  it.effect("awaiting a record of the open transaction is refused", () =>
    Effect.gen(function*() {
      const handle = yield* Pay.enqueue()
      const error = yield* Effect.flip(handle.await)
      assert.include(error.message, "belongs to the open transaction")
    }).pipe(Effect.provide(program(
      Effect.flatMap(Remind.enqueue({ invoice: "i" }), (handle) => Effect.as(Effect.orDie(handle.await), 0))
    ))))

  it.effect("a worker refuses a Transactional of another store when it is built", () =>
    Effect.gen(function*() {
      const foreign = Layer.effect(
        Transactional.Transactional,
        Effect.map(Transactional.Transactional, (own) => ({ ...own, identity: "another store" }))
      ).pipe(Layer.provideMerge(TransactionalMemory.layer()))
      const worker = JobWorker.layer(JobGroup.make(Remind)).pipe(
        Layer.provide(Remind.toLayer(() => Effect.void)),
        Layer.provide(foreign)
      )
      assert.isTrue(Exit.isFailure(yield* Effect.exit(Layer.build(worker))))
    }))
})
