/** Effect's PersistedQueue on SQL. */
import { PgClient } from "@effect/sql-pg"
import { Layer, Redacted } from "effect"
import { PersistedQueue } from "effect/persistence"
import { makeOn } from "../../src/systems/effect-persisted-queue.ts"

export const make = makeOn((url) =>
  Layer.orDie(Layer.provide(PersistedQueue.layerStoreSql(), PgClient.layer({ url: Redacted.make(url) })))
)
