import { assert, describe, it } from "@effect/vitest"
import { Job, JobContext, JobError, JobGroup, type JobRecord, Jobs, JobStore } from "capstan"
import { Duration, Effect, Layer, Schedule, Schema, SchemaTransformation } from "effect"
import { TestClock } from "effect/testing"
import { recordOf, settle, storeWith, withOnly, withWorker } from "./harness.ts"

class Busy extends Schema.TaggedError<Busy>()("Busy", { n: Schema.Number }) {}
class Fatal extends Schema.TaggedError<Fatal>()("Fatal", {}) {}
class Wait extends Schema.TaggedError<Wait>()("Wait", { millis: Schema.Number }) {}
const error = Schema.Union([Busy, Fatal, Wait])

/** Runs one record of a job until nothing is due, and answers it with the instants of its attempts. */
const life = (
  options: Job.Options<typeof Schema.Void, typeof Schema.Void, typeof error, typeof Schema.Never, "default">,
  attempt: (attempt: number, context: JobContext.Shape) => Effect.Effect<void, Busy | Fatal | Wait>
) => {
  const Task = Job.make("Task", { error, ...options })
  const group = JobGroup.make(Task)
  const at: Array<number> = []
  const handler = Effect.gen(function*() {
    const context = yield* JobContext.JobContext
    at.push(yield* Effect.clockWith((clock) => clock.currentTimeMillis))
    yield* attempt(context.attempt, context)
  })
  return Effect.gen(function*() {
    const { id } = yield* Task.enqueue()
    yield* settle
    yield* TestClock.adjust("20 days")
    return { at, record: yield* recordOf(id) }
  }).pipe(Effect.provide(withWorker(group, Task.toLayer(() => handler))))
}

const gaps = (at: ReadonlyArray<number>): ReadonlyArray<number> => at.slice(1).map((instant, i) => instant - at[i]!)

