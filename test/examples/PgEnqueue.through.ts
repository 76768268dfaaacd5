// Written by `npm run docs`: the example of `through` of @capstan/pg/PgEnqueue.
import { Effect } from "effect"
import { PgEnqueue } from "@capstan/pg"
import { SendInvoice, client, id } from "./setting.ts"

export const run = async () => {
  await client.query("BEGIN")
  await client.query("INSERT INTO orders (id) VALUES ($1)", [id])
  await Effect.runPromise(SendInvoice.enqueue({ id }).pipe(PgEnqueue.through(PgEnqueue.pg(client))))
  await client.query("COMMIT")
}
