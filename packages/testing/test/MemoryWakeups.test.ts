/** Of the workers that sleep on the memory store one has a timer for what starts later, and another one when that one is gone. */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, JobStore, JobWorker } from "capstan"
import { Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as H from "../src/internal/suite/harness.ts"

const size = 8
const name = (worker: number) => `worker ${worker}`
const due = 60_000

const demand = (slots: number, queue = "default") => ({ demand: [{ queue, slots, share: slots }], total: slots })

/** Workers that have asked for a record of `default`, found none and sleep. */
const asleep = Effect.gen(function*() {
  const store = yield* JobStore.JobStore
  // Of the first lease of all everybody is told.
  yield* H.enqueue({ queue: "first" })
  yield* H.claimOne("first", "first")
  let heard: Array<number> = []
  const scopes: Array<Scope.Closeable> = []
  /** Asks for a record, and answers whether the worker has a timer from then on. */
  const look = (worker: number, slots = 1) =>
    Effect.map(H.exchange(name(worker), demand(slots)), ({ nextDueIn }) => nextDueIn !== undefined)
  for (let worker = 0; worker < size; worker++) {
    const scope = yield* Scope.make()
    scopes.push(scope)
    yield* Stream.runForEach(store.wakeups(name(worker), ["default"]), () => Effect.sync(() => heard.push(worker)))
      .pipe(
        Effect.forkIn(scope, { startImmediately: true })
      )
    yield* look(worker)
  }
  /** Who has been called since it was asked last. */
  const called = Effect.map(H.advance(0), () => {
    const workers = heard
    heard = []
    return workers
  })
  /** Lets everybody answer until nobody is called any more, and says who has been. */
  const answered = Effect.gen(function*() {
    const all: Array<number> = []
    for (let now = yield* called; now.length > 0; now = yield* called) {
      for (const worker of now) {
        all.push(worker)
        yield* look(worker)
      }
      assert.isAtMost(all.length, 10 * size, "they are called without end")
    }
    return all
  })
  yield* answered
  return { answered, called, close: (worker: number) => Scope.close(scopes[worker]!, Exit.void), look }
})

const fact = (name: string, test: Effect.Effect<void, unknown, JobStore.JobStore | Scope.Scope>) =>
  it.effect(name, () => test.pipe(Effect.provide(Layer.fresh(JobStore.layerMemory()))))

describe("of eight workers that sleep beside a queue", () => {
  fact(
    "one is called for a record that is due later, and has the timer alone",
    Effect.gen(function*() {
      const fleet = yield* asleep
      yield* H.enqueue({ delay: due })
      assert.deepStrictEqual(yield* fleet.answered, [0])
      const known = yield* Effect.filter(Array.from({ length: size }, (_, i) => i), (worker) => fleet.look(worker))
      assert.deepStrictEqual(known, [0])
      yield* H.enqueue({ delay: due + 1 })
      assert.deepStrictEqual(yield* fleet.called, [])
    })
  )

  fact(
    "the same one is called for a record that is due earlier",
    Effect.gen(function*() {
      const fleet = yield* asleep
      yield* H.enqueue({ delay: due })
      yield* fleet.answered
      yield* H.enqueue({ delay: due / 2 })
      assert.deepStrictEqual(yield* fleet.answered, [0])
    })
  )

  fact(
    "another one is called and has the timer when the one that had it is gone",
    Effect.gen(function*() {
      const fleet = yield* asleep
      yield* H.enqueue({ delay: due })
      yield* fleet.answered
      yield* fleet.close(0)
      assert.deepStrictEqual(yield* fleet.answered, [1])
      assert.isTrue(yield* fleet.look(1))
    })
  )

  fact(
    "another one is called when the one with the timer has no room by then, and not before",
    Effect.gen(function*() {
      const fleet = yield* asleep
      const { id } = yield* H.enqueue({ delay: due })
      yield* fleet.answered
      yield* H.exchange(name(0))
      assert.deepStrictEqual(yield* fleet.called, [])
      yield* H.advance(due)
      yield* H.exchange(name(0))
      assert.deepStrictEqual(yield* fleet.answered, [1])
      assert.strictEqual(yield* H.stateOf(id), "running")
    })
  )

  fact(
    "all are called in turn when more falls due than the one with the timer takes",
    Effect.gen(function*() {
      const fleet = yield* asleep
      yield* H.enqueueMany(3, { delay: due })
      yield* fleet.answered
      yield* H.advance(due)
      yield* fleet.look(0)
      assert.deepStrictEqual(yield* fleet.answered, [1, 2])
      assert.strictEqual((yield* H.statsOf()).counts.running, 3)
    })
  )

  fact(
    "one has the timer for what is retried, when the one whose attempt failed has no room",
    Effect.gen(function*() {
      const fleet = yield* asleep
      yield* H.enqueue()
      const [first] = yield* fleet.called
      const claimed = yield* H.claimOne(name(first!))
      yield* fleet.called
      yield* H.settle(name(first!), claimed, H.retryAfter(due))
      const [next, ...others] = yield* fleet.called
      assert.deepStrictEqual(others, [])
      assert.isTrue(yield* fleet.look(next!))
      assert.deepStrictEqual(yield* fleet.called, [])
    })
  )

  fact(
    "one has the timer for what a key holds back",
    Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      const rate = { limit: 1, perMillis: due, burst: 1 }
      yield* store.limits([{ _tag: "Propose", name: "@mail", release: 1, settings: { rate } }])
      yield* H.enqueue({ queue: "other", concurrency: { key: "@mail/a", limit: 1 } })
      yield* H.claimOne("w", "other")
      const fleet = yield* asleep
      yield* H.enqueue({ concurrency: { key: "@mail/a", limit: 1 } })
      const [one, ...others] = yield* fleet.answered
      assert.deepStrictEqual(others, [])
      const known = yield* Effect.filter(Array.from({ length: size }, (_, i) => i), (worker) => fleet.look(worker))
      assert.deepStrictEqual(known, [one])
    })
  )

  fact(
    "one has the timer for what a key holds back from a start elsewhere on",
    Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      const rate = { limit: 1, perMillis: due, burst: 1 }
      yield* store.limits([{ _tag: "Propose", name: "@mail", release: 1, settings: { rate } }])
      const fleet = yield* asleep
      yield* H.enqueue({ queue: "other", concurrency: { key: "@mail/a", limit: 1 } })
      yield* H.enqueue({ concurrency: { key: "@mail/a", limit: 1 } })
      assert.deepStrictEqual(yield* fleet.answered, [])
      yield* H.claimOne("w", "other")
      assert.lengthOf(yield* fleet.answered, 1)
    })
  )

  fact(
    "one has the timer for a queue that is closed for a while",
    Effect.gen(function*() {
      const fleet = yield* asleep
      yield* H.enqueue()
      const [first] = yield* fleet.called
      const claimed = yield* H.claimOne(name(first!))
      yield* H.settle(name(first!), claimed, { _tag: "SnoozeFor", delay: due, closes: "queue" })
      const [next, ...others] = yield* fleet.answered
      assert.deepStrictEqual(others, [])
      assert.isTrue(yield* fleet.look(next!))
      yield* H.advance(due)
      yield* H.exchange(name(next!))
      assert.lengthOf(yield* fleet.answered, 1)
      assert.strictEqual((yield* H.statsOf()).counts.running, 1)
    })
  )

  fact(
    "none is called, however often, for what crashed a worker and all of them have such a record",
    Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      yield* H.enqueueMany(2 * size)
      yield* H.claim("crashes", 2 * size)
      yield* H.advance(2 * H.lease)
      yield* H.maintainAll
      for (let worker = 0; worker < size; worker++) assert.lengthOf(yield* H.claim(name(worker), 2), 1)
      yield* store.limits([{
        _tag: "Propose",
        name: "default",
        release: 1,
        settings: { rate: { limit: size, perMillis: due, burst: 1 } }
      }])
      const fleet = yield* asleep
      assert.deepStrictEqual(yield* fleet.answered, [])
    })
  )

  fact(
    "all are called when the clock was set back: timers that run are wrong",
    Effect.gen(function*() {
      yield* H.advance(due)
      const fleet = yield* asleep
      yield* H.enqueue({ delay: due })
      yield* fleet.answered
      yield* TestClock.setTime(0)
      yield* fleet.look(3)
      assert.lengthOf(yield* fleet.answered, size)
      assert.lengthOf(
        yield* Effect.filter(Array.from({ length: size }, (_, i) => i), (worker) => fleet.look(worker)),
        1
      )
    })
  )
})

