/** Schedules by real processes. */
import { describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import type { Redis } from "effect/persistence"
import { run } from "../../../scripts/servers/program.ts"
import { figure, outage, twenty } from "../../../scripts/servers/ticking.ts"
import * as Harness from "./harness.ts"

const prefix = Harness.prefixOf("ticking")
const program = new URL("./programs/schedule.ts", import.meta.url)

describe("twenty processes on one schedule", () => {
  it.live(
    "tick each instant once, and miss none, also when some of them are killed (P8)",
    (context) =>
      Effect.gen(function*() {
        const late = yield* twenty(run(program, prefix))
        yield* Effect.promise(() => context.annotate(figure("redis", late)))
        yield* Harness.empty(prefix)
      }).pipe(
        Effect.scoped,
        Effect.provide(Harness.storeOf(prefix).pipe(Layer.provideMerge(Harness.client())))
      ),
    300_000
  )
})

describe("every worker down over three instants", () => {
  const other = Harness.prefixOf("outage")

  it.live(
    "is made up for by each policy; and a clock that is set back ticks nothing twice",
    () =>
      Effect.gen(function*() {
        const context = yield* Effect.context<Redis.Redis>()
        yield* Harness.freeze(other)
        yield* outage((millis) => Effect.asVoid(Effect.orDie(Effect.provide(Harness.advance(other, millis), context))))
        yield* Harness.empty(other)
      }).pipe(
        Effect.scoped,
        Effect.provide(Harness.storeOf(other, Harness.frozenClock).pipe(Layer.provideMerge(Harness.client())))
      ),
    120_000
  )
})
