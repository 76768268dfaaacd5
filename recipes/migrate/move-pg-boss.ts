/** Moves the waiting jobs of pg-boss, in transactions of the database that holds both. */
import { PgJobStore } from "@capstan/pg"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { PgClient } from "@effect/sql-pg"
import { Config, Effect, Layer } from "effect"
import { routes } from "./jobs.ts"
import * as PgBoss from "./src/pgBoss.ts"
import { program } from "./src/program.ts"

const Live = PgJobStore.layer().pipe(Layer.provideMerge(PgClient.layerConfig({ url: Config.Redacted("DATABASE_URL") })))

program(PgBoss.source(), routes).pipe(Effect.provide([Live, NodeServices.layer]), NodeRuntime.runMain)
