/** What many workers on one store ask of it does not grow with their number: `npm run simulate -- --workers` shows more of them. */
import { Simulation } from "@capstan/testing"
import { assert, describe, it } from "@effect/vitest"
import { JobStore } from "capstan"
import { Effect, Layer, Stream } from "effect"

const few = 10
const many = 200

/** Enough that what happens once does not count, and each worker has its share where they are busy. */
const recordsOf = (load: Simulation.Load, workers: number) => load === "idle" || load === "delayed" ? 30 : 3 * workers

const count = (load: Simulation.Load, workers: number, layer?: Layer.Layer<JobStore.JobStore>) =>
  Effect.map(
    Simulation.crowd({ seed: 1, workers, load, records: recordsOf(load, workers), layer }),
    (report) => {
      assert.strictEqual(report.runs, report.records, "each record runs once")
      const per = (counted: number) => counted / report.records
      return { exchanges: per(report.exchanges), empty: per(report.empty), wakeups: per(report.wakeups) }
    }
  )

/** The most per record, whatever the number of workers. */
const most = { exchanges: 2.5, empty: 1.5, wakeups: 1.5 }

/** What is delayed takes an exchange more, of who has the timer for it. */
const mostDelayed = { exchanges: 3.5, empty: 2.5, wakeups: 1.5 }

const above = (counts: typeof most, bounds = most) =>
  Object.entries(bounds).filter(([name, bound]) => counts[name as keyof typeof most] > bound).map(([name]) => name)

/** The memory store, but everybody is woken for everything that is enqueued. */
const wakesAll = Layer.effect(
  JobStore.JobStore,
  Effect.map(JobStore.JobStore, (store): JobStore.Shape => ({
    ...store,
    wakeups: (worker, queues) =>
      Stream.merge(
        store.wakeups(worker, queues),
        Stream.map(Stream.filter(store.events, ({ type }) => type === "enqueued"), () => undefined)
      )
  }))
).pipe(Layer.provide(JobStore.layerMemory()))

describe("a crowd of workers", { timeout: 120_000 }, () => {
  for (const load of ["backlog", "steady", "idle", "delayed"] as const) {
    it.live(`asks as often per record with ${many} as with ${few}: ${load}`, () =>
      Effect.gen(function*() {
        for (const workers of [few, many]) {
          const counts = yield* count(load, workers)
          const bounds = load === "delayed" ? mostDelayed : most
          assert.deepStrictEqual(above(counts, bounds), [], `${workers} workers: ${JSON.stringify(counts)}`)
        }
      }))
  }

  it.live("a store that wakes everybody is found out", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(above(yield* count("idle", few, wakesAll)), ["exchanges", "empty", "wakeups"])
    }))

  it.live("a seed gives the same counts", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* count("steady", few), yield* count("steady", few))
    }))
})
