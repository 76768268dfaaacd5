import { JobStoreSuite } from "@capstan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Jobs, JobStore } from "capstan"
import { Effect, Layer } from "effect"
import * as H from "../src/internal/suite/harness.ts"

JobStoreSuite.suite("memory", JobStore.layerMemory())

describe("the memory store with a million records", () => {
  const batch = 100

  /** The median time of a claim of 100 records and their completion, while so many wait. */
  const timeOfClaim = (waiting: number) =>
    Effect.gen(function*() {
      for (let i = 0; i < waiting / 1000; i++) yield* H.enqueueMany(1000)
      const times: Array<number> = []
      let settlements: ReadonlyArray<JobStore.Settlement> = []
      for (let i = 0; i < 60; i++) {
        const start = performance.now()
        const { claimed } = yield* H.exchange("w", {
          settlements,
          demand: [{ queue: "default", slots: batch, share: batch }],
          total: batch
        })
        times.push(performance.now() - start)
        assert.strictEqual(claimed.length, batch)
        settlements = claimed.map(({ fence, id }) => ({ id, fence, outcome: H.complete, finishedAfter: 0 }))
      }
      return times.toSorted((a, b) => a - b)[30]!
    }).pipe(Effect.provide(JobStore.layerMemory()))

  it.effect("claims as fast as with ten thousand", () =>
    Effect.gen(function*() {
      yield* timeOfClaim(10_000)
      const few = yield* timeOfClaim(10_000)
      const many = yield* timeOfClaim(1_000_000)
      // A claim that looks at each waiting record takes a hundred times as long; caches and the collector, up to twice.
      assert.isBelow(many / few, 10)
    }), 60_000)

  it.effect("looks at a bounded number of records a call, and says where it stopped", () =>
    Effect.gen(function*() {
      const { id } = yield* H.enqueue()
      yield* H.settle("w", yield* H.claimOne("w"), H.dead)
      for (let i = 0; i < 25; i++) yield* H.enqueueMany(1000)
      const store = yield* JobStore.JobStore
      const query = (cursor?: string) =>
        store.query({ where: { states: ["dead"] }, order: "newest", limit: 10, cursor })
      const first = yield* query()
      assert.strictEqual(first.records.length, 0)
      const third = yield* query((yield* query(first.cursor)).cursor)
      assert.deepStrictEqual(third.records.map((record) => record.id), [id])
      const jobs = yield* Jobs.Jobs
      const { records } = yield* jobs.query({ states: ["dead"] })
      assert.deepStrictEqual(records.map((record) => record.id), [id])
    }).pipe(Effect.provide(Layer.provideMerge(Jobs.layer, JobStore.layerMemory()))))
})
