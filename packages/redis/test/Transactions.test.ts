/** Enqueues inside SQL transactions, in which Redis takes no part. */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobStore } from "capstan"
import { Effect, Layer, Logger, Schema, Stream } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient, type SqlConnection, Statement } from "effect/sql"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import { openTransaction } from "../src/internal/transaction.ts"
import * as Harness from "./harness.ts"

class Task extends Job.make("Task", { payload: { n: Schema.Number } }) {}
class Latest extends Job.make("Latest", {
  payload: { n: Schema.Number },
  unique: { key: ({ n }) => `${n}`, onConflict: "replace" }
}) {}

/** A client of effect's own making whose statements do nothing: what counts is how effect says that one is open. */
const nothing: SqlConnection.Connection = {
  execute: () => Effect.succeed([]),
  executeRaw: () => Effect.succeed([]),
  executeStream: () => Stream.empty,
  executeValues: () => Effect.succeed([]),
  executeUnprepared: () => Effect.succeed([])
} as never

const Sql = Layer.effect(
  SqlClient.SqlClient,
  SqlClient.make({
    acquirer: Effect.succeed(nothing),
    compiler: Statement.makeCompilerSqlite(),
    driver: "none",
    spanAttributes: []
  })
).pipe(Layer.provide(Reactivity.layer))

const prefix = Harness.prefixOf("sql")
const on = (insideSqlTransaction: "fail" | "afterCommit" | "ignore") =>
  Layer.mergeAll(Sql, Harness.storeOf(prefix, undefined, { insideSqlTransaction })).pipe(
    Layer.provideMerge(Harness.client()),
    Layer.orDie
  )

const ready = Effect.flatMap(
  JobStore.JobStore,
  ({ stats }) => Effect.map(stats, ({ queues }) => queues.reduce((sum, { counts }) => sum + counts.ready, 0))
)

const ended = new Error("rolled back")

describe("inside an SQL transaction", () => {
  it.effect("an open transaction is seen, by the name that effect gives it", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const seen = Effect.map(Effect.context<never>(), openTransaction)
      assert.isUndefined(yield* seen)
      assert.strictEqual(yield* sql.withTransaction(seen), sql.transactionService.key)
    }).pipe(Effect.provide(Sql)))

  it.effect("an enqueue fails, says both ways around it, and stores nothing", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const error = yield* Effect.flip(sql.withTransaction(Task.enqueue({ n: 1 })))
      assert.strictEqual(error._tag === "JobStoreError" ? error.reason._tag : error._tag, "EnqueueInTransaction")
      assert.match(error.message, /PgOutbox.*afterCommit/)
      assert.strictEqual(yield* ready, 0)
      yield* Harness.empty(prefix)
    }).pipe(Effect.provide(on("fail"))))

  it.effect("after the commit the job is there, until then it is Deferred, and after a rollback it is not", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const handle = yield* sql.withTransaction(Effect.gen(function*() {
        const handle = yield* Task.enqueue({ n: 1 })
        assert.strictEqual(handle.outcome, "Deferred")
        assert.strictEqual(yield* ready, 0)
        const error = yield* Effect.flip(handle.await)
        assert.strictEqual(error._tag === "JobStoreError" ? error.reason._tag : error._tag, "AwaitInTransaction")
        return handle
      }))
      const store = yield* JobStore.JobStore
      assert.strictEqual((yield* store.get(handle.id))?.state, "ready")
      yield* Effect.exit(sql.withTransaction(Effect.andThen(Task.enqueue({ n: 2 }), Effect.die(ended))))
      assert.strictEqual(yield* ready, 1)
      yield* Harness.empty(prefix)
    }).pipe(Effect.provide(on("afterCommit"))))

  it.effect("what the store refuses after the commit is logged as lost, with who is to blame", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const logged: Array<unknown> = []
      const log = Logger.make(({ logLevel, message }) => logged.push(logLevel, ...[message].flat()))
      const store = yield* JobStore.JobStore
      const member = Suite.record({
        tag: "Latest",
        unique: { key: "1", until: "finished", onConflict: "keep" },
        flowId: "f"
      })
      yield* store.enqueue({ records: [member] })
      const handles = yield* sql.withTransaction(Latest.enqueueMany([{ n: 1 }, { n: 2 }])).pipe(
        Effect.provide(Logger.layer([log]))
      )
      assert.deepStrictEqual(handles.map(({ outcome }) => outcome), ["Deferred", "Deferred"])
      assert.strictEqual(yield* ready, 1)
      assert.deepStrictEqual(logged, [
        "Error",
        "the transaction has committed, and 2 jobs that were enqueued in it are lost",
        handles.map(({ id }) => `Latest ${id}`),
        [`the unique key of one is held by ${member.id}, and one of the two is a member of a flow`]
      ])
      yield* Harness.empty(prefix)
    }).pipe(Effect.provide(on("afterCommit"))))

  it.effect("with a client that nobody can ask for its commit, afterCommit refuses and says so", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const other = Effect.provide(Task.enqueue({ n: 1 }), Layer.fresh(Sql))
      const error = yield* Effect.flip(sql.withTransaction(other))
      assert.match(error.message, /not in the context/)
    }).pipe(Effect.provide(on("afterCommit"))))

  it.effect("with ignore the job is there at once", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql.withTransaction(
        Effect.andThen(Task.enqueue({ n: 1 }), Effect.map(ready, (n) => assert.strictEqual(n, 1)))
      )
      yield* Harness.empty(prefix)
    }).pipe(Effect.provide(on("ignore"))))
})
