/** What housekeeping may not do: forget what lives, or wait for a caller's transaction. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import * as Harness from "./harness.ts"
import type { Side } from "./harness.ts"

const schema = Harness.schemaName("maintain")
const hour = 60 * 60 * 1000

/** A store whose clock is moved by hand, and a client that fails where it would wait for a lock. */
const sides = Harness.shared(
  schema,
  Effect.gen(function*() {
    const one = yield* Harness.open(schema, {}, { startupOptions: "-c lock_timeout=300ms" })
    const caller = yield* Harness.open(schema)
    const pass = yield* Effect.provide(Effect.orDie(Harness.frozen(schema)), one.context)
    return { one, caller, pass: (millis: number) => Effect.orDie(pass(millis)) }
  })
)

const forAnHour = { age: hour, count: Infinity }
const brief = { retention: { completed: forAnHour, cancelled: forAnHour, dead: forAnHour } }

const runOne = (one: Side, given: Parameters<typeof Harness.record>[0] = {}) =>
  Effect.andThen(Harness.enqueue(one, { ...brief, ...given }), Harness.claimOne(one)).pipe(
    Effect.tap((at) => Harness.settle(one, at))
  )

const live = ({ store }: Side) =>
  Effect.map(store.stats, ({ queues }) => {
    const { blocked, ready, running, scheduled } = queues[0]!.counts
    return { blocked, ready, running, scheduled }
  })

/** Until all of an hour's history has been emptied, at the instants at which the store looks. */
const anHourLater = (one: Side, pass: (millis: number) => Effect.Effect<void>) =>
  Effect.forEach(Array.from({ length: 6 }), () => Effect.andThen(pass(hour / 4), one.store.maintain))

describe("retention", () => {
  it.live("leaves the counts of live records as they are", () =>
    Effect.gen(function*() {
      const { one, pass } = yield* sides
      yield* Harness.empty(one)
      for (let i = 0; i < 5; i++) yield* runOne(one)
      yield* Harness.enqueue(one)
      yield* Harness.claimOne(one)
      yield* Harness.enqueue(one)
      yield* anHourLater(one, pass)
      // The one that ran is back: its worker's lease has ended.
      assert.deepStrictEqual(yield* live(one), { blocked: 0, ready: 2, running: 0, scheduled: 0 })
      yield* Harness.assertSound(one)
      const { records } = yield* one.store.query({ where: { states: ["completed"] }, order: "newest", limit: 10 })
      assert.strictEqual(records.length, 0)
    }))

  it.live("empties the oldest partition as a whole, and leaves no dead row behind", () =>
    Effect.gen(function*() {
      const { one, pass } = yield* sides
      yield* Harness.empty(one)
      for (let i = 0; i < 5; i++) yield* runOne(one)
      const taken = Effect.map(
        one.sql.unsafe<{ bytes: number }>(`
          SELECT sum(pg_relation_size(c.oid))::float8 AS bytes FROM pg_class c
          WHERE relnamespace = '${schema}'::regnamespace AND relkind = 'r' AND relname IN (
            SELECT 'history_' || n FROM generate_series(0, 5) n)`),
        ([row]) => row!.bytes
      )
      assert.isAbove(yield* taken, 0)
      yield* anHourLater(one, pass)
      assert.strictEqual(yield* taken, 0)
    }))

  it.live("forgets the keys of what it forgets, but for those that an open transaction is about to take", () =>
    Effect.gen(function*() {
      const { caller, one, pass } = yield* sides
      yield* Harness.empty(one)
      for (const key of ["held", "free"]) yield* runOne(one, { ...Harness.unique(key), idempotencyKey: key })
      const keys = Effect.map(
        one.sql.unsafe<{ key: string }>(`SELECT key FROM ${schema}.uniq UNION ALL SELECT key FROM ${schema}.idem`),
        (rows) => rows.map(({ key }) => key)
      )
      assert.deepStrictEqual((yield* keys).toSorted(), ["free", "free", "held", "held"])
      yield* pass(hour / 4)
      const held = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(caller.sql.withTransaction(
        Harness.enqueue(caller, { idempotencyKey: "held" }).pipe(
          Effect.andThen(Deferred.succeed(held, undefined)),
          Effect.andThen(Effect.never)
        )
      ))
      yield* Deferred.await(held)
      yield* anHourLater(one, pass)
      assert.deepStrictEqual(yield* keys, ["held"])
      yield* Fiber.interrupt(fiber)
    }))
})

