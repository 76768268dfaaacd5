import { assert, describe, it } from "@effect/vitest"
import { Job, JobError, JobGroup, type JobRecord, Jobs, JobStore } from "capstan"
import { Effect, Fiber, Layer, Logger, Redacted, Schedule, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { recordOf, settle, withOnly, withWorker } from "./harness.ts"

class Broken extends Schema.TaggedError<Broken>()("Broken", { token: Schema.Redacted(Schema.String) }) {}
class Parse extends Job.make("Parse", {
  payload: { text: Schema.NonEmptyString },
  success: Schema.Number,
  error: Broken,
  maxAttempts: 1,
  maxPayloadBytes: 64,
  tags: ["import"]
}) {}
const group = JobGroup.make(Parse)
const layer = withWorker(
  group,
  Parse.toLayer(({ text }) =>
    Number.isNaN(Number(text))
      ? Effect.fail(new Broken({ token: Redacted.make("hunter2") }))
      : Effect.succeed(Number(text))
  )
)
const none: Jobs.Counts = { changed: 0, requested: 0, unchanged: 0, notFound: 0 }
const storeOnly = Layer.provideMerge(Jobs.layer, JobStore.layerMemory())

describe("Jobs", () => {
  it.effect("a dead record is found by its error, edited through the schema and replayed", () =>
    Effect.gen(function*() {
      const jobs = yield* Jobs.Jobs
      const { id } = yield* Parse.enqueue({ text: "abc" })
      yield* settle
      const { records } = yield* jobs.query({ errorTag: "Broken", states: ["dead"], label: "import" })
      assert.deepStrictEqual(records.map((record) => record.id), [id])
      const refused = yield* Effect.flip(jobs.editAndReplay(Parse, id, { text: "" }))
      assert.strictEqual((refused as JobError.EnqueueError).reason._tag, "InvalidPayload")
      // 40 characters, 80 bytes.
      const tooLarge = yield* Effect.flip(jobs.editAndReplay(Parse, id, { text: "ü".repeat(40) }))
      assert.strictEqual((tooLarge as JobError.EnqueueError).reason._tag, "TooLarge")
      assert.strictEqual(yield* jobs.editAndReplay(Parse, id, { text: "7" }), "Changed")
      assert.strictEqual(yield* Parse.handle(id).await, 7)
      assert.strictEqual(yield* jobs.editAndReplay(Parse, "no-such-id", { text: "7" }), "NotFound")
      const Other = Job.make("Other", { payload: { text: Schema.String } })
      assert.strictEqual((yield* Effect.flip(jobs.editAndReplay(Other, id, { text: "7" })))._tag, "JobControlError")
    }).pipe(Effect.provide(layer)))

  it.effect("a redacted part of an error is masked in the record, its history and its failures", () =>
    Effect.gen(function*() {
      const { id } = yield* Parse.enqueue({ text: "abc" })
      yield* settle
      assert.notInclude(JSON.stringify(yield* recordOf(id)), "hunter2")
      const error = yield* Effect.flip(Parse.handle(id).await)
      assert.strictEqual(Redacted.value((error as Broken).token), "hunter2")
    }).pipe(Effect.provide(layer)))

  it.effect("a payload that is edited with a newer version is masked by that, and the history by both", () => {
    const Old = Job.make("Card", { payload: { n: Schema.Number }, error: Broken, maxAttempts: 1 })
    const older = Job.version(1, Old.payloadSchema, ({ n }) => ({ n, card: "" }))
    const card = Schema.String.annotate({ sensitive: true })
    const New = Job.make("Card", { version: 2, previous: [older], payload: { n: Schema.Number, card } })
    const broken = Old.toLayer(() => Effect.fail(new Broken({ token: Redacted.make("hunter2") })))
    return Effect.gen(function*() {
      const { id } = yield* Old.enqueue({ n: 1 })
      yield* settle
      const jobs = yield* Jobs.Jobs
      yield* jobs.pause("default")
      assert.strictEqual(yield* jobs.editAndReplay(New, id, { n: 1, card: "4111" }), "Changed")
      const record = yield* recordOf(id)
      assert.strictEqual(record.payload, `{"n":1,"card":"<redacted>"}`)
      assert.strictEqual(record.attempts[0]?.failure?.tag, "Broken")
      assert.notInclude(JSON.stringify(record), "hunter2")
    }).pipe(Effect.provide(withWorker(JobGroup.make(Old), broken)))
  })

  it.effect("actions say how many, also over more than one chunk, and do nothing the second time", () =>
    Effect.gen(function*() {
      const jobs = yield* Jobs.Jobs
      yield* Parse.enqueueMany(Array.from({ length: 1200 }, () => ({ text: "1" })), { delay: "1 hour" })
      assert.deepStrictEqual(yield* jobs.reprioritise({ tag: "Parse" }, "high"), { ...none, changed: 1200 })
      assert.deepStrictEqual(yield* jobs.promote({ tag: "Parse" }), { ...none, changed: 1200 })
      assert.deepStrictEqual(yield* jobs.promote({ tag: "Parse" }), { ...none, unchanged: 1200 })
      assert.deepStrictEqual(yield* jobs.reschedule({ tag: "Parse" }, { delay: "1 minute" }), {
        ...none,
        changed: 1200
      })
      assert.deepStrictEqual(yield* jobs.drain("default"), { ...none, changed: 1200 })
      assert.deepStrictEqual(yield* jobs.purge({ tag: "Parse" }), { ...none, changed: 1200 })
      assert.strictEqual((yield* Stream.runCollect(jobs.stream({}))).length, 0)
    }).pipe(Effect.provide(storeOnly)))

  it.effect("a condition that a call does not know is refused, and nothing is read or changed", () =>
    Effect.gen(function*() {
      const jobs = yield* Jobs.Jobs
      yield* Parse.enqueueMany([{ text: "1" }, { text: "2" }], { delay: "1 hour" })
      // As a program without types has them.
      const withPayload: object = { tag: "Parse", payload: { "/text": "1" } }
      const misspelt: object = { tags: "Parse" }
      const calls: Readonly<Record<string, (where: object) => Effect.Effect<unknown, unknown>>> = {
        retry: jobs.retry,
        promote: jobs.promote,
        delete: jobs.delete,
        purge: jobs.purge,
        cancelMany: (where) => jobs.cancelMany(where, { reason: "r" }),
        reschedule: (where) => jobs.reschedule(where, { delay: 0 }),
        reprioritise: (where) => jobs.reprioritise(where, "high")
      }
      for (const [name, call] of Object.entries(calls)) {
        const error = yield* Effect.flip(call(withPayload))
        assert.deepInclude(error, { _tag: "JobControlError", option: "where.payload" }, name)
        assert.include(String(error), "find the records by it there, and give their ids here", name)
        assert.include(String(yield* Effect.flip(call(misspelt))), "option where.tags: is no condition", name)
      }
      for (const read of [jobs.query(misspelt), Stream.runDrain(jobs.stream(misspelt))]) {
        assert.deepInclude(yield* Effect.flip(read), { _tag: "JobControlError", option: "where.tags" })
      }
      const { records } = yield* jobs.query({ tag: "Parse" })
      assert.deepStrictEqual(records.map(({ priority, state }) => [state, priority]), [["scheduled", 0], [
        "scheduled",
        0
      ]])
      // What is not given is no condition.
      const given: object = { tag: "Parse", payload: undefined }
      assert.deepStrictEqual(yield* jobs.promote(given), { ...none, changed: 2 })
    }).pipe(Effect.provide(storeOnly)))

  it.effect("each action is idempotent: it says what it changed, and the second time that nothing is left to change", () =>
    Effect.gen(function*() {
      const jobs = yield* Jobs.Jobs
      const twice = function*<E>(
        action: Effect.Effect<Jobs.Counts, E>,
        first: Partial<Jobs.Counts>,
        second: Partial<Jobs.Counts>
      ) {
        assert.deepStrictEqual([yield* action, yield* action], [{ ...none, ...first }, { ...none, ...second }])
      }
      const [changed, unchanged] = [{ changed: 3 }, { unchanged: 3 }]
      const where = { tag: "Parse" }
      yield* Parse.enqueueMany(Array.from({ length: 3 }, () => ({ text: "1" })), { delay: "1 hour" })
      yield* twice(jobs.reprioritise(where, 7), changed, unchanged)
      yield* twice(jobs.reschedule(where, { delay: "1 minute" }), changed, unchanged)
      yield* twice(jobs.reschedule(where, { runAt: 5000 }), changed, unchanged)
      yield* twice(jobs.promote(where), changed, unchanged)
      yield* twice(jobs.reschedule(where, { delay: 0 }), unchanged, unchanged)
      yield* twice(jobs.cancelMany(where, { reason: "r" }), changed, unchanged)
      yield* twice(jobs.retry(where), changed, unchanged)
      const [{ id }] = (yield* jobs.query(where)).records as [JobRecord.JobRecord]
      assert.deepStrictEqual([yield* jobs.cancel(id, { reason: "r" }), yield* jobs.cancel(id, { reason: "s" })], [
        "Cancelled",
        "Settled"
      ])
      assert.deepInclude(yield* Effect.flip(Parse.handle(id).await), { _tag: "JobCancelled", cancelReason: "r" })
      yield* twice(jobs.purge(where), { changed: 1 }, none)
      yield* twice(jobs.delete(where), { changed: 2 }, none)
      assert.strictEqual(yield* jobs.cancel(id, { reason: "r" }), "NotFound")
      yield* twice(jobs.delete({ ids: [id] }), { notFound: 1 }, { notFound: 1 })
      for (const action of [jobs.pause("default"), jobs.resume("default")]) {
        assert.deepStrictEqual([yield* action, yield* action], [true, false])
      }
    }).pipe(Effect.provide(storeOnly)))

  it.effect("a drain leaves what runs, and a purge what lives; both say that nothing is left the second time", () => {
    class Long extends Job.make("Long", { queue: "long" }) {}
    class After extends Job.make("After", { queue: "long", unique: { key: () => "k", onConflict: "runAfter" } }) {}
    const Both = JobGroup.make(Long, After)
    const live = withWorker(Both, Both.toLayer({ Long: () => Effect.never, After: () => Effect.never }))
    return Effect.gen(function*() {
      const jobs = yield* Jobs.Jobs
      const running = [yield* Long.enqueue(), yield* After.enqueue()]
      yield* settle
      yield* jobs.pause("long")
      const waiting = [
        yield* Long.enqueue(),
        yield* Long.enqueue(undefined, { delay: "1 hour" }),
        yield* After.enqueue()
      ]
      const statesOf = (handles: ReadonlyArray<{ readonly id: string }>) =>
        Effect.forEach(handles, ({ id }) => Effect.map(recordOf(id), ({ state }) => state))
      assert.deepStrictEqual(yield* statesOf([...running, ...waiting]), [
        "running",
        "running",
        "ready",
        "scheduled",
        "blocked"
      ])
      assert.deepStrictEqual(yield* jobs.purge({ queue: "long" }), none)
      assert.deepStrictEqual(yield* jobs.drain("long"), { ...none, changed: 3 })
      assert.deepStrictEqual(yield* jobs.drain("long"), none)
      assert.deepStrictEqual(yield* statesOf(waiting), ["cancelled", "cancelled", "cancelled"])
      yield* jobs.resume("long")
      yield* settle
      assert.deepStrictEqual(yield* statesOf(running), ["running", "running"])
      // What lives is none of its business, even by name.
      assert.deepStrictEqual(yield* jobs.purge({ queue: "long", states: ["running"] }), none)
      assert.deepStrictEqual(yield* jobs.purge({ queue: "long" }), { ...none, changed: 3 })
      assert.deepStrictEqual(yield* jobs.purge({ queue: "long" }), none)
      assert.deepStrictEqual(yield* jobs.delete({ queue: "long" }), { ...none, unchanged: 2 })
      assert.deepStrictEqual(yield* statesOf(running), ["running", "running"])
      // Asked twice, it stops once, for the first reason.
      for (const reason of ["r", "s"]) {
        assert.deepStrictEqual(yield* jobs.cancelMany({ queue: "long" }, { reason }), { ...none, requested: 2 })
      }
      const ended = yield* Effect.flip(running[0]!.await)
      assert.deepInclude(ended, { _tag: "JobCancelled", cancelReason: "r" })
      assert.deepStrictEqual(yield* jobs.cancelMany({ queue: "long" }, { reason: "t" }), { ...none, unchanged: 2 })
    }).pipe(Effect.provide(live))
  })

  it.effect("streams all that match, page by page", () =>
    Effect.gen(function*() {
      const jobs = yield* Jobs.Jobs
      yield* Parse.enqueueMany(Array.from({ length: 130 }, () => ({ text: "1" })))
      const records = yield* Stream.runCollect(jobs.stream({ limit: 50 }))
      assert.strictEqual(new Set(records.map(({ id }) => id)).size, 130)
    }).pipe(Effect.provide(storeOnly)))

  it.effect("options out of their range are refused", () =>
    Effect.gen(function*() {
      const jobs = yield* Jobs.Jobs
      assert.include((yield* Effect.flip(jobs.query({ limit: 0 }))).message, "limit")
      assert.include(
        (yield* Effect.flip(jobs.query({ cursor: "12a" }))).message,
        "cursor: is none that this store gave"
      )
      assert.include((yield* Effect.flip(jobs.reprioritise({}, 101))).message, "priority")
      assert.include((yield* Effect.flip(jobs.reschedule({}, { runAt: "never" }))).message, "runAt")
    }).pipe(Effect.provide(storeOnly)))

  it.effect("an alert hangs on the stream of events", () =>
    Effect.gen(function*() {
      const jobs = yield* Jobs.Jobs
      const alert = yield* Effect.forkChild(Stream.runHead(Stream.filter(jobs.events, ({ type }) => type === "dead")))
      yield* settle
      const { id } = yield* Parse.enqueue({ text: "abc" })
      yield* settle
      const event = yield* Fiber.join(alert)
      assert.deepInclude(event._tag === "Some" ? event.value : {}, { type: "dead", id, tag: "Parse", reason: "Broken" })
    }).pipe(Effect.provide(layer)))
})

describe("what a job marks as sensitive", () => {
  const Secret = Schema.String.annotate({ sensitive: true })
  class Declined extends Schema.TaggedError<Declined>()("Declined", {
    card: Secret,
    pin: Schema.Redacted(Schema.Number),
    bank: Schema.String
  }) {
    override get message(): string {
      return `card ${this.card}, pin ${Redacted.value(this.pin)}: ${this.bank} says no`
    }
  }
  class Refused extends Schema.TaggedError<Refused>()("Refused", { message: Secret }) {}
  class Pay extends Job.make("Pay", {
    payload: { card: Secret, amount: Schema.Number },
    success: Schema.Struct({ receipt: Secret, amount: Schema.Number }),
    progress: Schema.Struct({ token: Secret, step: Schema.Number }),
    error: Schema.Union([Declined, Refused]),
    maxAttempts: 2,
    retry: Schedule.recurs(1)
  }) {}
  const secrets = ["4111-1111", "1234", "r-secret", "t-secret"]

  const declined = new Declined({ card: "4111-1111", pin: Redacted.make(1234), bank: "Acme" })
  const program = (answer: Effect.Effect<typeof Pay.successSchema.Type, Declined | Refused>) => {
    const handlers = Pay.toLayer(() => Effect.andThen(Pay.progress({ token: "t-secret", step: 1 }), answer))
    return withWorker(JobGroup.make(Pay), handlers)
  }
  /** All that is told of all records, by every way. */
  const seen = Effect.gen(function*() {
    const jobs = yield* Jobs.Jobs
    const { records } = yield* jobs.query({ order: "oldest" })
    const streamed = yield* Stream.runCollect(jobs.stream({ order: "oldest" }))
    const got = yield* Effect.forEach(records, ({ id }) => recordOf(id))
    const all = JSON.stringify([records, streamed, got])
    for (const secret of secrets) assert.notInclude(all, secret)
    return got
  })
  const enqueue = Pay.enqueue({ card: "4111-1111", amount: 1 })

  it.effect("is masked in a result and in progress", () =>
    Effect.gen(function*() {
      const { id } = yield* enqueue
      yield* settle
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Pay.handle(id).await, { receipt: "r-secret", amount: 1 })
      const [record] = yield* seen
      assert.strictEqual(record?.payload, `{"card":"<redacted>","amount":1}`)
      assert.strictEqual(record?.result, `{"receipt":"<redacted>","amount":1}`)
      assert.strictEqual(record?.progress, `{"token":"<redacted>","step":1}`)
    }).pipe(Effect.provide(program(Effect.succeed({ receipt: "r-secret", amount: 1 })))))

  it.effect("is masked in the message that an error makes of it, in failures and attempts; who awaits it is told all", () =>
    Effect.gen(function*() {
      const { id } = yield* enqueue
      const error = yield* Effect.flip(Pay.handle(id).await)
      assert.strictEqual((error as Declined).message, declined.message)
      const [record] = yield* seen
      assert.deepStrictEqual([record?.failures.length, record?.attempts.length], [2, 2])
      for (const failure of [...record!.failures, ...record!.attempts.map(({ failure }) => failure)]) {
        assert.strictEqual(failure?.message, "card <redacted>, pin <redacted>: Acme says no")
      }
    }).pipe(Effect.provide(program(Effect.fail(declined)))))

  it.effect("is masked where the message is the sensitive field", () =>
    Effect.gen(function*() {
      const { id } = yield* enqueue
      yield* settle
      yield* seen
      assert.strictEqual((yield* recordOf(id)).failures[0]?.message, "<redacted>")
    }).pipe(Effect.provide(program(Effect.fail(new Refused({ message: "no funds on 4111-1111" }))))))

  it.effect("takes the whole message along, when the error was too long to be kept whole", () =>
    Effect.gen(function*() {
      const { id } = yield* enqueue
      yield* settle
      yield* seen
      assert.strictEqual((yield* recordOf(id)).failures[0]?.message, "<redacted>")
    }).pipe(Effect.provide(program(Effect.fail(
      new Declined({ card: "4111-1111", pin: Redacted.make(1234), bank: "Acme".repeat(2000) })
    )))))

  it.effect("is masked in the header of a record that tells its handler of a death", () =>
    Effect.gen(function*() {
      yield* enqueue
      yield* settle
      const store = yield* JobStore.JobStore
      yield* store.pause("default", true)
      const [dead] = (yield* store.query({ where: { tag: "Pay" }, order: "oldest", limit: 1 })).records
      const told = JSON.stringify({ reason: "Crashed", failure: dead?.failures[0] })
      const { id } = yield* Pay.enqueue({ card: "4111-1111", amount: 1 }, {
        headers: { [JobStore.endedHeader]: told, a: "b" }
      })
      assert.include((yield* store.get(id))?.headers[JobStore.endedHeader] ?? "", "4111-1111")
      yield* seen
      const { a, [JobStore.endedHeader]: ended } = (yield* recordOf(id)).headers
      const { failure, reason } = JSON.parse(ended ?? "{}")
      assert.deepStrictEqual([a, reason, failure?.message], [
        "b",
        "Crashed",
        "card <redacted>, pin <redacted>: Acme says no"
      ])
    }).pipe(Effect.provide(program(Effect.fail(declined)))))
})

