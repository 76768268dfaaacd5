// Written by `npm run docs`: the example of `layer` of @capstan/pg/PgOutbox.
import { Effect } from "effect"
import { PgOutbox } from "@capstan/pg"
import { ShipOrder, order, sql } from "./setting.ts"

export const run = Effect.gen(function*() {
  yield* sql.withTransaction(Effect.gen(function*() {
    yield* sql`INSERT INTO orders ${sql.insert(order)}`
    yield* ShipOrder.enqueue(order)
  })).pipe(Effect.provide(PgOutbox.layer({ relay: "redis" })))
})
