/** What a schedule does when nobody ticked, when the run before goes on, and where it begins and ends. */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobContext, JobError, JobGroup, Jobs, JobSchedule, JobSchedules, JobStore } from "capstan"
import { Clock, Effect, Layer, Logger, Option, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { settle, withWorker } from "./harness.ts"

class Report extends Job.make("Report", { payload: Schema.Number, retention: { completed: "forever" } }) {}
const storeOnly = Layer.provideMerge(Layer.mergeAll(Jobs.layer, JobSchedules.layer), JobStore.layerMemory())

const minute = 60_000
const minutes = (...values: ReadonlyArray<number>) => values.map((value) => value * minute)

/** A process of its own with the schedule; each record carries the instant that it was planned for. */
const start = (options: JobSchedule.ScheduleOptions) =>
  Effect.andThen(
    Layer.build(Layer.fresh(JobSchedule.layer(Report, { ...options, payload: ({ at }) => at }))),
    settle
  )

const records = Effect.flatMap(
  JobStore.JobStore,
  (store) => Effect.map(store.query({ where: {}, order: "oldest", limit: 1000 }), ({ records }) => records)
)
const planned = Effect.map(records, (all) => all.map(({ payload }) => Number(payload)))

const pass = (count: number, by = minute) => Effect.forEach(Array.from({ length: count }), () => TestClock.adjust(by))

const schedule = Effect.flatMap(JobSchedules.JobSchedules, ({ get }) => Effect.map(get("Report"), Option.getOrThrow))

describe("every worker down over three instants", () => {
  // Each on time until 2, down at 3, 4 and 5, back half a minute after 5, then 6 and 7.
  const outage = (options: JobSchedule.ScheduleOptions) =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.andThen(start(options), pass(20)))
      yield* pass(30)
      yield* TestClock.adjust(30_000)
      yield* Effect.scoped(Effect.andThen(start(options), pass(20)))
      return (yield* planned).map((at) => at / 10 / minute)
    }).pipe(Effect.provide(Layer.fresh(storeOnly)))
  const every = "10 minutes"
  const cron = "*/10 * * * *"

  for (const when of [{ every }, { cron }] as const) {
    const name = Object.keys(when)[0]!
    it.effect(`runAll, ${name}: each of them ticks, in order`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* outage({ ...when, missed: "runAll" }), [1, 2, 3, 4, 5, 6, 7])
      }))
    it.effect(`runOnce, ${name}: the latest ticks for all of them`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* outage({ ...when, missed: "runOnce" }), [1, 2, 5, 6, 7])
      }))
    it.effect(`the default, ${name}, is runOnce`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* outage(when), [1, 2, 5, 6, 7])
      }))
    it.effect(`skip, ${name}: none ticks, but for one that is less than a minute late`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* outage({ ...when, missed: "skip" }), [1, 2, 5, 6, 7])
      }))
  }

  it.effect("skip: what is later than a minute is left out", () =>
    Effect.gen(function*() {
      const options = { every, missed: "skip" } as const
      yield* Effect.scoped(Effect.andThen(start(options), pass(20)))
      yield* pass(32)
      yield* start(options)
      yield* pass(18)
      assert.deepStrictEqual(yield* planned, minutes(10, 20, 60, 70))
    }).pipe(Effect.scoped, Effect.provide(storeOnly)))

  it.effect("runAll: more than one write takes are all made up for, none twice", () =>
    Effect.gen(function*() {
      const options = { every: "1 minute", missed: "runAll" } as const
      yield* Effect.scoped(start(options))
      yield* TestClock.adjust("450 minutes")
      // Two processes start together.
      yield* start(options)
      yield* start(options)
      assert.deepStrictEqual(yield* planned, minutes(...Array.from({ length: 450 }, (_, i) => i + 1)))
      assert.isTrue((yield* records).every(({ enqueuedAt }) => enqueuedAt === 450 * minute))
    }).pipe(Effect.scoped, Effect.provide(storeOnly)))

  it.effect("runAll: large payloads go in more writes, and are all made up for", () => {
    class Large extends Job.make("Large", { payload: Schema.String }) {}
    const writes: Array<number> = []
    return Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      const counting = JobStore.JobStore.of({
        ...store,
        tick: (request) => Effect.tap(store.tick(request), () => Effect.sync(() => writes.push(request.ticks.length)))
      })
      const payload = "x".repeat(249_990)
      const layer = JobSchedule.layer(Large, { every: "1 minute", missed: "runAll", payload })
      const run = Effect.andThen(Layer.build(Layer.fresh(layer)), settle).pipe(
        Effect.provideService(JobStore.JobStore, counting)
      )
      yield* Effect.scoped(run)
      yield* TestClock.adjust("10 minutes")
      yield* run
      const all = yield* records
      assert.deepStrictEqual(all.map(({ headers }) => Number(headers["capstan-tick"]) / minute), [
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        10
      ])
      // Four of them are a million characters.
      assert.deepStrictEqual(writes, [4, 4, 2])
    }).pipe(Effect.scoped, Effect.provide(storeOnly))
  })

  it.effect("runAll with overlap skip: the first of them runs, and what it overlaps is skipped", () =>
    Effect.gen(function*() {
      const options = { every: "1 minute", missed: "runAll", overlap: "skip" } as const
      yield* Effect.scoped(start(options))
      yield* TestClock.adjust("5 minutes")
      yield* start(options)
      assert.deepStrictEqual(yield* planned, minutes(1))
      const last = Option.getOrThrow((yield* schedule).last)
      assert.deepStrictEqual([last.at, last.outcome], [5 * minute, "Skipped"])
    }).pipe(Effect.scoped, Effect.provide(storeOnly)))
})

