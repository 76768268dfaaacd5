import { PgJobStore } from "@capstan/pg"
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, Logger, Redacted } from "effect"
import { draining } from "./draining.ts"
import { facts } from "./facts.ts"

const schema = `t_http_${process.pid}`
const client = Layer.orDie(PgClient.layer({ url: Redacted.make(process.env.CAPSTAN_TEST_PG_URL!), maxConnections: 5 }))

/** A schema of its own for each fact, dropped when it has ended. */
const dropped = Layer.effectDiscard(
  Effect.flatMap(PgClient.PgClient, (sql) => {
    const drop = Effect.orDie(sql.unsafe(`DROP SCHEMA IF EXISTS ${schema} CASCADE`).unprepared)
    return Effect.acquireRelease(drop, () => drop)
  })
)

// That the test server is not durable need not be said for each of them.
const store = Layer.orDie(PgJobStore.layer({ schema })).pipe(Layer.provide(Logger.layer([])))

facts("the API on Postgres", store.pipe(Layer.provide(dropped), Layer.provide(client)))

draining(
  "a drain on Postgres",
  Effect.as(Layer.build(Layer.provide(dropped, client)), [
    Layer.provide(store, Layer.fresh(client)),
    Layer.provide(store, Layer.fresh(client))
  ])
)
