import { assert, describe, it } from "@effect/vitest"
import { Job, JobContext, JobError, JobGroup, JobStore, JobWorker, Step } from "capstan"
import { Effect, Latch, Layer, Logger, Option, Schedule, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { recordOf, settle, storeWith, withOnly, withWorker } from "./harness.ts"

class Oops extends Schema.TaggedError<Oops>()("Oops", {}) {}

const retry = Schedule.spaced("1 minute")
class Order extends Job.make("Order", {
  payload: { id: Schema.String },
  success: Schema.Unknown,
  error: Oops,
  retry,
  retryDefects: retry
}) {}

/** The handler of the job; what answers nothing answers null. */
const order = <R>(handler: () => Job.HandlerEffect<typeof Schema.Unknown, typeof Oops, R>) =>
  Order.toLayer(() => Effect.map(handler(), (value) => value ?? null))

/** A worker with one handler, and what it has done. */
const withHandler = <R>(
  handler: (done: Array<string>) => Job.HandlerEffect<typeof Schema.Unknown, typeof Oops, R>,
  test: (done: Array<string>) => Effect.Effect<void, unknown, unknown>
) =>
  Effect.suspend(() => {
    const done: Array<string> = []
    const layer = withWorker(
      JobGroup.make(Order),
      order(() => handler(done)) as Layer.Layer<Job.Handler<"Order">>
    )
    return Effect.provide(test(done), layer) as Effect.Effect<void>
  })

const note = (done: Array<string>, what: string) => Effect.sync(() => void done.push(what))

/** Fails in the first attempts. */
const failing = (times: number) =>
  Effect.flatMap(
    JobContext.JobContext,
    ({ attempt }) => attempt <= times ? Effect.fail(new Oops()) : Effect.void
  )

const enqueue = Order.enqueue({ id: "o" })
const deadOf = (id: string) =>
  Effect.map(recordOf(id), ({ failures, state }) => [state, failures.at(-1)?.message] as const)

describe("Step.run", () => {
  it.effect("a step that is done does not run again, and answers what was kept", () =>
    withHandler((done) =>
      Effect.gen(function*() {
        const a = yield* Step.run("a", { success: Schema.DateFromString }, Effect.as(note(done, "a"), new Date(5)))
        yield* Step.run("b", note(done, "b"))
        yield* failing(2)
        return a.getTime()
      }), (done) =>
      Effect.gen(function*() {
        const handle = yield* enqueue
        yield* settle
        yield* TestClock.adjust("2 minutes")
        assert.strictEqual(yield* handle.await, 5)
        assert.deepStrictEqual(done, ["a", "b"])
        assert.strictEqual((yield* recordOf(handle.id)).attempt, 3)
      })))

  it.effect("a step that fails is not kept: the job's retry decides", () =>
    withHandler((done) =>
      Effect.gen(function*() {
        yield* Step.run("a", note(done, "a"))
        yield* Step.run("b", Effect.andThen(note(done, "b"), failing(1)))
      }), (done) =>
      Effect.gen(function*() {
        const handle = yield* enqueue
        yield* settle
        yield* TestClock.adjust("1 minute")
        yield* handle.await
        assert.deepStrictEqual(done, ["a", "b", "b"])
      })))

  it.effect("each step is one write, which is answered before the next one begins; what is kept costs a later attempt none", () => {
    const events: Array<string> = []
    const store = storeWith((store) => ({
      write: (entries) =>
        Effect.gen(function*() {
          const names = entries.map((entry) => entry._tag === "Step" ? entry.name : entry._tag).join()
          events.push(`sent ${names}`)
          yield* Effect.sleep("1 second")
          const answers = yield* store.write(entries)
          events.push(`answered ${names}`)
          return answers
        })
    }))
    const handlers = order(() =>
      Effect.gen(function*() {
        for (const name of ["a", "b", "c"]) yield* Step.run(name, note(events, name))
        yield* failing(1)
      })
    )
    return Effect.gen(function*() {
      const handle = yield* enqueue
      yield* settle
      yield* Effect.repeat(TestClock.adjust("1 second"), { times: 3 })
      yield* TestClock.adjust("1 minute")
      yield* handle.await
      assert.deepStrictEqual(events, ["a", "b", "c"].flatMap((name) => [name, `sent ${name}`, `answered ${name}`]))
    }).pipe(Effect.provide(Layer.provideMerge(withOnly(JobGroup.make(Order), handlers), store)))
  })

  it.effect("the write goes out until it is answered, and a reply that was lost runs nothing again", () => {
    let losses = 3
    const lost = new JobError.JobStoreError({
      reason: new JobError.OutcomeUnknown({ operation: "write", detail: "test" })
    })
    const store = storeWith((store) => ({
      write: (entries) => Effect.andThen(store.write(entries), losses-- > 0 ? Effect.fail(lost) : store.write(entries))
    }))
    let runs = 0
    const handlers = order(() => Step.run("a", Effect.sync(() => ++runs)))
    return Effect.gen(function*() {
      const handle = yield* enqueue
      yield* settle
      assert.strictEqual((yield* recordOf(handle.id)).state, "running")
      yield* TestClock.adjust("10 seconds")
      yield* handle.await
      assert.deepStrictEqual([runs, (yield* recordOf(handle.id)).attempt], [1, 1])
    }).pipe(Effect.provide(Layer.provideMerge(withOnly(JobGroup.make(Order), handlers), store)))
  })

  it.effect("a step of a stale attempt fails with LeaseLost, and nothing is settled", () => {
    const gate = Latch.makeUnsafe(false)
    let error: unknown
    const handlers = order(() =>
      Step.run("a", gate.await).pipe(
        Effect.tapError((failure) => Effect.sync(() => error = failure)),
        Effect.uninterruptible
      )
    )
    return Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      const { id } = yield* enqueue
      yield* settle
      // Taken for dead by somebody else.
      yield* store.exchange({
        worker: "other",
        lease: 30_000,
        settlements: [{
          id,
          fence: 1,
          outcome: { _tag: "RetryAfter", delay: 1e9, failure: { kind: "Defect", message: "x" } },
          finishedAfter: 0
        }],
        demand: [],
        total: 0
      })
      yield* gate.open
      yield* settle
      assert.strictEqual((error as JobError.JobStoreError).reason._tag, "LeaseLost")
      assert.strictEqual((yield* recordOf(id)).state, "scheduled")
    }).pipe(Effect.provide(withWorker(JobGroup.make(Order), handlers)))
  })

  it.effect("two steps of one name in an attempt are a defect that says so", () =>
    withHandler(
      (done) => Effect.andThen(Step.run("a", note(done, "a")), Step.run("a", note(done, "again"))),
      (done) =>
        Effect.gen(function*() {
          const { id } = yield* enqueue
          yield* settle
          const { failures } = yield* recordOf(id)
          assert.deepStrictEqual([failures[0]!.kind, failures[0]!.tag], ["Defect", "StepError"])
          assert.strictEqual(
            failures[0]!.message,
            "job Order has two steps with the name a in one attempt: give each a name of its own"
          )
          assert.deepStrictEqual(done, ["a"])
        })
    ))

  it.effect("a step in a step is kept by itself", () =>
    withHandler((done) =>
      Step.run(
        "outer",
        Effect.andThen(
          Step.run("inner", note(done, "inner")),
          Effect.andThen(note(done, "outer"), failing(1))
        )
      ), (done) =>
      Effect.gen(function*() {
        const handle = yield* enqueue
        yield* settle
        yield* TestClock.adjust("1 minute")
        yield* handle.await
        assert.deepStrictEqual(done, ["inner", "outer", "outer"])
      })))

  it.effect("what is larger than 1 MiB is refused, and a name that is none throws", () =>
    withHandler(
      () => Step.run("a", { success: Schema.String }, Effect.succeed("x".repeat(1024 * 1024))),
      () =>
        Effect.gen(function*() {
          const { id } = yield* enqueue
          yield* settle
          assert.include((yield* recordOf(id)).failures[0]!.message, "at most 1048576 are kept")
          assert.throws(() => Step.run("a~b", Effect.void), /must start with a letter/)
        })
    ))

  it.effect("what a claim brings only the first part of is looked up before a step runs", () => {
    const cut = storeWith((store) => ({
      exchange: (request) =>
        Effect.map(store.exchange(request), (reply) => ({
          ...reply,
          claimed: reply.claimed.map((claimed) => ({ ...claimed, checkpoints: {}, isCut: true as const }))
        }))
    }))
    const done: Array<string> = []
    const handlers = order(() =>
      Effect.gen(function*() {
        yield* Step.run("a", note(done, "a"))
        yield* Step.run("b", note(done, "b"))
        yield* failing(1)
      })
    )
    return Effect.gen(function*() {
      const handle = yield* enqueue
      yield* settle
      yield* TestClock.adjust("1 minute")
      yield* handle.await
      assert.deepStrictEqual(done, ["a", "b"])
    }).pipe(Effect.provide(Layer.provideMerge(withOnly(JobGroup.make(Order), handlers), cut)))
  })

  it.effect("a record that is retried by hand goes on after its steps when it was dead, and begins anew when it was completed", () =>
    withHandler((done) =>
      Effect.gen(function*() {
        yield* Step.run("a", note(done, "a"))
        if (done.length === 1) return yield* Effect.die("once")
        return "done"
      }), (done) =>
      Effect.gen(function*() {
        const store = yield* JobStore.JobStore
        const { id } = yield* enqueue
        yield* settle
        for (let i = 0; i < 9; i++) yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* recordOf(id)).state, "dead")
        const retryByHand = store.control({ action: { _tag: "Retry" }, where: { ids: [id] }, limit: 1 })
        yield* note(done, "retried")
        yield* retryByHand
        yield* settle
        assert.deepStrictEqual([(yield* recordOf(id)).state, done], ["completed", ["a", "retried"]])
        yield* retryByHand
        yield* settle
        assert.deepStrictEqual([(yield* recordOf(id)).state, done], ["completed", ["a", "retried", "a"]])
      })))

  it.effect("performed without a store, steps run and nothing is kept", () => {
    const handlers = order(() => Step.run("a", { success: Schema.Number }, Effect.succeed(1)))
    return Effect.gen(function*() {
      assert.strictEqual(yield* JobWorker.perform(Order, { id: "o" }), 1)
    }).pipe(Effect.provide(Layer.merge(handlers, JobStore.layerMemory())))
  })
})

