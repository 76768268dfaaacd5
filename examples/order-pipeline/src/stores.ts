/**
 * Where orders and jobs live: on the Postgres or the Redis that `ORDERS_URL` names, else in this process's memory.
 */
import { PgJobStore } from "@capstan/pg"
import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import * as PgClient from "@effect/sql-pg/PgClient"
import { JobStore } from "capstan"
import { Layer, Redacted } from "effect"
import { Orders } from "./orders.ts"

const onPostgres = (url: string) =>
  // One client for both: an enqueue joins the transaction that is open on its client.
  Layer.merge(Orders.layerPostgres, PgJobStore.layer()).pipe(
    Layer.provide(PgClient.layer({ url: Redacted.make(url) }))
  )

const onRedis = (url: string) =>
  Layer.merge(Orders.layerRedis, RedisJobStore.layer()).pipe(Layer.provide(NodeRedis.layer({ url })))

const inMemory = () => Layer.merge(Orders.layerMemory, JobStore.layerMemory())

const url = process.env["ORDERS_URL"]

export const StoresLive = Layer.suspend((): Layer.Layer<Orders | JobStore.JobStore, unknown> =>
  url === undefined ? inMemory() : url.startsWith("redis:") ? onRedis(url) : onPostgres(url)
)
