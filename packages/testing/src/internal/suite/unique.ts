import { assert } from "@effect/vitest"
import { type JobRecord, JobStore } from "capstan"
import { Effect } from "effect"
import * as H from "./harness.ts"

const { fact } = H

const unique = (onConflict: JobStore.UniqueClaim["onConflict"], until: JobStore.UniqueClaim["until"] = "finished") => ({
  unique: { key: "u", until, onConflict }
})

/** How a holder stands, and what brings it there. */
type Stand = "waits" | "runs" | "retries" | "has ended"

interface Conflict {
  /** What the second and the third enqueue are answered, and about which record. */
  readonly answers: readonly [string, string]
  /** How records stand then: state, payload, and when they are due after their own enqueue. */
  readonly holder: string
  readonly next?: string
}

const both = (outcome: string): readonly [string, string] => [`${outcome} holder`, `${outcome} holder`]
const leftAs = (holder: string): Conflict => ({ answers: both("Existing"), holder })
const followedAs = (holder: string): Conflict => ({
  answers: ["Inserted next", "Replaced next"],
  holder,
  next: "blocked 2"
})

/** The table of unique conflicts. The holder has payload 0; 1 comes with a delay of 5,000, 2 with one of 7,000. */
const conflicts: Record<Stand, Record<"keep" | "replace" | "reschedule" | "runAfter", Conflict>> = {
  waits: {
    keep: leftAs("ready 0"),
    replace: { answers: both("Replaced"), holder: "scheduled 2 in 7000" },
    reschedule: { answers: both("Replaced"), holder: "scheduled 0 in 7000" },
    runAfter: leftAs("ready 0")
  },
  runs: {
    keep: leftAs("running 0"),
    replace: followedAs("running 0"),
    reschedule: leftAs("running 0"),
    runAfter: followedAs("running 0")
  },
  retries: {
    keep: leftAs("scheduled 0 in 9000"),
    replace: followedAs("scheduled 0 in 9000"),
    reschedule: leftAs("scheduled 0 in 9000"),
    runAfter: followedAs("scheduled 0 in 9000")
  },
  "has ended": {
    keep: leftAs("completed 0"),
    replace: leftAs("completed 0"),
    reschedule: leftAs("completed 0"),
    // The new one has the key: it is what the third finds.
    runAfter: { answers: ["Inserted next", "Existing next"], holder: "completed 0", next: "scheduled 1 in 5000" }
  }
}

const conflictFacts = (Object.keys(conflicts) as ReadonlyArray<Stand>).map((stand) =>
  fact(`unique, a holder that ${stand}: what each policy answers and leaves, also within a window`, function*() {
    for (
      const until of stand === "has ended"
        ? [{ windowMillis: 60_000 }]
        : ["finished", { windowMillis: 60_000 }] as const
    ) {
      for (const [policy, expected] of Object.entries(conflicts[stand])) {
        const key = `${policy} ${JSON.stringify(until)}`
        const ask = (payload: string, delay: number) =>
          H.enqueue({
            payload,
            delay,
            unique: { key, until, onConflict: policy as JobStore.UniqueClaim["onConflict"] }
          })
        const holder = yield* ask("0", 0)
        const attempt = stand === "waits" ? undefined : yield* H.claimOne("w")
        if (stand === "retries") yield* H.settle("w", attempt!, H.retryAfter(9000))
        if (stand === "has ended") yield* H.settle("w", attempt!, H.complete)
        const answers = [yield* ask("1", 5000), yield* ask("2", 7000)]
        const nameOf = (id: JobRecord.JobId) => id === holder.id ? "holder" : "next"
        assert.deepStrictEqual(answers.map(({ id, outcome }) => `${outcome} ${nameOf(id)}`), [...expected.answers], key)
        assert.strictEqual(new Set(answers.map(({ id }) => id)).size, 1, key)
        const next = answers.find(({ id }) => id !== holder.id)
        assert.strictEqual(yield* standOf(holder.id), expected.holder, key)
        assert.strictEqual(next === undefined ? undefined : yield* standOf(next.id), expected.next, key)
        // Each of them runs in the end, and one after the other.
        if (stand === "runs") yield* H.settle("w", attempt!, H.complete)
        yield* H.advance(9000)
        for (
          const id of [...(stand === "waits" || stand === "retries" ? [holder.id] : []), ...(next ? [next.id] : [])]
        ) {
          const claimed = yield* H.claim("w", 2)
          assert.deepStrictEqual(claimed.map((claimed) => claimed.id), [id], key)
          yield* H.settle("w", claimed[0]!, H.complete)
        }
        assert.deepStrictEqual(yield* H.claim("w"), [], key)
      }
    }
  })
)

