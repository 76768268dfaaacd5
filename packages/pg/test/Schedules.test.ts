/** Schedules by real processes. */
import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { afterAll } from "vitest"
import { figure, twenty } from "../../../scripts/servers/ticking.ts"
import * as Harness from "./harness.ts"
import { run } from "./process.ts"

const schema = Harness.schemaName("ticking")
afterAll(() => Harness.drop(schema))

describe("twenty processes on one schedule", () => {
  it.live(
    "tick each instant once, and miss none, also when some of them are killed (P8)",
    (context) =>
      Effect.gen(function*() {
        const late = yield* twenty(run("schedule", schema))
        yield* Effect.promise(() => context.annotate(figure("postgres", late)))
      }).pipe(Effect.scoped, Effect.provide(Harness.store(schema))),
    300_000
  )
})
