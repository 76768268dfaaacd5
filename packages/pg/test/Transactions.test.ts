/** Enqueues, cancels and signals inside a transaction of the caller's: they are part of it (P2). */
import { PgOutbox } from "@capstan/pg"
import { assert, describe, it } from "@effect/vitest"
import {
  Job,
  JobError,
  JobGroup,
  type JobRecord,
  Jobs,
  JobStore,
  JobWorker,
  Topic,
  Transactional,
  Waitpoint
} from "capstan"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Logger, Ref, Schema, type Scope, Stream } from "effect"
import { SqlClient } from "effect/sql"
import * as Harness from "./harness.ts"
import { type Side, stateOf } from "./harness.ts"

class Charge extends Job.make("Charge", { payload: { order: Schema.String }, success: Schema.String }) {}

const Paid = Topic.make("Paid", { order: Schema.String })

const schema = Harness.schemaName("transactions")

/** The store, and a table of the caller's own. */
const side = Harness.shared(
  schema,
  Effect.tap(
    Harness.open(schema),
    ({ sql }) => Effect.orDie(sql.unsafe(`CREATE TABLE ${schema}.orders (name text PRIMARY KEY)`).unprepared)
  )
)

/** A test on an empty store. */
const fact = (
  name: string,
  test: (side: Side) => Effect.Effect<void, unknown, JobStore.JobStore | Jobs.Jobs>
) =>
  it.live(name, () =>
    Effect.gen(function*() {
      const one = yield* side
      yield* Harness.empty(one)
      yield* Effect.provide(test(one), Layer.provideMerge(Jobs.layer, Layer.succeedContext(one.context)))
      yield* Harness.assertSound(one)
    }))

const place = ({ sql }: Side, order: string) => sql.unsafe(`INSERT INTO ${schema}.orders VALUES ($1)`, [order])

const orders = ({ sql }: Side) =>
  Effect.map(
    sql.unsafe<{ name: string }>(`SELECT name FROM ${schema}.orders ORDER BY name`),
    (rows) => rows.map(({ name }) => name)
  )

const records = ({ sql }: Side) =>
  Effect.map(sql.unsafe<{ n: number }>(`SELECT count(*)::int AS n FROM ${schema}.record`), ([row]) => row!.n)

const rollback = Effect.fail("rollback" as const)

