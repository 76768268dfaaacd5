/** Enqueues of many fibers go out together, and replies that are lost are asked for again. */
import { assert, describe, it } from "@effect/vitest"
import { JobError, type JobRecord, type JobStore } from "capstan"
import { Effect, Exit, Fiber, Redacted, Scope } from "effect"
import * as Harness from "./harness.ts"
import { enqueue, keyed, type Side, unique } from "./harness.ts"
import * as Proxy from "./proxy.ts"

const schema = Harness.schemaName("enqueue")
const side = Harness.shared(schema, Harness.open(schema))

const fact = (name: string, test: (side: Side) => Effect.Effect<void, unknown>) =>
  it.live(name, () =>
    Effect.gen(function*() {
      const one = yield* side
      yield* Harness.empty(one)
      yield* test(one)
      yield* Harness.assertSound(one)
    }))

/** How many records are there, and how many transactions stored them. */
const stored = ({ sql }: Side) =>
  Effect.map(
    sql.unsafe<{ records: number; transactions: number }>(
      `SELECT count(*)::int AS records, count(DISTINCT xmin::text)::int AS transactions FROM ${schema}.record`
    ),
    ([row]) => row!
  )

const all = <A, E>(calls: ReadonlyArray<Effect.Effect<A, E>>) =>
  Effect.forEach(calls, Effect.exit, { concurrency: "unbounded" })

const reasonOf = (exit: Exit.Exit<unknown, JobError.JobStoreError>) => {
  const reason = Exit.isFailure(exit) ? exit.cause.reasons[0] : undefined
  return reason?._tag === "Fail" ? reason.error.reason._tag : exit._tag
}

/** While it runs, nothing is stored: the first statement waits, and what comes after it gathers. */
const whileStopped = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.scoped(Effect.gen(function*() {
    const other = yield* Harness.open(schema)
    return yield* other.sql.withTransaction(
      Effect.andThen(other.sql.unsafe(`LOCK TABLE ${schema}.record IN SHARE MODE`), Harness.outside(other, effect))
    )
  }))

const isWaiting = (one: Side) =>
  Harness.until(
    "an enqueue that waits",
    Effect.map(
      one.sql.unsafe(
        `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%${schema}%enqueue%'`
      ),
      (rows) => rows.length > 0
    )
  )

