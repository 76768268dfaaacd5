/**
 * The demo's store on Postgres: on the server that `--url` names, in a schema of its own that goes with the demo, or on a
 * throwaway server.
 */
import { PgJobStore } from "@capstan/pg"
import * as PgClient from "@effect/sql-pg/PgClient"
import { Console, Effect, Layer, Redacted } from "effect"
import { throwawayPostgres } from "../../throwaway.ts"
import { dim } from "./terminal.ts"
import { told } from "./told.ts"

const client = (url: string) => PgClient.layer({ url: Redacted.make(url) })

const onThrowaway = Layer.unwrap(Effect.gen(function*() {
  yield* Console.log(dim("starting a throwaway Postgres on loopback, which ends with the demo"))
  const { port, url } = yield* throwawayPostgres
  yield* Console.log(dim(`it listens on 127.0.0.1:${port}`))
  return Layer.provide(PgJobStore.layer(), client(url))
}))

const schema = `capstan_demo_${process.pid}`

/** Dropped when the store above it has closed. */
const ownSchema = Layer.effectDiscard(
  Effect.flatMap(
    PgClient.PgClient,
    (sql) => Effect.addFinalizer(() => Effect.ignore(sql.unsafe(`DROP SCHEMA IF EXISTS ${schema} CASCADE`).unprepared))
  )
)

const onServer = (url: string) =>
  PgJobStore.layer({ schema }).pipe(Layer.provide(ownSchema), Layer.provide(client(url)))

export const postgres = (url: string | undefined) =>
  told.pipe(Layer.provideMerge(url === undefined ? onThrowaway : onServer(url)))