describe("a store that does not answer", () => {
  const { JobStoreError, OutcomeUnknown, Unavailable } = JobError
  const detail = { operation: "tick", detail: "simulated" }

  it.effect("while it is away nothing ticks; when it is back, what was missed is made up for", () =>
    Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      let isAway = false
      const away = <A>(call: Effect.Effect<A, JobError.JobStoreError>) =>
        Effect.suspend((): Effect.Effect<A, JobError.JobStoreError> =>
          isAway ? Effect.fail(new JobStoreError({ reason: new Unavailable(detail) })) : call
        )
      yield* Effect.provideService(
        start({ every: "10 minutes" }),
        JobStore.JobStore,
        {
          ...store,
          schedules: (request) => away(store.schedules(request)),
          tick: (request) => away(store.tick(request))
        }
      )
      yield* pass(15)
      isAway = true
      yield* pass(40)
      isAway = false
      yield* pass(15)
      assert.deepStrictEqual(yield* planned, minutes(10, 50, 60, 70))
    }).pipe(Effect.scoped, Effect.provide(storeOnly), Effect.provide(Logger.layer([]))))

  it.effect("a tick whose reply was lost is not made again", () =>
    Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      let lost = 0
      yield* Effect.provideService(start({ every: "10 minutes", missed: "runAll" }), JobStore.JobStore, {
        ...store,
        tick: (request) =>
          Effect.flatMap(store.tick(request), (reply) =>
            lost++ % 2 === 0
              ? Effect.fail(new JobStoreError({ reason: new OutcomeUnknown(detail) }))
              : Effect.succeed(reply))
      })
      yield* pass(60)
      assert.deepStrictEqual(yield* planned, minutes(10, 20, 30, 40, 50, 60))
    }).pipe(Effect.scoped, Effect.provide(storeOnly), Effect.provide(Logger.layer([]))))
})

