/** A server that is away for longer than anything waits for it: the worker fences itself, and resumes when it is back. */
import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, JobStore, JobWorker } from "capstan"
import { Effect, Layer, Schema } from "effect"
import { afterAll, beforeAll } from "vitest"
import { durableRedis, type Redis, startRedis } from "../../../scripts/servers/index.ts"
import * as Harness from "./harness.ts"

class Task extends Job.make("Task", { payload: Schema.String }) {}
class Group extends JobGroup.make(Task) {}

let server: Redis
beforeAll(async () => {
  server = await startRedis({ settings: durableRedis("always") })
})
afterAll(() => server?.stop())

/** A process of its own: it shares no connection with the others. */
const storeOf = Effect.fnUntraced(function*() {
  const client = NodeRedis.layer({ url: server.url })
  return yield* Layer.build(Layer.fresh(RedisJobStore.layer().pipe(Layer.provide(client))))
})

describe("an outage that is longer than any timeout", () => {
  it.live(
    "interrupts what ran, loses nothing, and work goes on by itself",
    () =>
      Effect.gen(function*() {
        const producer = yield* storeOf()
        const begun: Array<string> = []
        const cut: Array<string> = []
        const done: Array<string> = []
        const handler = (name: string) =>
          Effect.gen(function*() {
            begun.push(name)
            // Its first attempt is still at it when the server goes.
            if (name === "held" && begun.filter((one) => one === name).length === 1) {
              return yield* Effect.onInterrupt(Effect.never, () => Effect.sync(() => void cut.push(name)))
            }
            done.push(name)
          })
        const worker = JobWorker.layer(Group, { concurrency: 1, lease: "2 seconds" }).pipe(
          Layer.provide(Group.toLayer({ Task: handler }))
        )
        yield* Layer.build(worker).pipe(Effect.provideContext(yield* storeOf()))
        const enqueue = (name: string) => Effect.provideContext(Task.enqueue(name), producer)
        yield* enqueue("held")
        yield* Harness.until("it runs", Effect.sync(() => begun.length === 1))
        yield* enqueue("waits")

        yield* Effect.promise(() => server.crash())
        // The store's own patience is the longest: ten seconds, after which it says that it does not know.
        const store = yield* Effect.provideContext(JobStore.JobStore, producer)
        assert.isTrue((yield* Effect.flip(store.stats)).isTransient)
        assert.deepStrictEqual([begun, cut, done], [["held"], ["held"], []])

        yield* Effect.promise(() => server.restart())
        yield* Harness.until("what was there is done", Effect.sync(() => done.length === 2), 20)
        yield* enqueue("after")
        yield* Harness.until("what comes after is done", Effect.sync(() => done.length === 3), 20)
        assert.deepStrictEqual(done.toSorted(), ["after", "held", "waits"])
        assert.deepStrictEqual(begun.length, 4, "only what was interrupted runs again")
      }).pipe(Effect.scoped),
    90_000
  )
})
