/** Capstan on Postgres: the same as in memory but for the layer. */
import { PgJobStore } from "@capstan/pg"
import { PgClient } from "@effect/sql-pg"
import { Layer, Redacted } from "effect"
import { makeOn } from "../../src/systems/capstan.ts"

export const make = makeOn((url) =>
  Layer.orDie(Layer.provide(PgJobStore.layer(), PgClient.layer({ url: Redacted.make(url) })))
)
