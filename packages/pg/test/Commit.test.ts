/** `X.commit`: business writes, children, result and completion in one transaction, fenced (P5). */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobContext, JobError, JobGroup, type JobStore, JobWorker, Step, Transactional } from "capstan"
import { Context, Deferred, Effect, Fiber, Layer, Redacted, Schema, Tracer } from "effect"
import type { SqlError } from "effect/sql"
import { afterAll } from "vitest"
import * as Bank from "./bank.ts"
import * as Harness from "./harness.ts"
import { claimOne, enqueue, type Side, stateOf } from "./harness.ts"
import * as Process from "./process.ts"
import * as Proxy from "./proxy.ts"

const accounts = 10
const schema = Harness.schemaName("commit")
const bank = Harness.schemaName("bank")
const side = Harness.shared(
  schema,
  Effect.tap(Harness.open(schema), ({ context }) => Effect.orDie(Effect.provide(Bank.open(bank, accounts), context)))
)
afterAll(() => Harness.drop(bank))

const fact = (
  name: string,
  test: (side: Side) => Effect.Effect<void, unknown, JobStore.JobStore | Transactional.Transactional>
) =>
  it.live(name, () =>
    Effect.gen(function*() {
      const one = yield* side
      yield* Harness.empty(one)
      yield* Effect.provide(test(one), one.context)
      yield* Harness.assertSound(one)
    }))

const balances = ({ sql }: Side) =>
  Effect.map(
    sql.unsafe<{ sum: number; moved: number }>(`
      SELECT (SELECT sum(balance) FROM ${bank}.account)::int AS sum,
        (SELECT coalesce(sum(amount), 0) FROM ${bank}.ledger)::int AS moved`),
    ([row]) => row!
  )

const lines = ({ sql }: Side) =>
  Effect.map(
    sql.unsafe<{ record: string }>(`SELECT record FROM ${bank}.ledger`),
    (rows) => rows.map(({ record }) => record)
  )

const write = ({ sql }: Side, record: string) => sql.unsafe(`INSERT INTO ${bank}.ledger VALUES ($1::uuid, 1)`, [record])

/** What a handler's `X.commit` comes down to. */
const commit = <A, E, R>({ context }: Side, at: JobStore.AttemptRef, effect: Effect.Effect<A, E, R>) =>
  Context.get(context, Transactional.Transactional).commit(
    { id: at.id, fence: at.fence },
    effect,
    () => Effect.succeed({ result: `"done"`, finishedAfter: 1 })
  )

const isLeaseLost = (error: unknown) => {
  assert.instanceOf(error, JobError.JobStoreError)
  assert.strictEqual((error as JobError.JobStoreError).reason._tag, "LeaseLost")
}

/** Its worker is taken for dead. */
const rescue = (one: Side) =>
  Effect.andThen(one.sql.unsafe(`UPDATE ${schema}.worker SET lease_until = 0, ended = false`), one.store.maintain)

