import { JobStoreSuite } from "@capstan/testing"
import { assert, describe, it } from "@effect/vitest"
import { JobStore } from "capstan"
import { Effect } from "effect"
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
})
