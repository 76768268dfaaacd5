/** Steps, waits, batches and what handlers say of limits, from a worker's end to the scripts. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { handlersProgram, handlersProgramDoes } from "../../testing/src/internal/handlersProgram.ts"
import { stepsProgram, stepsProgramDoes } from "../../testing/src/internal/stepsProgram.ts"
import * as Harness from "./harness.ts"

const prefix = Harness.prefixOf("handlers")
const live = Layer.orDie(Layer.provideMerge(Harness.storeOf(prefix), Harness.client()))

describe("steps on Redis", () => {
  it.live("are done once, found again beyond 64 KiB, waited for and undone", () =>
    Effect.gen(function*() {
      yield* Harness.empty(prefix)
      assert.deepStrictEqual(yield* stepsProgram, stepsProgramDoes)
      yield* Harness.empty(prefix)
    }).pipe(Effect.provide(live)))
})

describe("handlers on Redis", () => {
  it.live("say how each of a batch ends, how far they are, and what is limited", () =>
    Effect.gen(function*() {
      yield* Harness.empty(prefix)
      assert.deepStrictEqual(yield* handlersProgram, handlersProgramDoes)
      yield* Harness.empty(prefix)
    }).pipe(Effect.provide(live)))
})
