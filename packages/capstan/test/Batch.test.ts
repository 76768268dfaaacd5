/** Batch jobs in a worker: what comes together, how each record ends, and what takes a batch apart. */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobBatch, JobContext, JobGroup, JobMiddleware, Jobs, JobStore, JobWorker } from "capstan"
import { Context, Deferred, Effect, Exit, Layer, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { recordOf, settle, storeWith, withOnly, withWorker } from "./harness.ts"

class Failed extends Schema.TaggedError<Failed>()("Failed", { n: Schema.Int }) {}

const options = {
  payload: { key: Schema.String, n: Schema.Int },
  success: Schema.Int,
  error: Failed,
  retry: Schedule.spaced("1 minute"),
  batch: { size: 3, within: "2 seconds", key: ({ key }: { readonly key: string }) => key }
} as const

class Bulk extends JobBatch.make("Bulk", options) {}

type Members = ReadonlyArray<JobBatch.Member<{ readonly key: string; readonly n: number }>>

const group = JobGroup.make(Bulk)
const numbers = (members: Members) => members.map(({ payload }) => payload.n)
const double = (members: Members) => members.map((member) => [member, Exit.succeed(2 * member.payload.n)] as const)

/** A worker that notes the batches that its handler gets. */
const worker = (
  handler: (members: Members) => ReturnType<
    JobBatch.Handler<
      (typeof Bulk)["payloadSchema"],
      (typeof Bulk)["successSchema"],
      (typeof Bulk)["errorSchema"],
      never
    >
  > = (members) => Effect.succeed(double(members)),
  workerOptions?: JobWorker.Options<"default">
) => {
  const seen: Array<ReadonlyArray<number>> = []
  const layer = Bulk.toLayer((members) =>
    Effect.suspend(() => {
      seen.push(numbers(members))
      return handler(members)
    })
  )
  return { seen, layer: withWorker(group, layer, workerOptions), handlers: layer }
}

const enqueue = (...ns: ReadonlyArray<number>) => Effect.forEach(ns, (n) => Bulk.enqueue({ key: "a", n }))

const states = (records: ReadonlyArray<{ readonly id: string }>) =>
  Effect.forEach(records, ({ id }) => Effect.map(recordOf(id), ({ state }) => state))

describe("a batch", () => {
  it.effect("runs at once when it is full, and its records have results of their own", () => {
    const { layer, seen } = worker()
    return Effect.gen(function*() {
      const handles = yield* enqueue(1, 2, 3)
      yield* settle
      assert.deepStrictEqual(seen, [[1, 2, 3]])
      assert.deepStrictEqual(yield* Effect.forEach(handles, (handle) => handle.await), [2, 4, 6])
    }).pipe(Effect.provide(layer))
  })

  it.effect("that is not full runs when its time is over, and not before", () => {
    const { layer, seen } = worker()
    return Effect.gen(function*() {
      yield* enqueue(1, 2)
      yield* TestClock.adjust("1999 millis")
      assert.deepStrictEqual(seen, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(seen, [[1, 2]])
    }).pipe(Effect.provide(layer))
  })

  it.effect("keeps what it collects for longer than a lease, also a single record", () => {
    class Patient extends JobBatch.make("Patient", { ...options, batch: { ...options.batch, within: "20 seconds" } }) {}
    const handler = Patient.toLayer((members) => Effect.succeed(double(members)))
    return Effect.gen(function*() {
      const { id } = yield* Patient.enqueue({ key: "a", n: 1 })
      yield* TestClock.adjust("20 seconds")
      const { attempts, state } = yield* recordOf(id)
      assert.deepStrictEqual([state, attempts.map(({ decision }) => decision)], ["completed", ["completed"]])
    }).pipe(Effect.provide(withWorker(JobGroup.make(Patient), handler, { lease: "3 seconds" })))
  })

  it.effect("has records of one key", () => {
    const { layer, seen } = worker()
    return Effect.gen(function*() {
      yield* Bulk.enqueueMany([1, 2, 3, 4, 5, 6].map((n) => ({ key: n % 2 === 0 ? "even" : "odd", n })))
      yield* settle
      assert.deepStrictEqual(seen, [[1, 3, 5], [2, 4, 6]])
    }).pipe(Effect.provide(layer))
  })

  it.effect("takes one slot of the pool, and a worker collects as many as would fill its free slots", () => {
    const { layer, seen } = worker(() => Effect.never, { concurrency: 2 })
    return Effect.gen(function*() {
      const handles = yield* enqueue(...Array.from({ length: 12 }, (_, n) => n))
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(seen, [[0, 1, 2], [3, 4, 5]])
      assert.strictEqual((yield* states(handles)).filter((state) => state === "running").length, 6)
      const { running } = yield* (yield* JobWorker.JobWorker).health
      assert.strictEqual(running, 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("shares its queue with other jobs, which take a slot each", () => {
    class Other extends Job.make("Other") {}
    const both = Layer.merge(worker().handlers, Other.toLayer(() => Effect.void))
    return Effect.gen(function*() {
      const bulk = yield* enqueue(1, 2, 3)
      const other = yield* Other.enqueue()
      yield* settle
      assert.deepStrictEqual(yield* states([...bulk, other]), ["completed", "completed", "completed", "completed"])
    }).pipe(Effect.provide(withWorker(JobGroup.make(Bulk, Other), both, { concurrency: 1 })))
  })

  it.effect("whose queue has other jobs too is collected no further than would fill the free slots", () => {
    class Other extends Job.make("Other", { timeout: "infinite" }) {}
    const both = Layer.merge(worker().handlers, Other.toLayer(() => Effect.never))
    return Effect.gen(function*() {
      yield* Other.enqueue()
      yield* settle
      const payloads = Array.from({ length: 100 }, (_, n) => ({ key: String(n), n }))
      const handles = yield* Bulk.enqueueMany(payloads)
      yield* settle
      const count = (what: string) => Effect.map(states(handles), (all) => all.filter((state) => state === what).length)
      assert.strictEqual(yield* count("running"), 6)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual([yield* count("completed"), yield* count("running")], [6, 6])
      for (let i = 0; i < 20; i++) yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* count("completed"), 100)
    }).pipe(Effect.provide(withWorker(JobGroup.make(Bulk, Other), both, { concurrency: 3 })))
  })
})

describe("a record of a batch", () => {
  it.effect("ends by its own exit: result, retry and defect side by side", () => {
    const { layer } = worker((members) =>
      Effect.succeed(members.map((member) =>
        [
          member,
          member.payload.n === 1
            ? Exit.succeed(7)
            : member.payload.n === 2
            ? Exit.fail(new Failed({ n: 2 }))
            : Exit.die(new Error("boom"))
        ] as const
      ))
    )
    return Effect.gen(function*() {
      const handles = yield* enqueue(1, 2, 3)
      yield* settle
      const records = yield* Effect.forEach(handles, ({ id }) => recordOf(id))
      assert.deepStrictEqual(records.map(({ result, state }) => [state, result]), [
        ["completed", "7"],
        ["scheduled", undefined],
        ["scheduled", undefined]
      ])
      assert.deepStrictEqual(records.map(({ failures }) => failures.map(({ kind, tag }) => [kind, tag])), [
        [],
        [["Declared", "Failed"]],
        [["Defect", "Error"]]
      ])
      assert.strictEqual(records[1]!.dueAt, 60_000)
    }).pipe(Effect.provide(layer))
  })

  it.effect("that the handler leaves out has failed", () => {
    const { layer } = worker((members) => Effect.succeed(double(members.slice(1))))
    return Effect.gen(function*() {
      const handles = yield* enqueue(1, 2, 3)
      yield* settle
      assert.deepStrictEqual(yield* states(handles), ["scheduled", "completed", "completed"])
      const { failures } = yield* recordOf(handles[0]!.id)
      assert.deepStrictEqual(failures.map(({ kind, tag }) => [kind, tag]), [["Defect", "Omitted"]])
    }).pipe(Effect.provide(layer))
  })

  it.effect("whose result does not satisfy the schema fails alone", () => {
    const { layer } = worker((members) =>
      Effect.succeed(members.map((member, i) => [member, Exit.succeed(i === 1 ? 0.5 : i)] as const))
    )
    return Effect.gen(function*() {
      const handles = yield* enqueue(1, 2, 3)
      yield* settle
      assert.deepStrictEqual(yield* states(handles), ["completed", "scheduled", "completed"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("whose payload does not decode is dead, and its mates run without it", () => {
    const { layer, seen } = worker()
    return Effect.gen(function*() {
      const handles = yield* enqueue(1, 2)
      const [poisoned] = yield* Poisoned.enqueueMany([{ key: "a", n: "none" }])
      yield* settle
      assert.deepStrictEqual(seen, [[1, 2]])
      assert.deepStrictEqual(yield* states([...handles, poisoned!]), ["completed", "completed", "dead"])
      assert.strictEqual((yield* recordOf(poisoned!.id)).deadReason, "InvalidPayload")
    }).pipe(Effect.provide(layer))
  })

  it.effect("fails with all others when the handler itself fails, each by its own policy", () => {
    const { layer } = worker(() => Effect.fail(new Failed({ n: 0 })))
    return Effect.gen(function*() {
      const handles = yield* enqueue(1, 2, 3)
      yield* settle
      const records = yield* Effect.forEach(handles, ({ id }) => recordOf(id))
      assert.deepStrictEqual(records.map(({ attempt, dueAt, state }) => [state, attempt, dueAt]), [
        ["scheduled", 1, 60_000],
        ["scheduled", 1, 60_000],
        ["scheduled", 1, 60_000]
      ])
    }).pipe(Effect.provide(layer))
  })

  it.effect("enqueues children of its own, and keeps its own log", () => {
    class Child extends Job.make("Child") {}
    const handlers = Layer.merge(
      Bulk.toLayer((members) =>
        JobBatch.each(members, ({ n }) =>
          Effect.gen(function*() {
            yield* Child.enqueue()
            yield* (yield* JobContext.JobContext).log(`n is ${n}`)
            return n
          }))
      ),
      Child.toLayer(() => Effect.void)
    )
    return Effect.gen(function*() {
      const handles = yield* enqueue(1, 2, 3)
      yield* settle
      const store = yield* JobStore.JobStore
      const { records } = yield* store.query({ where: { tag: "Child" }, order: "oldest", limit: 10 })
      assert.deepStrictEqual(records.map(({ parent }) => parent), handles.map(({ id }) => id))
      const logs = yield* Effect.forEach(
        handles,
        ({ id }) => Effect.map(recordOf(id), ({ logs }) => logs.map(({ message }) => message))
      )
      assert.deepStrictEqual(logs, [["n is 1"], ["n is 2"], ["n is 3"]])
    }).pipe(Effect.provide(withWorker(JobGroup.make(Bulk, Child), handlers)))
  })

  it.effect("that snoozes runs again, and the others have ended", () => {
    const { layer, seen } = worker((members) =>
      JobBatch.each(members, ({ n }) =>
        n === 2
          ? Effect.flatMap(
            JobContext.JobContext,
            ({ attempt, snooze }) => seen.length === 1 ? snooze("10 seconds") : Effect.succeed(attempt)
          )
          : Effect.succeed(n))
    )
    return Effect.gen(function*() {
      const handles = yield* enqueue(1, 2, 3)
      yield* settle
      assert.deepStrictEqual(yield* states(handles), ["completed", "scheduled", "completed"])
      yield* TestClock.adjust("12 seconds")
      assert.deepStrictEqual(seen, [[1, 2, 3], [2]])
      assert.strictEqual(yield* handles[1]!.await, 1)
    }).pipe(Effect.provide(layer))
  })
})

/** Records of the same tag that another release made. */
class Poisoned
  extends JobBatch.make("Bulk", { payload: { key: Schema.String, n: Schema.String }, batch: options.batch })
{}

describe("a cancel", () => {
  it.effect("of a record that is collected takes it out, and the others run", () => {
    const { layer, seen } = worker()
    return Effect.gen(function*() {
      const handles = yield* enqueue(1, 2)
      yield* settle
      yield* handles[0]!.cancel({ reason: "r" })
      yield* settle
      assert.deepStrictEqual(yield* states(handles), ["cancelled", "running"])
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(seen, [[2]])
    }).pipe(Effect.provide(layer))
  })

  it.effect("of a record that runs interrupts its part, and the others go on", () =>
    Effect.gen(function*() {
      const go = yield* Deferred.make<void>()
      const interrupted: Array<number> = []
      const { layer } = worker((members) =>
        JobBatch.each(
          members,
          ({ n }) =>
            Effect.onInterrupt(Effect.as(Deferred.await(go), n), () => Effect.sync(() => void interrupted.push(n))),
          { concurrency: "unbounded" }
        )
      )
      yield* Effect.gen(function*() {
        const handles = yield* enqueue(1, 2, 3)
        yield* settle
        yield* handles[1]!.cancel({ reason: "r" })
        yield* settle
        assert.deepStrictEqual(interrupted, [2])
        yield* TestClock.adjust("1 minute")
        yield* Deferred.succeed(go, undefined)
        yield* settle
        assert.deepStrictEqual(yield* states(handles), ["completed", "cancelled", "completed"])
        assert.strictEqual((yield* (yield* JobWorker.JobWorker).health).abandoned, 0)
      }).pipe(Effect.provide(layer))
    }))

  it.effect("of a record whose exit is a success comes too late", () =>
    Effect.gen(function*() {
      const go = yield* Deferred.make<void>()
      const { layer } = worker((members) => Effect.as(Deferred.await(go), double(members)))
      yield* Effect.gen(function*() {
        const handles = yield* enqueue(1, 2, 3)
        yield* settle
        yield* handles[1]!.cancel({ reason: "r" })
        yield* Deferred.succeed(go, undefined)
        yield* settle
        assert.deepStrictEqual(yield* states(handles), ["completed", "completed", "completed"])
      }).pipe(Effect.provide(layer))
    }))

  it.effect("of all of them interrupts the handler", () => {
    const { layer } = worker(() => Effect.never)
    return Effect.gen(function*() {
      const handles = yield* enqueue(1, 2, 3)
      yield* settle
      for (const handle of handles) yield* handle.cancel({ reason: "r" })
      yield* settle
      assert.deepStrictEqual(yield* states(handles), ["cancelled", "cancelled", "cancelled"])
    }).pipe(Effect.provide(layer))
  })
})

describe("the end of a batch", () => {
  it.effect("by its timeout is the end of all of it", () => {
    class Slow extends JobBatch.make("Slow", { ...options, timeout: "10 seconds" }) {}
    return Effect.gen(function*() {
      const handles = yield* Effect.forEach([1, 2, 3], (n) => Slow.enqueue({ key: "a", n }))
      yield* TestClock.adjust("10 seconds")
      const failures = yield* Effect.forEach(handles, ({ id }) => Effect.map(recordOf(id), ({ failures }) => failures))
      assert.deepStrictEqual(failures.map((all) => all.map(({ kind }) => kind)), [["TimedOut"], ["TimedOut"], [
        "TimedOut"
      ]])
    }).pipe(Effect.provide(withWorker(JobGroup.make(Slow), Slow.toLayer(() => Effect.never))))
  })

  it.effect("of a handler that cannot be interrupted gives its one slot up after the grace", () => {
    const { layer, seen } = worker(
      (members) => seen.length === 1 ? Effect.uninterruptible(Effect.never) : Effect.succeed(double(members)),
      { concurrency: 1, interruptGrace: "1 second" }
    )
    return Effect.gen(function*() {
      const handles = yield* enqueue(1, 2, 3)
      yield* settle
      for (const handle of handles) yield* handle.cancel({ reason: "r" })
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* states(handles), ["cancelled", "cancelled", "cancelled"])
      const next = yield* enqueue(4, 5, 6)
      yield* settle
      assert.deepStrictEqual(yield* states(next), ["completed", "completed", "completed"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("comes with the last of its records: until the policy of that one has decided, it has the slot", () => {
    class Deciding extends JobBatch.make("Deciding", {
      ...options,
      retry: Schedule.spaced("1 minute").pipe(
        Schedule.modifyDelay(({ duration }) => Effect.as(Effect.sleep("5 seconds"), duration))
      )
    }) {}
    const seen: Array<ReadonlyArray<number>> = []
    const handler = Deciding.toLayer((members) =>
      Effect.sync(() => {
        seen.push(numbers(members))
        return members.map((member) => [
          member,
          member.payload.n === 3 ? Exit.fail(new Failed({ n: 3 })) : Exit.succeed(0)
        ])
      })
    )
    return Effect.gen(function*() {
      const handles = yield* Effect.forEach([1, 2, 3, 4, 5, 6], (n) => Deciding.enqueue({ key: "a", n }))
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(yield* states(handles.slice(0, 3)), ["completed", "completed", "running"])
      assert.deepStrictEqual(seen, [[1, 2, 3]])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(seen, [[1, 2, 3], [4, 5, 6]])
    }).pipe(Effect.provide(withWorker(JobGroup.make(Deciding), handler, { concurrency: 1 })))
  })

  it.effect("by a shutdown gives what runs back, and what was only collected too, without an attempt", () => {
    const { handlers } = worker(() => Effect.never)
    return Effect.gen(function*() {
      const handles = yield* Effect.scoped(Effect.gen(function*() {
        yield* Layer.build(withOnly(group, handlers))
        const handles = yield* enqueue(1, 2, 3, 4, 5)
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* states(handles), Array.from({ length: 5 }, () => "running"))
        return handles
      }))
      const records = yield* Effect.forEach(handles, ({ id }) => recordOf(id))
      assert.deepStrictEqual(
        records.map(({ attempt, state }) => [state, attempt]),
        Array.from({ length: 5 }, () => ["ready", 0])
      )
    }).pipe(Effect.provide(Jobs.layer.pipe(Layer.provideMerge(JobStore.layerMemory()))))
  })

  it.effect("that the store has taken away settles nothing of it, and drops what is collected", () => {
    const asked: Array<number> = []
    const { handlers } = worker(() => Effect.never)
    const store = storeWith((store) => ({
      renew: (request) =>
        Effect.map(store.renew(request), (reply) => {
          asked.push(request.holding.length)
          return { ...reply, lost: request.holding }
        })
    }))
    return Effect.gen(function*() {
      const handles = yield* enqueue(1, 2, 3, 4)
      const context = yield* Layer.build(withOnly(group, handlers, { lease: "3 seconds" }))
      yield* settle
      yield* TestClock.adjust("1 second")
      assert.isTrue(asked.includes(4))
      assert.deepStrictEqual(yield* states(handles), ["running", "running", "running", "running"])
      const { running, waiting } = yield* Context.get(context, JobWorker.JobWorker).health
      assert.deepStrictEqual([running, waiting], [0, 0])
    }).pipe(Effect.scoped, Effect.provide(store))
  })
})

describe("what has crashed a worker", () => {
  it.effect("runs by itself and at once", () => {
    const { handlers, seen } = worker()
    return Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      const [crashed] = yield* enqueue(1)
      yield* store.exchange({
        worker: "dying",
        lease: 1000,
        settlements: [],
        demand: [{ queue: "default", slots: 1, share: 1 }],
        total: 1
      })
      yield* TestClock.adjust("1 second")
      yield* store.maintain
      yield* enqueue(2, 3)
      yield* Layer.build(withOnly(group, handlers))
      yield* settle
      assert.deepStrictEqual(seen, [[1]])
      assert.deepStrictEqual(yield* states([crashed!]), ["completed"])
    }).pipe(Effect.scoped, Effect.provide(Jobs.layer.pipe(Layer.provideMerge(JobStore.layerMemory()))))
  })
})

describe("perform", () => {
  it.effect("gives the handler a batch of one, and answers its exit", () =>
    Effect.gen(function*() {
      const { handlers } = worker((members) =>
        Effect.succeed(members.map((member) =>
          [member, member.payload.n === 0 ? Exit.fail(new Failed({ n: 0 })) : Exit.succeed(5)] as const
        ))
      )
      yield* Effect.gen(function*() {
        assert.strictEqual(yield* JobWorker.perform(Bulk, { key: "a", n: 1 }), 5)
        assert.instanceOf(yield* Effect.flip(JobWorker.perform(Bulk, { key: "a", n: 0 })), Failed)
      }).pipe(Effect.provide(handlers))
    }))
})

describe("performBatch", () => {
  it.effect("gives the handler all payloads, and answers the exit of each", () =>
    Effect.gen(function*() {
      const { handlers, seen } = worker((members) =>
        Effect.succeed(
          members.slice(1).map((member) =>
            [member, member.payload.n === 2 ? Exit.fail(new Failed({ n: 2 })) : Exit.succeed(member.payload.n)] as const
          )
        )
      )
      const payloads = [1, 2, 3].map((n) => ({ key: "a", n }))
      const [omitted, failed, done] = yield* Effect.provide(JobWorker.performBatch(Bulk, payloads), handlers)
      assert.deepStrictEqual(seen, [[1, 2, 3]])
      assert.isTrue(Exit.hasDies(omitted!))
      assert.deepStrictEqual([failed, done], [Exit.fail(new Failed({ n: 2 })), Exit.succeed(3)])
    }))
})

describe("a declaration", () => {
  it("refuses sizes and times that cannot be meant, and a middleware around it", () => {
    const batch = { within: "1 second", size: 1 } as const
    assert.throws(() => JobBatch.make("X", { batch: { ...batch, size: 0 } }), /batch.size: must be an integer from 1/)
    assert.throws(() => JobBatch.make("X", { batch: { ...batch, within: "-1 second" } }), /batch.within/)
    class Wrapping extends JobMiddleware.Service<Wrapping>()("Wrapping") {}
    assert.throws(() => JobGroup.make(Bulk).middleware(Wrapping), /Bulk takes batches/)
  })
})
