/**
 * Retry as a replay: the same delays in every process, what happens beyond the failures that travel, and what is stored of
 * an error.
 */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, Jobs, JobStore } from "capstan"
import { Clock, Duration, Effect, Layer, Logger, Pull, Random, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { recordOf, settle, withOnly, withWorker } from "./harness.ts"

class Busy extends Schema.TaggedError<Busy>()("Busy", { text: Schema.String }) {}
const busy = Effect.fail(new Busy({ text: "" }))
const storeOnly = Layer.provideMerge(Jobs.layer, JobStore.layerMemory())

const now = Clock.currentTimeMillis
const gaps = (at: ReadonlyArray<number>): ReadonlyArray<number> => at.slice(1).map((instant, i) => instant - at[i]!)

/** The delays that the schedule gives when it is gone through once, with the seed of the record. */
const replayed = (schedule: Schedule.Schedule<unknown>, seed: string, failures: number) =>
  Effect.gen(function*() {
    const step = yield* Schedule.toStep(schedule)
    const delays: Array<number> = []
    let at = 0
    for (let i = 0; i < failures; i++) {
      const [, delay] = yield* Pull.catchDone(step(at, busy), () => Effect.die("the schedule has ended"))
      delays.push(Math.ceil(Duration.toMillis(delay)))
      at += delays[i]!
    }
    return delays
  }).pipe(Random.withSeed(seed))

describe("a jittered schedule", () => {
  const retry = Schedule.jittered(Schedule.exponential("10 seconds"))

  it.effect("gives the delays of one replay that is seeded by the record's id, across two workers", () => {
    class Task extends Job.make("Jittered", { error: Busy, retry, maxAttempts: 7 }) {}
    const at: Array<number> = []
    const workers = new Set<string>()
    const worker = withOnly(
      JobGroup.make(Task),
      Task.toLayer(() => Effect.andThen(Effect.map(now, (instant) => at.push(instant)), busy))
    )
    return Effect.gen(function*() {
      const { id } = yield* Task.enqueue()
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Layer.build(worker)
        yield* settle
        yield* TestClock.adjust("1 minute")
      }))
      const before = at.length
      assert.isTrue(before > 1 && before < 6, `the first worker ran ${before} attempts`)
      yield* Layer.build(worker)
      yield* TestClock.adjust("1 day")
      const { attempts } = yield* recordOf(id)
      for (const attempt of attempts) workers.add(attempt.worker)
      assert.strictEqual(workers.size, 2)
      assert.deepStrictEqual(gaps(at), yield* replayed(retry, id, 6))
    }).pipe(Effect.scoped, Effect.provide(storeOnly))
  })

  it.effect("gives each record delays of its own", () => {
    class Task extends Job.make("Jittered", { error: Busy, retry }) {}
    return Effect.gen(function*() {
      const ids = (yield* Task.enqueueMany([undefined, undefined])).map(({ id }) => id)
      yield* settle
      const due = yield* Effect.forEach(ids, (id) => Effect.map(recordOf(id), ({ dueAt }) => dueAt))
      assert.notStrictEqual(due[0], due[1])
    }).pipe(Effect.provide(withWorker(JobGroup.make(Task), Task.toLayer(() => busy))))
  })
})

