/** A store on the test server, in a schema of its own. */
import { PgJobStore } from "@capstan/pg"
import { PgClient } from "@effect/sql-pg"
import type { JobStore, Transactional } from "capstan"
import { type Duration, Effect, Layer, Redacted } from "effect"

/** Set by the test command, which starts a server when there is none. */
export const url = (): string => {
  const given = process.env.CAPSTAN_TEST_PG_URL
  if (given === undefined) throw new Error("CAPSTAN_TEST_PG_URL is not set: run the tests by `npm test`")
  return given
}

export const client = (options: { readonly maxConnections?: number; readonly idleTimeout?: Duration.Input } = {}) =>
  Layer.orDie(PgClient.layer({ url: Redacted.make(url()), maxConnections: 5, ...options }))

/** A schema that nobody has used before, dropped when its tests have ended. */
export const schemaName = (theme: string): string => `t_${theme}_${process.pid}`

export const store = (
  schema: string,
  options: PgJobStore.Options = {}
): Layer.Layer<JobStore.JobStore | Transactional.Transactional | PgClient.PgClient> =>
  storeOn(client(), schema, options)

export const storeOn = (
  client: Layer.Layer<PgClient.PgClient>,
  schema: string,
  options: PgJobStore.Options = {}
): Layer.Layer<JobStore.JobStore | Transactional.Transactional | PgClient.PgClient> =>
  Layer.orDie(PgJobStore.layer({ ...options, schema })).pipe(Layer.provideMerge(client))

export const drop = (schema: string) =>
  Effect.flatMap(PgClient.PgClient, (sql) => sql.unsafe(`DROP SCHEMA IF EXISTS ${schema} CASCADE`).unprepared)

/** The tables that hold anything, emptied: the store of the next fact is a new one. */
export const empty = (schema: string) =>
  Effect.flatMap(PgClient.PgClient, (sql) =>
    sql.unsafe(`
      DO $$
      DECLARE t text; found boolean;
      BEGIN
        FOR t IN SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
          WHERE schemaname = '${schema}' AND tablename NOT IN ('migration', 'housekeeping', 'now', 'history')
        LOOP
          EXECUTE 'SELECT EXISTS (SELECT FROM ' || t || ')' INTO found;
          IF found THEN EXECUTE 'DELETE FROM ' || t; END IF;
        END LOOP;
        UPDATE ${schema}.housekeeping SET next_at = 0;
      END $$`).unprepared)

/**
 * Makes the store's clock stand still, and answers how it is moved. The clock of a store is one function of its schema, so
 * that the same facts are asked of it as of a store in virtual time.
 */
export const frozen = (schema: string) =>
  Effect.gen(function*() {
    const sql = yield* PgClient.PgClient
    yield* sql.unsafe(`CREATE TABLE IF NOT EXISTS ${schema}.now (at bigint NOT NULL)`).unprepared
    yield* sql.unsafe(`INSERT INTO ${schema}.now SELECT 1800000000000 WHERE NOT EXISTS (SELECT FROM ${schema}.now)`)
      .unprepared
    yield* sql.unsafe(
      `CREATE OR REPLACE FUNCTION ${schema}.clock() RETURNS bigint LANGUAGE sql VOLATILE AS
       'SELECT at FROM ${schema}.now'`
    ).unprepared
    return (millis: number) =>
      Effect.asVoid(sql.unsafe(`UPDATE ${schema}.now SET at = at + $1::float8::bigint`, [millis]))
  })
