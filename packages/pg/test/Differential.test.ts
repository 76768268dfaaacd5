/** The same random programs on Postgres and in memory: the same answers, records and figures after every step. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { explore, type Subject } from "../../testing/src/internal/differential.ts"
import * as Harness from "./harness.ts"

const schema = Harness.schemaName("differential")

const subject = Harness.shared(
  schema,
  Effect.gen(function*() {
    const side = yield* Harness.open(schema)
    yield* Effect.orDie(Effect.provide(Harness.frozen(schema), side.context))
    return {
      empty: Effect.orDie(Effect.as(Harness.empty(side), side.store)),
      setClock: (now) =>
        Effect.asVoid(Effect.orDie(side.sql.unsafe(`UPDATE ${schema}.now SET at = $1::float8::bigint`, [now])))
    } satisfies Subject
  })
)

describe("the same random programs", () => {
  it.live("have the same history on Postgres as in memory", () =>
    Effect.gen(function*() {
      const found = yield* explore(yield* subject, process.env)
      assert.isUndefined(found, found)
    }), 3_600_000)
})
