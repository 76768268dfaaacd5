/**
 * Enqueues through somebody else's driver, in the transaction that is open there: `pg`, `postgres` (postgres.js), Drizzle,
 * Kysely, Prisma, or whatever runs a text with values.
 *
 * The record is checked, encoded and stamped as by the store itself; only the statement is run by you. It commits or rolls
 * back with your transaction, and workers hear of it after the commit.
 *
 * @since 0.1.0
 */
import { type JobError, JobStore } from "capstan"
import * as Effect from "effect/Effect"
import * as Codec from "./internal/codec.ts"
import { enqueueOnly, incompatible } from "./internal/enqueueOnly.ts"
import { namesOf } from "./internal/names.ts"

/**
 * Where the store is.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /**
   * The schema that holds the store's tables.
   *
   * @default "capstan"
   */
  readonly schema?: string | undefined
}

/**
 * A statement that stores records. It has one value, and answers a row of `id` and `outcome` per record, in order.
 *
 * @category models
 * @since 0.1.0
 */
export interface Statement {
  readonly text: string
  readonly values: readonly [records: string]
}

/**
 * What an enqueue would have stored, as a statement for any driver.
 *
 * **When to use**
 *
 * The driver has no adapter here. The id of each record is in the row that the statement answers: with a key it may be the
 * id of another record.
 *
 * **Example**
 *
 * ```ts
 * const { text, values } = await Effect.runPromise(PgEnqueue.statement(SendMail.enqueue({ to, subject })))
 * await prisma.$transaction((tx) => tx.$queryRawUnsafe(text, ...values))
 * ```
 *
 * @category statements
 * @since 0.1.0
 */
export const statement = <A, E, R>(
  enqueue: Effect.Effect<A, E, R>,
  options: Options = {}
): Effect.Effect<Statement, E | JobError.JobStoreError, Exclude<R, JobStore.JobStore>> =>
  Effect.flatMap(textOf(options), (text) => {
    const records: Array<JobStore.NewRecord> = []
    const collect = (some: ReadonlyArray<JobStore.NewRecord>) =>
      Effect.sync(() => {
        records.push(...some)
        return some.map(({ id }): JobStore.Enqueued => ({ id, outcome: "Inserted" }))
      })
    return Effect.map(
      Effect.provideService(enqueue, JobStore.JobStore, enqueueOnly(what, collect)),
      () => statementOf(text, records)
    )
  })

/**
 * Runs a statement with its values, and answers its rows.
 *
 * @category models
 * @since 0.1.0
 */
export type Run = (text: string, values: ReadonlyArray<string>) => PromiseLike<ReadonlyArray<unknown>>

/**
 * An enqueue whose statement somebody else runs. The answer is that of the enqueue: handles with their outcomes.
 *
 * **Gotchas**
 *
 * Await a handle after your commit, with the store's own layer: no worker sees the record before.
 *
 * **Example**
 *
 * ```ts
 * await client.query("BEGIN")
 * await client.query("INSERT INTO orders (id) VALUES ($1)", [id])
 * await Effect.runPromise(SendInvoice.enqueue({ id }).pipe(PgEnqueue.through(PgEnqueue.pg(client))))
 * await client.query("COMMIT")
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const through = (run: Run, options: Options = {}) =>
<A, E, R>(
  enqueue: Effect.Effect<A, E, R>
): Effect.Effect<A, E | JobError.JobStoreError, Exclude<R, JobStore.JobStore>> =>
  Effect.flatMap(textOf(options), (text) =>
    Effect.provideService(
      enqueue,
      JobStore.JobStore,
      enqueueOnly(what, (records) => {
        const { values } = statementOf(text, records)
        return Effect.flatMap(
          Effect.tryPromise({
            try: () => Promise.resolve(run(text, values)),
            // Whether it happened is up to the transaction that it ran in.
            catch: (cause) => incompatible("enqueue", cause instanceof Error ? cause.message : String(cause))
          }),
          (rows) => {
            const answers = rows.filter(isEnqueued)
            return answers.length === records.length
              ? Effect.succeed(answers)
              : Effect.fail(
                incompatible("enqueue", `the driver answered ${answers.length} rows for ${records.length} records`)
              )
          }
        )
      })
    ))

/**
 * A client of `pg` (node-postgres): a `Client`, or a `PoolClient` with your transaction open.
 *
 * @category drivers
 * @since 0.1.0
 */
export const pg = (
  client: {
    query(text: string, values: Array<string>): PromiseLike<{ readonly rows: ReadonlyArray<unknown> }>
  }
): Run =>
(text, values) => client.query(text, [...values]).then(({ rows }) => rows)

/**
 * A `sql` of `postgres` (postgres.js), as `sql.begin` hands it to its callback.
 *
 * @category drivers
 * @since 0.1.0
 */
export const postgresJs = (
  sql: { unsafe(text: string, values: Array<string>): PromiseLike<ReadonlyArray<unknown>> }
): Run =>
(text, values) => sql.unsafe(text, [...values])

const what = "another driver"

const textOf = ({ schema }: Options): Effect.Effect<string, JobError.JobStoreError> =>
  Effect.map(
    namesOf(schema),
    ({ schema }) => `SELECT id::text AS id, outcome FROM ${schema}.enqueue_each($1::text::json, false, true)`
  )

const statementOf = (text: string, records: ReadonlyArray<JobStore.NewRecord>): Statement => ({
  text,
  values: [JSON.stringify(records.map(Codec.toJson))]
})

const isEnqueued = (row: unknown): row is JobStore.Enqueued =>
  typeof row === "object" && row !== null && "id" in row && "outcome" in row
