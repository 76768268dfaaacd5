import { assert, describe, it } from "@effect/vitest"
import { Job, JobError, JobGroup, Jobs, JobStore } from "capstan"
import { Context, DateTime, Effect, Layer, Redacted, Schema } from "effect"
import { TestClock } from "effect/testing"
import { recordOf, settle, storeWith, withWorker } from "./harness.ts"

class Mail extends Job.make("Mail", {
  payload: { to: Schema.String, text: Schema.optionalKey(Schema.String) },
  queue: "mail",
  maxPayloadBytes: 64
}) {}
class MailGroup extends JobGroup.make(Mail) {}

const order: Array<string> = []
const mail = withWorker(
  MailGroup,
  MailGroup.toLayer({ Mail: ({ to }) => Effect.asVoid(Effect.sync(() => order.push(to))) }),
  { concurrency: 1 }
)
const storeOnly = Layer.provideMerge(Jobs.layer, JobStore.layerMemory())

const reasonOf = (error: JobError.EnqueueError | JobError.JobStoreError) => error.reason._tag

describe("enqueue", () => {
  it.effect("answers Inserted, and Existing with the same id for a known idempotency key", () =>
    Effect.gen(function*() {
      const first = yield* Mail.enqueue({ to: "a" }, { idempotencyKey: "k" })
      const second = yield* Mail.enqueue({ to: "b" }, { idempotencyKey: "k" })
      assert.strictEqual(first.outcome, "Inserted")
      assert.strictEqual(second.outcome, "Existing")
      assert.strictEqual(second.id, first.id)
    }).pipe(Effect.provide(storeOnly)))

  it.effect("answers no handle of what the store has refused", () =>
    Effect.gen(function*() {
      const one = Effect.asVoid(Mail.enqueue({ to: "a" }))
      const many = Effect.asVoid(Mail.enqueueMany([{ to: "a" }, { to: "b" }]))
      for (const enqueue of [one, many]) {
        const error = yield* Effect.flip(enqueue)
        assert.strictEqual(reasonOf(error), "Incompatible")
        assert.include(error.message, "it refused job Mail and named no conflict, so nothing of the call is stored")
      }
    }).pipe(Effect.provide(storeWith(() => ({
      enqueue: ({ records }) => Effect.succeed(records.map(({ id }) => ({ id, outcome: "Refused" as const })))
    })))))

  it.effect("an idempotency key is known in every state while the record is kept", () =>
    Effect.gen(function*() {
      const first = yield* Mail.enqueue({ to: "a" }, { idempotencyKey: "k" })
      yield* first.await
      assert.strictEqual((yield* Mail.enqueue({ to: "b" }, { idempotencyKey: "k" })).outcome, "Existing")
      yield* TestClock.adjust("25 hours")
      assert.strictEqual((yield* Mail.enqueue({ to: "b" }, { idempotencyKey: "k" })).outcome, "Inserted")
    }).pipe(Effect.provide(mail)))

  it.effect("enqueueMany answers in the order of the payloads, with a key for each", () =>
    Effect.gen(function*() {
      const key = (payload: { readonly to: string }) => payload.to
      const answers = yield* Mail.enqueueMany([{ to: "a" }, { to: "b" }, { to: "a" }], { idempotencyKey: key })
      assert.deepStrictEqual(answers.map(({ outcome }) => outcome), ["Inserted", "Inserted", "Existing"])
      assert.strictEqual(answers[2]!.id, answers[0]!.id)
    }).pipe(Effect.provide(storeOnly)))

  it.effect("enqueueMany stores more than one chunk", () =>
    Effect.gen(function*() {
      const answers = yield* Mail.enqueueMany(Array.from({ length: 2500 }, (_, i) => ({ to: String(i) })))
      assert.strictEqual(new Set(answers.map(({ id }) => id)).size, 2500)
      const jobs = yield* Jobs.Jobs
      assert.strictEqual((yield* jobs.stats).queues[0]!.counts.ready, 2500)
    }).pipe(Effect.provide(storeOnly)))

  it.effect("a payload that does not satisfy its schema is refused with its place, and nothing is stored", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Mail.enqueueMany([{ to: "a" }, { to: 1 as unknown as string }]))
      assert.strictEqual(reasonOf(error), "InvalidPayload")
      assert.include(error.message, "payload 1 of job Mail")
      const jobs = yield* Jobs.Jobs
      assert.deepStrictEqual((yield* jobs.query({})).records, [])
    }).pipe(Effect.provide(storeOnly)))

  it.effect("says what is wrong with a payload and where, also when its schema has defaults or dates", () => {
    const count = Schema.Number.pipe(Schema.withConstructorDefault(Effect.succeed(7)))
    class Defaults
      extends Job.make("Defaults", { payload: { inner: Schema.Struct({ count }), text: Schema.String } })
    {}
    class Dated extends Job.make("Dated", { payload: { at: Schema.Date, text: Schema.NonEmptyString } }) {}
    class Point extends Schema.Class<Point>("Point")({ x: Schema.Int, y: count }) {}
    class Classy extends Job.make("Classy", { payload: Point }) {}
    const wrong = (value: unknown) => value as never
    return Effect.gen(function*() {
      const issueOf = (
        enqueue: Effect.Effect<unknown, JobError.EnqueueError | JobError.JobStoreError, JobStore.JobStore>
      ) => Effect.map(Effect.flip(enqueue), ({ reason }) => (reason as JobError.InvalidPayload).issue)
      assert.include(yield* issueOf(Mail.enqueue(wrong({ to: 1 }))), "Expected string")
      assert.include(yield* issueOf(Mail.enqueue(wrong({}))), `["to"]`)
      assert.include(
        yield* issueOf(Defaults.enqueue(wrong({ inner: { count: "x" }, text: "t" }))),
        `["inner"]["count"]`
      )
      assert.include(yield* issueOf(Dated.enqueue({ at: new Date(0), text: "" })), `["text"]`)
      assert.include(yield* issueOf(Classy.enqueue({ x: 0.5 })), `["x"]`)
      yield* Defaults.enqueue({ inner: {}, text: "t" })
      yield* Classy.enqueue({ x: 1 })
      const { records } = yield* (yield* Jobs.Jobs).query({ order: "oldest" })
      assert.deepStrictEqual(records.map(({ payload }) => payload), [
        `{"inner":{"count":7},"text":"t"}`,
        `{"x":1,"y":7}`
      ])
    }).pipe(Effect.provide(storeOnly))
  })

  it.effect("a key that is too long is refused with the payload that made it", () => {
    const long = (payload: string) => payload.repeat(600)
    class Unique extends Job.make("Unique", { payload: Schema.String, unique: { key: long } }) {}
    class Keyed extends Job.make("Keyed", { payload: Schema.String, concurrency: { key: long, limit: 1 } }) {}
    class Apart extends Job.make("Apart", { payload: Schema.String, partition: long }) {}
    return Effect.gen(function*() {
      for (
        const [enqueue, option] of [
          [Mail.enqueueMany([{ to: "" }, { to: "a" }], { idempotencyKey: ({ to }) => long(to) }), "idempotencyKey"],
          [Unique.enqueueMany(["", "a"]), "unique"],
          [Keyed.enqueueMany(["", "a"]), "concurrency"],
          [Apart.enqueueMany(["", "a"]), "partition"]
        ] as const
      ) {
        const { reason } = yield* Effect.flip(enqueue)
        assert.strictEqual(reason._tag, "InvalidOption")
        assert.strictEqual((reason as JobError.InvalidOption).option, option)
        assert.include((reason as JobError.InvalidOption).issue, "for payload 1")
      }
      assert.deepStrictEqual((yield* (yield* Jobs.Jobs).query({})).records, [])
    }).pipe(Effect.provide(storeOnly))
  })

  it.effect("the payload limit counts bytes, not characters", () =>
    Effect.gen(function*() {
      yield* Mail.enqueue({ to: "x".repeat(40) })
      const error = yield* Effect.flip(Mail.enqueue({ to: "ü".repeat(40) }))
      assert.strictEqual(reasonOf(error), "TooLarge")
      assert.strictEqual((error.reason as JobError.TooLarge).bytes, 89)
    }).pipe(Effect.provide(storeOnly)))

  it.effect("options out of their range are refused", () =>
    Effect.gen(function*() {
      for (
        const options of [
          { priority: 101 },
          { priority: 1.5 },
          { delay: "Infinity" as const },
          { delay: 1, runAt: 5 },
          { runAt: "no date" }
        ]
      ) {
        const error = yield* Effect.flip(Mail.enqueue({ to: "a" }, options as Job.EnqueueOptions))
        assert.strictEqual(reasonOf(error), "InvalidOption")
      }
    }).pipe(Effect.provide(storeOnly)))

  it.effect("higher priorities run first, and first in, first out within one", () =>
    Effect.gen(function*() {
      order.length = 0
      const jobs = yield* Jobs.Jobs
      yield* jobs.pause("mail")
      yield* Mail.enqueue({ to: "normal 1" })
      yield* Mail.enqueue({ to: "low" }, { priority: "low" })
      yield* Mail.enqueue({ to: "normal 2" })
      yield* Mail.enqueue({ to: "high" }, { priority: "high" })
      yield* Mail.enqueue({ to: "11" }, { priority: 11 })
      yield* jobs.resume("mail")
      yield* settle
      assert.deepStrictEqual(order, ["11", "high", "normal 1", "normal 2", "low"])
    }).pipe(Effect.provide(mail)))

  it.effect("a delay and a runAt hold the record back until their instant", () =>
    Effect.gen(function*() {
      order.length = 0
      yield* Mail.enqueue({ to: "later" }, { runAt: DateTime.makeUnsafe(10_000) })
      yield* Mail.enqueue({ to: "soon" }, { delay: "5 seconds" })
      yield* settle
      assert.deepStrictEqual(order, [])
      yield* TestClock.adjust(5000)
      assert.deepStrictEqual(order, ["soon"])
      yield* TestClock.adjust(5000)
      assert.deepStrictEqual(order, ["soon", "later"])
    }).pipe(Effect.provide(mail)))

  it.effect("ids are UUIDv7 and rise", () =>
    Effect.gen(function*() {
      const answers = yield* Mail.enqueueMany(Array.from({ length: 10_000 }, () => ({ to: "a" })))
      const ids = answers.map(({ id }) => id as string)
      for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
      assert.deepStrictEqual(ids.toSorted(), ids)
    }).pipe(Effect.provide(storeOnly)))

  it.effect("what a job marks as sensitive leaves masked", () => {
    class Secret extends Job.make("Secret", {
      payload: { user: Schema.String, password: Schema.Redacted(Schema.String) }
    }) {}
    return Effect.gen(function*() {
      const { id } = yield* Secret.enqueue({ user: "u", password: Redacted.make("hunter2") })
      const record = yield* recordOf(id)
      assert.deepStrictEqual(JSON.parse(record.payload), { user: "u", password: "<redacted>" })
    }).pipe(Effect.provide(storeOnly))
  })

  it.effect("a propagated reference reaches the handler and the handler's children", () => {
    const Tenant = Context.Reference<string>("test/Tenant", { defaultValue: () => "nobody" })
    const propagate = [Job.propagate(Tenant, Schema.String)]
    const seen: Array<string> = []
    class Child extends Job.make("Child", { propagate }) {}
    class Parent extends Job.make("Parent", { propagate }) {}
    class Family extends JobGroup.make(Parent, Child) {}
    const note = Effect.map(Tenant, (tenant) => void seen.push(tenant))
    return Effect.gen(function*() {
      const handle = yield* Effect.provideService(Parent.enqueue(), Tenant, "acme")
      yield* settle
      assert.deepStrictEqual(seen, ["acme", "acme"])
      const jobs = yield* Jobs.Jobs
      const [child] = (yield* jobs.query({ tag: "Child" })).records
      assert.strictEqual(child?.parent, handle.id)
    }).pipe(Effect.provide(withWorker(
      Family,
      Family.toLayer({ Parent: () => Effect.andThen(note, Effect.asVoid(Child.enqueue())), Child: () => note })
    )))
  })

  it.effect("run inside a handler is refused before anything is stored", () => {
    class Inner extends Job.make("Inner") {}
    class Outer extends Job.make("Outer", { success: Schema.String }) {}
    class Both extends JobGroup.make(Inner, Outer) {}
    return Effect.gen(function*() {
      assert.strictEqual(yield* Outer.run(), "AwaitInHandler")
      assert.deepStrictEqual((yield* (yield* Jobs.Jobs).query({ tag: "Inner" })).records, [])
    }).pipe(Effect.provide(withWorker(
      Both,
      Both.toLayer({
        Inner: () => Effect.void,
        Outer: () =>
          Inner.run().pipe(
            Effect.as("ran"),
            Effect.catchTag("EnqueueError", (error) => Effect.succeed(error.reason._tag)),
            Effect.orDie
          )
      })
    )))
  })
})
