import { assert } from "@effect/vitest"
import { type JobRecord, JobStore } from "capstan"
import { Effect } from "effect"
import * as H from "./harness.ts"

const { fact } = H

/** A record with dependencies by name. */
const after = (
  dependencies: Readonly<Record<string, JobRecord.JobId>>,
  onFailure?: JobStore.OnDependencyFailure,
  given: Partial<JobStore.NewRecord> = {}
) => H.enqueue({ dependencies: Object.entries(dependencies).map(([name, id]) => ({ name, id, onFailure })), ...given })

/** A batch that is one thing; its last record stands for it. */
const whole = (...records: ReadonlyArray<JobStore.NewRecord>) =>
  Effect.flatMap(JobStore.JobStore, ({ enqueue }) => enqueue({ records, whole: records.at(-1)!.id }))

const outcomesOf = (answers: ReadonlyArray<JobStore.Enqueued>) => answers.map(({ outcome }) => outcome)

/** Ends the record with this id, which a worker can claim. */
const end = (id: JobRecord.JobId, outcome: JobStore.Outcome) =>
  Effect.gen(function*() {
    const all = yield* H.claim("w", 100)
    const found = all.find((attempt) => attempt.id === id)
    assert.isDefined(found, `${id} was there to claim`)
    for (const other of all) if (other !== found) yield* H.settle("w", other, { _tag: "Release" })
    assert.strictEqual(yield* H.settle("w", found!, outcome), "Done")
  })

const result = (value: string): JobStore.Outcome => ({ _tag: "Complete", result: value })

/** What a record finds of those that it waited for, page by page. */
const inputsOf = (id: JobRecord.JobId, limit = 100) =>
  Effect.gen(function*() {
    const store = yield* JobStore.JobStore
    const found: Array<readonly [name: string, answer: string, value: string | undefined]> = []
    let cursor: string | undefined
    do {
      const page = yield* store.dependencies({ id, limit, cursor })
      assert.isAtMost(page.dependencies.length, limit)
      for (const { answer, name } of page.dependencies) {
        const value = answer._tag === "Completed"
          ? answer.result
          : answer._tag === "Dead"
          ? answer.failure?.error
          : answer._tag === "Cancelled"
          ? answer.reason
          : undefined
        found.push([name, answer._tag, value])
      }
      cursor = page.cursor
    } while (cursor !== undefined)
    return found.toSorted(([a], [b]) => a < b ? -1 : 1)
  })

const none: JobRecord.Keep = { age: 0, count: Infinity }
const unkept = { completed: none, cancelled: none, dead: none }

const blockedOn = (id: JobRecord.JobId) => Effect.map(H.get(id), ({ blocked }) => blocked?.reason)

