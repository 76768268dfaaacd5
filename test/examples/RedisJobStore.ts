// Written by `npm run docs`: the example of @capstan/redis/RedisJobStore.
import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { Layer } from "effect"

export const run = () => {
  const StoreLive = RedisJobStore.layer().pipe(Layer.provide(NodeRedis.layer({ url: "redis://localhost:6379" })))
}
