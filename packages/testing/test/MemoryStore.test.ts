import { JobStoreSuite } from "@capstan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Jobs, JobStore } from "capstan"
import { Effect, Layer, Option, Stream } from "effect"
import * as H from "../src/internal/suite/harness.ts"
import { folderOf, twin } from "./twin.ts"

JobStoreSuite.suite("memory", JobStore.layerMemory())

describe("the memory store with a million records", () => {
  const batch = 100

  type Watcher = ProxyHandler<Record<PropertyKey, unknown>>

  /** The memory store, whose records can be watched: each is a proxy, and the watcher is theirs. */
  const watched = Effect.promise(async () => {
    const name = "records that are watched"
    const layer = await twin(name, {
      file: "row.ts",
      line: "    this.priority = spec.priority\n  }",
      instead:
        "    this.priority = spec.priority\n    return new Proxy(this, Row.watcher)\n  }\n\n  static watcher = {}"
    })
    const { Row }: { readonly Row: { readonly watcher: Watcher } } = await import(`${folderOf(name)}/row.ts`)
    return { layer, watcher: Row.watcher }
  })

  /** How often records are looked at in each of 20 exchanges that settle 100 and claim 100, while so many wait. */
  const looksOf = (waiting: number, layer: Layer.Layer<JobStore.JobStore>, watcher: Watcher) =>
    Effect.gen(function*() {
      for (let i = 0; i < waiting / 1000; i++) {
        yield* H.enqueueMany(900)
        yield* H.enqueueMany(100, { delay: 3_600_000 + i })
      }
      const looks: Array<number> = []
      let count = 0
      watcher.get = (row, field) => (count++, row[field])
      let settlements: ReadonlyArray<JobStore.Settlement> = []
      for (let i = 0; i < 20; i++) {
        const before = count
        const { claimed } = yield* H.exchange("w", {
          settlements,
          demand: [{ queue: "default", slots: batch, share: batch }],
          total: batch
        })
        looks.push(count - before)
        assert.strictEqual(claimed.length, batch)
        settlements = claimed.map(({ fence, id }) => ({ id, fence, outcome: H.complete, finishedAfter: 0 }))
      }
      delete watcher.get
      return looks
    }).pipe(Effect.provide(layer))

  it.effect(
    "claims and settles with exactly as many looks at records as with ten thousand",
    () =>
      Effect.gen(function*() {
        const { layer, watcher } = yield* watched
        const few = yield* looksOf(10_000, Layer.fresh(layer), watcher)
        for (const looks of few) assert.isAbove(looks, batch)
        assert.deepStrictEqual(yield* looksOf(1_000_000, Layer.fresh(layer), watcher), few)
      }),
    120_000
  )

  it.effect("looks at none for a state that no record is in", () =>
    Effect.gen(function*() {
      const { layer, watcher } = yield* watched
      yield* Effect.gen(function*() {
        yield* H.enqueueMany(1000)
        const store = yield* JobStore.JobStore
        let looks = 0
        watcher.get = (row, field) => (looks++, row[field])
        const page = (states: ReadonlyArray<"dead" | "ready">, queue?: string) =>
          store.query({ where: { states, queue }, order: "newest", limit: 10 })
        assert.deepStrictEqual(yield* page(["dead"]), { records: [], cursor: undefined, looked: 0 })
        assert.deepStrictEqual(yield* page(["ready"], "another"), { records: [], cursor: undefined, looked: 0 })
        assert.strictEqual(looks, 0)
        assert.strictEqual((yield* page(["dead", "ready"])).records.length, 10)
        assert.isAbove(looks, 0)
        delete watcher.get
      }).pipe(Effect.provide(Layer.fresh(layer)))
    }))

  it.effect("looks at a bounded number of records a call, and a page of Jobs is one: it says at how many, and where it stopped", () =>
    Effect.gen(function*() {
      const { id } = yield* H.enqueue({ queue: "other" })
      for (let i = 0; i < 25; i++) {
        yield* H.enqueueMany(1000)
        yield* H.enqueueMany(1000, { tag: "Other", queue: "other" })
      }
      const jobs = yield* Jobs.Jobs
      const where = { tag: "Task", queue: "other", limit: 10 }
      const first = yield* jobs.query(where)
      assert.deepStrictEqual(first.records, [])
      assert.strictEqual(first.looked, 10_000)
      const second = yield* jobs.query({ ...where, cursor: Option.getOrThrow(first.cursor) })
      const third = yield* jobs.query({ ...where, cursor: Option.getOrThrow(second.cursor) })
      assert.deepStrictEqual(third.records.map((record) => record.id), [id])
      assert.isTrue(Option.isNone(third.cursor))
      assert.deepStrictEqual((yield* Stream.runCollect(jobs.stream(where))).map((record) => record.id), [id])
    }).pipe(Effect.provide(Layer.provideMerge(Jobs.layer, JobStore.layerMemory()))))
})
