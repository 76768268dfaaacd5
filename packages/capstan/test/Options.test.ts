/**
 * Options that change what is stored, and what a handler finds of them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobContext, JobError, JobGroup, Jobs, JobStore } from "capstan"
import { Clock, Effect, Layer, Option, Schema } from "effect"
import { TestClock } from "effect/testing"
import { recordOf, settle, withOnly, withWorker } from "./harness.ts"

class Task extends Job.make("Task", { payload: Schema.String, timeout: "1 minute", tags: ["own"] }) {}
const group = JobGroup.make(Task)
const storeOnly = Layer.provideMerge(Jobs.layer, JobStore.layerMemory())

describe("a handler finds", () => {
  it.effect("the headers and the tags of its enqueue", () => {
    const seen: Array<unknown> = []
    const handler = Effect.map(JobContext.JobContext, ({ headers, tags }) => void seen.push(headers, tags))
    return Effect.gen(function*() {
      const { id } = yield* Task.enqueue("", { headers: { locale: "de" }, tags: ["given"] })
      yield* settle
      assert.deepStrictEqual(seen, [{ locale: "de" }, ["own", "given"]])
      assert.deepStrictEqual((yield* recordOf(id)).headers, { locale: "de" })
    }).pipe(Effect.provide(withWorker(group, Task.toLayer(() => handler))))
  })

  it.effect("as its idempotency key the record's id, also when the enqueue was given a key", () => {
    const seen: Array<string> = []
    const handler = Effect.map(JobContext.JobContext, ({ idempotencyKey }) => void seen.push(idempotencyKey))
    return Effect.gen(function*() {
      const { id } = yield* Task.enqueue("", { idempotencyKey: "order 7" })
      yield* settle
      assert.deepStrictEqual(seen, [id])
    }).pipe(Effect.provide(withWorker(group, Task.toLayer(() => handler))))
  })

  it.effect("as its deadline the instant at which it is interrupted, counted from its own start", () => {
    const deadlines: Array<Option.Option<number>> = []
    const interruptedAt: Array<number> = []
    const handler = Effect.andThen(
      Effect.map(JobContext.JobContext, ({ deadline }) => deadlines.push(deadline)),
      Effect.onInterrupt(Effect.never, () => Effect.map(Clock.currentTimeMillis, (at) => void interruptedAt.push(at)))
    )
    return Effect.gen(function*() {
      yield* Task.enqueue("", { delay: "5 seconds" })
      yield* TestClock.adjust("5 seconds")
      yield* TestClock.adjust("59999 millis")
      assert.deepStrictEqual(interruptedAt, [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(interruptedAt, [65_000])
      assert.deepStrictEqual(deadlines, [Option.some(65_000)])
    }).pipe(Effect.provide(withWorker(group, Task.toLayer(() => handler))))
  })

  it.effect("no deadline without a timeout", () => {
    class Endless extends Job.make("Endless", { timeout: "infinite" }) {}
    const seen: Array<Option.Option<number>> = []
    const handler = Effect.map(JobContext.JobContext, ({ deadline }) => void seen.push(deadline))
    return Effect.gen(function*() {
      yield* Endless.run()
      assert.deepStrictEqual(seen, [Option.none()])
    }).pipe(Effect.provide(withWorker(JobGroup.make(Endless), Endless.toLayer(() => handler))))
  })
})

describe("an enqueue", () => {
  it.effect("takes a payload of 256 KiB by default, and not a byte more", () =>
    Effect.gen(function*() {
      // Two of the bytes are the quotes.
      const largest = "x".repeat(256 * 1024 - 2)
      yield* Task.enqueue(largest)
      const { reason } = yield* Effect.flip(Task.enqueue(`${largest}x`))
      assert.deepInclude(reason as JobError.TooLarge, { _tag: "TooLarge", bytes: 262_145, limit: 262_144 })
    }).pipe(Effect.provide(storeOnly)))

  it.effect("of many goes to the store in chunks of 1,000, in the order of the payloads", () => {
    const chunks: Array<ReadonlyArray<string>> = []
    const listening = Layer.effect(
      JobStore.JobStore,
      Effect.map(JobStore.JobStore, (store): JobStore.Shape => ({
        ...store,
        enqueue: (request) => {
          chunks.push(request.records.map(({ payload }) => payload))
          return store.enqueue(request)
        }
      }))
    ).pipe(Layer.provide(JobStore.layerMemory()))
    const payloads = Array.from({ length: 2500 }, (_, i) => String(i))
    return Effect.gen(function*() {
      yield* Task.enqueueMany(payloads)
      assert.deepStrictEqual(chunks.map(({ length }) => length), [1000, 1000, 500])
      assert.deepStrictEqual(chunks.flat(), payloads.map((payload) => JSON.stringify(payload)))
    }).pipe(Effect.provide(listening))
  })

  it.effect("with unique: false leaves the key to its holder, and stands beside it", () => {
    class Once extends Job.make("Once", { unique: { key: () => "k" } }) {}
    return Effect.gen(function*() {
      const holder = yield* Once.enqueue()
      const beside = yield* Once.enqueue(undefined, { unique: false })
      assert.strictEqual(beside.outcome, "Inserted")
      assert.strictEqual((yield* recordOf(beside.id)).uniqueKey, undefined)
      assert.strictEqual((yield* Once.enqueue()).id, holder.id)
    }).pipe(Effect.provide(storeOnly))
  })
})

describe("Job.detached", () => {
  it.effect("stores a record that is no child, also for an attempt that is stale", () => {
    const outcomes: Array<string> = []
    const child = Task.enqueue("child")
    const handler = Effect.gen(function*() {
      yield* Job.detached(child)
      // What an operator's cancel and a lost lease have in common: the store refuses the attempt from here on.
      const { fence, id } = yield* JobContext.JobContext
      yield* (yield* JobStore.JobStore).exchange({
        worker: "another",
        lease: 0,
        settlements: [{ id, fence, outcome: { _tag: "Release" }, finishedAfter: 0 }],
        demand: [],
        total: 0
      })
      outcomes.push((yield* Effect.flip(child)).reason._tag)
      outcomes.push((yield* Job.detached(child)).outcome)
    })
    class Parent extends Job.make("Parent", { queue: "parents", timeout: "infinite" }) {}
    return Effect.gen(function*() {
      const jobs = yield* Jobs.Jobs
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Layer.build(
          withOnly(JobGroup.make(Parent), Parent.toLayer(() => Effect.andThen(Effect.orDie(handler), Effect.never)))
        )
        yield* Parent.enqueue()
        yield* settle
      }))
      assert.deepStrictEqual(outcomes.slice(0, 2), ["LeaseLost", "Inserted"])
      const { records } = yield* jobs.query({ tag: "Task" })
      assert.deepStrictEqual(new Set(records.map(({ parent }) => parent)), new Set([undefined]))
    }).pipe(Effect.provide(storeOnly))
  })
})
