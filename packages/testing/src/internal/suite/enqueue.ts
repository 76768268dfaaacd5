import { assert } from "@effect/vitest"
import { JobStore } from "capstan"
import { Effect } from "effect"
import * as H from "./harness.ts"

const { fact } = H

export const enqueueFacts: ReadonlyArray<H.Fact> = [
  fact("a record without a delay is ready at once", function*() {
    const { id, outcome } = yield* H.enqueue({ payload: `{"a":1}` })
    assert.strictEqual(outcome, "Inserted")
    const record = yield* H.get(id)
    assert.strictEqual(record.state, "ready")
    assert.strictEqual(record.payload, `{"a":1}`)
    assert.strictEqual(record.attempt, 0)
  }),
  fact("a delayed record is scheduled, is not claimed before it is due, and is claimed then", function*() {
    const { id } = yield* H.enqueue({ delay: 1000 })
    assert.strictEqual(yield* H.stateOf(id), "scheduled")
    const early = yield* H.exchange("w", { demand: [{ queue: "default", slots: 1, share: 1 }], total: 1 })
    assert.strictEqual(early.claimed.length, 0)
    assert.strictEqual(early.nextDueIn, 1000)
    yield* H.advance(1000)
    assert.strictEqual((yield* H.claimOne("w")).id, id)
  }),
  fact("a worker is told when the next record of its queues is due, and nothing when none is", function*() {
    const demand = [{ queue: "default", slots: 1, share: 1 }]
    const nextDueIn = Effect.map(H.exchange("w", { demand, total: 1 }), (reply) => reply.nextDueIn)
    assert.isUndefined(yield* nextDueIn)
    yield* H.enqueue({ delay: 1000, queue: "other" })
    assert.isUndefined(yield* nextDueIn)
    yield* H.enqueue({ delay: 2000 })
    assert.strictEqual(yield* nextDueIn, 2000)
    yield* H.advance(2000)
    assert.strictEqual((yield* H.claimOne("w")).attempt, 1)
    assert.isUndefined(yield* nextDueIn)
  }),
  fact("an id that is stored already is Existing, so a batch may be sent again", function*() {
    const store = yield* JobStore.JobStore
    const records = [H.record(), H.record()]
    yield* store.enqueue({ records })
    const again = yield* store.enqueue({ records: [...records, H.record()] })
    assert.deepStrictEqual(again.map(({ outcome }) => outcome), ["Existing", "Existing", "Inserted"])
    assert.strictEqual((yield* H.statsOf()).counts.ready, 3)
  }),
  fact("an idempotency key answers the record that has it, in every state, and is scoped by tag", function*() {
    const first = yield* H.enqueue({ idempotencyKey: "k" })
    assert.deepStrictEqual(yield* H.enqueue({ idempotencyKey: "k" }), { id: first.id, outcome: "Existing" })
    yield* H.settle("w", yield* H.claimOne("w"), H.complete)
    assert.deepStrictEqual(yield* H.enqueue({ idempotencyKey: "k" }), { id: first.id, outcome: "Existing" })
    assert.strictEqual((yield* H.enqueue({ idempotencyKey: "k", tag: "Other" })).outcome, "Inserted")
  }),
  fact("an idempotency key is free again when its record is deleted", function*() {
    const first = yield* H.enqueue({ idempotencyKey: "k" })
    yield* H.control({ _tag: "Delete" }, first.id)
    assert.strictEqual((yield* H.enqueue({ idempotencyKey: "k" })).outcome, "Inserted")
  }),
  fact("a child of a stale attempt is refused, and nothing of its batch is stored (P3)", function*() {
    const store = yield* JobStore.JobStore
    yield* H.enqueue()
    const { fence, id } = yield* H.claimOne("w")
    const children = [H.record({ tag: "Child" }), H.record({ tag: "Child" })]
    const isRefused = Effect.gen(function*() {
      const error = yield* Effect.flip(store.enqueue({ records: children, by: { id, fence } }))
      assert.strictEqual(error.reason._tag, "LeaseLost")
      for (const child of children) assert.isFalse(yield* H.exists(child.id))
    })
    const gone = yield* Effect.flip(store.enqueue({ records: children, by: { id: H.newId(), fence } }))
    assert.strictEqual(gone.reason._tag, "LeaseLost", "there is no such record")
    yield* H.settle("w", { id, fence }, H.retryAfter(0))
    yield* isRefused
    // Another attempt runs: the fence alone tells them apart.
    yield* H.claimOne("other")
    yield* isRefused
  }),
  fact("records of one call that are alike but for one thing keep that one, also when they have waited", function*() {
    const store = yield* JobStore.JobStore
    const one = yield* H.enqueue({ queue: "first" })
    const base: Partial<JobStore.NewRecord> = {
      tags: ["x"],
      headers: { a: "1" },
      rateKey: "r",
      batchKey: "b",
      flowId: "f",
      parent: one.id,
      startBefore: 60_000
    }
    const differences: ReadonlyArray<Partial<JobStore.NewRecord>> = [
      {},
      { tag: "Other" },
      { version: 2 },
      { queue: "other" },
      { priority: 3 },
      { payload: "1" },
      { delay: 5000 },
      { startBefore: 70_000 },
      { tags: ["y"] },
      { headers: { a: "2" } },
      { rateKey: "q" },
      { batchKey: "c" },
      { parent: H.newId() },
      { sensitive: { payload: ["/a"], result: [], error: [], progress: [] } }
    ]
    const dependencies = [{ name: "one", id: one.id }]
    const records = [{}, { dependencies }].flatMap((waits) =>
      differences.map((difference) => H.record({ ...base, ...difference, ...waits }))
    )
    yield* store.enqueue({ records })
    const { enqueuedAt } = yield* H.get(one.id)
    yield* H.settle("w", yield* H.claimOne("w", "first"), H.complete)
    for (const record of records) {
      const { batchKey, headers, parent, payload, priority, queue, rateKey, sensitive, tag, tags, version } = record
      const found = yield* H.get(record.id)
      assert.deepInclude(found, { tag, version, queue, priority, payload, tags, headers, rateKey, batchKey, sensitive })
      assert.strictEqual(found.parent, parent)
      assert.strictEqual(found.state, record.delay > 0 ? "scheduled" : "ready")
      if (record.delay > 0) assert.strictEqual(found.dueAt, enqueuedAt + record.delay)
      assert.strictEqual(found.expiresAt, enqueuedAt + record.delay + record.startBefore!)
    }
  }),
  fact("labels, headers and keys may have any character: they are read back, found, and hold up nothing", function*() {
    const store = yield* JobStore.JobStore
    const day = 24 * 60 * 60 * 1000
    for (
      const text of [
        "a\u0000b",
        "half \ud83d",
        "\udc00 half",
        "\u001a0000",
        "\\u0000",
        "\\\u0000\u0000",
        "\ud83d\ude00"
      ]
    ) {
      const keep = { age: day, count: Infinity }
      const brief = { retention: { completed: keep, cancelled: keep, dead: keep } }
      const given = { tags: [text], headers: { [text]: text }, idempotencyKey: text, batchKey: text }
      const answers = yield* store.enqueue({
        records: [
          H.record({ ...brief, ...given, startBefore: 1, concurrency: { key: text, limit: 1 }, cancelOn: [text] }),
          H.record({ ...brief, tags: [text], headers: { [text]: text }, followed: true, startBefore: 1 }),
          H.record({
            ...brief,
            tags: [text],
            headers: { [text]: text },
            queue: "other",
            unique: { key: text, until: "finished", onConflict: "keep" }
          })
        ]
      })
      const [first, second, third] = answers.map(({ id }) => id)
      assert.deepInclude(yield* H.get(first!), { ...given, concurrencyKey: text })
      assert.deepInclude(yield* H.get(third!), { uniqueKey: text })
      assert.deepStrictEqual(yield* H.enqueue({ idempotencyKey: text }), { id: first!, outcome: "Existing" })
      const page = yield* store.query({ where: { label: text }, order: "oldest", limit: 10 })
      assert.deepStrictEqual(page.records.map(({ id }) => id), answers.map(({ id }) => id))
      yield* H.control({ _tag: "Reschedule", delay: 1 }, first!)
      yield* H.advance(5)
      yield* H.maintainAll
      const told = yield* H.claimOne("w")
      assert.deepStrictEqual([told.parent, told.tags, told.headers[text]], [second, [text], text])
      assert.deepStrictEqual([yield* H.stateOf(first!), yield* H.stateOf(second!)], ["dead", "dead"])
      const claimed = yield* H.claimOne("w", "other")
      assert.deepInclude(claimed, { id: third!, tags: [text], headers: { [text]: text } })
      for (const at of [told, claimed]) assert.strictEqual(yield* H.settle("w", at, H.complete), "Done")
      for (let i = 0; i < 6; i++) {
        yield* H.advance(day / 4 + 1)
        yield* H.maintainAll
      }
      for (const { id } of answers) assert.isFalse(yield* H.exists(id))
    }
  }),
  fact("what could not start in time is not started, however much of it there is", function*() {
    yield* H.enqueueMany(1001, { startBefore: 1 })
    yield* H.advance(5)
    assert.deepStrictEqual(yield* H.claim("w", 5), [])
    const { id } = yield* H.enqueue()
    assert.strictEqual((yield* H.claimOne("w")).id, id)
  }),
  fact("a child of a running attempt is stored", function*() {
    const store = yield* JobStore.JobStore
    yield* H.enqueue()
    const { fence, id } = yield* H.claimOne("w")
    const [answer] = yield* store.enqueue({ records: [H.record({ parent: id })], by: { id, fence } })
    assert.strictEqual((yield* H.get(answer!.id)).parent, id)
  }),
  fact(
    "enqueues that are made at the same time as some that are refused are stored, and those alone are refused",
    function*() {
      const unique = { key: "u", until: "finished", onConflict: "replace" } as const
      const member = yield* H.enqueue({ unique, flowId: "f" })
      const isRefused = (n: number) => n % 10 === 3
      const answers = yield* Effect.forEach(
        Array.from({ length: 40 }, (_, n) => n),
        (n) => H.enqueue(isRefused(n) ? { unique } : { idempotencyKey: `k${n}` }),
        { concurrency: "unbounded" }
      )
      for (const [n, answer] of answers.entries()) {
        if (isRefused(n)) assert.deepStrictEqual(answer, { id: member.id, outcome: "UniqueConflict" })
        else assert.deepStrictEqual([answer.outcome, yield* H.exists(answer.id)], ["Inserted", true], `${n}`)
      }
    }
  )
]
