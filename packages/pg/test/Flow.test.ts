/** Flows and topics in a caller's transaction, and under two exchanges at the same time. */
import { assert, describe, it } from "@effect/vitest"
import { Flow, Job, JobError, JobGroup, Jobs, JobStore, JobWorker, Topic } from "capstan"
import { Effect, Layer, Random, Schema } from "effect"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import * as Harness from "./harness.ts"
import type { Side } from "./harness.ts"

const Placed = Topic.make("Placed", { id: Schema.String })
class Leaf extends Job.make("Leaf", { payload: { n: Schema.Number }, success: Schema.Number }) {}
class Sum extends Job.make("Sum", { success: Schema.Number, queue: "sums" }) {}
class Mail extends Job.make("Mail", {
  payload: { id: Schema.String },
  on: [Topic.on(Placed, { payload: (order) => order })]
}) {}
class Log extends Job.make("Log", {
  payload: { id: Schema.String },
  on: [Topic.on(Placed, { payload: (order) => order })]
}) {}
class Wide extends Flow.make("Wide").list("leaves", Leaf).node("sum", Sum, { after: { leaves: "fail" } }) {}

const schema = Harness.schemaName("flow")
const side = Harness.shared(schema, Harness.open(schema))

/** A test on an empty store, which is sound when it is over. */
const fact = (
  name: string,
  test: (side: Side) => Effect.Effect<void, unknown, JobStore.JobStore | Jobs.Jobs>
) =>
  it.live(name, () =>
    Effect.gen(function*() {
      const one = yield* side
      yield* Harness.empty(one)
      yield* Effect.provide(test(one), Layer.provideMerge(Jobs.layer, Layer.succeedContext(one.context)))
      yield* Harness.assertSound(one)
    }))

const leaves = (count: number) => Array.from({ length: count }, (_, n) => ({ n }))
const total = Effect.map(Suite.statsOf(), ({ counts }) => Object.values(counts).reduce((sum, count) => sum + count, 0))

describe("a flow in the caller's transaction", () => {
  fact("is committed as a whole, and runs", ({ sql }) =>
    Effect.gen(function*() {
      const flow = yield* sql.withTransaction(Effect.gen(function*() {
        const flow = yield* Wide.start({ leaves: leaves(3) }, { idempotencyKey: "k" })
        const again = yield* Wide.start({ leaves: leaves(3) }, { idempotencyKey: "k" })
        assert.deepStrictEqual([again.outcome, again.id], ["Existing", flow.id])
        return flow
      }))
      const claimed = yield* Suite.claim("w", 10)
      assert.strictEqual(claimed.length, 3)
      for (const attempt of claimed) yield* Suite.settle("w", attempt, { _tag: "Complete", result: "1" })
      assert.strictEqual((yield* Suite.claimOne("w", "sums")).id, flow.id)
    }))

  fact("is rolled back as a whole", ({ sql }) =>
    Effect.gen(function*() {
      yield* Leaf.enqueue({ n: 0 })
      yield* Effect.ignore(sql.withTransaction(Effect.andThen(Wide.start({ leaves: leaves(3) }), Effect.fail("no"))))
      assert.strictEqual(yield* total, 1)
    }))

  fact("of one that waits for a record outside of it goes on whenever that one ends", (one) =>
    Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      const outside = yield* Suite.enqueue()
      const record = Suite.record({ queue: "other", dependencies: [{ name: "a", id: outside.id }] })
      // It ends before the commit, which nobody who ends it can see.
      yield* one.sql.withTransaction(Effect.andThen(
        store.enqueue({ records: [record] }),
        Effect.gen(function*() {
          const attempt = yield* Harness.outside(one, Suite.claimOne("w"))
          yield* Harness.outside(one, Suite.settle("w", attempt, Suite.complete))
        })
      ))
      yield* Suite.exchange("w")
      assert.strictEqual((yield* Suite.claimOne("w", "other")).id, record.id)
    }))

  fact(
    "tells what waits for a record how that was cancelled in it, also where nothing of it is kept",
    (one) =>
      Effect.gen(function*() {
        const store = yield* JobStore.JobStore
        const none = { age: 0, count: Infinity }
        const a = yield* Suite.enqueue({ retention: { completed: none, cancelled: none, dead: none } })
        const goesOn = (given: Partial<JobStore.NewRecord> = {}) =>
          Suite.record({ dependencies: [{ name: "a", id: a.id, onFailure: "continue" }], ...given })
        const [before, within] = [goesOn(), goesOn({ queue: "other" })]
        yield* store.enqueue({ records: [before] })
        yield* one.sql.withTransaction(Effect.gen(function*() {
          yield* store.enqueue({ records: [within] })
          yield* Suite.control({ _tag: "Cancel", reason: "no more" }, a.id)
        }))
        yield* Suite.exchange("w")
        for (const { id, queue } of [before, within]) {
          assert.strictEqual((yield* Suite.claimOne("w", queue)).id, id)
          const { dependencies: [found] } = yield* store.dependencies({ id, limit: 10, cursor: undefined })
          assert.strictEqual(found?.answer._tag === "Cancelled" ? found.answer.reason : found?.answer._tag, "no more")
        }
      })
  )

  fact(
    "says of a record that is deleted in it that it is gone, whatever is kept of it",
    (one) =>
      Effect.gen(function*() {
        const store = yield* JobStore.JobStore
        const none = { age: 0, count: Infinity }
        const a = yield* Suite.enqueue({ retention: { completed: none, cancelled: none, dead: none } })
        const { id } = yield* Suite.enqueue({ dependencies: [{ name: "a", id: a.id, onFailure: "continue" }] })
        yield* one.sql.withTransaction(Suite.control({ _tag: "Delete" }, a.id))
        assert.strictEqual((yield* Suite.claimOne("w")).id, id)
        const { dependencies: [found] } = yield* store.dependencies({ id, limit: 10, cursor: undefined })
        assert.strictEqual(found?.answer._tag, "NotFound")
      })
  )

  fact("whose retry is rolled back is as it was", ({ sql }) =>
    Effect.gen(function*() {
      const a = yield* Suite.enqueue()
      const b = yield* Suite.enqueue({ dependencies: [{ name: "a", id: a.id }] })
      yield* Suite.settle("w", yield* Suite.claimOne("w"), Suite.dead)
      yield* Effect.ignore(
        sql.withTransaction(Effect.andThen(Suite.control({ _tag: "Retry" }, a.id), Effect.fail("no")))
      )
      assert.deepStrictEqual([yield* Suite.stateOf(a.id), yield* Suite.stateOf(b.id)], ["dead", "dead"])
      yield* sql.withTransaction(Suite.control({ _tag: "Retry" }, a.id))
      assert.strictEqual((yield* Suite.get(b.id)).blocked?.reason, "Dependencies")
      yield* Suite.settle("w", yield* Suite.claimOne("w"), Suite.complete)
      assert.strictEqual((yield* Suite.claimOne("w")).id, b.id)
    }))
})

