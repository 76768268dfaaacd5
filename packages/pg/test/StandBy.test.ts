/** An enqueue that takes a worker of its process along: one statement stores the record and claims for the worker. */
import { assert, describe, it } from "@effect/vitest"
import { type JobError, JobStore } from "capstan"
import { Deferred, Effect, type Exit, Stream } from "effect"
import * as Harness from "./harness.ts"
import type { Side } from "./harness.ts"

const schema = Harness.schemaName("standby")
const side = Harness.shared(schema, Harness.open(schema))

type Reply = Exit.Exit<JobStore.ExchangeReply | undefined, JobError.JobStoreError>

const asks = (worker: string, queues: ReadonlyArray<string>): JobStore.ExchangeRequest => ({
  worker,
  lease: Harness.lease,
  settlements: [],
  demand: queues.map((queue) => ({ queue, slots: 2, share: 2 })),
  total: 2
})

/** A worker that stands by until the scope closes, and what it hears. */
const standing = (one: Side, worker = "w", queues: ReadonlyArray<string> = ["default"]) =>
  Effect.gen(function*() {
    const heard = yield* Deferred.make<Reply>()
    let times = 0
    yield* Effect.forkScoped(
      one.store.standBy!({
        queues,
        take: () => asks(worker, queues),
        receive: (reply) => {
          times++
          Deferred.doneUnsafe(heard, Effect.succeed(reply))
        }
      }),
      { startImmediately: true }
    )
    return { heard: Deferred.await(heard), times: () => times }
  })

const claimedOf = (reply: Reply): ReadonlyArray<string> | undefined =>
  reply._tag === "Success" ? reply.value?.claimed.map(({ id }) => id) : undefined

const fact = Harness.factsOf(side)

describe("an enqueue takes along who stands by", () => {
  fact("claims its record, by a fence that holds, in one transaction", (one) =>
    Effect.gen(function*() {
      const { heard, times } = yield* standing(one)
      const { id } = yield* Harness.enqueue(one)
      const reply = yield* heard
      assert.deepStrictEqual(claimedOf(reply), [id])
      const [row] = yield* one.sql.unsafe<{ same: boolean }>(
        `SELECT r.xmin = d.xmin AS same FROM ${schema}.record r, ${schema}.delta d WHERE r.id = $1 AND d.ready = 1`,
        [id]
      )
      assert.isTrue(row!.same, "what counted the enqueue and what claimed it were one transaction")
      const [claimed] = (reply as Exit.Success<JobStore.ExchangeReply>).value.claimed
      yield* Harness.settle(one, claimed!)
      assert.strictEqual((yield* one.store.get(id))?.state, "completed")
      assert.strictEqual(times(), 1)
    }))

  fact("claims by place: what waited is before it", (one) =>
    Effect.gen(function*() {
      const ids = []
      for (let i = 0; i < 3; i++) ids.push((yield* Harness.enqueue(one)).id)
      const { heard } = yield* standing(one)
      const { id } = yield* Harness.enqueue(one)
      assert.deepStrictEqual(claimedOf(yield* heard), ids.slice(0, 2))
      assert.strictEqual((yield* one.store.get(id))?.state, "ready")
    }))

  fact("calls nobody else for what it claims, and who sleeps for what it leaves", (one) =>
    Effect.gen(function*() {
      let woken: Array<string> = []
      const sleep = (queue: string) =>
        Effect.gen(function*() {
          yield* Effect.forkScoped(
            Stream.runForEach(
              one.store.wakeups(`of ${queue}`, [queue]),
              () => Effect.sync(() => void woken.push(queue))
            )
          )
          yield* Harness.exchange(one, { ...asks(`of ${queue}`, [queue]) })
        })
      yield* sleep("default")
      yield* sleep("last")
      // A message that was sent after all others has come.
      const called = Effect.gen(function*() {
        const { id } = yield* Harness.enqueue(one, { queue: "last" })
        yield* Harness.until("the last call", Effect.sync(() => woken.includes("last")))
        yield* Harness.control(one, { _tag: "Delete" }, id)
        const those = woken.filter((queue) => queue !== "last")
        woken = []
        return those
      })
      yield* called
      yield* standing(one)
      yield* Harness.enqueue(one)
      assert.deepStrictEqual(yield* called, [])
      yield* one.store.pause("default", true)
      yield* called
      const { heard } = yield* standing(one)
      yield* Harness.enqueue(one)
      assert.deepStrictEqual(claimedOf(yield* heard), [])
      assert.deepStrictEqual(yield* called, ["default"])
      yield* one.store.pause("default", false)
    }))

  fact(
    "leaves it standing where nothing may start: what is delayed, has keys, or is in a transaction",
    (one) =>
      Effect.gen(function*() {
        const { times } = yield* standing(one)
        yield* Harness.enqueue(one, { delay: 60_000 })
        yield* Harness.enqueue(one, { runAt: Date.now() + 60_000 })
        yield* Harness.enqueue(one, Harness.keyed("k"))
        yield* Harness.enqueue(one, Harness.unique("u"))
        yield* Harness.enqueue(one, { queue: "other" })
        yield* one.store.enqueue({ records: [Harness.record(), Harness.record()] })
        yield* one.sql.withTransaction(Harness.enqueue(one))
        assert.strictEqual(times(), 0)
      })
  )

  fact("says that nothing was asked where the record is there already", (one) =>
    Effect.gen(function*() {
      const given = Harness.record({ delay: 60_000 })
      yield* one.store.enqueue({ records: [given] })
      const { heard } = yield* standing(one)
      const answers = yield* one.store.enqueue({ records: [{ ...given, delay: 0 }] })
      assert.deepStrictEqual(answers, [{ id: given.id, outcome: "Existing" }])
      const reply = yield* heard
      assert.isTrue(reply._tag === "Success" && reply.value === undefined)
    }))

  fact(
    "stores the record all the same where the exchange is refused, and the other way round",
    (one) =>
      Effect.gen(function*() {
        const { heard } = yield* standing(one, "w\0")
        const { id } = yield* Harness.enqueue(one)
        assert.strictEqual((yield* one.store.get(id))?.state, "ready")
        const reply = yield* heard
        assert.isTrue(reply._tag === "Success" && reply.value === undefined)
        const other = yield* standing(one)
        const refused = yield* Effect.flip(one.store.enqueue({ records: [Harness.record({ priority: 1e9 })] }))
        assert.isFalse(refused.isTransient)
        const answer = yield* other.heard
        assert.isTrue(answer._tag === "Success" && answer.value === undefined)
      })
  )

  fact("stores the record all the same where the exchange is refused for now", (one) =>
    Effect.gen(function*() {
      const { heard } = yield* standing(one)
      yield* one.sql.unsafe(
        `CREATE FUNCTION ${schema}.busy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          RAISE 'canceling statement due to lock timeout' USING ERRCODE = 'lock_not_available'; END $$`
      ).unprepared
      yield* one.sql.unsafe(
        `CREATE TRIGGER busy BEFORE INSERT ON ${schema}.claimed FOR EACH ROW EXECUTE FUNCTION ${schema}.busy()`
      ).unprepared
      const { id } = yield* Harness.enqueue(one).pipe(
        Effect.ensuring(Effect.orDie(one.sql.unsafe(`DROP FUNCTION ${schema}.busy CASCADE`).unprepared))
      )
      assert.strictEqual((yield* one.store.get(id))?.state, "ready")
      assert.isTrue((yield* heard)._tag === "Failure")
    }))

  fact("tells both that no answer has come, and what was stored is stored once", (one) =>
    Effect.gen(function*() {
      const { heard } = yield* standing(one)
      yield* one.sql.unsafe(
        `CREATE FUNCTION ${schema}.cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$`
      ).unprepared
      yield* one.sql.unsafe(
        `CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON ${schema}.claimed DEFERRABLE INITIALLY DEFERRED
          FOR EACH ROW EXECUTE FUNCTION ${schema}.cut()`
      ).unprepared
      const { id, outcome } = yield* Harness.enqueue(one).pipe(
        Effect.ensuring(Effect.orDie(one.sql.unsafe(`DROP FUNCTION ${schema}.cut CASCADE`).unprepared))
      )
      assert.strictEqual(outcome, "Inserted", "it was asked for again by itself")
      const reply = yield* heard
      assert.isTrue(reply._tag === "Failure")
      assert.strictEqual((yield* one.store.get(id))?.state, "ready", "nothing of the first call has happened")
    }))
})

