import { assert } from "@effect/vitest"
import { type JobRecord, JobStore } from "capstan"
import { Effect, Exit } from "effect"
import * as H from "./harness.ts"

const { fact } = H

const on = "Paid Remind a"
const paid = [{ on, reason: "Paid was published" }]

const happen = (...records: ReadonlyArray<JobStore.NewRecord>) =>
  Effect.flatMap(JobStore.JobStore, ({ enqueue }) => enqueue({ records, cancels: paid }))

const completes = [{ on, waitpoint: "paid", value: "event" }]

const pay = (...records: ReadonlyArray<JobStore.NewRecord>) =>
  Effect.flatMap(JobStore.JobStore, ({ enqueue }) => enqueue({ records, completes }))

const waitFor = (waitpoint: string): JobStore.Outcome => ({ _tag: "WaitFor", waitpoint })

/** A record that waits for a waitpoint. */
const waiting = (given: Partial<JobStore.NewRecord>, waitpoint = "paid") =>
  Effect.gen(function*() {
    const enqueued = yield* H.enqueue(given)
    yield* H.settle("w", yield* H.claimOne("w"), waitFor(waitpoint))
    return enqueued
  })

const keptOf = (...ids: ReadonlyArray<{ readonly id: JobRecord.JobId }>) =>
  Effect.forEach(ids, ({ id }) => Effect.map(H.get(id), ({ checkpoints }) => checkpoints?.["paid"]))

const statesOf = (...ids: ReadonlyArray<{ readonly id: JobRecord.JobId }>) =>
  Effect.forEach(ids, ({ id }) => H.stateOf(id))

