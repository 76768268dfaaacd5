/** capstan.enqueue: a record by plain SQL, checked there. */
import { PgJobStore } from "@capstan/pg"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, type JobRecord, Jobs, JobWorker } from "capstan"
import { Effect, Layer, ManagedRuntime, Option, Redacted, Schema } from "effect"
import { Client, DatabaseError } from "pg"
import { afterAll, beforeAll } from "vitest"
import * as Harness from "./harness.ts"

const schema = Harness.schemaName("sqlenqueue")
const runtime = ManagedRuntime.make(Layer.provideMerge(Jobs.layer, Harness.store(schema)))
const client = new Client({ connectionString: Harness.url() })

beforeAll(async () => {
  await runtime.runPromise(PgJobStore.migrate({ schema }))
  await client.connect()
})
afterAll(async () => {
  await Harness.drop(schema)
  await runtime.dispose()
  await client.end()
})

const enqueue = async (tag: unknown, payload: unknown, options: unknown = {}) => {
  const { rows } = await client.query<{ id: JobRecord.JobId; outcome: string }>(
    `SELECT * FROM ${schema}.enqueue($1, $2, $3)`,
    [tag, payload, JSON.stringify(options)]
  )
  return rows[0]!
}
const refusal = (tag: unknown, payload: unknown, options?: unknown) =>
  enqueue(tag, payload, options).then(
    () => "accepted",
    (error: unknown) => error instanceof DatabaseError ? error.message : String(error)
  )
const get = (id: string) =>
  runtime.runPromise(Effect.flatMap(Jobs.Jobs, (jobs) => Effect.map(jobs.get(id), Option.getOrThrow)))

