/**
 * Options that change what is stored, and what a handler finds of them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Flow, Job, JobBatch, JobContext, JobError, JobGroup, Jobs, JobStore, JobWorker } from "capstan"
import { Clock, Effect, Exit, Layer, Option, Schema } from "effect"
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

  it.effect("as its deadline, where it is performed in place, the instant of the call and its timeout", () => {
    const seen: Array<Option.Option<number>> = []
    const handler = Effect.map(JobContext.JobContext, ({ deadline }) => void seen.push(deadline))
    class Bulk extends JobBatch.make("Bulk", { timeout: "1 minute", batch: { size: 2, within: "1 second" } }) {}
    const batch = Bulk.toLayer((members) => {
      seen.push(...members.map(({ context }) => context.deadline))
      return Effect.succeed(members.map((member) => [member, Exit.void] as const))
    })
    return Effect.gen(function*() {
      yield* TestClock.adjust("1 hour")
      yield* JobWorker.perform(Task, "")
      yield* JobWorker.performBatch(Bulk, [undefined, undefined])
      assert.deepStrictEqual(seen, [1, 2, 3].map(() => Option.some(3_660_000)))
    }).pipe(Effect.provide([Task.toLayer(() => handler), batch]))
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

describe("an enqueue of a job with a unique key", () => {
  const key = ({ page }: { readonly page: string }) => page
  const payload = { page: Schema.String, text: Schema.String }
  class Render extends Job.make("Render", { payload, unique: { key, onConflict: "replace" } }) {}
  class Move extends Job.make("Move", { payload, unique: { key, onConflict: "reschedule" } }) {}
  class Once extends Job.make("Once", { payload, unique: { key, until: "started" } }) {}
  class Follow extends Job.make("Follow", { payload, unique: { key, onConflict: "runAfter" } }) {}
  class Site extends Flow.make("Site").node("render", Render) {}
  const seen: Array<string> = []
  const note = ({ text }: { readonly text: string }) => Effect.asVoid(Effect.sync(() => seen.push(text)))
  /** It runs for a minute. */
  const slow = (payload: { readonly text: string }) => Effect.andThen(note(payload), Effect.sleep("1 minute"))
  const Group = JobGroup.make(Render, Move, Once, Follow)
  const live = withWorker(Group, Group.toLayer({ Render: note, Move: note, Once: slow, Follow: slow }))

  it.effect("answers Replaced and the id of the record that has the key, and that one runs with what came last", () =>
    Effect.gen(function*() {
      seen.length = 0
      const first = yield* Render.enqueue({ page: "a", text: "1" }, { delay: "1 minute" })
      const second = yield* Render.enqueue({ page: "a", text: "2" }, { delay: "1 minute", priority: "high" })
      assert.deepStrictEqual([first.outcome, second.outcome, second.id], ["Inserted", "Replaced", first.id])
      assert.strictEqual((yield* Render.enqueue({ page: "b", text: "3" }, { delay: "1 hour" })).outcome, "Inserted")
      const many = yield* Render.enqueueMany([{ page: "a", text: "4" }, { page: "a", text: "5" }])
      assert.deepStrictEqual(many.map(({ id, outcome }) => [id, outcome]), [
        [first.id, "Replaced"],
        [first.id, "Replaced"]
      ])
      yield* second.await
      assert.deepStrictEqual(seen, ["5"])
    }).pipe(Effect.provide(live)))

  it.effect("with reschedule answers Replaced too, and leaves the payload", () =>
    Effect.gen(function*() {
      seen.length = 0
      const first = yield* Move.enqueue({ page: "a", text: "1" }, { delay: "1 hour" })
      const second = yield* Move.enqueue({ page: "a", text: "2" }, { delay: "1 minute" })
      assert.deepStrictEqual([second.outcome, second.id], ["Replaced", first.id])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(seen, ["1"])
    }).pipe(Effect.provide(live)))

  it.effect("until started finds the record that waits, and none that runs: two run beside each other", () =>
    Effect.gen(function*() {
      seen.length = 0
      const first = yield* Once.enqueue({ page: "a", text: "1" }, { delay: "1 second" })
      const waits = yield* Once.enqueue({ page: "a", text: "2" })
      assert.deepStrictEqual([waits.outcome, waits.id], ["Existing", first.id])
      yield* TestClock.adjust("1 second")
      const second = yield* Once.enqueue({ page: "a", text: "3" })
      assert.deepStrictEqual([second.outcome, second.id === first.id], ["Inserted", false])
      yield* settle
      assert.deepStrictEqual([(yield* recordOf(first.id)).state, (yield* recordOf(second.id)).state], [
        "running",
        "running"
      ])
      assert.deepStrictEqual(seen, ["1", "3"])
    }).pipe(Effect.provide(live)))

  it.effect("with runAfter stores one that runs when the holder is finished, with the last payload", () =>
    Effect.gen(function*() {
      seen.length = 0
      yield* Follow.enqueue({ page: "a", text: "1" })
      yield* settle
      const next = yield* Follow.enqueue({ page: "a", text: "2" })
      const again = yield* Follow.enqueue({ page: "a", text: "3" })
      assert.deepStrictEqual([next.outcome, again.outcome, again.id], ["Inserted", "Replaced", next.id])
      yield* TestClock.adjust("59 seconds")
      assert.deepStrictEqual([seen, (yield* recordOf(next.id)).state], [["1"], "blocked"])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(seen, ["1", "3"])
    }).pipe(Effect.provide(live)))

  it.effect("fails with UniqueConflict where a member of a flow would be replaced, and nothing of it is stored", () =>
    Effect.gen(function*() {
      const jobs = yield* Jobs.Jobs
      yield* jobs.pause("default")
      yield* Site.start({ render: { page: "a", text: "1" } })
      const [member] = (yield* jobs.query({ tag: "Render" })).records
      const one = Render.enqueue({ page: "a", text: "2" })
      const many = Render.enqueueMany([{ page: "b", text: "3" }, { page: "a", text: "4" }])
      for (const error of [yield* Effect.flip(one), yield* Effect.flip(many)]) {
        assert.instanceOf(error, JobError.EnqueueError)
        assert.deepInclude(error.reason as JobError.UniqueConflict, {
          _tag: "UniqueConflict",
          job: "Render",
          key: "a",
          holder: member!.id
        })
      }
      const { records } = yield* jobs.query({ tag: "Render" })
      assert.deepStrictEqual(records.map(({ id, payload }) => [id, payload]), [[member!.id, member!.payload]])
      // The caller's way out.
      assert.strictEqual((yield* Render.enqueue({ page: "a", text: "5" }, { unique: false })).outcome, "Inserted")
    }).pipe(Effect.provide(live)))
})