describe("a clock that steps", () => {
  /** The store's clock: that of the test, and as far off as asked. */
  const withClock = <A, E>(body: (set: (millis: number) => void) => Effect.Effect<A, E, JobStore.JobStore>) =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      let offset = 0
      const millis = () => clock.currentTimeMillisUnsafe() + offset
      const store = Layer.fresh(JobStore.layerMemory()).pipe(Layer.provide(Layer.succeed(Clock.Clock, {
        ...clock,
        currentTimeMillisUnsafe: millis,
        currentTimeMillis: Effect.sync(millis)
      })))
      return yield* Effect.provide(body((by) => offset = by), store)
    })

  for (const missed of ["skip", "runOnce", "runAll"] as const) {
    it.effect(`backwards: no instant ticks twice, and it goes on when the clock is there again (${missed})`, () =>
      withClock((set) =>
        Effect.gen(function*() {
          yield* start({ every: "10 minutes", missed })
          yield* pass(25)
          set(-15 * minute)
          // Whoever starts now finds a clock at which the last instant is to come.
          yield* start({ every: "10 minutes", missed })
          yield* pass(30)
          assert.deepStrictEqual(yield* planned, minutes(10, 20, 30, 40))
        }).pipe(Effect.scoped)
      ))
  }
  it.effect("backwards, while the definition changes: the new one begins after the last tick", () =>
    withClock((set) =>
      Effect.gen(function*() {
        yield* Effect.scoped(Effect.andThen(start({ every: "10 minutes" }), pass(25)))
        set(-15 * minute)
        yield* start({ every: "5 minutes" })
        yield* pass(20)
        assert.deepStrictEqual(yield* planned, minutes(10, 20, 25, 30))
      }).pipe(Effect.scoped)
    ))
  it.effect("forwards: what lies between was missed", () =>
    withClock((set) =>
      Effect.gen(function*() {
        yield* start({ every: "10 minutes", missed: "runAll" })
        yield* pass(12)
        set(30 * minute)
        yield* pass(8)
        assert.deepStrictEqual(yield* planned, minutes(10, 20, 30, 40, 50))
      }).pipe(Effect.scoped)
    ))
})

describe("changing it while it runs", () => {
  it.effect("every: the instants of the new period from now on, none twice, none of the old", () =>
    Effect.gen(function*() {
      yield* start({ every: "10 minutes" })
      yield* pass(23)
      yield* start({ every: "4 minutes" })
      yield* pass(9)
      assert.deepStrictEqual(yield* planned, minutes(10, 20, 24, 28, 32))
    }).pipe(Effect.scoped, Effect.provide(storeOnly)))

  it.effect("a policy alone leaves the next instant as it was, also one that is due", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.andThen(start({ every: "10 minutes" }), pass(10)))
      yield* pass(25)
      yield* start({ every: "10 minutes", missed: "runAll" })
      assert.deepStrictEqual(yield* planned, minutes(10, 20, 30))
    }).pipe(Effect.scoped, Effect.provide(storeOnly)))
})

describe("start, end and limit", () => {
  it.effect("bound the instants; a period counts from the start", () =>
    Effect.gen(function*() {
      yield* start({ every: "10 minutes", start: 13 * minute, end: 33 * minute })
      yield* pass(60)
      assert.deepStrictEqual(yield* planned, minutes(13, 23, 33))
      assert.strictEqual((yield* schedule).status, "ended")
    }).pipe(Effect.scoped, Effect.provide(storeOnly)))

  it.effect("bound those of cron, of which the start may be one", () =>
    Effect.gen(function*() {
      yield* start({ cron: "*/10 * * * *", start: 20 * minute, end: 45 * minute })
      yield* pass(60)
      assert.deepStrictEqual(yield* planned, minutes(20, 30, 40))
    }).pipe(Effect.scoped, Effect.provide(storeOnly)))

  it.effect("the limit counts over restarts, and a higher one goes on", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.andThen(start({ every: "10 minutes", limit: 3 }), pass(20)))
      yield* Effect.scoped(Effect.andThen(start({ every: "10 minutes", limit: 3 }), pass(30)))
      assert.deepStrictEqual(yield* planned, minutes(10, 20, 30))
      assert.strictEqual((yield* schedule).status, "ended")
      yield* start({ every: "10 minutes", limit: 4 })
      yield* pass(30)
      assert.deepStrictEqual(yield* planned, minutes(10, 20, 30, 60))
    }).pipe(Effect.scoped, Effect.provide(storeOnly)))

  it.effect("an instant that was the last is made up for after the end", () =>
    Effect.gen(function*() {
      const options = { every: "10 minutes", end: 20 * minute } as const
      yield* Effect.scoped(Effect.andThen(start(options), pass(10)))
      yield* pass(15)
      yield* start(options)
      assert.deepStrictEqual(yield* planned, minutes(10, 20))
    }).pipe(Effect.scoped, Effect.provide(storeOnly)))
})

