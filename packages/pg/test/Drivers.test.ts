/** Enqueues through other drivers, in a transaction that is theirs. The recipes of docs/postgres.md are these. */
import { PgEnqueue, PgJobStore } from "@capstan/pg"
import { assert, describe, it } from "@effect/vitest"
import { Job, type JobError, JobRecord, Jobs, JobStore, Topic } from "capstan"
import { sql as drizzleSql } from "drizzle-orm"
import { drizzle } from "drizzle-orm/node-postgres"
import { Effect, Layer, ManagedRuntime, Schema } from "effect"
import { CompiledQuery, Kysely, PostgresDialect } from "kysely"
import { Pool } from "pg"
import postgres from "postgres"
import { afterAll, beforeAll } from "vitest"
import * as Harness from "./harness.ts"

class SendMail extends Job.make("SendMail", {
  payload: { to: Schema.NonEmptyString },
  queue: "mail",
  unique: { key: ({ to }) => to }
}) {}

const Paid = Topic.make("Paid", { to: Schema.NonEmptyString })
class Remind extends Job.make("Remind", {
  payload: { to: Schema.NonEmptyString },
  queue: "mail",
  cancelOn: [{ event: Topic.match(Paid, ({ to }) => to), payload: ({ to }) => to }]
}) {}
Job.make("Thank", {
  payload: { to: Schema.NonEmptyString },
  queue: "mail",
  on: [Topic.on(Paid, { payload: ({ to }) => ({ to }) })]
})

const schema = Harness.schemaName("drivers")
const here = { schema }
const runtime = ManagedRuntime.make(Layer.provideMerge(Jobs.layer, Harness.store(schema)))
const pool = new Pool({ connectionString: Harness.url(), max: 2 })
const sql = postgres(Harness.url(), { max: 2, onnotice: () => {} })
const db = drizzle(pool)
const kysely = new Kysely<Record<string, never>>({ dialect: new PostgresDialect({ pool }) })

beforeAll(() => runtime.runPromise(PgJobStore.migrate(here)))
afterAll(async () => {
  await Harness.drop(schema)
  await runtime.dispose()
  await sql.end()
  await pool.end()
})

const mail = (to: string) => SendMail.enqueue({ to })
const stored = () =>
  runtime.runPromise(
    Effect.flatMap(Jobs.Jobs, (jobs) => jobs.query({ order: "oldest" })).pipe(
      Effect.map(({ records }) => records.map(({ payload }): string => JSON.parse(payload).to)),
      Effect.tap(Effect.flatMap(Jobs.Jobs, (jobs) => jobs.delete({})))
    )
  )

/** Runs what it is given in a transaction of a driver, which rolls back when that fails. */
type Transaction = (body: (run: PgEnqueue.Run) => Promise<unknown>) => Promise<unknown>

const drivers: Readonly<Record<string, Transaction>> = {
  pg: async (body) => {
    const client = await pool.connect()
    try {
      await client.query("BEGIN")
      await body(PgEnqueue.pg(client))
      await client.query("COMMIT")
    } catch (error) {
      await client.query("ROLLBACK")
      throw error
    } finally {
      client.release()
    }
  },
  "postgres.js": (body) => sql.begin((tx) => body(PgEnqueue.postgresJs(tx))),
  Drizzle: (body) =>
    db.transaction((tx) =>
      body(async (text, [value]) => {
        const [before, after] = text.split("$1")
        const { rows } = await tx.execute(
          drizzleSql`${drizzleSql.raw(before!)}${value}${drizzleSql.raw(after!)}`
        )
        return rows
      })
    ),
  Kysely: (body) =>
    kysely.transaction().execute((tx) =>
      body(async (text, values) => (await tx.executeQuery(CompiledQuery.raw(text, [...values]))).rows)
    )
}

