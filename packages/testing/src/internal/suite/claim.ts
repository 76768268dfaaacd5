import { assert } from "@effect/vitest"
import { type JobRecord, JobStore } from "capstan"
import { Effect } from "effect"
import * as H from "./harness.ts"

const { fact } = H

const permutations = <A>(all: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  all.length === 0
    ? [[]]
    : all.flatMap((one) => permutations(all.filter((other) => other !== one)).map((rest) => [one, ...rest]))

export const claimFacts: ReadonlyArray<H.Fact> = [
  fact("a claim raises attempt and fence, and the record runs at that worker", function*() {
    const { id } = yield* H.enqueue()
    const claimed = yield* H.claimOne("w")
    const record = yield* H.get(id)
    assert.deepStrictEqual([record.state, record.worker, record.attempt], ["running", "w", 1])
    assert.strictEqual(record.fence, claimed.fence)
    assert.strictEqual(claimed.fence, 1)
  }),
  fact("a payload comes to its worker as it was enqueued, however long it is, and beside others", function*() {
    const payloads = [1, 1990, 1998, 1999, 4000, 300_000].flatMap((length) =>
      ["x", "é\u2028", "=", "\\"].map((part) => JSON.stringify(part.repeat(Math.ceil(length / part.length))))
    )
    const given = yield* Effect.forEach(
      payloads,
      (payload) => Effect.map(H.enqueue({ payload }), ({ id }) => [id, payload] as const)
    )
    const claimed = yield* H.claim("w", payloads.length)
    assert.deepStrictEqual(new Map(claimed.map(({ id, payload }) => [id, payload])), new Map(given))
  }),
  fact("a record is claimed once", function*() {
    const ids = yield* H.enqueueMany(20)
    const batches = yield* Effect.all(
      ["a", "b", "c", "d"].map((worker) => H.claim(worker, 10)),
      { concurrency: "unbounded" }
    )
    const claimed = batches.flat().map(({ id }) => id)
    assert.deepStrictEqual(claimed.toSorted(), ids.toSorted())
  }),
  fact("higher priorities come first, then first in, first out", function*() {
    const low = yield* H.enqueue({ priority: -1 })
    const first = yield* H.enqueue()
    const high = yield* H.enqueue({ priority: 100 })
    const second = yield* H.enqueue()
    const claimed = yield* H.claim("w", 10)
    assert.deepStrictEqual(claimed.map(({ id }) => id), [high.id, first.id, second.id, low.id])
  }),
  fact(
    "what crashed its worker, what was given back and what nobody has touched come by their priority",
    function*() {
      const kinds = ["crashed", "given back", "given back too", "new"] as const
      const priorities = [1, 3, 5, 7]
      const orders = permutations(priorities).map((order, i) => ({ order, queue: `q${i}` }))
      const made = new Map<string, ReadonlyArray<JobRecord.JobId>>()
      for (const { order, queue } of orders) {
        const three = yield* Effect.forEach(order.slice(0, 3), (priority) => H.enqueue({ queue, priority }))
        const ids = three.map(({ id }) => id)
        made.set(queue, ids)
        for (const attempt of yield* H.claim("dies", 3, queue)) {
          if (attempt.id !== ids[0]) yield* H.settle("dies", attempt, { _tag: "Release" })
        }
      }
      yield* H.advance(H.lease)
      yield* H.maintainAll
      for (const { order, queue } of orders) {
        const ids = [...made.get(queue)!, (yield* H.enqueue({ queue, priority: order[3]! })).id]
        // Beside them, and between, are priorities of which nothing is left.
        const gone = yield* Effect.forEach([0, 2, 4, 6, 8], (priority) => H.enqueue({ queue, priority }))
        yield* H.control({ _tag: "Cancel", reason: "r" }, ...gone.map(({ id }) => id))
        const expected = priorities.toReversed().map((priority) => ids[order.indexOf(priority)]!)
        const claimed = yield* H.claim(`w-${queue}`, 4, queue)
        const named = (found: ReadonlyArray<JobRecord.JobId>) => found.map((id) => kinds[ids.indexOf(id)])
        assert.deepStrictEqual(named(claimed.map(({ id }) => id)), named(expected))
      }
    }
  ),
  fact("a record that was rescheduled is claimed in the turn of its new instant", function*() {
    const [first, second] = yield* H.enqueueMany(2)
    yield* H.control({ _tag: "Reschedule", delay: 1000 }, first!)
    yield* H.advance(1000)
    assert.deepStrictEqual((yield* H.claim("w", 2)).map(({ id }) => id), [second, first])
  }),
  fact("a claim takes from the demanded queues alone, up to their slots and the total", function*() {
    yield* H.enqueueMany(3, { queue: "a" })
    yield* H.enqueueMany(3, { queue: "b" })
    const demand = [{ queue: "a", slots: 2, share: 1 }, { queue: "b", slots: 2, share: 1 }]
    const reply = yield* H.exchange("w", { demand, total: 3 })
    assert.deepStrictEqual(reply.claimed.map(({ queue }) => queue).toSorted(), ["a", "a", "b"])
    assert.deepStrictEqual(reply.more.toSorted(), ["a", "b"])
  }),
  fact("a share is kept for its queue before the rest is given out in order", function*() {
    yield* H.enqueueMany(10, { queue: "a" })
    yield* H.enqueueMany(10, { queue: "b" })
    const demand = [{ queue: "a", slots: 10, share: 0 }, { queue: "b", slots: 10, share: 2 }]
    const { claimed } = yield* H.exchange("w", { demand, total: 5 })
    assert.strictEqual(claimed.filter(({ queue }) => queue === "b").length, 2)
    assert.strictEqual(claimed.filter(({ queue }) => queue === "a").length, 3)
  }),
  fact("`more` names a queue only while a further claim of this worker would find something", function*() {
    yield* H.enqueueMany(2)
    const demand = [{ queue: "default", slots: 5, share: 5 }]
    assert.deepStrictEqual((yield* H.exchange("w", { demand, total: 1 })).more, ["default"])
    assert.deepStrictEqual((yield* H.exchange("w", { demand, total: 1 })).more, [])
  }),
  fact("a paused queue gives nothing out, what runs goes on, and resuming gives out again", function*() {
    const store = yield* JobStore.JobStore
    yield* H.enqueueMany(2)
    const running = yield* H.claimOne("w")
    assert.isTrue(yield* store.pause("default", true))
    assert.isFalse(yield* store.pause("default", true))
    assert.strictEqual((yield* H.claim("w", 5)).length, 0)
    assert.strictEqual(yield* H.settle("w", running, H.complete), "Done")
    assert.isTrue((yield* H.statsOf()).paused)
    assert.isTrue(yield* store.pause("default", false))
    assert.strictEqual((yield* H.claim("w", 5)).length, 1)
  }),
  fact("a record that has started in time hides from nobody that another one could not", function*() {
    const started = yield* H.enqueue({ startBefore: 1000 })
    yield* H.settle("w", yield* H.claimOne("w"), H.retryAfter(60_000))
    const late = yield* H.enqueue({ startBefore: 2000 })
    yield* H.advance(2001)
    yield* H.maintainAll
    assert.deepStrictEqual([yield* H.stateOf(started.id), yield* H.stateOf(late.id)], ["scheduled", "dead"])
  }),
  fact("a record that could not start in time is dead with Expired, also when it is found by a claim", function*() {
    const { id } = yield* H.enqueue({ startBefore: 1000 })
    const { id: other } = yield* H.enqueue({ startBefore: 1000, delay: 500 })
    yield* H.advance(1000)
    assert.strictEqual((yield* H.claim("w", 5)).length, 1)
    assert.strictEqual((yield* H.get(id)).deadReason, "Expired")
    assert.strictEqual(yield* H.stateOf(other), "running")
  }),
  fact("what expires together leaves no slot of its key taken (P6)", function*() {
    const concurrency = { key: "k", limit: 1 }
    const ids = yield* H.enqueueMany(3, { startBefore: 1000, concurrency })
    assert.deepStrictEqual(yield* Effect.forEach(ids, H.stateOf), ["ready", "blocked", "blocked"])
    yield* H.advance(1000)
    yield* H.maintainAll
    for (const id of ids) assert.strictEqual((yield* H.get(id)).deadReason, "Expired")
    const { id } = yield* H.enqueue({ concurrency })
    assert.strictEqual((yield* H.claimOne("w")).id, id)
  }),
  fact("a record that has begun does not expire", function*() {
    const { id } = yield* H.enqueue({ startBefore: 1000 })
    yield* H.settle("w", yield* H.claimOne("w"), H.retryAfter(5000))
    yield* H.advance(5000)
    yield* H.maintain
    assert.strictEqual((yield* H.claimOne("w")).id, id)
  }),
  fact("a claimed record brings along its failures, and when it was enqueued, begun and ready", function*() {
    yield* H.enqueue({ headers: { a: "b" }, tags: ["t"] })
    yield* H.advance(100)
    const first = yield* H.claimOne("w")
    yield* H.advance(50)
    yield* H.settle("w", first, H.retryAfter(200), { finishedAfter: 50 })
    yield* H.advance(200)
    const second = yield* H.claimOne("w")
    assert.deepStrictEqual(
      [second.attempt, second.enqueuedAt, second.begunAt, second.readyAt].map((at, i) =>
        i === 0 ? at : at - first.enqueuedAt
      ),
      [2, 0, 100, 350]
    )
    assert.deepStrictEqual(second.failures.map(({ attempt, tag }) => [attempt, tag]), [[1, "Oops"]])
    assert.deepStrictEqual([second.headers, second.tags], [{ a: "b" }, ["t"]])
  }),
  fact(
    "a record has begun with its first claim that was not given back, whatever was released or parked before",
    function*() {
      yield* H.enqueue()
      yield* H.enqueue({ startBefore: 60_000 })
      yield* H.enqueue({ concurrency: { key: "k", limit: 1 } })
      const lives = Effect.fnUntraced(function*(outcome: JobStore.Outcome) {
        const claimed = yield* H.claim("w", 5)
        for (const record of claimed) yield* H.settle("w", record, outcome)
        yield* H.advance(100)
        yield* H.renew("w", { handles: [{ tag: "Task", version: 1 }] })
        return claimed.map(({ begunAt, enqueuedAt }) => begunAt - enqueuedAt)
      })
      assert.deepStrictEqual(yield* lives({ _tag: "Release" }), [0, 0, 0])
      assert.deepStrictEqual(yield* lives({ _tag: "Park", reason: "NewerPayload" }), [100, 100, 100])
      assert.deepStrictEqual(yield* lives({ _tag: "SnoozeFor", delay: 0 }), [200, 200, 200])
      assert.deepStrictEqual(yield* lives({ _tag: "Release" }), [200, 200, 200])
      assert.deepStrictEqual(yield* lives(H.retryAfter(0)), [200, 200, 200])
    }
  ),
  fact("at most the last 32 failures travel", function*() {
    yield* H.enqueue()
    for (let i = 0; i < 40; i++) yield* H.settle("w", yield* H.claimOne("w"), H.retryAfter(0))
    const { failures } = yield* H.claimOne("w")
    assert.deepStrictEqual([failures.length, failures[0]?.attempt, failures.at(-1)?.attempt], [32, 9, 40])
  }),
  fact("a failure that gave its attempt back is replaced by the next failure", function*() {
    yield* H.enqueue()
    const ends: ReadonlyArray<JobStore.Outcome> = [
      { _tag: "SnoozeFor", delay: 0, failure: { ...H.failure, tag: "Snoozed" } },
      { _tag: "RetryAfter", delay: 0, failure: { ...H.failure, tag: "Away" }, uncharged: true },
      H.retryAfter(0),
      { _tag: "SnoozeFor", delay: 0, failure: { ...H.failure, tag: "Snoozed" } }
    ]
    for (const end of ends) yield* H.settle("w", yield* H.claimOne("w"), end)
    const { attempt, failures } = yield* H.claimOne("w")
    assert.deepStrictEqual(failures.map((failure) => [failure.attempt, failure.tag]), [[1, "Oops"], [2, "Snoozed"]])
    assert.strictEqual(attempt, 2)
  })
]