describe("retry", () => {
  it.effect("by default backs off exponentially with jitter, at most 5 minutes, 10 attempts", () =>
    Effect.gen(function*() {
      const { at, record } = yield* life({}, () => Effect.fail(new Busy({ n: 1 })))
      assert.strictEqual(at.length, 10)
      gaps(at).forEach((gap, i) => {
        const base = Math.min(300_000, 1000 * 2 ** i)
        assert.isAtLeast(gap, base * 0.8)
        assert.isAtMost(gap, base * 1.2 + 1)
      })
      assert.strictEqual(record.deadReason, "Failed")
      assert.strictEqual(record.attempts.length, 10)
    }))

  it.effect("jitter is seeded by the record: the same in every replay", () =>
    Effect.gen(function*() {
      const retry = Schedule.jittered(Schedule.spaced("10 seconds")).pipe(Schedule.upTo({ times: 3 }))
      const { at } = yield* life({ retry }, () => Effect.fail(new Busy({ n: 1 })))
      // Each attempt replays all steps before its own, so a jitter drawn anew would show as a delay out of order.
      assert.strictEqual(at.length, 4)
      assert.strictEqual(new Set(gaps(at)).size, 3)
    }))

  it.effect("each step gets the error of its own failure", () =>
    Effect.gen(function*() {
      const retry = Schedule.spaced("1 second").pipe(
        Schedule.setInputType<Busy | Fatal | Wait>(),
        Schedule.modifyDelay(({ input }) => Effect.succeed(Duration.seconds(input._tag === "Busy" ? input.n : 1)))
      )
      const { at } = yield* life({ retry, maxAttempts: 4 }, (n) => Effect.fail(new Busy({ n: n * 10 })))
      assert.deepStrictEqual(gaps(at), [10_000, 20_000, 30_000])
    }))

  it.effect("a defect between declared failures is decided by retryDefects and does not move the declared schedule", () =>
    Effect.gen(function*() {
      const { at } = yield* life(
        { retry: Schedule.exponential("1 second"), retryDefects: Schedule.spaced("1 minute"), maxAttempts: 5 },
        (n) => n % 2 === 0 ? Effect.die("boom") : Effect.fail(new Busy({ n }))
      )
      assert.deepStrictEqual(gaps(at), [1000, 60_000, 2000, 60_000])
    }))

  it.effect("timeouts between declared failures go by retryDefects, replayed over them and the defects alone", () =>
    Effect.gen(function*() {
      const told: Array<ReadonlyArray<string | number>> = []
      const retryDefects = Schedule.exponential("1 minute").pipe(
        Schedule.setInputType<JobRecord.Failure>(),
        Schedule.modifyDelay(({ duration, input: { at, attempt, kind } }) =>
          Effect.sync(() => (told.push([kind, attempt, at]), duration))
        )
      )
      const { at, record } = yield* life(
        { retry: Schedule.exponential("1 second"), retryDefects, timeout: "10 seconds", maxAttempts: 7 },
        (n) => n === 4 ? Effect.die("boom") : n % 2 === 0 ? Effect.never : Effect.fail(new Busy({ n }))
      )
      assert.deepStrictEqual(gaps(at), [1000, 70_000, 2000, 120_000, 4000, 250_000])
      assert.deepStrictEqual(record.failures.map(({ kind }) => kind), [
        "Declared",
        "TimedOut",
        "Declared",
        "Defect",
        "Declared",
        "TimedOut",
        "Declared"
      ])
      const steps = [["TimedOut", 2, 11_000], ["Defect", 4, 73_000], ["TimedOut", 6, 207_000]]
      assert.deepStrictEqual(told, [1, 2, 3].flatMap((count) => steps.slice(0, count)))
    }))

  it.effect("a schedule that ends makes the record dead", () =>
    Effect.gen(function*() {
      const { at, record } = yield* life({ retry: Schedule.recurs(2) }, (n) => Effect.fail(new Busy({ n })))
      assert.strictEqual(at.length, 3)
      assert.strictEqual(record.state, "dead")
      assert.deepStrictEqual(record.failures.map(({ tag }) => tag), ["Busy", "Busy", "Busy"])
    }))

  it.effect("an elapsed-time schedule sees the recorded instants", () =>
    Effect.gen(function*() {
      const retry = Schedule.spaced("10 seconds").pipe(Schedule.upTo({ duration: "35 seconds" }))
      const { at } = yield* life({ retry }, (n) => Effect.fail(new Busy({ n })))
      assert.deepStrictEqual(at, [0, 10_000, 20_000, 30_000, 40_000])
    }))

  it.effect("a schedule that throws falls back to the default", () =>
    Effect.gen(function*() {
      const retry = Schedule.spaced("1 hour").pipe(Schedule.modifyDelay(() => Effect.die(new Error("bad policy"))))
      const { at } = yield* life({ retry, maxAttempts: 2 }, (n) => Effect.fail(new Busy({ n })))
      assert.isAtMost(gaps(at)[0]!, 1201)
    }))

  it.effect("retryFor ends it by time", () =>
    Effect.gen(function*() {
      const { at } = yield* life(
        { retry: Schedule.spaced("10 seconds"), retryFor: "25 seconds", maxAttempts: Infinity },
        (n) => Effect.fail(new Busy({ n }))
      )
      assert.deepStrictEqual(at, [0, 10_000, 20_000, 30_000])
    }))

  it.effect("onError decides by tag: dead at once, a snooze that charges nothing, a schedule of its own", () =>
    Effect.gen(function*() {
      let step = 0
      const { at, record } = yield* life(
        {
          maxAttempts: 3,
          onError: {
            Fatal: "dead",
            Wait: { snooze: (error) => error.millis },
            Busy: { retry: Schedule.spaced("7 seconds") }
          }
        },
        () => {
          step++
          return Effect.fail(step <= 5 ? new Wait({ millis: 500 }) : step === 6 ? new Busy({ n: 1 }) : new Fatal())
        }
      )
      assert.deepStrictEqual(gaps(at), [500, 500, 500, 500, 500, 7000])
      assert.strictEqual(record.attempt, 2)
      assert.strictEqual(record.failures.at(-1)?.tag, "Fatal")
    }))

  it.effect("onError \"retry\" goes by the job's schedule, with all that was declared before it; { retry } counts its tag alone", () =>
    Effect.gen(function*() {
      const errors = [
        new Busy({ n: 1 }),
        new Wait({ millis: 1 }),
        new Fatal(),
        new Wait({ millis: 1 }),
        new Busy({ n: 2 }),
        new Busy({ n: 3 })
      ]
      const { at, record } = yield* life(
        {
          retry: Schedule.exponential("1 second"),
          maxAttempts: errors.length,
          onError: { Busy: "retry", Wait: { retry: Schedule.exponential("1 minute") } }
        },
        (n) => Effect.fail(errors[n - 1]!)
      )
      // Of the job's schedule: the first, third and fifth step.
      assert.deepStrictEqual(gaps(at), [1000, 60_000, 4000, 120_000, 16_000])
      assert.deepStrictEqual([record.state, record.deadReason, record.attempt], ["dead", "Failed", 6])
    }))

  it.effect("JobContext.snooze runs finalizers and charges no attempt", () =>
    Effect.gen(function*() {
      let finalized = 0
      let runs = 0
      const { at, record } = yield* life({ retention: { completed: "forever" } }, (_, context) =>
        runs++ < 12
          ? context.snooze("1 minute").pipe(Effect.ensuring(Effect.sync(() => finalized++)))
          : Effect.void)
      assert.strictEqual(at.length, 13)
      assert.strictEqual(finalized, 12)
      assert.strictEqual(record.state, "completed")
      assert.strictEqual(record.attempt, 1)
    }))

  it.effect("an old error that no longer decodes is replaced by the current one", () => {
    class V1 extends Schema.TaggedError<V1>()("V1", {}) {}
    class V2 extends Schema.TaggedError<V2>()("V2", { seconds: Schema.Number }) {}
    const Old = Job.make("Evolving", { error: V1, retry: Schedule.spaced("1 second") })
    const seen: Array<number> = []
    const New = Job.make("Evolving", {
      error: V2,
      retry: Schedule.spaced("1 second").pipe(
        Schedule.setInputType<V2>(),
        Schedule.modifyDelay(({ input }) =>
          Effect.sync(() => (seen.push(input.seconds), Duration.seconds(input.seconds)))
        )
      )
    })
    return Effect.gen(function*() {
      const { id } = yield* Old.enqueue()
      yield* Effect.scoped(Effect.andThen(
        Layer.build(withOnly(JobGroup.make(Old), Old.toLayer(() => Effect.fail(new V1())))),
        settle
      ))
      yield* Layer.build(withOnly(JobGroup.make(New), New.toLayer(() => Effect.fail(new V2({ seconds: 9 })))))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(seen, [9, 9])
      assert.strictEqual((yield* recordOf(id)).dueAt, 1000 + 9000)
    }).pipe(Effect.provide(Layer.provideMerge(Jobs.layer, JobStore.layerMemory())))
  })

  it.effect("a handler that ends with Unavailable is retried without charging an attempt", () =>
    Effect.gen(function*() {
      let runs = 0
      const Task = Job.make("Away", { maxAttempts: 2 })
      const away = new JobError.JobStoreError({
        reason: new JobError.Unavailable({ operation: "enqueue", detail: "test" })
      })
      const layer = withWorker(JobGroup.make(Task), Task.toLayer(() => runs++ < 5 ? Effect.fail(away) : Effect.void))
      yield* Effect.gen(function*() {
        const { id } = yield* Task.enqueue()
        yield* settle
        yield* TestClock.adjust("1 minute")
        const record = yield* recordOf(id)
        assert.strictEqual(record.state, "completed")
        assert.strictEqual(record.attempt, 1)
      }).pipe(Effect.provide(layer))
    }))

  it.effect("what is not charged takes no step of a schedule, and no place among the failures that are kept", () =>
    Effect.gen(function*() {
      const away = new JobError.JobStoreError({
        reason: new JobError.Unavailable({ operation: "enqueue", detail: "test" })
      })
      // Forty snoozes and outages before each declared failure and each defect.
      let step = 0
      const { at, record } = yield* life(
        {
          retry: Schedule.exponential("1 minute").pipe(Schedule.upTo({ times: 2 })),
          retryDefects: Schedule.spaced("10 minutes"),
          onError: { Wait: { snooze: (error) => error.millis } }
        },
        () => {
          const part = ++step % 41
          if (part === 0) return step === 82 ? Effect.die("boom") : Effect.fail(new Busy({ n: step }))
          return part % 2 === 0 ? Effect.fail(new Wait({ millis: 1000 })) : Effect.fail(away as never)
        }
      )
      assert.deepStrictEqual(gaps(at).filter((gap) => gap !== 1000), [60_000, 600_000, 120_000])
      assert.deepStrictEqual([record.state, record.attempt], ["dead", 4])
      assert.deepStrictEqual(record.failures.map(({ tag }) => tag), ["Busy", "string", "Busy", "Busy"])
      assert.strictEqual(at.length, 4 * 41)
    }))

  it.effect("the last failure of a waiting record is seen, charged or not", () =>
    Effect.gen(function*() {
      const Task = Job.make("Waits", { error: Wait, onError: { Wait: { snooze: "1 minute" } } })
      yield* Effect.gen(function*() {
        const { id } = yield* Task.enqueue()
        yield* settle
        yield* TestClock.adjust("1 minute")
        const { failures } = yield* recordOf(id)
        assert.deepStrictEqual(failures.map(({ at, tag }) => [tag, at]), [["Wait", 60_000]])
      }).pipe(
        Effect.provide(withWorker(JobGroup.make(Task), Task.toLayer(() => Effect.fail(new Wait({ millis: 1 })))))
      )
    }))

  it.effect("a payload that no longer decodes is dead at once", () => {
    const Before = Job.make("Shape", { payload: { n: Schema.String } })
    const After = Job.make("Shape", { payload: { n: Schema.Number } })
    return Effect.gen(function*() {
      const { id } = yield* Before.enqueue({ n: "x" })
      yield* settle
      const record = yield* recordOf(id)
      assert.strictEqual(record.state, "dead")
      assert.strictEqual(record.deadReason, "InvalidPayload")
      const error = yield* Effect.flip(After.handle(id).await)
      assert.isTrue(error instanceof JobError.JobDead)
    }).pipe(Effect.provide(withWorker(JobGroup.make(After), After.toLayer(() => Effect.void))))
  })
})

