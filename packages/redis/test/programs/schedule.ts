/** A process that declares a schedule and serves another: `node schedule.ts <prefix>`. Until it is killed. */
import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { Effect, Layer, Logger } from "effect"
import { process as ticking } from "../../../../scripts/servers/ticking.ts"

const store = RedisJobStore.layer({ prefix: process.argv[2]! }).pipe(
  // That the test server is not durable need not be said for each of them.
  Layer.provide(Logger.layer([])),
  Layer.provide(NodeRedis.layer({ url: process.env.CAPSTAN_TEST_REDIS_URL! }))
)

await Effect.runPromise(Layer.launch(Layer.provide(ticking, store)))