describe("a topic in the caller's transaction", () => {
  fact("is published with what else was written, or not at all", ({ sql }) =>
    Effect.gen(function*() {
      yield* Leaf.enqueue({ n: 0 })
      yield* Effect.ignore(sql.withTransaction(Effect.andThen(Placed.publish({ id: "a" }), Effect.fail("no"))))
      assert.strictEqual(yield* total, 1)
      const deliveries = yield* sql.withTransaction(Placed.publish({ id: "a" }))
      assert.deepStrictEqual(deliveries.map(({ job, outcome }) => [job, outcome]), [
        [Mail._tag, "Inserted"],
        [Log._tag, "Inserted"]
      ])
      assert.strictEqual(yield* total, 3)
    }))
})

class Broken extends Schema.TaggedError<Broken>()("Broken", {}) {}
const flaky = {
  payload: { n: Schema.Number },
  success: Schema.Number,
  error: Broken,
  onError: { Broken: "dead" }
} as const
class Top extends Job.make("Top", flaky) {}
class Side1 extends Job.make("Side1", { ...flaky, queue: "sums" }) {}
class Side2 extends Job.make("Side2", flaky) {}
class Bottom extends Job.make("Bottom", { ...flaky, queue: "sums" }) {}
class Diamond extends Flow.make("Diamond")
  .node("top", Top)
  .list("left", Side1, { after: { top: "fail" } })
  .node("right", Side2, { after: { top: "cancelSiblings" } })
  .node("bottom", Bottom, { after: { left: "cancelSiblings", right: "fail", top: "fail" } })
{}
const Diamonds = JobGroup.make(Top, Side1, Side2, Bottom)

