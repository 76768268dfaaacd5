/**
 * The store on Postgres, over the caller's own `PgClient`.
 *
 * An acknowledged enqueue is as durable as a commit of that server (`describe` says how durable that is). Enqueues,
 * signals and control calls join a transaction of the caller's by the same call: `sql.withTransaction` around them is all
 * there is to it. Claims, settlements and renewals never do, and no open transaction makes them wait.
 *
 * ```ts
 * import { PgClient } from "@effect/sql-pg"
 * import { PgJobStore } from "@capstan/pg"
 *
 * const StoreLive = PgJobStore.layer().pipe(Layer.provide(PgClient.layer({ url })))
 * ```
 *
 * @since 0.1.0
 */
import { PgClient } from "@effect/sql-pg/PgClient"
import { JobError, JobStore, Transactional } from "capstan"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Client } from "./internal/client.ts"
import { warnings } from "./internal/describe.ts"
import * as Migrate from "./internal/migrate.ts"
import { maxCrashesOf, namesOf } from "./internal/names.ts"
import { latest, script } from "./internal/schema/migrations.ts"
import { make } from "./internal/store.ts"
import * as Transaction from "./internal/transactional.ts"

/**
 * Options of the store.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /**
   * The schema that holds the store's tables: lower case letters, digits and underscores, at most 40 characters. Several
   * stores live in one database under different names.
   *
   * @default "capstan"
   */
  readonly schema?: string | undefined
  /**
   * Whether the layer brings the schema to this release when it is built. With `false` it only checks, and fails with
   * `Incompatible` when the schema is older: run `migrate`, or the script of `migrationScript`, from your deployment.
   *
   * @default true
   */
  readonly migrate?: boolean | undefined
  /**
   * Whether the store holds a connection of its own to LISTEN on. With `false`, as behind a transaction pooler, workers
   * hear at once of what their own process does, and look every two seconds for the rest; awaiters look every second,
   * and `Jobs.events` tells nothing.
   *
   * @default true
   */
  readonly listen?: boolean | undefined
  /**
   * A record whose workers died this often while they held it is dead with reason `Crashed`: from 1 to 100.
   *
   * @default 3
   */
  readonly maxCrashes?: number | undefined
}

/**
 * The store, and `Transactional` for it.
 *
 * **Details**
 *
 * It uses at most two pooled connections at a time for workers and one for enqueues: give the client's pool that many beside
 * your own needs. The connection that it listens on is one of its own, made by the client's settings.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: Options = {}
): Layer.Layer<JobStore.JobStore | Transactional.Transactional, JobError.JobStoreError, PgClient> =>
  Layer.effectContext(Effect.gen(function*() {
    const pg = yield* PgClient
    const names = yield* namesOf(options.schema)
    const maxCrashes = yield* maxCrashesOf(options.maxCrashes)
    const client = new Client(pg, names.schema, names.channel)
    if (options.migrate === false) yield* Migrate.check(pg, names)
    else yield* Migrate.migrate(pg, names)
    for (const warning of yield* warnings(client)) {
      yield* Effect.logWarning(`Postgres store ${names.schema}: ${warning}`)
    }
    const identity = yield* identityOf(client)
    const store = yield* make(client, {
      identity,
      maxCrashes,
      listen: options.listen ?? true
    })
    return Context.make(JobStore.JobStore, store).pipe(
      Context.add(Transactional.Transactional, Transaction.make(client, identity))
    )
  }))

/**
 * Brings the schema to this release: additive steps in one transaction, under one lock. Answers the versions before and
 * after.
 *
 * @category migrations
 * @since 0.1.0
 */
export const migrate = (
  options: Pick<Options, "schema"> = {}
): Effect.Effect<{ readonly from: number; readonly to: number }, JobError.JobStoreError, PgClient> =>
  Effect.flatMap(PgClient, (pg) => Effect.flatMap(namesOf(options.schema), (names) => Migrate.migrate(pg, names)))

/**
 * The migrations as an SQL script, for whoever runs them by hand: by default all of them.
 *
 * **Details**
 *
 * It is one transaction, which gives up after ten seconds of waiting for a lock, and changes nothing in a schema of another
 * version.
 *
 * @category migrations
 * @since 0.1.0
 */
export const migrationScript = (
  options: Pick<Options, "schema"> & {
    /**
     * The version that the schema has (`SELECT max(version) FROM capstan.migration`): the steps after it are written. 0 is a
     * schema that is not there yet.
     *
     * @default 0
     */
    readonly from?: number | undefined
  } = {}
): Effect.Effect<string, JobError.JobStoreError> =>
  Effect.flatMap(namesOf(options.schema), (names) => {
    const from = options.from ?? 0
    if (Number.isInteger(from) && from >= 0 && from <= latest) return Effect.succeed(script(names, from))
    return Effect.fail(
      new JobError.JobStoreError({
        reason: new JobError.Incompatible({
          operation: "migrate",
          detail: `option from: ${from} is no version that this code knows: 0 to ${latest}`
        })
      })
    )
  })

/** The same for every client of the same data. */
const identityOf = (client: Client): Effect.Effect<string, JobError.JobStoreError> =>
  Effect.map(
    client.call<{ identity: string }>(
      "layer",
      `SELECT concat_ws(':', 'postgres', (SELECT system_identifier FROM pg_control_system()),
         (SELECT oid FROM pg_database WHERE datname = current_database()), $1::text) AS identity`,
      [client.schema]
    ),
    ([row]) => row!.identity
  )