describe.each(Object.entries(drivers))("%s", (_, transaction) => {
  it("what it enqueues commits with its transaction, keys and all", async () => {
    const outcomes: Array<string> = []
    await transaction(async (run) => {
      const each = Effect.forEach(["ada", "grace", "ada"], mail)
      const handles = await Effect.runPromise(each.pipe(PgEnqueue.through(run, here)))
      outcomes.push(...handles.map(({ outcome }) => outcome))
    })
    assert.deepStrictEqual(outcomes, ["Inserted", "Inserted", "Existing"])
    assert.deepStrictEqual(await stored(), ["ada", "grace"])
  })

  it("an event is published with all that it does, and goes with a rollback", async () => {
    const remind = (to: string) => Remind.enqueue({ to }, { delay: "1 hour" })
    const [ada, grace] = await runtime.runPromise(Effect.forEach(["ada", "grace"], remind))
    const stateOf = (handle: { readonly id: string }) =>
      runtime.runPromise(
        Effect.flatMap(JobStore.JobStore, (store) => Harness.stateOf({ store }, JobRecord.JobId(handle.id)))
      )
    const publish = async (run: PgEnqueue.Run, to: string) => {
      const told = await Effect.runPromise(Paid.publish({ to }).pipe(PgEnqueue.through(run, here)))
      assert.deepStrictEqual(told.map(({ job, outcome }) => [job, outcome]), [["Thank", "Inserted"]])
      return JobRecord.JobId(told[0]!.id)
    }
    const thanks: Array<JobRecord.JobId> = []
    await transaction(async (run) => {
      thanks.push(await publish(run, "ada"))
    })
    await transaction(async (run) => {
      thanks.push(await publish(run, "grace"))
      throw new Error("no")
    }).catch(() => {})
    assert.deepStrictEqual([await stateOf(ada!), await stateOf(grace!)], ["cancelled", "scheduled"])
    const found = await Promise.all(thanks.map((id) => stateOf({ id })))
    assert.deepStrictEqual(found, ["ready", "none"])
    await stored()
  })

  it("what it enqueues goes with its rollback", async () => {
    const failed = await transaction(async (run) => {
      await Effect.runPromise(mail("ada").pipe(PgEnqueue.through(run, here)))
      throw new Error("no")
    }).catch(({ message }: Error) => message)
    assert.strictEqual(failed, "no")
    assert.deepStrictEqual(await stored(), [])
  })
})

describe("a statement", () => {
  it("runs on anything that takes a text and values, as Prisma's $queryRawUnsafe", async () => {
    const { text, values } = await Effect.runPromise(
      PgEnqueue.statement(SendMail.enqueueMany([{ to: "ada" }, { to: "grace" }]), here)
    )
    const queryRawUnsafe = (text: string, ...values: Array<string>) => pool.query(text, values).then(({ rows }) => rows)
    const rows = await queryRawUnsafe(text, ...values)
    assert.deepStrictEqual(rows.map(({ outcome }) => outcome), ["Inserted", "Inserted"])
    assert.deepStrictEqual(await stored(), ["ada", "grace"])
  })

  it("publishes an event, which is one of its own", async () => {
    const handle = await runtime.runPromise(Remind.enqueue({ to: "ada" }, { delay: "1 hour" }))
    const publish = Paid.publish({ to: "ada" })
    const { text, values } = await Effect.runPromise(PgEnqueue.statement(publish, here))
    assert.deepStrictEqual((await pool.query(text, [...values])).rows.map(({ outcome }) => outcome), ["Inserted"])
    const record = await runtime.runPromise(
      Effect.flatMap(JobStore.JobStore, (store) => Harness.stateOf({ store }, handle.id))
    )
    assert.strictEqual(record, "cancelled")
    await stored()
    const [first, second] = [Effect.asVoid(publish), Effect.asVoid(mail("ada"))]
    const both = [Effect.andThen(first, second), Effect.andThen(second, first)]
    const refused = Effect.forEach(both, (one) => Effect.flip(PgEnqueue.statement(one, here)))
    for (const { message } of await Effect.runPromise(refused)) assert.include(message, "is a statement of its own")
  })

  it("is not made of a payload that the job refuses", async () => {
    const error = await Effect.runPromise(Effect.flip(PgEnqueue.statement(mail(""), here)))
    assert.strictEqual(error.reason._tag, "InvalidPayload")
  })

  it("is not made of what is no enqueue", async () => {
    const error = await Effect.runPromise(
      Effect.flip(PgEnqueue.statement(SendMail.handle("01a2143c-c89e-7000-aa00-b197abd058c6").poll, here))
    )
    assert.include(error.message, "takes enqueues alone")
  })

  it("says what the driver said", async () => {
    const error = await Effect.runPromise(Effect.flip(
      mail("ada").pipe(PgEnqueue.through(PgEnqueue.pg(pool), { schema: "nowhere" }))
    )) as JobError.JobStoreError
    assert.strictEqual(error.reason._tag, "Incompatible")
    assert.include(error.message, `schema "nowhere" does not exist`)
  })
})
