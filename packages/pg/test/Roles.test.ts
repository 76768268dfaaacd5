/** The rights that docs/postgres.md grants, given to roles that log in and do what they may. */
import { PgEnqueue, PgJobStore } from "@capstan/pg"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Job, type JobError, JobGroup, Jobs, JobStore, JobWorker, Topic } from "capstan"
import { Effect, Layer, ManagedRuntime, Option, Redacted, Schema } from "effect"
import { readFileSync } from "node:fs"
import { Client, Pool } from "pg"
import { afterAll, beforeAll } from "vitest"
import * as Harness from "./harness.ts"

class Task extends Job.make("Task", {
  payload: { n: Schema.Int },
  success: Schema.Int,
  concurrency: { key: () => "all", limit: 1 }
}) {}
class Plain extends Job.make("Plain", { payload: { n: Schema.Int } }) {}
class Fair extends Job.make("Fair", {
  payload: { n: Schema.Int },
  concurrency: { key: () => "all", limit: 1, order: "fair" }
}) {}
const Over = Topic.make("Over", { key: Schema.String })
class Held extends Job.make("Held", {
  payload: { key: Schema.String, n: Schema.Int },
  unique: { key: ({ key }) => key },
  cancelOn: [{ event: Topic.match(Over, ({ key }) => key), payload: ({ key }) => key }]
}) {}
class Group extends JobGroup.make(Task, Plain) {}

const schema = Harness.schemaName("roles")
const roleOf = (name: string) => `${schema}_${name}`
const docs = readFileSync(new URL("../../../docs/postgres.md", import.meta.url), "utf8")

/** A block of the docs, for this schema and these roles. */
const block = (what: string): string =>
  new RegExp(`\`\`\`sql\n-- ${what}\n([^]*?)\`\`\``).exec(docs)![1]!
    .replaceAll("SCHEMA capstan", `SCHEMA ${schema}`)
    .replaceAll("capstan.", `${schema}.`)
    .replaceAll(/shop_(\w+)/g, (_, name: string) => roleOf(name))

const owner = new Client({ connectionString: Harness.url() })

const urlOf = (name: string): string => {
  const url = new URL(Harness.url())
  url.username = roleOf(name)
  url.password = "secret"
  return url.href
}

/** A program that logs in as a role. */
const as = (name: string) =>
  ManagedRuntime.make(
    Layer.provideMerge(Jobs.layer, PgJobStore.layer({ schema, migrate: false })).pipe(
      Layer.provideMerge(PgClient.layer({ url: Redacted.make(urlOf(name)), maxConnections: 5 }))
    )
  )
const web = as("web")
const read = as("read")
const work = as("work")

const roles = ["web", "read", "work", "owner"]

beforeAll(async () => {
  await Effect.runPromise(Effect.provide(PgJobStore.migrate({ schema }), Harness.client()))
  await owner.connect()
  await owner.query(roles.map((name) => `CREATE ROLE ${roleOf(name)} LOGIN PASSWORD 'secret'`).join(";"))
  await owner.query(["may enqueue", "may look", "may work"].map(block).join("\n"))
})
afterAll(async () => {
  await Promise.all([web, read, work].map((runtime) => runtime.dispose()))
  await owner.query(`DROP SCHEMA ${schema} CASCADE; ${roles.map((name) => `DROP ROLE ${roleOf(name)}`).join(";")}`)
  await owner.end()
})

