/** A client with one connection, on which nothing is listened to: as with PGlite, or a small pool behind a pooler. */
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, Jobs, JobStore, JobWorker } from "capstan"
import { Effect, Layer, Option, Redacted, Schema } from "effect"
import { afterAll } from "vitest"
import * as Harness from "./harness.ts"

class Double extends Job.make("Double", { payload: { n: Schema.Int }, success: Schema.Int }) {}
class Group extends JobGroup.make(Double) {}

const schema = Harness.schemaName("alone")
const client = Layer.orDie(PgClient.layer({ url: Redacted.make(Harness.url()), maxConnections: 1 }))
const store = Layer.provideMerge(Jobs.layer, Harness.storeOn(client, schema, { listen: false }))
const live = JobWorker.layer(Group).pipe(
  Layer.provide(Group.toLayer({ Double: ({ n }) => Effect.succeed(n * 2) })),
  Layer.provideMerge(store)
)

afterAll(() => Harness.drop(schema))

describe("with one connection", () => {
  it.live("jobs run, also those of a transaction, once it has committed", () =>
    Effect.gen(function*() {
      const sql = yield* PgClient.PgClient
      const handle = yield* sql.withTransaction(Double.enqueue({ n: 2 }))
      assert.strictEqual(yield* handle.await, 4)
    }).pipe(Effect.provide(live)))

  it.live("a transaction enqueues and cancels, and what would wait for it for ever fails", () =>
    Effect.gen(function*() {
      const sql = yield* PgClient.PgClient
      const jobs = yield* Jobs.Jobs
      const id = yield* sql.withTransaction(Effect.gen(function*() {
        const { id } = yield* Double.enqueue({ n: 1 })
        assert.strictEqual(yield* jobs.cancel(id, { reason: "no" }), "Cancelled")
        const error = yield* Effect.flip(jobs.get(id))
        assert.strictEqual(error.reason._tag, "Incompatible")
        assert.include(error.message, "a second connection")
        return id
      }))
      assert.strictEqual(Option.getOrThrow(yield* jobs.get(id)).state, "cancelled")
    }).pipe(Effect.provide(store)))

  it.live("the store says what it cannot promise so", () =>
    Effect.gen(function*() {
      const { absent = [], capabilities } = yield* (yield* JobStore.JobStore).describe
      assert.deepStrictEqual(capabilities, ["transactional", "schedules"])
      assert.match(absent.join("\n"), /^that no open transaction of a caller holds up claims and settlements \(P2\)/)
    }).pipe(Effect.provide(store)))
})
