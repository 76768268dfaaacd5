/** Rows of claims: gone when all that they name is settled, and never before. */
import { assert, describe, it } from "@effect/vitest"
import { JobRecord } from "capstan"
import { Effect } from "effect"
import { AllClaims } from "../src/internal/claims.ts"
import type { ClaimedLine } from "../src/internal/codec.ts"
import * as Harness from "./harness.ts"

const schema = Harness.schemaName("claims")
const side = Harness.shared(schema, Harness.open(schema))

const id = JobRecord.JobId("a")
const line = (fence: number): ClaimedLine => {
  const one = Harness.anyLine()
  return { ...one, claimed: { ...one.claimed, id, fence } }
}
const settlement = (fence: number) => ({ id, fence, outcome: Harness.complete, finishedAfter: 0 })

/** As many claims of one record as are forgotten at once. */
const ten = Array.from({ length: 10 }, (_, i) => i + 1)

describe("claims of a process", () => {
  it("are forgotten once all of each is settled, ten at a time", () => {
    const claims = new AllClaims()
    for (const n of ten) {
      assert.deepStrictEqual(claims.takeDone("w"), [])
      claims.claimed("w", [{ queue: "q", num: n, lines: [line(n)] }])
      claims.settled("w", [settlement(n)])
    }
    assert.deepStrictEqual(claims.takeDone("w"), ten)
    assert.deepStrictEqual(claims.takeDone("w"), [])
  })

  it("are not forgotten by the settlement of an attempt before", () => {
    const claims = new AllClaims()
    for (const n of ten) {
      claims.claimed("w", [{ queue: "q", num: n, lines: [line(n + 1)] }])
      claims.settled("w", [settlement(n)])
    }
    assert.deepStrictEqual(claims.takeDone("w"), [])
  })

  it("are left to the renewal that has made them one", () => {
    const claims = new AllClaims()
    for (const n of ten) claims.claimed("w", [{ queue: "q", num: n, lines: [line(n)] }])
    claims.renewed("w")
    for (const n of ten) claims.settled("w", [settlement(n)])
    assert.deepStrictEqual(claims.takeDone("w"), [])
  })
})

const rows = ({ schema, sql }: Harness.Side) =>
  Effect.map(sql.unsafe(`SELECT num FROM ${schema}.claimed`), ({ length }) => length)

describe("rows of claims", () => {
  it.live("go when all that they name is settled, but for the last few", () =>
    Effect.gen(function*() {
      const one = yield* side
      yield* Harness.empty(one)
      for (const _ of ten) {
        yield* Harness.enqueue(one)
        yield* Harness.settle(one, yield* Harness.claimOne(one))
      }
      assert.strictEqual(yield* rows(one), 10)
      yield* Harness.exchange(one)
      assert.strictEqual(yield* rows(one), 0)
    }))

  it.live("stay while one of their records runs, also where the same record was claimed and lost before", () =>
    Effect.gen(function*() {
      const one = yield* side
      yield* Harness.empty(one)
      const renew = one.store.renew({
        worker: "other",
        lease: Harness.lease,
        queues: ["default"],
        handles: [],
        holding: [],
        reconcileOlderThan: 0
      })
      for (const _ of ten) {
        yield* Harness.enqueue(one)
        const lost = yield* Harness.exchange(one, {
          worker: "other",
          demand: [{ queue: "default", slots: 1, share: 1 }],
          total: 1
        })
        // It is taken back, and claimed again.
        yield* renew
        yield* Harness.claimOne(one)
        assert.strictEqual(yield* Harness.settle(one, lost.claimed[0]!), "LeaseLost")
      }
      yield* Harness.exchange(one)
      yield* Harness.assertSound(one)
    }))

  it.live("of which the answer was lost stay for the renewal", () =>
    Effect.gen(function*() {
      const one = yield* side
      yield* Harness.empty(one)
      yield* Harness.enqueue(one)
      // Another process of the same worker: this one never hears of it.
      yield* Effect.scoped(Effect.flatMap(Harness.open(schema), Harness.claimOne))
      for (const _ of ten) {
        yield* Harness.enqueue(one)
        yield* Harness.settle(one, yield* Harness.claimOne(one))
      }
      yield* Harness.exchange(one)
      assert.strictEqual(yield* rows(one), 1)
      const { reconciled } = yield* one.store.renew({
        worker: "worker",
        lease: Harness.lease,
        queues: ["default"],
        handles: [],
        holding: [],
        reconcileOlderThan: 0
      })
      assert.strictEqual(reconciled, 1)
    }))
})

describe("an answer", () => {
  it.live("says how many of its records fit in two megabytes, where it is half as long already", () =>
    Effect.gen(function*() {
      const one = yield* side
      yield* Harness.empty(one)
      const fitsFor = (count: number, bytes: number) =>
        Effect.gen(function*() {
          const payload = JSON.stringify("x".repeat(bytes))
          yield* one.store.enqueue({ records: Array.from({ length: count }, () => Harness.record({ payload })) })
          const { claimed, fits } = yield* Harness.exchange(one, {
            demand: [{ queue: "default", slots: count, share: count }],
            total: count
          })
          assert.strictEqual(claimed.length, count)
          return fits
        })
      const fits = yield* fitsFor(150, 10_000)
      assert.isAtLeast(fits!, 195)
      assert.isAtMost(fits!, 200)
      assert.strictEqual(yield* fitsFor(1, 3_000_000), 1)
      assert.isUndefined(yield* fitsFor(1000, 100))
      assert.isUndefined(yield* fitsFor(50, 10_000))
    }))
})
