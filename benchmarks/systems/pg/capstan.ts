/** Capstan on Postgres: the same as in memory but for the layer. */
import { PgJobStore } from "@capstan/pg"
import { PgClient } from "@effect/sql-pg"
import { Layer, Redacted } from "effect"
import { type LayerOf, makeOn } from "../../src/capstan.ts"
import { featuresOn } from "../../src/features.ts"

const layerOf: LayerOf = (url) =>
  Layer.orDie(Layer.provide(PgJobStore.layer(), PgClient.layer({ url: Redacted.make(url) })))

export const make = makeOn(layerOf)
export const features = featuresOn(layerOf)
