/** The alerts on every store: what they look at is the store's, and so is their memory. */
import { type AlertChannel, AlertRule, Alerts } from "@capstan/alerts"
import { PgJobStore } from "@capstan/pg"
import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, Jobs, JobStore, JobWorker } from "capstan"
import { Deferred, Effect, Layer, Logger, Redacted, Schema } from "effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import { Redis } from "effect/persistence"

class Ship extends Job.make("Ship", { payload: { n: Schema.Int }, maxAttempts: 1 }) {}
const Lonely = Job.make("Nobody", { queue: "lonely" })

const WorkerLive = JobWorker.layer(JobGroup.make(Ship), { shutdownGrace: 0 }).pipe(
  Layer.provide(Ship.toLayer(({ n }) => n < 0 ? Effect.die(new Error(`no ${n}`)) : Effect.void))
)

/** Of what completes nothing is kept, so by the figures all that ends is dead. */
const unkept = { payload: { n: Schema.Int }, maxAttempts: 1, retention: { completed: 0 } } as const
const Well = Job.make("Well", { ...unkept, queue: "well" })
const Ill = Job.make("Ill", { ...unkept, queue: "ill" })
const handled = ({ n }: { readonly n: number }) => n < 0 ? Effect.die(new Error(`no ${n}`)) : Effect.void
const UnkeptLive = JobWorker.layer(JobGroup.make(Well, Ill), { shutdownGrace: 0 }).pipe(
  Layer.provide(Layer.merge(Well.toLayer(handled), Ill.toLayer(handled)))
)

/** A client without an address would look for a server of somebody else's. */
const urlOf = (variable: string): string => {
  const url = process.env[variable]
  if (url === undefined) throw new Error(`${variable} is not set. \`npm test\` sets it.`)
  return url
}

const name = `t_alerts_${process.pid}`

const pg = PgClient.layer({ url: Redacted.make(urlOf("CAPSTAN_TEST_PG_URL")), maxConnections: 5 })
const dropped = Layer.effectDiscard(
  Effect.flatMap(PgClient.PgClient, (sql) => {
    const drop = Effect.orDie(sql.unsafe(`DROP SCHEMA IF EXISTS ${name} CASCADE`).unprepared)
    return Effect.acquireRelease(drop, () => drop)
  })
)

const redis = NodeRedis.layer({ url: urlOf("CAPSTAN_TEST_REDIS_URL") })
const emptied = Layer.effectDiscard(
  Effect.flatMap(Redis.Redis, (redis) => {
    const empty = Effect.orDie(
      Effect.flatMap(
        redis.send<ReadonlyArray<string>>("KEYS", `{${name}}*`),
        (keys) => keys.length === 0 ? Effect.void : redis.send("UNLINK", ...keys)
      )
    )
    return Effect.acquireRelease(empty, () => empty)
  })
)

const stores: ReadonlyArray<readonly [string, Layer.Layer<JobStore.JobStore, unknown>]> = [
  ["memory", JobStore.layerMemory()],
  ["Postgres", PgJobStore.layer({ schema: name }).pipe(Layer.provide(dropped), Layer.provide(pg))],
  ["Redis", RedisJobStore.layer({ prefix: name }).pipe(Layer.provide(emptied), Layer.provide(redis))]
]

describe.each(stores)("on %s", (_, store) => {
  it.live(
    "two processes tell a death and a queue without a worker once, and the end of it",
    () =>
      Effect.gen(function*() {
        const told: Array<string> = []
        const wanted = new Map<string, Deferred.Deferred<void>>()
        const until = (what: string) => {
          const found = wanted.get(what) ?? Deferred.makeUnsafe<void>()
          wanted.set(what, found)
          return Deferred.await(found)
        }
        const team: AlertChannel.AlertChannel = {
          send: ({ key, state }) =>
            Effect.sync(() => {
              told.push(`${state} ${key}`)
              void until(`${state} ${key}`)
              Deferred.doneUnsafe(wanted.get(`${state} ${key}`)!, Effect.void)
            })
        }
        const here = Layer.succeed(JobStore.JobStore, yield* JobStore.JobStore)
        const rules = [AlertRule.dead(), AlertRule.noWorker({ for: "0 seconds" })]
        for (let i = 0; i < 2; i++) {
          yield* Layer.build(
            Layer.fresh(Alerts.layer({ channels: { team }, rules, every: "1 second" })).pipe(
              Layer.provide(here),
              Layer.provide(FetchHttpClient.layer)
            )
          )
        }
        yield* Layer.build(Layer.provide(WorkerLive, here))
        yield* Ship.enqueueMany([{ n: -1 }, { n: 1 }])
        const { id } = yield* Lonely.enqueue()
        yield* until("firing dead/Ship")
        yield* until("firing noWorker/lonely")
        yield* Effect.provide(Jobs.Jobs.use(({ cancel }) => cancel(id, { reason: "r" })), Jobs.layer)
        yield* until("resolved noWorker/lonely")
        assert.deepStrictEqual(told.toSorted(), [
          "firing dead/Ship",
          "firing noWorker/lonely",
          "resolved noWorker/lonely"
        ])
      }).pipe(Effect.scoped, Effect.provide(store, { local: true }), Effect.provide(Logger.layer([]))),
    60_000
  )

  it.live(
    "a rate of failures is told of what completes unkept, and not of a queue that is well",
    () =>
      Effect.gen(function*() {
        const told = yield* Deferred.make<AlertChannel.Alert>()
        const wanted: AlertChannel.AlertChannel = { send: (alert) => Effect.asVoid(Deferred.succeed(told, alert)) }
        const here = Layer.succeed(JobStore.JobStore, yield* JobStore.JobStore)
        const rules = [AlertRule.failureRate({ above: 0.3 })]
        yield* Layer.build(
          Alerts.layer({ channels: { wanted }, rules, every: "1 second" }).pipe(
            Layer.provide(here),
            Layer.provide(FetchHttpClient.layer)
          )
        )
        yield* Layer.build(Layer.provide(UnkeptLive, here))
        const twenty = (dying: number) => Array.from({ length: 20 }, (_, nth) => ({ n: nth < dying ? -1 : 1 }))
        const some = Effect.andThen(Well.enqueueMany(twenty(2)), Ill.enqueueMany(twenty(10)))
        yield* Effect.forkScoped(Effect.forever(Effect.andThen(some, Effect.sleep("50 millis"))))
        const { key, title } = yield* Deferred.await(told)
        assert.deepStrictEqual([key, /: [45]\d % of what ends is dead$/.test(title)], ["failureRate/ill", true], title)
      }).pipe(Effect.scoped, Effect.provide(store, { local: true }), Effect.provide(Logger.layer([]))),
    60_000
  )
})
