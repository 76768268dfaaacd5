/** What the store finds when it looks at its indexes, sizes and upkeep. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Client } from "../src/internal/client.ts"
import { type Bounds, examine, usualBounds } from "../src/internal/examine.ts"
import * as Harness from "./harness.ts"

/** In a schema of its own, which is gone after. */
const fact = (
  name: string,
  test: (
    schema: string,
    run: (statement: string) => Effect.Effect<ReadonlyArray<object>, unknown>,
    look: (bounds?: Partial<Bounds>) => Effect.Effect<ReadonlyArray<string>, unknown>
  ) => Effect.Effect<void, unknown>,
  timeout = 30_000
) => {
  const schema = Harness.schemaName(`examine_${name.replaceAll(/\W+/g, "_").slice(0, 20)}`)
  const side = Harness.shared(schema, Harness.open(schema))
  it.live(name, () =>
    Effect.flatMap(side, ({ sql }) =>
      test(
        schema,
        (statement) => sql.unsafe(statement.replaceAll("${s}", schema)).unprepared,
        (bounds) =>
          Effect.map(
            examine(new Client(sql, `"${schema}"`, "none"), { ...usualBounds, ...bounds }),
            (findings) => findings.map(({ detail, is, what }) => `${is} ${what}: ${detail}`)
          )
      )), timeout)
}

describe("the store looks at its schema", () => {
  fact("as it is made nothing is wrong, and no index is another's", (_, __, look) =>
    Effect.gen(function*() {
      const [indexes, upkeep, ...more] = yield* look()
      assert.match(indexes!, /^ok indexes: \d+ are there and valid, /)
      assert.match(upkeep!, /^ok upkeep: \d+ dead rows beside \d+ in /)
      assert.deepStrictEqual(more, [])
    }))

  fact(
    "an index that is gone, of a whole table or of its key, is missed",
    (schema, run, look) =>
      Effect.gen(function*() {
        yield* run("DROP INDEX ${s}.record_scheduled")
        yield* run("ALTER TABLE ${s}.worker DROP CONSTRAINT worker_id_key")
        yield* run("DROP INDEX ${s}.history_ended")
        // Of another table, and by that of no use.
        yield* run("CREATE INDEX record_scheduled ON ${s}.idem (id)")
        const found = yield* look()
        for (const name of ["history_ended of", "record_scheduled of", "worker_id_key of"]) {
          const about = found.filter((line) => line.startsWith(`warning indexes: ${name} ${schema}.`))
          assert.strictEqual(about.length, 1, name)
          assert.include(about[0], "is not there")
        }
        assert.strictEqual(found.filter((line) => line.startsWith("warning")).length, 3)
      })
  )

  fact(
    "an invalid index is named, whether it is the schema's or left behind",
    (schema, run, look) =>
      Effect.gen(function*() {
        yield* run("INSERT INTO ${s}.gone SELECT gen_random_uuid(), 1, 1 FROM generate_series(1, 2)")
        yield* run("INSERT INTO ${s}.agenda (at) VALUES (1), (1)")
        yield* run("DROP INDEX ${s}.agenda_record")
        // What a build that failed leaves behind.
        yield* Effect.flip(run("CREATE UNIQUE INDEX CONCURRENTLY agenda_record ON ${s}.agenda (at)"))
        yield* Effect.flip(run("CREATE UNIQUE INDEX CONCURRENTLY gone_ccnew ON ${s}.gone (fence)"))
        const found = yield* look()
        assert.isTrue(
          found.some((line) => line.includes(`REINDEX INDEX CONCURRENTLY ${schema}.agenda_record makes it anew`))
        )
        assert.isTrue(found.some((line) => line.includes(`DROP INDEX CONCURRENTLY ${schema}.gone_ccnew`)))
        assert.strictEqual(found.filter((line) => line.includes("is invalid")).length, 2)
        assert.isFalse(found.some((line) => line.startsWith("ok indexes")))
      })
  )

  fact(
    "one that somebody has added is noted, and nothing else is said of it",
    (_, run, look) =>
      Effect.gen(function*() {
        yield* run("CREATE INDEX theirs ON ${s}.record (tag)")
        const found = yield* look()
        assert.deepStrictEqual(found.filter((line) => !line.startsWith("ok")), [
          "note indexes: theirs of record is none of this schema's: writes pay for it"
        ])
      })
  )

  fact(
    "of a newer schema no index is missed, since it may have others in their place",
    (_, run, look) =>
      Effect.gen(function*() {
        yield* run("DROP INDEX ${s}.record_scheduled")
        yield* run("CREATE INDEX record_due ON ${s}.record (due)")
        yield* run("INSERT INTO ${s}.migration (version, name, readable_by) VALUES (999, 'next', 1)")
        assert.deepStrictEqual((yield* look()).filter((line) => !line.startsWith("ok")), [])
      })
  )

  fact(
    "what is far larger than its rows need, and how many of them are dead",
    (schema, run, look) =>
      Effect.gen(function*() {
        const bounds = { spare: 1024 * 1024, dead: 1000, unvacuumed: 0 }
        yield* run("ALTER TABLE ${s}.idem SET (autovacuum_enabled = off)")
        yield* run("INSERT INTO ${s}.idem SELECT 'Task', i::text, gen_random_uuid() FROM generate_series(1, 40000) i")
        // It counts when a transaction has been over for a while, and anew with an ANALYZE.
        yield* Harness.until(
          "the server's count of rows",
          Effect.map(
            run(`SELECT FROM pg_stat_all_tables WHERE relid = '${schema}.idem'::regclass AND n_live_tup = 40000`),
            (
              rows
            ) => rows.length === 1
          )
        )
        yield* run("ANALYZE ${s}.idem")
        yield* run("DELETE FROM ${s}.idem WHERE key <> '1'")
        const found = yield* Harness.until(
          "the server's count of dead rows",
          Effect.map(look(bounds), (found) => found.some((line) => line.includes("dead rows beside 1,")) && found)
        )
        const about = (start: string) => found.filter((line) => line.startsWith(start))
        assert.match(
          about("warning upkeep: idem")[0]!,
          /^warning upkeep: idem has \d\d,\d\d\d dead rows beside 1, never vacuumed: /
        )
        assert.strictEqual(about("warning upkeep: autovacuum is off for idem:").length, 1)
        assert.match(about("warning indexes: idem_pkey has")[0]!, / MB for 1 rows: REINDEX INDEX CONCURRENTLY /)
        assert.match(about("warning tables: idem has")[0]!, / MB for 1 rows: VACUUM/)
        assert.strictEqual(about("warning upkeep: 39,999 rows of idem have changed, analyzed 0 min ago: ").length, 1)
        // Within what a backlog may leave behind nothing of it is said.
        const usual = yield* look()
        assert.deepStrictEqual(usual.filter((line) => line.startsWith("warning")), about("warning upkeep: autovacuum"))
        yield* run("ALTER TABLE ${s}.idem RESET (autovacuum_enabled)")
        // Neither takes away what a transaction beside it may still see, and other files have some open on this database.
        const kept = Effect.andThen(run("VACUUM ANALYZE ${s}.idem"), run("REINDEX TABLE ${s}.idem"))
        yield* Harness.until(
          "nothing to be said after a VACUUM and a REINDEX",
          Effect.map(Effect.andThen(kept, look(bounds)), (found) => !found.some((line) => line.startsWith("warning"))),
          25
        )
      }),
    60_000
  )
})
