/** A connection that takes what it is sent and answers nothing, as one that is half-open does. */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobStore } from "capstan"
import { Effect, Fiber, Latch, Schema } from "effect"
import { Redis } from "effect/persistence"
import { Client } from "../src/internal/client.ts"
import { scripts } from "../src/internal/scripts.ts"
import { make, usualSettings } from "../src/internal/store.ts"
import * as Harness from "./harness.ts"

class Task extends Job.make("Task", { payload: { n: Schema.Number } }) {}

/** A client whose connections answer while they are open, with how many commands each of them was sent. */
const network = Effect.gen(function*() {
  const redis = yield* Redis.Redis
  const shared = Latch.makeUnsafe(true)
  const others = Latch.makeUnsafe(true)
  const sent = { shared: 0, others: 0 }
  const by =
    (latch: Latch.Latch, which: keyof typeof sent, send: Redis.Redis["Service"]["send"]): typeof send =>
    (command, ...args) =>
      Effect.suspend(() => {
        sent[which]++
        return latch.whenOpen(send(command, ...args))
      })
  const service = Redis.Redis.of({
    ...redis,
    send: by(shared, "shared", redis.send),
    reserve: Effect.map(redis.reserve, (connection) => ({
      ...connection,
      send: by(others, "others", connection.send)
    }))
  })
  return { service, shared, others, sent }
})

const on = <A, E>(
  theme: string,
  use: (net: Effect.Success<typeof network>) => Effect.Effect<A, E, JobStore.JobStore>
) => {
  const prefix = Harness.prefixOf(theme)
  return Effect.gen(function*() {
    const net = yield* network
    const client = new Client(net.service, `{${prefix}}`, scripts(), yield* Effect.scope)
    const store = yield* make(client, { ...usualSettings, identity: prefix })
    return yield* Effect.provideService(use(net), JobStore.JobStore, store)
  }).pipe(
    Effect.scoped,
    Effect.ensuring(Effect.orDie(Harness.empty(prefix))),
    Effect.provide(Harness.client())
  )
}

describe("a connection that falls silent", () => {
  it.live("is gone around until it speaks again", () =>
    on("silence", ({ sent, shared }) =>
      Effect.gen(function*() {
        yield* Task.enqueue({ n: 1 })
        shared.closeUnsafe()
        const store = yield* JobStore.JobStore
        const { reason } = yield* Effect.flip(store.stats)
        assert.strictEqual(reason._tag, "OutcomeUnknown")
        const { queues } = yield* store.stats
        assert.strictEqual(queues[0]?.counts.ready, 1)
        assert.isAbove(sent.others, 0)

        shared.openUnsafe()
        yield* Harness.until(
          "commands go on the shared connection",
          Effect.gen(function*() {
            const before = sent.shared
            yield* store.stats
            return sent.shared > before
          })
        )
      })))

  it.live("is waited for while the server is as silent on another one", () =>
    on("paused", ({ others, sent, shared }) =>
      Effect.gen(function*() {
        yield* Task.enqueue({ n: 1 })
        shared.closeUnsafe()
        others.closeUnsafe()
        const store = yield* JobStore.JobStore
        const call = yield* Effect.forkChild(store.stats)
        yield* Harness.until("another connection is asked", Effect.sync(() => sent.others > 0))
        shared.openUnsafe()
        others.openUnsafe()
        const { queues } = yield* Fiber.join(call)
        assert.strictEqual(queues[0]?.counts.ready, 1)
      })))
})

describe("the connection that is used meanwhile", () => {
  /** The shared one is silent from here on, and commands go on another one. */
  const goAround = ({ shared }: Effect.Success<typeof network>) =>
    Effect.gen(function*() {
      yield* Task.enqueue({ n: 1 })
      shared.closeUnsafe()
      const store = yield* JobStore.JobStore
      yield* Effect.flip(store.stats)
      yield* store.stats
      return store
    })

  it.live("answers the others when one of those who wait is interrupted", () =>
    on("detour", (net) =>
      Effect.gen(function*() {
        const { others, sent } = net
        const store = yield* goAround(net)
        others.closeUnsafe()
        const before = sent.others
        const first = yield* Effect.forkChild(store.stats)
        const second = yield* Effect.forkChild(store.stats)
        yield* Harness.until("both have asked", Effect.sync(() => sent.others >= before + 2))
        yield* Fiber.interrupt(first)
        others.openUnsafe()
        const { queues } = yield* Fiber.join(second)
        assert.strictEqual(queues[0]?.counts.ready, 1)
        const after = { ...sent }
        yield* store.stats
        assert.deepStrictEqual([sent.shared, sent.others > after.others], [after.shared, true])
      })))

  it.live("is given up when it answers nobody, though none of them waits that long", () =>
    on("detour_silent", (net) =>
      Effect.gen(function*() {
        const { others, sent } = net
        const store = yield* goAround(net)
        others.closeUnsafe()
        const before = sent.shared
        yield* Harness.until(
          "commands go out on the shared connection again",
          Effect.map(Effect.exit(Effect.timeoutOption(store.stats, "100 millis")), () => sent.shared > before),
          20
        )
      })))
})
