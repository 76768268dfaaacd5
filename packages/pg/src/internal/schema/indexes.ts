/** The names of all indexes of the schema, as its statements make them. */
import { bookkeeping, migrations } from "./migrations.ts"

export interface Index {
  readonly name: string
  readonly table: string
}

const named = (schema: string) => ({ schema, channel: "" })

/** Those of keys have the names that the server gives them. */
export const indexes = (schema: string): ReadonlyArray<Index> =>
  [
    ...bookkeeping(schema),
    ...migrations.flatMap(({ last, statements }) => [...statements(named(schema)), ...last?.(named(schema)) ?? []])
  ].flatMap((text): ReadonlyArray<Index> => {
    const [, name, on] = /^\s*CREATE (?:UNIQUE )?INDEX (\w+) ON \S+?\.(\w+) /.exec(text) ?? []
    if (name !== undefined && on !== undefined) return [{ name, table: on }]
    const [, table] = /^\s*CREATE TABLE (?:IF NOT EXISTS )?\S+?\.(\w+) \(/.exec(text) ?? []
    if (table === undefined) return []
    return [
      ...(text.includes("PRIMARY KEY") ? [{ name: `${table}_pkey`, table }] : []),
      ...[...text.matchAll(/^\s*(\w+) .* UNIQUE\b/gm)].map(([, column]) => ({ name: `${table}_${column}_key`, table }))
    ]
  })
