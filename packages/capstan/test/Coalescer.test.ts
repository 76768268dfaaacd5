import { assert, describe, it } from "@effect/vitest"
import { Coalescer, JobError, JobRecord, type JobStore } from "capstan"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"

const record = (n: number): JobStore.NewRecord => ({
  id: JobRecord.JobId(String(n)),
  tag: "Task",
  version: 1,
  queue: "default",
  priority: 0,
  payload: "null",
  delay: 0,
  retention: {
    completed: { age: 0, count: 0 },
    cancelled: { age: 0, count: 0 },
    dead: { age: 0, count: 0 }
  },
  sensitive: { payload: [], result: [], error: [], progress: [] },
  tags: [],
  headers: {}
})

const inserted = (records: ReadonlyArray<JobStore.NewRecord>) =>
  records.map(({ id }): JobStore.Enqueued => ({ id, outcome: "Inserted" }))

/** A store whose calls are answered by hand. */
const open = (inFlight?: number) =>
  Effect.gen(function*() {
    const calls: Array<{ readonly ids: ReadonlyArray<string>; readonly answer: Effect.Effect<unknown> }> = []
    const ended: Array<string> = []
    const scope = yield* Scope.make()
    const store: Coalescer.Store = (records) =>
      Effect.gen(function*() {
        const answer = yield* Deferred.make<ReadonlyArray<JobStore.Enqueued>>()
        calls.push({ ids: records.map(({ id }) => id), answer: Deferred.succeed(answer, inserted(records)) })
        return yield* Effect.onInterrupt(Deferred.await(answer), () => Effect.sync(() => ended.push(records[0]!.id)))
      })
    const { enqueue } = new Coalescer.Coalescer(store, scope, inFlight)
    const start = (...numbers: ReadonlyArray<number>) =>
      Effect.forEach(numbers, (n) => Effect.forkChild(enqueue([record(n)]), { startImmediately: true }))
    return { calls, ended, enqueue, scope, start, idsOf: () => calls.map(({ ids }) => ids.join(" ")) }
  })

const turns = Effect.forEach([1, 2, 3], () => Effect.yieldNow, { discard: true })

