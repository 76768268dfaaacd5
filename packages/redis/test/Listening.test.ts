/** The subscription for events, while somebody reads them and while nobody does. */
import { assert, describe, it } from "@effect/vitest"
import type { JobStore } from "capstan"
import { type Duration, Effect, Fiber, Latch, Option, Stream } from "effect"
import { Redis } from "effect/persistence"
import { Client } from "../src/internal/client.ts"
import { scripts } from "../src/internal/scripts.ts"
import { make, usualSettings } from "../src/internal/store.ts"
import * as Harness from "./harness.ts"

/** A client whose subscriptions for events begin while `mayBegin` is open, and what it has sent. */
const watched = Effect.gen(function*() {
  const redis = yield* Redis.Redis
  const mayBegin = Latch.makeUnsafe(true)
  /** Of `beats`: what the store sends itself where workers sleep. */
  const sent = { beats: 0, subscriptions: 0 }
  const service = Redis.Redis.of({
    ...redis,
    send: (command, ...args) =>
      Effect.suspend(() => {
        if (command === "PUBLISH") sent.beats++
        return redis.send(command, ...args)
      }),
    subscribe: (channel) =>
      Effect.suspend(() => {
        if (!channel.endsWith(":e")) return redis.subscribe(channel)
        sent.subscriptions++
        return mayBegin.whenOpen(redis.subscribe(channel))
      })
  })
  return { mayBegin, sent, service }
})

const on = <A, E, R>(
  theme: string,
  beat: Duration.Input,
  run: (store: JobStore.Shape, client: Effect.Success<typeof watched>, key: string) => Effect.Effect<A, E, R>
) => {
  const prefix = Harness.prefixOf(theme)
  return Effect.gen(function*() {
    const net = yield* watched
    const client = new Client(net.service, `{${prefix}}`, scripts(), yield* Effect.scope)
    const store = yield* make(client, { ...usualSettings, identity: prefix, beat })
    yield* run(store, net, client.key)
  }).pipe(
    Effect.scoped,
    Effect.ensuring(Effect.orDie(Harness.empty(prefix))),
    Effect.provide(Harness.client())
  )
}

/** Reads until it is sure to hear what comes after, which the first event says, and leaves. */
const readOnce = ({ events }: JobStore.Shape) => Stream.runHead(events)

describe("events", () => {
  it.live("are listened for on one connection, also while nobody reads them", () =>
    on("unread", "100 millis", (store, { sent }) =>
      Effect.gen(function*() {
        yield* readOnce(store)
        // Sent as often as those of events: by them it is known how long nobody has read.
        yield* Effect.forkScoped(Stream.runDrain(store.wakeups("w", ["default"])))
        yield* Harness.until("some beats are over", Effect.sync(() => sent.beats > 5))
        assert.strictEqual(sent.subscriptions, 1)
        assert.isTrue(Option.isSome(yield* readOnce(store)))
      })))

  it.live("are heard at once by who comes when the last one left before the connection was there", () =>
    on("left_early", "1 minute", (store, { mayBegin, sent }, key) =>
      Effect.gen(function*() {
        mayBegin.closeUnsafe()
        const first = yield* Effect.forkChild(readOnce(store))
        yield* Harness.until("the first one waits", Effect.sync(() => sent.subscriptions > 0))
        yield* Fiber.interrupt(first)
        mayBegin.openUnsafe()
        const subscribed = Harness.send<[string, number]>("PUBSUB", "NUMSUB", `${key}:e`)
        yield* Harness.until("the connection is there", Effect.map(subscribed, ([, many]) => Number(many) > 0))
        assert.isTrue(Option.isSome(yield* Effect.timeoutOption(readOnce(store), "5 seconds")))
      })))
})
