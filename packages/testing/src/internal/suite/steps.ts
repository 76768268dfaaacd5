import { assert } from "@effect/vitest"
import { JobStore } from "capstan"
import { Effect } from "effect"
import * as H from "./harness.ts"

const { fact } = H

const step = (
  at: JobStore.AttemptRef,
  name: string,
  value: string,
  more: Partial<JobStore.WriteEntry & { readonly _tag: "Step" }> = {}
) =>
  Effect.flatMap(JobStore.JobStore, ({ write }) =>
    Effect.map(
      write([{ _tag: "Step", at: { id: at.id, fence: at.fence }, name, value, ...more }]),
      ([answer]) => answer!
    ))

const signal = (id: JobStore.Claimed["id"], waitpoint: string, value: string) =>
  Effect.flatMap(JobStore.JobStore, (store) => store.signal({ id, waitpoint, value }))

const checkpointsOf = (id: JobStore.Claimed["id"]) => Effect.map(H.get(id), ({ checkpoints }) => checkpoints ?? {})

const waitFor = (waitpoint: string, delay?: number): JobStore.Outcome => ({ _tag: "WaitFor", waitpoint, delay })

/** A claimed record, one of whose steps can be undone. */
const undoable = Effect.gen(function*() {
  yield* H.enqueue()
  const attempt = yield* H.claimOne("w")
  yield* step(attempt, "charge", "1", { undo: true })
  return attempt
})

const endOf = (id: JobStore.Claimed["id"]) =>
  Effect.map(
    checkpointsOf(id),
    (checkpoints) => checkpoints["!end"] === undefined ? undefined : JSON.parse(checkpoints["!end"])
  )

