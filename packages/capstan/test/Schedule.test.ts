/**
 * Recurring enqueues: periods, instants that nobody served, and clocks that change.
 */
import { assert, describe, it } from "@effect/vitest"
import { Job, Jobs, JobSchedule, JobStore } from "capstan"
import { Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { settle } from "./harness.ts"

class Report extends Job.make("Report", { payload: Schema.Number, retention: { completed: "forever" } }) {}
const storeOnly = Layer.provideMerge(Jobs.layer, JobStore.layerMemory())

type When = JobSchedule.ScheduleOptions

/** A process of its own with the schedule; each record carries the instant that it was planned for. */
const start = (when: When) => Layer.build(Layer.fresh(JobSchedule.layer(Report, { ...when, payload: ({ at }) => at })))

/** The planned instants of all records, in the order of their enqueue. */
const planned = Effect.flatMap(
  Jobs.Jobs,
  (jobs) =>
    Effect.map(
      Effect.orDie(jobs.query({ order: "oldest", limit: 1000 })),
      ({ records }) => records.map(({ payload }) => Number(payload))
    )
)

const enqueuedAt = Effect.flatMap(
  Jobs.Jobs,
  (jobs) =>
    Effect.map(
      Effect.orDie(jobs.query({ order: "oldest", limit: 1000 })),
      ({ records }) => records.map(({ enqueuedAt }) => enqueuedAt)
    )
)

const pass = (hours: number) => Effect.forEach(Array.from({ length: hours }), () => TestClock.adjust("1 hour"))
const minutes = (...values: ReadonlyArray<number>) => values.map((value) => value * 60_000)
const utc = (...instants: ReadonlyArray<string>) => instants.map((instant) => Date.parse(instant))

describe("every", () => {
  it.effect("enqueues at the multiples of its period, wherever it starts, once for all processes", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("4 minutes")
      yield* start({ every: "10 minutes" })
      yield* TestClock.adjust("3 minutes")
      yield* start({ every: "10 minutes" })
      for (let i = 0; i < 30; i++) yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* planned, minutes(10, 20, 30))
      assert.deepStrictEqual(yield* enqueuedAt, minutes(10, 20, 30))
    }).pipe(Effect.scoped, Effect.provide(storeOnly)))

  it.effect("and cron exclude each other, and one of them is needed", () =>
    Effect.sync(() => {
      const schedule = (when: When) => () => JobSchedule.layer(Report, { ...when, payload: 1 })
      assert.throws(schedule({}), /give either cron or every/)
      assert.throws(schedule({ every: "1 minute", cron: "* * * * *" }), /give either cron or every/)
      assert.throws(schedule({ every: 0 }), /at least one millisecond/)
      assert.throws(schedule({ cron: "0 3 * * *", timeZone: "Mars/Olympus" }), /is no cron expression/)
    }))
})

describe("instants that nobody served", () => {
  for (const when of [{ every: "1 hour" }, { cron: "0 * * * *" }] as const) {
    it.effect(`are made up for by one record, of the latest of them: ${JSON.stringify(when)}`, () =>
      Effect.gen(function*() {
        yield* Effect.scoped(Effect.andThen(start(when), pass(2)))
        // Down from 2:00 to 5:30.
        yield* pass(3)
        yield* TestClock.adjust("30 minutes")
        assert.deepStrictEqual(yield* planned, minutes(60, 120))
        yield* start(when)
        yield* settle
        assert.deepStrictEqual(yield* planned, minutes(60, 120, 300))
        assert.deepStrictEqual(yield* enqueuedAt, minutes(60, 120, 330))
        yield* pass(2)
        assert.deepStrictEqual(yield* planned, minutes(60, 120, 300, 360, 420))
      }).pipe(Effect.scoped, Effect.provide(storeOnly)))
  }

  it.effect("are made up for once, also when two processes start together", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.andThen(start({ every: "1 hour" }), pass(1)))
      yield* pass(5)
      yield* start({ every: "1 hour" })
      yield* start({ every: "1 hour" })
      yield* settle
      assert.deepStrictEqual(yield* planned, minutes(60, 360))
    }).pipe(Effect.scoped, Effect.provide(storeOnly)))
})

describe("a time zone", () => {
  const days = (from: string, count: number, when: When) =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.parse(from))
      yield* start(when)
      yield* settle
      yield* pass(24 * count)
      return yield* planned
    }).pipe(Effect.scoped, Effect.provide(Layer.fresh(storeOnly)))

  it.effect("keeps the local hour when the clocks change", () =>
    Effect.gen(function*() {
      // 30 March and 26 October 2025.
      const when = { cron: "0 3 * * *", timeZone: "Europe/Berlin" }
      assert.deepStrictEqual(
        yield* days("2025-03-28T12:00:00Z", 3, when),
        utc("2025-03-29T02:00:00Z", "2025-03-30T01:00:00Z", "2025-03-31T01:00:00Z")
      )
      assert.deepStrictEqual(
        yield* days("2025-10-24T12:00:00Z", 3, when),
        utc("2025-10-25T01:00:00Z", "2025-10-26T02:00:00Z", "2025-10-27T02:00:00Z")
      )
    }))

  it.effect("has told before at which instants it would run", () =>
    Effect.gen(function*() {
      const when = { cron: "0 3 * * *", timeZone: "Europe/Berlin" }
      const told = (options: object) =>
        JobSchedule.instants(JobSchedule.make("told", Report, { ...when, ...options, payload: 0 }), {
          after: from,
          count: 3
        })
      const from = "2025-03-28T12:00:00Z"
      const ran = yield* days(from, 3, when)
      assert.deepStrictEqual(told({}), ran)
      assert.deepStrictEqual(told({ jitter: "1 hour", limit: 1, missed: "skip" }), ran)
      assert.deepStrictEqual(told({ end: "2025-03-30T01:00:00Z" }), ran.slice(0, 2))
      assert.deepStrictEqual(told({ start: "2025-03-30T01:00:00Z" }).slice(0, 2), ran.slice(1))
      const hourly = JobSchedule.make("hourly", Report, { every: "1 hour", payload: 0 })
      assert.deepStrictEqual(
        JobSchedule.instants(hourly, { after: "2025-01-01T00:00:00Z", count: 2 }),
        utc("2025-01-01T01:00:00Z", "2025-01-01T02:00:00Z")
      )
      assert.throws(() => JobSchedule.instants(hourly, { after: from, count: Infinity }), "count: must be an integer")
    }))

  it.effect("runs an hour that the change leaves out once, right after it", () =>
    Effect.gen(function*() {
      const when = { cron: "30 2 * * *", timeZone: "America/New_York" }
      assert.deepStrictEqual(
        yield* days("2025-03-08T12:00:00Z", 2, when),
        utc("2025-03-09T07:30:00Z", "2025-03-10T06:30:00Z")
      )
    }))

  it.effect("runs an hour that the change repeats once, and every hour of such a night", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* days("2025-11-01T12:00:00Z", 2, { cron: "30 1 * * *", timeZone: "America/New_York" }),
        utc("2025-11-02T05:30:00Z", "2025-11-03T06:30:00Z")
      )
      const hourly = yield* days("2025-11-02T03:30:00Z", 1, { cron: "0 * * * *", timeZone: "America/New_York" })
      assert.deepStrictEqual(
        hourly.slice(0, 5),
        utc(
          "2025-11-02T04:00:00Z",
          "2025-11-02T05:00:00Z",
          "2025-11-02T06:00:00Z",
          "2025-11-02T07:00:00Z",
          "2025-11-02T08:00:00Z"
        )
      )
    }))
})
