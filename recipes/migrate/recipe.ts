/** The recipes of docs/migrate: jobs of each queue move to each store, through kills, and run there once. */
import { PgJobStore } from "@capstan/pg"
import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { PgClient } from "@effect/sql-pg"
import { JobSchedules, JobStore } from "capstan"
import { Effect, Layer, Logger, Option, Redacted, Schedule, type Scope } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import assert from "node:assert/strict"
import process from "node:process"
import * as Cron from "./cron.ts"
import * as BullMQ from "./test/bullmq.ts"
import { check, type Filled, race } from "./test/checks.ts"
import * as GraphileWorker from "./test/graphile-worker.ts"
import { type Given, killedAnywhere, leavesOut } from "./test/kills.ts"
import * as PgBoss from "./test/pg-boss.ts"
import { killedAndRepeated } from "./test/programs.ts"
import { task } from "./theirs/node-cron.ts"

const postgresUrl = process.env.CAPSTAN_TEST_PG_URL!
const redisUrl = process.env.CAPSTAN_TEST_REDIS_URL!

// graphile-worker tells of each job.
console.info = () => {}

const Postgres = PgClient.layer({ url: Redacted.make(postgresUrl), maxConnections: 20 })

// The schema or the prefix of each run is its own; the client is that of the source, so a page is one transaction.
const stores = {
  Postgres: (schema: string) => PgJobStore.layer({ schema }),
  Redis: (prefix: string) => RedisJobStore.layer({ prefix }).pipe(Layer.provide(NodeRedis.layer({ url: redisUrl })))
}

let made = 0
/** With a store of this kind that is empty. */
const withEmpty = <A, E>(
  to: Given["to"],
  use: (store: string) => Effect.Effect<A, E, JobStore.JobStore | PgClient.PgClient | SqlClient | Scope.Scope>
) => {
  const name = `capstan_${++made}`
  return Effect.runPromise(
    use(name).pipe(
      Effect.scoped,
      Effect.provide(Layer.provideMerge(stores[to](name), Postgres)),
      Effect.provide(Logger.layer([]))
    )
  )
}

interface Moved extends Pick<typeof BullMQ, "many" | "works"> {
  readonly filled: (url: string) => Effect.Effect<Filled, unknown, JobStore.JobStore | SqlClient | Scope.Scope>
  readonly url: string
  readonly env: Readonly<Record<string, string>>
  readonly program: string
}

const queues: Readonly<Record<Given["from"], Moved>> = {
  BullMQ: { ...BullMQ, url: redisUrl, env: { REDIS_URL: redisUrl }, program: "move-bullmq.ts" },
  "pg-boss": { ...PgBoss, url: postgresUrl, env: { DATABASE_URL: postgresUrl }, program: "move-pg-boss.ts" },
  "graphile-worker": {
    ...GraphileWorker,
    url: postgresUrl,
    env: { DATABASE_URL: postgresUrl },
    program: "move-graphile-worker.ts"
  }
}

for (const from of ["BullMQ", "pg-boss", "graphile-worker"] as const) {
  const { env, filled, many, program, url, works } = queues[from]
  // One after the other: they share their servers.
  assert.deepEqual(await works(url), ["Disk full", "Welcome", "report of 2026-11-26"])
  for (const to of ["Postgres", "Redis"] as const) {
    const atomic = to === "Postgres" && from !== "BullMQ"
    const [kills, sides = "paused"] = await withEmpty(
      to,
      () => Effect.flatMap(filled(url), (filled) => Effect.all([check(filled, atomic), race(filled)]))
    )
    console.log(`${from} to ${to}: each job once, through ${kills} interrupts; ${sides}`)
    const killed = await withEmpty(to, (store) =>
      Effect.flatMap(filled(url), (filled) =>
        Effect.andThen(
          leavesOut(filled, postgresUrl),
          killedAnywhere(filled, { from, to, store, postgresUrl, redisUrl })
        )))
    console.log(`${from} to ${to}: each job once, through ${killed} kills`)
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
