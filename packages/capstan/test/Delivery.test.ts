/** What the worker tells the store: in which order, and what becomes of what the store does not take. */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobContext, JobError, JobGroup, JobWorker } from "capstan"
import { Effect, Latch, Layer, Logger, Schema } from "effect"
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
