/** Capstan on Redis: the same as in memory but for the layer. */
import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { Layer } from "effect"
import { makeOn } from "../../src/systems/capstan.ts"

export const make = makeOn((url) => Layer.orDie(Layer.provide(RedisJobStore.layer(), NodeRedis.layer({ url }))))
