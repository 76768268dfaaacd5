/** Debounce and throttle: of enqueues that come one after the other with the same unique key, how many records, and when. */
import { assert } from "@effect/vitest"
import { JobStore } from "capstan"
import { Effect } from "effect"
import * as H from "./harness.ts"

const { fact } = H

const trailing = (payload: string, key = "u") => ({
  payload,
  unique: { key, until: { windowMillis: 1000 }, onConflict: "trailing" } as const
})

export const coalescedFacts: ReadonlyArray<H.Fact> = [
  fact(
    "unique, maxWait: an enqueue that is repeated puts its record off, and no further than that after the first",
    function*() {
      for (const onConflict of ["replace", "reschedule"] as const) {
        const unique = { key: onConflict, until: "finished", onConflict, maxWait: 60_000 } as const
        const given = (delay: number, payload: string) => ({ unique, delay, payload })
        const first = yield* H.enqueue(given(40_000, "1"))
        assert.strictEqual((yield* H.enqueue(given(50_000, "2"))).outcome, "Replaced")
        const put = yield* H.get(first.id)
        assert.isAtLeast(put.dueAt! - put.enqueuedAt, 50_000)
        assert.isBelow(put.dueAt! - put.enqueuedAt, 60_000)
        assert.strictEqual((yield* H.enqueue(given(90_000, "3"))).id, first.id)
        const last = yield* H.get(first.id)
        assert.strictEqual(last.dueAt! - last.enqueuedAt, 60_000)
        assert.strictEqual(last.payload, onConflict === "replace" ? "3" : "1")
      }
    }
  ),
  fact(
    "unique, trailing: of what comes within a window one record waits for its end, with the last payload",
    function*() {
      const first = yield* H.enqueue(trailing("1"))
      yield* H.settle("w", yield* H.claimOne("w"), H.complete)
      yield* H.advance(200)
      const second = yield* H.enqueue(trailing("2"))
      assert.strictEqual(second.outcome, "Inserted")
      const { dueAt, enqueuedAt } = yield* H.get(second.id)
      assert.strictEqual(dueAt, enqueuedAt + 800)
      yield* H.advance(300)
      assert.deepStrictEqual(yield* H.enqueue({ ...trailing("3"), priority: 5 }), {
        id: second.id,
        outcome: "Replaced"
      })
      assert.strictEqual((yield* H.get(second.id)).dueAt, dueAt)
      assert.deepStrictEqual(yield* H.claim("w"), [])
      yield* H.advance(500)
      const claimed = yield* H.claimOne("w")
      assert.deepStrictEqual([claimed.id, claimed.payload, claimed.priority], [second.id, "3", 5])
      // Its own window, whether it runs or has ended.
      const third = yield* H.enqueue(trailing("4"))
      assert.strictEqual((yield* H.get(third.id)).dueAt, dueAt! + 1000)
      yield* H.settle("w", claimed, H.complete)
      assert.deepStrictEqual(yield* H.enqueue(trailing("5")), { id: third.id, outcome: "Replaced" })
      yield* H.advance(1000)
      yield* H.settle("w", yield* H.claimOne("w"), H.complete)
      yield* H.advance(1000)
      const late = yield* H.enqueue(trailing("6"))
      assert.deepStrictEqual([late.outcome, yield* H.stateOf(late.id)], ["Inserted", "ready"])
      assert.strictEqual(yield* H.stateOf(first.id), "completed")
    }
  ),
  fact("unique, trailing: a record that has not begun gets the new payload, and stays due when it was", function*() {
    const { id } = yield* H.enqueue(trailing("1"))
    yield* H.enqueue({ payload: "other" })
    assert.deepStrictEqual(yield* H.enqueue(trailing("2")), { id, outcome: "Replaced" })
    const claimed = yield* H.claimOne("w")
    assert.deepStrictEqual([claimed.id, claimed.payload], [id, "2"])
    const later = yield* H.enqueue({ ...trailing("3", "v"), delay: 500 })
    yield* H.advance(100)
    yield* H.enqueue({ ...trailing("4", "v"), delay: 500 })
    const { dueAt, enqueuedAt } = yield* H.get(later.id)
    assert.strictEqual(dueAt, enqueuedAt + 500)
  }),
  fact("unique, trailing: of many at the same time one trails, and one that has failed holds no window", function*() {
    yield* H.enqueue(trailing("0"))
    const attempt = yield* H.claimOne("w")
    const answers = yield* Effect.forEach(
      Array.from({ length: 20 }, (_, n) => n),
      (n) => H.enqueue(trailing(String(n))),
      { concurrency: "unbounded" }
    )
    const outcomes = answers.map(({ outcome }) => outcome)
    assert.strictEqual(outcomes.filter((outcome) => outcome === "Inserted").length, 1)
    assert.strictEqual(outcomes.filter((outcome) => outcome === "Replaced").length, 19)
    assert.strictEqual(new Set(answers.map(({ id }) => id)).size, 1)
    yield* H.settle("w", attempt, H.dead)
    assert.strictEqual((yield* H.enqueue(trailing("20"))).outcome, "Replaced")
    yield* H.control({ _tag: "Cancel", reason: "r" }, answers[0]!.id)
    const next = yield* H.enqueue(trailing("21"))
    assert.deepStrictEqual([next.outcome, yield* H.stateOf(next.id)], ["Inserted", "ready"])
  }),
  fact("unique, trailing: a member of a flow is not replaced, and two of one batch are one", function*() {
    const store = yield* JobStore.JobStore
    const records = [H.record(trailing("1")), H.record(trailing("2"))]
    const answers = yield* store.enqueue({ records })
    assert.deepStrictEqual(answers.map(({ outcome }) => outcome), ["Inserted", "Replaced"])
    assert.strictEqual((yield* H.claimOne("w")).payload, "2")
    const member = yield* H.enqueue({ ...trailing("3"), flowId: "f" })
    assert.deepStrictEqual(yield* H.enqueue(trailing("4")), { id: member.id, outcome: "UniqueConflict" })
  })
]
