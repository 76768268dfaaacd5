/**
 * What an operator asks of the schema: whether every index is there and valid, and whether the server clears up behind the
 * store. Cost: the catalogue's rows of the schema, and the size of each of its files; no table is read.
 */
import type { JobError, JobStore } from "capstan"
import * as Effect from "effect/Effect"
import type { Client } from "./client.ts"
import { type Index, indexes } from "./schema/indexes.ts"
import { latest } from "./schema/migrations.ts"

/** From where on something is too much. */
export interface Bounds {
  /** Bytes that an index or a table may have beside what its rows need: a backlog that is gone leaves as much, and it is used again. */
  readonly spare: number
  /** How often what its rows need it may have. */
  readonly factor: number
  /** Dead rows of a table that has not been vacuumed for a while. */
  readonly dead: number
  /** Seconds that make that while. */
  readonly unvacuumed: number
}

export const usualBounds: Bounds = { spare: 256 * 1024 * 1024, factor: 8, dead: 100_000, unvacuumed: 15 * 60 }

/** An entry of an index, with its key and what the page keeps free. */
const entryBytes = 100

interface Whole {
  readonly version: number
  /** Where nothing runs beside the one session. */
  readonly isPglite: boolean
}

const wholeText = (s: string) =>
  `SELECT max(version)::int AS version, version() LIKE '%PGlite%' AS "isPglite" FROM ${s}.migration`

interface FoundIndex extends Index {
  readonly isValid: boolean
  /** Of a partition: it is made with that of the whole. */
  readonly isPart: boolean
  readonly bytes: number
}

const indexesText = `
  SELECT i.relname AS name, t.relname AS "table", x.indisvalid AS "isValid", i.relispartition AS "isPart",
    coalesce(pg_relation_size(i.oid), 0)::float8 AS bytes
  FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
  WHERE t.relnamespace = to_regnamespace($1) AND t.relkind IN ('r', 'p')
  ORDER BY 2, 1`

interface FoundTable {
  readonly name: string
  readonly live: number
  readonly dead: number
  /** Seconds since then; null: never. */
  readonly vacuumed: number | null
  readonly analyzed: number | null
  readonly changed: number
  readonly bytes: number
  /** What the statistics say of its rows; null where there are none, or the role may not read the table. */
  readonly width: number | null
  readonly fill: number
  readonly isVacuumed: boolean
}

const tablesText = `
  SELECT c.relname AS name, coalesce(s.n_live_tup, 0)::float8 AS live, coalesce(s.n_dead_tup, 0)::float8 AS dead,
    extract(epoch FROM clock_timestamp() - greatest(s.last_vacuum, s.last_autovacuum))::float8 AS vacuumed,
    extract(epoch FROM clock_timestamp() - greatest(s.last_analyze, s.last_autoanalyze))::float8 AS analyzed,
    coalesce(s.n_mod_since_analyze, 0)::float8 AS changed, coalesce(pg_relation_size(c.oid), 0)::float8 AS bytes,
    (SELECT sum(avg_width) FROM pg_stats p WHERE p.schemaname = s.schemaname AND p.tablename = c.relname)::float8 AS width,
    coalesce((SELECT option_value FROM pg_options_to_table(c.reloptions) WHERE option_name = 'fillfactor'), '100')::float8 / 100
      AS fill,
    current_setting('autovacuum')::bool AND coalesce((SELECT option_value FROM pg_options_to_table(c.reloptions)
      WHERE option_name = 'autovacuum_enabled'), 'true')::bool AS "isVacuumed"
  FROM pg_class c LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
  WHERE c.relnamespace = to_regnamespace($1) AND c.relkind = 'r'
  ORDER BY 1`

export const examine = (
  client: Pick<Client, "call" | "schema">,
  bounds: Bounds = usualBounds
): Effect.Effect<ReadonlyArray<JobStore.Finding>, JobError.JobStoreError> =>
  Effect.gen(function*() {
    const [whole] = yield* client.call<Whole>("examine", wholeText(client.schema), [])
    const found = yield* client.call<FoundIndex>("examine", indexesText, [client.schema])
    const tables = yield* client.call<FoundTable>("examine", tablesText, [client.schema])
    const schema = client.schema.replaceAll("\"", "")
    return [
      ...aboutIndexes(schema, found, whole!.version),
      ...aboutSizes(schema, found, tables, bounds),
      ...(whole!.isPglite ? [] : aboutUpkeep(schema, tables, bounds))
    ]
  })

const warning = (what: string, detail: string): JobStore.Finding => ({ what, is: "warning", detail })

