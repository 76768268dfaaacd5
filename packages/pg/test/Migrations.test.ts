/** The schema: made once whoever starts first, the same by script and by layer, refused where code and schema do not fit. */
import { PgJobStore } from "@capstan/pg"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { JobError } from "capstan"
import { Deferred, Effect, Exit, Fiber, Layer, String as Strings } from "effect"
import { spawnSync } from "node:child_process"
import { afterAll, expect } from "vitest"
import * as Migrate from "../src/internal/migrate.ts"
import {
  bookkeeping,
  latest,
  migrations,
  type Names,
  record,
  statementsFrom
} from "../src/internal/schema/migrations.ts"
import { dump } from "./dump.ts"
import * as Harness from "./harness.ts"
import * as Process from "./process.ts"

const made: Array<string> = []
afterAll(() => Harness.drop(...made))

/** A name that no schema has. */
const newSchema = (): string => {
  const name = Harness.schemaName(`migrations_${made.length}`)
  made.push(name)
  return name
}

const withClient = <A, E>(effect: Effect.Effect<A, E, PgClient.PgClient>) =>
  Effect.provide(effect, Harness.client(), { local: true })

const build = (schema: string, options: PgJobStore.Options = {}) =>
  Effect.scoped(
    Layer.build(Layer.fresh(PgJobStore.layer({ ...options, schema })).pipe(Layer.provide(Harness.client())))
  )

const incompatible = (effect: Effect.Effect<unknown, JobError.JobStoreError>) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.strictEqual(error.reason._tag, "Incompatible")
    return error.message
  })

const entries = (schema: string) =>
  withClient(
    Effect.flatMap(PgClient.PgClient, (sql) =>
      sql.unsafe<{ version: number; readable_by: number }>(`SELECT version, readable_by FROM ${schema}.migration`))
  )

const execute = (...statements: ReadonlyArray<string>) =>
  withClient(
    Effect.flatMap(PgClient.PgClient, (sql) =>
      Effect.forEach(statements, (statement) => sql.unsafe(statement).unprepared))
  )

