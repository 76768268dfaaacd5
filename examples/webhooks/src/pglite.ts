/**
 * The demo's store on PGlite: Postgres compiled to WebAssembly, in this process and in memory.
 *
 * It speaks the wire protocol on a loopback port, to one client at a time, and delivers no notifications there: hence one
 * connection, and `listen: false`.
 */
import { PgJobStore } from "@capstan/pg"
import * as PgClient from "@effect/sql-pg/PgClient"
import { PGlite } from "@electric-sql/pglite"
import { PGLiteSocketServer } from "@electric-sql/pglite-socket"
import { Console, Effect, Layer, Redacted } from "effect"
import { dim } from "./terminal.ts"
import { told } from "./told.ts"

const served = Effect.gen(function*() {
  yield* Console.log(dim("starting PGlite in this process"))
  const db = yield* Effect.acquireRelease(
    Effect.promise(() => PGlite.create()),
    (db) => Effect.promise(() => db.close())
  )
  const server = new PGLiteSocketServer({ db, host: "127.0.0.1", port: 0 })
  yield* Effect.acquireRelease(Effect.promise(() => server.start()), () => Effect.promise(() => server.stop()))
  return `postgres://postgres@${server.getServerConn()}/postgres`
})

export const pglite = told.pipe(
  Layer.provideMerge(PgJobStore.layer({ listen: false })),
  Layer.provide(
    Layer.unwrap(Effect.map(served, (url) => PgClient.layer({ url: Redacted.make(url), maxConnections: 1 })))
  )
)