const standOf = (id: JobRecord.JobId) =>
  Effect.map(
    H.get(id),
    ({ dueAt, enqueuedAt, payload, state }) =>
      `${state} ${payload}${state === "scheduled" ? ` in ${dueAt! - enqueuedAt}` : ""}`
  )

export const uniqueFacts: ReadonlyArray<H.Fact> = [
  ...conflictFacts,
  fact(
    "unique, until started: no policy finds a holder that has begun, whether it runs, retries or has ended",
    function*() {
      for (const stand of ["runs", "retries", "has ended"] as const) {
        for (const policy of ["keep", "replace", "reschedule", "runAfter"] as const) {
          const given = {
            payload: stand,
            unique: { key: `${stand} ${policy}`, until: "started", onConflict: policy }
          } as const
          const holder = yield* H.enqueue(given)
          const attempt = yield* H.claimOne("w")
          if (stand === "retries") yield* H.settle("w", attempt, H.retryAfter(9000))
          if (stand === "has ended") yield* H.settle("w", attempt, H.complete)
          const next = yield* H.enqueue({ ...given, payload: "next" })
          assert.deepStrictEqual([next.outcome, yield* H.stateOf(next.id)], ["Inserted", "ready"], given.unique.key)
          assert.strictEqual((yield* H.get(holder.id)).payload, stand)
          // It has the key now.
          assert.strictEqual((yield* H.enqueue(given)).id, next.id)
          yield* H.control({ _tag: "Delete" }, next.id)
        }
      }
    }
  ),
  fact("unique, keep: a second enqueue answers the holder while it waits, runs and retries", function*() {
    const first = yield* H.enqueue(unique("keep"))
    const existing = { id: first.id, outcome: "Existing" } as const
    assert.deepStrictEqual(yield* H.enqueue(unique("keep")), existing)
    const attempt = yield* H.claimOne("w")
    assert.deepStrictEqual(yield* H.enqueue(unique("keep")), existing)
    yield* H.settle("w", attempt, H.retryAfter(1000))
    assert.deepStrictEqual(yield* H.enqueue(unique("keep")), existing)
  }),
  fact("unique: completed, dead and cancelled records free the key", function*() {
    const first = yield* H.enqueue(unique("keep"))
    yield* H.settle("w", yield* H.claimOne("w"), H.complete)
    const second = yield* H.enqueue(unique("keep"))
    assert.notStrictEqual(second.id, first.id)
    yield* H.settle("w", yield* H.claimOne("w"), H.dead)
    const third = yield* H.enqueue(unique("keep"))
    assert.strictEqual(third.outcome, "Inserted")
    yield* H.control({ _tag: "Cancel", reason: "test" }, third.id)
    assert.strictEqual((yield* H.enqueue(unique("keep"))).outcome, "Inserted")
  }),
  fact("unique: a key stays with its holder when the one that had it before is removed", function*() {
    const keep: JobRecord.Keep = { age: Infinity, count: 1 }
    const retention = { completed: keep, cancelled: keep, dead: keep }
    const former = yield* H.enqueue({ ...unique("keep"), retention })
    yield* H.settle("w", yield* H.claimOne("w"), H.complete)
    const holder = yield* H.enqueue({ ...unique("keep"), delay: 60_000 })
    assert.strictEqual(holder.outcome, "Inserted")
    yield* H.enqueue({ retention })
    yield* H.settle("w", yield* H.claimOne("w"), H.complete)
    yield* H.maintainAll
    assert.isFalse(yield* H.exists(former.id))
    assert.deepStrictEqual(yield* H.enqueue(unique("keep")), { id: holder.id, outcome: "Existing" })
  }),
  fact("unique, until started: the key is free once the record runs", function*() {
    yield* H.enqueue(unique("keep", "started"))
    yield* H.claimOne("w")
    assert.strictEqual((yield* H.enqueue(unique("keep", "started"))).outcome, "Inserted")
  }),
  fact(
    "unique, until started: a record that is given back unstarted has its key again, unless another took it",
    function*() {
      const started = unique("keep", "started")
      const giveBack: ReadonlyArray<(attempt: JobStore.Claimed) => Effect.Effect<unknown, unknown, JobStore.JobStore>> =
        [
          (attempt) => H.settle("w", attempt, { _tag: "Release" }),
          (attempt) => H.settle("w", attempt, { _tag: "Park", reason: "NoHandler" }),
          () => H.renew("w", { reconcileOlderThan: 0 })
        ]
      for (const give of giveBack) {
        const { id } = yield* H.enqueue(started)
        yield* give(yield* H.claimOne("w"))
        assert.deepStrictEqual(yield* H.enqueue(started), { id, outcome: "Existing" })
        yield* H.control({ _tag: "Delete" }, id)
      }
      const first = yield* H.enqueue(started)
      const attempt = yield* H.claimOne("w")
      const second = yield* H.enqueue(started)
      yield* H.settle("w", attempt, { _tag: "Release" })
      assert.deepStrictEqual(yield* H.enqueue(started), { id: second.id, outcome: "Existing" })
      assert.deepStrictEqual((yield* H.claim("w", 5)).map(({ id }) => id), [first.id, second.id])
    }
  ),
  fact(
    "unique, replace: of a holder that is given back unstarted its successor keeps the last contents, and runs last",
    function*() {
      const given = (payload: string) => ({ payload, ...unique("replace") })
      const holder = yield* H.enqueue(given("0"))
      const attempt = yield* H.claimOne("w")
      const next = yield* H.enqueue(given("1"))
      yield* H.settle("w", attempt, { _tag: "Release" })
      assert.deepStrictEqual(yield* H.enqueue(given("2")), { id: next.id, outcome: "Replaced" })
      const first = yield* H.claimOne("w")
      assert.deepStrictEqual([first.id, first.payload], [holder.id, "0"])
      yield* H.settle("w", first, H.complete)
      const last = yield* H.claimOne("w")
      assert.deepStrictEqual([last.id, last.payload], [next.id, "2"])
    }
  ),
  fact("unique, window: the key outlives the record until the window ends", function*() {
    const window = { windowMillis: 10_000 }
    const first = yield* H.enqueue(unique("keep", window))
    yield* H.settle("w", yield* H.claimOne("w"), H.complete)
    yield* H.advance(9000)
    assert.deepStrictEqual(yield* H.enqueue(unique("keep", window)), { id: first.id, outcome: "Existing" })
    yield* H.advance(1000)
    assert.strictEqual((yield* H.enqueue(unique("keep", window))).outcome, "Inserted")
  }),
  fact(
    "unique, replace: a waiting record keeps id and place and gets the new contents, and its fence rises",
    function*() {
      const first = yield* H.enqueue({ ...unique("replace"), payload: "1" })
      yield* H.enqueue({ payload: "other" })
      const before = yield* H.get(first.id)
      assert.deepStrictEqual(yield* H.enqueue({ ...unique("replace"), payload: "2" }), {
        id: first.id,
        outcome: "Replaced"
      })
      const after = yield* H.get(first.id)
      assert.isAbove(after.fence, before.fence)
      assert.strictEqual((yield* H.claimOne("w")).payload, "2")
    }
  ),
  fact("unique, replace: a parked record runs at a worker that has the version of its new contents", function*() {
    const { id } = yield* H.enqueue({ ...unique("replace"), version: 3 })
    yield* H.settle("w", yield* H.claimOne("w"), { _tag: "Park", reason: "NewerPayload" })
    assert.deepStrictEqual(yield* H.enqueue({ ...unique("replace"), version: 2 }), { id, outcome: "Replaced" })
    assert.strictEqual((yield* H.renew("w", { handles: [{ tag: "Task", version: 2 }] })).unparked, 1)
    const attempt = yield* H.claimOne("w")
    assert.deepStrictEqual([attempt.id, attempt.version], [id, 2])
  }),
  fact(
    "unique, reschedule: a waiting record gets the due instant alone; one that has begun is left alone",
    function*() {
      const first = yield* H.enqueue({ ...unique("reschedule"), payload: "1" })
      yield* H.enqueue({ ...unique("reschedule"), payload: "2", delay: 5000 })
      const moved = yield* H.get(first.id)
      assert.deepStrictEqual([moved.state, moved.payload], ["scheduled", "1"])
      yield* H.advance(5000)
      yield* H.claimOne("w")
      assert.strictEqual((yield* H.enqueue(unique("reschedule"))).outcome, "Existing")
    }
  ),
  fact(
    "unique, runAfter: one successor waits for the holder that has begun, and a second replaces its contents",
    function*() {
      yield* H.enqueue(unique("runAfter"))
      const attempt = yield* H.claimOne("w")
      const next = yield* H.enqueue({ ...unique("runAfter"), payload: "1" })
      assert.strictEqual(next.outcome, "Inserted")
      assert.strictEqual((yield* H.get(next.id)).blocked?.reason, "Unique")
      assert.deepStrictEqual(yield* H.enqueue({ ...unique("runAfter"), payload: "2" }), {
        id: next.id,
        outcome: "Replaced"
      })
      assert.strictEqual((yield* H.claim("w")).length, 0)
      yield* H.settle("w", attempt, H.complete)
      const successor = yield* H.claimOne("w")
      assert.deepStrictEqual([successor.id, successor.payload], [next.id, "2"])
    }
  ),
  fact("unique, replace: what waits gives its slot back when its new contents have another key", function*() {
    const first = yield* H.enqueue({ ...unique("replace"), concurrency: { key: "before", limit: 1 } })
    yield* H.enqueue({ ...unique("replace"), concurrency: { key: "after", limit: 1 } })
    const other = yield* H.enqueue({ concurrency: { key: "before", limit: 1 } })
    assert.deepStrictEqual((yield* H.claim("w", 3)).map(({ id }) => id), [first.id, other.id])
  }),
  fact("unique, replace: a holder that has begun gets a successor", function*() {
    yield* H.enqueue(unique("replace"))
    const attempt = yield* H.claimOne("w")
    const next = yield* H.enqueue(unique("replace"))
    assert.strictEqual(yield* H.stateOf(next.id), "blocked")
    yield* H.settle("w", attempt, H.dead)
    assert.strictEqual(yield* H.stateOf(next.id), "ready")
    // Whose attempt was given back has begun all the same.
    yield* H.settle("w", yield* H.claimOne("w"), { _tag: "SnoozeFor", delay: 1000 })
    const last = yield* H.enqueue(unique("replace"))
    assert.deepStrictEqual([last.outcome, yield* H.stateOf(last.id)], ["Inserted", "blocked"])
  }),
  fact(
    "unique, runAfter: what is enqueued after the successor was cancelled or deleted is stored anew (P1)",
    function*() {
      yield* H.enqueue(unique("runAfter"))
      const attempt = yield* H.claimOne("w")
      for (const end of [{ _tag: "Cancel", reason: "r" }, { _tag: "Delete" }] as const) {
        const { id } = yield* H.enqueue(unique("runAfter"))
        yield* H.control(end, id)
        const next = yield* H.enqueue(unique("runAfter"))
        assert.deepStrictEqual([next.outcome, yield* H.stateOf(next.id)], ["Inserted", "blocked"])
        yield* H.control({ _tag: "Delete" }, next.id)
      }
      const last = yield* H.enqueue(unique("runAfter"))
      yield* H.settle("w", attempt, H.complete)
      assert.strictEqual((yield* H.claimOne("w")).id, last.id)
    }
  ),
  fact("unique, window: a successor goes on when its holder is completed, and has the key from then on", function*() {
    for (const policy of ["runAfter", "replace"] as const) {
      const window = unique(policy, { windowMillis: 10_000 })
      yield* H.enqueue(window)
      const attempt = yield* H.claimOne("w")
      const next = yield* H.enqueue(window)
      yield* H.settle("w", attempt, H.complete)
      assert.strictEqual(yield* H.stateOf(next.id), "ready")
      assert.strictEqual((yield* H.enqueue(window)).id, next.id)
      yield* H.settle("w", yield* H.claimOne("w"), H.dead)
    }
  }),
  fact(
    "unique, runAfter: a successor has its delay, and one that is replaced the priority and the delay of the last enqueue",
    function*() {
      yield* H.enqueue(unique("runAfter"))
      const attempt = yield* H.claimOne("w")
      const { id } = yield* H.enqueue({ ...unique("runAfter"), delay: 60_000 })
      yield* H.advance(5000)
      yield* H.enqueue({ ...unique("runAfter"), delay: 60_000, priority: 10 })
      yield* H.settle("w", attempt, H.complete)
      const record = yield* H.get(id)
      assert.deepStrictEqual([record.priority, record.dueAt! - record.enqueuedAt], [10, 65_000])
      yield* H.control({ _tag: "Delete" }, id)
      yield* H.enqueue(unique("runAfter"))
      const again = yield* H.claimOne("w")
      const first = yield* H.enqueue({ ...unique("runAfter"), delay: 60_000 })
      yield* H.advance(5000)
      yield* H.settle("w", again, H.complete)
      const { dueAt, enqueuedAt } = yield* H.get(first.id)
      assert.strictEqual(dueAt! - enqueuedAt, 60_000)
    }
  ),
  fact(
    "unique, replace: a call that was answered once is Existing when it is repeated, whoever replaced its contents since",
    function*() {
      const call = (idempotencyKey: string) =>
        H.enqueue({ ...unique("replace"), idempotencyKey, payload: idempotencyKey })
      const repeated = function*(id: JobRecord.JobId, payload: string, ...keys: ReadonlyArray<string>) {
        for (const key of keys) assert.deepStrictEqual(yield* call(key), { id, outcome: "Existing" })
        assert.strictEqual((yield* H.get(id)).payload, payload)
      }
      const { id } = yield* call("a")
      assert.strictEqual((yield* call("b")).outcome, "Replaced")
      yield* repeated(id, "b", "a", "b")
      const attempt = yield* H.claimOne("w")
      const next = yield* call("c")
      assert.deepStrictEqual(yield* call("d"), { id: next.id, outcome: "Replaced" })
      yield* repeated(next.id, "d", "c", "d")
      yield* H.settle("w", attempt, H.complete)
      // The keys of a record go with it.
      yield* H.control({ _tag: "Delete" }, next.id)
      assert.strictEqual((yield* call("c")).outcome, "Inserted")
      assert.strictEqual((yield* call("d")).outcome, "Replaced")
    }
  ),
  fact("unique, reschedule: the same call twice moves the record once", function*() {
    const call = H.enqueue({ ...unique("reschedule"), idempotencyKey: "k", delay: 5000 })
    const { id } = yield* H.enqueue({ ...unique("reschedule"), delay: 1000 })
    assert.strictEqual((yield* call).outcome, "Replaced")
    const { dueAt } = yield* H.get(id)
    yield* H.advance(500)
    assert.deepStrictEqual(yield* call, { id, outcome: "Existing" })
    assert.strictEqual((yield* H.get(id)).dueAt, dueAt)
  }),
  fact("unique, replace and reschedule: the expiry counts from the new due instant", function*() {
    for (const policy of ["replace", "reschedule"] as const) {
      const given = { ...unique(policy), delay: 60_000, startBefore: 10_000 }
      const { id } = yield* H.enqueue(given)
      yield* H.advance(50_000)
      yield* H.enqueue(given)
      yield* H.advance(21_000)
      yield* H.maintain
      assert.strictEqual(yield* H.stateOf(id), "scheduled")
      yield* H.advance(48_999)
      assert.strictEqual((yield* H.maintain).expired, 0)
      yield* H.advance(1)
      yield* H.maintain
      assert.strictEqual((yield* H.get(id)).deadReason, "Expired")
    }
  }),
  fact(
    "unique, runAfter: a successor waits for its holder and for its dependencies, whichever ends first",
    function*() {
      for (const first of ["holder", "dependency"] as const) {
        const dependency = yield* H.enqueue({ queue: "other" })
        const holder = yield* H.enqueue(unique("runAfter"))
        const attempts = { holder: yield* H.claimOne("w"), dependency: yield* H.claimOne("w", "other") }
        const { id } = yield* H.enqueue({
          ...unique("runAfter"),
          dependencies: [{ name: "d", id: dependency.id }]
        })
        assert.deepStrictEqual((yield* H.get(id)).blocked, { reason: "Unique", on: holder.id })
        yield* H.settle("w", attempts[first], H.complete)
        assert.strictEqual((yield* H.get(id)).blocked?.reason, first === "holder" ? "Dependencies" : "Unique")
        yield* H.settle("w", attempts[first === "holder" ? "dependency" : "holder"], H.complete)
        assert.strictEqual((yield* H.claimOne("w")).id, id)
        yield* H.control({ _tag: "Cancel", reason: "r" }, id)
        yield* H.advance(H.lease)
        yield* H.maintain
      }
    }
  ),
  fact(
    "unique, replace: a record that was retried by hand waits for its first start again: it is replaced",
    function*() {
      const { id } = yield* H.enqueue({ ...unique("replace"), payload: "1" })
      yield* H.settle("w", yield* H.claimOne("w"), H.dead)
      yield* H.control({ _tag: "Retry" }, id)
      assert.deepStrictEqual(yield* H.enqueue({ ...unique("replace"), payload: "2" }), { id, outcome: "Replaced" })
      assert.strictEqual((yield* H.claimOne("w")).payload, "2")
    }
  ),
  fact(
    "unique: a dead holder is retried when the successor that waited for its end is not there any more",
    function*() {
      const holder = yield* H.enqueue(unique("runAfter"))
      const attempt = yield* H.claimOne("w")
      const successor = yield* H.enqueue(unique("runAfter"))
      assert.strictEqual(successor.outcome, "Inserted")
      yield* H.control({ _tag: "Cancel", reason: "r" }, successor.id)
      yield* H.settle("w", attempt, H.dead)
      assert.deepStrictEqual(yield* H.control({ _tag: "Retry" }, holder.id), ["Changed"])
      assert.strictEqual((yield* H.claimOne("w")).id, holder.id)
    }
  ),
  fact("unique: a batch that would replace a member of a flow is refused whole", function*() {
    const store = yield* JobStore.JobStore
    const member = yield* H.enqueue({ ...unique("keep"), flowId: "f" })
    const records = [H.record(), H.record(unique("replace")), H.record()]
    const answers = yield* store.enqueue({ records })
    assert.deepStrictEqual(answers.map(({ outcome }) => outcome), ["Refused", "UniqueConflict", "Refused"])
    assert.strictEqual(answers[1]!.id, member.id)
    for (const { id } of records) assert.isFalse(yield* H.exists(id))
    const flow = [
      H.record({ ...unique("keep"), tag: "New", flowId: "g" }),
      H.record({ ...unique("replace"), tag: "New" })
    ]
    const own = yield* store.enqueue({ records: flow })
    assert.deepStrictEqual(own[1], { id: flow[0]!.id, outcome: "UniqueConflict" })
    assert.isFalse(yield* H.exists(flow[0]!.id))
  }),
  fact("unique: a member of a flow is never replaced", function*() {
    const first = yield* H.enqueue({ ...unique("keep"), flowId: "f" })
    assert.deepStrictEqual(yield* H.enqueue(unique("replace")), { id: first.id, outcome: "UniqueConflict" })
  }),

  fact("unique: no other record stands for a member of a flow: it is refused, and its batch with it", function*() {
    const { enqueue } = yield* JobStore.JobStore
    const holder = yield* H.enqueue({ ...unique("keep"), payload: "0" })
    const conflict = { id: holder.id, outcome: "UniqueConflict" } as const
    for (const policy of ["keep", "replace", "reschedule", "runAfter"] as const) {
      const [loose, own] = [H.record({ flowId: "f" }), H.record({ ...unique(policy), payload: "1", flowId: "f" })]
      assert.deepStrictEqual(yield* enqueue({ records: [own] }), [conflict], policy)
      const refused = { id: loose.id, outcome: "Refused" } as const
      assert.deepStrictEqual(yield* enqueue({ records: [loose, own] }), [refused, conflict], policy)
      for (const { id } of [loose, own]) assert.isFalse(yield* H.exists(id), policy)
    }
    assert.strictEqual((yield* H.get(holder.id)).payload, "0")
    yield* H.claimOne("w")
    const next = H.record({ ...unique("runAfter"), flowId: "f" })
    for (const outcome of ["Inserted", "Existing"] as const) {
      assert.deepStrictEqual(yield* enqueue({ records: [next] }), [{ id: next.id, outcome }])
    }
  }),
  fact(
    "unique: of a batch a member of a flow is neither replaced nor stood for, also behind a holder that runs",
    function*() {
      const { enqueue } = yield* JobStore.JobStore
      const refusedBy = (
        key: string,
        onConflict: JobStore.UniqueClaim["onConflict"],
        flows: ReadonlyArray<string | undefined>
      ) =>
        Effect.gen(function*() {
          const claim = { unique: { key, until: "finished", onConflict } } as const
          const [first, second] = flows.map((flowId) => H.record({ ...claim, flowId }))
          assert.deepStrictEqual(yield* enqueue({ records: [first!, second!] }), [
            { id: first!.id, outcome: "Refused" },
            { id: first!.id, outcome: "UniqueConflict" }
          ], key)
          for (const { id } of [first!, second!]) assert.isFalse(yield* H.exists(id), key)
        })
      for (const policy of ["keep", "replace", "reschedule", "runAfter"] as const) {
        yield* refusedBy(`${policy} two`, policy, ["f", "f"])
        yield* refusedBy(`${policy} behind another`, policy, [undefined, "f"])
      }
      for (const onConflict of ["replace", "runAfter"] as const) {
        const key = `${onConflict} behind one that runs`
        yield* H.enqueue({ unique: { key, until: "finished", onConflict } })
        yield* H.claimOne("w")
        yield* refusedBy(key, onConflict, ["f", "f"])
        yield* refusedBy(key, onConflict, ["f", undefined])
      }
    }
  ),

  fact("unique: of many at the same time one has the key, and with runAfter one more waits for it", function*() {
    for (const onConflict of ["keep", "replace", "reschedule", "runAfter"] as const) {
      const ask = (n: number) =>
        H.enqueue({ payload: String(n), unique: { key: onConflict, until: "finished", onConflict } })
      const many = Effect.forEach(Array.from({ length: 20 }, (_, n) => n), ask, { concurrency: "unbounded" })
      const waiting = yield* many
      assert.strictEqual(waiting.filter(({ outcome }) => outcome === "Inserted").length, 1, onConflict)
      assert.strictEqual(new Set(waiting.map(({ id }) => id)).size, 1, onConflict)
      const attempt = yield* H.claimOne("w")
      const running = yield* many
      const others = onConflict === "replace" || onConflict === "runAfter"
      assert.strictEqual(running.filter(({ outcome }) => outcome === "Inserted").length, others ? 1 : 0, onConflict)
      assert.strictEqual(new Set(running.map(({ id }) => id)).size, 1, onConflict)
      assert.strictEqual(running[0]!.id === attempt.id, !others, onConflict)
      const { counts } = yield* H.statsOf()
      assert.deepStrictEqual([counts.running, counts.ready, counts.blocked], [1, 0, others ? 1 : 0], onConflict)
      yield* H.settle("w", attempt, H.complete)
      if (others) yield* H.settle("w", yield* H.claimOne("w"), H.complete)
    }
  })
]
