import { assert } from "@effect/vitest"
import { JobRecord, JobStore } from "capstan"
import { Effect } from "effect"
import * as H from "./harness.ts"

const { fact } = H

/** Lets a worker's lease end and rescues what it held. */
const die = Effect.andThen(H.advance(H.lease), H.maintain)

export const leaseFacts: ReadonlyArray<H.Fact> = [
  fact("a renewal keeps all claims of a worker", function*() {
    const ids = yield* H.enqueueMany(3)
    const held = yield* H.claim("w", 3)
    yield* H.advance(H.lease - 1)
    const reply = yield* H.renew("w", { holding: held })
    assert.deepStrictEqual(reply.lost, [])
    yield* H.advance(H.lease - 1)
    yield* H.maintain
    for (const id of ids) assert.strictEqual(yield* H.stateOf(id), "running")
  }),
  fact(
    "a worker's records run again when its lease ends, at the place that they had, with a higher fence",
    function*() {
      const [first, second] = yield* H.enqueueMany(2)
      const { fence } = yield* H.claimOne("a")
      yield* H.advance(H.lease)
      const reply = yield* H.maintain
      assert.strictEqual(reply.rescued, 1)
      assert.isAbove((yield* H.get(first!)).fence, fence)
      assert.deepStrictEqual((yield* H.claim("b", 2)).map(({ id }) => id), [first, second])
    }
  ),
  fact(
    "a worker's records run again when its lease ends, also of one that has renewed it more than once",
    function*() {
      yield* H.enqueueMany(2)
      const held = yield* H.claim("a", 2)
      for (let i = 0; i < 2; i++) yield* H.renew("a", { holding: held })
      yield* H.settle("a", held[0]!, H.complete)
      yield* die
      assert.deepStrictEqual((yield* H.claim("b", 2)).map(({ id }) => id), [held[1]!.id])
    }
  ),
  fact("a renewal says what the worker has lost", function*() {
    yield* H.enqueue()
    const held = yield* H.claimOne("a")
    yield* die
    const reply = yield* H.renew("a", { holding: [held] })
    assert.deepStrictEqual(reply.lost.map(({ id }) => id), [held.id])
  }),
  fact("maintainIn tells when a lease ends", function*() {
    yield* H.enqueue()
    yield* H.claimOne("w")
    const { maintainIn } = yield* H.exchange("other")
    assert.isDefined(maintainIn)
    assert.isAtMost(maintainIn!, H.lease)
  }),
  fact(
    "a claim whose reply was lost is given back with a higher fence, uncharged, and others are kept (P14)",
    function*() {
      yield* H.enqueueMany(2)
      const known = yield* H.claimOne("w")
      const lost = yield* H.claimOne("w")
      const reply = yield* H.renew("w", { holding: [known], reconcileOlderThan: 0 })
      assert.strictEqual(reply.reconciled, 1)
      const record = yield* H.get(lost.id)
      assert.deepStrictEqual([record.state, record.attempt], ["ready", 0])
      assert.isAbove(record.fence, lost.fence)
      assert.strictEqual(yield* H.stateOf(known.id), "running")
    }
  ),
  fact("a claim that is younger than reconcileOlderThan is left alone: its reply may be under way (P14)", function*() {
    const { id } = yield* H.enqueue()
    yield* H.claimOne("w")
    yield* H.advance(1000)
    yield* H.renew("w", { reconcileOlderThan: 2000 })
    assert.strictEqual(yield* H.stateOf(id), "running")
  }),
  fact("a worker that leaves gives everything back at once", function*() {
    yield* H.enqueueMany(3)
    yield* H.claim("w", 3)
    yield* H.renew("w", { lease: 0, reconcileOlderThan: 0 })
    assert.strictEqual((yield* H.statsOf()).counts.ready, 3)
  }),

  // crashes
  fact("a record whose workers die is dead with Crashed after the third (P10)", function*() {
    const { id } = yield* H.enqueue()
    for (const worker of ["a", "b"]) {
      yield* H.claimOne(worker)
      yield* die
      assert.strictEqual(yield* H.stateOf(id), "ready")
    }
    yield* H.claimOne("c")
    yield* H.advance(H.lease)
    assert.strictEqual((yield* H.maintain).quarantined, 1)
    assert.strictEqual((yield* H.get(id)).deadReason, "Crashed")
  }),
  fact("a worker holds at most one record that has crashed others, beside its other work (P10)", function*() {
    const ids = yield* H.enqueueMany(3)
    yield* H.claim("a", 3)
    yield* die
    const { id: fresh } = yield* H.enqueue()
    const claimed = yield* H.claim("b", 10)
    assert.deepStrictEqual(claimed.map(({ id }) => id), [ids[0], fresh])
    assert.deepStrictEqual(yield* H.claim("b", 10), [], "it holds one already")
  }),
  fact("when a worker dies with a record that crashed others, that one alone is charged (P10)", function*() {
    const { id: poison } = yield* H.enqueue()
    yield* H.claimOne("a")
    yield* die
    const innocent = yield* H.enqueueMany(2)
    yield* H.claim("b", 10)
    yield* die
    assert.strictEqual((yield* H.get(poison)).crashes, 2)
    for (const id of innocent) assert.strictEqual((yield* H.get(id)).crashes, 0)
  }),
  fact("a settle clears the count of crashes (P10)", function*() {
    const { id } = yield* H.enqueue()
    yield* H.claimOne("a")
    yield* die
    yield* H.settle("b", yield* H.claimOne("b"), H.retryAfter(0))
    assert.strictEqual((yield* H.get(id)).crashes, 0)
  }),
  fact("a record that is given back unstarted keeps its count of crashes (P10)", function*() {
    const { id } = yield* H.enqueue()
    yield* H.claimOne("a")
    yield* die
    for (const outcome of [{ _tag: "Release" }, { _tag: "Park", reason: "NoHandler" }] as const) {
      yield* H.settle("b", yield* H.claimOne("b"), outcome)
      assert.strictEqual((yield* H.get(id)).crashes, 1)
      yield* H.renew("b", { handles: [{ tag: "Task", version: 1 }] })
    }
    yield* H.claimOne("b")
    yield* H.renew("b", { reconcileOlderThan: 0 })
    const record = yield* H.get(id)
    assert.deepStrictEqual([record.state, record.crashes], ["ready", 1])
  }),

  // retention
  fact("finished records are swept by the age of their retention, even when nobody works", function*() {
    const keep: JobRecord.Keep = { age: 1000, count: Infinity }
    const retention = { completed: keep, cancelled: keep, dead: { age: 5000, count: Infinity } }
    const completed = yield* H.enqueue({ retention })
    yield* H.settle("w", yield* H.claimOne("w"), H.complete)
    const dead = yield* H.enqueue({ retention })
    yield* H.settle("w", yield* H.claimOne("w"), H.dead)
    yield* H.advance(1000)
    yield* H.maintainAll
    assert.isFalse(yield* H.exists(completed.id))
    assert.isTrue(yield* H.exists(dead.id))
    yield* H.advance(4000)
    yield* H.maintainAll
    assert.isFalse(yield* H.exists(dead.id))
  }),
  fact("a retention by count keeps the newest, in bounded chunks", function*() {
    const keep: JobRecord.Keep = { age: Infinity, count: 2 }
    const retention = { completed: keep, cancelled: keep, dead: keep }
    const ids = yield* H.enqueueMany(5, { retention })
    for (const claimed of yield* H.claim("w", 5)) yield* H.settle("w", claimed, H.complete)
    yield* H.maintainAll
    const left = yield* Effect.filter(ids, H.exists)
    assert.deepStrictEqual(left, ids.slice(3))
  }),
  fact("of one job's records that are kept by other counts each count holds for its own", function*() {
    const counts = [1, 3]
    const ids: Array<ReadonlyArray<JobRecord.JobId>> = []
    for (const count of counts) {
      const keep: JobRecord.Keep = { age: 60_000, count }
      ids.push(yield* H.enqueueMany(4, { retention: { completed: keep, cancelled: keep, dead: keep } }))
    }
    for (const attempt of yield* H.claim("w", 8)) yield* H.settle("w", attempt, H.complete)
    yield* H.maintainAll
    assert.deepStrictEqual(
      yield* Effect.forEach(ids, (some) => Effect.filter(some, H.exists)),
      ids.map((some, i) => some.slice(4 - counts[i]!))
    )
  }),
  ...(["completed", "cancelled", "dead"] as const).map((end) =>
    fact(`a record of which nothing is kept is gone after its end, key and count included: ${end}`, function*() {
      const store = yield* JobStore.JobStore
      const kept: JobRecord.Keep = { age: Infinity, count: Infinity }
      const retention = { completed: kept, cancelled: kept, dead: kept, [end]: { age: 0, count: Infinity } }
      const given = { retention, idempotencyKey: "k" }
      const { id } = yield* H.enqueue(given)
      const attempt = yield* H.claimOne("w")
      const outcome: JobStore.Outcome = end === "completed"
        ? H.complete
        : end === "cancelled"
        ? { _tag: "Cancel", reason: "r" }
        : H.dead
      assert.strictEqual(yield* H.settle("w", attempt, outcome), "Done")
      // It is known that it was settled, though nothing else is (P13).
      assert.strictEqual(yield* H.settle("w", attempt, outcome), "Done")
      yield* H.advance(1)
      yield* H.maintainAll
      assert.isFalse(yield* H.exists(id))
      assert.strictEqual((yield* store.results([id]))[0]?._tag, "NotFound")
      const { counts } = yield* H.statsOf()
      assert.deepStrictEqual([counts.running, counts[end]], [0, 0])
      assert.strictEqual((yield* H.enqueue(given)).outcome, "Inserted")
    })
  ),
  fact("a retention beyond any number that a store counts to keeps all: by count, and by age", function*() {
    const ends = { completed: H.complete, cancelled: { _tag: "Cancel", reason: "r" }, dead: H.dead } as const
    const keeps: ReadonlyArray<JobRecord.Keep> = [
      { age: Infinity, count: 2 ** 31 },
      { age: Infinity, count: Number.MAX_SAFE_INTEGER },
      { age: 1e16, count: Infinity },
      { age: 1e30, count: 2 }
    ]
    for (const keep of keeps) {
      for (const end of ["completed", "cancelled", "dead"] as const) {
        const { id } = yield* H.enqueue({ retention: { completed: keep, cancelled: keep, dead: keep } })
        assert.strictEqual(yield* H.settle("w", yield* H.claimOne("w"), ends[end]), "Done")
        yield* H.maintainAll
        assert.strictEqual((yield* H.get(id)).state, end)
      }
    }
  }),
  fact("a sweep of more than one call takes says that there is more to do", function*() {
    const keep: JobRecord.Keep = { age: Infinity, count: 100 }
    yield* H.enqueueMany(2600, { retention: { completed: keep, cancelled: keep, dead: keep } })
    for (;;) {
      const claimed = yield* H.claim("w", 1000)
      if (claimed.length === 0) break
      yield* H.exchange("w", {
        settlements: claimed.map(({ fence, id }) => ({ id, fence, outcome: H.complete, finishedAfter: 0 }))
      })
    }
    const first = yield* H.maintain
    assert.strictEqual(first.maintainIn, 0)
    assert.isBelow(first.swept, 2500)
    yield* H.maintainAll
    assert.strictEqual((yield* H.statsOf()).counts.completed, 100)
  }),
  fact("what waits expires without anybody claiming", function*() {
    const { id } = yield* H.enqueue({ startBefore: 1000 })
    yield* H.advance(1000)
    assert.strictEqual((yield* H.maintain).expired, 1)
    assert.strictEqual((yield* H.get(id)).deadReason, "Expired")
  })
]