describe("unique and idempotency keys", () => {
  const left = (one: Side) =>
    Effect.map(
      one.sql.unsafe<{ key: string }>(`SELECT key FROM ${schema}.uniq UNION ALL SELECT key FROM ${schema}.idem`),
      (rows) => rows.map(({ key }) => key)
    )

  it.live("go with the last of a holder and its successor, whichever that is", () =>
    Effect.gen(function*() {
      const { one, pass } = yield* sides
      yield* Harness.empty(one)
      const forADay = { age: 24 * hour, count: Infinity }
      const longer = { retention: { completed: forADay, cancelled: forADay, dead: forADay } }
      for (const [key, first, second] of [["a", brief, brief], ["b", brief, longer], ["c", longer, brief]] as const) {
        yield* Harness.enqueue(one, { ...first, ...Harness.unique(key) })
        const holder = yield* Harness.claimOne(one)
        yield* Harness.enqueue(one, { ...second, ...Harness.unique(key, "runAfter") })
        yield* Harness.settle(one, holder)
        yield* Harness.settle(one, yield* Harness.claimOne(one))
      }
      assert.deepStrictEqual((yield* left(one)).toSorted(), ["a", "b", "c"])
      yield* anHourLater(one, pass)
      assert.deepStrictEqual((yield* left(one)).toSorted(), ["b", "c"])
      for (let i = 0; i < 6; i++) yield* Effect.andThen(pass(6 * hour), one.store.maintain)
      assert.deepStrictEqual(yield* left(one), [])
    }))

  it.live("stay with a successor that lives, when its holder is forgotten", () =>
    Effect.gen(function*() {
      const { one, pass } = yield* sides
      yield* Harness.empty(one)
      yield* Harness.enqueue(one, { ...brief, ...Harness.unique("u") })
      const holder = yield* Harness.claimOne(one)
      const { id } = yield* Harness.enqueue(one, { ...brief, ...Harness.unique("u", "runAfter") })
      yield* Harness.settle(one, holder)
      yield* anHourLater(one, pass)
      assert.deepStrictEqual(yield* Harness.enqueue(one, Harness.unique("u")), { id, outcome: "Existing" })
    }))

  it.live("go with a record that is deleted", () =>
    Effect.gen(function*() {
      const { one } = yield* sides
      yield* Harness.empty(one)
      const { id } = yield* runOne(one, { ...Harness.unique("u"), idempotencyKey: "i" })
      const waiting = yield* Harness.enqueue(one, Harness.unique("v"))
      assert.deepStrictEqual(
        yield* Harness.control(one, { _tag: "Delete" }, id, waiting.id),
        ["Changed", "Changed"]
      )
      assert.deepStrictEqual(yield* left(one), [])
    }))

  it.live("are not taken by a batch that is refused", () =>
    Effect.gen(function*() {
      const { one } = yield* sides
      yield* Harness.empty(one)
      yield* Harness.enqueue(one, { ...Harness.unique("u"), flowId: "flow" })
      const answers = yield* one.store.enqueue({
        records: [
          Harness.record({ ...Harness.unique("v"), idempotencyKey: "i" }),
          Harness.record(Harness.unique("u", "replace"))
        ]
      })
      assert.deepStrictEqual(answers.map(({ outcome }) => outcome), ["Refused", "UniqueConflict"])
      assert.deepStrictEqual(yield* left(one), ["u"])
    }))
})

