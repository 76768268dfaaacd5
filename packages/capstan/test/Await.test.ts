/**
 * Awaiting a record: each way it can end, on any store, through an outage, and what it costs the store.
 */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobError, JobGroup, JobRecord, Jobs, JobStore } from "capstan"
import { Clock, Effect, Exit, Fiber, Latch, Layer, Queue, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { settle, storeWith, withOnly } from "./harness.ts"

class Busy extends Schema.TaggedError<Busy>()("Busy", {}) {}
class Task extends Job.make("Task", {
  payload: Schema.Number,
  success: Schema.Number,
  error: Busy,
  retention: { cancelled: 0 }
}) {}
const storeOnly = Layer.provideMerge(Jobs.layer, JobStore.layerMemory())

/** Claims a record and settles it, as a worker of another process does. */
const claim = Effect.flatMap(
  JobStore.JobStore,
  (store) =>
    Effect.map(
      store.exchange({
        worker: "w",
        lease: 1000,
        settlements: [],
        demand: [{ queue: "default", slots: 1, share: 1 }],
        total: 1
      }),
      ({ claimed }) => claimed[0]!
    )
)
const settleAs = (outcome: JobStore.Outcome) =>
  Effect.gen(function*() {
    const { fence, id } = yield* claim
    const settlements = [{ id, fence, outcome, finishedAfter: 0 }]
    yield* (yield* JobStore.JobStore).exchange({ worker: "w", lease: 1000, settlements, demand: [], total: 0 })
  })

const complete = (result: number) => settleAs({ _tag: "Complete", result: String(result) })
const failure: JobStore.NewFailure = { kind: "Defect", tag: "TypeError", message: "what went wrong" }
const dead = (reason: JobRecord.DeadReason) => settleAs({ _tag: "Dead", reason, failure })

const jobs = (
  act: (jobs: Jobs.Shape) => Effect.Effect<unknown, JobError.JobStoreError | JobError.JobControlError>
) => Effect.flatMap(Jobs.Jobs, act)
const maintain = Effect.flatMap(JobStore.JobStore, ({ maintain }) => maintain)

describe("an awaiter is told why a record is dead:", () => {
  /** How a record comes to die of each reason, from when it was stored. */
  const ways: {
    readonly [Reason in JobRecord.DeadReason]: Effect.Effect<unknown, unknown, JobStore.JobStore | Jobs.Jobs>
  } = {
    // A declared error of an attempt fails the awaiter typed; a store may know of the reason alone.
    Failed: settleAs({ _tag: "Dead", reason: "Failed", failure: { ...failure, kind: "Declared" } }),
    Defect: dead("Defect"),
    TimedOut: dead("TimedOut"),
    InvalidPayload: dead("InvalidPayload"),
    Crashed: Effect.gen(function*() {
      for (let i = 0; i < 3; i++) yield* Effect.andThen(claim, Effect.andThen(TestClock.adjust(1000), maintain))
    }),
    Expired: Effect.andThen(TestClock.adjust("1 minute"), maintain),
    DependencyFailed: jobs(({ cancelMany }) => cancelMany({ label: "dependency" }, { reason: "test" }))
  }

  for (const reason of Object.keys(ways) as ReadonlyArray<JobRecord.DeadReason>) {
    it.effect(reason, () => {
      class Expiring extends Job.make("Expiring", { startBefore: "1 minute" }) {}
      return Effect.gen(function*() {
        const store = yield* JobStore.JobStore
        const handle = reason === "Expired" ? yield* Expiring.enqueue() : yield* Task.enqueue(1)
        let awaited = handle.id
        if (reason === "DependencyFailed") {
          const [own] = (yield* (yield* Jobs.Jobs).query({})).records
          const { id } = yield* Task.enqueue(2, { tags: ["dependency"], delay: "1 hour" })
          awaited = JobRecord.JobId("00000000-0000-7000-8000-000000000001")
          yield* store.enqueue({
            records: [{
              id: awaited,
              tag: own!.tag,
              version: 1,
              queue: "default",
              priority: 0,
              payload: "1",
              delay: 0,
              retention: { completed: keep, cancelled: keep, dead: keep },
              sensitive: own!.sensitive,
              tags: [],
              headers: {},
              dependencies: [{ name: "d", id }]
            }]
          })
        }
        const job = reason === "Expired" ? Expiring : Task
        const fiber = yield* Effect.forkChild(
          Effect.flip(job.handle(awaited).await as Effect.Effect<never, unknown, JobStore.JobStore>)
        )
        yield* settle
        yield* ways[reason]
        const error = yield* Fiber.join(fiber)
        assert.deepInclude(error, { _tag: "JobDead", id: awaited, job: job._tag, reason })
      }).pipe(Effect.provide(storeOnly))
    })
  }
})

const keep: JobRecord.Keep = { age: Infinity, count: Infinity }

describe("a record that is gone", () => {
  const goneBy = (remove: Effect.Effect<unknown, unknown, JobStore.JobStore | Jobs.Jobs>) =>
    Effect.gen(function*() {
      const handle = yield* Task.enqueue(1, { delay: "1 hour" })
      const fiber = yield* Effect.forkChild(Effect.flip(handle.await))
      yield* settle
      yield* remove
      yield* TestClock.adjust("1 second")
      return yield* Fiber.join(fiber)
    })
  /** A store whose events never arrive, so that a record can end and go between two looks. */
  const deaf = storeWith(() => ({ notifications: "hint", events: Stream.never }))
  const forgetful = storeWith(({ results }) => ({
    notifications: "hint",
    events: Stream.never,
    results: (ids) =>
      Effect.map(
        results(ids),
        (answers) => answers.map((answer) => answer._tag === "NotFound" ? { _tag: "NotFound", id: answer.id } : answer)
      )
  }))
  const cancel = jobs(({ cancelMany }) => cancelMany({}, { reason: "test" }))

  const ways = {
    "by an operator": ["Deleted", jobs(({ delete: remove }) => remove({}))],
    "by a purge": ["Deleted", Effect.andThen(cancel, jobs(({ purge }) => purge({})))],
    "by its retention": ["Swept", Effect.andThen(cancel, maintain)]
  } as const

  for (const [way, [reason, remove]] of Object.entries(ways)) {
    it.effect(`${way} is ${reason}`, () =>
      Effect.gen(function*() {
        assert.deepInclude(yield* goneBy(remove), { _tag: "JobGone", reason })
      }).pipe(Effect.provide(deaf)))

    it.effect(`${way} is Removed during the wait where the store does not remember, and NotFound before`, () =>
      Effect.gen(function*() {
        const error = yield* goneBy(remove)
        assert.deepInclude(error, { _tag: "JobGone", reason: "Removed" })
        assert.deepInclude(yield* Effect.flip(Task.handle((error as JobError.JobGone).id).await), {
          _tag: "JobGone",
          reason: "NotFound"
        })
      }).pipe(Effect.provide(forgetful)))
  }

  it.effect("because its job keeps none is Swept for the call that stored it", () => {
    class Fleeting extends Job.make("Fleeting", { success: Schema.Number, retention: { completed: 0 } }) {}
    return Effect.gen(function*() {
      yield* Layer.build(withOnly(JobGroup.make(Fleeting), Fleeting.toLayer(() => Effect.succeed(7))))
      assert.deepInclude(yield* Effect.flip(Fleeting.run()), { _tag: "JobGone", reason: "Swept" })
    }).pipe(Effect.scoped, Effect.provide(storeOnly))
  })

  it.effect("before the wait is Deleted too", () =>
    Effect.gen(function*() {
      const { id } = yield* Task.enqueue(1)
      yield* jobs(({ delete: remove }) => remove({}))
      assert.deepInclude(yield* Effect.flip(Task.handle(id).await), { _tag: "JobGone", reason: "Deleted" })
    }).pipe(Effect.provide(storeOnly)))
})

describe("an await", () => {
  it.effect("ends on a store whose notifications are lost: it is looked at once a second", () => {
    let looks = 0
    const deaf = storeWith((store) => ({
      notifications: "hint",
      events: Stream.never,
      results: (ids) => Effect.suspend(() => (looks++, store.results(ids)))
    }))
    return Effect.gen(function*() {
      const { await: result } = yield* Task.enqueue(1)
      const fiber = yield* Effect.forkChild(result)
      yield* settle
      yield* complete(7)
      assert.strictEqual(looks, 1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(fiber), 7)
      assert.strictEqual(looks, 2)
      // Nobody waits any more, so nobody looks.
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(looks, 2)
    }).pipe(Effect.provide(deaf))
  })

  it.effect("needs no poll on a store whose notifications are exact", () => {
    let looks = 0
    const counting = storeWith((store) => ({ results: (ids) => Effect.suspend(() => (looks++, store.results(ids))) }))
    return Effect.gen(function*() {
      const { await: result } = yield* Task.enqueue(1)
      const fiber = yield* Effect.forkChild(result)
      yield* settle
      yield* TestClock.adjust("1 hour")
      // The first look, and one at the subscription.
      const before = looks
      assert.isAtMost(before, 2)
      yield* complete(7)
      assert.strictEqual(yield* Fiber.join(fiber), 7)
      assert.strictEqual(looks, before + 1)
    }).pipe(Effect.provide(counting))
  })

  it.effect("asks anew when the store says that events were missed", () => {
    const events = Effect.runSync(Queue.unbounded<JobStore.StoreEvent>())
    const forgetful = storeWith(() => ({ events: Stream.fromQueue(events) }))
    return Effect.gen(function*() {
      const { await: result } = yield* Task.enqueue(1)
      const fiber = yield* Effect.forkChild(result)
      yield* settle
      yield* complete(7)
      yield* TestClock.adjust("1 hour")
      assert.isUndefined(fiber.pollUnsafe())
      yield* Queue.offer(events, { type: "missed" })
      yield* settle
      assert.deepStrictEqual(fiber.pollUnsafe(), Exit.succeed(7))
    }).pipe(Effect.provide(forgetful))
  })

  it.effect("is one question for all that are awaited", () => {
    const asked: Array<number> = []
    const counting = storeWith((store) => ({
      results: (ids) => {
        asked.push(ids.length)
        return store.results(ids)
      }
    }))
    return Effect.gen(function*() {
      const handles = yield* Task.enqueueMany(Array.from({ length: 100 }, (_, i) => i))
      const fiber = yield* Effect.forkChild(
        Effect.forEach(handles, ({ id }) => Task.handle(id).await, { concurrency: "unbounded" })
      )
      yield* settle
      assert.strictEqual(asked[0], 100)
      asked.length = 0
      for (let i = 0; i < 100; i++) yield* complete(i)
      assert.strictEqual((yield* Fiber.join(fiber)).length, 100)
      // Several ended before the one who asks had its turn.
      assert.strictEqual(asked.reduce((sum, count) => sum + count, 0), 100)
      assert.isBelow(asked.length, 100)
    }).pipe(Effect.provide(counting))
  })
})

describe("the memory store", () => {
  it.effect("says so when a reader of its events is too slow for all of them", () =>
    Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      const gate = yield* Latch.make()
      const heard: Array<string> = []
      yield* Effect.forkChild(
        Stream.runForEach(store.events, ({ type }) => Effect.andThen(Effect.sync(() => heard.push(type)), gate.await))
      )
      yield* settle
      // Every subscription opens with it.
      assert.deepStrictEqual(heard, ["missed"])
      yield* Task.enqueueMany(Array.from({ length: 5000 }, (_, i) => i))
      yield* gate.open
      yield* settle
      assert.strictEqual(heard[1], "missed")
      assert.isBelow(heard.length, 5000)
      assert.deepStrictEqual(new Set(heard.slice(2)), new Set(["enqueued"]))
    }).pipe(Effect.provide(storeOnly)))
})