describe("payload versions", () => {
  const V1 = Schema.Struct({ name: Schema.String })
  const V2 = Schema.Struct({ first: Schema.String, last: Schema.String })
  const Old = Job.make("Greet", { payload: V1 })
  const Middle = Job.make("Greet", {
    payload: V2,
    version: 2,
    previous: [Job.version(1, V1, ({ name }) => ({ first: name.split(" ")[0]!, last: name.split(" ")[1]! }))]
  })
  const New = Job.make("Greet", {
    payload: { last: Schema.String },
    version: 3,
    previous: [
      Job.version(1, V1, ({ name }) => ({ first: name.split(" ")[0]!, last: name.split(" ")[1]! })),
      Job.version(2, V2, ({ last }) => ({ last }))
    ]
  })

  it.effect("each lifts to the next", () => {
    const seen: Array<string> = []
    return Effect.gen(function*() {
      yield* Old.enqueue({ name: "Ada Lovelace" })
      yield* Middle.enqueue({ first: "Grace", last: "Hopper" })
      yield* New.enqueue({ last: "Liskov" })
      yield* settle
      assert.deepStrictEqual(seen, ["Lovelace", "Hopper", "Liskov"])
    }).pipe(
      Effect.provide(withWorker(JobGroup.make(New), New.toLayer(({ last }) => Effect.sync(() => void seen.push(last)))))
    )
  })

  it.effect("a rolling deploy: the old worker parks what is newer, the new one takes it over, nothing is lost", () => {
    const seen: Array<string> = []
    return Effect.gen(function*() {
      const old = withOnly(
        JobGroup.make(Old),
        Old.toLayer(({ name }) => Effect.sync(() => void seen.push(`old ${name}`)))
      )
      yield* Layer.build(old)
      const a = yield* Old.enqueue({ name: "Ada Lovelace" })
      const b = yield* New.enqueue({ last: "Liskov" })
      yield* settle
      assert.strictEqual((yield* recordOf(a.id)).state, "completed")
      const waiting = yield* recordOf(b.id)
      assert.strictEqual(waiting.blocked?.reason, "NewerPayload")
      assert.strictEqual(waiting.attempt, 0)
      const jobs = yield* Jobs.Jobs
      assert.strictEqual((yield* jobs.stats).queues[0]!.parked, 1)
      yield* Layer.build(
        withOnly(JobGroup.make(New), New.toLayer(({ last }) => Effect.sync(() => void seen.push(`new ${last}`))))
      )
      yield* settle
      assert.deepStrictEqual(seen, ["old Ada Lovelace", "new Liskov"])
    }).pipe(Effect.provide(Layer.provideMerge(Jobs.layer, JobStore.layerMemory())))
  })

  it.effect("an unknown tag is parked with NoHandler and released when a worker has it", () => {
    const Known = Job.make("Known")
    const Unknown = Job.make("Unknown")
    return Effect.gen(function*() {
      yield* Layer.build(withOnly(JobGroup.make(Known), Known.toLayer(() => Effect.void)))
      const { id } = yield* Unknown.enqueue()
      yield* settle
      assert.strictEqual((yield* recordOf(id)).blocked?.reason, "NoHandler")
      yield* Layer.build(withOnly(JobGroup.make(Unknown), Unknown.toLayer(() => Effect.void)))
      yield* settle
      assert.strictEqual((yield* recordOf(id)).state, "completed")
    }).pipe(Effect.provide(Layer.provideMerge(Jobs.layer, JobStore.layerMemory())))
  })
})

