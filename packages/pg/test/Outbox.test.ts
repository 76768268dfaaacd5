/** The outbox: from a transaction of Postgres to another store, here one in memory. */
import { PgOutbox } from "@capstan/pg"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobError, JobStore, Topic } from "capstan"
import { Context, Deferred, Effect, Fiber, Layer, Logger, Schema, type Scope } from "effect"
import { afterAll } from "vitest"
import * as Harness from "./harness.ts"

class Ship extends Job.make("Ship", {
  payload: { order: Schema.Int },
  queue: "shipping",
  retention: { completed: "forever" },
  startBefore: "1 minute",
  unique: { key: ({ order }) => `${order}` }
}) {}

class Urge extends Job.make("Urge", {
  payload: { order: Schema.Int },
  unique: { key: ({ order }) => `${order}`, onConflict: "replace" }
}) {}

const Placed = Topic.make("Placed", { order: Schema.Int })
const Paid = Topic.make("Paid", { order: Schema.Int })
Job.make("Tell", {
  payload: { order: Schema.Int },
  on: [
    Topic.on(Placed, { payload: ({ order }) => ({ order }) }),
    Topic.on(Paid, { payload: ({ order }) => ({ order }) })
  ],
  cancelOn: [{ event: Topic.match(Paid, ({ order }) => `${order}`), payload: ({ order }) => `${order}` }]
})

const schema = Harness.schemaName("outbox")
const here = { relay: "memory", schema }

afterAll(() => Harness.drop(schema))

/** The other store, and what it was asked for and answered. */
const other = Effect.map(Layer.build(JobStore.layerMemory()), (context) => {
  const store = Context.get(context, JobStore.JobStore)
  const answers: Array<JobStore.Enqueued> = []
  const enqueue: JobStore.Shape["enqueue"] = (request) =>
    Effect.tap(store.enqueue(request), (some) => Effect.sync(() => answers.push(...some)))
  return { answers, store: JobStore.JobStore.of({ ...store, enqueue }) }
})

const outcomes = (answers: ReadonlyArray<JobStore.Enqueued>) => answers.map(({ outcome }) => outcome)
const recordsIn = (store: JobStore.Shape) =>
  Effect.map(store.query({ where: {}, order: "oldest", limit: 100 }), ({ records }) => records)

const handOver = (store: JobStore.Shape, options: Partial<PgOutbox.RelayOptions> = {}) =>
  Effect.provideService(PgOutbox.handOver({ ...here, ...options }), JobStore.JobStore, store)

const live = Layer.provideMerge(Layer.orDie(PgOutbox.layer(here)), Harness.client())

/** Each fact has an empty outbox, and the real clock. */
const fact = <E>(
  name: string,
  run: () => Effect.Effect<void, E, JobStore.JobStore | PgClient.PgClient | Scope.Scope>
) => it.live(name, () => Effect.scoped(Effect.andThen(empty, Effect.suspend(run))).pipe(Effect.provide(live)))

const empty = Effect.flatMap(PgClient.PgClient, (sql) => sql.unsafe(`DELETE FROM ${schema}.outbox`))