export const flowFacts: ReadonlyArray<H.Fact> = [
  fact("flow: a record that is dead because of another one says which", function*() {
    const a = yield* H.enqueue()
    const { id } = yield* after({ a: a.id })
    yield* end(a.id, H.dead)
    const { failures } = yield* H.get(id)
    assert.deepStrictEqual(failures.map(({ kind, tag }) => [kind, tag]), [["Dependency", "DependencyFailed"]])
    assert.include(failures[0]!.message, a.id)
    assert.include(failures[0]!.message, "waited for a")
    const [answer] = yield* (yield* JobStore.JobStore).results([id])
    assert.strictEqual(answer?._tag === "Dead" ? answer.failure?.message : undefined, failures[0]!.message)
  }),
  fact("flow: with cancelSiblings what a record waits for beside the failed one is cancelled", function*() {
    const a = yield* H.enqueue()
    const b = yield* H.enqueue({ queue: "later" })
    const c = yield* H.enqueue({ queue: "other" })
    const apart = yield* H.enqueue({ queue: "later" })
    const running = yield* H.claimOne("v", "other")
    const { id } = yield* after({ a: a.id, b: b.id, c: c.id }, "cancelSiblings")
    yield* end(a.id, H.dead)
    yield* H.exchange("x")
    assert.deepStrictEqual([yield* H.stateOf(id), yield* H.stateOf(b.id)], ["dead", "cancelled"])
    assert.deepStrictEqual((yield* H.exchange("v")).cancel.map(({ id }) => id), [running.id])
    assert.strictEqual(yield* H.stateOf(apart.id), "ready")
  }),
  ...(["an exchange", "maintain"] as const).map((call) =>
    fact(
      `flow: with cancelSiblings they are cancelled also where nothing is kept of what waited for them, by ${call}`,
      function*() {
        const isExchange = call === "an exchange"
        const a = yield* H.enqueue(isExchange ? {} : { startBefore: 1000 })
        const b = yield* H.enqueue({ queue: "later" })
        const c = yield* H.enqueue({ queue: "other" })
        const running = yield* H.claimOne("v", "other")
        const { id } = yield* after({ a: a.id, b: b.id, c: c.id }, "cancelSiblings", { retention: unkept })
        if (isExchange) {
          yield* end(a.id, H.dead)
        } else {
          yield* H.advance(1000)
          yield* H.maintain
        }
        for (let i = 0; i < 3; i++) yield* H.exchange("x")
        assert.deepStrictEqual([yield* H.stateOf(a.id), yield* H.stateOf(b.id)], ["dead", "cancelled"])
        assert.deepStrictEqual((yield* H.exchange("v")).cancel.map(({ id }) => id), [running.id])
        yield* H.maintainAll
        assert.isFalse(yield* H.exists(id))
      }
    )
  ),
  fact("flow: what lives again is not undone by what its death had left to do", function*() {
    const a = yield* H.enqueue()
    const b = yield* H.enqueue({ queue: "later" })
    const { id } = yield* after({ a: a.id, b: b.id }, "cancelSiblings")
    yield* H.control({ _tag: "Cancel", reason: "r" }, a.id)
    assert.strictEqual(yield* H.stateOf(id), "dead")
    yield* H.control({ _tag: "Retry" }, a.id)
    // A store cancels siblings at once, or later: then it lives again by now, and waits for them.
    const state = yield* H.stateOf(id)
    yield* H.exchange("x")
    assert.strictEqual(yield* H.stateOf(id), state)
    assert.strictEqual(yield* H.stateOf(b.id), state === "dead" ? "cancelled" : "ready")
  }),
  fact(
    "flow: with continue a record runs when all have ended, and finds results and failures, a page at a time",
    function*() {
      const ids = yield* H.enqueueMany(3)
      const { id } = yield* after({ a: ids[0]!, b: ids[1]!, c: ids[2]! }, "continue")
      yield* end(ids[0]!, result("1"))
      yield* end(ids[1]!, H.dead)
      assert.strictEqual(yield* blockedOn(id), "Dependencies")
      assert.deepStrictEqual(yield* inputsOf(id), [
        ["a", "Completed", "1"],
        ["b", "Dead", H.failure.error],
        ["c", "Pending", undefined]
      ])
      yield* H.control({ _tag: "Cancel", reason: "no more" }, ids[2]!)
      assert.strictEqual((yield* H.claimOne("w")).id, id)
      assert.deepStrictEqual(yield* inputsOf(id, 2), [
        ["a", "Completed", "1"],
        ["b", "Dead", H.failure.error],
        ["c", "Cancelled", "no more"]
      ])
    }
  ),
  fact("flow: with continue a record finds how another one ended of which nothing is kept", function*() {
    const a = yield* H.enqueue()
    const b = yield* after({ a: a.id }, "fail", { retention: unkept })
    const d = yield* H.enqueue({ queue: "later", retention: unkept })
    const { id } = yield* after({ b: b.id, d: d.id }, "continue")
    yield* end(a.id, H.dead)
    for (let i = 0; i < 3; i++) yield* H.exchange("x")
    yield* H.maintainAll
    assert.deepStrictEqual([yield* H.exists(b.id), yield* blockedOn(id)], [false, "Dependencies"])
    yield* H.control({ _tag: "Cancel", reason: "no more" }, d.id)
    assert.strictEqual((yield* H.claimOne("w")).id, id)
    assert.deepStrictEqual(yield* inputsOf(id), [["b", "Dead", undefined], ["d", "Cancelled", "no more"]])
  }),
  fact("flow: who waits for nobody, and who is not there, has no dependencies", function*() {
    const { id } = yield* H.enqueue()
    assert.deepStrictEqual([yield* inputsOf(id), yield* inputsOf(H.newId())], [[], []])
    yield* end(id, result("1"))
    assert.deepStrictEqual(yield* inputsOf(id), [])
  }),
  fact("flow: one name may stand for many records, and a result outlives whoever made it", function*() {
    const ids = yield* H.enqueueMany(5)
    const { id } = yield* H.enqueue({ dependencies: ids.map((id) => ({ name: "part", id })) })
    for (const attempt of yield* H.claim("w", 10)) yield* H.settle("w", attempt, result(attempt.id))
    for (const gone of ids) yield* H.control({ _tag: "Delete" }, gone)
    assert.strictEqual((yield* H.claimOne("w")).id, id)
    const found = yield* inputsOf(id, 2)
    assert.deepStrictEqual(found.map(([, , value]) => value).toSorted(), ids.toSorted())
  }),
  fact(
    "flow: what waited for a record that is deleted says that it is gone, not that somebody cancelled it",
    function*() {
      const a = yield* H.enqueue()
      const b = yield* after({ a: a.id })
      const c = yield* after({ a: a.id }, "continue")
      yield* H.control({ _tag: "Delete" }, a.id)
      yield* H.exchange("x")
      assert.match((yield* H.get(b.id)).failures.at(-1)?.message ?? "", /which is gone$/)
      assert.deepStrictEqual((yield* inputsOf(c.id)).map(([, how]) => how), ["NotFound"])
    }
  ),
  fact("flow: a dependency that is deleted or was never there is one that failed", function*() {
    const a = yield* H.enqueue()
    const b = yield* after({ a: a.id })
    yield* H.control({ _tag: "Delete" }, a.id)
    const c = yield* after({ a: H.newId() })
    const d = yield* after({ a: H.newId() }, "continue")
    yield* H.exchange("x")
    assert.deepStrictEqual(
      [yield* H.stateOf(b.id), yield* H.stateOf(c.id), yield* H.stateOf(d.id)],
      ["dead", "dead", "ready"]
    )
  }),

  // a whole batch
  fact(
    "flow: a batch that is one thing is stored once for the key of one of its records, and answers whose that is",
    function*() {
      const batch = () => {
        const leaf = H.record()
        const sink = H.record({ idempotencyKey: "k", dependencies: [{ name: "leaf", id: leaf.id }] })
        return [leaf, sink] as const
      }
      const [leaf, sink] = batch()
      assert.deepStrictEqual(outcomesOf(yield* whole(leaf, sink)), ["Inserted", "Inserted"])
      const [other, again] = batch()
      const answers = yield* whole(other, again)
      assert.deepStrictEqual(outcomesOf(answers), ["Existing", "Existing"])
      assert.strictEqual(answers[1]!.id, sink.id)
      assert.isFalse(yield* H.exists(other.id))
      assert.deepStrictEqual(outcomesOf(yield* whole(leaf, sink)), ["Existing", "Existing"])
      yield* end(leaf.id, H.complete)
      assert.strictEqual((yield* H.claimOne("w")).id, sink.id)
    }
  ),
  fact("flow: a batch that is one thing is refused when another record holds a unique key of it", function*() {
    const unique: JobStore.UniqueClaim = { key: "u", until: "finished", onConflict: "keep" }
    const holder = yield* H.enqueue({ unique })
    const first = H.record()
    const second = H.record({ unique })
    assert.deepStrictEqual(yield* whole(first, second), [
      { id: first.id, outcome: "Refused" },
      { id: holder.id, outcome: "UniqueConflict" }
    ])
    assert.isFalse(yield* H.exists(first.id))
  }),

  // added while it runs
  fact("flow: a record may be added to what another one waits for, until that one has begun", function*() {
    const a = yield* H.enqueue()
    const { id } = yield* after({ a: a.id })
    const by = yield* H.claimOne("w")
    const store = yield* JobStore.JobStore
    const added = H.record({ dependents: [{ id, name: "b" }] })
    assert.deepStrictEqual(outcomesOf(yield* store.enqueue({ records: [added], by })), ["Inserted"])
    yield* H.settle("w", by, result("1"))
    assert.strictEqual(yield* blockedOn(id), "Dependencies")
    yield* end(added.id, result("2"))
    assert.deepStrictEqual(yield* inputsOf(id), [["a", "Completed", "1"], ["b", "Completed", "2"]])
    assert.strictEqual((yield* H.claimOne("w")).id, id)
    const [plain, late] = [H.record(), H.record({ dependents: [{ id, name: "c" }] })]
    assert.deepStrictEqual(yield* store.enqueue({ records: [plain, late] }), [
      { id: plain.id, outcome: "Refused" },
      { id, outcome: "Begun" }
    ])
    assert.isFalse(yield* H.exists(plain.id))
    assert.isFalse(yield* H.exists(late.id))
  }),

  fact(
    "flow: what an attempt adds again is Existing, also when it has ended, and when who waits for it has begun",
    function*() {
      const a = yield* H.enqueue()
      const { id } = yield* after({ a: a.id })
      yield* H.enqueue({ queue: "adds" })
      const by = yield* H.claimOne("v", "adds")
      const store = yield* JobStore.JobStore
      const added = H.record({ flowId: "f", dependents: [{ id, name: "b" }] })
      const loose = H.record({ flowId: "f" })
      const add = Effect.map(store.enqueue({ records: [added, loose], by }), outcomesOf)
      assert.deepStrictEqual(yield* add, ["Inserted", "Inserted"])
      for (const one of [added, loose]) yield* end(one.id, result("1"))
      assert.deepStrictEqual(yield* add, ["Existing", "Existing"])
      assert.deepStrictEqual([yield* H.stateOf(added.id), yield* H.stateOf(loose.id)], ["completed", "completed"])
      yield* end(a.id, result("1"))
      assert.strictEqual((yield* H.claimOne("w")).id, id)
      assert.deepStrictEqual(yield* add, ["Existing", "Existing"])
      assert.deepStrictEqual(yield* H.claim("w", 10), [])
    }
  ),
  fact("flow: a record that is dead as soon as it is added counts for who waits for it", function*() {
    const a = yield* H.enqueue()
    const { id } = yield* after({ a: a.id })
    const store = yield* JobStore.JobStore
    const added = H.record({ dependencies: [{ name: "x", id: H.newId() }], dependents: [{ id, name: "b" }] })
    yield* store.enqueue({ records: [added] })
    yield* H.exchange("x")
    assert.deepStrictEqual([yield* H.stateOf(added.id), yield* H.stateOf(id)], ["dead", "dead"])
  }),
  fact("flow: what is dead as soon as it is stored is stored once, however often that is asked", function*() {
    const store = yield* JobStore.JobStore
    const lone = H.record({ dependencies: [{ name: "x", id: H.newId() }] })
    const leaf = H.record({ dependencies: [{ name: "x", id: H.newId() }] })
    const sink = H.record({ dependencies: [{ name: "leaf", id: leaf.id }] })
    const ask = Effect.gen(function*() {
      const [alone] = yield* store.enqueue({ records: [lone] })
      return outcomesOf([alone!, ...yield* whole(leaf, sink)])
    })
    assert.deepStrictEqual(yield* ask, ["Inserted", "Inserted", "Inserted"])
    yield* H.exchange("x")
    assert.strictEqual(yield* H.stateOf(sink.id), "dead")
    assert.deepStrictEqual(yield* ask, ["Existing", "Existing", "Existing"])
    assert.strictEqual((yield* H.statsOf()).counts.dead, 3)
  }),
  fact("flow: what expires together with what it waited for is dead once", function*() {
    const a = yield* H.enqueue({ startBefore: 1000 })
    const b = yield* after({ a: a.id }, undefined, { startBefore: 1000 })
    yield* H.advance(1000)
    yield* H.maintain
    yield* H.exchange("x")
    assert.deepStrictEqual([yield* H.stateOf(a.id), yield* H.stateOf(b.id)], ["dead", "dead"])
    const { blocked, dead, ready } = (yield* H.statsOf()).counts
    assert.deepStrictEqual([blocked, ready, dead], [0, 0, 2])
    const store = yield* JobStore.JobStore
    const { records } = yield* store.query({ where: { ids: [a.id, b.id] }, order: "oldest", limit: 10 })
    assert.strictEqual(records.length, 2)
  }),

  // again
  fact("flow: what is dead because of a record stays so while another one has its unique key", function*() {
    const unique: JobStore.UniqueClaim = { key: "u", until: "finished", onConflict: "keep" }
    const a = yield* H.enqueue()
    const b = yield* after({ a: a.id }, "fail", { unique })
    yield* end(a.id, H.dead)
    const other = yield* H.enqueue({ unique })
    assert.strictEqual(other.outcome, "Inserted")
    yield* H.control({ _tag: "Retry" }, a.id)
    assert.strictEqual(yield* H.stateOf(b.id), "dead")
    yield* end(a.id, result("1"))
    yield* end(other.id, H.complete)
    assert.strictEqual(yield* H.stateOf(b.id), "dead")
    assert.deepStrictEqual(yield* H.control({ _tag: "Retry" }, b.id), ["Changed"])
    assert.strictEqual((yield* H.claimOne("w")).id, b.id)
  }),
  fact(
    "flow: a failed record that is retried brings along what is dead because of it, to the end of the chain",
    function*() {
      const a = yield* H.enqueue()
      const b = yield* after({ a: a.id })
      const c = yield* after({ b: b.id })
      yield* end(a.id, H.dead)
      assert.deepStrictEqual([yield* H.stateOf(b.id), yield* H.stateOf(c.id)], ["dead", "dead"])
      // Without what it needs it does not run.
      assert.deepStrictEqual(yield* H.control({ _tag: "Retry" }, c.id, b.id), ["Unchanged", "Unchanged"])
      assert.deepStrictEqual(yield* H.control({ _tag: "Retry" }, a.id), ["Changed"])
      assert.deepStrictEqual([yield* blockedOn(b.id), yield* blockedOn(c.id)], ["Dependencies", "Dependencies"])
      yield* end(a.id, result("1"))
      yield* end(b.id, result("2"))
      yield* end(c.id, result("3"))
      assert.deepStrictEqual(yield* inputsOf(c.id), [["b", "Completed", "2"]])
    }
  ),
  fact("flow: of two failed records both are to be retried before what needs them lives again", function*() {
    const a = yield* H.enqueue()
    const b = yield* H.enqueue()
    const { id } = yield* after({ a: a.id, b: b.id })
    yield* end(a.id, H.dead)
    yield* end(b.id, H.dead)
    yield* H.control({ _tag: "Retry" }, a.id)
    assert.strictEqual(yield* H.stateOf(id), "dead")
    yield* H.control({ _tag: "Retry" }, b.id)
    assert.strictEqual(yield* blockedOn(id), "Dependencies")
    yield* end(a.id, result("1"))
    yield* end(b.id, result("2"))
    assert.strictEqual((yield* H.claimOne("w")).id, id)
  }),
  fact("flow: a record that is retried is waited for again by what has not begun, and by nobody else", function*() {
    const a = yield* H.enqueue()
    const waits = yield* after({ a: a.id }, "continue", { queue: "other" })
    const runs = yield* after({ a: a.id }, "continue", { queue: "third" })
    yield* end(a.id, H.dead)
    yield* H.claimOne("w", "third")
    const { fence } = yield* H.get(waits.id)
    yield* H.control({ _tag: "Retry" }, a.id)
    assert.strictEqual(yield* blockedOn(waits.id), "Dependencies")
    assert.isAbove((yield* H.get(waits.id)).fence, fence)
    assert.strictEqual(yield* H.stateOf(runs.id), "running")
    assert.deepStrictEqual(yield* inputsOf(runs.id), [["a", "Dead", H.failure.error]])
    assert.deepStrictEqual(yield* H.claim("w", 1, "other"), [])
    yield* end(a.id, result("2"))
    assert.strictEqual((yield* H.claimOne("w", "other")).id, waits.id)
    assert.deepStrictEqual(yield* inputsOf(waits.id), [["a", "Completed", "2"]])
  }),
  fact("flow: a whole flow that was cancelled runs when all of it is retried, in whatever order", function*() {
    const a = yield* H.enqueue({ flowId: "f" })
    const b = yield* after({ a: a.id }, "fail", { flowId: "f" })
    const c = yield* after({ b: b.id }, "fail", { flowId: "f" })
    for (const { id } of [c, b, a]) yield* H.control({ _tag: "Cancel", reason: "r" }, id)
    for (let i = 0; i < 3; i++) for (const { id } of [c, b, a]) yield* H.control({ _tag: "Retry" }, id)
    for (const { id } of [a, b, c]) yield* end(id, result("1"))
    assert.strictEqual(yield* H.stateOf(c.id), "completed")
  }),
  fact(
    "flow: its records, and those of a node, are found, cancelled and retried apart from another flow's",
    function*() {
      const store = yield* JobStore.JobStore
      /** Two leaves and the sink that stands for it, and a record of the same label outside of the flow. */
      const started = Effect.gen(function*() {
        const flowId = H.newId()
        const part = (label: string, given: Partial<JobStore.NewRecord> = {}) =>
          H.record({ flowId, tags: [label], ...given })
        const leaves = [part("leaf"), part("leaf")]
        const dependencies = leaves.map(({ id }) => ({ name: "leaf", id }))
        const sink = part("sink", { id: flowId, dependencies })
        yield* whole(...leaves, sink)
        yield* H.enqueue({ tags: ["leaf"], delay: 60_000 })
        return { flowId, leaves: leaves.map(({ id }) => id), sink: sink.id }
      })
      const [one, other] = [yield* started, yield* started]
      const find = (where: JobStore.Selection) =>
        Effect.gen(function*() {
          const ids: Array<JobRecord.JobId> = []
          let cursor: string | undefined
          do {
            const page = yield* store.query({ where, order: "oldest", limit: 2, cursor })
            ids.push(...page.records.map(({ id }) => id))
            cursor = page.cursor
          } while (cursor !== undefined)
          return ids.toSorted()
        })
      const act = (action: JobStore.ControlAction, where: JobStore.Selection) =>
        Effect.gen(function*() {
          const ids: Array<JobRecord.JobId> = []
          let cursor: string | undefined
          do {
            const reply = yield* store.control({ action, where, limit: 1, cursor })
            ids.push(...reply.outcomes.filter(({ outcome }) => outcome === "Changed").map(({ id }) => id))
            cursor = reply.cursor
          } while (cursor !== undefined)
          return ids.toSorted()
        })
      const all = [...one.leaves, one.sink].toSorted()
      assert.deepStrictEqual(yield* find({ flowId: one.flowId }), all)
      assert.deepStrictEqual(yield* find({ flowId: one.flowId, label: "leaf" }), one.leaves)
      assert.deepStrictEqual(yield* find({ flowId: H.newId() }), [])
      const cancel = { _tag: "Cancel", reason: "r" } as const
      assert.deepStrictEqual(yield* act(cancel, { flowId: one.flowId, label: "sink" }), [one.sink])
      assert.deepStrictEqual(yield* act(cancel, { flowId: one.flowId, label: "leaf" }), one.leaves)
      assert.deepStrictEqual(yield* find({ flowId: one.flowId, states: ["cancelled"] }), all)
      for (const id of other.leaves) assert.strictEqual(yield* H.stateOf(id), "ready")
      const ended = { flowId: one.flowId, states: ["dead", "cancelled"] } as const
      assert.deepStrictEqual(yield* act({ _tag: "Retry" }, { ...ended, label: "leaf" }), one.leaves)
      assert.deepStrictEqual(yield* act({ _tag: "Retry" }, { ...ended, label: "sink" }), [one.sink])
      assert.deepStrictEqual(yield* find(ended), [])
    }
  ),
  fact("flow: a record that waits is freed once, whatever its dependencies do afterwards", function*() {
    const a = yield* H.enqueue()
    const b = yield* H.enqueue()
    const { id } = yield* after({ a: a.id, b: b.id })
    yield* end(a.id, result("1"))
    yield* H.control({ _tag: "Retry" }, a.id)
    yield* end(a.id, result("2"))
    assert.strictEqual(yield* blockedOn(id), "Dependencies")
    yield* end(b.id, result("3"))
    assert.strictEqual((yield* H.claimOne("w")).id, id)
    yield* H.control({ _tag: "Retry" }, a.id)
    yield* end(a.id, result("4"))
    assert.strictEqual(yield* H.stateOf(id), "running")
  }),
  fact("flow: hundreds of records that one waits for, and hundreds that wait for one", function*() {
    const leaves = Array.from({ length: 300 }, () => H.record({ flowId: "f", queue: "leaves" }))
    const sink = H.record({
      flowId: "f",
      queue: "sink",
      dependencies: leaves.map(({ id }) => ({ name: "leaf", id }))
    })
    const after = Array.from(
      { length: 300 },
      () => H.record({ flowId: "f", queue: "after", dependencies: [{ name: "sink", id: sink.id }] })
    )
    assert.deepStrictEqual(new Set(outcomesOf(yield* whole(...leaves, sink, ...after))), new Set(["Inserted"]))
    for (let left = 300; left > 0;) {
      const attempts = yield* H.claim("w", 50, "leaves")
      assert.isAbove(attempts.length, 0)
      assert.deepStrictEqual(yield* H.claim("w", 1, "sink"), [])
      yield* H.exchange("w", {
        settlements: attempts.map(({ fence, id }) => ({ id, fence, outcome: result("1"), finishedAfter: 0 }))
      })
      left -= attempts.length
    }
    const attempt = yield* H.claimOne("w", "sink")
    assert.deepStrictEqual(attempt.dependencies, {})
    assert.strictEqual((yield* inputsOf(sink.id, 1000)).length, 300)
    yield* H.settle("w", attempt, result("2"))
    for (let left = 300, calls = 0; left > 0; calls++) {
      assert.isBelow(calls, 50, "all that waited go on")
      left -= (yield* H.claim("w", 100, "after")).length
    }
    assert.deepStrictEqual((yield* H.statsOf("after")).counts.blocked, 0)
  })
]
