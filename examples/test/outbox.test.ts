/** Jobs that live in Redis, enqueued in transactions of Postgres: the outbox of docs/postgres.md, on both servers. */
import { PgOutbox } from "@capstan/pg"
import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { PgClient } from "@effect/sql-pg"
import { Job, JobGroup, JobStore, JobWorker } from "capstan"
import { Context, Effect, Exit, Layer, Redacted, Schema } from "effect"
import { Client } from "pg"
import { createClient } from "redis"
import { afterAll, assert, it } from "vitest"

class Ship extends Job.make("Ship", { payload: { order: Schema.Int }, queue: "shipping" }) {}
class Group extends JobGroup.make(Ship) {}

const name = `t_outbox_redis_${process.pid}`
const here = { relay: "redis", schema: name }
const pg = process.env["CAPSTAN_TEST_PG_URL"]!
const redis = process.env["CAPSTAN_TEST_REDIS_URL"]!

const PgLive = PgClient.layer({ url: Redacted.make(pg), maxConnections: 5 })
const StoreLive = RedisJobStore.layer({ prefix: name }).pipe(Layer.provide(NodeRedis.layer({ url: redis })))

afterAll(async () => {
  const client = new Client({ connectionString: pg })
  await client.connect()
  await client.query(`DROP SCHEMA IF EXISTS ${name} CASCADE`)
  await client.end()
  const other = await createClient({ url: redis }).connect()
  for await (const keys of other.scanIterator({ MATCH: `*${name}*` })) if (keys.length > 0) await other.del(keys)
  await other.close()
})

it("hands over to Redis what has committed, each once though a relay dies between hand-over and removal", {
  timeout: 60_000
}, () =>
  Effect.gen(function*() {
    const sql = yield* PgClient.PgClient
    const outbox = Context.get(yield* Layer.build(PgOutbox.layer(here)), JobStore.JobStore)
    const store = Context.get(yield* Layer.build(StoreLive), JobStore.JobStore)
    const place = (order: number, end: Effect.Effect<void, string>) =>
      sql.withTransaction(Effect.andThen(Ship.enqueue({ order }), end)).pipe(
        Effect.provideService(JobStore.JobStore, outbox),
        Effect.exit
      )
    for (let order = 0; order < 20; order++) {
      assert.isTrue(Exit.isSuccess(yield* place(order, Effect.void)))
      assert.isTrue(Exit.isFailure(yield* place(1000 + order, Effect.fail("rolled back"))))
    }

    // What was acknowledged there is not removed here: the relay that took it is gone.
    const dying = {
      ...store,
      enqueue: (request: JobStore.EnqueueRequest) => Effect.andThen(store.enqueue(request), Effect.interrupt)
    }
    const died = yield* Effect.exit(Effect.provideService(
      PgOutbox.handOver({ ...here, batch: 5, lease: "1 millis" }),
      JobStore.JobStore,
      JobStore.JobStore.of(dying)
    ))
    assert.isTrue(Exit.isFailure(died))
    assert.strictEqual((yield* PgOutbox.waiting(here)).waiting, 20)

    const ran: Array<number> = []
    const worker = JobWorker.layer(Group).pipe(
      Layer.provide(Group.toLayer({ Ship: ({ order }) => Effect.sync(() => void ran.push(order)) }))
    )
    const relay = PgOutbox.relay({ ...here, poll: "10 millis" })
    yield* Layer.build(Layer.merge(relay, worker).pipe(Layer.provide(Layer.succeed(JobStore.JobStore, store))))
    const completed = Effect.map(store.stats, ({ queues }) => queues[0]?.counts.completed === 20)
    yield* Effect.repeat(Effect.delay(completed, "10 millis"), { until: (all) => all }).pipe(
      Effect.timeout("30 seconds")
    )
    assert.deepStrictEqual(ran.toSorted((a, b) => a - b), Array.from({ length: 20 }, (_, order) => order))
    assert.strictEqual((yield* PgOutbox.waiting(here)).waiting, 0)
  }).pipe(Effect.scoped, Effect.provide(PgLive), Effect.runPromise))