describe("a commit", () => {
  fact("shows all that belongs to it at once", (one) =>
    Effect.gen(function*() {
      const at = yield* Effect.andThen(enqueue(one, Harness.keyed("k")), claimOne(one))
      const child = Harness.newId()
      const written = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      const seen = Effect.all([
        stateOf(one, at.id),
        stateOf(one, child),
        Effect.map(lines(one), (ids) => ids.includes(at.id))
      ])
      const fiber = yield* Effect.forkChild(commit(
        one,
        at,
        write(one, at.id).pipe(
          Effect.andThen(one.store.enqueue({ by: at, records: [Harness.record({ id: child })] })),
          Effect.andThen(Deferred.succeed(written, undefined)),
          Effect.andThen(Deferred.await(goOn))
        )
      ))
      yield* Deferred.await(written)
      assert.deepStrictEqual(yield* seen, ["running", "none", false])
      yield* Deferred.succeed(goOn, undefined)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* seen, ["completed", "ready", true])
      assert.strictEqual((yield* one.store.get(at.id))?.result, `"done"`)
    }))

  fact(
    "whose transaction the server has ended, because it was silent, may be tried again",
    (one) =>
      Effect.scoped(Effect.gen(function*() {
        const silent = yield* Harness.open(schema, {}, {
          startupOptions: "-c idle_in_transaction_session_timeout=50ms"
        })
        const at = yield* Effect.andThen(enqueue(one), claimOne(one))
        const ended = Effect.gen(function*() {
          const [{ pid }] = (yield* silent.sql.unsafe<{ pid: number }>("SELECT pg_backend_pid() AS pid")) as [
            { pid: number }
          ]
          const still = one.sql.unsafe("SELECT FROM pg_stat_activity WHERE pid = $1::int", [pid])
          yield* Harness.until("an end of the session", Effect.map(still, (rows) => rows.length === 0))
        })
        const error = yield* Effect.flip(commit(silent, at, Effect.andThen(write(silent, at.id), ended)))
        assert.instanceOf(error, JobError.JobStoreError)
        assert.deepStrictEqual([error.reason._tag, error.isTransient], ["Unavailable", true])
        assert.notInclude(yield* lines(one), at.id)
        assert.strictEqual(yield* Harness.settle(one, at), "Done")
      }))
  )

  fact(
    "makes nobody wait while its effect runs, be it for its record or for its key",
    (one) =>
      Effect.scoped(Effect.gen(function*() {
        const worker = yield* Harness.open(schema, {}, { startupOptions: "-c lock_timeout=300ms" })
        const at = yield* Effect.andThen(enqueue(one, Harness.keyed("k", 2)), claimOne(one))
        const other = yield* Effect.andThen(enqueue(one, Harness.keyed("k", 2)), claimOne(one))
        const written = yield* Deferred.make<void>()
        const goOn = yield* Deferred.make<void>()
        const fiber = yield* Effect.forkChild(commit(
          one,
          at,
          one.store.enqueue({ by: at, records: [Harness.record(Harness.keyed("k", 2))] }).pipe(
            Effect.andThen(Deferred.succeed(written, undefined)),
            Effect.andThen(Deferred.await(goOn))
          )
        ))
        yield* Deferred.await(written)
        assert.strictEqual(yield* Harness.settle(worker, other), "Done")
        assert.deepStrictEqual(yield* Harness.control(worker, Harness.cancel, at.id), ["Requested"])
        yield* Harness.exchange(worker)
        yield* Deferred.succeed(goOn, undefined)
        yield* Fiber.join(fiber)
        assert.strictEqual(yield* stateOf(one, at.id), "completed", "the first settlement wins over the cancel")
      }))
  )

  fact("whose effect fails leaves nothing, and the attempt goes on", (one) =>
    Effect.gen(function*() {
      const at = yield* Effect.andThen(enqueue(one), claimOne(one))
      const error = yield* Effect.flip(commit(one, at, Effect.andThen(write(one, at.id), Effect.fail("declined"))))
      assert.strictEqual(error, "declined")
      assert.notInclude(yield* lines(one), at.id)
      assert.strictEqual(yield* Harness.settle(one, at), "Done")
    }))

  fact("hands on what the database says to the handler's own statement", (one) =>
    Effect.gen(function*() {
      const at = yield* Effect.andThen(enqueue(one), claimOne(one))
      const twice = one.sql.unsafe(`INSERT INTO ${bank}.account VALUES (1, 0)`)
      const error = yield* Effect.flip(commit(one, at, twice))
      assert.strictEqual(error._tag, "SqlError")
      assert.strictEqual((error as SqlError.SqlError).reason._tag, "UniqueViolation")
    }))

  fact("leaves the handler's spans to the handler's tracer", (one) =>
    Effect.gen(function*() {
      const at = yield* Effect.andThen(enqueue(one), claimOne(one))
      const names: Array<string> = []
      const tracer = Tracer.make({
        span: (options) => {
          names.push(options.name)
          return new Tracer.NativeSpan(options)
        }
      })
      yield* commit(one, at, Effect.withSpan(Effect.void, "business")).pipe(Effect.withTracer(tracer))
      assert.deepStrictEqual(names, ["business"])
    }))

  fact("of a stale attempt is rolled back with LeaseLost", (one) =>
    Effect.gen(function*() {
      const at = yield* Effect.andThen(enqueue(one), claimOne(one))
      const error = yield* Effect.flip(
        commit(one, at, Effect.andThen(write(one, at.id), Harness.outside(one, rescue(one))))
      )
      isLeaseLost(error)
      assert.notInclude(yield* lines(one), at.id)
      assert.strictEqual(yield* stateOf(one, at.id), "ready")
    }))

  fact(
    "after the attempt's end is rolled back with LeaseLost, though a settlement sent again is not",
    (one) =>
      Effect.gen(function*() {
        const at = yield* Effect.andThen(enqueue(one), claimOne(one))
        yield* commit(one, at, write(one, at.id))
        isLeaseLost(yield* Effect.flip(commit(one, at, write(one, at.id))))
        assert.strictEqual((yield* lines(one)).filter((id) => id === at.id).length, 1)
        assert.strictEqual(yield* Harness.settle(one, at), "Done")
      })
  )

  fact(
    "of an attempt that has failed meanwhile is rolled back with LeaseLost, also while another one runs",
    (one) =>
      Effect.gen(function*() {
        const at = yield* Effect.andThen(enqueue(one), claimOne(one))
        // As of a handler that timed out and could not be interrupted.
        yield* Harness.settle(one, at, { _tag: "RetryAfter", delay: 0, failure: Harness.failure })
        const next = yield* claimOne(one)
        assert.strictEqual(next.id, at.id)
        isLeaseLost(yield* Effect.flip(commit(one, at, write(one, at.id))))
        assert.notInclude(yield* lines(one), at.id)
        assert.strictEqual(yield* stateOf(one, at.id), "running")
        yield* commit(one, next, write(one, at.id))
        assert.include(yield* lines(one), at.id)
      })
  )

  fact("is refused inside another transaction, whose end it could not foresee", (one) =>
    Effect.gen(function*() {
      const at = yield* Effect.andThen(enqueue(one), claimOne(one))
      const error = yield* Effect.flip(one.sql.withTransaction(commit(one, at, write(one, at.id))))
      assert.instanceOf(error, JobError.JobStoreError)
      assert.include((error as JobError.JobStoreError).message, "outside of withTransaction")
      assert.strictEqual(yield* stateOf(one, at.id), "running")
    }))

  fact(
    "with a result that does not encode leaves nothing, and says so in the record",
    (one) =>
      Effect.scoped(Effect.gen(function*() {
        class Bad extends Job.make("Bad", { success: Schema.Int, maxAttempts: 1 }) {}
        const bad = JobGroup.make(Bad)
        yield* Layer.build(
          JobWorker.layer(bad, { shutdownGrace: 0 }).pipe(Layer.provide(bad.toLayer({
            Bad: () =>
              Bad.commit(
                Effect.as(
                  Effect.orDie(one.sql.unsafe(`INSERT INTO ${bank}.ledger VALUES (gen_random_uuid(), 77)`)),
                  0.5
                )
              )
          })))
        )
        const { id } = yield* Bad.enqueue()
        yield* Harness.until(
          "the record to be dead",
          Effect.map(stateOf(one, id), (state) => state.startsWith("dead"))
        )
        const found = yield* one.store.get(id)
        assert.strictEqual(found?.deadReason, "Defect")
        assert.include(found?.failures[0]?.message, "integer")
        const [row] = yield* one.sql.unsafe<{ n: number }>(
          `SELECT count(*)::int AS n FROM ${bank}.ledger WHERE amount = 77`
        )
        assert.strictEqual(row!.n, 0)
      }))
  )
})

