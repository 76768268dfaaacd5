/**
 * The demo's store on Redis: on the server that `--url` names, under a prefix of its own that goes with the demo, or on a
 * throwaway server.
 */
import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { Console, Effect, Layer } from "effect"
import * as Redis from "effect/persistence/Redis"
import { throwawayRedis } from "../../throwaway.ts"
import { dim } from "./terminal.ts"
import { told } from "./told.ts"

const onThrowaway = Layer.unwrap(Effect.gen(function*() {
  yield* Console.log(dim("starting a throwaway Redis on loopback, which ends with the demo"))
  const { port, url } = yield* throwawayRedis
  yield* Console.log(dim(`it listens on 127.0.0.1:${port}`))
  return Layer.provide(RedisJobStore.layer(), NodeRedis.layer({ url }))
}))

const prefix = `capstan-demo-${process.pid}`

/** Dropped when the store above it has closed. */
const ownPrefix = Layer.effectDiscard(Effect.gen(function*() {
  const { send } = yield* Redis.Redis
  const drop = (cursor: string): Effect.Effect<void, Redis.RedisError> =>
    Effect.gen(function*() {
      const [next, keys] = yield* send<readonly [string, ReadonlyArray<string>]>(
        "SCAN",
        cursor,
        "MATCH",
        `{${prefix}}*`,
        "COUNT",
        "1000"
      )
      if (keys.length > 0) yield* send("UNLINK", ...keys)
      if (next !== "0") yield* drop(next)
    })
  yield* Effect.addFinalizer(() => Effect.ignore(drop("0")))
}))

const onServer = (url: string) =>
  RedisJobStore.layer({ prefix }).pipe(Layer.provide(ownPrefix), Layer.provide(NodeRedis.layer({ url })))

export const redis = (url: string | undefined) =>
  told.pipe(Layer.provideMerge(url === undefined ? onThrowaway : onServer(url)))
