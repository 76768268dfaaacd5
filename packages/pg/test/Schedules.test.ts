/** Schedules by real processes. */
import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { afterAll } from "vitest"
import { figure, outage, twenty } from "../../../scripts/servers/ticking.ts"
import * as Harness from "./harness.ts"
import { run } from "./process.ts"

const schema = Harness.schemaName("ticking")
const other = Harness.schemaName("outage")
afterAll(() => Harness.drop(schema, other))

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

describe("every worker down over three instants", () => {
  it.live(
    "is made up for by each policy; and a clock that is set back ticks nothing twice",
    () =>
      Effect.gen(function*() {
        const side = yield* Harness.open(other)
        const advance = yield* Effect.provide(Harness.frozen(other), side.context)
        yield* Effect.provide(outage((millis) => Effect.orDie(advance(millis))), side.context)
      }).pipe(Effect.scoped),
    120_000
  )
})
