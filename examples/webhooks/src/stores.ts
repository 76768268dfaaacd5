/**
 * Where the demo's jobs live, by the name that `--store` gives: one Layer, and nothing else of the program changes.
 */
import { type JobError, JobStore } from "capstan"
import { Effect, Layer } from "effect"
import type * as Redis from "effect/persistence/Redis"

type StoreLayer = Layer.Layer<JobStore.JobStore, JobError.JobStoreError | Redis.RedisError | Error>

/** Those that are not used are not loaded. */
const stores: Readonly<Record<string, (url: string | undefined) => StoreLayer>> = {
  memory: () => JobStore.layerMemory(),
  pg: (url) => Layer.unwrap(Effect.map(Effect.promise(() => import("./postgres.ts")), ({ postgres }) => postgres(url))),
  pglite: () => Layer.unwrap(Effect.map(Effect.promise(() => import("./pglite.ts")), ({ pglite }) => pglite)),
  redis: (url) => Layer.unwrap(Effect.map(Effect.promise(() => import("./redis.ts")), ({ redis }) => redis(url)))
}

const withServer = ["pg", "redis"]

/** The layer of a store, or why there is none. */
export const storeNamed = (name: string, url: string | undefined): StoreLayer | string => {
  const store = stores[name]
  if (store === undefined) return `--store ${name}: this version has the stores ${Object.keys(stores).join(", ")}`
  if (url !== undefined && !withServer.includes(name)) {
    return `--url goes with --store ${withServer.join(" or ")}, not with --store ${name}`
  }
  return store(url)
}
