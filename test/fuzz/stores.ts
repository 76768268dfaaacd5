/** The stores that the run may be of. */
import { PgJobStore } from "@capstan/pg"
import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { PgClient } from "@effect/sql-pg"
import { JobStore } from "capstan"
import { Effect, Layer, Redacted } from "effect"
import { Redis } from "effect/persistence"

/** The schema, or the prefix, of this run. */
const name = `t_fuzz_${process.pid}`

/** By what `--store` says: the store of a server's URL. What it leaves there goes with it. */
export const stores: Readonly<Record<string, (url: string) => Layer.Layer<JobStore.JobStore>>> = {
  memory: () => JobStore.layerMemory(),
  pg: (url) =>
    PgJobStore.layer({ schema: name }).pipe(
      Layer.provide(Layer.effectDiscard(
        Effect.flatMap(PgClient.PgClient, (sql) =>
          Effect.addFinalizer(() => Effect.orDie(sql.unsafe(`DROP SCHEMA IF EXISTS ${name} CASCADE`).unprepared)))
      )),
      Layer.provide(PgClient.layer({ url: Redacted.make(url) })),
      Layer.orDie
    ),
  redis: (url) =>
    RedisJobStore.layer({ prefix: name }).pipe(
      Layer.provide(Layer.effectDiscard(
        Effect.flatMap(Redis.Redis, (redis) =>
          Effect.addFinalizer(() =>
            Effect.orDie(Effect.flatMap(
              redis.send<ReadonlyArray<string>>("KEYS", `{${name}}*`),
              (keys) => redis.send("UNLINK", "none", ...keys)
            ))
          ))
      )),
      Layer.provide(NodeRedis.layer({ url })),
      Layer.orDie
    )
}