describe("a role that may only enqueue", () => {
  it("enqueues with and without keys, by the store, through another driver and in SQL", async () => {
    await web.runPromise(Effect.all([Task.enqueue({ n: 1 }), Plain.enqueue({ n: 2 }, { idempotencyKey: "two" })]))
    await web.runPromise(Plain.enqueueMany([{ n: 3 }, { n: 4 }]))
    // The order of its keys is a limit's, which the role may not tell the store: that is left to a worker.
    await web.runPromise(Effect.andThen(Fair.enqueue({ n: 7 }), Fair.enqueue({ n: 8 })))
    const client = new Client({ connectionString: urlOf("web") })
    await client.connect()
    await web.runPromise(Plain.enqueue({ n: 5 }).pipe(PgEnqueue.through(PgEnqueue.pg(client), { schema })))
    await client.query(`SELECT ${schema}.enqueue('Plain', '{"n":6}')`)
    await client.end()
    const { records } = await read.runPromise(Effect.flatMap(Jobs.Jobs, (jobs) => jobs.query({})))
    assert.strictEqual(records.length, 8)
  })

  it("reads nothing, claims nothing, changes nothing", async () => {
    const client = new Pool({ connectionString: urlOf("web"), max: 1 })
    const codes = await Promise.all([
      `SELECT * FROM ${schema}.record`,
      `DELETE FROM ${schema}.record`,
      `INSERT INTO ${schema}.delta (queue) VALUES ('x')`,
      `SELECT ${schema}.pause('default', true)`,
      `SELECT ${schema}.maintain(3)`,
      `SELECT ${schema}.control_one(gen_random_uuid(), 'Delete', NULL, NULL, NULL, NULL, NULL, NULL, 0, false)`
    ].map((text) => client.query(text).then(() => "allowed", ({ code }: { code: string }) => code)))
    assert.deepStrictEqual(codes, codes.map(() => "42501"))
    await client.end()
  })

  // SECURITY.md and docs/postgres.md say so: who may enqueue may do by keys and events what an enqueue does.
  it("does to the records of others what an enqueue does by a unique key and by an event", async () => {
    const held = await work.runPromise(Held.enqueue({ key: "k", n: 1 }, { delay: "1 hour" }))
    const client = new Client({ connectionString: urlOf("web") })
    await client.connect()
    const { rows } = await client.query(
      `SELECT * FROM ${schema}.enqueue('Held', '{"key":"k","n":2}', '{"uniqueKey":"k","onConflict":"replace"}')`
    )
    await client.end()
    assert.deepStrictEqual(rows, [{ id: held.id, outcome: "Replaced" }])
    const stored = await read.runPromise(Effect.flatMap(Jobs.Jobs, (jobs) => jobs.get(held.id)))
    assert.deepStrictEqual(JSON.parse(Option.getOrThrow(stored).payload), { key: "k", n: 2 })
    // What SQL has enqueued listens to nothing.
    const listening = await work.runPromise(Held.enqueue({ key: "l", n: 1 }, { delay: "1 hour" }))
    await web.runPromise(Over.publish({ key: "l" }))
    const after = await read.runPromise(Effect.flatMap(Jobs.Jobs, (jobs) => jobs.get(listening.id)))
    assert.strictEqual(Option.getOrThrow(after).state, "cancelled")
  })

  it("is told what it lacks when it asks for more", async () => {
    const error = await web.runPromise(Effect.flip(Effect.flatMap(Jobs.Jobs, (jobs) => jobs.stats)))
    assert.strictEqual(error.reason._tag, "Incompatible")
    assert.include(error.message, "docs/postgres.md has the rights of each role")
  })
})

describe("a role that owns a schema which somebody else has made, and may make none", () => {
  it("migrates it", async () => {
    const own = `${schema}_own`
    await owner.query(`CREATE SCHEMA ${own} AUTHORIZATION ${roleOf("owner")}`)
    const client = PgClient.layer({ url: Redacted.make(urlOf("owner")), maxConnections: 2 })
    const migrated = await Effect.runPromiseExit(Effect.provide(PgJobStore.migrate({ schema: own }), client))
    const { rows } = await owner.query(`SELECT count(*)::int AS tables FROM pg_tables WHERE schemaname = '${own}'`)
    await owner.query(`DROP SCHEMA ${own} CASCADE`)
    assert.strictEqual(migrated._tag, "Success")
    assert.isAbove(rows[0].tables, 10)
  })
})

describe("a server that only reads, as a standby that is not the primary yet", () => {
  it("is away: another try may succeed", async () => {
    await owner.query(`ALTER ROLE ${roleOf("web")} SET default_transaction_read_only = on`)
    const standby = as("web")
    const error = await standby.runPromise(Effect.flip(Plain.enqueue({ n: 7 })))
    await owner.query(`ALTER ROLE ${roleOf("web")} RESET default_transaction_read_only`)
    await standby.dispose()
    assert.strictEqual(error._tag, "JobStoreError")
    assert.strictEqual((error as JobError.JobStoreError).reason._tag, "Unavailable")
  })
})

describe("a role that may look", () => {
  it("awaits what another enqueued and a worker did, and cannot enqueue", async () => {
    const { id } = await web.runPromise(Task.enqueue({ n: 21 }))
    const worker = JobWorker.layer(Group).pipe(
      Layer.provide(Group.toLayer({ Task: ({ n }) => Effect.succeed(n * 2), Plain: () => Effect.void }))
    )
    const result = Effect.scoped(Effect.andThen(
      Layer.build(worker),
      Effect.promise(() => read.runPromise(Task.handle(id).await))
    ))
    assert.strictEqual(await work.runPromise(result), 42)
    const error = await read.runPromise(Effect.flip(Plain.enqueue({ n: 1 })))
    assert.include(error.message, "42501")
  })
})

describe("a role that may work", () => {
  it("maintains, empties old partitions and acts on records", async () => {
    await work.runPromise(Effect.gen(function*() {
      const jobs = yield* Jobs.Jobs
      const { id } = yield* Plain.enqueue({ n: 7 }, { delay: "1 hour" })
      assert.strictEqual(yield* jobs.cancel(id, { reason: "no" }), "Cancelled")
      assert.strictEqual(Option.getOrThrow(yield* jobs.get(id)).state, "cancelled")
      // As if the slot that the ring comes to next were full of what is too old.
      const sql = yield* PgClient.PgClient
      yield* sql.unsafe(`UPDATE ${schema}.history SET part = ((${schema}.clock() / 900000 + 1) % 6)::smallint`)
      yield* sql.unsafe(`UPDATE ${schema}.housekeeping SET next_at = 0`)
      yield* (yield* JobStore.JobStore).maintain
      assert.isTrue(Option.isNone(yield* jobs.get(id)))
    }))
  })
})
