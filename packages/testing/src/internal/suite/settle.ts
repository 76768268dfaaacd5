import { assert } from "@effect/vitest"
import { JobRecord, JobStore } from "capstan"
import { Effect } from "effect"
import * as H from "./harness.ts"

const { fact } = H

const standing = (id: JobRecord.JobId) =>
  Effect.flatMap(H.exists(id), (there) => there ? H.stateOf(id) : Effect.succeed("gone" as const))

export const settleFacts: ReadonlyArray<H.Fact> = [
  fact("complete keeps the result and the history of the attempt", function*() {
    const { id } = yield* H.enqueue()
    const attempt = yield* H.claimOne("w")
    yield* H.advance(100)
    assert.strictEqual(
      yield* H.settle("w", attempt, { _tag: "Complete", result: "42" }, { finishedAfter: 60, trace: "00-a-b-01" }),
      "Done"
    )
    const record = yield* H.get(id)
    assert.deepStrictEqual([record.state, record.result], ["completed", "42"])
    const [ended] = record.attempts
    assert.strictEqual(ended!.endedAt - ended!.startedAt, 60)
    assert.deepStrictEqual([ended!.worker, ended!.decision, ended!.trace], ["w", "completed", "00-a-b-01"])
    for (const outcome of [H.complete, H.dead]) {
      const { id } = yield* H.enqueue()
      const attempt = yield* H.claimOne("w")
      yield* H.advance(100)
      yield* H.settle("w", attempt, outcome, { finishedAfter: 60 })
      const { attempts: [ended], finishedAt } = yield* H.get(id)
      assert.deepStrictEqual([ended!.endedAt - ended!.startedAt, finishedAt! - ended!.startedAt], [60, 100])
    }
  }),
  fact("retryAfter schedules the record by the store's clock and keeps the failure", function*() {
    const { id } = yield* H.enqueue()
    yield* H.settle("w", yield* H.claimOne("w"), H.retryAfter(5000))
    const record = yield* H.get(id)
    assert.deepStrictEqual([record.state, record.attempt, record.failures[0]?.tag], ["scheduled", 1, "Oops"])
    yield* H.advance(4999)
    assert.strictEqual((yield* H.claim("w")).length, 0)
    yield* H.advance(1)
    assert.strictEqual((yield* H.claimOne("w")).attempt, 2)
  }),
  fact("retryAfter that is not charged, snoozeFor and release give the attempt back", function*() {
    const { id } = yield* H.enqueue()
    yield* H.settle("w", yield* H.claimOne("w"), { _tag: "RetryAfter", delay: 0, failure: H.failure, uncharged: true })
    assert.strictEqual((yield* H.get(id)).attempt, 0)
    yield* H.settle("w", yield* H.claimOne("w"), { _tag: "SnoozeFor", delay: 0 })
    assert.strictEqual((yield* H.get(id)).attempt, 0)
    yield* H.settle("w", yield* H.claimOne("w"), { _tag: "Release" })
    assert.strictEqual((yield* H.get(id)).attempt, 0)
  }),
  fact(
    "a record keeps its attempts and failures, and a failure that was not charged goes with the next one",
    function*() {
      const { id } = yield* H.enqueue()
      const uncharged = { ...H.retryAfter(0), failure: { ...H.failure, tag: "Uncharged" }, uncharged: true } as const
      const ends: ReadonlyArray<JobStore.Outcome> = [
        uncharged,
        H.retryAfter(0),
        uncharged,
        H.retryAfter(0),
        H.complete
      ]
      for (const end of ends) yield* H.settle("w", yield* H.claimOne("w"), end)
      const { attempts, failures } = yield* H.get(id)
      assert.deepStrictEqual(attempts.map(({ decision }) => decision), [
        "retried",
        "retried",
        "retried",
        "retried",
        "completed"
      ])
      assert.deepStrictEqual(failures.map(({ tag }) => tag), ["Oops", "Oops"])
    }
  ),
  fact("of many attempts a record keeps the last hundred, and the last 32 failures", function*() {
    const { id } = yield* H.enqueue()
    const demand = [{ queue: "default", slots: 1, share: 1 }]
    let at: JobStore.AttemptRef = yield* H.claimOne("w")
    for (let i = 1; i <= 102; i++) {
      const outcome: JobStore.Outcome = { _tag: "RetryAfter", delay: 0, failure: { ...H.failure, message: `${i}` } }
      const settlements = [{ id, fence: at.fence, outcome, finishedAfter: 0 }]
      const { claimed } = yield* H.exchange("w", { settlements, demand, total: 1 })
      at = claimed[0]!
    }
    const { attempts, failures } = yield* H.get(id)
    assert.deepStrictEqual(attempts.map(({ attempt }) => attempt), Array.from({ length: 100 }, (_, i) => i + 3))
    assert.deepStrictEqual(failures.map(({ message }) => message), Array.from({ length: 32 }, (_, i) => `${i + 71}`))
    yield* H.settle("w", at, H.complete)
    assert.deepStrictEqual((yield* H.get(id)).attempts.map(({ attempt }) => attempt), [
      ...Array.from({ length: 100 }, (_, i) => i + 4)
    ])
  }),
  fact("a released record keeps its place at the front", function*() {
    const [first, second] = yield* H.enqueueMany(2)
    yield* H.settle("w", yield* H.claimOne("w"), { _tag: "Release" })
    assert.deepStrictEqual((yield* H.claim("w", 2)).map(({ id }) => id), [first, second])
  }),
  fact("dead keeps its reason, and a record that is dead is not claimed", function*() {
    const { id } = yield* H.enqueue()
    yield* H.settle("w", yield* H.claimOne("w"), H.dead)
    const record = yield* H.get(id)
    assert.deepStrictEqual([record.state, record.deadReason], ["dead", "Failed"])
    yield* H.advance(1000)
    assert.strictEqual((yield* H.claim("w")).length, 0)
  }),
  fact(
    "settlements and claims travel in one exchange, and what was settled makes room for what is claimed",
    function*() {
      yield* H.enqueueMany(2)
      const attempt = yield* H.claimOne("w")
      const reply = yield* H.exchange("w", {
        settlements: [{ id: attempt.id, fence: attempt.fence, outcome: H.complete, finishedAfter: 0 }],
        demand: [{ queue: "default", slots: 1, share: 1 }],
        total: 1
      })
      assert.deepStrictEqual([reply.settled, reply.claimed.length], [["Done"], 1])
    }
  ),
  fact("children are stored in the write that settles their parent, and not by a stale one", function*() {
    yield* H.enqueue()
    const attempt = yield* H.claimOne("w")
    const children = [H.record({ tag: "Child", parent: attempt.id })]
    yield* H.settle("w", attempt, H.complete, { children })
    assert.strictEqual(yield* H.stateOf(children[0]!.id), "ready")
    const late = [H.record({ tag: "Child" })]
    yield* H.settle("other", { id: attempt.id, fence: attempt.fence + 1 }, H.complete, { children: late })
    assert.isFalse(yield* H.exists(late[0]!.id))
  }),
  fact(
    "children are not refused for the sake of a member of a flow: they are stored without their key, and waited for",
    function*() {
      const unique = { key: "u", until: "finished", onConflict: "replace" } as const
      const member = yield* H.enqueue({ unique, flowId: "f", queue: "sink" })
      for (const outcome of [H.complete, H.dead, { _tag: "WaitForChildren" }] as const) {
        const { id } = yield* H.enqueue()
        const attempt = yield* H.claimOne("w")
        const child = H.record({ unique, queue: "children", tags: ["t"], headers: { h: "\ud800" } })
        yield* H.settle("w", attempt, outcome, { children: [child] })
        const { headers, state, tags, uniqueKey } = yield* H.get(child.id)
        assert.deepStrictEqual([state, tags, headers, uniqueKey], ["ready", ["t"], { h: "\ud800" }, undefined])
        yield* H.settle("w", yield* H.claimOne("w", "children"), H.complete)
        if (outcome._tag === "WaitForChildren") assert.strictEqual((yield* H.claimOne("w")).id, id)
      }
      assert.deepStrictEqual(yield* H.enqueue({ unique }), { id: member.id, outcome: "UniqueConflict" })
    }
  ),

  // the fence
  fact("a settle with a stale fence changes nothing (P3)", function*() {
    const { id } = yield* H.enqueue()
    const stale = yield* H.claimOne("a")
    yield* H.advance(H.lease)
    yield* H.maintain
    const fresh = yield* H.claimOne("b")
    assert.strictEqual(yield* H.settle("a", stale, { _tag: "Complete", result: `"stale"` }), "LeaseLost")
    const record = yield* H.get(id)
    assert.deepStrictEqual([record.state, record.worker, record.result], ["running", "b", undefined])
    assert.strictEqual(yield* H.settle("b", fresh, { _tag: "Complete", result: `"fresh"` }), "Done")
    assert.strictEqual((yield* H.get(id)).result, `"fresh"`)
  }),
  fact("an attempt that has failed changes nothing by settling once more as something else (P3)", function*() {
    const { id } = yield* H.enqueue()
    const first = yield* H.claimOne("w")
    yield* H.settle("w", first, H.retryAfter(0))
    const before = yield* H.get(id)
    assert.isAbove(before.fence, first.fence)
    const second = yield* H.claimOne("w")
    assert.isAbove(second.fence, before.fence)
    yield* H.settle("w", first, H.complete)
    assert.deepStrictEqual((yield* H.get(id)).fence, second.fence)
    assert.strictEqual(yield* H.stateOf(id), "running")
  }),
  fact("an edited payload raises the fence (P3)", function*() {
    const { id } = yield* H.enqueue({ delay: 1000 })
    const before = yield* H.get(id)
    const payload = { json: "2", version: 3, sensitive: before.sensitive }
    yield* H.control({ _tag: "Retry", payload }, id)
    const after = yield* H.get(id)
    assert.isAbove(after.fence, before.fence)
    assert.deepStrictEqual([after.payload, after.version, after.state], ["2", 3, "ready"])
  }),
  fact("a record that had progress and no log has an empty one, while it runs and when it has ended", function*() {
    const { id } = yield* H.enqueue()
    const attempt = yield* H.claimOne("w")
    const store = yield* JobStore.JobStore
    yield* store.write([{ _tag: "Progress", at: attempt, value: "1" }])
    assert.deepStrictEqual((yield* H.get(id)).logs, [])
    yield* H.settle("w", attempt, H.complete)
    const { logs, progress } = yield* H.get(id)
    assert.deepStrictEqual({ logs, progress }, { logs: [], progress: "1" })
  }),
  fact("progress, logs and steps of a stale attempt are refused (P3)", function*() {
    const store = yield* JobStore.JobStore
    const { id } = yield* H.enqueue()
    const at = yield* H.claimOne("w")
    const entries = (value: string): ReadonlyArray<JobStore.WriteEntry> => [
      { _tag: "Progress", at, value },
      { _tag: "Log", at, lines: [value] },
      { _tag: "Step", at, name: "step", value }
    ]
    assert.deepStrictEqual(yield* store.write(entries("1")), ["Done", "Done", "Done"])
    yield* H.settle("w", at, H.retryAfter(0))
    assert.deepStrictEqual(yield* store.write(entries("2")), ["LeaseLost", "LeaseLost", "LeaseLost"])
    const record = yield* H.get(id)
    assert.deepStrictEqual([record.progress, record.logs.map(({ message }) => message)], ["1", ["1"]])
    assert.deepStrictEqual((yield* H.claimOne("w")).checkpoints, { step: "1" })
    // Another attempt runs: the fence alone tells them apart.
    assert.deepStrictEqual(yield* store.write(entries("3")), ["LeaseLost", "LeaseLost", "LeaseLost"])
    assert.strictEqual((yield* H.get(id)).progress, "1")
  }),
  fact("a settlement that is sent again is Done, also after the record is gone (P13)", function*() {
    const { id } = yield* H.enqueue()
    const attempt = yield* H.claimOne("w")
    assert.strictEqual(yield* H.settle("w", attempt, H.complete), "Done")
    assert.strictEqual(yield* H.settle("w", attempt, H.complete), "Done")
    yield* H.control({ _tag: "Delete" }, id)
    assert.strictEqual(yield* H.settle("w", attempt, H.complete), "Done")
    assert.strictEqual(yield* H.settle("w", { id: H.newId(), fence: 1 }, H.complete), "LeaseLost")
  }),
  ...(["keeps", "forgets"] as const).map((what) =>
    fact(
      `an attempt that has ended is Done, whatever it is settled as once more, in a store that ${what} its record (P13)`,
      function*() {
        const none: JobRecord.Keep = { age: 0, count: Infinity }
        const given = what === "keeps" ? {} : { retention: { completed: none, cancelled: none, dead: none } }
        const again = [H.retryAfter(0), H.dead, H.complete, { _tag: "Release" }] as const
        for (const first of [H.complete, H.dead, { _tag: "Cancel", reason: "r" }] as const) {
          const { id } = yield* H.enqueue(given)
          const attempt = yield* H.claimOne("w")
          assert.strictEqual(yield* H.settle("w", attempt, first), "Done")
          const state = yield* standing(id)
          for (const outcome of again) assert.strictEqual(yield* H.settle("w", attempt, outcome), "Done")
          assert.strictEqual(yield* standing(id), state)
        }
      }
    )
  ),
  fact("the fence never falls", function*() {
    const { id } = yield* H.enqueue()
    let last = 0
    const check = Effect.map(H.get(id), ({ fence }) => {
      assert.isAtLeast(fence, last)
      last = fence
    })
    for (const outcome of [{ _tag: "Release" }, { _tag: "SnoozeFor", delay: 0 }, H.retryAfter(0), H.dead] as const) {
      yield* H.settle("w", yield* H.claimOne("w"), outcome)
      yield* check
    }
    yield* H.control({ _tag: "Retry" }, id)
    yield* check
    yield* H.claimOne("w")
    yield* check
    assert.isAtLeast(last, 9)
  }),

  // parking
  fact(
    "a parked record keeps its attempt and place, is counted, and is released for a worker that has tag and version",
    function*() {
      const { id } = yield* H.enqueue({ version: 2 })
      yield* H.settle("w", yield* H.claimOne("w"), { _tag: "Park", reason: "NewerPayload" })
      yield* H.advance(24 * 60 * 60 * 1000)
      assert.strictEqual((yield* H.claim("w")).length, 0)
      const parked = yield* H.get(id)
      assert.deepStrictEqual([parked.state, parked.blocked?.reason, parked.attempt], ["blocked", "NewerPayload", 0])
      assert.strictEqual((yield* H.statsOf()).parked, 1)
      yield* H.renew("old", { handles: [{ tag: "Task", version: 1 }] })
      assert.strictEqual(yield* H.stateOf(id), "blocked")
      yield* H.enqueue()
      assert.strictEqual((yield* H.renew("new", { handles: [{ tag: "Task", version: 2 }] })).unparked, 1)
      assert.strictEqual((yield* H.claimOne("new")).id, id)
      assert.strictEqual((yield* H.statsOf()).parked, 0)
    }
  ),
  fact("a parked record runs at a worker that was there already and has tag and version", function*() {
    yield* H.renew("new", { handles: [{ tag: "Task", version: 2 }] })
    yield* H.exchange("new")
    const { id } = yield* H.enqueue({ version: 2 })
    yield* H.settle("old", yield* H.claimOne("old"), { _tag: "Park", reason: "NewerPayload" })
    assert.deepStrictEqual(yield* H.claim("old"), [])
    assert.strictEqual((yield* H.claimOne("new")).id, id)
    assert.strictEqual((yield* H.statsOf()).parked, 0)
  }),

  // cancelling
  fact("a cancel of a waiting record ends it, and raises its fence", function*() {
    const { id } = yield* H.enqueue({ delay: 1000 })
    assert.deepStrictEqual(yield* H.control({ _tag: "Cancel", reason: "r" }, id), ["Changed"])
    const record = yield* H.get(id)
    assert.deepStrictEqual([record.state, record.cancelRequested, record.fence], ["cancelled", "r", 1])
    assert.deepStrictEqual(yield* H.control({ _tag: "Cancel", reason: "r" }, id, H.newId()), ["Unchanged", "NotFound"])
  }),
  fact("a cancel of a running record is told to its worker, and the first settle wins", function*() {
    const { id } = yield* H.enqueue()
    const attempt = yield* H.claimOne("w")
    assert.deepStrictEqual(yield* H.control({ _tag: "Cancel", reason: "r" }, id), ["Requested"])
    const told = yield* H.exchange("w")
    assert.deepStrictEqual(told.cancel, [{ id, fence: attempt.fence, reason: "r" }])
    assert.strictEqual((yield* H.exchange("w")).cancel.length, 0)
    assert.strictEqual((yield* H.renew("w", { holding: [attempt] })).cancel.length, 1)
    yield* H.settle("w", attempt, H.complete)
    assert.strictEqual(yield* H.stateOf(id), "completed")
  }),
  fact("a record whose cancel was requested is never retried, released or rescued: it becomes cancelled", function*() {
    const outcomes: ReadonlyArray<JobStore.Outcome> = [H.retryAfter(0), { _tag: "Release" }, {
      _tag: "SnoozeFor",
      delay: 0
    }]
    const ids: Array<JobRecord.JobId> = []
    for (const outcome of outcomes) {
      const { id } = yield* H.enqueue()
      const attempt = yield* H.claimOne("w")
      yield* H.control({ _tag: "Cancel", reason: "r" }, id)
      yield* H.settle("w", attempt, outcome)
      ids.push(id)
    }
    const { id } = yield* H.enqueue()
    yield* H.claimOne("w")
    yield* H.control({ _tag: "Cancel", reason: "r" }, id)
    yield* H.advance(H.lease)
    yield* H.maintain
    for (const each of [...ids, id]) assert.strictEqual(yield* H.stateOf(each), "cancelled")
  })
]
