/** The recipes of docs/migrate: jobs of each queue move to each store, through kills, and run there once. */
import { PgJobStore } from "@capstan/pg"
import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { PgClient } from "@effect/sql-pg"
import { JobSchedules, JobStore } from "capstan"
import { Effect, Layer, Logger, Option, Redacted, Schedule } from "effect"
import assert from "node:assert/strict"
import process from "node:process"
import * as Cron from "./cron.ts"
import * as BullMQ from "./test/bullmq.ts"
import { check, race } from "./test/checks.ts"
import * as GraphileWorker from "./test/graphile-worker.ts"
import * as PgBoss from "./test/pg-boss.ts"
import { killedAndRepeated } from "./test/programs.ts"
import { task } from "./theirs/node-cron.ts"

const postgresUrl = process.env.CAPSTAN_TEST_PG_URL!
const redisUrl = process.env.CAPSTAN_TEST_REDIS_URL!

// graphile-worker tells of each job.
console.info = () => {}

const Postgres = PgClient.layer({ url: Redacted.make(postgresUrl), maxConnections: 20 })

let made = 0
const stores = {
  // The schema of each run is its own; the client is that of the source, so a page is one transaction.
  Postgres: () => PgJobStore.layer({ schema: `capstan_${++made}` }),
  Redis: () =>
    RedisJobStore.layer({ prefix: `capstan-${++made}` }).pipe(Layer.provide(NodeRedis.layer({ url: redisUrl })))
}

const queues = {
  BullMQ: { ...BullMQ, url: redisUrl, env: { REDIS_URL: redisUrl }, program: "move-bullmq.ts" },
  "pg-boss": { ...PgBoss, url: postgresUrl, env: { DATABASE_URL: postgresUrl }, program: "move-pg-boss.ts" },
  "graphile-worker": {
    ...GraphileWorker,
    url: postgresUrl,
    env: { DATABASE_URL: postgresUrl },
    program: "move-graphile-worker.ts"
  }
}

for (const [name, { env, filled, many, program, url, works }] of Object.entries(queues)) {
  // One after the other: they share their servers.
  assert.deepEqual(await works(url), ["Disk full", "Welcome", "report of 2026-11-26"])
  for (const [to, store] of Object.entries(stores)) {
    const both = Effect.flatMap(filled(url), (filled) => {
      const atomic = to === "Postgres" && name !== "BullMQ"
      return Effect.all([check(filled, atomic), race(filled)])
    }).pipe(
      Effect.scoped,
      Effect.provide(Layer.provideMerge(store(), Postgres)),
      Effect.provide(Logger.layer([]))
    )
    const [kills, sides = "paused"] = await Effect.runPromise(both)
    console.log(`${name} to ${to}: each job once, through ${kills} kills; ${sides}`)
  }
  console.log(`${program}: ${await killedAndRepeated(program, env, await many(url))}`)
}

const next = await Effect.runPromise(
  Effect.gen(function*() {
    const { get } = yield* JobSchedules.JobSchedules
    const isThere = { until: Option.isSome, schedule: Schedule.spaced("10 millis") }
    const served = yield* Effect.repeat(get("Report"), isThere)
    return Option.getOrThrow(Option.flatMap(served, ({ next }) => next)).at
  }).pipe(
    Effect.provide(Cron.Every.pipe(Layer.provideMerge(JobSchedules.layer), Layer.provide(JobStore.layerMemory()))),
    Effect.provide(Logger.layer([]))
  )
)
assert.equal(next, task.getNextRun()!.getTime())
await task.destroy()
console.log("node-cron: the next run is the same instant")
