import { assert } from "@effect/vitest"
import { JobStore } from "capstan"
import { Effect } from "effect"
import * as H from "./harness.ts"

const { fact } = H
const keyed = (key: string, limit = 1) => ({ concurrency: { key, limit } })

export const waitingFacts: ReadonlyArray<H.Fact> = [
  // concurrency keys
  fact(
    "no more records of a concurrency key run than its limit, and the next one starts in the write that frees a slot (P6)",
    function*() {
      const ids = yield* H.enqueueMany(4, keyed("k", 2))
      const running = yield* H.claim("w", 10)
      assert.deepStrictEqual(running.map(({ id }) => id), ids.slice(0, 2))
      assert.strictEqual((yield* H.get(ids[2]!)).blocked?.reason, "ConcurrencyKey")
      yield* H.settle("w", running[0]!, H.complete)
      assert.deepStrictEqual((yield* H.claim("w", 10)).map(({ id }) => id), [ids[2]])
    }
  ),
  fact("a slot is free after a retry with a delay, a death, a cancel, a park and a delete (P6)", function*() {
    const release: ReadonlyArray<(attempt: JobStore.Claimed) => Effect.Effect<unknown, unknown, JobStore.JobStore>> = [
      (attempt) => H.settle("w", attempt, H.retryAfter(1e9)),
      (attempt) => H.settle("w", attempt, H.dead),
      (attempt) => H.settle("w", attempt, { _tag: "Cancel", reason: "r" }),
      (attempt) => H.settle("w", attempt, { _tag: "Park", reason: "NoHandler" }),
      (attempt) => H.settle("w", attempt, { _tag: "WaitFor", waitpoint: "x" })
    ]
    for (const free of release) {
      yield* H.enqueue(keyed("k"))
      yield* free(yield* H.claimOne("w"))
    }
    const { id } = yield* H.enqueue(keyed("k"))
    yield* H.control({ _tag: "Delete" }, id)
    yield* H.enqueue(keyed("k"))
    yield* H.claimOne("w")
  }),
  fact("a slot moves with its record: rescued records do not exceed the limit (P6)", function*() {
    yield* H.enqueueMany(3, keyed("k"))
    yield* H.claimOne("a")
    yield* H.advance(H.lease)
    yield* H.maintain
    assert.strictEqual((yield* H.claim("b", 10)).length, 1)
  }),
  fact("records of a key that come due at one time do not exceed its limit (P6)", function*() {
    const ids = yield* H.enqueueMany(3, { ...keyed("k"), delay: 1000 })
    yield* H.enqueueMany(2, { delay: 1000 })
    yield* H.advance(1000)
    const claimed = yield* H.claim("w", 10)
    assert.strictEqual(claimed.length, 3)
    assert.strictEqual(claimed.filter(({ id }) => ids.includes(id)).length, 1)
    assert.strictEqual((yield* H.statsOf()).counts.blocked, 2)
  }),
  fact("a record that comes back after a delay takes a slot anew (P6)", function*() {
    const ids = yield* H.enqueueMany(2, keyed("k"))
    yield* H.settle("w", yield* H.claimOne("w"), H.retryAfter(1000))
    const second = yield* H.claimOne("w")
    yield* H.advance(1000)
    assert.deepStrictEqual(yield* H.claim("w", 5), [])
    assert.strictEqual((yield* H.get(ids[0]!)).blocked?.reason, "ConcurrencyKey")
    yield* H.settle("w", second, H.complete)
    assert.strictEqual((yield* H.claimOne("w")).id, ids[0])
  }),
  fact("a record that closes its queue keeps the slot of its key, and is the first of it afterwards", function*() {
    for (const key of ["k", "@space/k"]) {
      const [first, second] = yield* H.enqueueMany(2, keyed(key))
      const attempt = yield* H.claimOne("w")
      yield* H.settle("w", attempt, { _tag: "SnoozeFor", delay: 1000, closes: "queue" })
      yield* H.advance(1100)
      assert.strictEqual((yield* H.claimOne("w")).id, first)
      yield* H.control({ _tag: "Cancel", reason: "r" }, second!)
    }
  }),
  fact("keys do not hold each other up", function*() {
    yield* H.enqueue(keyed("a"))
    yield* H.enqueue(keyed("b"))
    yield* H.enqueue()
    assert.strictEqual((yield* H.claim("w", 10)).length, 3)
  }),

  // dependencies, children, waitpoints
  fact("a record waits for its dependencies and finds their results by name", function*() {
    const a = yield* H.enqueue()
    const b = yield* H.enqueue()
    const { id } = yield* H.enqueue({ flowId: "f", dependencies: [{ name: "a", id: a.id }, { name: "b", id: b.id }] })
    for (const attempt of yield* H.claim("w", 10)) {
      assert.deepStrictEqual((yield* H.get(id)).blocked?.reason, "Dependencies")
      yield* H.settle("w", attempt, { _tag: "Complete", result: attempt.id === a.id ? "1" : undefined })
    }
    const claimed = yield* H.claimOne("w")
    assert.deepStrictEqual([claimed.id, claimed.dependencies], [id, { a: "1", b: undefined }])
  }),
  fact("a record whose dependency fails is dead with DependencyFailed, and so is what waits for it", function*() {
    const a = yield* H.enqueue()
    const b = yield* H.enqueue({ dependencies: [{ name: "a", id: a.id }] })
    const c = yield* H.enqueue({ dependencies: [{ name: "b", id: b.id }] })
    yield* H.settle("w", yield* H.claimOne("w"), H.dead)
    for (const { id } of [b, c]) assert.strictEqual((yield* H.get(id)).deadReason, "DependencyFailed")
  }),
  fact(
    "who waits for children goes on when they have ended, also one that would have been due later at first",
    function*() {
      for (const given of [{}, { tags: ["label"] }]) {
        for (const action of [{ _tag: "Promote" }, { _tag: "Retry" }] as const) {
          const { id } = yield* H.enqueue({ delay: 60_000, ...given })
          yield* H.control(action, id)
          const children = [H.record({ queue: "children" })]
          yield* H.settle("w", yield* H.claimOne("w"), { _tag: "WaitForChildren" }, { children })
          yield* H.settle("w", yield* H.claimOne("w", "children"), H.complete)
          assert.strictEqual(yield* H.stateOf(id), "ready")
          yield* H.settle("w", yield* H.claimOne("w"), H.complete)
        }
      }
    }
  ),
  fact("waitForChildren blocks the record until its last child has ended, however it ended", function*() {
    const { id } = yield* H.enqueue()
    const children = [H.record({ tag: "Child" }), H.record({ tag: "Child" })]
    yield* H.settle("w", yield* H.claimOne("w"), { _tag: "WaitForChildren" }, { children })
    const [one, two] = yield* H.claim("w", 10)
    yield* H.settle("w", one!, H.complete)
    assert.strictEqual((yield* H.get(id)).blocked?.reason, "Children")
    yield* H.settle("w", two!, H.dead)
    assert.strictEqual((yield* H.claimOne("w")).id, id)
  }),
  fact("a wait for children with a delay goes on with what comes first", function*() {
    const { id } = yield* H.enqueue({ concurrency: { key: "k", limit: 1 } })
    const children = [H.record({ queue: "other" })]
    const wait: JobStore.Outcome = { _tag: "WaitForChildren", delay: 5000 }
    yield* H.settle("w", yield* H.claimOne("w"), wait, { children })
    const waiting = yield* H.get(id)
    assert.deepStrictEqual([waiting.blocked?.reason, waiting.attempt], ["Children", 0])
    const demand = [{ queue: "default", slots: 1, share: 1 }]
    const idle = yield* H.exchange("w", { demand, total: 1 })
    assert.deepStrictEqual([idle.claimed.length, idle.nextDueIn], [0, 5000])
    yield* H.advance(5000)
    yield* H.settle("w", yield* H.claimOne("w"), wait, { children })
    assert.strictEqual((yield* H.get(id)).blocked?.reason, "Children")
    yield* H.advance(1000)
    yield* H.settle("w", yield* H.claimOne("w", "other"), H.complete)
    const attempt = yield* H.claimOne("w")
    yield* H.advance(5000)
    assert.deepStrictEqual(yield* H.claim("w"), [])
    yield* H.settle("w", attempt, H.complete)
    assert.strictEqual((yield* H.statsOf()).counts.blocked, 0)
  }),
  fact("a child that was waited for until an instant, and is not named again, is waited for no more", function*() {
    const { id } = yield* H.enqueue()
    const [first, second] = [H.record({ queue: "first" }), H.record({ queue: "second" })]
    const settle = (outcome: JobStore.Outcome, ...children: ReadonlyArray<JobStore.NewRecord>) =>
      Effect.flatMap(H.claimOne("w"), (attempt) => H.settle("w", attempt, outcome, { children }))
    yield* settle({ _tag: "WaitForChildren", delay: 1000 }, first)
    yield* H.advance(1000)
    yield* settle({ _tag: "WaitForChildren" }, second)
    assert.strictEqual((yield* H.get(id)).blocked?.reason, "Children")
    yield* H.settle("w", yield* H.claimOne("w", "second"), H.complete)
    const attempt = yield* H.claimOne("w")
    assert.strictEqual(attempt.id, id)
    yield* H.settle("w", yield* H.claimOne("w", "first"), H.complete)
    yield* H.settle("w", attempt, H.complete)
    assert.strictEqual(yield* H.stateOf(id), "completed")
  }),
  fact("a child that ended while its parent ran, and is removed, is not stored anew: its result is there", function*() {
    yield* H.enqueue()
    const { retention } = H.record()
    const children = [H.record({ queue: "other", retention: { ...retention, completed: { age: 0, count: 0 } } })]
    yield* H.settle("w", yield* H.claimOne("w"), { _tag: "WaitForChildren", delay: 1000 }, { children })
    yield* H.advance(1000)
    const attempt = yield* H.claimOne("w")
    yield* H.settle("w", yield* H.claimOne("w", "other"), { _tag: "Complete", result: "1" })
    yield* H.maintainAll
    yield* H.settle("w", attempt, { _tag: "WaitForChildren" }, { children })
    assert.deepStrictEqual(yield* H.claim("w", 1, "other"), [])
    assert.deepStrictEqual((yield* H.claimOne("w")).dependencies, { [children[0]!.id]: "1" })
  }),
  fact(
    "how a child ended that was left beside a waitpoint is known when the signal comes, also when it is removed",
    function*() {
      const store = yield* JobStore.JobStore
      const { id } = yield* H.enqueue()
      const { retention } = H.record()
      const forgotten = { queue: "other", retention: { ...retention, completed: { age: 0, count: 0 } } }
      const children = [H.record(forgotten), H.record(forgotten)]
      const names = children.map(({ id }) => id)
      yield* H.settle("w", yield* H.claimOne("w"), { _tag: "WaitFor", waitpoint: "x" }, { children })
      for (const child of yield* H.claim("w", 2, "other")) {
        yield* H.settle("w", child, { _tag: "Complete", result: child.id === names[0] ? "1" : undefined })
      }
      yield* H.maintainAll
      assert.deepStrictEqual((yield* H.get(id)).blocked, { reason: "Waitpoint", on: "x" })
      yield* store.signal({ id, waitpoint: "x", value: "1" })
      const attempt = yield* H.claimOne("w")
      assert.deepStrictEqual(attempt.dependencies, { [names[0]!]: "1", [names[1]!]: undefined })
      const { dependencies } = yield* store.dependencies({ id, limit: 10 })
      assert.deepStrictEqual(
        dependencies.map(({ answer, name }) => [name, answer._tag]).toSorted(),
        names.map((name) => [name, "Completed"])
      )
      yield* H.settle("w", attempt, { _tag: "WaitForChildren" }, { children })
      assert.deepStrictEqual(yield* H.claim("w", 2, "other"), [])
      assert.strictEqual((yield* H.claimOne("w")).id, id)
    }
  ),
  fact("a child that was left beside a waitpoint, and has not ended by the signal, is waited for then", function*() {
    const store = yield* JobStore.JobStore
    const { id } = yield* H.enqueue()
    const children = [H.record({ queue: "other" })]
    yield* H.settle("w", yield* H.claimOne("w"), { _tag: "WaitFor", waitpoint: "x" }, { children })
    const child = yield* H.claimOne("w", "other")
    yield* store.signal({ id, waitpoint: "x", value: "1" })
    yield* H.settle("w", yield* H.claimOne("w"), { _tag: "WaitForChildren" }, { children })
    assert.strictEqual((yield* H.get(id)).blocked?.reason, "Children")
    yield* H.settle("w", child, { _tag: "Complete", result: "1" })
    assert.deepStrictEqual((yield* H.claimOne("w")).dependencies, { [child.id]: "1" })
  }),
  fact(
    "a child that runs again before its parent waits for it once more is waited for, whatever that does",
    function*() {
      const store = yield* JobStore.JobStore
      const { id } = yield* H.enqueue()
      const children = [H.record({ queue: "other" })]
      const child = children[0]!.id
      const wait = (attempt: JobStore.Claimed) => H.settle("w", attempt, { _tag: "WaitForChildren" }, { children })
      yield* H.settle("w", yield* H.claimOne("w"), { _tag: "WaitFor", waitpoint: "x" }, { children })
      yield* H.settle("w", yield* H.claimOne("w", "other"), H.dead)
      // While it waits for the signal.
      yield* H.control({ _tag: "Retry" }, child)
      yield* store.signal({ id, waitpoint: "x", value: "1" })
      yield* wait(yield* H.claimOne("w"))
      assert.strictEqual((yield* H.get(id)).blocked?.reason, "Children")
      yield* H.settle("w", yield* H.claimOne("w", "other"), H.dead)
      // While it is ready.
      yield* H.control({ _tag: "Retry" }, child)
      assert.strictEqual(yield* H.stateOf(id), "ready")
      yield* wait(yield* H.claimOne("w"))
      assert.strictEqual((yield* H.get(id)).blocked?.reason, "Children")
      yield* H.settle("w", yield* H.claimOne("w", "other"), H.dead)
      // While it runs.
      const attempt = yield* H.claimOne("w")
      yield* H.control({ _tag: "Retry" }, child)
      yield* wait(attempt)
      assert.strictEqual((yield* H.get(id)).blocked?.reason, "Children")
      yield* H.settle("w", yield* H.claimOne("w", "other"), { _tag: "Complete", result: "1" })
      assert.deepStrictEqual((yield* H.claimOne("w")).dependencies, { [child]: "1" })
    }
  ),
  fact("a child with which its parent is done holds it up no more when it runs again", function*() {
    const { id } = yield* H.enqueue()
    const wait = (attempt: JobStore.Claimed, ...children: ReadonlyArray<JobStore.NewRecord>) =>
      H.settle("w", attempt, { _tag: "WaitForChildren" }, { children })
    const [first, second] = [H.record({ queue: "first" }), H.record({ queue: "second" })]
    yield* wait(yield* H.claimOne("w"), first)
    yield* H.settle("w", yield* H.claimOne("w", "first"), H.dead)
    yield* wait(yield* H.claimOne("w"), second)
    yield* H.control({ _tag: "Retry" }, first.id)
    yield* H.settle("w", yield* H.claimOne("w", "second"), H.dead)
    const attempt = yield* H.claimOne("w")
    assert.strictEqual(attempt.id, id)
    // Of one that it names again it wants to know.
    yield* wait(attempt, first)
    assert.strictEqual((yield* H.get(id)).blocked?.reason, "Children")
    yield* H.settle("w", yield* H.claimOne("w", "first"), { _tag: "Complete", result: "1" })
    assert.strictEqual((yield* H.claimOne("w")).dependencies[first.id], "1")
  }),
  fact("a child that has ended by the time its parent waits for it is not stored anew", function*() {
    const { id } = yield* H.enqueue()
    const children = [H.record({ queue: "other" })]
    yield* H.settle("w", yield* H.claimOne("w"), { _tag: "SnoozeFor", delay: 0 }, { children })
    yield* H.settle("w", yield* H.claimOne("w", "other"), H.complete)
    const again = yield* H.claimOne("w")
    yield* H.settle("w", again, { _tag: "WaitForChildren" }, { children })
    assert.strictEqual(yield* H.stateOf(children[0]!.id), "completed")
    assert.deepStrictEqual(yield* H.claim("w", 1, "other"), [])
    assert.strictEqual((yield* H.claimOne("w")).id, id)
  }),
  fact("a record that was cancelled while it waited for children goes on when it is retried by hand", function*() {
    const { id } = yield* H.enqueue()
    const children = [H.record({ tag: "Child", queue: "other" })]
    yield* H.settle("w", yield* H.claimOne("w"), { _tag: "WaitForChildren" }, { children })
    yield* H.control({ _tag: "Cancel", reason: "r" }, id)
    yield* H.settle("w", yield* H.claimOne("w", "other"), H.complete)
    yield* H.control({ _tag: "Retry" }, id)
    const more = [H.record({ tag: "Child", queue: "other" })]
    yield* H.settle("w", yield* H.claimOne("w"), { _tag: "WaitForChildren" }, { children: more })
    yield* H.settle("w", yield* H.claimOne("w", "other"), H.complete)
    assert.strictEqual((yield* H.claimOne("w")).id, id)
  }),
  fact("waitFor blocks the record until its waitpoint is signalled; a signal that comes first is found", function*() {
    const store = yield* JobStore.JobStore
    const { id } = yield* H.enqueue()
    yield* H.settle("w", yield* H.claimOne("w"), { _tag: "WaitFor", waitpoint: "approved" })
    assert.deepStrictEqual((yield* H.get(id)).blocked, { reason: "Waitpoint", on: "approved" })
    assert.strictEqual(yield* store.signal({ id, waitpoint: "later", value: "2" }), "Early")
    assert.strictEqual(yield* store.signal({ id, waitpoint: "approved", value: "1" }), "Delivered")
    const attempt = yield* H.claimOne("w")
    assert.deepStrictEqual(attempt.checkpoints, { approved: "1", later: "2" })
    assert.strictEqual(attempt.attempt, 1)
    yield* H.settle("w", attempt, { _tag: "WaitFor", waitpoint: "later" })
    assert.strictEqual(yield* H.stateOf(id), "ready")
    assert.strictEqual(yield* store.signal({ id: H.newId(), waitpoint: "x", value: "1" }), "NotFound")
  }),
  fact("a signal with the name of the key that a record waits for does not let it run", function*() {
    const store = yield* JobStore.JobStore
    const [, waits] = yield* H.enqueueMany(2, keyed("k"))
    yield* H.claimOne("w")
    assert.strictEqual(yield* store.signal({ id: waits!, waitpoint: "k", value: "1" }), "Early")
    assert.deepStrictEqual((yield* H.get(waits!)).blocked, { reason: "ConcurrencyKey", on: "k" })
  }),
  fact("a record carries what later issues need: rate key, batch key, flow and parent", function*() {
    const keys = { rateKey: "r", batchKey: "b", flowId: "f", parent: H.newId() }
    const { id } = yield* H.enqueue(keys)
    const { batchKey, flowId, parent, rateKey } = yield* H.get(id)
    assert.deepStrictEqual({ rateKey, batchKey, flowId, parent: parent! }, keys)
  }),
  fact("a worker is given the batch key of what it claims, at the first attempt and later ones", function*() {
    const b = yield* H.enqueue({ batchKey: "b" })
    const c = yield* H.enqueue({ batchKey: "c", concurrency: { key: "k", limit: 1 } })
    const without = yield* H.enqueue()
    const keys = { [b.id]: "b", [c.id]: "c", [without.id]: undefined }
    const keysOf = (claimed: ReadonlyArray<JobStore.Claimed>) =>
      Object.fromEntries(claimed.map(({ batchKey, id }) => [id, batchKey]))
    const first = yield* H.claim("w", 3)
    assert.deepStrictEqual(keysOf(first), keys)
    for (const { fence, id } of first) yield* H.settle("w", { id, fence }, { _tag: "Release" })
    assert.deepStrictEqual(keysOf(yield* H.claim("w", 3)), keys)
  })
]
