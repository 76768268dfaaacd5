/** The outbox from a transaction of Postgres to Redis, which takes no part in it: after the commit, and at least once. */
import { PgOutbox } from "@capstan/pg"
import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobStore } from "capstan"
import { Effect, Layer, Redacted, Schema } from "effect"
import { Redis } from "effect/persistence"
import process from "node:process"

class Ship extends Job.make("Ship", { payload: { order: Schema.Int }, queue: "shipping" }) {}

const schema = `outbox_to_redis_${process.pid}`
const prefix = `t_${schema}`
const here = { relay: "redis", schema }

const sql = PgClient.layer({ url: Redacted.make(process.env.CAPSTAN_TEST_PG_URL!) })
const redis = NodeRedis.layer({ url: process.env.CAPSTAN_TEST_REDIS_URL! })
const Outbox = Layer.provideMerge(PgOutbox.layer(here), sql)
const Store = Layer.provideMerge(RedisJobStore.layer({ prefix }), redis)

const empty = Effect.gen(function*() {
  const { send } = yield* Redis.Redis
  const keys = yield* send<ReadonlyArray<string>>("KEYS", `{${prefix}}*`)
  if (keys.length > 0) yield* send("DEL", ...keys)
  yield* Effect.provide(Effect.flatMap(PgClient.PgClient, (sql) => sql.unsafe(`DROP SCHEMA ${schema} CASCADE`)), sql)
}).pipe(Effect.provide(redis), Effect.ignore)

describe("the outbox to Redis", () => {
  it.live(
    "hands over what has committed, and once what a relay sends twice; a rollback sends nothing",
    () =>
      Effect.gen(function*() {
        const { withTransaction } = yield* PgClient.PgClient
        const rolledBack = withTransaction(Effect.andThen(Ship.enqueue({ order: 1 }), Effect.fail("no")))
        assert.strictEqual(yield* Effect.flip(rolledBack), "no")
        const { id } = yield* withTransaction(Ship.enqueue({ order: 2 }))
        yield* Effect.gen(function*() {
          const store = yield* JobStore.JobStore
          // It has stored the record, and dies before it removes it.
          const dying: JobStore.Shape = {
            ...store,
            enqueue: (request) => Effect.andThen(store.enqueue(request), Effect.die("killed"))
          }
          const handOver = PgOutbox.handOver({ ...here, lease: "1 millis" })
          yield* Effect.exit(Effect.provideService(handOver, JobStore.JobStore, dying))
          assert.strictEqual((yield* PgOutbox.waiting(here)).waiting, 1)
          assert.strictEqual(yield* handOver, 1)
          assert.strictEqual((yield* PgOutbox.waiting(here)).waiting, 0)
          const { records } = yield* store.query({ where: {}, order: "oldest", limit: 10 })
          assert.deepStrictEqual(records.map(({ id, payload, state }) => [id, payload, state]), [[
            id,
            `{"order":2}`,
            "ready"
          ]])
        }).pipe(Effect.provide(Store))
      }).pipe(Effect.provide(Outbox), Effect.ensuring(empty)),
    30_000
  )
})