describe("enqueues of many fibers", () => {
  fact("are stored by a few statements, and each is answered for itself", (one) =>
    Effect.gen(function*() {
      const ids = Array.from({ length: 500 }, Harness.newId)
      const answers = yield* Effect.forEach(ids, (id) => enqueue(one, { id }), { concurrency: "unbounded" })
      assert.deepStrictEqual(answers, ids.map((id) => ({ id, outcome: "Inserted" as const })))
      const { records, transactions } = yield* stored(one)
      assert.strictEqual(records, 500)
      assert.isAtMost(transactions, 10)
    }))

  const bad: Readonly<Record<string, Partial<JobStore.NewRecord>>> = {
    "a tag that Postgres refuses": { tag: "a\u0000b" },
    "a queue that Postgres refuses": { queue: "a\u0000b" },
    "a queue that Postgres refuses, in a keyed record": { queue: "a\u0000b", ...keyed("k") },
    "an id that is none": { id: "no id" as JobRecord.JobId },
    "a version that is none": { version: 0.5 },
    "an instant that is none": { runAt: Number.NaN },
    "a priority that no column holds": { priority: 1e6 }
  }
  for (const [name, given] of Object.entries(bad)) {
    fact(`of which one has ${name}: it fails alone`, (one) =>
      Effect.gen(function*() {
        const exits = yield* all(
          Array.from({ length: 100 }, (_, i) => enqueue(one, i === 50 ? given : {}))
        )
        assert.deepStrictEqual(exits.flatMap((exit, i) => Exit.isFailure(exit) ? [i] : []), [50])
        assert.strictEqual(reasonOf(exits[50]!), "Incompatible")
        assert.strictEqual((yield* stored(one)).records, 99)
        assert.strictEqual((yield* enqueue(one)).outcome, "Inserted", "the next one finds all in order")
      }))
  }

  fact("are refused as a whole where they were given as a whole", (one) =>
    Effect.gen(function*() {
      const records = (bad: boolean) =>
        Array.from({ length: 10 }, (_, i) => Harness.record(bad && i === 5 ? { tag: "a\u0000b" } : {}))
      const exits = yield* all(
        [records(false), records(true), records(false)].map((records) => one.store.enqueue({ records }))
      )
      assert.deepStrictEqual(exits.map(reasonOf), ["Success", "Incompatible", "Success"])
      assert.strictEqual((yield* stored(one)).records, 20)
    }))

  fact(
    "of which one is interrupted before it was sent: it leaves nothing, and the others go on",
    (one) =>
      Effect.gen(function*() {
        const gone = Harness.newId()
        const kept = Harness.newId()
        const fibers = yield* whileStopped(
          Effect.gen(function*() {
            const first = yield* Effect.forkDetach(enqueue(one))
            yield* isWaiting(one)
            const second = yield* Effect.forkDetach(enqueue(one, { id: gone }), { startImmediately: true })
            const third = yield* Effect.forkDetach(enqueue(one, { id: kept }), { startImmediately: true })
            yield* Fiber.interrupt(second)
            return [first, third]
          })
        )
        for (const fiber of fibers) yield* Fiber.join(fiber)
        assert.deepStrictEqual(
          [yield* Harness.stateOf(one, gone), yield* Harness.stateOf(one, kept), (yield* stored(one)).records],
          ["none", "ready", 2]
        )
      })
  )

  fact(
    "of which one is interrupted while its statement runs: the others are stored all the same",
    (one) =>
      Effect.gen(function*() {
        const fibers = yield* whileStopped(
          Effect.gen(function*() {
            const first = yield* Effect.forkDetach(enqueue(one))
            yield* isWaiting(one)
            const second = yield* Effect.forkDetach(enqueue(one))
            yield* Fiber.interrupt(first)
            return [second]
          })
        )
        for (const fiber of fibers) yield* Fiber.join(fiber)
        assert.strictEqual((yield* stored(one)).records, 2)
      })
  )
})

describe("a store that is closed", () => {
  it.live("fails the enqueues that wait, and those that come later, and leaves none hanging", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const one = yield* Scope.provide(Harness.open(schema), scope)
      yield* Harness.empty(one)
      const waiting = yield* whileStopped(
        Effect.gen(function*() {
          const first = yield* Effect.forkDetach(enqueue(one))
          yield* isWaiting(yield* side)
          const second = yield* Effect.forkDetach(enqueue(one), { startImmediately: true })
          yield* Scope.close(scope, Exit.void)
          return [first, second]
        })
      )
      const reasons = yield* Effect.forEach(
        waiting,
        (fiber) => Effect.map(Effect.timeout(Fiber.await(fiber), "2 seconds"), reasonOf)
      )
      assert.deepStrictEqual(reasons, ["OutcomeUnknown", "Unavailable"], "the one that was sent, the one that was not")
      const exit = yield* Effect.timeout(Effect.exit(enqueue(one)), "2 seconds")
      assert.strictEqual(reasonOf(exit), "Unavailable")
    }))
})