describe("an enqueue in the caller's transaction", () => {
  fact("is committed with what else was written", (one) =>
    Effect.gen(function*() {
      const { id, outcome } = yield* one.sql.withTransaction(
        Effect.andThen(place(one, "a"), Charge.enqueue({ order: "a" }))
      )
      assert.strictEqual(outcome, "Inserted")
      assert.deepStrictEqual(yield* orders(one), ["a"])
      assert.strictEqual(yield* stateOf(one, id), "ready")
    }))

  fact("is rolled back with what else was written", (one) =>
    Effect.gen(function*() {
      yield* one.sql.withTransaction(
        Effect.andThen(place(one, "a"), Charge.enqueue({ order: "a" })).pipe(Effect.andThen(rollback))
      ).pipe(Effect.flip)
      assert.deepStrictEqual([yield* orders(one), yield* records(one)], [[], 0])
    }))

  fact("of many records commits or goes back as a whole", (one) =>
    Effect.gen(function*() {
      const many = (count: number) => Array.from({ length: count }, (_, n) => ({ order: `${n}` }))
      const enqueued = yield* one.sql.withTransaction(Charge.enqueueMany(many(1500)))
      assert.strictEqual(enqueued.length, 1500)
      assert.strictEqual(yield* records(one), 1500)
      yield* one.sql.withTransaction(Effect.andThen(Charge.enqueueMany(many(1500)), rollback)).pipe(Effect.flip)
      assert.strictEqual(yield* records(one), 1500)
    }))

  fact("goes back when the transaction's fiber is interrupted", (one) =>
    Effect.gen(function*() {
      const stored = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(one.sql.withTransaction(
        Charge.enqueue({ order: "a" }).pipe(
          Effect.andThen(Deferred.succeed(stored, undefined)),
          Effect.andThen(Effect.never)
        )
      ))
      yield* Deferred.await(stored)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* records(one), 0)
    }))

  fact("goes back with the savepoint in which it was made, and no further", (one) =>
    Effect.gen(function*() {
      yield* one.sql.withTransaction(Effect.gen(function*() {
        yield* Charge.enqueue({ order: "outer" })
        yield* one.sql.withTransaction(Effect.andThen(Charge.enqueue({ order: "kept" }), place(one, "kept")))
        yield* one.sql.withTransaction(
          Charge.enqueue({ order: "gone" }).pipe(Effect.andThen(place(one, "gone")), Effect.andThen(rollback))
        ).pipe(Effect.flip)
      }))
      const found = yield* one.store.query({ where: {}, order: "oldest", limit: 10 })
      assert.deepStrictEqual(found.records.map(({ payload }) => JSON.parse(payload).order), ["outer", "kept"])
      assert.deepStrictEqual(yield* orders(one), ["kept"])
    }))

  fact(
    "that is refused leaves the outer transaction alive when a nested one is around it",
    (one) =>
      Effect.gen(function*() {
        const refused = Harness.enqueue(one, { tag: "a\u0000b" })
        yield* one.sql.withTransaction(Effect.gen(function*() {
          yield* Charge.enqueue({ order: "a" })
          const error = yield* Effect.flip(one.sql.withTransaction(refused))
          assert.strictEqual(error._tag, "JobStoreError")
          yield* place(one, "a")
        }))
        assert.deepStrictEqual([yield* orders(one), yield* records(one)], [["a"], 1])
        const exit = yield* Effect.exit(
          one.sql.withTransaction(Effect.andThen(place(one, "b"), Effect.exit(refused)))
        )
        assert.isTrue(Exit.isFailure(exit), "a transaction with a refused statement cannot commit")
        assert.deepStrictEqual(yield* orders(one), ["a"])
      })
  )

  fact("takes part in a serializable transaction as well", (one) =>
    Effect.gen(function*() {
      for (const level of ["REPEATABLE READ", "SERIALIZABLE"]) {
        yield* one.sql.withTransaction(Effect.andThen(
          Charge.enqueue({ order: level }),
          Harness.enqueue(one, { ...Harness.unique(level), ...Harness.keyed("k", 5) })
        )).pipe(Effect.provideService(SqlClient.BeginTransaction, `BEGIN ISOLATION LEVEL ${level}`))
      }
      assert.strictEqual(yield* records(one), 4)
    }))

  fact("can be cancelled in it, by its id", (one) =>
    Effect.gen(function*() {
      const jobs = yield* Jobs.Jobs
      const handle = yield* one.sql.withTransaction(Effect.gen(function*() {
        const handle = yield* Charge.enqueue({ order: "a" })
        assert.strictEqual(yield* handle.cancel({ reason: "changed my mind" }), "Cancelled")
        assert.strictEqual(yield* handle.cancel({ reason: "again" }), "Settled")
        assert.strictEqual(yield* jobs.cancel(Harness.newId(), { reason: "nobody" }), "NotFound")
        return handle
      }))
      assert.strictEqual(yield* stateOf(one, handle.id), "cancelled")
    }))
})

describe("a control call with conditions", () => {
  fact("leaves a record alone that has the id and not the state", (one) =>
    Effect.gen(function*() {
      const { id } = yield* Harness.enqueue(one)
      const { outcomes } = yield* one.store.control({
        action: { _tag: "Delete" },
        where: { ids: [id], states: ["completed"] },
        limit: 10
      })
      assert.deepStrictEqual(outcomes, [])
      assert.strictEqual(yield* stateOf(one, id), "ready")
    }))
})

class Remind extends Job.make("Remind", {
  payload: { order: Schema.String },
  cancelOn: [{ event: Topic.match(Paid, ({ order }) => order), payload: ({ order }) => order }]
}) {}

class Payment extends Waitpoint.make("Payment", { success: Schema.String }) {}

class Ship extends Job.make("Ship", {
  payload: { order: Schema.String },
  completeOn: [{
    event: Topic.completion(Paid, Payment, { key: ({ order }) => order, value: ({ order }) => order }),
    payload: ({ order }) => order
  }]
}) {}

