/**
 * What another call does to a unique key while one has looked and not yet decided. Such a call stops in the middle of a statement
 * here, once its snapshot is taken: the schema is the true one but for that.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import * as Harness from "./harness.ts"
import { claimOne, enqueue, settle, stateOf, unique } from "./harness.ts"

const schema = Harness.schemaName("races")

/** Where a call stops, while a test says so. */
const places = { holds: 1, forgets: 2 }
const lock = (place: keyof typeof places) => `hashtextextended('${schema}', ${places[place]})`
const stop = (place: keyof typeof places) => `pg_advisory_xact_lock_shared(${lock(place)})`

const sides = Harness.shared(
  schema,
  Effect.andThen(
    Effect.provide(
      Effect.orDie(Harness.altered(schema, [
        [
          "THEN RETURN NULL; END IF;\n  SELECT * INTO r FROM ${s}.record WHERE id = u.id;",
          `THEN RETURN NULL; END IF;\n  PERFORM ${stop("holds")};\n  SELECT * INTO r FROM \${s}.record WHERE id = u.id;`
        ],
        [
          "FROM unnest(p_ids, p_tags, p_specs) AS f(id, tag, spec)",
          `FROM (SELECT ${stop("forgets")}) stop, unnest(p_ids, p_tags, p_specs) AS f(id, tag, spec)`
        ]
      ])),
      Harness.client()
    ),
    Effect.all({ one: Harness.open(schema), other: Harness.open(schema) })
  )
)

/** Starts a call, does something else once it has come to the place, and answers both. */
const meanwhile = <A, B>(
  { sql }: Harness.Side,
  place: keyof typeof places,
  call: Effect.Effect<A, unknown>,
  use: Effect.Effect<B, unknown>
) =>
  Effect.gen(function*() {
    const held = yield* Deferred.make<void>()
    const over = yield* Deferred.make<void>()
    const holder = yield* Effect.forkChild(sql.withTransaction(
      sql.unsafe(`SELECT pg_advisory_xact_lock(${lock(place)})`).pipe(
        Effect.andThen(Deferred.succeed(held, undefined)),
        Effect.andThen(Deferred.await(over))
      )
    ))
    yield* Effect.raceFirst(Deferred.await(held), Effect.asVoid(Fiber.join(holder)))
    const calling = yield* Effect.forkChild(call)
    yield* Harness.until(
      `a call that has stopped where it ${place}`,
      Effect.map(
        sql.unsafe(`SELECT FROM pg_stat_activity WHERE wait_event = 'advisory' AND query LIKE '%"${schema}".%'`),
        (rows) => rows.length > 0
      )
    )
    const used = yield* Effect.ensuring(use, Deferred.succeed(over, undefined))
    yield* Fiber.join(holder)
    return [yield* Fiber.join(calling), used] as const
  })

const none = { age: 0, count: Infinity }
const unkept = { retention: { completed: none, cancelled: none, dead: none } }

describe("a unique key", () => {
  for (const policy of ["runAfter", "replace"] as const) {
    it.live(`whose holder ends and whose successor is claimed while one enqueues it: no two run (${policy})`, () =>
      Effect.gen(function*() {
        const { one, other } = yield* sides
        yield* Harness.empty(one)
        yield* enqueue(one, unique("u"))
        const { fence, id } = yield* claimOne(one)
        const successor = yield* enqueue(one, unique("u", "runAfter"))
        const [last, { claimed }] = yield* meanwhile(
          other,
          "holds",
          enqueue(one, unique("u", policy)),
          Harness.exchange(other, {
            settlements: [{ id, fence, outcome: Harness.complete, finishedAfter: 0 }],
            demand: [{ queue: "default", slots: 1, share: 1 }],
            total: 1
          })
        )
        assert.deepStrictEqual(claimed.map(({ id }) => id), [successor.id])
        assert.strictEqual(last.outcome, "Inserted")
        assert.strictEqual(yield* stateOf(one, last.id), "blocked Unique")
        assert.strictEqual(yield* settle(one, claimed[0]!), "Done")
        assert.strictEqual(yield* stateOf(one, last.id), "ready")
        yield* Harness.assertSound(one)
      }))
  }

  it.live("stays with a successor that comes while its holder is forgotten", () =>
    Effect.gen(function*() {
      const { one, other } = yield* sides
      yield* Harness.empty(one)
      yield* enqueue(one, { ...unique("u"), ...unkept })
      const holder = yield* claimOne(one)
      const [settled, { id, outcome }] = yield* meanwhile(
        other,
        "forgets",
        settle(one, holder),
        enqueue(other, unique("u", "runAfter"))
      )
      assert.deepStrictEqual([settled, outcome], ["Done", "Inserted"])
      assert.deepStrictEqual(yield* enqueue(one, unique("u")), { id, outcome: "Existing" })
      yield* Harness.assertSound(one)
      assert.strictEqual(yield* stateOf(one, id), "ready")
    }))
})