describe("an outage of the store during an await", () => {
  const away = new JobError.JobStoreError({
    reason: new JobError.Unavailable({ operation: "results", detail: "test" })
  })
  const fragile = () => {
    const state = { isAway: true }
    return {
      state,
      layer: storeWith((store) => ({
        results: (ids) => Effect.suspend(() => state.isAway ? Effect.fail(away) : store.results(ids))
      }))
    }
  }

  it.effect("of less than half a minute is waited out", () => {
    const { layer, state } = fragile()
    return Effect.gen(function*() {
      const { await: result } = yield* Task.enqueue(1)
      const fiber = yield* Effect.forkChild(result)
      yield* settle
      yield* complete(7)
      yield* TestClock.adjust("25 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      state.isAway = false
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(fiber.pollUnsafe(), Exit.succeed(7))
    }).pipe(Effect.provide(layer))
  })

  it.effect("of more is told, and the next await asks again", () => {
    const { layer, state } = fragile()
    return Effect.gen(function*() {
      const { await: result } = yield* Task.enqueue(1)
      const before = yield* Clock.currentTimeMillis
      const failed = Effect.map(
        Effect.all([Effect.flip(result), Clock.currentTimeMillis]),
        ([error, at]) => [error, at]
      )
      const fiber = yield* Effect.forkChild(failed)
      yield* settle
      yield* TestClock.adjust("1 minute")
      const [error, at] = yield* Fiber.join(fiber)
      assert.strictEqual(error, away)
      assert.isAtLeast(at as number, before + 28_000)
      assert.isAtMost(at as number, before + 32_000)
      state.isAway = false
      yield* complete(7)
      assert.strictEqual(yield* result, 7)
    }).pipe(Effect.provide(layer))
  })
})