describe("diamonds whose nodes fail, are cancelled, and are retried", () => {
  fact("come to an end under several workers, with the results of all, once for a key", () =>
    Effect.gen(function*() {
      let isHostile = true
      const tried = <E, R>(answer: Effect.Effect<number, E, R>): Effect.Effect<number, E | Broken, R> =>
        Effect.flatMap(
          Random.next,
          (dice): Effect.Effect<number, E | Broken, R> => isHostile && dice < 0.3 ? Effect.fail(new Broken()) : answer
        )
      const handlers = Diamonds.toLayer({
        Top: ({ n }) => tried(Effect.succeed(n)),
        Side1: ({ n }) => tried(Effect.succeed(n)),
        Side2: ({ n }) => tried(Effect.map(Diamond.results("right"), ({ top }) => top + n)),
        Bottom: () =>
          tried(
            Effect.map(Diamond.results("bottom"), ({ left, right, top }) => left.reduce((a, b) => a + b, right + top))
          )
      })
      const worker = () =>
        Layer.build(
          Layer.fresh(
            JobWorker.layer(Diamonds, { concurrency: 5, shutdownGrace: 0 }).pipe(Layer.provide(Layer.orDie(handlers)))
          )
        )
      for (let i = 0; i < 3; i++) yield* worker()
      const numbers = Array.from({ length: 12 }, (_, n) => n)
      const start = (n: number) =>
        Diamond.start({ top: { n }, left: [{ n: 1 }, { n: 2 }, { n: 3 }], right: { n: 10 }, bottom: { n: 0 } }, {
          idempotencyKey: `${n}`
        })
      const twice = [...numbers, ...numbers]
      const flows = (yield* Effect.forEach(twice, start, { concurrency: "unbounded" })).slice(0, numbers.length)
      for (let round = 0; round < 6; round++) {
        isHostile = round < 4
        yield* Effect.forEach(flows, (flow, i) =>
          isHostile && (i + round) % 4 === 0
            ? Effect.andThen(flow.cancel({ from: "left", reason: "test" }), flow.retry())
            : flow.retry(), { concurrency: 4 })
        yield* Harness.until(
          "every flow to come to rest",
          Effect.map(
            Effect.forEach(flows, (flow) => flow.status),
            (all) => all.every(({ isFinished }) => isFinished)
          )
        )
      }
      for (const [n, flow] of flows.entries()) {
        const { counts, nodes } = yield* flow.status
        assert.strictEqual(counts.completed, 6, JSON.stringify([flow.outcome, nodes]))
        assert.deepStrictEqual(yield* flow.await, { bottom: 6 + (n + 10) + n })
      }
    }).pipe(Effect.scoped))
})

describe("many that wait for one, and one that waits for many", () => {
  fact("end in exchanges at the same time, and nobody is stuck", () =>
    Effect.gen(function*() {
      const flow = yield* Wide.start({ leaves: leaves(400) })
      const workers = ["a", "b", "c", "d"]
      yield* Effect.forEach(workers, (worker) =>
        Effect.gen(function*() {
          for (;;) {
            const attempts = yield* Suite.claim(worker, 20)
            if (attempts.length === 0) return
            yield* Suite.exchange(worker, {
              settlements: attempts.map(({ fence, id }) => ({
                id,
                fence,
                outcome: { _tag: "Complete", result: "1" },
                finishedAfter: 0
              }))
            })
          }
        }), { concurrency: 4 })
      // What two ends at the same time left is looked at a fifth of a second later.
      let claimed: ReadonlyArray<JobStore.Claimed> = []
      for (let i = 0; i < 100 && claimed.length === 0; i++) {
        claimed = yield* Suite.claim("a", 1, "sums")
        if (claimed.length === 0) yield* Effect.sleep("20 millis")
      }
      assert.deepStrictEqual(claimed.map(({ id }) => id), [flow.id])
    }))

  fact("a chain of hundreds is dead to its end when its first one is", () =>
    Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      const records: Array<JobStore.NewRecord> = [Suite.record()]
      for (let i = 0; i < 300; i++) {
        records.push(Suite.record({ dependencies: [{ name: "before", id: records.at(-1)!.id }] }))
      }
      yield* store.enqueue({ records, whole: records.at(-1)!.id })
      yield* Suite.settle("w", yield* Suite.claimOne("w"), Suite.dead)
      for (let i = 0; i < 400; i++) {
        const { nextDueIn } = yield* Suite.exchange("w")
        if (nextDueIn === undefined && (yield* Suite.stateOf(records.at(-1)!.id)) === "dead") break
      }
      assert.strictEqual(yield* Suite.stateOf(records.at(-1)!.id), "dead")
      const { failures } = yield* Suite.get(records.at(-1)!.id)
      assert.include(failures[0]!.message, records.at(-2)!.id)
    }))

  fact("a flow that is refused says by whom", () =>
    Effect.gen(function*() {
      const sum = yield* Suite.enqueue({ unique: { key: "u", until: "finished", onConflict: "keep" } })
      const store = yield* JobStore.JobStore
      const unique: JobStore.UniqueClaim = { key: "u", until: "finished", onConflict: "keep" }
      const records = [Suite.record(), Suite.record({ unique }), Suite.record()]
      const answers = yield* store.enqueue({ records, whole: records[2]!.id })
      assert.deepStrictEqual(answers.map(({ outcome }) => outcome), ["Refused", "UniqueConflict", "Refused"])
      assert.strictEqual(answers[1]!.id, sum.id)
      assert.notInstanceOf(answers, JobError.EnqueueError)
    }))
})