describe("processes that start at once", () => {
  it.live("make the schema once: ten of them", () =>
    Effect.gen(function*() {
      const schema = newSchema()
      const applied = yield* Effect.all(
        Array.from({ length: 10 }, () => withClient(PgJobStore.migrate({ schema }))),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(applied.filter(({ from }) => from === 0).length, 1)
      assert.isTrue(applied.every(({ to }) => to === latest))
      assert.strictEqual((yield* entries(schema)).length, latest)
    }))

  it.live("make the schema once: two processes of their own", () =>
    Effect.scoped(Effect.gen(function*() {
      const schema = newSchema()
      const both = yield* Effect.all([Process.run("migrate", schema), Process.run("migrate", schema)])
      for (const one of both) {
        assert.strictEqual(yield* one.ended, 0, one.output())
        assert.include(one.output(), "started")
      }
      assert.strictEqual((yield* entries(schema)).length, latest)
    })))

  it.live("wait for each other no longer than they may, and change nothing then", () =>
    Effect.gen(function*() {
      const schema = newSchema()
      const held = yield* Deferred.make<void>()
      const other = yield* Effect.forkChild(withClient(Effect.flatMap(PgClient.PgClient, (sql) =>
        sql.withTransaction(
          sql.unsafe("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [`"${schema}"`]).pipe(
            Effect.andThen(Deferred.succeed(held, undefined)),
            Effect.andThen(Effect.never)
          )
        ))))
      yield* Deferred.await(held)
      const names = { schema: `"${schema}"`, channel: "none" }
      const migrate = (patience: string) =>
        withClient(Effect.flatMap(PgClient.PgClient, (sql) => Migrate.migrate(sql, names, patience)))
      const error = yield* Effect.flip(migrate("200ms"))
      assert.strictEqual(error.reason._tag, "Unavailable")
      assert.include(error.message, "lock timeout")
      yield* Fiber.interrupt(other)
      assert.deepStrictEqual(yield* migrate("10s"), { from: 0, to: latest })
    }))
})

describe("code and schema", () => {
  it.live("fit when the schema is newer and says that this code can read it", () =>
    Effect.gen(function*() {
      const schema = newSchema()
      yield* build(schema)
      yield* execute(`INSERT INTO ${schema}.migration VALUES (${latest + 1}, 'later', ${latest})`)
      for (const migrate of [true, false]) yield* build(schema, { migrate })
      assert.deepStrictEqual(yield* withClient(PgJobStore.migrate({ schema })), { from: latest + 1, to: latest + 1 })
      yield* Effect.scoped(Effect.flatMap(Harness.open(schema), Harness.enqueue))
    }))

  it.live("do not fit when the schema needs newer code: it is told to be deployed", () =>
    Effect.gen(function*() {
      const schema = newSchema()
      yield* build(schema)
      yield* execute(`INSERT INTO ${schema}.migration VALUES (${latest + 1}, 'later', ${latest + 1})`)
      for (const migrate of [true, false]) {
        assert.include(yield* incompatible(build(schema, { migrate })), "deploy a newer release")
      }
      assert.include(yield* incompatible(withClient(PgJobStore.migrate({ schema }))), `code of version ${latest + 1}`)
    }))

  it.live("do not fit when the schema is older and may not be touched", () =>
    Effect.gen(function*() {
      const schema = newSchema()
      assert.include(
        yield* incompatible(build(schema, { migrate: false })),
        `is not there, this code needs version ${latest}: run \`capstan migrate up\``
      )
      assert.isTrue(Exit.isFailure(yield* Effect.exit(entries(schema))), "nothing was made")
      yield* build(schema)
      yield* build(schema, { migrate: false })
    }))

  it.live("fit whatever the caller's client does to names", () =>
    Effect.scoped(Effect.gen(function*() {
      const schema = newSchema()
      const transforms = {
        transformResultNames: Strings.snakeToCamel,
        transformQueryNames: Strings.camelToSnake,
        transformJson: true
      }
      for (let i = 0; i < 2; i++) {
        const one = yield* Harness.open(schema, {}, transforms)
        const { id } = yield* Harness.enqueue(one, { payload: `{"snake_case":1}`, ...Harness.keyed("k") })
        const at = yield* Harness.claimOne(one)
        assert.deepStrictEqual([at.id, at.payload], [id, `{"snake_case":1}`])
        const renewed = yield* one.store.renew({
          worker: "worker",
          lease: 1000,
          queues: [],
          handles: [{ tag: "snake_case", version: 1 }],
          holding: [{ id, fence: at.fence }],
          reconcileOlderThan: 0
        })
        assert.deepStrictEqual([renewed.lost, renewed.reconciled], [[], 0])
        assert.strictEqual(yield* Harness.settle(one, at), "Done")
        assert.strictEqual((yield* one.store.get(id))?.attempts[0]?.worker, "worker")
        const { queues, workers } = yield* one.store.stats
        assert.strictEqual(queues[0]?.counts.completed, i + 1)
        assert.isAbove(workers[0]!.leaseLeft, 0)
        assert.match((yield* one.store.describe).durability, /^a crash /)
      }
    })))
})

/** A script as one statement that runs it. */
const asOne = (script: string): string => {
  const body = script.trim().replace(/^BEGIN;/, "").replace(/COMMIT;$/, "")
  return `DO $run$ BEGIN EXECUTE $text$${body}$text$; END $run$`
}

/** By `psql` where there is one, as whoever runs it by hand. */
const byHand = (script: string) => {
  for (const program of ["psql", "/usr/lib/postgresql/15/bin/psql"]) {
    const psql = spawnSync(program, [Harness.url(), "-qXv", "ON_ERROR_STOP=1"], { input: script, encoding: "utf8" })
    if (psql.error === undefined) return Effect.sync(() => assert.strictEqual(psql.stderr, ""))
  }
  return execute(asOne(script))
}

describe("the script", () => {
  it.live("makes the same schema as the layer, and a layer that may not migrate takes it", () =>
    Effect.gen(function*() {
      const byScript = newSchema()
      const byLayer = newSchema()
      yield* byHand(yield* PgJobStore.migrationScript({ schema: byScript }))
      yield* build(byScript, { migrate: false })
      yield* build(byLayer)
      const [one, other] = yield* withClient(
        Effect.flatMap(PgClient.PgClient, (sql) => Effect.all([dump(sql, byScript), dump(sql, byLayer)]))
      )
      assert.strictEqual(one, other)
      assert.deepStrictEqual(yield* entries(byScript), yield* entries(byLayer))
    }))
})

/** The tables as they were in a version. */
const until = (names: Names, version: number): ReadonlyArray<string> => [
  ...bookkeeping(names.schema),
  ...migrations.slice(0, version).flatMap((migration) => [
    ...migration.statements(names),
    ...migration.last?.(names) ?? [],
    record(names.schema, migration)
  ])
]

describe("the way from release 0.1.0", () => {
  const from = 2

  it.live("locks no table that is there for all, and for writers its last step alone does", () =>
    Effect.gen(function*() {
      const schema = newSchema()
      const names = { schema: `"${schema}"`, channel: `capstan_${schema}` }
      yield* execute(...until(names, from))
      yield* withClient(Effect.gen(function*() {
        const sql = yield* PgClient.PgClient
        const before = yield* sql.unsafe<{ oid: number }>(
          `SELECT oid::int AS oid FROM pg_class WHERE relnamespace = '${schema}'::regnamespace`
        )
        const wasThere = new Set(before.map(({ oid }) => oid))
        // What comes with ROW EXCLUSIVE, or less, holds up none that reads or writes.
        const locked = Effect.map(
          sql.unsafe<{ oid: number; name: string; mode: string }>(`
            SELECT DISTINCT c.oid::int AS oid, split_part(c.relname, '_', 1) AS name, l.mode
            FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
            WHERE l.pid = pg_backend_pid() AND l.granted AND c.relkind IN ('r', 'p')
              AND l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')`),
          (rows) => new Set(rows.filter(({ oid }) => wasThere.has(oid)).map(({ mode, name }) => `${name} ${mode}`))
        )
        const statements = statementsFrom(names, from)
        yield* sql.withTransaction(Effect.gen(function*() {
          for (const [i, statement] of statements.entries()) {
            yield* sql.unsafe(statement).unprepared
            assert.deepStrictEqual(
              [...yield* locked],
              i < statements.length - 1 ? [] : ["history ShareLock"],
              `after ${statement}`
            )
          }
        }))
      }))
      yield* build(schema, { migrate: false })
    }))
})

describe("texts that Postgres cannot read", () => {
  it.live("are mended, and what has some goes on while history is read, into which it may go", () =>
    Effect.scoped(Effect.gen(function*() {
      const schema = newSchema()
      const side = yield* Harness.open(schema)
      yield* Harness.enqueue(side)
      yield* Harness.settle(side, yield* Harness.claimOne(side))
      for (let i = 0; i < 2; i++) yield* Harness.enqueue(side)
      const spec = `{"tags":["a\\u0000b"]}`
      for (const table of ["record", "history"]) {
        yield* side.sql.unsafe(`UPDATE ${schema}.${table} SET spec = $1`, [spec])
      }
      const held = yield* Deferred.make<void>()
      const over = yield* Deferred.make<void>()
      const holds = yield* Effect.forkChild(side.sql.withTransaction(
        Effect.andThen(
          side.sql.unsafe(`SELECT FROM ${schema}.history FOR UPDATE`),
          Effect.andThen(Deferred.succeed(held, undefined), Deferred.await(over))
        )
      ))
      yield* Deferred.await(held)
      const { statements } = migrations.find(({ name }) => name === "texts")!
      const mends = yield* Effect.forkChild(side.sql.withTransaction(
        Effect.forEach(statements({ schema, channel: "none" }), (statement) => side.sql.unsafe(statement).unprepared)
      ))
      yield* Effect.gen(function*() {
        yield* Harness.until(
          "a step that waits for a row of history",
          Effect.map(
            side.sql.unsafe("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1", [
              `%${schema}.history%`
            ]),
            (rows) => rows.length > 0
          )
        )
        assert.strictEqual(yield* Harness.settle(side, yield* Harness.claimOne(side)), "Done")
      }).pipe(Effect.ensuring(Deferred.succeed(over, undefined)))
      yield* Effect.andThen(Fiber.join(holds), Fiber.join(mends))
      const read = yield* side.sql.unsafe<{ tag: string }>(
        `SELECT spec::json -> 'tags' ->> 0 AS tag FROM ${schema}.history UNION ALL SELECT spec::json -> 'tags' ->> 0 FROM ${schema}.record`
      )
      assert.deepStrictEqual(read.map(({ tag }) => tag), Array.from({ length: 3 }, () => "a\u001a0000b"))
    })))
})

describe("the script from a version", () => {
  const all = Array.from({ length: latest }, (_, i) => i + 1)

  for (const from of all) {
    it.live(`${from} brings a schema of it to this release's`, () =>
      Effect.gen(function*() {
        const schema = newSchema()
        const names = { schema: `"${schema}"`, channel: `capstan_${schema}` }
        yield* execute(
          ...until(names, from)
        )
        yield* byHand(yield* PgJobStore.migrationScript({ schema, from }))
        yield* build(schema, { migrate: false })
        assert.deepStrictEqual((yield* entries(schema)).map(({ version }) => version), all)
      }))
  }

  it.live("changes nothing in a schema of another version, and says which one that is", () =>
    Effect.gen(function*() {
      const schema = newSchema()
      yield* build(schema)
      for (const from of [0, ...all.slice(0, -1)]) {
        const error = yield* Effect.flip(execute(asOne(yield* PgJobStore.migrationScript({ schema, from }))))
        assert.include(
          String(error.reason.cause),
          `schema "${schema}" has version ${latest}, and this script is for version ${from}`
        )
      }
      assert.strictEqual((yield* entries(schema)).length, latest)
    }))

  it.live("waits for no lock longer than it may", () =>
    Effect.gen(function*() {
      assert.match(yield* PgJobStore.migrationScript(), /^BEGIN;\n\nSET LOCAL lock_timeout = '10s';/)
    }))

  it.live("is none from what is no version", () =>
    Effect.gen(function*() {
      for (const from of [-1, 0.5, latest + 1, Number.NaN]) {
        assert.include(yield* incompatible(PgJobStore.migrationScript({ from })), `0 to ${latest}`)
      }
    }))
})

describe("the schema", () => {
  it.live("is the one in schema.sql", () =>
    Effect.gen(function*() {
      const schema = newSchema()
      yield* build(schema)
      const text = yield* withClient(Effect.flatMap(PgClient.PgClient, (sql) => dump(sql, schema)))
      yield* Effect.promise(() => expect(text).toMatchFileSnapshot("../schema.sql"))
    }))

  const names = {
    taken: ["capstan", "_", "a1_b2", "x".repeat(40)],
    refused: [
      "",
      "Capstan",
      "9lives",
      "with space",
      "with-dash",
      "a.b",
      `a"; DROP SCHEMA public CASCADE; --`,
      "a' OR '1'='1",
      "a\u0000",
      "a\n",
      "ü",
      "pg_catalog",
      "pg_mine",
      "x".repeat(41)
    ]
  }
  for (const schema of names.refused) {
    it.live(`is not called ${JSON.stringify(schema)}`, () =>
      Effect.gen(function*() {
        assert.include(yield* incompatible(PgJobStore.migrationScript({ schema })), JSON.stringify(schema))
        assert.include(yield* incompatible(build(schema)), "no name that a store takes")
        assert.include(yield* incompatible(withClient(PgJobStore.migrate({ schema }))), "no name that a store takes")
      }))
  }

  it.live("may be called what a name allows", () =>
    Effect.gen(function*() {
      for (const schema of names.taken) {
        assert.include(yield* PgJobStore.migrationScript({ schema }), `CREATE SCHEMA IF NOT EXISTS "${schema}"`)
      }
    }))

  it.live("stands beside others in one database, and they do not see each other", () =>
    Effect.scoped(Effect.gen(function*() {
      const sides = yield* Effect.all([Harness.open(newSchema()), Harness.open(newSchema())])
      const { id } = yield* Harness.enqueue(sides[0])
      assert.deepStrictEqual(yield* Harness.claim(sides[1]), [])
      assert.strictEqual((yield* Harness.claimOne(sides[0])).id, id)
      assert.notStrictEqual(sides[0].store.identity, sides[1].store.identity)
    })))
})
