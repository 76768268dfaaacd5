/**
 * Lists of a store that has much: where a page is found otherwise because of that, it is the same page; and what is counted one by
 * one is counted so far and no farther. What they read is in `Plans.test.ts`.
 */
import { assert, describe, it } from "@effect/vitest"
import { type JobStore } from "capstan"
import { Effect } from "effect"
import * as Harness from "./harness.ts"
import type { Side } from "./harness.ts"

const schema = Harness.schemaName("lists")
const side = Harness.shared(schema, Harness.open(schema))

const idOf = (n: number) => `00000000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`

/** Live records from one number to another, of a lane, in an order that is not that of their ids. */
const fill = (
  { schema: s, sql }: Side,
  from: number,
  to: number,
  { key, lane, queue = "default", reason }: {
    readonly lane: 0 | 2 | 3
    readonly queue?: string
    readonly reason?: JobStore.Selection["blockedReason"]
    readonly key?: string
  }
) =>
  sql.unsafe(
    `INSERT INTO ${s}.record (id, place, priority, at, enqueued_at, ready_at, version, state, lane, due, queue, tag, key, key_limit, reason,
      blocked_on, payload)
    SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, n * 7919 % 100003, 0, ${s}.clock(), 0, 0, 1, $3::int, $3::int,
      CASE WHEN $3::int = 2 THEN ${s}.clock() + 3600000 + n * 7919 % 100003 END, $4, 'Task', $5, 1, $6, $5, 'null'
    FROM generate_series($1::int, $2::int) n`,
    [from, to, lane, queue, key ?? null, reason ?? null]
  )

/** All pages, one after the other. */
const pages = ({ store }: Side, where: JobStore.Selection, order: "newest" | "oldest") =>
  Effect.gen(function*() {
    const found: Array<string> = []
    let cursor: string | undefined
    do {
      const page = yield* store.query({ where, order, limit: 40, cursor })
      for (const { id } of page.records) found.push(id)
      cursor = page.cursor
    } while (cursor !== undefined)
    return found
  })

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => idOf(from + i))

describe("pages of little and of much are whole and in order", () => {
  const cases: Readonly<
    Record<string, readonly [where: JobStore.Selection, given: Omit<Parameters<typeof fill>[3], "key">, key?: string]>
  > = {
    "scheduled of a queue": [{ states: ["scheduled"], queue: "sought" }, { lane: 2, queue: "sought" }],
    "ready of a queue": [{ states: ["ready"], queue: "sought" }, { lane: 0, queue: "sought" }],
    ready: [{ states: ["ready"] }, { lane: 0 }],
    parked: [{ blockedReason: "NoHandler" }, { lane: 3, reason: "NoHandler" }],
    "behind a unique key": [{ blockedReason: "Unique" }, { lane: 3, reason: "Unique" }, idOf(1)],
    "behind a concurrency key": [{ blockedReason: "ConcurrencyKey" }, { lane: 3, reason: "ConcurrencyKey" }, "key"],
    "waiting for a waitpoint": [{ blockedReason: "Waitpoint" }, { lane: 3, reason: "Waitpoint" }]
  }
  for (const [name, [where, given, key]] of Object.entries(cases)) {
    for (const many of [30, 1300]) {
      it.live(`${name}: ${many} of them`, () =>
        Effect.gen(function*() {
          const one = yield* side
          yield* Harness.empty(one)
          // Others before them, among the same and behind.
          yield* fill(one, 1, 1200, { lane: 2, queue: "other" })
          yield* fill(one, 2001, 2000 + many, { ...given, ...key === undefined ? {} : { key } })
          yield* fill(one, 5001, 6200, { lane: 3, reason: "Dependencies", queue: "other" })
          const expected = range(2001, 2000 + many)
          assert.deepStrictEqual(yield* pages(one, where, "oldest"), expected)
          assert.deepStrictEqual(yield* pages(one, where, "newest"), expected.toReversed())
        }))
    }
  }
})

describe("what waits for keys is counted", () => {
  const keys = (side: Side, many: number, limit: number) =>
    Effect.gen(function*() {
      yield* Harness.empty(side)
      for (let i = 0; i < many; i++) {
        const key = `@crowd/${String(i).padStart(2, "0")}`
        yield* side.sql.unsafe(`INSERT INTO ${schema}.key (name, lim, held) VALUES ($1, 1, 0)`, [key])
        yield* fill(side, 1000 * i + 1, 1000 * i + 150, { lane: 3, reason: "ConcurrencyKey", key })
      }
      return (yield* side.store.keys({ name: "@crowd", limit })).map(({ waiting }) => waiting)
    })

  it.live("one by one where a page has few", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* keys(yield* side, 3, 500), [150, 150, 150])
      // The page, not the space.
      assert.deepStrictEqual(yield* keys(yield* side, 25, 2), [150, 150])
    }))

  it.live("up to a hundred of each where it has many", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* keys(yield* side, 25, 500), Array.from({ length: 25 }, () => 100))
    }))
})

describe("figures that nobody has added up", () => {
  it.live("are the same, and are added up by whoever asks for them", () =>
    Effect.gen(function*() {
      const one = yield* side
      yield* Harness.empty(one)
      yield* fill(one, 1, 1500, { lane: 0 })
      // One row a write, of enqueues without a worker.
      yield* one.sql.unsafe(
        `INSERT INTO ${schema}.delta (queue, ready) SELECT 'default', 1 FROM generate_series(1, 1500)`
      )
      const ready = Effect.map(one.store.stats, ({ queues }) => queues.map(({ counts }) => counts.ready))
      assert.deepStrictEqual(yield* ready, [1500])
      yield* Harness.until(
        "the sum of all",
        Effect.map(
          one.sql.unsafe<{ rows: number }>(`SELECT count(*)::int AS rows FROM ${schema}.delta`),
          ([left]) => left!.rows === 0
        )
      )
      assert.deepStrictEqual(yield* ready, [1500])
      yield* Harness.assertSound(one)
    }))

  it.live("are left as they are where they are few", () =>
    Effect.gen(function*() {
      const one = yield* side
      yield* Harness.empty(one)
      yield* Harness.enqueue(one)
      yield* one.store.stats
      yield* one.store.stats
      const left = yield* one.sql.unsafe(`SELECT 1 FROM ${schema}.delta`)
      assert.strictEqual(left.length, 1)
    }))
})