/** What a handler's `Step.commit` comes down to. */
const commitStep = <A, E, R>({ context }: Side, at: JobStore.AttemptRef, effect: Effect.Effect<A, E, R>) =>
  Context.get(context, Transactional.Transactional).step(
    effect,
    () => Effect.succeed({ _tag: "Step", at: { id: at.id, fence: at.fence }, name: "book", value: "1" })
  )

const kept = (one: Side, { id }: JobStore.AttemptRef) =>
  Effect.map(one.store.get(id), (record) => record?.checkpoints?.["book"])

describe("a step that commits", () => {
  fact("is kept with what its effect writes, in one transaction", (one) =>
    Effect.gen(function*() {
      const at = yield* Effect.andThen(enqueue(one), claimOne(one))
      const child = Harness.newId()
      const looks: Array<unknown> = []
      const look = Harness.outside(
        one,
        Effect.flatMap(
          Effect.all([kept(one, at), stateOf(one, child), Effect.map(lines(one), (ids) => ids.includes(at.id))]),
          (seen) => Effect.sync(() => looks.push(seen))
        )
      )
      const business = Effect.andThen(
        write(one, at.id),
        one.store.enqueue({ by: at, records: [Harness.record({ id: child })] })
      )
      yield* commitStep(one, at, Effect.andThen(business, look))
      yield* look
      assert.deepStrictEqual(looks, [[undefined, "none", false], ["1", "ready", true]])
      assert.strictEqual(yield* Harness.settle(one, at), "Done")
    }))

  fact("whose effect fails, or whose attempt is stale, leaves nothing", (one) =>
    Effect.gen(function*() {
      const at = yield* Effect.andThen(enqueue(one), claimOne(one))
      assert.strictEqual(
        yield* Effect.flip(commitStep(one, at, Effect.andThen(write(one, at.id), Effect.fail("declined")))),
        "declined"
      )
      isLeaseLost(
        yield* Effect.flip(commitStep(one, at, Effect.andThen(write(one, at.id), Harness.outside(one, rescue(one)))))
      )
      assert.notInclude(yield* lines(one), at.id)
      assert.isUndefined(yield* kept(one, at))
    }))

  fact("is refused inside another transaction", (one) =>
    Effect.gen(function*() {
      const at = yield* Effect.andThen(enqueue(one), claimOne(one))
      const error = yield* Effect.flip(one.sql.withTransaction(commitStep(one, at, Effect.void)))
      assert.include((error as JobError.JobStoreError).message, "outside of withTransaction")
    }))

  fact(
    "whose reply is lost runs once all the same: the next attempt finds what was kept",
    (one) =>
      Effect.scoped(Effect.gen(function*() {
        class Booking extends Job.make("Booking", { success: Schema.Int }) {}
        const group = JobGroup.make(Booking)
        const proxy = yield* Proxy.open
        const other = yield* Harness.open(schema, {}, { url: Redacted.make(proxy.url) })
        let runs = 0
        const handlers = group.toLayer({
          Booking: () =>
            Effect.gen(function*() {
              const { id } = yield* JobContext.JobContext
              if (runs === 0) proxy.loseReplyOf("COMMIT")
              yield* Step.commit("book", Effect.andThen(Effect.orDie(write(other, id)), Effect.sync(() => ++runs)))
              return runs
            })
        })
        yield* Effect.provide(
          Layer.build(Layer.provide(JobWorker.layer(group, { shutdownGrace: 0 }), handlers)),
          other.context
        )
        const { id } = yield* Booking.enqueue()
        yield* Harness.until(
          "the record to be completed",
          Effect.map(stateOf(one, id), (state) => state.startsWith("completed"))
        )
        assert.deepStrictEqual([proxy.lost(), runs], [1, 1])
        assert.strictEqual((yield* lines(one)).filter((line) => line === id).length, 1)
      }))
  )
})