describe("an event in the caller's transaction", () => {
  for (const [ends, state] of [["committed", "cancelled"], ["rolled back", "ready"]] as const) {
    fact(`cancels what is to be cancelled by it, ${ends} with it`, (one) =>
      Effect.gen(function*() {
        const waits = yield* Remind.enqueue({ order: "a" })
        const other = yield* Remind.enqueue({ order: "b" })
        yield* one.sql.withTransaction(
          Effect.andThen(Paid.publish({ order: "a" }), ends === "committed" ? Effect.void : rollback)
        ).pipe(Effect.exit)
        assert.deepStrictEqual([yield* stateOf(one, waits.id), yield* stateOf(one, other.id)], [state, "ready"])
      }))
  }

  for (const [ends, state] of [["committed", "ready"], ["rolled back", "blocked Waitpoint"]] as const) {
    fact(`completes what is to be completed by it, ${ends} with it`, (one) =>
      Effect.gen(function*() {
        const waits = yield* Effect.forEach(["a", "b"], (order) => Ship.enqueue({ order }))
        for (const _ of waits) {
          yield* Harness.settle(one, yield* Harness.claimOne(one), { _tag: "WaitFor", waitpoint: "Payment" })
        }
        yield* one.sql.withTransaction(
          Effect.andThen(Paid.publish({ order: "a" }), ends === "committed" ? Effect.void : rollback)
        ).pipe(Effect.exit)
        // What the transaction left is done by the first exchange after its commit.
        yield* Harness.exchange(one)
        assert.deepStrictEqual(yield* Effect.forEach(waits, ({ id }) => stateOf(one, id)), [state, "blocked Waitpoint"])
      }))
  }
})

describe("a cancel in the caller's transaction", () => {
  for (const [ends, state] of [["committed", "cancelled"], ["rolled back", "ready"]] as const) {
    fact(`of a waiting record is ${ends} with it`, (one) =>
      Effect.gen(function*() {
        const handle = yield* Charge.enqueue({ order: "a" })
        yield* one.sql.withTransaction(
          Effect.andThen(handle.cancel({ reason: "test" }), ends === "committed" ? Effect.void : rollback)
        ).pipe(Effect.exit)
        assert.strictEqual(yield* stateOf(one, handle.id), state)
      }))
  }
})

describe("a worker's call in a fiber that has a transaction of the caller's open", () => {
  const isState = (one: Side, id: JobRecord.JobId, state: string) =>
    Effect.map(stateOf(one, id), (found) => assert.strictEqual(found, state))

  const renewal = { worker: "worker", lease: Harness.lease, queues: ["default"], handles: [], holding: [] }

  const verbs: Readonly<
    Record<string, {
      /** What is to be done inside, and what is so after the rollback. */
      readonly given: (
        one: Side
      ) => Effect.Effect<readonly [Effect.Effect<unknown, unknown>, Effect.Effect<void, unknown>], unknown>
    }>
  > = {
    claim: {
      given: (one) => Effect.map(Harness.enqueue(one), ({ id }) => [Harness.claimOne(one), isState(one, id, "running")])
    },
    settlement: {
      given: (one) =>
        Effect.andThen(Harness.enqueue(one), Harness.claimOne(one)).pipe(
          Effect.map((at) => [Harness.settle(one, at), isState(one, at.id, "completed")])
        )
    },
    renewal: {
      given: (one) =>
        Effect.succeed([
          one.store.renew({ ...renewal, reconcileOlderThan: Infinity }),
          Effect.map(one.store.stats, ({ workers }) => assert.strictEqual(workers[0]?.worker, "worker"))
        ])
    },
    "write of progress": {
      given: (one) =>
        Effect.andThen(Harness.enqueue(one), Harness.claimOne(one)).pipe(
          Effect.map(({ fence, id }) => [
            one.store.write([{ _tag: "Progress", at: { id, fence }, value: "1" }]),
            Effect.map(one.store.get(id), (found) => assert.strictEqual(found?.progress, "1"))
          ])
        )
    },
    maintenance: {
      given: (one) =>
        Effect.andThen(Harness.enqueue(one), Harness.claimOne(one)).pipe(
          // As if the worker had not been heard of.
          Effect.tap(one.sql.unsafe(`UPDATE ${schema}.worker SET lease_until = 0`)),
          Effect.map(({ id }) => [one.store.maintain, isState(one, id, "ready")])
        )
    }
  }
  for (const [verb, { given }] of Object.entries(verbs)) {
    fact(`is no part of it: a ${verb} stays when it is rolled back`, (one) =>
      Effect.gen(function*() {
        const [inside, after] = yield* given(one)
        yield* Effect.flip(one.sql.withTransaction(Effect.andThen(inside, rollback)))
        yield* after
      }))
  }
})