describe("capstan.enqueue", () => {
  it("stores what its options say", async () => {
    const before = Date.now()
    const { id, outcome } = await enqueue("SendMail", `{"to":"ada"}`, {
      queue: "mail",
      version: 2,
      priority: "high",
      delay: "5 minutes",
      startBefore: 60_000,
      idempotencyKey: "i1",
      uniqueKey: "ada",
      concurrencyKey: "smtp",
      concurrencyLimit: 3,
      tags: ["import"],
      headers: { tenant: "t1" },
      sensitive: ["/to"]
    })
    assert.strictEqual(outcome, "Inserted")
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    assert.isAtLeast(Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16), before - 1000)
    const record = await get(id)
    assert.deepInclude(record, {
      tag: "SendMail",
      version: 2,
      queue: "mail",
      priority: 10,
      state: "scheduled",
      dueAt: record.enqueuedAt + 300_000,
      expiresAt: record.enqueuedAt + 360_000,
      idempotencyKey: "i1",
      uniqueKey: "ada",
      concurrencyKey: "SendMail/smtp",
      tags: ["import"],
      headers: { tenant: "t1" }
    })
    assert.notInclude(record.payload, "ada")
    assert.deepStrictEqual(await enqueue("SendMail", `{"to":"ada"}`, { idempotencyKey: "i1" }), {
      id,
      outcome: "Existing"
    })
    assert.deepStrictEqual(await enqueue("SendMail", `{"to":"eve"}`, { uniqueKey: "ada", onConflict: "replace" }), {
      id,
      outcome: "Replaced"
    })
  })

  it("takes an instant, and a number of milliseconds", async () => {
    const { id } = await enqueue("At", "null", { runAt: "2100-01-01T00:00:00Z", priority: -100 })
    assert.deepInclude(await get(id), { dueAt: Date.parse("2100-01-01T00:00:00Z"), priority: -100, queue: "default" })
    const later = await get((await enqueue("At", "null", { delay: 1500 })).id)
    assert.strictEqual(later.dueAt, later.enqueuedAt + 1500)
  })

  it.each([
    ["a name", "no spaces", "1", {}, "tag must be a letter"],
    ["a name that is missing", null, "1", {}, "tag must be a letter"],
    ["a queue", "Task", "1", { queue: "1st" }, "option queue: must be a letter"],
    ["a payload that is no JSON", "Task", "{", {}, "invalid input syntax for type json"],
    ["no payload", "Task", null, {}, "payload is NULL"],
    ["a large payload", "Task", JSON.stringify("x".repeat(262_143)), {}, "has 262145 bytes, at most 262144"],
    ["a high priority", "Task", "1", { priority: 101 }, "an integer from -100 to 100, it is 101"],
    ["half a priority", "Task", "1", { priority: 1.5 }, "an integer from -100 to 100, it is 1.5"],
    ["a priority of another name", "Task", "1", { priority: "urgent" }, "it is \"urgent\""],
    ["an option that there is not", "Task", "1", { retires: 3, delay: 1 }, "unknown option retires"],
    ["options that are a list", "Task", "1", [], "options must be a JSON object"],
    ["a delay that is none", "Task", "1", { delay: "soon" }, "option delay: must be milliseconds"],
    ["a delay to the past", "Task", "1", { delay: -1 }, "option delay: must be milliseconds"],
    ["an instant that is none", "Task", "1", { runAt: "soon" }, "option runAt: must be an instant"],
    ["two due instants", "Task", "1", { delay: 1, runAt: "2100-01-01" }, "either delay or runAt"],
    ["a version", "Task", "1", { version: 0 }, "option version"],
    ["an empty key", "Task", "1", { idempotencyKey: "" }, "1 to 512 characters"],
    ["a long key", "Task", "1", { uniqueKey: "k".repeat(513) }, "1 to 512 characters"],
    ["a key without its limit", "Task", "1", { concurrencyKey: "k" }, "give both"],
    ["a long concurrency key", "Task", "1", { concurrencyKey: "k".repeat(508), concurrencyLimit: 1 }, "1 to 511"],
    ["a policy without its key", "Task", "1", { onConflict: "keep" }, "option uniqueKey: it is missing"],
    ["a policy that there is not", "Task", "1", { uniqueKey: "k", onConflict: "drop" }, "option onConflict"],
    ["a window that is none", "Task", "1", { uniqueKey: "k", uniqueUntil: "later" }, "option uniqueUntil"],
    ["tags that are no strings", "Task", "1", { tags: [1] }, "array of strings"],
    ["headers that are no strings", "Task", "1", { headers: { a: 1 } }, "object of strings"],
    [
      "a mark that is no list",
      "Task",
      "1",
      { sensitive: "/to" },
      "option sensitive: must be an array of JSON pointers"
    ],
    [
      "marks that are no strings",
      "Task",
      "1",
      { sensitive: [1] },
      "option sensitive: must be an array of JSON pointers"
    ],
    ["marks of what there is not", "Task", "1", { sensitive: { results: [] } }, "or an object of such arrays"],
    ["a mark of a result that is no list", "Task", "1", { sensitive: { result: "/a" } }, "or an object of such arrays"],
    ["marks of errors that are no strings", "Task", "1", { sensitive: { error: [1] } }, "or an object of such arrays"]
  ])("refuses %s", async (_, tag, payload, options, says) => {
    assert.include(await refusal(tag, payload, options), says)
  })

  it("masks what its option says: of the payload, or of that and whatever comes of it", async () => {
    const token = Schema.Struct({ token: Schema.Redacted(Schema.String) })
    class Login extends Job.make("Login", { payload: { user: Schema.String }, success: token, queue: "login" }) {}
    const group = JobGroup.make(Login)
    const worker = JobWorker.layer(group).pipe(Layer.provide(group.toLayer({
      Login: ({ user }) => Effect.succeed({ token: Redacted.make(`secret of ${user}`) })
    })))
    const options = { queue: "login", sensitive: { payload: ["/user"], result: ["/token"] } }
    const { id } = await enqueue("Login", `{"user":"ada"}`, options)
    await runtime.runPromise(Effect.scoped(Effect.gen(function*() {
      yield* Layer.build(worker)
      const result = yield* Login.handle(id).await
      assert.strictEqual(Redacted.value(result.token), "secret of ada")
    })))
    const record = await get(id)
    assert.strictEqual(record.result, `{"token":"<redacted>"}`)
    assert.strictEqual(record.payload, `{"user":"<redacted>"}`)
    const stored = async (sensitive: unknown) => {
      const { id } = await enqueue("Task", "1", { sensitive })
      const { rows } = await client.query(`SELECT spec::json -> 'sensitive' AS s FROM ${schema}.record WHERE id = $1`, [
        id
      ])
      return rows[0].s
    }
    assert.deepStrictEqual(await stored({ error: ["/a"], progress: ["/b/*"] }), {
      payload: [],
      result: [],
      error: ["/a"],
      progress: ["/b/*"]
    })
    assert.deepStrictEqual(await stored(["/a"]), { payload: ["/a"], result: [], error: [], progress: [] })
  })

  it("stores nothing of what it refuses, nor of what is rolled back", async () => {
    const count = async () => (await client.query(`SELECT count(*)::int AS n FROM ${schema}.record`)).rows[0].n
    const before = await count()
    await refusal("Task", "1", { queue: "1st" })
    await client.query("BEGIN")
    await enqueue("Task", "1", { concurrencyKey: "k", concurrencyLimit: 1 })
    await client.query("ROLLBACK")
    assert.strictEqual(await count(), before)
  })

  it("is what a trigger calls, and a worker runs it at once", async () => {
    class Welcome extends Job.make("Welcome", {
      payload: { id: Schema.Int, email: Schema.String },
      queue: "welcome",
      concurrency: { key: () => "all", limit: 1 }
    }) {}
    const group = JobGroup.make(Welcome)
    await client.query(`CREATE TABLE ${schema}.users (id int PRIMARY KEY, email text NOT NULL)`)
    await client.query(`
      CREATE FUNCTION ${schema}.welcome() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        PERFORM ${schema}.enqueue('Welcome', to_jsonb(NEW), jsonb_build_object('queue', 'welcome',
          'idempotencyKey', 'user ' || NEW.id, 'concurrencyKey', 'all', 'concurrencyLimit', 1));
        RETURN NEW;
      END $$`)
    await client.query(`
      CREATE TRIGGER welcome AFTER INSERT ON ${schema}.users FOR EACH ROW EXECUTE FUNCTION ${schema}.welcome()`)
    const welcomed: Array<string> = []
    const all = Promise.withResolvers<void>()
    const worker = JobWorker.layer(group).pipe(Layer.provide(group.toLayer({
      Welcome: ({ email }) =>
        Effect.sync(() => {
          welcomed.push(email)
          if (welcomed.length === 2) all.resolve()
        })
    })))
    await runtime.runPromise(Effect.scoped(Effect.gen(function*() {
      yield* Layer.build(worker)
      yield* Effect.promise(() =>
        client.query(`INSERT INTO ${schema}.users VALUES (1, 'ada'), (2, 'grace') ON CONFLICT DO NOTHING`)
      )
      yield* Effect.promise(() => all.promise)
    })))
    assert.deepStrictEqual(welcomed, ["ada", "grace"])
  })
})