describe("jitter", () => {
  const options = { every: "10 minutes", jitter: "5 minutes" } as const

  it.effect("delays each instant by its own time, the same in every process", () => {
    const run = Effect.gen(function*() {
      yield* Effect.scoped(Effect.andThen(start(options), pass(55 * 60, 1000)))
      yield* Effect.scoped(Effect.andThen(start(options), pass(55 * 60, 1000)))
      return (yield* records).map(({ enqueuedAt, payload }) => enqueuedAt - Number(payload))
    }).pipe(Effect.provide(Layer.fresh(storeOnly)))
    return Effect.gen(function*() {
      const delays = yield* run
      assert.strictEqual(delays.length, 10)
      assert.isTrue(delays.every((delay) => delay >= 0 && delay <= 5 * minute))
      assert.isAbove(new Set(delays).size, 8)
      yield* TestClock.setTime(0)
      assert.deepStrictEqual(yield* run, delays)
    })
  })

  it.effect("is not lateness, and both are readable", () =>
    Effect.gen(function*() {
      yield* start(options)
      const next = Option.getOrThrow((yield* schedule).next)
      assert.strictEqual(next.at, 10 * minute)
      assert.isAbove(next.dueAt, next.at)
      yield* TestClock.adjust(next.dueAt)
      const { last } = yield* schedule
      const { at, lateness, tickedAt } = Option.getOrThrow(last)
      assert.deepStrictEqual([at, tickedAt, lateness], [next.at, next.dueAt, 0])
    }).pipe(Effect.scoped, Effect.provide(storeOnly)))
})

describe("overlap", () => {
  /** When runs of three quarters of a period began and ended, and which were interrupted, by planned minute. */
  const runs = (overlap: JobSchedule.ScheduleOptions["overlap"], takes: number) => {
    const events: Array<string> = []
    const handlers = Report.toLayer((at) =>
      Effect.gen(function*() {
        events.push(`+${at / minute}`)
        yield* Effect.sleep(takes)
        events.push(`-${at / minute}`)
      }).pipe(Effect.onInterrupt(() => Effect.sync(() => events.push(`x${at / minute}`))))
    )
    return Effect.gen(function*() {
      yield* start({ every: "10 minutes", overlap, end: 30 * minute })
      yield* pass(90)
      return events.join(" ")
    }).pipe(Effect.scoped, Effect.provide(Layer.fresh(withWorker(JobGroup.make(Report), handlers))))
  }

  it.effect("allow: they run side by side", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* runs("allow", 15 * minute), "+10 +20 -10 +30 -20 -30")
    }))
  it.effect("the default is allow", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* runs(undefined, 15 * minute), "+10 +20 -10 +30 -20 -30")
    }))
  it.effect("skip: a tick in the midst of a run does nothing", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* runs("skip", 15 * minute), "+10 -10 +30 -30")
    }))
  it.effect("queue: one after the other, all of them", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* runs("queue", 15 * minute), "+10 -10 +20 -20 +30 -30")
    }))
  it.effect("cancelPrevious: the run before is interrupted", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* runs("cancelPrevious", 15 * minute), "+10 x10 +20 x20 +30 -30")
    }))
})

describe("overlap, while the run before is between a failed attempt and its retry", () => {
  class Flaky extends Job.make("Flaky", {
    payload: Schema.Number,
    retryDefects: Schedule.spaced("15 minutes")
  }) {}

  /** When attempts began, by planned minute and attempt; the first of a run fails at once. */
  const runs = (overlap: JobSchedule.ScheduleOptions["overlap"]) => {
    const events: Array<string> = []
    const handlers = Flaky.toLayer((at) =>
      Effect.gen(function*() {
        const { attempt } = yield* JobContext.JobContext
        const now = yield* Clock.currentTimeMillis
        events.push(`${at / minute}.${attempt} at ${now / minute}`)
        if (attempt === 1) return yield* Effect.die("not yet")
      })
    )
    return Effect.gen(function*() {
      const every = JobSchedule.layer(Flaky, {
        every: "10 minutes",
        overlap,
        end: 30 * minute,
        payload: ({ at }) => at
      })
      yield* Layer.build(Layer.fresh(every))
      yield* settle
      yield* pass(120)
      return events
    }).pipe(Effect.scoped, Effect.provide(Layer.fresh(withWorker(JobGroup.make(Flaky), handlers))))
  }

  it.effect("queue: the next waits until that has ended", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* runs("queue"), [
        "10.1 at 10",
        "10.2 at 25",
        "20.1 at 25",
        "20.2 at 40",
        "30.1 at 40",
        "30.2 at 55"
      ])
    }))
  it.effect("skip: the tick does nothing", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* runs("skip"), ["10.1 at 10", "10.2 at 25", "30.1 at 30", "30.2 at 45"])
    }))
  it.effect("cancelPrevious: that is cancelled", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* runs("cancelPrevious"), ["10.1 at 10", "20.1 at 20", "30.1 at 30", "30.2 at 45"])
    }))
})

