/** What the store reads of its server when it starts: what `describe` says of it, and what it warns of, loudly. */
import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobStore } from "capstan"
import { Effect, Exit, Fiber, Layer, Logger, Schema } from "effect"
import { afterAll, beforeAll, vi } from "vitest"
import { durableRedis, type Redis, startRedis } from "../../../scripts/servers/index.ts"
import { untilTrue } from "../../../scripts/servers/until.ts"

// A replica that follows, and one that does not answer, take their time.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

class Task extends Job.make("Task", { payload: Schema.Number }) {}

let server: Redis
let replica: Redis
beforeAll(async () => {
  server = await startRedis({ settings: durableRedis() })
  replica = await startRedis({ settings: durableRedis() })
})
afterAll(() => Promise.all([server, replica].map((one) => one?.stop())))

const command = (on: Redis, ...words: ReadonlyArray<string | number>) => Effect.promise(() => on.command(...words))

const storeOn = (on: Redis, options: RedisJobStore.Options = {}) =>
  RedisJobStore.layer(options).pipe(Layer.provide(NodeRedis.layer({ url: on.url })))

/** What a start logs, by level, and what the store says of itself then. */
const startOn = (on: Redis, options?: RedisJobStore.Options) =>
  Effect.gen(function*() {
    const logged: Array<string> = []
    const logger = Logger.make<unknown, void>(({ logLevel, message }) => void logged.push(`${logLevel}: ${message}`))
    const said = yield* JobStore.JobStore.pipe(
      Effect.flatMap(({ describe }) => describe),
      Effect.provide(storeOn(on, options)),
      Effect.exit,
      Effect.provide(Logger.layer([logger]))
    )
    return { logged, said: Exit.isSuccess(said) ? said.value : undefined }
  })

const follows = Effect.gen(function*() {
  yield* command(replica, "REPLICAOF", "127.0.0.1", server.port)
  const isOnline = async () => String(await server.command("INFO", "replication")).includes("state=online")
  yield* Effect.promise(() => untilTrue("the replica follows", isOnline))
})
const leads = Effect.suspend(() => command(replica, "REPLICAOF", "NO", "ONE"))

describe("a start", () => {
  it.live("says the server's name and version, and is silent where nothing is wrong", () =>
    Effect.gen(function*() {
      const { logged, said } = yield* startOn(server)
      assert.deepStrictEqual(logged, [])
      const version = /redis_version:(\S+)/.exec(String(yield* command(server, "INFO", "server")))![1]
      assert.strictEqual(said?.kind, `redis ${version}`)
      assert.strictEqual(
        said?.durability,
        "a crash of the server; a crash of its machine may lose the last second: appendfsync is everysec"
      )
    }))

  const settings: ReadonlyArray<
    readonly [name: string, value: string, usual: string, durability: RegExp, warning: RegExp | undefined]
  > = [
    [
      "maxmemory-policy",
      "allkeys-lru",
      "noeviction",
      /^nothing for sure, because the server evicts keys \(allkeys-lru\)/,
      /^Warn: Redis store \{capstan\}: maxmemory-policy is allkeys-lru: the server removes jobs/
    ],
    ["appendfsync", "always", "everysec", /^a crash of the server and of its machine$/, undefined],
    [
      "appendfsync",
      "no",
      "everysec",
      /appendfsync is no$/,
      /^Warn: .* survives a crash of the server; .* appendfsync is no/
    ],
    [
      "appendonly",
      "no",
      "yes",
      /^a crash of this process, not of the server/,
      /^Warn: .* survives a crash of this process, not of the server/
    ]
  ]
  for (const [name, value, usual, durability, warning] of settings) {
    it.live(`reads ${name} ${value} of the server${warning === undefined ? "" : ", and warns of it"}`, () =>
      Effect.gen(function*() {
        yield* command(server, "CONFIG", "SET", name, value)
        const { logged, said } = yield* startOn(server)
        yield* command(server, "CONFIG", "SET", name, usual)
        assert.match(said!.durability, durability)
        assert.lengthOf(logged, warning === undefined ? 0 : 1)
        if (warning !== undefined) assert.match(logged[0]!, warning)
      }))
  }

  it.live("sees replicas, and the lack of them", () =>
    Effect.gen(function*() {
      yield* follows
      assert.match((yield* startOn(server)).said!.durability, /a failover to one of its 1 replicas may lose/)
      const waiting = yield* startOn(server, { durability: "replicated" })
      assert.match(waiting.said!.durability, /and the loss of the server, when the replica/)
      assert.deepStrictEqual(waiting.logged, [])
      const onReplica = yield* startOn(replica)
      assert.match(onReplica.logged.join(), /this server is a replica/)
      yield* leads
      assert.match((yield* startOn(server, { durability: "replicated" })).logged.join(), /has no replica/)
    }))
})

describe("an enqueue that waits for a replica", () => {
  it.live("fails with OutcomeUnknown while the one that there is hears nothing, and is there all the same", () =>
    Effect.gen(function*() {
      yield* follows
      yield* Effect.gen(function*() {
        assert.strictEqual((yield* Task.enqueue(1)).outcome, "Inserted")
        const before = performance.now()
        // Its connection stays open.
        process.kill(replica.pid, "SIGSTOP")
        const error = yield* Effect.ensuring(
          Effect.flip(Task.enqueue(2)),
          Effect.sync(() => process.kill(replica.pid, "SIGCONT"))
        )
        const took = performance.now() - before
        assert.strictEqual(error.reason._tag, "OutcomeUnknown")
        assert.match(error.message, /no replica has acknowledged it/)
        // Asked again and again it would take ten.
        assert.isBelow(took, 6000)
        const { queues } = yield* (yield* JobStore.JobStore).stats
        assert.strictEqual(queues[0]?.counts.ready, 2)
        assert.strictEqual((yield* Task.enqueue(3)).outcome, "Inserted")
      }).pipe(Effect.provide(storeOn(server, { prefix: "waits", durability: "replicated" })))
      yield* leads
    }))

  it.live("fails with OutcomeUnknown when its server becomes a replica meanwhile: it is stored there", () =>
    Effect.gen(function*() {
      yield* follows
      yield* Effect.gen(function*() {
        yield* Task.enqueue(1)
        process.kill(replica.pid, "SIGSTOP")
        const error = yield* Effect.gen(function*() {
          const enqueue = yield* Effect.forkChild(Effect.flip(Task.enqueue(2)))
          const waits = async () => String(await server.command("INFO", "clients")).includes("blocked_clients:1")
          yield* Effect.promise(() => untilTrue("it waits for the replica", waits))
          yield* command(server, "REPLICAOF", "127.0.0.1", replica.port)
          return yield* Fiber.join(enqueue)
        }).pipe(
          Effect.ensuring(command(server, "REPLICAOF", "NO", "ONE")),
          Effect.ensuring(Effect.sync(() => process.kill(replica.pid, "SIGCONT")))
        )
        assert.strictEqual(error.reason._tag, "OutcomeUnknown")
        assert.match(error.message, /it was stored, and then: UNBLOCKED/)
        const { queues } = yield* (yield* JobStore.JobStore).stats
        assert.strictEqual(queues[0]?.counts.ready, 2)
      }).pipe(Effect.provide(storeOn(server, { prefix: "demoted", durability: "replicated" })))
      yield* leads
    }))
})