describe("the outbox", () => {
  fact("takes what a transaction enqueues, and hands it over once that has committed", () =>
    Effect.gen(function*() {
      const sql = yield* PgClient.PgClient
      const { answers, store } = yield* other
      yield* Effect.ignore(sql.withTransaction(Effect.andThen(Ship.enqueue({ order: 1 }), Effect.fail("no"))))
      const { id, outcome } = yield* sql.withTransaction(Effect.gen(function*() {
        const handle = yield* Ship.enqueue({ order: 2 }, { delay: "1 hour", priority: "high" })
        assert.strictEqual(yield* handOver(store), 0)
        return handle
      }))
      assert.strictEqual(outcome, "Inserted")
      assert.deepInclude(yield* PgOutbox.waiting(here), { waiting: 1, refused: 0 })

      assert.strictEqual(yield* handOver(store), 1)
      assert.deepStrictEqual(answers, [{ id, outcome: "Inserted" }])
      const [record] = yield* recordsIn(store)
      assert.deepInclude(record, { id, tag: "Ship", payload: `{"order":2}`, priority: 10, state: "scheduled" })
      // What it waited on the way is a part of its delay.
      assert.isAtMost(record!.dueAt! - record!.enqueuedAt, 3_600_000)
      assert.strictEqual(record!.expiresAt! - record!.dueAt!, 60_000)
      assert.deepInclude(yield* PgOutbox.waiting(here), { waiting: 0, oldestMillis: 0 })
    }))

  fact(
    "hands over again, under the same id, what a relay left that died before it removed it",
    () =>
      Effect.gen(function*() {
        const { answers, store } = yield* other
        const { id } = yield* Ship.enqueue({ order: 3 })
        const acknowledged = yield* Deferred.make<void>()
        const dying: JobStore.Shape = {
          ...store,
          enqueue: (request) =>
            Effect.andThen(
              store.enqueue(request),
              Effect.andThen(Deferred.succeed(acknowledged, undefined), Effect.never)
            )
        }
        const relay = yield* Effect.forkChild(handOver(dying, { lease: "1 millis" }))
        yield* Deferred.await(acknowledged)
        yield* Fiber.interrupt(relay)
        assert.strictEqual((yield* PgOutbox.waiting(here)).waiting, 1)

        assert.strictEqual(yield* handOver(store), 1)
        assert.deepStrictEqual(answers, [{ id, outcome: "Inserted" }, { id, outcome: "Existing" }])
        assert.strictEqual((yield* recordsIn(store)).length, 1)
        assert.strictEqual((yield* PgOutbox.waiting(here)).waiting, 0)
      })
  )

  fact("does not take what another relay holds", () =>
    Effect.gen(function*() {
      const { store } = yield* other
      yield* Ship.enqueue({ order: 4 })
      const asked = yield* Deferred.make<void>()
      const slow: JobStore.Shape = {
        ...store,
        enqueue: () => Effect.andThen(Deferred.succeed(asked, undefined), Effect.never)
      }
      yield* Effect.forkChild(handOver(slow))
      yield* Deferred.await(asked)
      assert.strictEqual(yield* handOver(store), 0)
    }))

  fact("keeps everything while the other store is away, and in order", () =>
    Effect.gen(function*() {
      const { answers, store } = yield* other
      const ids = yield* Effect.forEach([5, 6, 7], (order) => Effect.map(Ship.enqueue({ order }), ({ id }) => id))
      const away = new JobError.JobStoreError({
        reason: new JobError.Unavailable({ operation: "enqueue", detail: "away" })
      })
      assert.strictEqual(yield* Effect.flip(handOver({ ...store, enqueue: () => Effect.fail(away) })), away)
      assert.strictEqual(yield* handOver(store, { batch: 2 }), 2)
      assert.strictEqual(yield* handOver(store, { batch: 2 }), 1)
      assert.deepStrictEqual(answers.map(({ id }) => id), ids)
    }))

  fact("keeps what the other store refuses with the reason, and hands over its mates", () =>
    Effect.gen(function*() {
      const { answers, store } = yield* other
      yield* Effect.forEach([8, 9, 10], (order) => Ship.enqueue({ order }))
      const picky: JobStore.Shape = {
        ...store,
        enqueue: (request) =>
          request.records.some(({ payload }) => payload === `{"order":9}`)
            ? Effect.fail(
              new JobError.JobStoreError({
                reason: new JobError.Incompatible({ operation: "enqueue", detail: "not nine" })
              })
            )
            : store.enqueue(request)
      }
      yield* Effect.provide(handOver(picky), Logger.layer([]))
      assert.deepStrictEqual(outcomes(answers), ["Inserted", "Inserted"])
      assert.deepInclude(yield* PgOutbox.waiting(here), { waiting: 0, refused: 1 })
      assert.strictEqual(yield* handOver(store), 0)
    }))

  const broken: JobStore.Shape["enqueue"] = () =>
    Effect.fail(
      new JobError.JobStoreError({
        reason: new JobError.Incompatible({ operation: "enqueue", detail: "a right is missing" })
      })
    )

  fact(
    "refuses nothing while the other store fails over everything, and hands it over once it is mended",
    () =>
      Effect.gen(function*() {
        const { answers, store } = yield* other
        const ids = yield* Effect.forEach(
          [16, 17, 18, 19],
          (order) => Effect.map(Ship.enqueue({ order }), ({ id }) => id)
        )
        // Of one, of some and of all: with nothing behind them, and with something.
        for (const batch of [1, 2, 4, 100]) {
          const error = yield* Effect.flip(handOver({ ...store, enqueue: broken }, { batch }))
          assert.include(error.message, "a right is missing")
          assert.deepInclude(yield* PgOutbox.waiting(here), { waiting: 4, refused: 0 })
        }
        assert.strictEqual(yield* handOver(store), 4)
        assert.deepStrictEqual(answers.map(({ id }) => id), ids)
      })
  )

  fact(
    "refuses a batch over each of which the other store fails, when that takes the newest",
    () =>
      Effect.gen(function*() {
        const { answers, store } = yield* other
        for (const order of [20, 21]) yield* Ship.enqueue({ order })
        const picky: JobStore.Shape = {
          ...store,
          enqueue: (request) =>
            request.records.some(({ payload }) => payload === `{"order":20}` || payload === `{"order":21}`)
              ? broken(request)
              : store.enqueue(request)
        }
        yield* Effect.flip(handOver(picky, { batch: 2 }))
        assert.deepInclude(yield* PgOutbox.waiting(here), { waiting: 2, refused: 0 })
        const handles = yield* Effect.forEach([22, 23], (order) => Ship.enqueue({ order }))
        yield* Effect.provide(handOver(picky, { batch: 2 }), Logger.layer([]))
        assert.deepInclude(yield* PgOutbox.waiting(here), { waiting: 1, refused: 2 })
        assert.strictEqual(yield* handOver(picky, { batch: 2 }), 1)
        assert.deepStrictEqual(answers.map(({ id }) => id), [handles[1]!.id, handles[0]!.id])
      })
  )

  fact("refuses nothing of what fails before the other store is mended, within a step", () =>
    Effect.gen(function*() {
      const { answers, store } = yield* other
      // All at once and each for itself: mended after the first ones, or before it is asked whether it takes any.
      for (const [count, batch, failing] of [[4, 100, 3], [3, 2, 3]] as const) {
        answers.length = 0
        const orders = Array.from({ length: count }, (_, i) => 30 + 10 * batch + i)
        const ids = yield* Effect.forEach(orders, (order) => Effect.map(Ship.enqueue({ order }), ({ id }) => id))
        let asked = 0
        const mended: JobStore.Shape = {
          ...store,
          enqueue: (request) => ++asked <= failing ? broken(request) : store.enqueue(request)
        }
        yield* Effect.provide(handOver(mended, { batch }), Logger.layer([]))
        assert.deepInclude(yield* PgOutbox.waiting(here), { waiting: 0, refused: 0 })
        assert.deepStrictEqual(answers.map(({ id }) => id).toSorted(), ids.toSorted())
      }
    }))

  fact(
    "hands over what lies between records that the other store refuses, the oldest and the newest",
    () =>
      Effect.gen(function*() {
        const { answers, store } = yield* other
        const [, good] = yield* Effect.forEach([26, 27, 28], (order) => Ship.enqueue({ order }))
        const picky: JobStore.Shape = {
          ...store,
          enqueue: (request) =>
            request.records.some(({ payload }) => payload !== `{"order":27}`) ? broken(request) : store.enqueue(request)
        }
        yield* Effect.provide(handOver(picky, { batch: 1 }), Logger.layer([]))
        assert.deepStrictEqual(answers.map(({ id }) => id), [good!.id])
        assert.deepInclude(yield* PgOutbox.waiting(here), { waiting: 1, refused: 1 })
        // Alone it may be as well that the store is broken.
        yield* Effect.flip(handOver(picky, { batch: 1 }))
        assert.deepInclude(yield* PgOutbox.waiting(here), { waiting: 1, refused: 1 })
      })
  )

  fact("hands over again what was refused, when an operator says so", () =>
    Effect.gen(function*() {
      const sql = yield* PgClient.PgClient
      const { answers, store } = yield* other
      const [{ id }] = [yield* Ship.enqueue({ order: 24 }), yield* Ship.enqueue({ order: 25 })]
      const picky: JobStore.Shape = {
        ...store,
        enqueue: (request) =>
          request.records.some(({ payload }) => payload === `{"order":24}`) ? broken(request) : store.enqueue(request)
      }
      yield* Effect.provide(handOver(picky), Logger.layer([]))
      assert.deepInclude(yield* PgOutbox.waiting(here), { waiting: 0, refused: 1 })
      yield* sql.unsafe(`UPDATE ${schema}.outbox SET refused = NULL, taken_until = 0 WHERE relay = $1`, [here.relay])
      assert.strictEqual(yield* handOver(store), 1)
      assert.strictEqual(answers.at(-1)?.id, id)
    }))

  fact(
    "keeps what a record of its batch would have replaced, a member of a flow, and hands over its mates",
    () =>
      Effect.gen(function*() {
        const { answers, store } = yield* other
        yield* store.enqueue({
          records: [
            Harness.record({ tag: "Urge", flowId: "f", unique: { key: "13", until: "finished", onConflict: "keep" } })
          ]
        })
        answers.length = 0
        const orders = [12, 13, 14]
        const handles = yield* Effect.forEach(orders, (order) => Urge.enqueue({ order }))
        const logged: Array<unknown> = []
        const log = Logger.make(({ message }) => logged.push(message))
        assert.strictEqual(yield* Effect.provide(handOver(store), Logger.layer([log])), 3)
        const refused = ["Refused", "UniqueConflict", "Refused"]
        assert.deepStrictEqual(outcomes(answers), [...refused, "Inserted", "UniqueConflict", "Inserted"])
        const stored = yield* recordsIn(store)
        assert.deepStrictEqual(stored.slice(1).map(({ id }) => id), [handles[0]!.id, handles[2]!.id])
        assert.deepInclude(yield* PgOutbox.waiting(here), { waiting: 0, refused: 1 })
        assert.include(
          String(logged),
          `its unique key is held by ${stored[0]!.id}, and one of the two is a member of a flow`
        )
        assert.strictEqual(yield* handOver(store), 0)
      })
  )

  fact(
    "takes what an event is told to, and refuses one that changes records of the other store",
    () =>
      Effect.gen(function*() {
        const { store } = yield* other
        assert.deepStrictEqual((yield* Placed.publish({ order: 15 })).map(({ job }) => job), ["Tell"])
        const error = yield* Effect.flip(Paid.publish({ order: 15 }))
        assert.strictEqual(error.reason._tag, "Incompatible")
        assert.include(
          error.message,
          "publish it with the other store after the commit, or from a job that you enqueue here"
        )
        assert.deepInclude(yield* PgOutbox.waiting(here), { waiting: 1 })
        assert.strictEqual(yield* handOver(store), 1)
        assert.deepStrictEqual((yield* recordsIn(store)).map(({ tag }) => tag), ["Tell"])
      })
  )

  fact("is emptied by the relay as long as its layer lives", () =>
    Effect.gen(function*() {
      const { store } = yield* other
      yield* Layer.build(
        PgOutbox.relay({ ...here, poll: "10 millis" }).pipe(Layer.provide(Layer.succeed(JobStore.JobStore, store)))
      )
      yield* Ship.enqueueMany([{ order: 11 }, { order: 12 }])
      const both = Effect.map(recordsIn(store), (records) => records.length === 2)
      yield* Effect.repeat(Effect.delay(both, "10 millis"), { until: (found) => found }).pipe(
        Effect.timeout("10 seconds")
      )
    }))

  fact("takes enqueues alone, and no handler's", () =>
    Effect.gen(function*() {
      const refused = yield* Effect.flip((yield* JobStore.JobStore).stats)
      assert.include(refused.message, "the outbox of memory takes enqueues alone")
    }))
})
