import { PgJobStore } from "@capstan/pg"
import { PgClient } from "@effect/sql-pg"
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Logger, Redacted } from "effect"
import { draining } from "./draining.ts"
import { facts } from "./facts.ts"
import { Bill, Greet, serve } from "./harness.ts"

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

const whole = store.pipe(Layer.provide(dropped), Layer.provide(client))

facts("the API on Postgres", whole)

it.live("who may see one queue is not told by where a page ends of more records of another than one call looks at", () =>
  Effect.gen(function*() {
    const { ask, context } = yield* serve({ store: whole })
    const greet = (name: string) => Effect.provide(Greet.enqueue({ name }, { tags: ["x"] }), context)
    const oldest = yield* greet("a")
    const older = yield* greet("b")
    yield* Effect.provide(Bill.enqueueMany(Array.from({ length: 2500 }, (_, amount) => ({ amount }))), context)
    const newest = yield* greet("c")
    for (const path of ["/records?label=x&limit=2", "/records?queue=mail&label=x&limit=2"]) {
      const { body: first } = yield* ask("mailAdmin", path)
      assert.deepStrictEqual(first.records.map(({ id }: any) => id), [newest.id, older.id], path)
      assert.include(first.cursor, older.id)
      const { body: rest } = yield* ask("mailAdmin", `${path}&cursor=${encodeURIComponent(first.cursor)}`)
      assert.deepStrictEqual([rest.records.map(({ id }: any) => id), rest.cursor], [[oldest.id], undefined], path)
    }
  }).pipe(Effect.scoped))

it.live("an id that is written otherwise is of the same record, and hidden as that", () =>
  Effect.gen(function*() {
    const { ask, context } = yield* serve({ store: whole })
    const { id } = yield* Effect.provide(Bill.enqueue({ amount: 1 }), context)
    const where = { ids: [id.toUpperCase()] }
    const { body } = yield* ask("mailAdmin", "/records/cancel", { where, reason: "r" })
    assert.deepStrictEqual(body, { changed: 0, requested: 0, unchanged: 0, notFound: 1 })
    assert.strictEqual((yield* ask("admin", `/records/${id}`)).body.state, "ready")
  }).pipe(Effect.scoped))

draining(
  "a drain on Postgres",
  Effect.as(Layer.build(Layer.provide(dropped, client)), [
    Layer.provide(store, Layer.fresh(client)),
    Layer.provide(store, Layer.fresh(client))
  ])
)