const aboutIndexes = (
  schema: string,
  found: ReadonlyArray<FoundIndex>,
  version: number
): ReadonlyArray<JobStore.Finding> => {
  const wanted = indexes(schema)
  const byName = new Map(found.map((index) => [index.name, index]))
  const ours = new Set(wanted.map(({ name }) => name))
  // A schema that is newer may have made others in their place.
  const missing = version > latest ? [] : wanted.filter(({ name, table }) => byName.get(name)?.table !== table)
  const invalid = found.filter(({ isValid }) => !isValid)
  const others = found.filter(({ isPart, isValid, name }) => isValid && !isPart && !ours.has(name))
  return [
    ...missing.map(({ name, table }) =>
      warning(
        "indexes",
        `${name} of ${schema}.${table} is not there, so what it is for reads the whole table: ` +
          "make it with CREATE INDEX CONCURRENTLY, as `capstan migrate print` has it"
      )
    ),
    ...invalid.map(({ name }) =>
      warning(
        "indexes",
        `${name} is invalid: every write pays for it and no read uses it. ` +
          (ours.has(name)
            ? `REINDEX INDEX CONCURRENTLY ${schema}.${name} makes it anew`
            : `DROP INDEX CONCURRENTLY ${schema}.${name} removes what a REINDEX has left behind`)
      )
    ),
    // Those of a newer schema are its own.
    ...(version > latest ? [] : others).map(({ name, table }): JobStore.Finding => ({
      what: "indexes",
      is: "note",
      detail: `${name} of ${table} is none of this schema's: writes pay for it`
    })),
    ...(missing.length + invalid.length > 0 ? [] : [{
      what: "indexes",
      is: "ok" as const,
      detail: `${found.length - others.length} are there and valid, ${size(sum(found))}`
    }])
  ]
}

const aboutSizes = (
  schema: string,
  found: ReadonlyArray<FoundIndex>,
  tables: ReadonlyArray<FoundTable>,
  { factor, spare }: Bounds
): ReadonlyArray<JobStore.Finding> => {
  const isTooLarge = (bytes: number, needed: number) => bytes > spare + factor * needed
  const rows = new Map(tables.map(({ live, name }) => [name, live]))
  return [
    ...found.filter(({ bytes, table }) => isTooLarge(bytes, (rows.get(table) ?? 0) * entryBytes)).map((
      { bytes, name, table }
    ) =>
      warning(
        "indexes",
        `${name} has ${size(bytes)} for ${
          many(rows.get(table) ?? 0)
        } rows: REINDEX INDEX CONCURRENTLY ${schema}.${name} ` +
          "makes it small again"
      )
    ),
    ...tables.filter(({ bytes, fill, live, width }) => width !== null && isTooLarge(bytes, live * (width + 32) / fill))
      .map(({ bytes, live, name }) =>
        warning(
          "tables",
          `${name} has ${size(bytes)} for ${many(live)} rows: VACUUM gives back what lies at its end, ` +
            "VACUUM FULL all of it while nobody works"
        )
      )
  ]
}

const aboutUpkeep = (
  schema: string,
  tables: ReadonlyArray<FoundTable>,
  { dead: tooMany, unvacuumed }: Bounds
): ReadonlyArray<JobStore.Finding> => {
  const isLongAgo = (seconds: number | null) => seconds === null || seconds > unvacuumed
  const found = [
    ...(tables.some(({ isVacuumed }) => !isVacuumed)
      ? [warning(
        "upkeep",
        `autovacuum is off for ${tables.filter(({ isVacuumed }) => !isVacuumed).map(({ name }) => name).join(", ")}: ` +
          "the store counts on it"
      )]
      : []),
    ...tables.filter(({ dead, live, vacuumed }) => dead > Math.max(tooMany, live) && isLongAgo(vacuumed)).map((
      { dead, live, name, vacuumed }
    ) =>
      warning(
        "upkeep",
        `${name} has ${many(dead)} dead rows beside ${many(live)}, ${ago("vacuumed", vacuumed)}: ` +
          `look for old transactions, and at what autovacuum may do, or VACUUM ${schema}.${name}`
      )
    ),
    ...tables.filter(({ analyzed, changed, live }) => changed > Math.max(10 * tooMany, 2 * live) && isLongAgo(analyzed))
      .map(({ analyzed, changed, name }) =>
        warning(
          "upkeep",
          `${many(changed)} rows of ${name} have changed, ${ago("analyzed", analyzed)}: ANALYZE ${schema}.${name}`
        )
      )
  ]
  const live = tables.reduce((total, table) => total + table.live, 0)
  const dead = tables.reduce((total, table) => total + table.dead, 0)
  return found.length > 0 ? found : [{
    what: "upkeep",
    is: "ok",
    detail: `${many(dead)} dead rows beside ${many(live)} in ${size(sum(tables))} of tables`
  }]
}

const sum = (relations: ReadonlyArray<{ readonly bytes: number }>): number =>
  relations.reduce((total, { bytes }) => total + bytes, 0)

const many = (count: number): string => Math.round(count).toLocaleString("en-US")

const size = (bytes: number): string =>
  bytes < 1024 * 1024 ? `${Math.round(bytes / 1024)} kB` : `${many(bytes / 1024 / 1024)} MB`

const ago = (what: string, seconds: number | null): string =>
  seconds === null ? `never ${what}` : `${what} ${many(seconds / 60)} min ago`
