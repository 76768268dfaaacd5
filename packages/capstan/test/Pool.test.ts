import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, Jobs, JobStore } from "capstan"
import { Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { QueueSlots, Slots } from "../src/internal/worker/slots.ts"
import { settle, storeWith, withOnly } from "./harness.ts"

class Task extends Job.make("Task", { payload: Schema.Number, timeout: "infinite" }) {}
const group = JobGroup.make(Task)

/** The memory store, and the exchanges that it was asked for. */
const counted = (change: Partial<JobStore.Shape> = {}) => {
  const exchanges: Array<JobStore.ExchangeRequest> = []
  const layer = storeWith((store) => ({
    exchange: (request) => Effect.suspend(() => (exchanges.push(request), store.exchange(request))),
    ...change
  }))
  return { exchanges, layer }
}

describe("a worker without room", () => {
  const cases: ReadonlyArray<
    readonly [string, { concurrency: number; queues?: { default: { concurrency: number } } }]
  > = [
    ["its pool is full", { concurrency: 1 }],
    ["its queue is at its cap", { concurrency: 10, queues: { default: { concurrency: 1 } } }]
  ]
  for (const [when, options] of cases) {
    it.effect(`hears of a cancel at once: ${when}`, () => {
      let interrupted = 0
      const handler = Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
      return Effect.gen(function*() {
        const { cancel } = yield* Task.enqueue(1)
        yield* settle
        assert.strictEqual(yield* cancel({ reason: "enough" }), "Requested")
        yield* settle
        assert.strictEqual(interrupted, 1)
      }).pipe(
        Effect.provide(Layer.provideMerge(withOnly(group, Task.toLayer(() => handler), options), counted().layer))
      )
    })
  }

  it.effect("looks no more often than 20 times a second what the wake-ups of a store elsewhere mean", () => {
    const { exchanges, layer } = counted({ notifications: "hint" })
    let interrupted = 0
    const handler = Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
    return Effect.gen(function*() {
      const { cancel } = yield* Task.enqueue(0)
      yield* settle
      const before = exchanges.length
      for (let i = 1; i <= 500; i++) {
        yield* Task.enqueue(i)
        yield* TestClock.adjust(2)
      }
      assert.isAtMost(exchanges.length - before, 21)
      yield* cancel({ reason: "enough" })
      yield* TestClock.adjust(50)
      assert.strictEqual(interrupted, 1)
    }).pipe(
      Effect.provide(Layer.provideMerge(withOnly(group, Task.toLayer(() => handler), { concurrency: 1 }), layer))
    )
  })

  it.effect("sleeps while a record is due whose queue is at its cap", () => {
    const { exchanges, layer } = counted()
    return Effect.gen(function*() {
      yield* Task.enqueue(1, { delay: 200 })
      yield* settle
      yield* Task.enqueue(2)
      yield* settle
      const before = exchanges.length
      yield* TestClock.adjust("2 seconds")
      assert.isAtMost(exchanges.length - before, 2)
    }).pipe(
      Effect.provide(
        Layer.provideMerge(
          withOnly(group, Task.toLayer((n) => n === 2 ? Effect.sleep("1 minute") : Effect.void), {
            concurrency: 10,
            queues: { default: { concurrency: 1 } }
          }),
          layer
        )
      )
    )
  })

  it.effect("starts what has come due meanwhile as soon as an attempt that settles nothing frees its slot", () => {
    class Capped extends Job.make("Capped", { payload: Schema.Number, queue: "capped", timeout: "infinite" }) {}
    const both = JobGroup.make(Task, Capped)
    const started: Array<number> = []
    let takes = false
    const layer = storeWith((store) => ({
      renew: (request) =>
        Effect.map(store.renew(request), (reply) => takes ? { ...reply, lost: request.holding } : reply)
    }))
    return Effect.gen(function*() {
      yield* Capped.enqueue(2, { delay: "5 seconds" })
      yield* settle
      yield* Capped.enqueue(1)
      yield* settle
      // An exchange for the other queue alone.
      yield* Task.enqueue(1)
      yield* settle
      yield* TestClock.adjust("6 seconds")
      takes = true
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(started, [1, 2])
    }).pipe(
      Effect.provide(
        Layer.provideMerge(
          withOnly(
            both,
            both.toLayer({
              Task: () => Effect.void,
              Capped: (n) => Effect.andThen(Effect.sync(() => started.push(n)), Effect.never)
            }),
            { concurrency: 10, queues: { capped: { concurrency: 1 } } }
          ),
          layer
        )
      )
    )
  })
})

describe("what is claimed ahead of free slots", () => {
  const running = (queue: string) =>
    Effect.gen(function*() {
      const { queues } = yield* (yield* Jobs.Jobs).stats
      return queues.find((stats) => stats.queue === queue)?.counts.running ?? 0
    })

  it.effect("is not of a queue at its cap: others have the pool, and other workers its records", () => {
    class Slow extends Job.make("Slow", { queue: "slow", timeout: "infinite" }) {}
    const both = JobGroup.make(Task, Slow)
    let ran = 0
    const handlers = both.toLayer({
      Slow: () => Effect.sleep("1 minute"),
      Task: () => Effect.andThen(Effect.sleep(2), Effect.sync(() => void ran++))
    })
    return Effect.gen(function*() {
      yield* Task.enqueueMany(Array.from({ length: 5000 }, (_, i) => i))
      yield* Slow.enqueueMany(Array.from({ length: 100 }, () => undefined))
      yield* Layer.build(withOnly(both, handlers, { concurrency: 10, queues: { slow: { concurrency: 1 } } }))
      yield* settle
      for (let i = 0; i < 200; i++) {
        yield* TestClock.adjust(2)
        assert.strictEqual(yield* running("slow"), 1)
      }
      // Nine slots, 2 ms each.
      assert.isAtLeast(ran, 9 * 190)
    }).pipe(Effect.scoped, Effect.provide(storeWith(() => ({}))))
  })

  it.effect("waits 20 ms at most, though others start meanwhile", () => {
    const handler = Task.toLayer((n) => n < 200 ? Effect.void : Effect.sleep(15))
    return Effect.gen(function*() {
      yield* Task.enqueueMany(Array.from({ length: 500 }, (_, i) => i))
      yield* Layer.build(withOnly(group, handler, { concurrency: 10 }))
      let most = 0
      for (let i = 0; i < 500; i++) {
        yield* settle
        most = Math.max(most, yield* running("default"))
      }
      assert.isAbove(most, 20)
      yield* TestClock.adjust(20)
      const store = yield* JobStore.JobStore
      const held = yield* store.query({ where: { states: ["running"] }, order: "oldest", limit: 500 })
      // Ten of them run since the first ten have ended.
      assert.isAtMost(held.records.filter(({ claimedAt }) => claimedAt === 0).length, 10)
    }).pipe(Effect.scoped, Effect.provide(storeWith(() => ({}))))
  })
})

describe("batches on a store elsewhere", () => {
  /** How many exchanges bring 1,000 records to a worker of ten that has rested, where each takes so many milliseconds. */
  const exchangesFor = (millis: number) => {
    let claims = 0
    const layer = storeWith((store) => ({
      notifications: "hint",
      exchange: (request) =>
        Effect.map(Effect.delay(store.exchange(request), millis), (reply) => {
          if (reply.claimed.length > 0) claims++
          return reply
        })
    }))
    const worker = withOnly(group, Task.toLayer(() => Effect.void), { concurrency: 10, pollInterval: "1 hour" })
    return Effect.gen(function*() {
      yield* Effect.provide(
        Effect.gen(function*() {
          yield* TestClock.adjust("20 minutes")
          yield* Task.enqueueMany(Array.from({ length: 1000 }, (_, i) => i))
          yield* TestClock.adjust("30 minutes")
          const { queues } = yield* (yield* Jobs.Jobs).stats
          assert.strictEqual(queues[0]?.counts.completed, 1000)
        }),
        Layer.provideMerge(worker, layer)
      )
      return claims
    })
  }

  // They double with every second exchange: two are under way, each with half.
  for (const millis of [2, 5, 20]) {
    it.effect(`grow at once after a rest, where an answer takes ${millis} ms`, () =>
      Effect.map(exchangesFor(millis), (exchanges) => assert.isAtMost(exchanges, 15)))
  }
})

describe("the credit of a queue", () => {
  it.effect("is in slots: of batches it buys as many records as those take", () =>
    Effect.sync(() => {
      const bulk = new QueueSlots("bulk")
      bulk.batch = 3
      const slots = new Slots(10, "weighted", [bulk, new QueueSlots("others")])
      assert.deepStrictEqual(slots.demand(10).map(({ queue, share }) => [queue, share]), [["bulk", 15], ["others", 5]])
    }))

  it.effect("does not grow beyond its cap, so a higher cap later does not let it crowd out the others", () =>
    Effect.sync(() => {
      const few = new QueueSlots("few")
      few.cap = 1
      const slots = new Slots(10, "weighted", [few, new QueueSlots("others")])
      const claimed = ["few", ...Array.from({ length: 9 }, () => "others")].map((queue) => ({ queue }))
      for (let i = 0; i < 100; i++) slots.charge(slots.demand(10), claimed, ["few", "others"])
      assert.strictEqual(few.credit, 1)
    }))
})
