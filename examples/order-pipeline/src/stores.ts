/**
 * Where orders and jobs live: on the Postgres that `ORDERS_URL` names, else in this process's memory.
 */
import { PgJobStore } from "@capstan/pg"
import * as PgClient from "@effect/sql-pg/PgClient"
import { JobStore } from "capstan"
import { Layer, Redacted } from "effect"
import { Orders } from "./orders.ts"

const url = process.env["ORDERS_URL"]

export const StoresLive = url === undefined
  ? Layer.merge(Orders.layerMemory, JobStore.layerMemory())
  // One client for both: an enqueue joins the transaction that is open on its client.
  : Layer.merge(Orders.layerPostgres, PgJobStore.layer()).pipe(
    Layer.provide(PgClient.layer({ url: Redacted.make(url) }))
  )
