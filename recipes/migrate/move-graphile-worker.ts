/** Moves the waiting jobs of graphile-worker, in transactions of the database that holds both. */
import { PgJobStore } from "@capstan/pg"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { PgClient } from "@effect/sql-pg"
import { Config, Effect, Layer } from "effect"
import { routes } from "./jobs.ts"
import * as GraphileWorker from "./src/graphileWorker.ts"
import { program } from "./src/program.ts"

const Live = PgJobStore.layer().pipe(Layer.provideMerge(PgClient.layerConfig({ url: Config.Redacted("DATABASE_URL") })))

program(GraphileWorker.source(), routes).pipe(Effect.provide([Live, NodeServices.layer]), NodeRuntime.runMain)
