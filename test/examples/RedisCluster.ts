// Written by `npm run docs`: the example of @capstan/redis/RedisCluster.
import { RedisJobStore } from "@capstan/redis"
import * as RedisCluster from "@capstan/redis/RedisCluster"
import { Layer } from "effect"

export const run = () => {
  const StoreLive = RedisJobStore.layer().pipe(
    Layer.provide(RedisCluster.layer({ rootNodes: [{ url: "redis://node-1:6379" }] }))
  )
}
