/** Capstan on Postgres where jobs keep no history: `retention: { completed: 0 }`. What else is deleted at its end keeps none either. */
import { PgJobStore } from "@capstan/pg"
import { PgClient } from "@effect/sql-pg"
import { Layer, Redacted } from "effect"
import { forgotten, makeOn } from "../../src/capstan.ts"

export const make = makeOn(
  (url) => Layer.orDie(Layer.provide(PgJobStore.layer(), PgClient.layer({ url: Redacted.make(url) }))),
  forgotten
)