describe("a policy that takes its time", () => {
  it.effect("its attempt is held until it has decided: no renewal gives the record back", () => {
    let fails = false
    let runs = 0
    const away = new JobError.JobStoreError({ reason: new JobError.Unavailable({ operation: "any", detail: "test" }) })
    const store = storeWith((store) => ({
      exchange: (request) =>
        Effect.suspend(() => {
          if (!fails) return store.exchange(request)
          fails = false
          return Effect.fail(away)
        })
    }))
    const retry = Schedule.spaced("1 second").pipe(
      Schedule.modifyDelay(({ duration }) => Effect.as(Effect.sleep("5 seconds"), duration))
    )
    const Task = Job.make("Slowly", { error: Fatal, retry })
    const worker = withOnly(JobGroup.make(Task), Task.toLayer(() => (runs++, Effect.fail(new Fatal()))))
    return Effect.gen(function*() {
      const { id } = yield* Task.enqueue()
      yield* settle
      fails = true
      yield* Task.enqueue(undefined, { delay: "1 second" })
      yield* TestClock.adjust(900)
      const record = yield* recordOf(id)
      assert.deepStrictEqual([record.state, record.attempt, runs, fails], ["running", 1, 1, false])
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* recordOf(id)).state, "scheduled")
      yield* TestClock.adjust("1 hour")
    }).pipe(Effect.provide(Layer.provideMerge(worker, store)))
  })

  it.effect("the lease is renewed for it", () => {
    let runs = 0
    const retry = Schedule.spaced("1 hour").pipe(
      Schedule.modifyDelay(({ duration }) => Effect.as(Effect.sleep("2 minutes"), duration))
    )
    const Task = Job.make("Slowly", { error: Fatal, retry })
    return Effect.gen(function*() {
      const { id } = yield* Task.enqueue()
      yield* settle
      yield* TestClock.adjust("3 minutes")
      const record = yield* recordOf(id)
      assert.deepStrictEqual([record.state, record.crashes, runs], ["scheduled", 0, 1])
    }).pipe(
      Effect.provide(withWorker(JobGroup.make(Task), Task.toLayer(() => (runs++, Effect.fail(new Fatal())))))
    )
  })

  describe("for ever", () => {
    const never = Schema.String.pipe(Schema.decodeTo(
      Schema.String,
      SchemaTransformation.transformEffect<string, string>({ decode: Effect.succeed, encode: () => Effect.never })
    ))
    /** Decodes once. */
    const once = () => {
      let times = 0
      return Schema.String.pipe(Schema.decodeTo(
        Schema.String,
        SchemaTransformation.transformEffect<string, string>({
          decode: (text) => times++ === 0 ? Effect.succeed(text) : Effect.never,
          encode: Effect.succeed
        })
      ))
    }
    const stuck = Schedule.spaced("1 second").pipe(Schedule.modifyDelay(() => Effect.never))
    const Next = Job.make("Next", { queue: "next" })
    const Fast = Job.make("Fast")
    const cases = {
      "a schedule": Job.make("Late", { payload: Schema.String, error: Schema.String, retry: stuck }),
      "a schedule that cannot be interrupted": Job.make("Late", {
        payload: Schema.String,
        error: Schema.String,
        retry: Schedule.spaced("1 second").pipe(Schedule.modifyDelay(() => Effect.uninterruptible(Effect.never)))
      }),
      "the error's schema": Job.make("Late", { payload: Schema.String, error: never }),
      "what follows its failure": Job.make("Late", {
        payload: once(),
        error: Schema.String,
        maxAttempts: 1,
        onFailure: () => Next.request()
      })
    }
    for (const [what, Late] of Object.entries(cases)) {
      it.effect(`gives its slot up after five minutes, and the default holds: ${what}`, () =>
        Effect.gen(function*() {
          const { id } = yield* Late.enqueue("a")
          const other = yield* Fast.enqueue()
          yield* TestClock.adjust("4 minutes")
          assert.strictEqual((yield* recordOf(id)).state, "running")
          yield* TestClock.adjust("1 minute")
          const { failures, state } = yield* recordOf(id)
          assert.deepStrictEqual([state, failures.length], [what.startsWith("what") ? "dead" : "scheduled", 1])
          yield* settle
          assert.strictEqual((yield* recordOf(other.id)).state, "completed")
        }).pipe(
          Effect.provide(
            withWorker(
              JobGroup.make(Late, Fast),
              Layer.merge(Late.toLayer(() => Effect.fail("no")), Fast.toLayer(() => Effect.void)),
              { concurrency: 1 }
            )
          )
        ))
    }
  })

  it.effect("holds up no other attempt's timeout", () => {
    let interrupted = 0
    const Stuck = Job.make("Stuck", {
      timeout: "10 seconds",
      retryDefects: Schedule.spaced("1 second").pipe(Schedule.modifyDelay(() => Effect.never))
    })
    const Slow = Job.make("Slow", { timeout: "15 seconds", maxAttempts: 1 })
    const group = JobGroup.make(Stuck, Slow)
    const handlers = group.toLayer({
      Stuck: () => Effect.uninterruptible(Effect.never),
      Slow: () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
    })
    return Effect.gen(function*() {
      yield* Stuck.enqueue()
      const { id } = yield* Slow.enqueue()
      yield* settle
      yield* TestClock.adjust("16 seconds")
      assert.strictEqual(interrupted, 1)
      assert.strictEqual((yield* recordOf(id)).deadReason, "TimedOut")
    }).pipe(Effect.provide(withWorker(group, handlers, { interruptGrace: 0 })))
  })
})