describe("queue, when several instants are made up for in one write", () => {
  it.effect("each waits for the one before, however that ends", () => {
    const events: Array<string> = []
    const handlers = Report.toLayer((at) =>
      Effect.gen(function*() {
        events.push(`+${at / minute}`)
        yield* Effect.sleep(5 * minute)
        events.push(`-${at / minute}`)
      })
    )
    return Effect.gen(function*() {
      const options = { every: "10 minutes", overlap: "queue", missed: "runAll", end: 40 * minute } as const
      yield* Effect.scoped(start(options))
      yield* TestClock.adjust(35 * minute)
      yield* start(options)
      yield* pass(1)
      const [, second] = yield* records
      yield* Effect.flatMap(Jobs.Jobs, ({ cancel }) => cancel(second!.id, { reason: "not this one" }))
      yield* pass(60)
      assert.deepStrictEqual(events, ["+10", "-10", "+30", "-30", "+40", "-40"])
    }).pipe(
      Effect.scoped,
      Effect.provide(Layer.fresh(Layer.provideMerge(Jobs.layer, withWorker(JobGroup.make(Report), handlers))))
    )
  })
})

describe("the records of a schedule", () => {
  class Plain extends Job.make("Plain") {}

  it.effect("are found by its name, carry their instant, and belong to no attempt or trace", () =>
    Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      const plain = JobSchedule.make("plain", Plain, { every: "1 minute", priority: "high", tags: ["mine"] })
      yield* Layer.build(JobSchedule.layerAll(plain)).pipe(Effect.withSpan("outer"))
      yield* settle
      yield* pass(1)
      const { records: [record] } = yield* store.query({
        where: { label: "schedule:plain" },
        order: "oldest",
        limit: 9
      })
      assert.deepStrictEqual(
        [record?.headers, record?.tags, record?.priority, record?.payload, record?.parent],
        [{ "capstan-schedule": "plain", "capstan-tick": "60000" }, ["schedule:plain", "mine"], 10, "null", undefined]
      )
    }).pipe(Effect.scoped, Effect.provide(storeOnly)))
})

describe("what cannot be meant throws where it is declared", () => {
  class Keyed extends Job.make("Keyed", { concurrency: { key: () => "k", limit: 1 } }) {}
  const wrong = (options: JobSchedule.ScheduleOptions, message: RegExp, name = "s", job: Job.Any = Report) =>
    it(`${message}`, () => {
      assert.throws(() => JobSchedule.make(name, job, { ...options, payload: 1 }), message)
    })

  wrong({ every: "1 minute" }, /schedule 1st: the name must start with a letter/, "1st")
  wrong({ every: "1 minute", timeZone: "UTC" }, /schedule s: timeZone and onDstOverlap are for cron/)
  wrong({ every: "1 minute", jitter: "2 minutes" }, /jitter must be from 0 to the period, it is 120000 ms/)
  wrong({ cron: "* * * * *", jitter: "2 days" }, /jitter must be from 0 to a day/)
  wrong({ every: "1 minute", start: "no date" }, /start is no valid instant: no date/)
  wrong({ every: "1 minute", start: 5, end: 4 }, /end is before start/)
  wrong({ every: "1 minute", limit: 0 }, /limit must be a whole number from 1, it is 0/)
  wrong({ every: "1 minute", overlap: "queue" }, /job Keyed declares one of its own: leave one of them out/, "s", Keyed)
  it("the same name twice", () => {
    const one = JobSchedule.make("one", Report, { every: "1 minute", payload: 1 })
    assert.throws(() => JobSchedule.layerAll(one, one), /schedule one: the name is given twice/)
  })
})