describe("claims of a call that was still under way", () => {
  const demand = [{ queue: "default", slots: 1, share: 1 }]
  const claimsIn = (caller: Side, use: Effect.Effect<unknown, unknown>) =>
    caller.sql.withTransaction(
      Effect.andThen(caller.sql.unsafe(exchangeAsWorker), use)
    )
  const exchangeAsWorker =
    `SELECT ${schema}.exchange('worker', 60000, '{}', '{}', '{}', '{}', '{}', NULL, '{default}', '{1}', '{1}', 1, '{-1000}', '{0}', '{0}',
      '{-1000}', '{0}', '{0}', '{}')`
  const renewal = { worker: "worker", queues: ["default"], handles: [], holding: [], reconcileOlderThan: 0 }

  /** A worker that is known, and whose lease an exchange need not prolong. */
  const known = Effect.gen(function*() {
    const { caller, one, pass } = yield* sides
    yield* Harness.empty(one)
    yield* Harness.exchange(one, { demand, total: 1 })
    yield* one.store.renew({ ...renewal, lease: 60_000 })
    const { id } = yield* Harness.enqueue(one)
    return { caller, one, pass, id }
  })

  it.live("when its worker left are given back, and charged to nobody", () =>
    Effect.gen(function*() {
      const { caller, id, one, pass } = yield* known
      yield* claimsIn(caller, Effect.asVoid(Harness.outside(one, one.store.renew({ ...renewal, lease: 0 }))))
      assert.strictEqual(yield* Harness.stateOf(one, id), "running")
      yield* pass(10_000)
      assert.strictEqual((yield* one.store.maintain).rescued, 1)
      const found = yield* one.store.get(id)
      assert.deepInclude(found, { state: "ready", attempt: 0, crashes: 0 })
      yield* Harness.assertSound(one)
    }))

  it.live("when its worker left are given back, also by a call of maintenance that began before they did", () =>
    Effect.gen(function*() {
      const { caller, id, one, pass } = yield* known
      yield* claimsIn(caller, Effect.asVoid(Harness.outside(one, one.store.renew({ ...renewal, lease: 0 }))))
      yield* one.sql.unsafe(`SELECT ${schema}.unclaim(3, (SELECT at FROM ${schema}.record) - 1)`)
      yield* pass(10_000)
      yield* one.store.maintain
      assert.deepInclude(yield* one.store.get(id), { state: "ready", attempt: 0, crashes: 0 })
      yield* Harness.assertSound(one)
    }))

  it.live("when its worker was taken for dead are rescued", () =>
    Effect.gen(function*() {
      const { caller, id, one, pass } = yield* known
      yield* claimsIn(
        caller,
        Effect.gen(function*() {
          yield* Harness.outside(one, one.store.renew({ ...renewal, lease: 1 }))
          yield* pass(2)
          yield* Harness.outside(one, one.store.maintain)
        })
      )
      yield* pass(10_000)
      yield* one.store.maintain
      assert.deepInclude(yield* one.store.get(id), { state: "ready", crashes: 1 })
      yield* Harness.assertSound(one)
    }))
})

describe("what many workers held that died together", () => {
  it.live("is rescued worker by worker, some thousand records in a call, and the next call is due at once", () =>
    Effect.gen(function*() {
      const { one, pass } = yield* sides
      yield* Harness.empty(one)
      for (const worker of ["a", "b", "c"]) {
        yield* one.store.enqueue({ records: Array.from({ length: 600 }, () => Harness.record()) })
        const demand = [{ queue: "default", slots: 600, share: 600 }]
        const { claimed } = yield* Harness.exchange(one, { worker, demand, total: 600 })
        assert.strictEqual(claimed.length, 600)
      }
      yield* pass(Harness.lease)
      assert.deepInclude(yield* one.store.maintain, { rescued: 1200, maintainIn: 0 })
      assert.strictEqual((yield* one.store.maintain).rescued, 600)
      assert.deepInclude(yield* live(one), { ready: 1800, running: 0 })
    }))
})

