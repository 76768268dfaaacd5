/** Effect's PersistedQueue on Redis. */
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { Layer } from "effect"
import { PersistedQueue } from "effect/persistence"
import { makeOn } from "../../src/systems/effect-persisted-queue.ts"

export const make = makeOn(
  (url) => Layer.orDie(Layer.provide(PersistedQueue.layerStoreRedis(), NodeRedis.layer({ url }))),
  1000
)
