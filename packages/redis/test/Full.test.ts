/** A server whose memory is full: it takes no more jobs, and whoever makes room gets in and works. */
import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, JobLimit, JobStore, JobWorker } from "capstan"
import { Effect, Layer, Schema } from "effect"
import { afterAll, beforeAll, beforeEach } from "vitest"
import { type Redis, startRedis } from "../../../scripts/servers/index.ts"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import * as Harness from "./harness.ts"
import * as Partitions from "./partitions.ts"

const Api = JobLimit.make("api", { concurrency: 2 })
class Task extends Job.make("Task", {
  payload: { n: Schema.Int },
  limit: { by: Api, key: () => "one" }
}) {}
class Group extends JobGroup.make(Task) {}

// A server of its own: what fills it would stop the tests beside it.
let server: Redis
beforeAll(async () => {
  server = await startRedis({ settings: { "maxmemory-policy": "noeviction" } })
})
beforeEach(async () => {
  await server.command("CONFIG", "SET", "maxmemory", 0)
  await server.command("FLUSHALL")
})
afterAll(() => server?.stop())

const full = Effect.promise(() => server.command("CONFIG", "SET", "maxmemory", 1))
const client = Layer.suspend(() => Layer.orDie(NodeRedis.layer({ url: server.url })))

/** A process of its own. */
const open = Effect.suspend(() => Layer.build(Layer.fresh(RedisJobStore.layer().pipe(Layer.provide(client)))))

describe("a server whose memory is full", () => {
  it.live("refuses jobs, and lets in a new worker, which does all that are there", () =>
    Effect.gen(function*() {
      const producer = yield* open
      const enqueue = (n: number) => Effect.provideContext(Task.enqueue({ n }), producer)
      for (let n = 0; n < 10; n++) yield* enqueue(n)
      yield* full
      const refused = yield* Effect.flip(enqueue(10))
      assert.include(refused.message, "OOM")

      const ran = new Set<number>()
      const handlers = Group.toLayer({ Task: ({ n }) => Effect.sync(() => void ran.add(n)) })
      const worker = JobWorker.layer(Group, { concurrency: 3 }).pipe(Layer.provide(handlers))
      yield* Layer.build(worker).pipe(Effect.provideContext(yield* open))
      yield* Harness.until("all have run", Effect.sync(() => ran.size === 10))
    }).pipe(Effect.scoped))

  it.live("lets an operator in, who changes limits and schedules", () =>
    Effect.gen(function*() {
      const row = { nextAt: 9e12, attendAt: 9e12, body: "{}" }
      const before = yield* Effect.provideContext(JobStore.JobStore, yield* open)
      yield* before.putSchedule({ name: "s", revision: 0, row })
      yield* full
      const store = yield* Effect.provideContext(JobStore.JobStore, yield* open)
      assert.strictEqual(store.identity, before.identity)
      const [limit] = yield* store.limits([{ _tag: "Override", name: "q", settings: { concurrency: 1 } }])
      assert.deepStrictEqual(limit?.override, { concurrency: 1 })
      assert.isTrue(yield* store.putSchedule({ name: "s", revision: 1, row: undefined }))
      assert.deepStrictEqual((yield* store.schedules({ limit: 9 })).rows, [])
    }).pipe(Effect.scoped))

  it.live("takes what one partition has for another: who waits there is told, and what an attempt leaves runs", () =>
    Effect.gen(function*() {
      const { id } = yield* Suite.enqueue({ tag: "P1" })
      const waits = yield* Suite.enqueue({ tag: "P0", queue: "other", dependencies: [{ name: "d", id }] })
      yield* full
      const child = Suite.record({ tag: "P0", queue: "other", parent: id })
      yield* Suite.settle("w", yield* Suite.claimOne("w"), Suite.complete, { children: [child] })
      const claimed = yield* Suite.claim("w", 9, "other")
      assert.sameMembers(claimed.map((one) => one.id), [waits.id, child.id])
    }).pipe(
      Effect.provide(
        Partitions.storeOf("full", {
          counts: new Map([["default", 2], ["other", 2]]),
          choose: ({ tag }) => Number(tag.slice(1)),
          many: 2
        })
      ),
      Effect.provide(client)
    ))
})
