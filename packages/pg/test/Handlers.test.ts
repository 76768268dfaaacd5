/** Steps, waits, batches and what handlers say of limits, from a worker's end to the functions of the schema. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { handlersProgram, handlersProgramDoes } from "../../testing/src/internal/handlersProgram.ts"
import { stepsProgram, stepsProgramDoes } from "../../testing/src/internal/stepsProgram.ts"
import * as Harness from "./harness.ts"

const schema = Harness.schemaName("handlers")
const side = Harness.shared(schema, Harness.open(schema))

describe("steps on Postgres", () => {
  it.live("are done once, found again beyond 64 KiB, waited for and undone", () =>
    Effect.gen(function*() {
      const one = yield* side
      assert.deepStrictEqual(yield* Effect.provide(stepsProgram, one.context), stepsProgramDoes)
      yield* Harness.assertSound(one)
    }))
})

describe("handlers on Postgres", () => {
  it.live("say how each of a batch ends, how far they are, and what is limited", () =>
    Effect.gen(function*() {
      const one = yield* side
      assert.deepStrictEqual(yield* Effect.provide(handlersProgram, one.context), handlersProgramDoes)
      yield* Harness.assertSound(one)
    }))
})
