/** Steps, waits and a saga, from a worker's end to the functions of the schema. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { stepsProgram, stepsProgramDoes } from "../../testing/src/internal/stepsProgram.ts"
import * as Harness from "./harness.ts"

const schema = Harness.schemaName("steps")
const side = Harness.shared(schema, Harness.open(schema))

describe("steps on Postgres", () => {
  it.live("are done once, found again beyond 64 KiB, waited for and undone", () =>
    Effect.gen(function*() {
      const one = yield* side
      assert.deepStrictEqual(yield* Effect.provide(stepsProgram, one.context), stepsProgramDoes)
      yield* Harness.assertSound(one)
    }))
})
