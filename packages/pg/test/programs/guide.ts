/** The program at the top of `docs/postgres.md`, as it stands there. */
import { PgJobStore } from "@capstan/pg"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { PgClient } from "@effect/sql-pg"
import { Job, JobGroup, JobWorker } from "capstan"
import { Config, Console, Effect, Layer, Schema } from "effect"

class Welcome extends Job.make("Welcome", { payload: { name: Schema.String }, success: Schema.String }) {}
class Shop extends JobGroup.make(Welcome) {}

const HandlersLive = Shop.toLayer({ Welcome: ({ name }) => Effect.succeed(`Welcome, ${name}!`) })

const PgLive = PgClient.layerConfig({ url: Config.Redacted("DATABASE_URL") })
const StoreLive = PgJobStore.layer().pipe(Layer.provideMerge(PgLive))
const WorkerLive = JobWorker.layer(Shop).pipe(Layer.provide(HandlersLive), Layer.provideMerge(StoreLive))

const program = Effect.flatMap(Welcome.run({ name: "Ada" }), Console.log)

NodeRuntime.runMain(Effect.provide(program, WorkerLive))
