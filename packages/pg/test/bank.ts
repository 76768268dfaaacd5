/** Money that is moved by a job: two accounts, a line in a ledger and a receipt, in the transaction that ends the attempt. */
import { PgClient } from "@effect/sql-pg"
import { Job, JobContext, JobGroup, JobWorker } from "capstan"
import { Effect, Layer, Schema } from "effect"

export class Receipt extends Job.make("Receipt", { payload: { transfer: Schema.String }, queue: "receipts" }) {}

export class Transfer extends Job.make("Transfer", {
  payload: { from: Schema.Int, to: Schema.Int, amount: Schema.Int },
  success: Schema.Struct({ moved: Schema.Int }),
  timeout: "infinite"
}) {}

/** The tables, in a schema of their own; every account begins with a thousand. */
export const open = (schema: string, accounts: number) =>
  Effect.gen(function*() {
    const sql = yield* PgClient.PgClient
    yield* sql.unsafe(`CREATE SCHEMA ${schema}`).unprepared
    yield* sql.unsafe(`CREATE TABLE ${schema}.account (id int PRIMARY KEY, balance int NOT NULL CHECK (balance >= 0))`)
      .unprepared
    yield* sql.unsafe(`CREATE TABLE ${schema}.ledger (record uuid NOT NULL, amount int NOT NULL)`).unprepared
    yield* sql.unsafe(`INSERT INTO ${schema}.account SELECT n, 1000 FROM generate_series(1, ${accounts}) n`).unprepared
  })

/**
 * The worker's half. `pause` runs inside the transaction, between the two halves of a transfer.
 */
export const worker = (
  schema: string,
  pause: Effect.Effect<void>,
  options: Parameters<typeof JobWorker.layer>[1] = {}
) => {
  const bank = JobGroup.make(Transfer)
  return JobWorker.layer(bank, { shutdownGrace: 0, ...options }).pipe(
    Layer.provide(bank.toLayer({
      Transfer: ({ amount, from, to }) =>
        Transfer.commit(Effect.gen(function*() {
          const { id } = yield* JobContext.JobContext
          const sql = yield* PgClient.PgClient
          yield* sql.unsafe(`UPDATE ${schema}.account SET balance = balance - $2 WHERE id = $1`, [from, amount])
          yield* pause
          yield* sql.unsafe(`UPDATE ${schema}.account SET balance = balance + $2 WHERE id = $1`, [to, amount])
          yield* sql.unsafe(`INSERT INTO ${schema}.ledger VALUES ($1::uuid, $2)`, [id, amount])
          yield* Receipt.enqueue({ transfer: id })
          return { moved: amount }
        })).pipe(Effect.catchTag("SqlError", Effect.die))
    }))
  )
}
