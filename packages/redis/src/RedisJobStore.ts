/**
 * The store on Redis 7, over the caller's own client: any layer of `effect/persistence/Redis`.
 *
 * Each verb is one script, so it is atomic, and takes whole batches. An acknowledged enqueue is as durable as the server's
 * settings make it: `describe` says what that is.
 *
 * ```ts
 * import { RedisJobStore } from "@capstan/redis"
 * import * as NodeRedis from "@effect/platform-node/NodeRedis"
 *
 * const StoreLive = RedisJobStore.layer().pipe(Layer.provide(NodeRedis.layer({ url })))
 * ```
 *
 * @since 0.1.0
 */
import { JobError, JobStore } from "capstan"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Redis } from "effect/persistence/Redis"
import { Client } from "./internal/client.ts"
import { scripts } from "./internal/scripts.ts"
import { make } from "./internal/store.ts"

/**
 * Options of the store.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /**
   * What the names of all keys begin with, in braces, so that they share one hash slot of a cluster: letters, digits, `-`,
   * `_`, `.` and `:`. Several stores live in one database under different names.
   *
   * @default "capstan"
   */
  readonly prefix?: string | undefined
  /**
   * A record whose workers died this often while they held it is dead with reason `Crashed`.
   *
   * @default 3
   */
  readonly maxCrashes?: number | undefined
}

/**
 * The store.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: Options = {}
): Layer.Layer<JobStore.JobStore, JobError.JobStoreError, Redis> =>
  Layer.effect(
    JobStore.JobStore,
    Effect.gen(function*() {
      const redis = yield* Redis
      const prefix = options.prefix ?? "capstan"
      if (!/^[\w.:-]{1,100}$/.test(prefix)) {
        return yield* new JobError.JobStoreError({
          reason: new JobError.Incompatible({
            operation: "layer",
            detail: `prefix ${JSON.stringify(prefix)}: use letters, digits, "-", "_", "." and ":", at most 100 of them`
          })
        })
      }
      const client = new Client(redis, `{${prefix}}`, scripts(), yield* Effect.scope)
      return yield* make(client, { identity: `redis:${prefix}`, maxCrashes: options.maxCrashes ?? 3 })
    })
  )