describe("a running record that a session has locked", () => {
  const { commit, enqueue, step } = {
    enqueue: (s: string) => `SELECT ${s}.holds_fence($1::uuid, $2::int, false)`,
    commit: (s: string) =>
      `SELECT ${s}.commit_one(json_build_object('id', $1::uuid, 'fence', $2::int, 'after', 0, 'outcome', 'Complete'))`,
    step: (s: string) =>
      `SELECT ${s}.write_entries(json_build_array(
        json_build_object('kind', 'Step', 'id', $1::uuid, 'fence', $2::int, 'name', 'n', 'value', '1')))`
  }
  const housekeeping = ({ schema, sql }: Side) => sql.unsafe(`UPDATE ${schema}.housekeeping SET next_at = 0`)

  it.live("is left when its worker is dead, and holds up no other: the next housekeeping rescues it", () =>
    Effect.gen(function*() {
      const { caller, one, pass } = yield* sides
      yield* Harness.empty(one)
      yield* one.store.enqueue({ records: [Harness.record(), Harness.record()] })
      const [held, free] = yield* Harness.claim(one, 2)
      yield* caller.sql.withTransaction(Effect.gen(function*() {
        yield* caller.sql.unsafe(enqueue(schema), [held!.id, held!.fence])
        yield* pass(Harness.lease)
        for (const rescued of [1, 0]) {
          yield* housekeeping(one)
          assert.strictEqual((yield* one.store.maintain).rescued, rescued)
        }
        assert.deepInclude(yield* one.store.get(held!.id), { state: "running", crashes: 0 })
        assert.deepInclude(yield* one.store.get(free!.id), { state: "ready", crashes: 1 })
      }))
      yield* pass(10_000)
      assert.strictEqual((yield* one.store.maintain).rescued, 1)
      assert.deepInclude(yield* one.store.get(held!.id), { state: "ready", crashes: 1 })
      yield* Harness.assertSound(one)
    }))

  it.live("is not charged for a death of which another one that its worker held is to blame (P10)", () =>
    Effect.gen(function*() {
      const { caller, one, pass } = yield* sides
      yield* Harness.empty(one)
      const { id } = yield* Harness.enqueue(one)
      yield* Harness.claimOne(one)
      yield* pass(Harness.lease)
      yield* one.store.maintain
      yield* Harness.enqueue(one)
      const [poison, held] = yield* Harness.claim(one, 2)
      assert.strictEqual(poison!.id, id)
      yield* caller.sql.withTransaction(Effect.gen(function*() {
        yield* caller.sql.unsafe(enqueue(schema), [held!.id, held!.fence])
        yield* pass(Harness.lease)
        assert.strictEqual((yield* one.store.maintain).rescued, 1)
      }))
      yield* pass(10_000)
      assert.strictEqual((yield* one.store.maintain).rescued, 1)
      assert.strictEqual((yield* one.store.get(id))?.crashes, 2)
      assert.deepInclude(yield* one.store.get(held!.id), { state: "ready", crashes: 0 })
    }))

  it.live("and of which nothing is heard any more is free again: the server ends its transaction", () =>
    Effect.scoped(Effect.gen(function*() {
      const s = Harness.schemaName("idle")
      const ends = (time: string) => `set_config('idle_in_transaction_session_timeout', '${time}', true)`
      yield* Effect.addFinalizer(() => Effect.promise(() => Harness.drop(s)))
      yield* Effect.provide(Harness.altered(s, [[ends("10s"), ends("100ms")]]), Harness.client())
      const side = yield* Harness.open(s)
      for (const statement of [enqueue, commit, step]) {
        const at = yield* Effect.andThen(Harness.enqueue(side), Harness.claimOne(side))
        const locked = yield* Deferred.make<void>()
        const silent = yield* Effect.forkChild(side.sql.withTransaction(
          side.sql.unsafe(statement(s), [at.id, at.fence]).pipe(
            Effect.andThen(Deferred.succeed(locked, undefined)),
            Effect.andThen(Effect.never)
          )
        ))
        yield* Effect.raceFirst(Deferred.await(locked), Effect.asVoid(Fiber.join(silent)))
        yield* side.sql.unsafe(`UPDATE ${s}.worker SET lease_until = 0`)
        yield* Harness.until(
          `a rescue of the record that is locked by ${statement(s)}`,
          Effect.andThen(
            housekeeping(side),
            Effect.map(side.store.maintain, ({ rescued }) => rescued === 1)
          )
        )
        yield* Fiber.interrupt(silent)
        yield* Harness.settle(side, yield* Harness.claimOne(side))
      }
    })))

  it.live("is locked for no longer than ten seconds of silence, or than a user has set; a user's transaction for as long", () =>
    Effect.gen(function*() {
      const { caller: { sql }, one } = yield* sides
      yield* Harness.empty(one)
      const { fence, id } = yield* Effect.andThen(Harness.enqueue(one), Harness.claimOne(one))
      const time = Effect.map(
        sql.unsafe<{ time: string }>("SELECT current_setting('idle_in_transaction_session_timeout') AS time"),
        ([row]) => row!.time
      )
      const after = (set: string, statement: string) =>
        sql.withTransaction(
          sql.unsafe(`SET LOCAL idle_in_transaction_session_timeout = '${set}'`).unprepared.pipe(
            Effect.andThen(sql.unsafe(statement, [id, fence])),
            Effect.andThen(time)
          )
        )
      assert.strictEqual(yield* after("0", enqueue(schema)), "10s")
      assert.strictEqual(yield* after("1min", enqueue(schema)), "10s")
      assert.strictEqual(yield* after("1d", enqueue(schema)), "10s")
      assert.strictEqual(yield* after("9s", enqueue(schema)), "9s")
      assert.strictEqual(yield* after("1500ms", enqueue(schema)), "1500ms")
      assert.strictEqual(yield* after("0", enqueue(schema).replace("false", "true")), "0")
      assert.strictEqual(yield* time, "0")
    }))
})

