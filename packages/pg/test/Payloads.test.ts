/** A payload that an answer leaves out comes by a statement of its own: what happens when that fails, or comes too late. */
import { assert, describe } from "@effect/vitest"
import { JobError, type JobStore } from "capstan"
import { Deferred, Effect } from "effect"
import { Client } from "../src/internal/client.ts"
import { make } from "../src/internal/store.ts"
import * as Harness from "./harness.ts"

const schema = Harness.schemaName("payloads")
/** One session, so that it can be asked what it keeps. */
const side = Harness.shared(schema, Harness.open(schema, { listen: false }, { maxConnections: 1 }))

const long = JSON.stringify("x".repeat(10_000))

const away = new JobError.JobStoreError({
  reason: new JobError.Unavailable({ operation: "exchange", detail: "away" })
})

/** A store on the same schema, where this happens before payloads are asked for. */
const storeWith = ({ sql }: Harness.Side, happens: Effect.Effect<unknown, JobError.JobStoreError>) => {
  const client = new Client(sql, `"${schema}"`, `capstan_${schema}`)
  const { call } = client
  const first = <A>(...given: Parameters<typeof call>) =>
    given[1].startsWith("SELECT id, payload") ? Effect.andThen(happens, call<A>(...given)) : call<A>(...given)
  return make(Object.assign(client, { call: first }), { identity: schema, maxCrashes: 3, listen: false })
}

const claims = (slots: number): JobStore.ExchangeRequest => ({
  worker: "worker",
  lease: Harness.lease,
  settlements: [],
  demand: [{ queue: "default", slots, share: slots }],
  total: slots
})

const fact = Harness.factsOf(side)

describe("a long payload", () => {
  fact("is asked for by itself, once for all of an answer", (one) =>
    Effect.gen(function*() {
      let asked = 0
      const store = yield* storeWith(one, Effect.sync(() => asked++))
      yield* Harness.enqueue(one)
      assert.deepStrictEqual((yield* store.exchange(claims(1))).claimed.map(({ payload }) => payload), ["null"])
      assert.strictEqual(asked, 0)
      yield* store.enqueue({ records: [long, "1", long].map((payload) => Harness.record({ payload })) })
      const { claimed } = yield* store.exchange(claims(3))
      assert.deepStrictEqual(claimed.map(({ payload }) => payload), [long, "1", long])
      assert.strictEqual(asked, 1)
    }))

  fact("is found by its record's id also by a session that began on an empty table", (one) =>
    Effect.gen(function*() {
      for (let i = 0; i < 8; i++) {
        yield* Harness.enqueue(one, { payload: long })
        yield* Harness.settle(one, yield* Harness.claimOne(one))
      }
      const kept = yield* one.sql.unsafe<{ statement: string }>(
        "SELECT statement FROM pg_prepared_statements WHERE statement LIKE 'SELECT id, payload FROM%'"
      )
      assert.deepStrictEqual(kept, [])
    }))

  fact(
    "of a record that is gone meanwhile is missed by nobody: it is not among the claimed",
    (one) =>
      Effect.gen(function*() {
        const store = yield* storeWith(
          one,
          Effect.orDie(one.sql.unsafe(`DELETE FROM ${schema}.record WHERE tag = 'Gone'`))
        )
        yield* Harness.enqueue(one, { payload: long, tag: "Gone" })
        const { id } = yield* Harness.enqueue(one, { payload: long })
        assert.deepStrictEqual((yield* store.exchange(claims(2))).claimed.map((one) => one.id), [id])
      })
  )

  fact(
    "that cannot be had is as an answer that is lost: its record comes back with the next renewal",
    (one) =>
      Effect.gen(function*() {
        let isAway = true
        const store = yield* storeWith(one, Effect.suspend(() => isAway ? Effect.fail(away) : Effect.void))
        const { id } = yield* Harness.enqueue(one, { payload: long })
        const error = yield* Effect.flip(store.exchange(claims(1)))
        assert.strictEqual(error.reason._tag, "OutcomeUnknown")
        assert.strictEqual((yield* one.store.get(id))?.state, "running")
        yield* store.renew({
          worker: "worker",
          lease: Harness.lease,
          queues: ["default"],
          handles: [],
          holding: [],
          reconcileOlderThan: 0
        })
        isAway = false
        const [claimed] = (yield* store.exchange(claims(1))).claimed
        assert.deepStrictEqual([claimed?.id, claimed?.payload], [id, long])
      })
  )

  fact(
    "that cannot be had is no matter of the enqueue that took a worker along: it is stored once",
    (one) =>
      Effect.gen(function*() {
        const store = yield* storeWith(one, Effect.fail(away))
        const heard = yield* Deferred.make<string>()
        yield* Effect.forkScoped(
          store.standBy!({
            queues: ["default"],
            take: () => claims(1),
            receive: ({ _tag }) => Deferred.doneUnsafe(heard, Effect.succeed(_tag))
          }),
          { startImmediately: true }
        )
        const record = Harness.record({ payload: long })
        assert.deepStrictEqual(yield* store.enqueue({ records: [record] }), [{ id: record.id, outcome: "Inserted" }])
        assert.strictEqual(yield* Deferred.await(heard), "Failure")
        assert.deepStrictEqual(
          yield* one.sql.unsafe(`SELECT payload, state FROM ${schema}.record`),
          [{ payload: long, state: 1 }]
        )
      })
  )
})
