/**
 * Brings the schema to this release, or says that it does not fit. Safe when ten processes start at once.
 */
import type { PgClient } from "@effect/sql-pg/PgClient"
import { JobError } from "capstan"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { toStoreError } from "./errors.ts"
import { bookkeeping, latest, lockTimeout, type Names, statementsFrom } from "./schema/migrations.ts"

export interface Applied {
  readonly from: number
  readonly to: number
}

export const migrate = (
  client: PgClient,
  names: Names,
  patience: string = lockTimeout
): Effect.Effect<Applied, JobError.JobStoreError> =>
  Effect.gen(function*() {
    const pg = client.withoutTransforms()
    const before = yield* versionOf(pg, names)
    if (before >= latest) return { from: before, to: before }
    return yield* pg.withTransaction(Effect.gen(function*() {
      yield* pg.unsafe(`SET LOCAL lock_timeout = '${patience}'`).unprepared
      // The schema may not be there yet, so what is locked is its name.
      yield* pg.unsafe("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [names.schema])
      const from = yield* versionOf(pg, names)
      if (from === 0) yield* run(pg, bookkeeping(names.schema))
      yield* run(pg, statementsFrom(names, from))
      return { from, to: Math.max(from, latest) }
    }))
  }).pipe(
    Effect.withTracerEnabled(false),
    Effect.mapError((error) => error._tag === "SqlError" ? toStoreError("migrate", error) : error)
  )

const run = (pg: SqlClient, statements: ReadonlyArray<string>) =>
  Effect.forEach(statements, (statement) => pg.unsafe(statement).unprepared, { discard: true })

/** The version of the schema, 0 when there is none. Fails when this code cannot work on it. */
const versionOf = (
  pg: SqlClient,
  { schema }: Names
): Effect.Effect<number, SqlError | JobError.JobStoreError> =>
  Effect.gen(function*() {
    // Not by `to_regclass`: inside a transaction it goes on saying that a schema is not there which another one has made
    // since, for it reads a cache that nothing tells before the next lock of a relation.
    const [there] = yield* pg.unsafe<{ found: boolean }>(
      "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = $1 AND tablename = 'migration') AS found",
      [schema.replaceAll("\"", "")]
    )
    if (there?.found !== true) return 0
    const [row] = yield* pg.unsafe<{ version: number; readable_by: number }>(
      `SELECT coalesce(max(version), 0)::int AS version, coalesce(max(readable_by), 0)::int AS readable_by
       FROM ${schema}.migration`
    )
    const { readable_by, version } = row!
    if (readable_by <= latest) return version
    return yield* new JobError.JobStoreError({
      reason: new JobError.Incompatible({
        operation: "migrate",
        detail: `schema ${schema} has version ${version}, which needs code of version ${readable_by} or newer, ` +
          `this code has ${latest}: deploy a newer release`
      })
    })
  })

/** Fails unless the schema is one that this code can work on. */
export const check = (pg: PgClient, names: Names): Effect.Effect<void, JobError.JobStoreError> =>
  Effect.flatMap(
    Effect.mapError(
      versionOf(pg.withoutTransforms(), names),
      (error) => error._tag === "SqlError" ? toStoreError("check", error) : error
    ),
    (version) =>
      version >= latest ? Effect.void : Effect.fail(
        new JobError.JobStoreError({
          reason: new JobError.Incompatible({
            operation: "check",
            detail:
              `schema ${names.schema} ${version === 0 ? "is not there" : `has version ${version}`}, this code needs ` +
              `version ${latest}: run \`capstan migrate up\`, or let the layer do it with migrate: true`
          })
        })
      )
  )