describe("workers", () => {
  /** They look by themselves once an hour: what runs earlier, they were told of. */
  const asleep = { pollInterval: "1 hour", shutdownGrace: 0 } as const

  const done = (one: Side, id: string) =>
    Harness.until(
      `record ${id} to be completed`,
      Effect.map(stateOf(one, Charge.handle(id).id), (state) => state === "completed")
    )

  for (const kind of ["a plain record", "a keyed record"]) {
    fact(`hear of ${kind} of a transaction after its commit, and not before`, (one) =>
      Effect.gen(function*() {
        const ran = yield* Ref.make<ReadonlyArray<string>>([])
        yield* Effect.scoped(Effect.gen(function*() {
          const worker = JobWorker.layer(JobGroup.make(Charge), asleep).pipe(
            Layer.provide(Charge.toLayer(({ order }) => Effect.as(Ref.update(ran, (all) => [...all, order]), order)))
          )
          const { awaitReady } = Context.get(yield* Layer.build(worker), JobWorker.JobWorker)
          yield* awaitReady
          const given = kind === "a keyed record" ? Harness.keyed("k") : {}
          const enqueue = (order: string) =>
            Harness.enqueue(one, { tag: "Charge", payload: JSON.stringify({ order }), ...given })
          const { id } = yield* one.sql.withTransaction(Effect.gen(function*() {
            const inside = yield* enqueue("inside")
            // Others are served meanwhile: had the worker been told of this one, it would have come by.
            const other = yield* Harness.outside(one, Charge.enqueue({ order: "outside" }))
            yield* Harness.outside(one, done(one, other.id))
            assert.deepStrictEqual(yield* Ref.get(ran), ["outside"])
            return inside
          }))
          yield* done(one, id)
          assert.deepStrictEqual(yield* Ref.get(ran), ["outside", "inside"])
        }))
      }))
  }

  it.live("are not woken by a transaction that rolls back", () =>
    Effect.gen(function*() {
      const one = yield* Harness.open(schema)
      yield* Harness.empty(one)
      const heard = yield* Ref.make(0)
      yield* Effect.forkScoped(
        Stream.runForEach(one.store.wakeups("worker", ["default"]), () => Ref.update(heard, (n) => n + 1))
      )
      yield* Harness.until("the first wake-up, of the connection itself", Effect.map(Ref.get(heard), (n) => n === 1))
      // It says that it is about to sleep.
      yield* Harness.claim(one)
      yield* one.sql.withTransaction(Effect.andThen(Harness.enqueue(one), rollback)).pipe(Effect.flip)
      yield* one.sql.withTransaction(Harness.enqueue(one))
      yield* Harness.until("the wake-up of the commit", Effect.map(Ref.get(heard), (n) => n > 1))
      assert.strictEqual(yield* Ref.get(heard), 2)
    }).pipe(Effect.scoped))
})

describe("awaiting in the caller's transaction", () => {
  const refused = <A, E>(effect: Effect.Effect<A, E, JobStore.JobStore>) =>
    Effect.map(Effect.flip(Effect.timeout(effect, "2 seconds")), (error) => {
      const reason = error instanceof JobError.JobStoreError ? error.reason : error
      assert.instanceOf(reason, JobError.AwaitInTransaction)
      assert.include((reason as JobError.AwaitInTransaction).message, "await it afterwards")
    })

  fact("fails at once, for a record of its own and for any other", (one) =>
    Effect.gen(function*() {
      const before = yield* Charge.enqueue({ order: "before" })
      yield* one.sql.withTransaction(Effect.gen(function*() {
        const handle = yield* Charge.enqueue({ order: "a" })
        yield* refused(handle.await)
        yield* refused(handle.awaitFor("1 minute"))
        yield* refused(before.await)
        yield* refused(Charge.run({ order: "b" }))
        assert.strictEqual((yield* handle.poll)._tag, "Some", "it is nowhere, so far")
      }))
      // What `run` had enqueued is part of the transaction all the same.
      assert.strictEqual(yield* records(one), 3)
    }))
})

describe("a fiber that was forked in a transaction", () => {
  fact("takes part in it while it is open", (one) =>
    Effect.gen(function*() {
      yield* one.sql.withTransaction(
        Effect.andThen(Fiber.join(yield* Effect.forkChild(Effect.void)), Effect.void)
      )
      yield* one.sql.withTransaction(Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(Charge.enqueue({ order: "a" }))
        yield* Fiber.join(fiber)
        return yield* rollback
      })).pipe(Effect.flip)
      assert.strictEqual(yield* records(one), 0)
    }))

  fact("fails typed after its end, is told what to do, and does nothing", (one) =>
    Effect.gen(function*() {
      const waiting = yield* Harness.enqueue(one)
      const over = yield* Deferred.make<void>()
      const calls: ReadonlyArray<
        Effect.Effect<unknown, JobError.JobStoreError | JobError.EnqueueError, JobStore.JobStore>
      > = [
        Charge.enqueue({ order: "a" }),
        Charge.enqueueMany(Array.from({ length: 500 }, () => ({ order: "a" }))),
        Harness.enqueue(one, Harness.unique("u")),
        Harness.control(one, Harness.cancel, waiting.id),
        one.store.signal({ id: waiting.id, waitpoint: "w", value: "1" })
      ]
      const fibers = yield* one.sql.withTransaction(
        Effect.forEach(calls, (call) => Effect.forkDetach(Effect.flip(Effect.andThen(Deferred.await(over), call))))
      )
      yield* Deferred.succeed(over, undefined)
      for (const fiber of fibers) {
        const error = yield* Fiber.join(fiber)
        assert.strictEqual(error.reason._tag, "Incompatible")
        assert.include(error.message, "has ended, and nothing was done")
        assert.include(error.message, "sql.afterCommit")
      }
      assert.strictEqual(yield* records(one), 1)
      assert.strictEqual(yield* stateOf(one, waiting.id), "ready")
    }))
})