export const eventFacts: ReadonlyArray<H.Fact> = [
  fact("cancelOn: what has not ended and names an event is cancelled by it, and nothing else", function*() {
    const running = yield* H.enqueue({ cancelOn: ["other", on] })
    yield* H.claimOne("w")
    const done = yield* H.enqueue({ cancelOn: [on] })
    yield* H.settle("w", yield* H.claimOne("w"), H.complete)
    const ready = yield* H.enqueue({ cancelOn: [on] })
    const later = yield* H.enqueue({ cancelOn: [on], delay: 1000 })
    const blocked = yield* H.enqueue({
      cancelOn: [on],
      dependencies: [{ name: "a", id: ready.id, onFailure: "continue" }]
    })
    const others = [yield* H.enqueue({ cancelOn: ["other"] }), yield* H.enqueue()]
    assert.deepStrictEqual(yield* happen(), [])
    assert.deepStrictEqual(yield* statesOf(ready, later, blocked, done, ...others), [
      "cancelled",
      "cancelled",
      "cancelled",
      "completed",
      "ready",
      "ready"
    ])
    assert.strictEqual((yield* H.get(later.id)).cancelRequested, "Paid was published")
    const { cancel } = yield* H.exchange("w")
    assert.deepStrictEqual(cancel.map(({ id, reason }) => [id, reason]), [[running.id, "Paid was published"]])
  }),
  fact("cancelOn: an event cancels before its own records are stored, in one step", function*() {
    const unique: JobStore.UniqueClaim = { key: "u", until: "finished", onConflict: "keep" }
    const before = yield* H.enqueue({ cancelOn: [on], unique })
    const [answer] = yield* happen(H.record({ cancelOn: [on], unique }))
    assert.strictEqual(answer!.outcome, "Inserted")
    assert.deepStrictEqual(yield* statesOf(before, answer!), ["cancelled", "ready"])
  }),
  fact("cancelOn: an event that is refused cancels nothing", function*() {
    const waits = yield* H.enqueue({ cancelOn: [on], queue: "later" })
    yield* H.enqueue()
    const stale = yield* H.claimOne("w")
    yield* H.settle("w", stale, H.complete)
    const store = yield* JobStore.JobStore
    assert.isTrue(Exit.isFailure(yield* Effect.exit(store.enqueue({ records: [], by: stale, cancels: paid }))))
    assert.strictEqual(yield* H.stateOf(waits.id), "ready")
    const unique: JobStore.UniqueClaim = { key: "u", until: "finished", onConflict: "replace" }
    const member = yield* H.enqueue({ unique, flowId: "f", queue: "later" })
    const [answer] = yield* happen(H.record({ unique }))
    assert.deepStrictEqual([answer!.id, answer!.outcome], [member.id, "UniqueConflict"])
    assert.strictEqual(yield* H.stateOf(waits.id), "ready")
  }),
  fact("cancelOn: a record that lives again is cancelled again, and new contents have their own", function*() {
    const again = yield* H.enqueue({ cancelOn: [on] })
    yield* H.settle("w", yield* H.claimOne("w"), H.dead)
    yield* H.control({ _tag: "Retry" }, again.id)
    const unique: JobStore.UniqueClaim = { key: "u", until: "finished", onConflict: "replace" }
    const gains = yield* H.enqueue({ unique, delay: 1000 })
    yield* H.enqueue({ unique, delay: 1000, cancelOn: [on] })
    const other: JobStore.UniqueClaim = { ...unique, key: "v" }
    const loses = yield* H.enqueue({ unique: other, delay: 1000, cancelOn: [on] })
    yield* H.enqueue({ unique: other, delay: 1000 })
    const gone = yield* H.enqueue({ cancelOn: [on] })
    yield* H.control({ _tag: "Delete" }, gone.id)
    yield* happen()
    assert.deepStrictEqual(yield* statesOf(again, gains, loses), ["cancelled", "cancelled", "scheduled"])
    assert.isFalse(yield* H.exists(gone.id))
  }),
  fact("cancelOn: an event cancels, and a record listens, also where there are keys", function*() {
    const keyed = (key: string): Partial<JobStore.NewRecord> => ({ concurrency: { key, limit: 2 } })
    const { enqueue } = yield* JobStore.JobStore
    const listens = yield* enqueue({
      records: [H.record({ ...keyed("a"), cancelOn: [on] }), H.record({ ...keyed("a"), cancelOn: [on] })]
    })
    yield* happen(H.record(keyed("a")), H.record(keyed("a")))
    assert.deepStrictEqual(yield* statesOf(...listens), ["cancelled", "cancelled"])
  }),
  fact("completeOn: what has not ended and names an event takes it for its waitpoint, and nothing else", function*() {
    const done = yield* H.enqueue({ completeOn: [on] })
    yield* H.settle("w", yield* H.claimOne("w"), H.complete)
    const waits = yield* waiting({ completeOn: ["other", on] })
    const elsewhere = yield* waiting({ completeOn: [on] }, "else")
    const others = [yield* waiting({ completeOn: ["other"] }), yield* waiting({})]
    const running = yield* H.enqueue({ completeOn: [on] })
    const attempt = yield* H.claimOne("w")
    const later = yield* H.enqueue({ completeOn: [on], delay: 1000 })
    assert.deepStrictEqual(yield* pay(), [])
    assert.deepStrictEqual(yield* statesOf(done, waits, elsewhere, ...others, running, later), [
      "completed",
      "ready",
      "blocked",
      "blocked",
      "blocked",
      "running",
      "scheduled"
    ])
    const none = undefined
    assert.deepStrictEqual(yield* keptOf(done, waits, elsewhere, ...others, running, later), [
      none,
      "event",
      "event",
      none,
      none,
      "event",
      "event"
    ])
    yield* H.settle("w", attempt, waitFor("paid"))
    assert.deepStrictEqual(yield* statesOf(running), ["ready"])
  }),
  fact("completeOn: records with keys that complete in one exchange are told nothing any more", function*() {
    const { enqueue } = yield* JobStore.JobStore
    const ended = yield* enqueue({
      records: ["Own/a", "Own/b", "@space/a"].map((key) =>
        H.record({ concurrency: { key, limit: 2 }, completeOn: [on] })
      )
    })
    const claimed = yield* H.claim("w", 9)
    const settlements = claimed.map(({ fence, id }) => ({ id, fence, outcome: H.complete, finishedAfter: 0 }))
    assert.deepStrictEqual((yield* H.exchange("w", { settlements })).settled, ["Done", "Done", "Done"])
    yield* pay()
    assert.deepStrictEqual(yield* statesOf(...ended), ["completed", "completed", "completed"])
    assert.deepStrictEqual(yield* keptOf(...ended), [undefined, undefined, undefined])
    yield* H.control({ _tag: "Retry" }, ...ended.map(({ id }) => id))
    assert.deepStrictEqual(yield* statesOf(...ended), ["ready", "ready", "ready"])
    assert.deepStrictEqual(yield* keptOf(...ended), [undefined, undefined, undefined])
  }),
  fact("completeOn: the first completion is kept, whoever it is from", function*() {
    const { enqueue, signal } = yield* JobStore.JobStore
    const asked = yield* H.enqueue({ completeOn: [on] })
    const told = yield* H.enqueue({ completeOn: [on] })
    const by = (id: JobRecord.JobId) => signal({ id, waitpoint: "paid", value: "signal" })
    assert.strictEqual(yield* by(asked.id), "Early")
    yield* pay()
    assert.strictEqual(yield* by(told.id), "Existing")
    yield* enqueue({ records: [], completes: [{ ...completes[0]!, value: "again" }] })
    assert.deepStrictEqual(yield* keptOf(asked, told), ["signal", "event"])
  }),
  fact("completeOn: an event completes before its own records are stored, and after it has cancelled", function*() {
    const { enqueue } = yield* JobStore.JobStore
    const both = yield* waiting({ cancelOn: ["over"], completeOn: [on] })
    const cancels = [{ on: "over", reason: "over" }]
    const records = [H.record({ completeOn: [on] })]
    const [answer] = yield* enqueue({ records, cancels, completes })
    assert.deepStrictEqual(yield* statesOf(both, answer!), ["cancelled", "ready"])
    assert.deepStrictEqual(yield* keptOf(both, answer!), [undefined, undefined])
  }),
  fact(
    "cancelOn, completeOn: an event does nothing to records that stand for its own, however often it is sent",
    function*() {
      const { enqueue } = yield* JobStore.JobStore
      const cancels = paid
      const own = H.record({ cancelOn: [on], delay: 1000 })
      const known = H.record({ cancelOn: [on], delay: 1000, idempotencyKey: "e1" })
      const records = [own, known]
      yield* enqueue({ records, cancels })
      const before = yield* H.enqueue({ cancelOn: [on], delay: 1000 })
      const again = yield* enqueue({ records: [own, { ...known, id: H.newId() }], cancels })
      assert.deepStrictEqual(again.map(({ id, outcome }) => [id, outcome]), [[own.id, "Existing"], [
        known.id,
        "Existing"
      ]])
      assert.deepStrictEqual(yield* statesOf(own, known, before), ["scheduled", "scheduled", "cancelled"])
      const asks = H.record({ completeOn: [on], delay: 1000 })
      yield* pay(asks)
      yield* pay(asks)
      assert.deepStrictEqual(yield* keptOf(asks), [undefined])
    }
  ),
  fact("completeOn: an event that is refused completes nothing", function*() {
    const waits = yield* waiting({ completeOn: [on] })
    yield* H.enqueue()
    const stale = yield* H.claimOne("w")
    yield* H.settle("w", stale, H.complete)
    const store = yield* JobStore.JobStore
    assert.isTrue(Exit.isFailure(yield* Effect.exit(store.enqueue({ records: [], by: stale, completes }))))
    const unique: JobStore.UniqueClaim = { key: "u", until: "finished", onConflict: "replace" }
    yield* H.enqueue({ unique, flowId: "f", queue: "later" })
    const [answer] = yield* pay(H.record({ unique }))
    assert.strictEqual(answer!.outcome, "UniqueConflict")
    assert.strictEqual(yield* H.stateOf(waits.id), "blocked")
  }),
  fact("completeOn: a record that lives again is told again, and new contents have their own", function*() {
    const again = yield* H.enqueue({ completeOn: [on] })
    yield* H.settle("w", yield* H.claimOne("w"), H.dead)
    yield* pay()
    yield* H.control({ _tag: "Retry" }, again.id)
    assert.deepStrictEqual(yield* keptOf(again), [undefined])
    const unique: JobStore.UniqueClaim = { key: "u", until: "finished", onConflict: "replace" }
    const gains = yield* H.enqueue({ unique, delay: 1000 })
    yield* H.enqueue({ unique, delay: 1000, completeOn: [on] })
    const other: JobStore.UniqueClaim = { ...unique, key: "v" }
    const loses = yield* H.enqueue({ unique: other, delay: 1000, completeOn: [on] })
    yield* H.enqueue({ unique: other, delay: 1000 })
    yield* pay()
    assert.deepStrictEqual(yield* keptOf(again, gains, loses), ["event", "event", undefined])
  })
]
