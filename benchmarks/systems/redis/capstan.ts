/** Capstan on Redis: the same as in memory but for the layer. */
import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { Layer } from "effect"
import { type LayerOf, makeOn } from "../../src/capstan.ts"
import { featuresOn } from "../../src/features.ts"

const layerOf: LayerOf = (url) => Layer.orDie(Layer.provide(RedisJobStore.layer(), NodeRedis.layer({ url })))

export const make = makeOn(layerOf)
export const features = featuresOn(layerOf)