export const stepFacts: ReadonlyArray<H.Fact> = [
  // checkpoints
  fact("a checkpoint is written once: what is there stays, and is Done", function*() {
    yield* H.enqueue()
    const attempt = yield* H.claimOne("w")
    assert.deepStrictEqual([yield* step(attempt, "a", "1"), yield* step(attempt, "a", "2")], ["Done", "Done"])
    yield* H.settle("w", attempt, H.retryAfter(0))
    assert.deepStrictEqual((yield* H.claimOne("w")).checkpoints, { a: "1" })
  }),
  fact("checkpoints may be looked at while they may be asked for again: not of a completed record", function*() {
    const ends: ReadonlyArray<readonly [JobStore.Outcome, number]> = [
      [H.retryAfter(60_000), 1],
      [H.dead, 1],
      [{ _tag: "Cancel", reason: "r" }, 1],
      [H.complete, 0]
    ]
    for (const [outcome, count] of ends) {
      const { id } = yield* H.enqueue()
      const attempt = yield* H.claimOne("w")
      yield* step(attempt, "s", "1")
      assert.deepStrictEqual(yield* checkpointsOf(id), { s: "1" })
      yield* H.settle("w", attempt, outcome)
      assert.strictEqual(Object.keys(yield* checkpointsOf(id)).length, count, outcome._tag)
    }
  }),
  fact("a checkpoint takes the place of another in one write", function*() {
    yield* H.enqueue()
    const attempt = yield* H.claimOne("w")
    yield* step(attempt, "a", "1")
    yield* step(attempt, "b", "2", { replaces: "a" })
    yield* step(attempt, "c", "3", { replaces: "not there" })
    assert.deepStrictEqual(yield* checkpointsOf(attempt.id), { b: "2", c: "3" })
  }),
  fact("a record carries checkpoints of 64 KiB, and says when there are more; get has all of them", function*() {
    const large = "x".repeat(30_000)
    yield* H.enqueue()
    const attempt = yield* H.claimOne("w")
    for (const name of ["a", "b"]) yield* step(attempt, name, large)
    yield* H.settle("w", attempt, H.retryAfter(0))
    const whole = yield* H.claimOne("w")
    assert.deepStrictEqual([Object.keys(whole.checkpoints).toSorted(), whole.isCut], [["a", "b"], undefined])
    for (const name of ["c", "!end"]) yield* step(whole, name, large)
    yield* H.settle("w", whole, H.retryAfter(0))
    const cut = yield* H.claimOne("w")
    // Memory has no reason to cut.
    if (cut.isCut === true) assert.isBelow(Object.keys(cut.checkpoints).length, 4)
    assert.strictEqual(cut.checkpoints["!end"], large)
    assert.deepStrictEqual(Object.keys(yield* checkpointsOf(attempt.id)).toSorted(), ["!end", "a", "b", "c"])
  }),
  fact(
    "checkpoints are kept by a dead record and go with a completed one, and a retry by hand finds them so",
    function*() {
      for (const [outcome, expected] of [[H.dead, { a: "1" }], [H.complete, {}]] as const) {
        const { id } = yield* H.enqueue()
        const attempt = yield* H.claimOne("w")
        yield* step(attempt, "a", "1")
        yield* H.settle("w", attempt, outcome)
        assert.deepStrictEqual(yield* checkpointsOf(id), expected)
        yield* H.control({ _tag: "Retry" }, id)
        const again = yield* H.claimOne("w")
        assert.deepStrictEqual(again.checkpoints, expected)
        yield* H.settle("w", again, H.complete)
      }
    }
  ),
  fact("checkpoints of a dead record whose steps were undone are forgotten when it is retried by hand", function*() {
    const attempt = yield* undoable
    yield* step(attempt, "!undone", "1")
    yield* H.settle("w", attempt, H.dead)
    yield* H.control({ _tag: "Retry" }, attempt.id)
    const again = yield* H.claimOne("w")
    assert.deepStrictEqual(again.checkpoints, {})
    yield* H.settle("w", again, H.retryAfter(1000))
    assert.deepStrictEqual(yield* H.control({ _tag: "Cancel", reason: "r" }, again.id), ["Changed"])
  }),

  // waitpoints
  fact("the first signal is kept, also before the wait; the others are told Existing", function*() {
    const { id } = yield* H.enqueue()
    assert.deepStrictEqual([yield* signal(id, "go", "1"), yield* signal(id, "go", "2")], ["Early", "Existing"])
    const attempt = yield* H.claimOne("w")
    assert.deepStrictEqual(attempt.checkpoints, { go: "1" })
    yield* H.settle("w", attempt, waitFor("stop"))
    assert.deepStrictEqual([yield* signal(id, "stop", "3"), yield* signal(id, "stop", "4")], ["Delivered", "Existing"])
    assert.deepStrictEqual((yield* H.claimOne("w")).checkpoints, { go: "1", stop: "3" })
  }),
  fact("a wait with a delay ends by itself, uncharged, and counts as blocked until then", function*() {
    const { id } = yield* H.enqueue()
    yield* H.settle("w", yield* H.claimOne("w"), waitFor("go", 5000))
    const waiting = yield* H.get(id)
    assert.deepStrictEqual([waiting.state, waiting.blocked, waiting.attempt], [
      "blocked",
      { reason: "Waitpoint", on: "go" },
      0
    ])
    const demand = [{ queue: "default", slots: 1, share: 1 }]
    const idle = yield* H.exchange("w", { demand, total: 1 })
    assert.deepStrictEqual([idle.claimed.length, idle.nextDueIn], [0, 5000])
    assert.strictEqual((yield* H.statsOf()).counts.blocked, 1)
    yield* H.advance(5000)
    const attempt = yield* H.claimOne("w")
    assert.deepStrictEqual([attempt.attempt, attempt.checkpoints], [1, {}])
    assert.deepStrictEqual((yield* H.statsOf()).counts.blocked, 0)
    assert.isUndefined((yield* H.get(id)).blocked)
  }),
  fact("a wait with a delay ends with its signal, and its delay then means nothing", function*() {
    const { id } = yield* H.enqueue({ concurrency: { key: "k", limit: 1 } })
    yield* H.settle("w", yield* H.claimOne("w"), waitFor("go", 5000))
    const other = yield* H.enqueue({ concurrency: { key: "k", limit: 1 } })
    yield* H.settle("w", yield* H.claimOne("w"), H.complete)
    assert.strictEqual(yield* H.stateOf(other.id), "completed")
    yield* H.control({ _tag: "Reprioritise", priority: 3 }, id)
    assert.strictEqual(yield* signal(id, "go", "1"), "Delivered")
    const attempt = yield* H.claimOne("w")
    yield* H.advance(5000)
    assert.strictEqual((yield* H.claim("w")).length, 0)
    yield* H.settle("w", attempt, H.complete)
    assert.strictEqual(yield* H.stateOf(id), "completed")
  }),
  fact("a wait with a delay that is cancelled or deleted ends", function*() {
    for (const action of [{ _tag: "Cancel", reason: "r" }, { _tag: "Delete" }] as const) {
      const { id } = yield* H.enqueue()
      yield* H.settle("w", yield* H.claimOne("w"), waitFor("go", 5000))
      assert.deepStrictEqual(yield* H.control(action, id), ["Changed"])
      yield* H.advance(5000)
      assert.strictEqual((yield* H.claim("w")).length, 0)
    }
  }),

  // undoing
  fact("a record with a step to undo is not cancelled while it waits: it runs once more and finds why", function*() {
    for (const outcome of [waitFor("go", 5000), H.retryAfter(1e9), { _tag: "SnoozeFor", delay: 0 }] as const) {
      const attempt = yield* undoable
      yield* H.settle("w", attempt, outcome)
      const before = yield* H.get(attempt.id)
      assert.deepStrictEqual(yield* H.control({ _tag: "Cancel", reason: "r" }, attempt.id), ["Requested"])
      assert.deepStrictEqual(yield* H.control({ _tag: "Cancel", reason: "again" }, attempt.id), ["Requested"])
      const last = yield* H.claimOne("w")
      assert.isAbove(last.fence, before.fence)
      assert.deepStrictEqual([last.id, JSON.parse(last.checkpoints["!end"]!)], [attempt.id, {
        _tag: "Cancel",
        reason: "r"
      }])
      assert.deepStrictEqual(yield* H.control({ _tag: "Cancel", reason: "again" }, attempt.id), ["Requested"])
      const { cancel } = yield* H.renew("w", { holding: [last] })
      assert.deepStrictEqual(cancel, [])
      yield* H.settle("w", last, { _tag: "Cancel", reason: "r" })
      assert.strictEqual(yield* H.stateOf(attempt.id), "cancelled")
    }
  }),
  fact(
    "a record with a step to undo that is cancelled while it runs goes on to undo, however its attempt ends",
    function*() {
      // However long it would have waited: nobody can ask for it again.
      const outcomes: ReadonlyArray<readonly [JobStore.Outcome, children?: ReadonlyArray<JobStore.NewRecord>]> = [
        [{ _tag: "SnoozeFor", delay: 0 }],
        [{ _tag: "SnoozeFor", delay: 1e9 }],
        [{ _tag: "SnoozeFor", delay: 1e9, closes: "key" }],
        [H.retryAfter(1e9)],
        [waitFor("go")],
        [waitFor("go", 5000)],
        [{ _tag: "WaitForChildren" }, [H.record({ queue: "children" })]],
        [{ _tag: "WaitForChildren", delay: 5000 }, [H.record({ queue: "children" })]],
        [{ _tag: "Release" }]
      ]
      const ends: ReadonlyArray<(attempt: JobStore.Claimed) => Effect.Effect<unknown, unknown, JobStore.JobStore>> = [
        ...outcomes.map(([outcome, children]) => (attempt: JobStore.Claimed) =>
          H.settle("w", attempt, outcome, { children })
        ),
        () => H.renew("w", { reconcileOlderThan: 0 }),
        () => Effect.andThen(H.advance(H.lease), H.maintain)
      ]
      for (const end of ends) {
        const attempt = yield* undoable
        yield* H.control({ _tag: "Cancel", reason: "r" }, attempt.id)
        yield* end(attempt)
        assert.deepStrictEqual(yield* endOf(attempt.id), { _tag: "Cancel", reason: "r" })
        const demand = [{ queue: "default", slots: 1, share: 1 }]
        const { cancel, claimed: [last] } = yield* H.exchange("w", { demand, total: 1 })
        assert.deepStrictEqual([last?.id, cancel], [attempt.id, []], "it runs, and is asked to cancel no more")
        yield* H.settle("w", last!, H.retryAfter(0))
        yield* H.settle("w", yield* H.claimOne("w"), { _tag: "Cancel", reason: "r" })
        assert.strictEqual(yield* H.stateOf(attempt.id), "cancelled")
      }
    }
  ),
  fact("a record with a step to undo that was given back keeps it when its contents are replaced", function*() {
    const unique = { key: "u", until: "finished", onConflict: "replace" } as const
    const giveBack: ReadonlyArray<(attempt: JobStore.Claimed) => Effect.Effect<unknown, unknown, JobStore.JobStore>> = [
      (attempt) => H.settle("w", attempt, { _tag: "Release" }),
      () => H.renew("w", { reconcileOlderThan: 0 })
    ]
    for (const give of giveBack) {
      const { id } = yield* H.enqueue({ unique, payload: "1" })
      const attempt = yield* H.claimOne("w")
      yield* step(attempt, "charge", "1", { undo: true })
      yield* give(attempt)
      assert.deepStrictEqual(yield* H.enqueue({ unique, payload: "2" }), { id, outcome: "Replaced" })
      assert.deepStrictEqual(yield* H.control({ _tag: "Cancel", reason: "r" }, id), ["Requested"])
      const last = yield* H.claimOne("w")
      assert.deepStrictEqual([last.id, last.payload, last.checkpoints["charge"]], [id, "2", "1"])
      assert.deepStrictEqual(yield* endOf(id), { _tag: "Cancel", reason: "r" })
      yield* H.settle("w", last, { _tag: "Cancel", reason: "r" })
      assert.strictEqual(yield* H.stateOf(id), "cancelled")
    }
  }),
  fact("a record with a step to undo whose workers die too often runs once more to undo, and no more", function*() {
    const attempt = yield* undoable
    const { id } = attempt
    const die = Effect.andThen(H.advance(H.lease), H.maintain)
    for (let crashes = 1; crashes <= 3; crashes++) {
      yield* die
      assert.strictEqual(yield* H.stateOf(id), "ready")
      yield* H.claimOne("w")
    }
    assert.deepStrictEqual(yield* endOf(id), { _tag: "Dead", reason: "Crashed" })
    yield* die
    const record = yield* H.get(id)
    assert.deepStrictEqual([record.state, record.deadReason], ["dead", "Crashed"])
  }),
  fact("a waitpoint may have a name that every object knows: it is waited for as any other", function*() {
    for (const waitpoint of ["constructor", "toString"]) {
      yield* H.enqueue()
      const attempt = yield* H.claimOne("w")
      yield* step(attempt, "a", "1")
      yield* H.settle("w", attempt, waitFor(waitpoint))
      assert.strictEqual(yield* H.stateOf(attempt.id), "blocked")
      assert.strictEqual(yield* signal(attempt.id, waitpoint, "2"), "Delivered")
      assert.strictEqual(yield* H.stateOf(attempt.id), "ready")
      yield* H.control({ _tag: "Delete" }, attempt.id)
    }
  })
]
