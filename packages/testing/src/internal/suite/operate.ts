import { assert } from "@effect/vitest"
import { JobRecord, JobStore } from "capstan"
import { Effect } from "effect"
import * as H from "./harness.ts"

const { fact } = H

export const operateFacts: ReadonlyArray<H.Fact> = [
  fact("retry runs a final record again with a fresh budget, and is idempotent", function*() {
    const { id } = yield* H.enqueue()
    yield* H.settle("w", yield* H.claimOne("w"), H.dead)
    assert.deepStrictEqual(yield* H.control({ _tag: "Retry" }, id), ["Changed"])
    assert.deepStrictEqual(yield* H.control({ _tag: "Retry" }, id), ["Unchanged"])
    const claimed = yield* H.claimOne("w")
    assert.deepStrictEqual([claimed.id, claimed.attempt, claimed.failures.length], [id, 1, 0])
    assert.strictEqual((yield* H.get(id)).attempts.length, 1)
  }),
  fact("an edited payload brings along which places are masked, and leaves the keys as they were stamped", function*() {
    const sensitive = { payload: ["/card"], result: [], error: ["/token"], progress: [] }
    const { id } = yield* H.enqueue({
      unique: { key: "u", until: "finished", onConflict: "keep" },
      concurrency: { key: "c", limit: 1 }
    })
    for (const outcome of [undefined, H.dead]) {
      if (outcome !== undefined) yield* H.settle("w", yield* H.claimOne("w"), outcome)
      const json = outcome === undefined ? "1" : "2"
      yield* H.control({ _tag: "Retry", payload: { json, version: 2, sensitive } }, id)
      const record = yield* H.get(id)
      assert.deepStrictEqual([record.payload, record.version, record.sensitive], [json, 2, sensitive])
      assert.deepStrictEqual([record.uniqueKey, record.concurrencyKey], ["u", "c"])
    }
  }),
  fact("a running record is not retried, deleted or rescheduled", function*() {
    const { id } = yield* H.enqueue()
    yield* H.claimOne("w")
    for (
      const action of [{ _tag: "Retry" }, { _tag: "Delete" }, { _tag: "Promote" }, {
        _tag: "Reschedule",
        delay: 5
      }] as const
    ) {
      assert.deepStrictEqual(yield* H.control(action, id), ["Unchanged"])
    }
    assert.strictEqual(yield* H.stateOf(id), "running")
  }),
  fact("promote, reschedule and reprioritise move what waits", function*() {
    const { id } = yield* H.enqueue({ delay: 5000 })
    yield* H.control({ _tag: "Promote" }, id)
    assert.strictEqual(yield* H.stateOf(id), "ready")
    yield* H.control({ _tag: "Reschedule", delay: 1000 }, id)
    assert.strictEqual(yield* H.stateOf(id), "scheduled")
    yield* H.advance(1000)
    const other = yield* H.enqueue({ priority: 5 })
    yield* H.control({ _tag: "Reprioritise", priority: 10 }, id)
    assert.deepStrictEqual((yield* H.claim("w", 2)).map(({ id }) => id), [id, other.id])
    const [second, first] = yield* H.enqueueMany(2)
    yield* H.control({ _tag: "Reprioritise", priority: 10 }, first!)
    assert.deepStrictEqual((yield* H.claim("w", 2)).map(({ id }) => id), [first, second], "both are ready")
  }),
  fact("a reprioritised record that is due is scheduled until the next exchange, as it was", function*() {
    const { id } = yield* H.enqueue({ delay: 1000 })
    yield* H.advance(1000)
    assert.deepStrictEqual(yield* H.control({ _tag: "Reprioritise", priority: 5 }, id), ["Changed"])
    assert.strictEqual(yield* H.stateOf(id), "scheduled")
    assert.strictEqual((yield* H.claimOne("w")).id, id)
  }),
  fact(
    "a record that waits for its key and is reprioritised starts when the slot is free, in its new turn",
    function*() {
      const keyed: Partial<JobStore.NewRecord> = { concurrency: { key: "k", limit: 1 } }
      const [, earlier, later] = yield* H.enqueueMany(3, keyed)
      const first = yield* H.claimOne("w")
      assert.deepStrictEqual(yield* H.control({ _tag: "Reprioritise", priority: 10 }, later!), ["Changed"])
      assert.deepStrictEqual(yield* H.claim("w", 3), [])
      yield* H.settle("w", first, H.complete)
      const second = yield* H.claimOne("w")
      assert.strictEqual(second.id, later)
      assert.deepStrictEqual(yield* H.control({ _tag: "Reprioritise", priority: 10 }, earlier!), ["Changed"])
      yield* H.settle("w", second, H.complete)
      assert.strictEqual((yield* H.claimOne("w")).id, earlier)
    }
  ),
  fact("reschedule and reprioritise raise the fence, as every edit does", function*() {
    const { id } = yield* H.enqueue()
    const actions: ReadonlyArray<JobStore.ControlAction> = [
      { _tag: "Reschedule", delay: 1000 },
      { _tag: "Reprioritise", priority: 3 },
      { _tag: "Reschedule", delay: 0 },
      { _tag: "Reprioritise", priority: 4 }
    ]
    for (const action of actions) {
      const { fence } = yield* H.get(id)
      yield* H.control(action, id)
      assert.strictEqual((yield* H.get(id)).fence, fence + 1)
    }
  }),
  fact("a record that is rescheduled to when it is due is Unchanged, unless it expires later then", function*() {
    const later = yield* H.enqueue({ delay: 5000 })
    const again = H.control({ _tag: "Reschedule", delay: 1000 }, later.id)
    assert.deepStrictEqual(yield* again, ["Changed"])
    const before = yield* H.get(later.id)
    assert.deepStrictEqual(yield* again, ["Unchanged"])
    assert.deepStrictEqual(yield* H.get(later.id), before)
    yield* H.advance(100)
    assert.deepStrictEqual(yield* again, ["Changed"])
    const ready = yield* H.enqueue()
    const expires = yield* H.enqueue({ startBefore: 60_000 })
    yield* H.advance(10)
    const now = (id: JobRecord.JobId) => H.control({ _tag: "Reschedule", delay: 0 }, id)
    assert.deepStrictEqual(yield* now(ready.id), ["Unchanged"])
    assert.deepStrictEqual([yield* now(expires.id), yield* now(expires.id)], [["Changed"], ["Unchanged"]])
  }),
  fact("a ready record that is rescheduled to run at once keeps its place", function*() {
    const ids = yield* H.enqueueMany(3, { startBefore: 60_000 })
    yield* H.advance(10)
    for (const id of [ids[1]!, ids[0]!]) yield* H.control({ _tag: "Reschedule", delay: 0 }, id)
    assert.deepStrictEqual((yield* H.claim("w", 3)).map(({ id }) => id), ids)
  }),
  fact("a record that is rescheduled expires by its new due instant", function*() {
    const { id } = yield* H.enqueue({ startBefore: 1000 })
    yield* H.control({ _tag: "Reschedule", delay: 5000 }, id)
    yield* H.advance(5999)
    yield* H.maintain
    assert.strictEqual(yield* H.stateOf(id), "scheduled")
    yield* H.advance(1)
    yield* H.maintain
    assert.strictEqual((yield* H.get(id)).deadReason, "Expired")
  }),
  fact("an action on a selection works in chunks, and a cursor leads through all of it", function*() {
    const store = yield* JobStore.JobStore
    yield* H.enqueueMany(25)
    yield* H.enqueueMany(5, { tag: "Other" })
    let cursor: string | undefined
    const sizes: Array<number> = []
    do {
      const reply = yield* store.control({
        action: { _tag: "Cancel", reason: "r" },
        where: { tag: "Task" },
        limit: 10,
        cursor
      })
      sizes.push(reply.outcomes.length)
      cursor = reply.cursor
    } while (cursor !== undefined)
    assert.strictEqual(sizes.reduce((a, b) => a + b), 25)
    assert.isTrue(sizes.every((size) => size <= 10))
    assert.deepStrictEqual([(yield* H.statsOf()).counts.cancelled, (yield* H.statsOf()).counts.ready], [25, 5])
  }),
  fact(
    "an action is done to all that a selection found, also to what it has changed by way of another one",
    function*() {
      const store = yield* JobStore.JobStore
      const parent = yield* H.enqueue()
      const child = yield* H.enqueue({ dependencies: [{ id: parent.id, name: "parent", onFailure: "fail" }] })
      const { outcomes } = yield* store.control({
        action: { _tag: "Delete" },
        where: { states: ["ready", "blocked"] },
        limit: 10
      })
      assert.sameDeepMembers([...outcomes], [parent, child].map(({ id }) => ({ id, outcome: "Changed" as const })))
      yield* H.exchange("w")
      for (const { id } of [parent, child]) assert.isUndefined(yield* store.get(id))
    }
  ),
  fact(
    "a query selects by job, state, queue, label, error, parent and time, newest first or oldest first",
    function*() {
      const store = yield* JobStore.JobStore
      const a = yield* H.enqueue({ tag: "A", queue: "qa", tags: ["x"] })
      yield* H.advance(10)
      const b = yield* H.enqueue({ tag: "B", parent: a.id })
      yield* H.settle("w", yield* H.claimOne("w"), H.dead)
      const ids = (where: JobStore.Selection, order: "newest" | "oldest" = "newest") =>
        Effect.map(store.query({ where, order, limit: 10 }), ({ records }) => records.map(({ id }) => id))
      const at = (yield* H.get(b.id)).enqueuedAt
      assert.deepStrictEqual(yield* ids({}), [b.id, a.id])
      assert.deepStrictEqual(yield* ids({}, "oldest"), [a.id, b.id])
      for (
        const where of [{ tag: "A" }, { queue: "qa" }, { label: "x" }, { states: ["ready"] }, {
          enqueuedBefore: at
        }] as const
      ) {
        assert.deepStrictEqual(yield* ids(where), [a.id])
      }
      for (
        const where of [{ deadReason: "Failed" }, { errorTag: "Oops" }, { parent: a.id }, { enqueuedFrom: at }] as const
      ) {
        assert.deepStrictEqual(yield* ids(where), [b.id])
      }
      assert.deepStrictEqual(yield* ids({ tag: "A", states: ["dead"] }), [])
    }
  ),
  fact("a selection by a reason finds what is blocked or dead for that one, and nothing that was deleted", function*() {
    const failed = yield* H.enqueue()
    yield* H.settle("w", yield* H.claimOne("w"), H.dead)
    const deleted = yield* H.enqueue()
    yield* H.settle("w", yield* H.claimOne("w"), H.dead)
    yield* H.control({ _tag: "Delete" }, deleted.id)
    const expired = yield* H.enqueue({ startBefore: 1000 })
    yield* H.advance(1001)
    yield* H.maintainAll
    const parked = yield* H.enqueue()
    yield* H.settle("w", yield* H.claimOne("w"), { _tag: "Park", reason: "NoHandler" })
    const dependent = yield* H.enqueue({ dependencies: [{ name: "d", id: parked.id }] })
    const store = yield* JobStore.JobStore
    const found = (where: JobStore.Selection) =>
      Effect.map(store.query({ where, order: "oldest", limit: 10 }), ({ records }) => records.map(({ id }) => id))
    assert.deepStrictEqual(yield* found({ states: ["dead"] }), [failed.id, expired.id])
    assert.deepStrictEqual(yield* found({ deadReason: "Failed" }), [failed.id])
    assert.deepStrictEqual(yield* found({ deadReason: "Expired" }), [expired.id])
    assert.deepStrictEqual(yield* found({ blockedReason: "NoHandler" }), [parked.id])
    assert.deepStrictEqual(yield* found({ blockedReason: "Dependencies" }), [dependent.id])
  }),
  fact(
    "a selection by a concurrency key finds its records in every state, and one by a worker what it runs",
    function*() {
      const store = yield* JobStore.JobStore
      const keyed = (key: string, delay = 0) => H.enqueue({ concurrency: { key, limit: 9 }, delay })
      const done = yield* keyed("Job/a")
      yield* H.settle("v", yield* H.claimOne("v"), H.complete)
      const first = yield* keyed("Job/a")
      const held = yield* H.claimOne("w")
      yield* keyed("Job/b")
      const other = yield* H.claimOne("v")
      const later = yield* keyed("Job/a", 60_000)
      const found = (where: JobStore.Selection) =>
        Effect.map(store.query({ where, order: "oldest", limit: 10 }), ({ records }) => records.map(({ id }) => id))
      assert.deepStrictEqual(yield* found({ concurrencyKey: "Job/a" }), [done.id, first.id, later.id])
      assert.deepStrictEqual(yield* found({ concurrencyKey: "Job/a", states: ["completed"] }), [done.id])
      assert.deepStrictEqual(yield* found({ concurrencyKey: "Job/c" }), [])
      assert.deepStrictEqual(yield* found({ worker: "w" }), [first.id])
      assert.deepStrictEqual(yield* found({ worker: "v" }), [other.id])
      assert.deepStrictEqual(yield* found({ worker: "w", states: ["running"] }), [first.id])
      for (
        const where of [
          { worker: "w", concurrencyKey: "Job/b" },
          { worker: "w", states: ["completed"] },
          { worker: "w", deadReason: "Failed" },
          { worker: "w", blockedReason: "ConcurrencyKey" },
          { worker: "w", ids: [other.id] },
          { worker: "nobody" }
        ] as const
      ) {
        assert.deepStrictEqual(yield* found(where), [], JSON.stringify(where))
      }
      yield* H.settle("w", held, H.complete)
      assert.deepStrictEqual(yield* found({ worker: "w" }), [])
    }
  ),
  fact("a selection by two criteria finds what satisfies both of them", function*() {
    const store = yield* JobStore.JobStore
    const given = { tag: "Wanted", queue: "wanted", tags: ["x"], flowId: "f", parent: H.newId() }
    const enqueue = (more: Partial<JobStore.NewRecord> = {}) => H.enqueue({ ...given, ...more })
    /** Each with the criteria that it does not satisfy. */
    const misses = new Map<JobRecord.JobId, ReadonlyArray<string>>()
    misses.set((yield* enqueue()).id, ["enqueuedFrom"])
    yield* H.advance(10)
    const { id } = yield* enqueue()
    misses.set(id, [])
    misses.set((yield* enqueue({ tag: "Other" })).id, ["tag"])
    misses.set((yield* enqueue({ queue: "other" })).id, ["queue"])
    misses.set((yield* enqueue({ tags: [] })).id, ["label"])
    misses.set((yield* enqueue({ flowId: "other" })).id, ["flowId"])
    misses.set((yield* enqueue({ parent: H.newId() })).id, ["parent"])
    misses.set((yield* enqueue({ delay: 60_000 })).id, ["states", "deadReason", "errorTag"])
    const defect = yield* enqueue()
    misses.set(defect.id, ["deadReason"])
    const another = yield* enqueue()
    misses.set(another.id, ["errorTag"])
    yield* H.advance(10)
    misses.set((yield* enqueue()).id, ["enqueuedBefore"])
    for (const attempt of [...(yield* H.claim("w", 20, "wanted")), ...(yield* H.claim("w", 20, "other"))]) {
      const reason = attempt.id === defect.id ? "Defect" : "Failed"
      const tag = attempt.id === another.id ? "Another" : H.failure.tag
      yield* H.settle("w", attempt, { _tag: "Dead", reason, failure: { ...H.failure, tag } })
    }
    const { enqueuedAt } = yield* H.get(id)
    const criteria: JobStore.Selection = {
      tag: given.tag,
      queue: given.queue,
      label: "x",
      flowId: given.flowId,
      parent: given.parent,
      states: ["dead"],
      deadReason: "Failed",
      errorTag: H.failure.tag,
      enqueuedFrom: enqueuedAt - 5,
      enqueuedBefore: enqueuedAt + 5
    }
    const names = Object.keys(criteria) as ReadonlyArray<keyof JobStore.Selection>
    for (const [i, one] of names.entries()) {
      for (const other of names.slice(i)) {
        const where = { [one]: criteria[one], [other]: criteria[other] }
        const { records } = yield* store.query({ where, order: "oldest", limit: 100 })
        const right = [...misses].flatMap(([id, missed]) => missed.includes(one) || missed.includes(other) ? [] : [id])
        assert.sameMembers(records.map(({ id }) => id), right, `${one} and ${other}`)
      }
    }
  }),
  fact("what no record can have finds none, and is no failure", function*() {
    const store = yield* JobStore.JobStore
    const { id } = yield* H.enqueue()
    yield* H.enqueue({ dependencies: [{ name: "d", id, onFailure: "fail" }] })
    yield* H.settle("w", yield* H.claimOne("w"), H.dead)
    const none = ["", "no id", "a\u0000b", `${id} `, id.slice(1), `{${id}}`].map(JobRecord.JobId)
    for (const other of none) {
      assert.isUndefined(yield* store.get(other))
      assert.strictEqual(yield* store.signal({ id: other, waitpoint: "x", value: "1" }), "NotFound")
      assert.deepStrictEqual(yield* store.dependencies({ id: other, limit: 1 }), {
        dependencies: [],
        cursor: undefined
      })
    }
    assert.deepStrictEqual(
      (yield* store.results([...none, id])).map(({ _tag }) => _tag),
      [...none.map(() => "NotFound"), "Dead"]
    )
    const { outcomes } = yield* store.control({ action: { _tag: "Promote" }, where: { ids: [...none, id] }, limit: 10 })
    assert.sameDeepMembers([...outcomes], [
      ...none.map((id) => ({ id, outcome: "NotFound" as const })),
      { id, outcome: "Unchanged" as const }
    ])
    const found = (where: JobStore.Selection, cursor?: string) =>
      Effect.map(
        store.query({ where, order: "oldest", limit: 10, cursor }),
        ({ records }) => records.map(({ id }) => id)
      )
    assert.deepStrictEqual(yield* found({ ids: [...none, id] }), [id])
    assert.deepStrictEqual(yield* found({ deadReason: "Failed", blockedReason: "Dependencies" }), [])
    for (const text of ["a\u0000b", "no id"]) {
      for (const name of ["tag", "queue", "errorTag", "label", "flowId", "parent"] as const) {
        assert.deepStrictEqual(yield* found({ [name]: text }), [], name)
      }
      assert.deepStrictEqual(yield* store.keys({ name: text, limit: 10 }), [])
    }
    for (const instant of [-Infinity, Number.MIN_SAFE_INTEGER, Number.MAX_VALUE, Infinity]) {
      const all = (yield* found({})).length
      const isLate = instant > 0
      assert.strictEqual((yield* found({ enqueuedFrom: instant })).length, isLate ? 0 : all)
      assert.strictEqual((yield* found({ enqueuedBefore: instant })).length, isLate ? all : 0)
    }
  }),
  fact("pages do not skip or repeat while records come and go", function*() {
    const store = yield* JobStore.JobStore
    const ids = yield* H.enqueueMany(9)
    const page = (cursor?: string) => store.query({ where: {}, order: "newest", limit: 3, cursor })
    const first = yield* page()
    yield* H.enqueueMany(2)
    yield* H.control({ _tag: "Delete" }, ids[8]!)
    for (
      const text of [
        "",
        "no cursor",
        "-1",
        "1.5",
        "a\u0000b",
        `${ids[0]}!`,
        `${first.cursor} `,
        `${first.cursor}|${first.cursor}`
      ]
    ) {
      assert.isFalse(store.isCursor(text), JSON.stringify(text))
    }
    assert.isTrue(store.isCursor(first.cursor!), first.cursor)
    const second = yield* page(first.cursor)
    const third = yield* page(second.cursor)
    const seen = [first, second, third].flatMap(({ records }) => records.map(({ id }) => id))
    assert.deepStrictEqual(seen, ids.toReversed())
  }),
  fact("pages of ids have each once, in order, as many as were asked for, and a cursor leads through all", function*() {
    const store = yield* JobStore.JobStore
    const ids = yield* H.enqueueMany(7)
    const other = yield* H.enqueue({ tag: "Other" })
    const asked = [ids[3]!, H.newId(), ...ids.toReversed(), other.id, JobRecord.JobId("no id"), ids[3]!]
    for (const order of ["oldest", "newest"] as const) {
      for (const limit of [1, 3, 7, 100]) {
        const seen: Array<JobRecord.JobId> = []
        let cursor: string | undefined
        do {
          const page = yield* store.query({ where: { ids: asked, tag: "Task" }, order, limit, cursor })
          assert.isAtMost(page.records.length, limit)
          seen.push(...page.records.map(({ id }) => id))
          cursor = page.cursor
          assert.isTrue(cursor === undefined || store.isCursor(cursor), cursor)
        } while (cursor !== undefined)
        assert.deepStrictEqual(seen, order === "oldest" ? ids : ids.toReversed(), `${limit}, ${order} first`)
      }
    }
  }),
  fact("an action on more ids than its limit meets each once, and says once of each that it is not there", function*() {
    const store = yield* JobStore.JobStore
    const ids = yield* H.enqueueMany(7)
    const none = [H.newId(), JobRecord.JobId("no id"), H.newId()]
    const outcomes: Array<JobStore.ControlReply["outcomes"][number]> = []
    let cursor: string | undefined
    do {
      const where = { ids: [none[0]!, ids[6]!, ...ids, ...none] }
      const reply = yield* store.control({ action: { _tag: "Delete" }, where, limit: 3, cursor })
      assert.isAtMost(reply.outcomes.filter(({ outcome }) => outcome === "Changed").length, 3)
      outcomes.push(...reply.outcomes)
      cursor = reply.cursor
    } while (cursor !== undefined)
    assert.sameDeepMembers(outcomes, [
      ...ids.map((id) => ({ id, outcome: "Changed" as const })),
      ...none.map((id) => ({ id, outcome: "NotFound" as const }))
    ])
  }),
  fact("figures are those of the records", function*() {
    const store = yield* JobStore.JobStore
    yield* H.enqueueMany(3)
    yield* H.enqueue({ delay: 1000 })
    yield* H.advance(500)
    const [first, second] = yield* H.claim("w", 2)
    yield* H.settle("w", first!, H.complete)
    yield* H.settle("w", second!, H.dead)
    // The first in line is not the one that has waited longest.
    yield* H.enqueue({ priority: 9 })
    const stats = yield* H.statsOf()
    assert.deepStrictEqual(stats.counts, {
      blocked: 0,
      scheduled: 1,
      ready: 2,
      running: 0,
      completed: 1,
      cancelled: 0,
      dead: 1
    })
    assert.strictEqual(stats.oldestReadyAge, 500)
    assert.deepStrictEqual((yield* store.stats).workers.map(({ worker }) => worker), ["w"])
  }),
  fact(
    "the age of the oldest that is ready does not hide behind another priority, also of records that were moved",
    function*() {
      const { id: oldest } = yield* H.enqueue()
      yield* H.advance(300)
      const { id: urgent } = yield* H.enqueue()
      yield* H.control({ _tag: "Reprioritise", priority: 1 }, oldest)
      yield* H.control({ _tag: "Reprioritise", priority: 5 }, urgent)
      yield* H.advance(200)
      assert.strictEqual((yield* H.statsOf()).oldestReadyAge, 500)
    }
  ),
  fact("results tells how awaited records stand, with their last progress", function*() {
    const store = yield* JobStore.JobStore
    const [a, b, c, d] = yield* H.enqueueMany(4)
    const [first, second] = yield* H.claim("w", 2)
    yield* store.write([{ _tag: "Progress", at: first!, value: "2" }])
    yield* H.settle("w", first!, { _tag: "Complete", result: "false" })
    yield* H.settle("w", second!, H.dead)
    yield* H.control({ _tag: "Cancel", reason: "r" }, c!)
    const answers = yield* store.results([a!, b!, c!, d!, H.newId()])
    assert.deepStrictEqual(answers.map(({ _tag }) => _tag), ["Completed", "Dead", "Cancelled", "Pending", "NotFound"])
    assert.deepStrictEqual(answers[0], { _tag: "Completed", id: a!, progress: "2", result: "false" })
  }),
  fact("what removed a record is answered rightly, or not at all", function*() {
    const store = yield* JobStore.JobStore
    const keep = { age: Infinity, count: Infinity }
    const [deleted] = yield* H.enqueueMany(1)
    const swept = yield* H.enqueue({ retention: { completed: { age: 0, count: 0 }, cancelled: keep, dead: keep } })
    yield* H.control({ _tag: "Delete" }, deleted!)
    yield* H.settle("w", yield* H.claimOne("w"), H.complete)
    yield* H.advance(1000)
    yield* H.maintain
    const answers = yield* store.results([deleted!, swept.id, H.newId()])
    assert.deepStrictEqual(answers.map(({ _tag }) => _tag), ["NotFound", "NotFound", "NotFound"])
    const by = answers.map((answer) => answer._tag === "NotFound" ? answer.by : "found")
    for (const [i, right] of ["Operator", "Retention", undefined].entries()) assert.include([right, undefined], by[i])
  }),
  fact("says what it is", function*() {
    const store = yield* JobStore.JobStore
    const description = yield* store.describe
    assert.isAtLeast(description.schemaVersion, 1)
    assert.isAbove(description.durability.length, 0)
    assert.isAbove(store.identity.length, 0)
  })
]