describe("a transaction of another client", () => {
  const warned = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.suspend(() => {
      const lines: Array<string> = []
      const logger = Logger.make(({ message }) => void lines.push(String(message)))
      return Effect.as(Effect.provide(effect, Logger.layer([logger])), lines)
    })

  it.live("is warned about once in development: what is enqueued in it does not join it", () =>
    Effect.gen(function*() {
      const own = yield* Harness.open(schema)
      const other = yield* Harness.open(schema)
      yield* Harness.empty(own)
      const twice = Effect.andThen(Harness.enqueue(own), Harness.enqueue(own))
      const lines = yield* warned(other.sql.withTransaction(Effect.andThen(twice, rollback)).pipe(Effect.flip))
      assert.strictEqual(lines.length, 1)
      assert.include(lines[0]!, "Give both the same PgClient layer")
      assert.strictEqual(yield* records(own), 2)
    }).pipe(Effect.scoped))

  const job = Harness.newId()
  const calls: Readonly<Record<string, (own: Side) => Effect.Effect<unknown, unknown, Scope.Scope>>> = {
    "an enqueue of many": (own) => own.store.enqueue({ records: Array.from({ length: 200 }, () => Harness.record()) }),
    "a handler's enqueue": (own) =>
      Effect.andThen(Harness.enqueue(own), Harness.claimOne(own)).pipe(
        Effect.flatMap(({ fence, id }) => own.store.enqueue({ records: [Harness.record()], by: { id, fence } }))
      ),
    "a control call": (own) => Harness.control(own, Harness.cancel, job),
    "a signal": (own) => own.store.signal({ id: job, waitpoint: "w", value: "1" }),
    "a commit": (own) =>
      Context.get(own.context, Transactional.Transactional).commit(
        { id: job, fence: 1 },
        Effect.void,
        () => Effect.succeed({ result: undefined, finishedAfter: 0 })
      ),
    "an enqueue through an outbox": (own) =>
      Effect.flatMap(
        Layer.build(Layer.fresh(PgOutbox.layer({ relay: "r", schema }))).pipe(Effect.provideContext(own.context)),
        (context) => Context.get(context, JobStore.JobStore).enqueue({ records: [Harness.record()] })
      )
  }
  for (const [call, run] of Object.entries(calls)) {
    it.live(`is warned about at ${call}`, () =>
      Effect.gen(function*() {
        const own = yield* Harness.open(schema)
        const other = yield* Harness.open(schema)
        yield* Harness.empty(own)
        const lines = yield* warned(Effect.scoped(other.sql.withTransaction(Effect.exit(run(own)))))
        assert.deepStrictEqual(lines.map((line) => line.includes("Give both the same PgClient layer")), [true])
      }).pipe(Effect.scoped))
  }

  it.live("is not looked for in production", () =>
    Effect.gen(function*() {
      const before = process.env.NODE_ENV
      process.env.NODE_ENV = "production"
      const own = yield* Effect.ensuring(Harness.open(schema), Effect.sync(() => process.env.NODE_ENV = before))
      const other = yield* Harness.open(schema)
      const lines = yield* warned(other.sql.withTransaction(Harness.enqueue(own)))
      assert.deepStrictEqual(lines, [])
    }).pipe(Effect.scoped))

  it.live("is told by the name of a key that effect does not document", () =>
    Effect.gen(function*() {
      const { sql } = yield* side
      const keys = yield* sql.withTransaction(Effect.map(Effect.context(), ({ mapUnsafe }) => [...mapUnsafe.keys()]))
      const found = keys.filter((key) => key.startsWith("effect/sql/SqlClient/TransactionConnection/"))
      assert.deepStrictEqual(found, [sql.transactionService.key])
    }))
})
