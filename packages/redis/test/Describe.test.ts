/** What the store says of its server, and of settings under which jobs can be lost. */
import { RedisJobStore } from "@capstan/redis"
import { assert, describe, it } from "@effect/vitest"
import { JobStore } from "capstan"
import { Effect, Layer } from "effect"
import { durability, type Server, warnings } from "../src/internal/describe.ts"
import * as Harness from "./harness.ts"

const good: Server = {
  name: "redis",
  version: "7.0.15",
  eviction: "noeviction",
  isAppendOnly: true,
  appendfsync: "everysec",
  replicas: 0,
  isReplica: false,
  isCluster: false,
  hasSnapshots: true
}

describe("what an acknowledged enqueue survives", () => {
  const cases: ReadonlyArray<readonly [string, Partial<Server>, RegExp]> = [
    ["no file and no snapshots", { isAppendOnly: false, hasSnapshots: false }, /^a crash of this process, not/],
    ["snapshots alone", { isAppendOnly: false }, /last snapshot/],
    ["every second", {}, /may lose the last second/],
    ["always", { appendfsync: "always" }, /^a crash of the server and of its machine$/],
    ["whenever the system likes", { appendfsync: "no" }, /what the system has not written/],
    ["a server that does not tell", { appendfsync: undefined }, /does not tell/],
    ["replicas that nobody waits for", { replicas: 2 }, /failover to one of its 2 replicas may lose/],
    ["eviction", { eviction: "allkeys-lru" }, /^nothing for sure/]
  ]
  for (const [name, part, expected] of cases) {
    it(name, () => assert.match(durability({ ...good, ...part }, "server"), expected))
  }

  it("a replica that is waited for", () => assert.match(durability(good, "replicated"), /loss of the server/))
})

describe("warnings", () => {
  it("there are none where nothing is wrong", () => assert.deepStrictEqual(warnings(good, "server"), []))

  const cases: ReadonlyArray<readonly [string, Partial<Server>, RegExp]> = [
    ["keys are evicted", { eviction: "volatile-lru" }, /removes jobs, without a word/],
    ["nobody knows whether keys are evicted", { eviction: undefined }, /must be noeviction/],
    ["the server is a replica", { isReplica: true }, /is a replica/],
    ["the server is too old", { version: "6.2.14" }, /older than 7.0/],
    ["nothing is written to the disk", { isAppendOnly: false }, /survives/]
  ]
  for (const [name, part, expected] of cases) {
    it(name, () => assert.match(warnings({ ...good, ...part }, "server").join("\n"), expected))
  }

  it("there is no replica to wait for", () => assert.match(warnings(good, "replicated").join(), /has no replica/))
})

describe("a store on the test server", () => {
  const prefix = Harness.prefixOf("describe")
  const on = (options: RedisJobStore.Options) => RedisJobStore.layer(options).pipe(Layer.provideMerge(Harness.client()))

  it.effect("says kind, version and durability, and is the same store for all of its clients", () =>
    Effect.gen(function*() {
      const open = Effect.map(JobStore.JobStore, (store) => store)
      const one = yield* Effect.provide(open, Layer.fresh(on({ prefix })))
      const two = yield* Effect.provide(open, Layer.fresh(on({ prefix })))
      const other = yield* Effect.provide(open, Layer.fresh(on({ prefix: `${prefix}_other` })))
      assert.strictEqual(one.identity, two.identity)
      assert.notStrictEqual(one.identity, other.identity)
      yield* Effect.gen(function*() {
        const { describe } = yield* JobStore.JobStore
        const { capabilities, kind } = yield* describe
        assert.match(kind, /^redis 7\./)
        assert.deepStrictEqual(capabilities, ["events", "schedules"])
      }).pipe(Effect.provide(on({ prefix })))
      yield* Effect.provide(Effect.andThen(Harness.empty(prefix), Harness.empty(`${prefix}_other`)), Harness.client())
    }))

  it.effect("refuses a prefix that would not be one hash tag", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.provide(JobStore.JobStore, on({ prefix: "a}b" })))
      assert.strictEqual(error.reason._tag, "Incompatible")
    }))

  it.effect("refuses data of another layout", () =>
    Effect.gen(function*() {
      yield* Harness.send("HSET", `{${prefix}}`, "layout", "999")
      const error = yield* Effect.flip(Effect.provide(JobStore.JobStore, on({ prefix })))
      assert.match(error.message, /layout 999/)
      yield* Harness.empty(prefix)
    }).pipe(Effect.provide(Harness.client())))
})