const hundred = 100

it.live("a hundred processes' workers and enqueues at once: each record is claimed by one of them, once", () =>
  Effect.gen(function*() {
    const one = yield* side
    yield* Harness.empty(one)
    const other = yield* Harness.open(schema)
    const claimed: Array<string> = []
    const sides = [one, other]
    const stand = (process: Side, worker: string): Effect.Effect<void> =>
      Effect.suspend(() => {
        const reply = Deferred.makeUnsafe<Reply>()
        const waits = process.store.standBy!({
          queues: ["default"],
          take: () => asks(worker, ["default"]),
          receive: (exit) => Deferred.doneUnsafe(reply, Effect.succeed(exit))
        })
        return Effect.flatMap(Effect.raceFirst(waits, Deferred.await(reply)), (exit) => {
          claimed.push(...claimedOf(exit) ?? [])
          return claimed.length < hundred ? stand(process, worker) : Effect.void
        })
      })
    const standings = yield* Effect.forEach(
      sides.flatMap((process, p) => [0, 1, 2].map((w) => stand(process, `w${p}${w}`))),
      (waits) => Effect.forkChild(waits, { startImmediately: true })
    )
    const ids = yield* Effect.forEach(
      Array.from({ length: hundred }, (_, i) => sides[i % 2]!),
      (process) => Effect.map(Harness.enqueue(process), ({ id }) => id),
      { concurrency: 8 }
    )
    // What found nobody standing by is claimed as always.
    for (;;) {
      const rest = yield* Harness.claim(one, 10)
      claimed.push(...rest.map(({ id }) => id))
      if (rest.length === 0) break
    }
    assert.deepStrictEqual(claimed.toSorted(), ids.toSorted())
    for (const fiber of standings) fiber.interruptUnsafe()
  }).pipe(Effect.scoped))
