/** The test server, for tests and for the processes that they start. */
import { PgJobStore } from "@capstan/pg"
import { PgClient } from "@effect/sql-pg"
import type { JobStore, Transactional } from "capstan"
import { Layer, Logger, Redacted } from "effect"
import type { SqlClient } from "effect/sql"

/** Set by the test command, which starts a server when there is none. */
export const url = (): string => {
  const given = process.env.CAPSTAN_TEST_PG_URL
  if (given === undefined) throw new Error("CAPSTAN_TEST_PG_URL is not set: run the tests by `npm test`")
  return given
}

export type ClientOptions = Partial<PgClient.PgPoolConfig>

export const client = (options: ClientOptions = {}) =>
  Layer.orDie(PgClient.layer({ url: Redacted.make(url()), maxConnections: 5, ...options }))

/** A schema that nobody has used before, dropped when its tests have ended. */
export const schemaName = (theme: string): string => `t_${theme}_${process.pid}`

export const store = (
  schema: string,
  options: PgJobStore.Options = {},
  clientOptions: ClientOptions = {}
): Layer.Layer<JobStore.JobStore | Transactional.Transactional | PgClient.PgClient | SqlClient.SqlClient> =>
  // That the test server is not durable need not be said for each of them.
  Layer.orDie(PgJobStore.layer({ ...options, schema })).pipe(
    Layer.provide(Logger.layer([])),
    Layer.provideMerge(client(clientOptions))
  )

/** The tables that hold anything, emptied: the store of the next fact is a new one. */
export const empty = ({ schema, sql }: { readonly schema: string; readonly sql: PgClient.PgClient }) =>
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
    END $$`).unprepared