describe("over a network that breaks", () => {
  const broken = (name: string, test: (one: Side, proxy: Proxy.Proxy) => Effect.Effect<void, unknown>) =>
    it.live(name, () =>
      Effect.gen(function*() {
        const proxy = yield* Proxy.open
        const one = yield* Harness.open(schema, { listen: false }, { url: Redacted.make(proxy.url) })
        yield* Harness.empty(one)
        yield* test(one, proxy)
        yield* Harness.assertSound(yield* side)
      }).pipe(Effect.scoped))

  const kinds: Readonly<Record<string, Partial<JobStore.NewRecord>>> = {
    "a plain record": {},
    "a keyed record": keyed("k"),
    "a unique record": unique("u"),
    "a record with an idempotency key": { idempotencyKey: "i" }
  }
  for (const [name, given] of Object.entries(kinds)) {
    broken(`the lost reply of ${name} is asked for again, under the same id`, (one, proxy) =>
      Effect.gen(function*() {
        const id = Harness.newId()
        proxy.loseReplyOf("314159265")
        const answer = yield* enqueue(one, { id, payload: "314159265", ...given })
        assert.strictEqual(proxy.lost(), 1)
        assert.deepStrictEqual(answer, { id, outcome: "Inserted" })
        assert.deepStrictEqual(yield* stored(yield* side), { records: 1, transactions: 1 })
      }))

    broken(`the lost request of ${name} is sent again`, (one, proxy) =>
      Effect.gen(function*() {
        const id = Harness.newId()
        proxy.loseRequestOf("314159265")
        const answer = yield* enqueue(one, { id, payload: "314159265", ...given })
        assert.deepStrictEqual([proxy.lost(), answer.id], [1, id])
        assert.deepStrictEqual(yield* stored(yield* side), { records: 1, transactions: 1 })
      }))
  }

  broken("the lost reply of a thousand records is asked for again", (one, proxy) =>
    Effect.gen(function*() {
      proxy.loseReplyOf("314159265")
      const records = Array.from({ length: 1000 }, () => Harness.record({ payload: "314159265" }))
      const answers = yield* one.store.enqueue({ records })
      assert.deepStrictEqual(answers.map(({ id }) => id), records.map(({ id }) => id))
      assert.deepStrictEqual(yield* stored(yield* side), { records: 1000, transactions: 1 })
    }))

  broken("the lost reply of a hundred fibers reaches each of them", (one, proxy) =>
    Effect.gen(function*() {
      proxy.loseReplyOf("314159265")
      const ids = Array.from({ length: 100 }, Harness.newId)
      const answers = yield* Effect.forEach(ids, (id) => enqueue(one, { id, payload: "314159265" }), {
        concurrency: "unbounded"
      })
      assert.strictEqual(proxy.lost(), 1)
      assert.deepStrictEqual(answers.map(({ id }) => id), ids)
      assert.strictEqual((yield* stored(yield* side)).records, 100)
    }))

  for (const [name, lose] of [["enqueue", "314159265"], ["commit", "COMMIT"]] as const) {
    broken(
      `the lost reply of a handler's ${name} is asked for again, under its fence`,
      (one, proxy) =>
        Effect.gen(function*() {
          const own = yield* side
          const at = yield* Effect.andThen(enqueue(own), Harness.claimOne(own))
          const id = Harness.newId()
          const records = [Harness.record({ id, payload: "314159265" })]
          proxy.loseReplyOf(lose)
          const answers = yield* one.store.enqueue({ by: { id: at.id, fence: at.fence }, records })
          assert.deepStrictEqual([proxy.lost(), answers], [1, [{ id, outcome: "Inserted" }]])
          assert.strictEqual((yield* stored(own)).records, 2)
        })
    )
  }

  broken(
    "a store that is away fails all of them, and says that nothing was done",
    (one, proxy) =>
      Effect.gen(function*() {
        proxy.setAway(true)
        const exits = yield* all(Array.from({ length: 100 }, () => enqueue(one)))
        // Whether a connection of before broke when it was used or earlier is not to be known.
        const unknown = exits.filter((exit) => reasonOf(exit) === "OutcomeUnknown")
        assert.isAtMost(unknown.length, 5)
        assert.strictEqual(exits.filter((exit) => reasonOf(exit) === "Unavailable").length, 100 - unknown.length)
        proxy.setAway(false)
        yield* enqueue(one)
        assert.strictEqual((yield* stored(yield* side)).records, 1)
      })
  )

  broken(
    "a store that stays away after a lost reply leaves the outcome unknown, and says so",
    (one, proxy) =>
      Effect.gen(function*() {
        const id = Harness.newId()
        proxy.loseReplyOf("314159265")
        const fiber = yield* Effect.forkChild(Effect.flip(enqueue(one, { id, payload: "314159265" })))
        yield* Harness.until("the reply to be lost", Effect.sync(() => proxy.lost() === 1))
        proxy.setAway(true)
        const error = yield* Fiber.join(fiber)
        assert.strictEqual(error.reason._tag, "OutcomeUnknown", "not Unavailable: it did happen")
        assert.strictEqual(yield* Harness.stateOf(yield* side, id), "ready")
      })
  )
})
