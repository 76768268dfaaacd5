/** From where claims begin: past what they have read, and back for what committed late. */
import { assert, describe, it } from "@effect/vitest"
import type { JobRecord } from "capstan"
import { Clock, Deferred, Effect, Fiber, Stream } from "effect"
import type { ClaimedLine } from "../src/internal/codec.ts"
import { type Mark, Marks } from "../src/internal/marks.ts"
import * as Harness from "./harness.ts"
import type { Side } from "./harness.ts"

const line = (place: number, priority = 0): ClaimedLine => ({ ...Harness.anyLine(), place, priority })

const front: Mark = [-1000, 0, 0]
const at = (marks: Marks, now: number) => {
  const { isFromFront, marks: [mark], trails: [trail] } = marks.from(["q"], now)
  return [isFromFront, mark, trail]
}

describe("marks", () => {
  it("go on after the last claim, and back to where they were two to four seconds ago once a second", () => {
    const marks = new Marks()
    assert.deepStrictEqual(at(marks, 10_000), [true, front, front])
    marks.advance("q", [line(2), line(1)])
    assert.deepStrictEqual(at(marks, 10_100), [false, [0, 0, 2], front])
    assert.deepStrictEqual(at(marks, 11_100), [false, front, front])
    assert.deepStrictEqual(at(marks, 12_000), [false, [0, 0, 2], front])
    marks.advance("q", [line(9)])
    assert.deepStrictEqual(at(marks, 14_000), [false, [0, 0, 2], [0, 0, 2]])
    assert.deepStrictEqual(at(marks, 14_100), [false, [0, 0, 9], [0, 0, 2]])
    assert.deepStrictEqual(at(marks, 16_000), [false, [0, 0, 9], [0, 0, 9]])
  })

  it("do not go back with a record that was found behind them", () => {
    const marks = new Marks()
    at(marks, 10_000)
    marks.ended(0, 10_000)
    marks.advance("q", [line(9)])
    marks.advance("q", [line(3)])
    marks.advance("q", [line(12, -5)])
    assert.deepStrictEqual(at(marks, 10_100), [false, [0, 0, 9], front])
  })

  it("begin at the front every ten seconds and when a transaction has enqueued, but not again before a long one has paid off", () => {
    const marks = new Marks()
    at(marks, 10_000)
    marks.ended(0, 10_000)
    marks.advance("q", [line(9)])
    for (const now of [12_000, 14_000, 16_000]) assert.isFalse(at(marks, now)[0])
    marks.late()
    assert.deepStrictEqual(at(marks, 16_100), [true, front, front])
    assert.isFalse(at(marks, 90_000)[0], "while one is under way")
    marks.ended(50, 16_150)
    assert.isFalse(at(marks, 16_200)[0])
    marks.late()
    assert.isFalse(at(marks, 21_000)[0])
    assert.isTrue(at(marks, 21_150)[0])
    marks.ended(0, 21_150)
    assert.isFalse(at(marks, 31_100)[0])
    assert.isTrue(at(marks, 31_150)[0])
  })
})

const schema = Harness.schemaName("marks")
const side = Harness.shared(schema, Harness.open(schema, { listen: false }))

/** An exchange of a process whose clock says so. */
const claimAt = (one: Side, now: number) =>
  Clock.clockWith((clock) =>
    Effect.map(
      Effect.provideService(
        Harness.claim(one),
        Clock.Clock,
        Object.assign(Object.create(clock), { monotonicTimeNanosUnsafe: () => BigInt(now) * 1_000_000n })
      ),
      (claimed) => claimed.map(({ id }) => id)
    )
  )

/** A record of an open transaction, and one that was enqueued after it and has been claimed long since. */
const passed = (one: Side, other: Side) =>
  Effect.gen(function*() {
    assert.deepStrictEqual(yield* claimAt(one, 90_000), [])
    const isStored = yield* Deferred.make<JobRecord.JobId>()
    const mayCommit = yield* Deferred.make<void>()
    const transaction = yield* Effect.forkScoped(other.sql.withTransaction(Effect.gen(function*() {
      yield* Deferred.succeed(isStored, (yield* Harness.enqueue(other)).id)
      yield* Deferred.await(mayCommit)
    })))
    const late = yield* Deferred.await(isStored)
    const { id } = yield* Harness.enqueue(other)
    assert.deepStrictEqual(yield* claimAt(one, 100_000), [id])
    for (const now of [102_000, 104_000, 106_000]) assert.deepStrictEqual(yield* claimAt(one, now), [])
    yield* Deferred.succeed(mayCommit, undefined)
    yield* Fiber.join(transaction)
    return late
  })

describe("a record whose transaction commits when later ones have long been claimed", () => {
  // Where only some of those that sleep are called, everybody has to hear of it all the same.
  it.live.each([0, 12])(
    "is claimed as soon as its commit is heard of, by one that was not called: %d sleep",
    (sleepers) =>
      Effect.gen(function*() {
        const other = yield* side
        yield* Harness.empty(other)
        for (let i = 0; i < sleepers; i++) {
          const demand = [{ queue: "default", slots: 1, share: 1 }]
          yield* Harness.exchange(other, { worker: `sleeper ${i}`, demand, total: 1 })
        }
        const one = yield* Harness.open(schema)
        const isListening = yield* Deferred.make<void>()
        yield* Effect.forkScoped(
          Stream.runForEach(one.store.wakeups("worker", ["default"]), () => Deferred.succeed(isListening, undefined))
        )
        yield* Deferred.await(isListening)
        const late = yield* passed(one, other)
        yield* Harness.until(
          "the late record",
          Effect.map(claimAt(one, 106_100), (ids) => ids.includes(late))
        )
      }).pipe(Effect.scoped)
  )

  it.live("is claimed within ten seconds by who heard nothing, and not at once", () =>
    Effect.gen(function*() {
      const other = yield* side
      yield* Harness.empty(other)
      const one = yield* Harness.open(schema, { listen: false })
      const late = yield* passed(one, other)
      assert.deepStrictEqual(yield* claimAt(one, 106_100), [])
      assert.deepStrictEqual(yield* claimAt(one, 110_000), [late])
    }).pipe(Effect.scoped))
})

describe("a record that falls due with a better priority than what was claimed last", () => {
  it.live("is claimed by the exchange that finds it due", () =>
    Effect.gen(function*() {
      const one = yield* side
      yield* Harness.empty(one)
      yield* claimAt(one, 90_000)
      const { id } = yield* Harness.enqueue(one)
      assert.deepStrictEqual(yield* claimAt(one, 100_000), [id])
      for (const now of [102_000, 104_000, 106_000]) assert.deepStrictEqual(yield* claimAt(one, now), [])
      const urgent = yield* Harness.enqueue(one, { priority: 7, delay: 1 })
      yield* Harness.until(
        "the record is due",
        Effect.map(
          one.sql.unsafe(`SELECT FROM ${schema}.record WHERE due <= ${schema}.clock()`),
          ({ length }) => length > 0
        )
      )
      assert.deepStrictEqual(yield* claimAt(one, 106_100), [urgent.id])
    }))
})