class Chore extends Job.make("Chore", { timeout: "infinite" }) {}
class Long extends Job.make("Long", { timeout: "infinite" }) {}

/** A worker whose timer is for a chore, and which is at work on something long by then; and one that sleeps. */
const twoWorkers = (
  test: (first: Scope.Closeable, done: () => number) => Effect.Effect<void, unknown, JobStore.JobStore>
) =>
  Effect.gen(function*() {
    let chores = 0
    const handlers = Layer.merge(
      Chore.toLayer(() => Effect.sync(() => void chores++)),
      Long.toLayer(() => Effect.never)
    )
    const start = Layer.fresh(
      JobWorker.layer(JobGroup.make(Chore, Long), { concurrency: 1, shutdownGrace: "10 minutes" }).pipe(
        Layer.provide(handlers)
      )
    )
    const first = yield* Scope.make()
    yield* Layer.buildWithScope(start, first)
    yield* Chore.enqueue(undefined, { delay: due })
    yield* H.advance(0)
    yield* Long.enqueue()
    yield* H.advance(0)
    const second = yield* Scope.make()
    yield* Layer.buildWithScope(start, second)
    yield* H.advance(1)
    yield* test(first, () => chores)
    const closing = yield* Effect.forkChild(Effect.all([Scope.close(first, Exit.void), Scope.close(second, Exit.void)]))
    yield* H.advance(3_600_000)
    yield* Fiber.join(closing)
  })

describe("a worker that sleeps runs what falls due", () => {
  fact(
    "when the one that has the timer has no room",
    twoWorkers((_, done) =>
      Effect.gen(function*() {
        yield* H.advance(due)
        assert.strictEqual(done(), 1)
      })
    )
  )

  fact(
    "when the one that has the timer is about to close",
    twoWorkers((first, done) =>
      Effect.gen(function*() {
        yield* Effect.forkDetach(Scope.close(first, Exit.void))
        yield* H.advance(due)
        assert.strictEqual(done(), 1)
      })
    )
  )
})
