/** Pages by what is inside of payloads, on any store: each record once and in order, however its own pages are cut. */
import { assert } from "@effect/vitest"
import { Jobs, JobStore } from "capstan"
import { Effect, Layer, Stream } from "effect"
import * as Suite from "./suite/harness.ts"

export const pagesInside = Effect.gen(function*() {
  const { enqueue } = yield* JobStore.JobStore
  const records = Array.from(
    { length: 1300 },
    (_, n) => Suite.record({ payload: JSON.stringify({ at: { n: n % 7 } }) })
  )
  for (const from of [0, 700]) yield* enqueue({ records: records.slice(from, from + 700) })
  const matching = records.filter((_, n) => n % 7 === 3).map(({ id }) => id)
  const jobs = yield* Jobs.Jobs
  const wheres: ReadonlyArray<JobStore.Selection> = [{ queue: "default" }, { ids: records.map(({ id }) => id) }]
  for (const order of ["oldest", "newest"] as const) {
    for (const [where, limit] of wheres.flatMap((where) => [[where, 10], [where, 100]] as const)) {
      const found = yield* Stream.runCollect(jobs.stream({ ...where, order, limit, payload: { "/at/n": 3 } }))
      assert.deepStrictEqual(found.map(({ id }) => id), order === "oldest" ? matching : matching.toReversed())
    }
  }
}).pipe(Effect.provide(Layer.fresh(Jobs.layer)))