describe("the retention of a job", () => {
  class Sometimes extends Job.make("Sometimes", {
    payload: Schema.String,
    error: Schema.Literal("no"),
    maxAttempts: 1,
    retention: {
      completed: { age: "1 hour", count: 3 },
      cancelled: { count: 1 },
      dead: { age: "2 hours", count: 2 }
    }
  }) {}
  const handler = (text: string) => text === "fail" ? Effect.fail("no" as const) : Effect.void
  const live = withWorker(JobGroup.make(Sometimes), Sometimes.toLayer(handler))
  const kept = Effect.gen(function*() {
    const { counts } = (yield* (yield* Jobs.Jobs).stats).queues.find(({ queue }) => queue === "default")!
    const { records } = yield* (yield* Jobs.Jobs).query({ limit: 100 })
    assert.strictEqual(records.length, counts.completed + counts.cancelled + counts.dead)
    return [counts.completed, counts.cancelled, counts.dead]
  })
  const cancelled = Effect.gen(function*() {
    const handle = yield* Sometimes.enqueue("", { delay: "1 day" })
    yield* handle.cancel({ reason: "r" })
    return handle.id
  })

  it.effect("keeps so many of each outcome, the newest, also when nothing is enqueued any more", () =>
    Effect.gen(function*() {
      const done: Array<string> = []
      const failed: Array<string> = []
      for (let i = 0; i < 5; i++) {
        done.push((yield* Sometimes.enqueue("")).id)
        failed.push((yield* Sometimes.enqueue("fail")).id)
        yield* TestClock.adjust("1 second")
      }
      yield* cancelled
      const last = yield* cancelled
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* kept, [3, 1, 2])
      const { records } = yield* (yield* Jobs.Jobs).query({})
      assert.sameMembers(records.map(({ id }) => id as string), [...done.slice(2), ...failed.slice(3), last])
    }).pipe(Effect.provide(live)))

  it.effect("keeps each outcome for its own age: what is too old goes when it is, though the queue is idle", () =>
    Effect.gen(function*() {
      yield* Sometimes.enqueueMany(["", "", "fail", "fail"])
      yield* cancelled
      yield* settle
      assert.deepStrictEqual(yield* kept, [2, 1, 2])
      yield* TestClock.adjust("3599 seconds")
      assert.deepStrictEqual(yield* kept, [2, 1, 2])
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* kept, [0, 1, 2])
      yield* TestClock.adjust("3598 seconds")
      assert.deepStrictEqual(yield* kept, [0, 1, 2])
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* kept, [0, 1, 0])
      // Without an age it is kept for as long as by default.
      yield* TestClock.adjust("7 days")
      assert.deepStrictEqual(yield* kept, [0, 0, 0])
    }).pipe(Effect.provide(live)))
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
