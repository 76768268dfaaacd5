/** The stores that the run may be of. */
import { PgJobStore } from "@capstan/pg"
import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { PgClient } from "@effect/sql-pg"
import { JobStore } from "capstan"
import { Layer, Redacted } from "effect"

/** By what `--store` says: the store of a server's URL, with a schema or a prefix of its own. */
export const stores: Readonly<Record<string, (url: string) => Layer.Layer<JobStore.JobStore>>> = {
  memory: () => JobStore.layerMemory(),
  pg: (url) =>
    Layer.orDie(
      Layer.provide(PgJobStore.layer({ schema: "t_fuzz" }), PgClient.layer({ url: Redacted.make(url) }))
    ),
  redis: (url) => Layer.orDie(Layer.provide(RedisJobStore.layer({ prefix: "t_fuzz" }), NodeRedis.layer({ url })))
}
