/** What the worker tells the store: in which order, and what becomes of what the store does not take. */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobContext, JobError, JobGroup, Jobs, JobWorker, Step } from "capstan"
import type { JobStore } from "capstan"
import { Clock, Effect, Fiber, Latch, Layer, Logger, Schema } from "effect"
import { TestClock } from "effect/testing"
import { recordOf, settle, storeWith, withOnly, withWorker } from "./harness.ts"

class Task extends Job.make("Task", {
  payload: Schema.String,
  success: Schema.String,
  progress: Schema.Number,
  maxAttempts: 1,
  timeout: "infinite"
}) {}
const group = JobGroup.make(Task)

const storeError = (reason: JobError.Unavailable | JobError.Incompatible) => new JobError.JobStoreError({ reason })
const away = storeError(new JobError.Unavailable({ operation: "any", detail: "test" }))
const refused = storeError(new JobError.Incompatible({ operation: "any", detail: "it is poison" }))
const isPoison = (given: unknown) => JSON.stringify(given).includes("poison")

const logged = () => {
  const messages: Array<string> = []
  const layer = Logger.layer([Logger.make(({ logLevel, message }) => {
    if (logLevel === "Warn" || logLevel === "Error") messages.push(String(message))
  })])
  return { messages, layer }
}

const linesOf = (id: string) => Effect.map(recordOf(id), ({ logs }) => logs.map(({ message }) => message))

describe("what an attempt wrote last", () => {
  it.effect("is kept, though it ends while an earlier write is under way", () => {
    const slow = storeWith((store) => ({
      notifications: "hint",
      write: (entries) => Effect.delay(store.write(entries), 30),
      exchange: (request) => Effect.delay(store.exchange(request), 5)
    }))
    const handler = Effect.gen(function*() {
      const { log } = yield* JobContext.JobContext
      yield* log("first")
      yield* Effect.sleep(20)
      yield* Task.progress(100)
      yield* log("last")
      return ""
    })
    return Effect.gen(function*() {
      const { id } = yield* Task.enqueue("")
      yield* TestClock.adjust("1 second")
      const record = yield* recordOf(id)
      assert.deepStrictEqual([record.state, record.progress], ["completed", "100"])
      assert.deepStrictEqual(yield* linesOf(id), ["first", "last"])
    }).pipe(
      Effect.provide(Layer.provideMerge(withOnly(group, Task.toLayer(() => handler), { pollInterval: "1 hour" }), slow))
    )
  })

  it.effect("is kept over an outage of the store", () => {
    let isAway = false
    const fragile = storeWith((store) => {
      const call = <A>(effect: Effect.Effect<A, JobError.JobStoreError>) =>
        Effect.suspend(() => isAway ? Effect.fail(away) : effect)
      return {
        write: (entries) => call(store.write(entries)),
        exchange: (request) => call(store.exchange(request)),
        renew: (request) => call(store.renew(request))
      }
    })
    const gate = Latch.makeUnsafe(false)
    const handler = Effect.gen(function*() {
      const { log } = yield* JobContext.JobContext
      yield* gate.await
      yield* log("last")
      return ""
    })
    return Effect.gen(function*() {
      const { id } = yield* Task.enqueue("")
      yield* settle
      isAway = true
      yield* gate.open
      yield* TestClock.adjust("5 seconds")
      isAway = false
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* recordOf(id)).state, "completed")
      assert.deepStrictEqual(yield* linesOf(id), ["last"])
    }).pipe(Effect.provide(Layer.provideMerge(withOnly(group, Task.toLayer(() => handler)), fragile)))
  })

  it.effect("holds up no settlement for long when writes alone fail", () => {
    let isAway = true
    const store = storeWith((store) => ({
      write: (entries) => Effect.suspend(() => isAway ? Effect.fail(away) : store.write(entries))
    }))
    const handler = Effect.flatMap(JobContext.JobContext, ({ log }) => Effect.as(log("line"), ""))
    return Effect.gen(function*() {
      const { id } = yield* Task.enqueue("")
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual((yield* recordOf(id)).state, "completed")
      isAway = false
      yield* TestClock.adjust("10 seconds")
    }).pipe(Effect.provide(Layer.provideMerge(withOnly(group, Task.toLayer(() => handler)), store)))
  })
})