describe("new code on old steps", () => {
  const deploy = <A>(
    before: Job.HandlerEffect<typeof Schema.Unknown, typeof Oops, JobContext.JobContext>,
    after: Job.HandlerEffect<typeof Schema.Unknown, typeof Oops, JobContext.JobContext>,
    test: (id: string) => Effect.Effect<A, unknown, unknown>
  ) =>
    Effect.gen(function*() {
      const group = JobGroup.make(Order)
      const { id } = yield* enqueue
      yield* Effect.provide(settle, withOnly(group, order(() => before)))
      yield* Effect.gen(function*() {
        yield* TestClock.adjust("1 minute")
        yield* test(id)
      }).pipe(Effect.provide(withOnly(group, order(() => after))))
    }).pipe(Effect.provide(storeWith(() => ({}))), (effect) => effect as Effect.Effect<void>)

  it.effect("a value of an older version is lifted to the present one", () =>
    deploy(
      Effect.andThen(Step.run("a", { success: Schema.Number }, Effect.succeed(7)), Effect.fail(new Oops())),
      Step.run("a", {
        success: Schema.Struct({ cents: Schema.Number, currency: Schema.String }),
        version: 3,
        upcast: [
          Job.version(1, Schema.Number, (euros) => euros * 100),
          Job.version(2, Schema.Number, (cents) => ({ cents, currency: "EUR" }))
        ]
      }, Effect.die("runs again")),
      (id) =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* Order.handle(id).await, { cents: 700, currency: "EUR" })
        })
    ))

  it.effect("a value that no longer decodes, and no upcast lifts, is a defect that says what to do", () =>
    deploy(
      Effect.andThen(Step.run("a", { success: Schema.Number }, Effect.succeed(7)), Effect.fail(new Oops())),
      Step.run("a", { success: Schema.String }, Effect.die("runs again")),
      (id) =>
        Effect.gen(function*() {
          const { failures } = yield* recordOf(id)
          assert.match(
            failures.at(-1)!.message,
            /^what step a of job Order has kept \(version 1\) does not decode.*upcast/s
          )
        })
    ))

  it.effect("a value of a newer release is left to that, uncharged", () =>
    deploy(
      Effect.andThen(Step.run("a", { success: Schema.Number, version: 2 }, Effect.succeed(7)), Effect.fail(new Oops())),
      Step.run("a", { success: Schema.Number }, Effect.die("runs again")),
      (id) =>
        Effect.gen(function*() {
          const { attempt, failures, state } = yield* recordOf(id)
          assert.deepStrictEqual([state, attempt, failures.at(-1)!.tag], ["scheduled", 1, "NewerStep"])
        })
    ))

  it.effect("a step that is renamed runs, and the old name is told once and listed in the record", () => {
    const warnings: Array<unknown> = []
    const listen = Logger.layer([
      Logger.make(({ logLevel, message }) => void (logLevel === "Warn" && warnings.push(message)))
    ])
    let runs = 0
    const step = (name: string) => Step.run(name, Effect.sync(() => ++runs))
    return deploy(
      Effect.andThen(step("charge"), Effect.fail(new Oops())),
      step("chargeCard"),
      (id) =>
        Effect.gen(function*() {
          const record = yield* recordOf(id)
          const line = "no step asked for what is kept of charge: was it renamed or taken out?"
          assert.deepStrictEqual([runs, record.state, record.logs.map(({ message }) => message)], [2, "completed", [
            line
          ]])
          assert.deepStrictEqual(
            warnings.flat().filter((message) => String(message).includes("no step asked")),
            [`job Order, record ${id}: ${line}`]
          )
        })
    ).pipe(Effect.provide(listen))
  })

  const items = (name: string) =>
    Step.each(name, {
      cursor: Schema.Int,
      items: () => Stream.make(1),
      cursorOf: (item) => item,
      run: () => Effect.void
    })

  it.effect("a step inside of one that is kept is not told as left over", () => {
    const both = Step.run("outer", Step.run("middle", Effect.andThen(Step.run("inner", Effect.void), items("items"))))
    return deploy(
      Effect.andThen(both, Effect.fail(new Oops())),
      both,
      (id) =>
        Effect.gen(function*() {
          const { logs, state } = yield* recordOf(id)
          assert.deepStrictEqual([state, logs], ["completed", []])
        })
    )
  })

  it.effect("a step inside of one that runs again is told when it is renamed", () => {
    const both = (inner: string, then: Effect.Effect<void, Oops>) =>
      Step.run("outer", Effect.andThen(Step.run(inner, Effect.void), then))
    return deploy(
      both("inner", Effect.fail(new Oops())),
      both("renamed", Effect.void),
      (id) =>
        Effect.gen(function*() {
          const { logs } = yield* recordOf(id)
          assert.deepStrictEqual(logs.map(({ message }) => message), [
            "no step asked for what is kept of inner: was it renamed or taken out?"
          ])
        })
    )
  })

  it.effect("of checkpoints with the names of their records, each record has its line, and the log has some tens", () => {
    const warnings: Array<string> = []
    const listen = Logger.layer([
      Logger.make(({ logLevel, message }) => void (logLevel === "Warn" && warnings.push(String(message))))
    ])
    const handlers = Order.toLayer(({ id }) =>
      Effect.flatMap(JobContext.JobContext, ({ attempt }) =>
        attempt === 1
          ? Effect.andThen(Step.run(`of${id}`, Effect.void), Effect.fail(new Oops()))
          : Effect.succeed(null))
    )
    return Effect.gen(function*() {
      const ids = yield* Order.enqueueMany(Array.from({ length: 100 }, (_, i) => ({ id: String(i) })))
      yield* TestClock.adjust("1 minute")
      const records = yield* Effect.forEach(ids, ({ id }) => recordOf(id))
      assert.isTrue(records.every(({ logs, state }) => state === "completed" && logs.length === 1))
      assert.strictEqual(warnings.filter((message) => message.includes("no step asked")).length, 32)
    }).pipe(Effect.provide(withWorker(JobGroup.make(Order), handlers)), Effect.provide(listen))
  })

  it.effect("a name that another kind of step has kept is a defect", () =>
    deploy(
      Effect.andThen(Step.run("a", Effect.void), Effect.fail(new Oops())),
      Step.sleep("a", "1 hour"),
      (id) =>
        Effect.gen(function*() {
          assert.include(
            (yield* deadOf(id))[1],
            "step a of job Order is a timer, and its record has kept a step of that name"
          )
        })
    ))
})