describe("enqueues from many fibers", () => {
  it.effect("begin at once when they are alone, and make one call each", () =>
    Effect.gen(function*() {
      const { calls, idsOf, start } = yield* open(2)
      for (const n of [1, 2, 3]) {
        const [fiber] = yield* start(n)
        assert.strictEqual(calls.length, n)
        yield* calls[n - 1]!.answer
        assert.strictEqual((yield* Fiber.join(fiber!))[0]?.id, String(n))
      }
      yield* turns
      assert.deepStrictEqual(idsOf(), ["1", "2", "3"])
    }))

  it.effect("gather while a call is under way, and go out together", () =>
    Effect.gen(function*() {
      const { calls, idsOf, start } = yield* open()
      const fibers = yield* start(1, 2, 3, 4)
      yield* turns
      assert.deepStrictEqual(idsOf(), ["1"])
      yield* calls[0]!.answer
      yield* turns
      assert.deepStrictEqual(idsOf(), ["1", "2 3 4"])
      yield* calls[1]!.answer
      const answers = yield* Effect.forEach(fibers, Fiber.join)
      assert.deepStrictEqual(answers.map(([one]) => one!.id), ["1", "2", "3", "4"].map((id) => JobRecord.JobId(id)))
    }))

  it.effect("go out in as many calls at a time as the store takes", () =>
    Effect.gen(function*() {
      const { calls, idsOf, start } = yield* open(2)
      yield* start(1, 2, 3)
      yield* turns
      assert.deepStrictEqual(idsOf(), ["1", "2 3"])
      yield* start(4, 5)
      yield* turns
      assert.strictEqual(calls.length, 2)
      yield* calls[1]!.answer
      yield* turns
      assert.deepStrictEqual(idsOf(), ["1", "2 3", "4 5"])
    }))

  it.effect("that follow as their callers are answered go out together, too", () =>
    Effect.gen(function*() {
      const { calls, enqueue, idsOf } = yield* open()
      const twice = (n: number) => Effect.andThen(enqueue([record(n)]), enqueue([record(n + 10)]))
      yield* Effect.forEach([0, 1, 2, 3], (n) => Effect.forkChild(twice(n), { startImmediately: true }))
      yield* calls[0]!.answer
      yield* turns
      assert.deepStrictEqual(idsOf(), ["0", "1 2 3 10"])
      yield* calls[1]!.answer
      yield* turns
      assert.deepStrictEqual(idsOf().slice(2), ["11 12 13"])
    }))

  it.effect("leave nothing behind when they are interrupted before they were sent", () =>
    Effect.gen(function*() {
      const { calls, ended, idsOf, start } = yield* open()
      const [first, second] = yield* start(1, 2, 3)
      yield* Fiber.interrupt(second!)
      // One that was sent is: its call goes on.
      yield* Fiber.interrupt(first!)
      yield* calls[0]!.answer
      yield* turns
      assert.deepStrictEqual([idsOf(), ended], [["1", "3"], []])
    }))

  it.effect("fail alone when the store refuses one of them", () =>
    Effect.gen(function*() {
      const refusal = new JobError.JobStoreError({
        reason: new JobError.Incompatible({ operation: "enqueue", detail: "2" })
      })
      const first = yield* Deferred.make<void>()
      const { enqueue } = new Coalescer.Coalescer(
        (records) =>
          records[0]!.id === "0"
            ? Effect.as(Deferred.await(first), inserted(records))
            : records.some(({ id }) => id === "2")
            ? Effect.fail(refusal)
            : Effect.succeed(inserted(records)),
        yield* Effect.scope
      )
      const fibers = yield* Effect.forEach([0, 1, 2, 3], (n) =>
        Effect.forkChild(enqueue([record(n)]), { startImmediately: true }))
      yield* Deferred.succeed(first, undefined)
      const exits = yield* Effect.forEach(fibers, Fiber.await)
      assert.deepStrictEqual(exits.map(Exit.isSuccess), [true, true, false, true])
    }))

  it.effect("are stored when the store refuses others of their call by its answers, with those no more than once", () =>
    Effect.gen(function*() {
      const first = yield* Deferred.make<void>()
      const calls: Array<string> = []
      const blamed: Readonly<Record<string, JobStore.Enqueued["outcome"]>> = { 2: "UniqueConflict", 4: "Begun" }
      const { enqueue } = new Coalescer.Coalescer((records) =>
        Effect.gen(function*() {
          calls.push(records.map(({ id }) => id).join(" "))
          if (records[0]!.id === "0") yield* Deferred.await(first)
          return records.some(({ id }) => id in blamed)
            ? records.map(({ id }): JobStore.Enqueued => ({ id, outcome: blamed[id] ?? "Refused" }))
            : inserted(records)
        }), yield* Effect.scope)
      const fibers = yield* Effect.forEach(
        [[0], [1, 2], [3], [4], [5, 6]],
        (numbers) => Effect.forkChild(enqueue(numbers.map(record)), { startImmediately: true })
      )
      yield* Deferred.succeed(first, undefined)
      const answers = yield* Effect.forEach(fibers, Fiber.join)
      assert.deepStrictEqual(
        answers.map((some) => some.map(({ id, outcome }) => `${id} ${outcome}`).join(", ")),
        ["0 Inserted", "1 Refused, 2 UniqueConflict", "3 Inserted", "4 Begun", "5 Inserted, 6 Inserted"]
      )
      assert.deepStrictEqual(calls, ["0", "1 2 3 4 5 6", "3 5 6", "1 2", "4"])
    }))

  it.effect("go out each for itself when the store refuses them and blames none", () =>
    Effect.gen(function*() {
      const first = yield* Deferred.make<void>()
      const { enqueue } = new Coalescer.Coalescer((records) =>
        Effect.as(
          records[0]!.id === "0" ? Deferred.await(first) : Effect.void,
          records.map(({ id }): JobStore.Enqueued => ({ id, outcome: records.length > 1 ? "Refused" : "Inserted" }))
        ), yield* Effect.scope)
      const fibers = yield* Effect.forEach([0, 1, 2], (n) =>
        Effect.forkChild(enqueue([record(n)]), { startImmediately: true }))
      yield* Deferred.succeed(first, undefined)
      const answers = yield* Effect.forEach(fibers, Fiber.join)
      assert.deepStrictEqual(
        answers.flat().map(({ outcome }) =>
          outcome
        ),
        ["Inserted", "Inserted", "Inserted"]
      )
    }))

  it.effect("end when the scope closes: unsent ones were not stored, of those that were sent nobody knows", () =>
    Effect.gen(function*() {
      const { ended, enqueue, scope, start } = yield* open()
      const [sent, waiting] = yield* start(1, 2)
      yield* Scope.close(scope, Exit.void)
      const reasons = yield* Effect.forEach(
        [Fiber.join(sent!), Fiber.join(waiting!), enqueue([record(3)])],
        (call) => Effect.map(Effect.flip(call), ({ reason }) => reason._tag)
      )
      assert.deepStrictEqual([reasons, ended], [["OutcomeUnknown", "Unavailable", "Unavailable"], ["1"]])
    }))
})