describe("what ends while an exchange is under way", () => {
  class Busy extends Job.make("Busy", { payload: Schema.Number, progress: Schema.Number }) {}
  const busy = JobGroup.make(Busy)
  const count = 300

  interface Call {
    readonly settled: number
    readonly claims: boolean
    readonly from: number
    readonly to: number
  }

  /** A store elsewhere, whose exchanges take 100 ms. */
  const elsewhere = (
    change: (exchange: JobStore.Shape["exchange"], store: JobStore.Shape) => Partial<JobStore.Shape> = () => ({})
  ) => {
    const calls: Array<Call> = []
    const layer = storeWith((store) => {
      const exchange: JobStore.Shape["exchange"] = (request) =>
        Effect.gen(function*() {
          const from = yield* Clock.currentTimeMillis
          const reply = yield* Effect.delay(store.exchange(request), 100)
          const to = yield* Clock.currentTimeMillis
          calls.push({ settled: request.settlements.length, claims: request.demand.length > 0, from, to })
          return reply
        })
      return { notifications: "hint", exchange, ...change(exchange, store) }
    })
    /** Settlements that went out beside a claim. */
    const beside = () =>
      calls.filter((call) =>
        !call.claims && call.settled > 0 &&
        calls.some(({ claims, from, to }) => claims && from <= call.from && call.from < to)
      )
    return { layer, beside }
  }

  const counts = Effect.gen(function*() {
    const jobs = yield* Jobs.Jobs
    const { queues: [queue] } = yield* jobs.stats
    return queue!.counts
  })

  // Rarely: nothing is under way when a test has ended.
  const options: JobWorker.Options<"default"> = { concurrency: 100, pollInterval: "1 hour" }
  const handler = Busy.toLayer(() => Effect.sleep(10))

  it.effect("is settled beside it, in a batch", () => {
    const { beside, layer } = elsewhere()
    return Effect.gen(function*() {
      yield* Busy.enqueueMany(Array.from({ length: count }, (_, i) => i))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* counts).completed, count)
      assert.isAbove(beside().length, 0)
      assert.isTrue(beside().every(({ settled }) => settled >= 50))
    }).pipe(Effect.provide(Layer.provideMerge(withOnly(busy, handler, options), layer)))
  })

  it.effect("goes out again when its reply is lost, and nothing runs twice (P13)", () => {
    let lost = 0
    const { beside, layer } = elsewhere((exchange) => ({
      exchange: (request) =>
        request.settlements.length >= 50 && request.demand.length === 0 && lost++ < 3
          ? Effect.andThen(exchange(request), Effect.fail(away))
          : exchange(request)
    }))
    let runs = 0
    const counted = Busy.toLayer(() => Effect.andThen(Effect.sync(() => runs++), Effect.sleep(10)))
    return Effect.gen(function*() {
      yield* Busy.enqueueMany(Array.from({ length: count }, (_, i) => i))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* counts).completed, count)
      assert.strictEqual(runs, count)
      assert.isAbove(lost, 0)
      assert.isAbove(beside().length, 0)
    }).pipe(Effect.provide(Layer.provideMerge(withOnly(busy, counted, options), layer)))
  })

  it.effect("does not overtake what its attempt wrote", () => {
    const { layer } = elsewhere((_, store) => ({ write: (entries) => Effect.delay(store.write(entries), 30) }))
    const writing = Busy.toLayer((i) => Effect.andThen(Effect.sleep(10), Busy.progress(i)))
    return Effect.gen(function*() {
      const stored = yield* Busy.enqueueMany(Array.from({ length: count }, (_, i) => i))
      yield* TestClock.adjust("5 seconds")
      const records = yield* Effect.forEach(stored, ({ id }) => recordOf(id))
      assert.deepStrictEqual(records.map(({ progress }) => progress), records.map((_, i) => String(i)))
      assert.isTrue(records.every(({ state }) => state === "completed"))
    }).pipe(Effect.provide(Layer.provideMerge(withOnly(busy, writing, options), layer)))
  })

  it.effect("is told before the worker has closed", () => {
    const { beside, layer } = elsewhere()
    return Effect.gen(function*() {
      yield* Busy.enqueueMany(Array.from({ length: count }, (_, i) => i))
      yield* Effect.gen(function*() {
        yield* Layer.build(withOnly(busy, handler, { ...options, shutdownGrace: "1 second" }))
        yield* TestClock.adjust(150)
      }).pipe(
        Effect.scoped,
        Effect.forkChild,
        Effect.tap(() => TestClock.adjust("5 seconds")),
        Effect.flatMap(Fiber.join)
      )
      const { completed, ready, running } = yield* counts
      assert.strictEqual(running, 0)
      assert.strictEqual(completed + ready, count)
      assert.isAtLeast(completed, 100)
      assert.isAbove(beside().length, 0)
    }).pipe(Effect.provide(layer))
  })
})