describe("the instant of a failure", () => {
  const hour = 3_600_000
  /** The clock of the test, with a wall clock that is off. Its monotonic time is right. */
  const clockThatIsOff = (by: () => number) =>
    Effect.map(Clock.Clock, (clock): Clock.Clock => {
      const millis = () => clock.currentTimeMillisUnsafe() + by()
      const nanos = () => clock.currentTimeNanosUnsafe() + BigInt(by()) * 1_000_000n
      return {
        currentTimeMillisUnsafe: millis,
        currentTimeMillis: Effect.sync(millis),
        currentTimeNanosUnsafe: nanos,
        currentTimeNanos: Effect.sync(nanos),
        monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
        monotonicTimeNanos: clock.monotonicTimeNanos,
        sleep: (duration) => clock.sleep(duration)
      }
    })

  /** Attempts of 3 seconds and pauses of 10: the one that ends 39 seconds after the first is too late for another. */
  const elapsed = Schedule.spaced("10 seconds").pipe(Schedule.upTo({ duration: "35 seconds" }))
  const begins = [0, 13_000, 26_000, 39_000]
  const ends = begins.map((at) => at + 3000)

  // What the wall clock of each attempt's worker is off by, when the attempt begins and when it ends.
  const cases: ReadonlyArray<readonly [string, ReadonlyArray<readonly [number, number]>]> = [
    ["an hour ahead", begins.map(() => [hour, hour])],
    ["an hour behind", begins.map(() => [-hour, -hour])],
    ["ahead for one worker and behind for the next", [[hour, hour], [-hour, -hour], [hour, hour], [-hour, -hour]]],
    ["stepped by an hour while the handler runs", [[0, hour], [hour, 0], [0, -hour], [-hour, 0]]]
  ]
  for (const [name, offsets] of cases) {
    it.effect(`is that of its claim by the store's clock, and what passed since, with a wall clock ${name}`, () => {
      /** The instants of all failures, as each decision was told them. */
      const told: Array<Array<number>> = []
      let attempt = 0
      let offset = offsets[0]![0]
      const retry = elapsed.pipe(Schedule.modifyDelay(({ attempt: step, duration, now: at }) =>
        Effect.sync(() => {
          if (step === 1) told.push([])
          told.at(-1)!.push(at)
          return duration
        })
      ))
      class Task extends Job.make("OffClock", { error: Busy, retry }) {}
      const handler = Effect.gen(function*() {
        yield* Effect.sleep("3 seconds")
        offset = offsets[attempt++]![1]
        return yield* busy
      })
      const worker = withOnly(JobGroup.make(Task), Task.toLayer(() => handler))
      return Effect.gen(function*() {
        const clock = yield* clockThatIsOff(() => offset)
        const { id } = yield* Task.enqueue()
        yield* TestClock.adjust(0)
        yield* Effect.forEach(offsets, ([atFirst]) =>
          Effect.scoped(Effect.gen(function*() {
            offset = atFirst
            yield* Effect.provideService(Layer.build(worker), Clock.Clock, clock)
            yield* settle
            // Its attempt is over, and the next one has not begun.
            yield* TestClock.adjust("12 seconds")
          })).pipe(Effect.andThen(TestClock.adjust("1 second"))))
        const { attempts, failures, state } = yield* recordOf(id)
        assert.deepStrictEqual(attempts.map(({ startedAt }) => startedAt), begins)
        assert.deepStrictEqual(attempts.map(({ endedAt }) => endedAt), ends)
        assert.deepStrictEqual(failures.map(({ at }) => at), ends)
        assert.strictEqual(state, "dead")
        // The last decision has no delay to modify: the schedule has ended.
        assert.deepStrictEqual(told, [1, 2, 3, 3].map((steps) => ends.slice(0, steps)))
      }).pipe(Effect.provide(storeOnly))
    })
  }
})

describe("beyond 32 failures", () => {
  /** One second longer with every failure. */
  const rising = Schedule.forever.pipe(
    Schedule.modifyDelay(({ output }) => Effect.succeed(Duration.seconds(output + 1)))
  )

  it.effect("the last delay repeats, and the record goes on", () => {
    class Task extends Job.make("Patient", { error: Busy, retry: rising, maxAttempts: 40 }) {}
    const at: Array<number> = []
    const handler = Effect.andThen(Effect.map(now, (instant) => at.push(instant)), busy)
    return Effect.gen(function*() {
      const { id } = yield* Task.enqueue()
      yield* settle
      yield* TestClock.adjust("1 hour")
      const expected = Array.from({ length: 39 }, (_, i) => 1000 * Math.min(i + 1, 33))
      assert.deepStrictEqual(gaps(at), expected)
      const record = yield* recordOf(id)
      assert.deepStrictEqual([record.state, record.attempt, record.failures.length], ["dead", 40, 32])
    }).pipe(Effect.provide(withWorker(JobGroup.make(Task), Task.toLayer(() => handler))))
  })
})

describe("a schedule that ends after more than 32 failures", () => {
  const hourly = Schedule.spaced("1 hour")
  const ends: ReadonlyArray<readonly [string, Schedule.Schedule<unknown>, attempts: number]> = [
    ["by their number", Schedule.upTo(hourly, { times: 40 }), 41],
    ["by the time that has passed", Schedule.upTo(hourly, { duration: "50 hours" }), 52]
  ]
  for (const [how, retry, attempts] of ends) {
    it.effect(`ends: ${how}`, () => {
      class Task extends Job.make("Bounded", { error: Busy, retry, maxAttempts: Infinity }) {}
      return Effect.gen(function*() {
        const { id } = yield* Task.enqueue()
        yield* settle
        yield* TestClock.adjust("100 hours")
        const record = yield* recordOf(id)
        assert.deepStrictEqual([record.state, record.attempt], ["dead", attempts])
      }).pipe(Effect.provide(withWorker(JobGroup.make(Task), Task.toLayer(() => busy))))
    })
  }

  it.effect("counts the failures of its own kind, as many as their part of those that are known", () => {
    class Task extends Job.make("Mixed", {
      error: Busy,
      retry: Schedule.upTo(hourly, { times: 40 }),
      retryDefects: hourly,
      maxAttempts: Infinity
    }) {}
    let attempt = 0
    const handler = Effect.suspend(() => ++attempt % 2 === 0 ? Effect.die(new Error("odd")) : busy)
    return Effect.gen(function*() {
      const { id } = yield* Task.enqueue()
      yield* settle
      yield* TestClock.adjust("200 hours")
      const record = yield* recordOf(id)
      // The 41st declared failure.
      assert.deepStrictEqual([record.state, record.attempt], ["dead", 81])
    }).pipe(Effect.provide(withWorker(JobGroup.make(Task), Task.toLayer(() => handler))))
  })
})

