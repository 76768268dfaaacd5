/**
 * The same facts on PGlite: Postgres in this process, with one connection and no notifications.
 */
import { JobStoreSuite } from "@capstan/testing"
import { PgClient } from "@effect/sql-pg"
import { assert, it } from "@effect/vitest"
import { PGlite } from "@electric-sql/pglite"
import { PGLiteSocketServer } from "@electric-sql/pglite-socket"
import { JobStore } from "capstan"
import { Effect, Layer, ManagedRuntime, Redacted } from "effect"
import { afterAll } from "vitest"
import * as Harness from "./harness.ts"

const schema = "suite"

const db = await PGlite.create()
const server = new PGLiteSocketServer({ db, host: "127.0.0.1", port: 0 })
await server.start()

const operator = ManagedRuntime.make(Layer.orDie(PgClient.layer({
  url: Redacted.make(`postgres://postgres@${server.getServerConn()}/postgres`),
  maxConnections: 1
})))

afterAll(async () => {
  await operator.dispose()
  await server.stop()
  await db.close()
})

// All facts use the one connection: to make another one takes longer than most of them.
const client = Layer.succeedContext(await operator.context())
await operator.runPromise(Effect.provide(Harness.frozen(schema), Harness.storeOn(client, schema, { listen: false })))

const layer = Layer.effectDiscard(
  Effect.flatMap(PgClient.PgClient, (sql) => Harness.empty({ schema, sql }))
).pipe(
  Layer.provideMerge(Harness.storeOn(client, schema, { listen: false }))
)

it.live("says what takes a second session to promise", () =>
  Effect.gen(function*() {
    const { absent = [], capabilities, kind } = yield* (yield* JobStore.JobStore).describe
    assert.match(kind, /^pglite [\d.]+ \(postgres \d+/)
    assert.deepStrictEqual(capabilities, ["transactional", "schedules"])
    assert.deepStrictEqual(absent.map((line) => /\((P\d+)\)/.exec(line)?.[1]), ["P2", "P10"])
  }).pipe(Effect.provide(layer)))

JobStoreSuite.suite("pglite", layer, {
  timeout: 30_000,
  advance: (millis) =>
    Effect.promise(async () => {
      await db.query(`UPDATE ${schema}.now SET at = at + $1`, [millis])
    })
})