describe("a commit over a network that breaks", () => {
  const broken = (
    name: string,
    lose: string,
    test: (one: Side, at: JobStore.Claimed, error: unknown) => Effect.Effect<void, unknown>
  ) =>
    fact(name, (one) =>
      Effect.scoped(Effect.gen(function*() {
        const proxy = yield* Proxy.open
        const other = yield* Harness.open(schema, { listen: false }, { url: Redacted.make(proxy.url) })
        const at = yield* Effect.andThen(enqueue(one), claimOne(one))
        proxy.loseReplyOf(lose)
        const business = other.sql.unsafe(`INSERT INTO ${bank}.ledger VALUES ($1::uuid, 27182818)`, [at.id])
        const error = yield* Effect.flip(commit(other, at, business))
        assert.strictEqual(proxy.lost(), 1)
        yield* test(one, at, error)
      })))

  broken(
    "before its end has not happened, and fails as the statement did, not as a defect",
    "27182818",
    (one, at, error) =>
      Effect.gen(function*() {
        assert.strictEqual((error as SqlError.SqlError).reason._tag, "ConnectionError")
        yield* Harness.until("the server to roll back", Effect.map(lines(one), (ids) => !ids.includes(at.id)))
        assert.strictEqual(
          yield* Harness.settle(one, at, { _tag: "RetryAfter", delay: 0, failure: Harness.failure }),
          "Done"
        )
        assert.strictEqual(yield* stateOf(one, at.id), "ready")
      })
  )

  broken(
    "at its very end is unknown: what the worker settles next does not undo it",
    "COMMIT",
    (one, at, error) =>
      Effect.gen(function*() {
        assert.strictEqual((error as JobError.JobStoreError).reason._tag, "OutcomeUnknown")
        assert.strictEqual(yield* stateOf(one, at.id), "completed")
        assert.strictEqual(
          yield* Harness.settle(one, at, { _tag: "RetryAfter", delay: 0, failure: Harness.failure }),
          "Done"
        )
        assert.strictEqual(yield* stateOf(one, at.id), "completed")
        assert.include(yield* lines(one), at.id)
      })
  )
})

