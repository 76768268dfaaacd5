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
import { type Batch, enqueueOnly, incompatible } from "./internal/enqueueOnly.ts"
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
 * A statement that stores records, and does to others what an event does (`cancelOn`, `completeOn`). It has one value, and answers a
 * row of `id` and `outcome` per record, in order.
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
 * id of another record, and with `UniqueConflict` nothing of the statement is stored.
 *
 * **Gotchas**
 *
 * Several enqueues make one statement; an event that cancels records or completes waitpoints makes one of its own, else it fails
 * with `Incompatible`.
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
  Effect.flatMap(functionOf(options), (called) => {
    const batches: Array<Batch> = []
    const collect = (batch: Batch) =>
      Effect.suspend(() => {
        batches.push(batch)
        return batches.length > 1 && batches.some(Codec.isEvent)
          ? Effect.fail(incompatible("publish", alone))
          : Effect.succeed(batch.records.map(({ id }): JobStore.Enqueued => ({ id, outcome: "Inserted" })))
      })
    return Effect.map(
      Effect.provideService(enqueue, JobStore.JobStore, enqueueOnly(what, collect)),
      () => statementOf(called, { ...batches[0], records: batches.flatMap(({ records }) => records) })
    )
  })

/** What an event does to others comes before the records of its statement, also before those that were enqueued earlier. */
const alone = "an event that cancels records or completes waitpoints is a statement of its own: make one of each call"

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
  Effect.flatMap(functionOf(options), (called) =>
    Effect.provideService(
      enqueue,
      JobStore.JobStore,
      enqueueOnly(what, (batch) => {
        const { records } = batch
        const { text, values } = statementOf(called, batch)
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

const functionOf = ({ schema }: Options): Effect.Effect<string, JobError.JobStoreError> =>
  Effect.map(namesOf(schema), ({ schema }) => `${schema}.enqueue_each`)

/** It has one value in one place, whatever is stored: a driver may have no other way than to cut its text there. */
const statementOf = (called: string, batch: Batch): Statement => {
  const records = batch.records.map(Codec.toJson)
  return Codec.isEvent(batch)
    ? {
      text: `SELECT id::text AS id, outcome FROM (SELECT $1::text::json AS given) v, ` +
        `${called}(given -> 'records', false, true, NULL, given -> 'events')`,
      values: [JSON.stringify({ records, events: JSON.parse(Codec.eventsJson(batch)) })]
    }
    : {
      text: `SELECT id::text AS id, outcome FROM ${called}($1::text::json, false, true)`,
      values: [JSON.stringify(records)]
    }
}

const isEnqueued = (row: unknown): row is JobStore.Enqueued =>
  typeof row === "object" && row !== null && "id" in row && "outcome" in row