/** The warnings of a program, and the layer that collects them. */
const warned = () => {
  const warnings: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => {
    if (logLevel === "Warn") warnings.push(String(Array.isArray(message) ? message[0] : message))
  })
  return { warnings, layer: Logger.layer([logger]) }
}

describe("a policy that throws", () => {
  const thrown = Effect.die(new Error("bad policy"))

  it.effect("warns once in each worker, however many records it fails", () => {
    class Task extends Job.make("BadPolicy", {
      error: Busy,
      maxAttempts: 3,
      retry: Schedule.spaced("1 hour").pipe(Schedule.modifyDelay(() => thrown))
    }) {}
    const { layer, warnings } = warned()
    const run = Effect.gen(function*() {
      yield* Task.enqueueMany([undefined, undefined, undefined])
      yield* settle
      yield* TestClock.adjust("1 minute")
      const { counts } = (yield* (yield* Jobs.Jobs).stats).queues[0]!
      assert.strictEqual(counts.dead, 3)
      assert.strictEqual(warnings.length, 1)
      assert.match(
        warnings.pop()!,
        /^job BadPolicy: its retry threw for record .*; the default policy holds instead$/
      )
    }).pipe(Effect.provide(
      Layer.provide(withWorker(JobGroup.make(Task), Task.toLayer(() => busy)), layer)
    ))
    return Effect.andThen(run, run)
  })
})

describe("a schedule whose delay has no end", () => {
  const withoutEnd = Schedule.spaced("1 second").pipe(Schedule.modifyDelay(() => Effect.succeed(Duration.infinity)))

  it.effect("does not decide: the default policy does, and the worker warns once", () => {
    class Task extends Job.make("Endless", { error: Busy, maxAttempts: 3, retry: withoutEnd }) {}
    const { layer, warnings } = warned()
    return Effect.gen(function*() {
      const { id } = yield* Task.enqueue()
      yield* settle
      assert.isAtMost((yield* recordOf(id)).dueAt!, 1201)
      yield* TestClock.adjust("1 minute")
      const { attempt, state } = yield* recordOf(id)
      assert.deepStrictEqual([state, attempt, warnings.length], ["dead", 3, 1])
      assert.match(warnings[0]!, /^job Endless: its retry threw for record .*; the default policy holds instead$/)
    }).pipe(Effect.provide(Layer.provide(withWorker(JobGroup.make(Task), Task.toLayer(() => busy)), layer)))
  })
})

describe("a stored error", () => {
  class Task extends Job.make("Verbose", { payload: Schema.String, error: Busy, maxAttempts: 1 }) {}
  const layer = withWorker(JobGroup.make(Task), Task.toLayer((text) => Effect.fail(new Busy({ text }))))

  it.effect("of 4 KiB is kept whole", () =>
    Effect.gen(function*() {
      // The rest of the 4,096 bytes is `{"_tag":"Busy","text":""}`.
      const text = "x".repeat(4096 - 25)
      const { await: result, id } = yield* Task.enqueue(text)
      assert.deepInclude(yield* Effect.flip(result), { text })
      assert.strictEqual((yield* recordOf(id)).failures[0]!.error!.length, 4096)
    }).pipe(Effect.provide(layer)))

  it.effect("that is longer is cut to 4 KiB of whole characters, and an awaiter is told that it does not decode", () =>
    Effect.gen(function*() {
      for (const text of ["x".repeat(4096), "ü".repeat(4096), `x${"🙂".repeat(2048)}`]) {
        const { await: result, id } = yield* Task.enqueue(text)
        assert.deepInclude(yield* Effect.flip(result), { _tag: "JobGone", reason: "Unreadable" })
        const { error } = (yield* recordOf(id)).failures[0]!
        assert.isTrue(`{"_tag":"Busy","text":"${text}"}`.startsWith(error!))
        assert.isTrue(error!.isWellFormed())
        assert.isAtMost(Buffer.byteLength(error!), 4096)
        assert.isAbove(Buffer.byteLength(error!), 4092)
      }
    }).pipe(Effect.provide(layer)))
})