describe("a bank whose processes are killed", () => {
  /** Transfers around the circle, so that no account runs dry. */
  const transfers = (count: number) =>
    Array.from({ length: count }, (_, n) => ({ from: n % accounts + 1, to: (n + 1) % accounts + 1, amount: 7 }))

  const before = (one: Side) =>
    Effect.andThen(
      one.sql.unsafe(`UPDATE ${bank}.account SET balance = 1000`),
      one.sql.unsafe(`DELETE FROM ${bank}.ledger`)
    )

  const completed = (one: Side, count: number) =>
    Harness.until(
      `${count} transfers to be completed`,
      Effect.map(
        one.sql.unsafe<{ n: number }>(
          `SELECT count(*)::int AS n FROM ${schema}.history WHERE tag = 'Transfer' AND state = 4`
        ),
        ([row]) => row!.n >= count
      ),
      20
    )

  /** Every transfer is in the ledger once, has one receipt, and no money has come or gone. */
  const balanced = (one: Side, count: number) =>
    Effect.gen(function*() {
      yield* completed(one, count)
      const ids = yield* lines(one)
      assert.deepStrictEqual([ids.length, new Set(ids).size], [count, count])
      assert.deepStrictEqual(yield* balances(one), { sum: accounts * 1000, moved: count * 7 })
      const receipts = yield* one.sql.unsafe<{ n: number }>(
        `SELECT count(DISTINCT payload)::int AS n FROM ${schema}.record WHERE tag = 'Receipt'`
      )
      assert.strictEqual(receipts[0]!.n, count)
    })

  fact("between the halves of a transfer loses and doubles nothing", (one) =>
    Effect.scoped(Effect.gen(function*() {
      yield* before(one)
      yield* Bank.Transfer.enqueueMany(transfers(3))
      const first = yield* Process.run("bank", schema, bank, "stop between")
      yield* Harness.until("a transfer in the middle", Effect.sync(() => first.output().includes("between")))
      yield* first.kill("SIGKILL")
      assert.deepStrictEqual(yield* balances(one), { sum: accounts * 1000, moved: 0 })
      yield* Process.run("bank", schema, bank, "work")
      yield* balanced(one, 3)
    })))

  fact(
    "while the server commits has transferred, and does not do so again",
    (one) =>
      Effect.scoped(Effect.gen(function*() {
        yield* before(one)
        // A trigger that fires in COMMIT, and waits there for whoever holds this lock.
        yield* one.sql.unsafe(`
        CREATE OR REPLACE FUNCTION ${bank}.hold_commit() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN NULL; END $$`).unprepared
        yield* one.sql.unsafe(`CREATE CONSTRAINT TRIGGER hold_commit AFTER INSERT ON ${bank}.ledger
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ${bank}.hold_commit()`).unprepared
        const { id } = yield* Bank.Transfer.enqueue(transfers(1)[0]!)
        yield* one.sql.withTransaction(Effect.gen(function*() {
          yield* one.sql.unsafe("SELECT pg_advisory_xact_lock(4711)")
          const first = yield* Process.run("bank", schema, bank, "work")
          yield* Harness.until(
            "a commit in the middle",
            Effect.map(
              one.sql.unsafe("SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted"),
              (rows) => rows.length > 0
            )
          )
          yield* first.kill("SIGKILL")
        }))
        yield* one.sql.unsafe(`DROP TRIGGER hold_commit ON ${bank}.ledger`).unprepared
        yield* balanced(one, 1)
        yield* rescue(one)
        assert.strictEqual(yield* stateOf(one, id), "completed")
      }))
  )

  fact("again and again in the middle of their work ends balanced", (one) =>
    Effect.scoped(Effect.gen(function*() {
      yield* before(one)
      const count = 600
      yield* Bank.Transfer.enqueueMany(transfers(count))
      for (const share of [100, 300]) {
        const process = yield* Process.run("bank", schema, bank, "work")
        yield* completed(one, share)
        yield* process.kill("SIGKILL")
        const { sum } = yield* balances(one)
        assert.strictEqual(sum, accounts * 1000)
      }
      yield* Process.run("bank", schema, bank, "work")
      yield* balanced(one, count)
    })))
})
