/**
 * The table of `npm run simulate -- --workers`: exchanges, empty exchanges and wake-ups per record, by the number of workers
 * and by how records come.
 *
 * In memory time is virtual, and a seed gives the same counts everywhere. On a throwaway server of `--store` it is real: there
 * only an idle store is looked at, where a wake-up that reaches too many shows. Workers poll there besides, each every two
 * seconds.
 */
import { PgJobStore } from "@capstan/pg"
import { RedisJobStore } from "@capstan/redis"
import { Simulation } from "@capstan/testing"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { PgClient } from "@effect/sql-pg"
import type { JobStore } from "capstan"
import { Effect, Layer, Redacted } from "effect"
import { startPostgres, startRedis } from "./servers/index.ts"

const loads: ReadonlyArray<Simulation.Load> = ["backlog", "steady", "idle", "delayed"]

const servers: Readonly<
  Record<string, () => Promise<{ readonly layer: Layer.Layer<JobStore.JobStore>; readonly stop: () => Promise<void> }>>
> = {
  pg: async () => {
    const { stop, url } = await startPostgres()
    const client = PgClient.layer({ url: Redacted.make(url), maxConnections: 20 })
    return { stop, layer: Layer.orDie(PgJobStore.layer().pipe(Layer.provide(client))) }
  },
  redis: async () => {
    const { stop, url } = await startRedis()
    return { stop, layer: Layer.orDie(RedisJobStore.layer().pipe(Layer.provide(NodeRedis.layer({ url })))) }
  }
}

/** How many records: enough that what happens once does not count, and each worker has its share where they are busy. */
export const recordsOf = (load: Simulation.Load, workers: number): number =>
  load === "backlog" || load === "steady" ? Math.max(200, 10 * workers) : 100

export const showCrowd = async ({ seed, store, workers }: {
  readonly workers: ReadonlyArray<number>
  readonly store: string
  readonly seed: number
}): Promise<void> => {
  if (workers.some((count) => !Number.isInteger(count) || count < 1)) throw new Error("--workers: numbers from 1 on")
  if (store !== "memory" && servers[store] === undefined) throw new Error("--store: memory, pg or redis")
  const server = await servers[store]?.()
  console.log("load      workers  records  exchanges/record  empty/record  wake-ups/record")
  const settings = (server === undefined ? loads : ["idle" as const, "delayed" as const]).flatMap((load) =>
    workers.map((count) => ({ load, workers: count, records: server === undefined ? recordsOf(load, count) : 50 }))
  )
  const each = Effect.forEach(settings, (setting) =>
    Effect.map(
      Simulation.crowd({ ...setting, seed, ...server === undefined ? {} : { layer: server.layer, realTime: true } }),
      (report) => {
        const per = (counted: number, width: number) => (counted / report.records).toFixed(2).padStart(width)
        console.log(
          setting.load.padEnd(8) + String(setting.workers).padStart(9) + String(setting.records).padStart(9) +
            per(report.exchanges, 18) + per(report.empty, 14) + per(report.wakeups, 17)
        )
      }
    ))
  try {
    await Effect.runPromise(each)
  } finally {
    await server?.stop()
  }
}
