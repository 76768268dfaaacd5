import { assert } from "@effect/vitest"
import { type JobRecord, JobStore } from "capstan"
import { Effect } from "effect"
import * as H from "./harness.ts"

const { fact } = H

const followed = { followed: true, payload: `{"a":1}`, tags: ["t"], headers: { h: "1" } } as const

/** The records that tell of the death of one. */
const told = (id: JobRecord.JobId) =>
  Effect.flatMap(JobStore.JobStore, ({ query }) =>
    Effect.map(
      query({ where: { parent: id }, order: "oldest", limit: 10 }),
      ({ records }) =>
        records.map(({ headers, payload, queue, state, tag, tags }) => {
          const { [JobStore.endedHeader]: ended, ...others } = headers
          const { failure, reason } = JSON.parse(ended!)
          return { tag, queue, state, payload, tags, headers: others, reason, kind: failure?.kind }
        })
    ))

const expected = (reason: JobRecord.DeadReason, kind: JobRecord.FailureKind | undefined) => ({
  tag: "Task",
  queue: "default",
  state: "ready" as const,
  payload: `{"a":1}`,
  tags: ["t"],
  headers: { h: "1" },
  reason,
  kind
})

const dieOnce = Effect.gen(function*() {
  const attempt = yield* H.claimOne("w")
  yield* H.advance(H.lease)
  yield* H.maintain
  return attempt.id
})

export const followFacts: ReadonlyArray<H.Fact> = [
  fact("followed: a record that expires leaves one that tells of it, in the same step", function*() {
    const { id } = yield* H.enqueue({ ...followed, startBefore: 1000, idempotencyKey: "i" })
    yield* H.advance(1000)
    assert.deepStrictEqual(yield* told(id), [])
    yield* H.maintain
    assert.strictEqual((yield* H.get(id)).deadReason, "Expired")
    assert.deepStrictEqual(yield* told(id), [expected("Expired", undefined)])
    const claimed = yield* H.claimOne("w")
    assert.deepStrictEqual([claimed.parent, claimed.idempotencyKey], [id, undefined])
  }),
  fact("followed: so does a record whose workers died too often", function*() {
    const { id } = yield* H.enqueue(followed)
    for (let i = 0; i < 3; i++) {
      assert.deepStrictEqual(yield* told(id), [])
      yield* dieOnce
    }
    assert.strictEqual((yield* H.get(id)).deadReason, "Crashed")
    assert.deepStrictEqual(yield* told(id), [expected("Crashed", "Crashed")])
  }),
  fact("followed: so does one whose payload was edited meanwhile", function*() {
    const { id } = yield* H.enqueue({ ...followed, delay: 1000 })
    const { sensitive } = H.record()
    yield* H.control({ _tag: "Retry", payload: { json: `{"a":2}`, sensitive, version: 1 } }, id)
    for (let i = 0; i < 3; i++) yield* dieOnce
    assert.deepStrictEqual(yield* told(id), [{ ...expected("Crashed", "Crashed"), payload: `{"a":2}` }])
  }),
  fact("followed: so does a record that what it waited for has failed, each life anew", function*() {
    const a = yield* H.enqueue({ queue: "first" })
    const { id } = yield* H.enqueue({ ...followed, flowId: "f", dependencies: [{ name: "a", id: a.id }] })
    yield* H.settle("w", yield* H.claimOne("w", "first"), H.dead)
    yield* H.exchange("x")
    assert.deepStrictEqual(yield* told(id), [expected("DependencyFailed", "Dependency")])
    yield* H.control({ _tag: "Retry" }, a.id)
    yield* H.settle("w", yield* H.claimOne("w", "first"), H.dead)
    yield* H.exchange("x")
    assert.strictEqual((yield* told(id)).length, 2)
    for (const { flowId } of yield* H.claim("w", 10)) assert.isUndefined(flowId)
    // One that was cancelled is not told of, and what cannot do without it is.
    const b = yield* H.enqueue({ ...followed, queue: "first" })
    const waits = yield* H.enqueue({ ...followed, dependencies: [{ name: "b", id: b.id }] })
    yield* H.control({ _tag: "Cancel", reason: "r" }, b.id)
    yield* H.exchange("x")
    assert.deepStrictEqual(yield* told(b.id), [])
    assert.deepStrictEqual(yield* told(waits.id), [expected("DependencyFailed", "Dependency")])
  }),
  fact("followed: nothing tells of an end that an attempt, an operator or an event has decided", function*() {
    for (const outcome of [H.dead, H.complete, { _tag: "Cancel", reason: "r" }] as const) {
      const { id } = yield* H.enqueue(followed)
      yield* H.settle("w", yield* H.claimOne("w"), outcome)
      assert.deepStrictEqual(yield* told(id), [])
    }
    const { id } = yield* H.enqueue(followed)
    yield* H.control({ _tag: "Cancel", reason: "r" }, id)
    assert.deepStrictEqual(yield* told(id), [])
    const listens = yield* H.enqueue({ ...followed, cancelOn: ["e"] })
    const { enqueue } = yield* JobStore.JobStore
    yield* enqueue({ records: [], cancels: [{ on: "e", reason: "r" }] })
    assert.deepStrictEqual(yield* told(listens.id), [])
  }),
  fact("followed: nothing tells of a run that was to be cancelled when its worker died", function*() {
    const { id } = yield* H.enqueue(followed)
    yield* H.claimOne("w")
    assert.deepStrictEqual(yield* H.control({ _tag: "Cancel", reason: "r" }, id), ["Requested"])
    yield* H.advance(H.lease)
    yield* H.maintain
    assert.strictEqual(yield* H.stateOf(id), "cancelled")
    assert.deepStrictEqual(yield* told(id), [])
  })
]
