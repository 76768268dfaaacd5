/** A mover in a process of its own, which is killed at an instant of a page: see `kills.ts`. */
import { PgJobStore } from "@capstan/pg"
import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { PgClient } from "@effect/sql-pg"
import { JobStore } from "capstan"
import { Effect, Layer, Logger, Redacted } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import process from "node:process"
import { routes } from "../jobs.ts"
import * as BullMQ from "../src/bullmq.ts"
import * as GraphileWorker from "../src/graphileWorker.ts"
import { move } from "../src/move.ts"
import * as PgBoss from "../src/pgBoss.ts"
import { reportTo } from "../src/report.ts"
import type { Source } from "../src/source.ts"
import { queueAt } from "../theirs/bullmq.ts"
import type { Given } from "./kills.ts"

const { at, from, page, postgresUrl, redisUrl, report, store: target, to }: Given = JSON.parse(process.argv[2]!)

let pages = 0
const isHere = (instant: Given["at"]) => instant === at && pages === page
const dieAt = (instant: Given["at"]) =>
  Effect.sync(() => {
    if (isHere(instant)) process.kill(process.pid, "SIGKILL")
  })

/** The client, which dies between what a transaction has done and its end. */
const untilCommit = (sql: SqlClient): SqlClient =>
  new Proxy(sql, {
    get: (_, key) =>
      key !== "withTransaction"
        ? Reflect.get(sql, key)
        : <R, E, A>(effect: Effect.Effect<A, E, R>) => sql.withTransaction(Effect.tap(effect, dieAt("removed")))
  })

const bullmq = Effect.gen(function*() {
  const queue = yield* Effect.acquireRelease(
    Effect.sync(() => queueAt(redisUrl)),
    (queue) => Effect.promise(() => queue.close())
  )
  let removed = 0
  // Others of its page are removed at the same time.
  const remove = async (id: string) => {
    const answer = await queue.remove(id)
    if (isHere("removed") && ++removed === 3) process.kill(process.pid, "SIGKILL")
    return answer
  }
  const watched = new Proxy<BullMQ.BullQueue>(queue, {
    get: (_, key) => {
      const value: unknown = key === "remove" ? remove : Reflect.get(queue, key)
      return typeof value === "function" ? value.bind(queue) : value
    }
  })
  return BullMQ.source(watched, { batch: 10 })
})

const ofSql = (source: typeof PgBoss.source | typeof GraphileWorker.source) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    return yield* Effect.provideService(source({ batch: 10 }), SqlClient, untilCommit(sql))
  })

const sources = { BullMQ: bullmq, "pg-boss": ofSql(PgBoss.source), "graphile-worker": ofSql(GraphileWorker.source) }

/** The source, which dies in its pages. */
const dying = (source: Source): Source => ({
  ...source,
  pages: (removes, use) =>
    source.pages(removes, (jobs) =>
      Effect.suspend(() => {
        pages++
        return dieAt("read").pipe(Effect.andThen(use(jobs)), Effect.tap(dieAt("reported")))
      })),
  others: Effect.andThen(
    Effect.sync(() => {
      if (at === "others") process.kill(process.pid, "SIGKILL")
    }),
    source.others
  )
})

const main = Effect.gen(function*() {
  const store = yield* JobStore.JobStore
  const told: JobStore.Shape = Object.create(store, {
    enqueue: {
      value: (request: JobStore.EnqueueRequest) => Effect.tap(store.enqueue(request), dieAt("stored"))
    }
  })
  const source = dying(yield* sources[from])
  yield* move({ source, routes, mode: "move", report: yield* reportTo(report) }).pipe(
    Effect.provideService(JobStore.JobStore, told)
  )
}).pipe(Effect.scoped)

// The one who kills looks for sessions of this name.
const Postgres = PgClient.layer({ url: Redacted.make(postgresUrl), applicationName: "mover" })
const Store = to === "Postgres"
  ? PgJobStore.layer({ schema: target })
  : RedisJobStore.layer({ prefix: target }).pipe(Layer.provide(NodeRedis.layer({ url: redisUrl })))

await Effect.runPromise(
  Effect.provide(main, [Layer.provideMerge(Store, Postgres), NodeServices.layer, Logger.layer([])])
)
