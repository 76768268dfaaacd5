/** Records of which nothing is kept: no history, and all the same nobody takes one for lost. */
import { assert, describe, it } from "@effect/vitest"
import type { JobStore } from "capstan"
import { Effect } from "effect"
import { batchJson, settlementJson } from "../src/internal/codec.ts"
import * as Harness from "./harness.ts"
import type { Side } from "./harness.ts"

const schema = Harness.schemaName("history")

const sides = Harness.shared(
  schema,
  Effect.gen(function*() {
    const one = yield* Harness.open(schema)
    const pass = yield* Effect.provide(Effect.orDie(Harness.frozen(schema)), one.context)
    return { one, pass: (millis: number) => Effect.orDie(pass(millis)) }
  })
)

const kept = { age: 60_000, count: Infinity }
const none = { age: 0, count: Infinity }
const nothing = { retention: { completed: none, cancelled: none, dead: none } }

const rows = ({ schema, sql }: Side, table: string) =>
  Effect.map(sql.unsafe(`SELECT 1 FROM ${schema}.${table}`), ({ length }) => length)

const ends: Readonly<Record<string, (one: Side) => Effect.Effect<unknown, unknown>>> = {
  "a completion": (one) => Effect.flatMap(Harness.claimOne(one), (at) => Harness.settle(one, at)),
  "a completion that leaves a child": (one) =>
    Effect.flatMap(Harness.claimOne(one), (at) =>
      Harness.exchange(one, {
        settlements: [{
          id: at.id,
          fence: at.fence,
          outcome: Harness.complete,
          finishedAfter: 0,
          children: [Harness.record({ queue: "children" })]
        }]
      })),
  "a death": (one) =>
    Effect.flatMap(
      Harness.claimOne(one),
      (at) => Harness.settle(one, at, { _tag: "Dead", reason: "Failed", failure: Harness.failure })
    )
}

describe("without history", () => {
  for (const [name, end] of Object.entries(ends)) {
    it.live(`${name} leaves no row of it, and the store is sound`, () =>
      Effect.gen(function*() {
        const { one } = yield* sides
        yield* Harness.empty(one)
        yield* Harness.enqueue(one, { ...nothing, ...Harness.unique("u"), idempotencyKey: "i" })
        yield* end(one)
        assert.strictEqual(yield* rows(one, "history"), 0)
        assert.strictEqual(yield* rows(one, "idem"), 0)
        assert.strictEqual(yield* rows(one, "uniq"), 0)
        yield* Harness.assertSound(one)
      }))
  }

  it.live("a count of 0 keeps nothing either, and what has another retention is kept beside it", () =>
    Effect.gen(function*() {
      const { one } = yield* sides
      yield* Harness.empty(one)
      const counted = { age: Infinity, count: 0 }
      yield* Harness.enqueue(one, { retention: { completed: counted, cancelled: counted, dead: counted } })
      yield* Harness.enqueue(one, { retention: { completed: kept, cancelled: kept, dead: kept } })
      const both = yield* Harness.claim(one, 2)
      yield* Harness.exchange(one, {
        settlements: both.map(({ fence, id }) => ({ id, fence, outcome: Harness.complete, finishedAfter: 0 }))
      })
      assert.strictEqual(yield* rows(one, "history"), 1)
      yield* Harness.assertSound(one)
    }))

  it.live("an enqueue that is sent again does not run the record a second time", () =>
    Effect.gen(function*() {
      const { one } = yield* sides
      yield* Harness.empty(one)
      for (const end of Object.values(ends)) {
        const record = Harness.record(nothing)
        yield* one.store.enqueue({ records: [record] })
        yield* end(one)
        const [again] = yield* one.sql.unsafe<{ outcome: string }>(
          `SELECT outcome FROM ${schema}.enqueue_each($1::text::json, true, false, NULL)`,
          [batchJson({ records: [record] })]
        )
        assert.strictEqual(again?.outcome, "Existing")
      }
    }))

  for (const what of ["children of a settlement", "members that are stored again"] as const) {
    it.live(`${what} are looked for once among what has run, however many they are`, () =>
      Effect.gen(function*() {
        const { one } = yield* sides
        yield* Harness.empty(one)
        const ran = Harness.record(nothing)
        yield* one.store.enqueue({ records: [ran] })
        yield* Harness.settle(one, yield* Harness.claimOne(one))
        const { fence, id } = yield* Effect.andThen(Harness.enqueue(one), Harness.claimOne(one))
        const members = [ran.id, ...Array.from({ length: 50 }, Harness.newId)].map((id) =>
          Harness.record({ id, queue: "children", flowId: "flow" })
        )
        const outcome: JobStore.Outcome = { _tag: "WaitForChildren" }
        const settlement = settlementJson({ id, fence, outcome, finishedAfter: 0, children: members })
        // Of this session since it has last told of them.
        const looks = Effect.map(
          one.sql.unsafe<{ looks: number }>(`
            SELECT (seq_scan + idx_scan)::int AS looks FROM pg_stat_xact_user_tables
            WHERE schemaname = '${schema}' AND relname = 'spent'`),
          ([row]) => row!.looks
        )
        const looked = yield* one.sql.withTransaction(Effect.gen(function*() {
          const before = yield* looks
          yield* what === "children of a settlement"
            ? one.sql.unsafe(`SELECT ${schema}.settle_one($1::text::json, ${schema}.clock())`, [
              JSON.stringify(settlement)
            ])
            : one.sql.unsafe(`SELECT outcome FROM ${schema}.enqueue_each($1::text::json, false, false)`, [
              batchJson({ records: members })
            ])
          return (yield* looks) - before
        }))
        assert.strictEqual(looked, 1)
        const children = yield* one.store.query({ where: { queue: "children" }, order: "oldest", limit: 100 })
        assert.strictEqual(children.records.length, 50, "but for the one that has run")
        yield* Harness.assertSound(one)
      }))
  }

  it.live("a settlement is known for a minute after the worker's last", () =>
    Effect.gen(function*() {
      const { one, pass } = yield* sides
      yield* Harness.empty(one)
      yield* Harness.enqueue(one, nothing)
      const first = yield* Harness.claimOne(one)
      yield* Harness.settle(one, first)
      yield* pass(3_600_000)
      yield* one.store.maintain
      assert.strictEqual(yield* Harness.settle(one, first), "Done")
      yield* Harness.enqueue(one, nothing)
      const second = yield* Harness.claimOne(one)
      yield* Harness.settle(one, second)
      yield* pass(60_000)
      yield* one.store.maintain
      assert.strictEqual(yield* Harness.settle(one, first), "LeaseLost")
      assert.strictEqual(yield* Harness.settle(one, second), "Done")
    }))
})