const keeping = (maxFinished: number) =>
  withOnly(group, Parse.toLayer(() => Effect.succeed(1))).pipe(
    Layer.provideMerge(Jobs.layer),
    Layer.provideMerge(JobStore.layerMemory({ maxFinished }))
  )

describe("the memory store", () => {
  it.effect("says on shutdown how many records of which jobs are lost", () => {
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => void lines.push(JSON.stringify(message)))
    return Effect.gen(function*() {
      yield* Effect.provide(Parse.enqueueMany([{ text: "1" }, { text: "2" }]), Layer.fresh(JobStore.layerMemory()))
      assert.strictEqual(lines.length, 1)
      assert.include(lines[0]!, "2 unfinished records are lost")
      assert.include(lines[0]!, `"Parse":2`)
    }).pipe(Effect.provide(Logger.layer([logger])))
  })

  it.effect("keeps at most maxFinished records, the oldest go first", () =>
    Effect.gen(function*() {
      const answers = yield* Parse.enqueueMany(Array.from({ length: 30 }, () => ({ text: "1" })))
      yield* settle
      yield* TestClock.adjust(1)
      const jobs = yield* Jobs.Jobs
      const { records } = yield* jobs.query({ order: "oldest" })
      assert.deepStrictEqual(records.map(({ id }) => id), answers.slice(20).map(({ id }) => id))
    }).pipe(Effect.provide(keeping(10))))

  it.effect("refuses bounds that cannot be meant", () =>
    Effect.gen(function*() {
      for (const options of [{ maxFinished: -1 }, { maxFinished: NaN }, { maxCrashes: 0 }, { maxCrashes: 1.5 }]) {
        const exit = yield* Effect.exit(Effect.scoped(Layer.build(Layer.fresh(JobStore.layerMemory(options)))))
        assert.include(String(exit), "must be an integer from", JSON.stringify(options))
      }
      yield* Effect.scoped(Layer.build(Layer.fresh(JobStore.layerMemory({ maxFinished: 0, maxCrashes: 1 }))))
    }))
})
