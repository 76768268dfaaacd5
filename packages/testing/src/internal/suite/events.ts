import { assert } from "@effect/vitest"
import { type JobRecord, JobStore } from "capstan"
import { Effect, Exit } from "effect"
import * as H from "./harness.ts"

const { fact } = H

const on = "Paid Remind a"
const paid = [{ on, reason: "Paid was published" }]

const happen = (...records: ReadonlyArray<JobStore.NewRecord>) =>
  Effect.flatMap(JobStore.JobStore, ({ enqueue }) => enqueue({ records, cancels: paid }))

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
  })
]
