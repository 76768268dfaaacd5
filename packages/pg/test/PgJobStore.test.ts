import { JobStoreSuite } from "@capstan/testing"
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, ManagedRuntime } from "effect"
import { afterAll } from "vitest"
import * as Harness from "./harness.ts"

const schema = Harness.schemaName("suite")
const operator = ManagedRuntime.make(Harness.client())

afterAll(() =>
  operator.runPromise(
    Effect.flatMap(PgClient.PgClient, (sql) => sql.unsafe(`DROP SCHEMA IF EXISTS ${schema} CASCADE`).unprepared)
  ).finally(() => operator.dispose())
)

const layer = Layer.effectDiscard(Effect.andThen(
  Harness.frozen(schema),
  Effect.flatMap(PgClient.PgClient, (sql) => Harness.empty({ schema, sql }))
)).pipe(
  Layer.provideMerge(Harness.store(schema))
)

JobStoreSuite.suite("postgres", layer, {
  // Random calls take a second or two, and more on a busy machine.
  timeout: 30_000,
  advance: (millis) =>
    Effect.promise(() =>
      operator.runPromise(
        Effect.flatMap(
          PgClient.PgClient,
          (sql) => sql.unsafe(`UPDATE ${schema}.now SET at = at + $1::float8::bigint`, [millis])
        )
      )
    )
})