describe("keys", () => {
  const keys = ({ sql }: Side) =>
    Effect.map(
      sql.unsafe<{ name: string }>(`SELECT name FROM ${schema}.key ORDER BY name LIMIT 10`),
      (rows) => rows.map(({ name }) => name)
    )

  it.live("that nobody holds or waits for go, however many there are, and leave the others", () =>
    Effect.gen(function*() {
      const { one } = yield* sides
      yield* Harness.empty(one)
      yield* Harness.enqueue(one, Harness.keyed("held"))
      yield* Harness.claimOne(one)
      yield* Harness.enqueue(one, Harness.keyed("ready"))
      yield* one.sql.unsafe(`INSERT INTO ${schema}.key SELECT 'idle ' || n, 1, 0 FROM generate_series(1, 12000) n`)
      let calls = 0
      while ((yield* keys(one)).length > 2) {
        assert.isBelow(calls++, 5, "12,000 of them take three calls, and one that begins anew")
        assert.isBelow((yield* one.store.maintain).maintainIn!, 1000)
      }
      assert.deepStrictEqual(yield* keys(one), ["held", "ready"])
      yield* Harness.assertSound(one)
    }))

  it.live("with a free slot are found that a lost race left, wherever they stand", () =>
    Effect.gen(function*() {
      const { one } = yield* sides
      yield* Harness.empty(one)
      const at = yield* Effect.andThen(Harness.enqueue(one, Harness.keyed("z")), Harness.claimOne(one))
      const { id } = yield* Harness.enqueue(one, Harness.keyed("z"))
      yield* one.sql.unsafe(`INSERT INTO ${schema}.key SELECT 'busy ' || n, 1, 1 FROM generate_series(1, 6000) n`)
      yield* one.sql.unsafe(`UPDATE ${schema}.key SET lim = 2 WHERE name = 'z'`)
      for (let i = 0; i < 2; i++) {
        yield* one.sql.unsafe(`UPDATE ${schema}.housekeeping SET next_at = 0`)
        yield* one.store.maintain
      }
      assert.strictEqual(yield* Harness.stateOf(one, id), "ready")
      assert.strictEqual(yield* Harness.settle(one, at), "Done")
    }))
})
