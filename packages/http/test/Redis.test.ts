import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { Effect, Layer, Logger } from "effect"
import { Redis } from "effect/persistence"
import { draining } from "./draining.ts"
import { facts } from "./facts.ts"

const prefix = `t_http_${process.pid}`
const client = Layer.orDie(NodeRedis.layer({ url: process.env.CAPSTAN_TEST_REDIS_URL! }))

/** A namespace of its own for each fact, emptied when it has ended. */
const emptied = Layer.effectDiscard(
  Effect.flatMap(Redis.Redis, (redis) => {
    const empty = Effect.orDie(
      Effect.flatMap(
        redis.send<ReadonlyArray<string>>("KEYS", `{${prefix}}*`),
        (keys) => keys.length === 0 ? Effect.void : redis.send("UNLINK", ...keys)
      )
    )
    return Effect.acquireRelease(empty, () => empty)
  })
)

const store = Layer.orDie(RedisJobStore.layer({ prefix })).pipe(Layer.provide(Logger.layer([])))

facts("the API on Redis", store.pipe(Layer.provide(emptied), Layer.provide(client)))

draining(
  "a drain on Redis",
  Effect.as(Layer.build(Layer.provide(emptied, client)), [
    Layer.provide(store, Layer.fresh(client)),
    Layer.provide(store, Layer.fresh(client))
  ])
)