describe("an error that throws when it is read", () => {
  class Odd extends Schema.TaggedError<Odd>()("Odd", {}) {
    override get message(): string {
      throw new Error("no message for you")
    }
  }
  const odd = Object.defineProperty(new Error("x"), "message", {
    get: () => {
      throw new Error("no message for you")
    }
  })
  const { proxy: revoked, revoke } = Proxy.revocable({}, {})
  revoke()
  const Unencodable = Schema.String.pipe(Schema.decodeTo(
    Schema.String,
    SchemaTransformation.transform({
      decode: (text) => text,
      encode: (): string => {
        throw new Error("does not encode")
      }
    })
  ))

  const cases: ReadonlyArray<readonly [string, Effect.Effect<void, unknown>, kind: string, tag: string]> = [
    ["a declared error", Effect.fail(new Odd()), "Declared", "Odd"],
    ["a declared error that throws when it is encoded", Effect.fail("text"), "Defect", "string"],
    ["a defect", Effect.die(odd), "Defect", "Error"],
    ["a defect whose every property throws", Effect.die(revoked), "Defect", "Unreadable"],
    [
      "an error with a message that is no text",
      Effect.die(Object.assign(new Error(), { message: 7 })),
      "Defect",
      "Error"
    ]
  ]
  for (const [name, handler, kind, tag] of cases) {
    for (const when of ["at once", "later"]) {
      it.effect(`${name}, ${when}: the attempt is charged, and others go on`, () => {
        let runs = 0
        const Task = Job.make("Task", { error: Schema.Union([Odd, Unencodable]) })
        const Healthy = Job.make("Healthy")
        const group = JobGroup.make(Task, Healthy)
        const handlers = group.toLayer({
          Task: () =>
            Effect.andThen(
              Effect.andThen(Effect.sync(() => runs++), when === "later" ? Effect.yieldNow : Effect.void),
              handler as Effect.Effect<void, string>
            ),
          Healthy: () => Effect.void
        })
        return Effect.gen(function*() {
          const { id } = yield* Task.enqueue()
          yield* settle
          const record = yield* recordOf(id)
          assert.deepStrictEqual([record.state, record.attempt, runs], ["scheduled", 1, 1])
          assert.deepStrictEqual(record.failures.map(({ kind, tag }) => [kind, tag]), [[kind, tag]])
          const healthy = yield* Healthy.enqueue()
          yield* settle
          assert.strictEqual((yield* recordOf(healthy.id)).state, "completed")
        }).pipe(Effect.provide(withWorker(group, handlers)))
      })
    }
  }

  it.effect("an old one, when it is decoded: it is replaced by the current one", () => {
    let runs = 0
    const Undecodable = Schema.String.pipe(Schema.decodeTo(
      Schema.String,
      SchemaTransformation.transform({
        decode: (): string => {
          throw new Error("does not decode")
        },
        encode: (text) => text
      })
    ))
    const Task = Job.make("Undecodable", { error: Undecodable, maxAttempts: 3, retry: Schedule.spaced("1 hour") })
    const handler = Task.toLayer(() => (runs++, Effect.fail("text")))
    return Effect.gen(function*() {
      const { id } = yield* Task.enqueue()
      yield* settle
      yield* TestClock.adjust("1 hour")
      const record = yield* recordOf(id)
      assert.deepStrictEqual([record.state, record.attempt, record.dueAt, runs], ["scheduled", 2, 7_200_000, 2])
    }).pipe(Effect.provide(withWorker(JobGroup.make(Task), handler)))
  })
})