describe("what the store has taken away", () => {
  it.effect("is not settled, also when its handler cannot be interrupted and fails by itself", () => {
    const fences: Array<number> = []
    const store = storeWith((store) => ({
      renew: (request) => Effect.map(store.renew(request), (reply) => ({ ...reply, lost: request.holding })),
      exchange: (request) =>
        Effect.suspend(() => {
          fences.push(...request.settlements.map(({ fence }) => fence))
          return store.exchange(request)
        })
    }))
    let runs = 0
    const late = Effect.andThen(Effect.sleep("5 seconds"), Effect.die(new Error("late")))
    const handler = Task.toLayer(() =>
      Effect.suspend(() => runs++ === 0 ? Effect.uninterruptible(late) : Effect.succeed(""))
    )
    return Effect.gen(function*() {
      const { id } = yield* Task.enqueue("")
      yield* TestClock.adjust("1 minute")
      const { fence, state } = yield* recordOf(id)
      assert.deepStrictEqual([runs, state], [2, "completed"])
      // Only what ran after it was given back: neither the first attempt nor anything twice.
      assert.deepStrictEqual(fences, [fence - 1])
    }).pipe(
      Effect.provide(
        Layer.provideMerge(withOnly(group, handler, { lease: "3 seconds", interruptGrace: "30 seconds" }), store)
      )
    )
  })
})

describe("what the store cannot reach for a while", () => {
  /** A store of two places. In the other one lies what `far` has; `at` says when it is away. */
  const halfAway = () => {
    const far = new Set<string>()
    const at = { isAway: false, exchanges: 0 }
    const reached = <A>(items: ReadonlyArray<A>, idOf: (item: A) => string) =>
      items.filter((item) => !at.isAway || !far.has(idOf(item)))
    const answersOf = <A>(items: ReadonlyArray<A>, here: ReadonlyArray<A>, answers: ReadonlyArray<JobStore.Settled>) =>
      items.map((item) => here.includes(item) ? answers[here.indexOf(item)]! : "Unreached" as const)
    const store = storeWith((store) => ({
      notifications: "hint",
      exchange: (request) =>
        Effect.suspend(() => {
          at.exchanges++
          const settlements = reached(request.settlements, ({ id }) => id)
          if (isPoison(settlements)) return Effect.fail(refused)
          return Effect.map(Effect.delay(store.exchange({ ...request, settlements }), 5), (reply) => ({
            ...reply,
            settled: answersOf(request.settlements, settlements, reply.settled)
          }))
        }),
      write: (entries) =>
        Effect.suspend(() => {
          const here = reached(entries, ({ at }) => at.id)
          if (isPoison(here)) return Effect.fail(refused)
          return Effect.map(store.write(here), (answers) => answersOf(entries, here, answers))
        })
    }))
    return { at, far, store }
  }

  const gate = Latch.makeUnsafe(false)
  let runs = 0
  const handler = Task.toLayer((value) =>
    Effect.gen(function*() {
      runs++
      const { log } = yield* JobContext.JobContext
      yield* gate.await
      if (value === "says") yield* log("first")
      if (value === "says") yield* log("last")
      return value
    })
  )
  const on = (store: ReturnType<typeof halfAway>["store"]) =>
    Effect.provide(Layer.provideMerge(withOnly(group, handler, { pollInterval: "1 hour" }), store))

  /** With others that end with it, and as said. */
  const test = (
    value: string,
    lines: ReadonlyArray<string>,
    others: ReadonlyArray<string>,
    states: ReadonlyArray<string>
  ) => {
    const { at, far, store } = halfAway()
    gate.closeUnsafe()
    runs = 0
    return Effect.gen(function*() {
      // While the first one is settled the others end: together they go out next.
      const [, its, ...beside] = yield* Task.enqueueMany(["first", value, ...others])
      const { id } = its!
      yield* TestClock.adjust(100)
      far.add(id)
      at.isAway = true
      yield* gate.open
      yield* TestClock.adjust("5 seconds")
      const stored = [...beside, yield* Task.enqueue("later")]
      yield* TestClock.adjust("5 seconds")
      const records = yield* Effect.forEach(stored, ({ id }) => recordOf(id))
      assert.deepStrictEqual(records.map(({ state }) => state), [...states, "completed"])
      assert.isBelow(at.exchanges, 40, "it is not asked without end")
      at.isAway = false
      yield* TestClock.adjust("2 seconds")
      const { attempt, state } = yield* recordOf(id)
      assert.deepStrictEqual([state, attempt, runs], ["completed", 1, 3 + others.length])
      assert.deepStrictEqual(yield* linesOf(id), lines)
    }).pipe(on(store))
  }

  it.effect(
    "goes out again, what its attempt wrote first, and the others go on",
    () => test("says", ["first", "last"], ["a", "b"], ["completed", "completed"])
  )
  it.effect("goes out again, also beside what is refused for good", () => test("mute", [], ["poison"], ["dead"]))
})