describe("Step.sleep and Step.until", () => {
  it.effect("free the slot for as long as it takes, and charge no attempt", () => {
    const done: Array<string> = []
    class Small extends Job.make("Small", { success: Schema.Number }) {}
    const handlers = Layer.merge(
      order(() =>
        Effect.gen(function*() {
          yield* Step.run("before", note(done, "before"))
          yield* Step.sleep("month", "30 days")
          yield* Step.until("newYear", 40 * 86_400_000)
          yield* Step.until("past", 0)
          yield* note(done, "after")
        })
      ),
      Small.toLayer(() => Effect.succeed(1))
    )
    return Effect.gen(function*() {
      const handle = yield* enqueue
      yield* settle
      const record = yield* recordOf(handle.id)
      assert.deepStrictEqual([record.state, record.attempt, record.dueAt], ["scheduled", 0, 30 * 86_400_000])
      assert.strictEqual(yield* Small.run(), 1)
      yield* TestClock.adjust("30 days")
      assert.strictEqual((yield* recordOf(handle.id)).dueAt, 40 * 86_400_000)
      yield* TestClock.adjust("10 days")
      yield* handle.await
      assert.deepStrictEqual([done, (yield* recordOf(handle.id)).attempt], [["before", "after"], 1])
    }).pipe(Effect.provide(withWorker(JobGroup.make(Order, Small), handlers, { concurrency: 1 })))
  })

  it.effect("a record that is woken early sleeps on", () =>
    withHandler(() => Step.sleep("nap", "1 hour"), () =>
      Effect.gen(function*() {
        const store = yield* JobStore.JobStore
        const handle = yield* enqueue
        yield* settle
        yield* store.control({ action: { _tag: "Promote" }, where: { ids: [handle.id] }, limit: 1 })
        yield* settle
        assert.deepStrictEqual([(yield* recordOf(handle.id)).dueAt, (yield* recordOf(handle.id)).state], [
          3_600_000,
          "scheduled"
        ])
        yield* TestClock.adjust("1 hour")
        yield* handle.await
      })))

  it.effect("steps beside it end first, and a race that is won does not sleep", () =>
    withHandler((done) =>
      Effect.gen(function*() {
        yield* Effect.all([
          Step.sleep("nap", "1 hour"),
          Step.run("work", Effect.andThen(Effect.sleep("5 minutes"), note(done, "work")))
        ], {
          concurrency: "unbounded"
        })
        yield* Effect.race(
          Step.sleep("patience", "1 hour"),
          Step.run("quick", Effect.andThen(Effect.sleep("1 minute"), note(done, "quick")))
        )
      }), (done) =>
      Effect.gen(function*() {
        const handle = yield* enqueue
        yield* settle
        yield* TestClock.adjust("5 minutes")
        assert.deepStrictEqual([done, (yield* recordOf(handle.id)).state], [["work"], "scheduled"])
        yield* TestClock.adjust("55 minutes")
        yield* TestClock.adjust("1 minute")
        yield* handle.await
        assert.deepStrictEqual(done, ["work", "quick"])
      })))

  it.effect("inside of another step it is a defect", () =>
    withHandler(() => Step.run("a", Step.sleep("nap", "1 hour")), () =>
      Effect.gen(function*() {
        const { id } = yield* enqueue
        yield* settle
        assert.include((yield* deadOf(id))[1], "nap of job Order waits inside of another step")
      })))
})

