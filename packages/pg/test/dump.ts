/**
 * What a schema is made of, read from the catalogues: the same text for the same schema on every version of Postgres, which
 * `pg_dump` does not give.
 */
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"

const text = `
  WITH n AS (SELECT oid FROM pg_namespace WHERE nspname = $1)
  SELECT 1 AS part, c.relname AS name, 0 AS place, format(E'CREATE %s %s%s%s;',
      CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.relname,
      CASE WHEN c.relispartition THEN format(' PARTITION OF %s %s', (SELECT inhparent::regclass FROM pg_inherits
          WHERE inhrelid = c.oid), pg_get_expr(c.relpartbound, c.oid))
        WHEN c.relkind = 'S' THEN ''
        ELSE format(E' (\\n%s\\n)', (SELECT string_agg(format('  %s %s%s%s%s', a.attname,
            format_type(a.atttypid, a.atttypmod), CASE WHEN col.collname = 'C' THEN ' COLLATE "C"' END,
            CASE WHEN a.attnotnull THEN ' NOT NULL' END,
            CASE WHEN a.attidentity = 'a' THEN ' GENERATED ALWAYS AS IDENTITY'
              WHEN d.oid IS NOT NULL THEN ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) END), E',\\n' ORDER BY a.attnum)
          FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
          LEFT JOIN pg_collation col ON col.oid = a.attcollation
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)) END,
      coalesce(' PARTITION BY ' || pg_get_partkeydef(c.oid), '') || coalesce(' WITH (' || array_to_string(c.reloptions, ', ')
        || ')', '')) AS line
    FROM pg_class c WHERE c.relnamespace = (SELECT oid FROM n) AND (c.relkind IN ('r', 'p')
      OR c.relkind = 'S' AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'i'))
  UNION ALL SELECT 1, c.relname, 1, format('ALTER TABLE %s ADD CONSTRAINT %s %s;', c.relname, k.conname,
      pg_get_constraintdef(k.oid))
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
    WHERE k.connamespace = (SELECT oid FROM n) AND k.contype IN ('p', 'u', 'c', 'f', 'x')
  UNION ALL SELECT 1, t.relname, 2, pg_get_indexdef(i.indexrelid) || ';'
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
    WHERE c.relnamespace = (SELECT oid FROM n) AND NOT t.relispartition
      AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
  UNION ALL SELECT 2, p.proname, 0, rtrim(pg_get_functiondef(p.oid), E'\\n') || ';'
    FROM pg_proc p WHERE p.pronamespace = (SELECT oid FROM n)
  ORDER BY part, name, place, line`

const header =
  "-- The schema as it is after all migrations, diffed by a test: `npm test -- packages/pg/test/Migrations -u` writes it."

/** The schema's own name is left out of it, so that two of them compare. */
export const dump = (sql: SqlClient.SqlClient, schema: string) => {
  const own = new RegExp(`"?${schema}"?\\.`, "g")
  const nameless = (line: string) => line.replaceAll(`capstan_${schema}`, "capstan").replaceAll(own, "")
  return Effect.map(
    sql.unsafe<{ line: string }>(text, [schema]),
    (rows) => `${[header, ...rows.map(({ line }) => nameless(line))].join("\n\n")}\n`
  )
}