describe("what the store refuses for good", () => {
  const answers: ReadonlyArray<readonly [string, () => Effect.Effect<never, JobError.JobStoreError>]> = [
    ["answers no", () => Effect.fail(refused)],
    ["throws", () => {
      throw new TypeError("cannot read poison")
    }]
  ]
  for (const [how, refuse] of answers) {
    it.effect(`a settlement, over which it ${how}: its record is dead and says so, all others are settled as they ended`, () => {
      const { layer, messages } = logged()
      const store = storeWith((store) => ({
        exchange: (request) => isPoison(request.settlements) ? refuse() : store.exchange(request)
      }))
      const gate = Latch.makeUnsafe(false)
      const worker = withOnly(group, Task.toLayer((value) => Effect.as(gate.await, value)))
      return Effect.gen(function*() {
        const ids = yield* Task.enqueueMany(["a", "poison", "b"])
        yield* settle
        yield* gate.open
        yield* TestClock.adjust("1 second")
        const records = yield* Effect.forEach(ids, ({ id }) => recordOf(id))
        assert.deepStrictEqual(records.map(({ state }) => state), ["completed", "dead", "completed"])
        const { deadReason, failures } = records[1]!
        assert.strictEqual(deadReason, "Defect")
        assert.strictEqual(failures[0]?.tag, "Refused")
        assert.include(failures[0]?.message, "the store refused to settle it as Complete")
        assert.isTrue(messages.some((message) => message.includes(ids[1]!.id)), messages.join("\n"))
        assert.strictEqual((yield* (yield* JobWorker.JobWorker).health).status, "ready")
        assert.isAtMost(messages.length, 2)
      }).pipe(Effect.provide(Layer.provideMerge(worker, store)), Effect.provide(layer))
    })
  }

  class Note extends Job.make("Note", { payload: Schema.String }) {}
  for (const isBooked of [true, false]) {
    it.effect(`a settlement: ${isBooked ? "the steps of its record are undone, and " : ""}what follows its failure is enqueued`, () => {
      const done: Array<string> = []
      const note = (what: string) => Effect.sync(() => void done.push(what))
      class Booking extends Job.make("Booking", {
        success: Schema.String,
        onFailure: ({ failure }) => Note.request(String(failure?.tag))
      }) {}
      const handlers = Layer.merge(
        Booking.toLayer(() => {
          const seat = Step.run("seat", note("seat")).pipe(Step.withCompensation(() => note("no seat")))
          return Effect.as(isBooked ? seat : note("no step"), "poison")
        }),
        Note.toLayer(note)
      )
      const store = storeWith((store) => ({
        exchange: (request) => isPoison(request.settlements) ? Effect.fail(refused) : store.exchange(request)
      }))
      return Effect.gen(function*() {
        const { id } = yield* Booking.enqueue()
        yield* TestClock.adjust("1 second")
        const { failures, state } = yield* recordOf(id)
        assert.deepStrictEqual([state, failures.map(({ tag }) => tag)], ["dead", ["Refused"]])
        assert.deepStrictEqual(done, isBooked ? ["seat", "no seat", "Refused"] : ["no step", "Refused"])
      }).pipe(Effect.provide(Layer.provideMerge(withOnly(JobGroup.make(Booking, Note), handlers), store)))
    })
  }

  it.effect("the end of a record with steps to undo, for a while, along with all others: nothing is undone", () => {
    let refuses = false
    const done: Array<string> = []
    const note = (what: string) => Effect.sync(() => void done.push(what))
    const store = storeWith((store) => ({
      exchange: (request) => refuses && request.settlements.length > 0 ? Effect.fail(refused) : store.exchange(request)
    }))
    const gate = Latch.makeUnsafe(false)
    const handler = Task.toLayer((value) =>
      Effect.andThen(
        Step.run("seat", note("seat")).pipe(Step.withCompensation(() => note("no seat"))),
        Effect.as(gate.await, value)
      )
    )
    return Effect.gen(function*() {
      const { id } = yield* Task.enqueue("a")
      yield* settle
      refuses = true
      yield* gate.open
      yield* TestClock.adjust("1 minute")
      assert.notProperty((yield* recordOf(id)).checkpoints, "!end")
      refuses = false
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual([(yield* recordOf(id)).state, done], ["completed", ["seat"]])
    }).pipe(Effect.provide(Layer.provideMerge(withOnly(group, handler), store)))
  })

  it.effect("a log line: it is logged here, and no other line is lost", () => {
    const { layer, messages } = logged()
    const store = storeWith((store) => ({
      write: (entries) => isPoison(entries) ? Effect.fail(refused) : store.write(entries)
    }))
    const worker = withOnly(
      group,
      Task.toLayer((value) => Effect.flatMap(JobContext.JobContext, ({ log }) => Effect.as(log(value), "")))
    )
    return Effect.gen(function*() {
      const ids = yield* Task.enqueueMany(["a", "poison", "b"])
      yield* TestClock.adjust("1 second")
      const later = yield* Task.enqueue("c")
      yield* TestClock.adjust("1 second")
      const lines = yield* Effect.forEach([...ids, later], ({ id }) => linesOf(id))
      assert.deepStrictEqual(lines, [["a"], [], ["b"], ["c"]])
      assert.strictEqual((yield* recordOf(ids[1]!.id)).state, "completed")
      assert.isTrue(messages.some((message) => message.includes(ids[1]!.id)), messages.join("\n"))
    }).pipe(Effect.provide(Layer.provideMerge(worker, store)), Effect.provide(layer))
  })

  it.effect("everything, for a while: nothing is dropped (P13)", () => {
    let refuses = false
    const store = storeWith((store) => ({
      exchange: (request) => Effect.suspend(() => refuses ? Effect.fail(refused) : store.exchange(request))
    }))
    const gate = Latch.makeUnsafe(false)
    return Effect.gen(function*() {
      const { id } = yield* Task.enqueue("a")
      yield* settle
      refuses = true
      yield* gate.open
      yield* TestClock.adjust("1 minute")
      refuses = false
      yield* TestClock.adjust("10 seconds")
      const record = yield* recordOf(id)
      assert.deepStrictEqual([record.state, record.attempt], ["completed", 1])
    }).pipe(
      Effect.provide(
        Layer.provideMerge(withOnly(group, Task.toLayer((value) => Effect.as(gate.await, value))), store)
      )
    )
  })

  it.effect("a claim, again and again: it is asked ever less often, and warned of once", () => {
    const { layer, messages } = logged()
    let exchanges = 0
    const store = storeWith(() => ({ exchange: () => Effect.suspend(() => (exchanges++, Effect.fail(refused))) }))
    return Effect.gen(function*() {
      yield* TestClock.adjust("1 hour")
      assert.isAtMost(exchanges, 2000)
      assert.strictEqual(messages.length, 1)
    }).pipe(
      Effect.provide(Layer.provideMerge(withOnly(group, Task.toLayer(() => Effect.succeed(""))), store)),
      Effect.provide(layer)
    )
  })
})

describe("a text that not every store takes", () => {
  it.effect("a failure's message and a log line: without NUL and halves of characters", () => {
    const handler = Effect.gen(function*() {
      const { log } = yield* JobContext.JobContext
      yield* log("x\u0000y\ud800z")
      yield* log(`${"x".repeat(1999)}\u{1f600}`)
      return yield* Effect.die(new Error(`a\u0000b\udc00c${"d".repeat(995)}\u{1f600}`))
    })
    return Effect.gen(function*() {
      const { id } = yield* Task.enqueue("")
      yield* settle
      const { failures, logs } = yield* recordOf(id)
      assert.deepStrictEqual(logs.map(({ message }) => message), ["xy\ufffdz", `${"x".repeat(1999)}\ufffd…`])
      const { message } = failures[0]!
      assert.isTrue(message.isWellFormed())
      assert.strictEqual(message, `ab\ufffdc${"d".repeat(995)}\ufffd…`)
    }).pipe(
      Effect.provide(
        withWorker(group, Task.toLayer(() => handler))
      )
    )
  })
})