describe("Step.each", () => {
  const total = 25
  const items = (after: Option.Option<number>) => Stream.range(Option.getOrElse(after, () => 0) + 1, total)
  const numbers = (run: (item: number) => Effect.Effect<unknown, Oops, JobContext.JobContext>, every: number) =>
    Step.each("numbers", { cursor: Schema.Int, items, cursorOf: (item) => item, every, run })

  it.effect("goes on after the last item that is kept, and a failure keeps what was done", () =>
    withHandler(
      (done) => numbers((item) => Effect.andThen(item === 13 ? failing(1) : Effect.void, note(done, String(item))), 10),
      (done) =>
        Effect.gen(function*() {
          const store = yield* JobStore.JobStore
          const handle = yield* enqueue
          yield* settle
          assert.deepStrictEqual(Object.keys((yield* store.get(handle.id))?.checkpoints ?? {}), ["numbers@2"])
          yield* TestClock.adjust("1 minute")
          assert.strictEqual(yield* handle.await, total)
          assert.deepStrictEqual(done, Array.from({ length: total }, (_, i) => String(i + 1)))
        })
    ))

  it.effect("after a death it repeats no more than it keeps the place of", () => {
    const done: Array<string> = []
    const handlers = order(() =>
      numbers(
        (item) =>
          Effect.andThen(
            note(done, String(item)),
            Effect.suspend(() => item === 13 && done.length === 13 ? Effect.never : Effect.void)
          ),
        10
      )
    )
    return Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      const handle = yield* enqueue
      yield* settle
      const { fence, id } = yield* recordOf(handle.id)
      // Its worker is taken for dead without a word.
      yield* store.exchange({
        worker: "x",
        lease: 1,
        settlements: [{ id, fence, outcome: { _tag: "Release" }, finishedAfter: 0 }],
        demand: [],
        total: 0
      })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* handle.await, total)
      assert.deepStrictEqual(done.filter((item) => Number(item) <= 10).length, 10)
      assert.strictEqual(done.length, total + 3)
    }).pipe(Effect.provide(withWorker(JobGroup.make(Order), handlers)))
  })
})
