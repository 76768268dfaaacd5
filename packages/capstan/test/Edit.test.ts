/** A payload that somebody edits as JSON, where some of it is masked. */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, type JobRecord, Jobs, JobStore } from "capstan"
import { Effect, Layer, Option, Redacted, Schema } from "effect"
import { settle, withWorker } from "./harness.ts"

class Pay extends Job.make("Pay", {
  payload: {
    to: Schema.NonEmptyString,
    card: Schema.optionalKey(Schema.Redacted(Schema.String)),
    accounts: Schema.Array(Schema.Struct({ name: Schema.String, pin: Schema.Redacted(Schema.String) }))
  },
  success: Schema.String,
  maxPayloadBytes: 256
}) {}

const layer = withWorker(
  JobGroup.make(Pay),
  Pay.toLayer(({ accounts, card, to }) =>
    Effect.succeed(
      [to, card === undefined ? "none" : Redacted.value(card), ...accounts.map(({ pin }) => Redacted.value(pin))].join(
        " "
      )
    )
  )
)

const storeOnly = Layer.provideMerge(Jobs.layer, JobStore.layerMemory())

const paid = Pay.enqueue({
  to: "a",
  card: Redacted.make("4242"),
  accounts: [{ name: "x", pin: Redacted.make("1") }, { name: "y", pin: Redacted.make("2") }]
})

/** What somebody is shown, changed. */
const edit = (id: string, change: (shown: any) => unknown) =>
  Effect.gen(function*() {
    const jobs = yield* Jobs.Jobs
    const { payload } = Option.getOrThrow(yield* jobs.get(id))
    return yield* jobs.editAndReplayJson(Pay, id, JSON.stringify(change(JSON.parse(payload))))
  })

describe("a payload that is edited as JSON", () => {
  it.effect("keeps what is masked in it, and takes what is written in its place", () =>
    Effect.gen(function*() {
      const { await: ended, id } = yield* paid
      yield* settle
      assert.strictEqual(yield* ended, "a 4242 1 2")
      const outcome = yield* edit(id, (shown) => {
        assert.notInclude(JSON.stringify(shown), "4242")
        return { ...shown, to: "b", accounts: [shown.accounts[0], { name: "y", pin: "3" }] }
      })
      assert.strictEqual(outcome, "Changed")
      yield* settle
      assert.strictEqual(yield* Pay.handle(id).await, "b 4242 1 3")
    }).pipe(Effect.provide(layer)))

  it.effect("is refused where a mask stands for nothing, or for nobody knows what", () =>
    Effect.gen(function*() {
      const { id } = yield* Pay.enqueue({ to: "a", accounts: [{ name: "x", pin: Redacted.make("1") }] })
      const added = yield* Effect.flip(edit(id, (shown) => ({ ...shown, card: "<redacted>" })))
      assert.include(added.message, "/card")
      const longer = yield* Effect.flip(
        edit(id, (shown) => ({ ...shown, accounts: [{ name: "new", pin: "7" }, ...shown.accounts] }))
      )
      assert.include(longer.message, "/accounts/1/pin")
      assert.strictEqual(longer._tag, "JobControlError")
    }).pipe(Effect.provide(storeOnly)))

  it.effect("is refused when it is no JSON, does not fit its schema or is too large", () =>
    Effect.gen(function*() {
      const jobs = yield* Jobs.Jobs
      const { id } = yield* Pay.enqueue({ to: "a", accounts: [] })
      const text = yield* Effect.flip(jobs.editAndReplayJson(Pay, id, "{"))
      assert.include(text.message, "is no JSON")
      const wrong = yield* Effect.flip(edit(id, (shown) => ({ ...shown, to: "" })))
      assert.deepInclude(wrong, { _tag: "EnqueueError" })
      const large = yield* Effect.flip(edit(id, (shown) => ({ ...shown, to: "x".repeat(300) })))
      assert.include(large.message, "256")
      assert.strictEqual(Option.getOrThrow(yield* jobs.get(id)).payload, "{\"to\":\"a\",\"accounts\":[]}")
    }).pipe(Effect.provide(storeOnly)))
})

const one = { payload: { to: Schema.String, pin: Schema.Redacted(Schema.String) } }

class Old extends Job.make("Moved", one) {}

class Moved extends Job.make("Moved", {
  payload: { name: Schema.NonEmptyString, pin: Schema.Redacted(Schema.FiniteFromString) },
  version: 2,
  previous: [
    Job.version(1, Schema.Struct(one.payload), ({ pin, to }) => ({
      name: to,
      pin: Redacted.make(Number(Redacted.value(pin)))
    }))
  ]
}) {}

class Telling extends Job.make("Moved", {
  payload: { pin: Schema.Redacted(Schema.String) },
  version: 2,
  previous: [
    Job.version(1, Schema.Struct(one.payload), ({ pin }): { pin: typeof pin } => {
      throw new Error(`${Redacted.value(pin)} is too short`)
    })
  ]
}) {}

describe("whether a worker could read a payload", () => {
  const issueOf = (job: typeof Moved | typeof Telling | typeof Pay, payload: Parameters<typeof Old.enqueue>[0]) =>
    Effect.gen(function*() {
      const jobs = yield* Jobs.Jobs
      const { id } = yield* Old.enqueue(payload)
      return yield* jobs.payloadIssue(job, Option.getOrThrow(yield* jobs.get(id)))
    })

  it.effect("is asked of the version that the record has, lifted to the present one, with what is masked in it", () =>
    Effect.gen(function*() {
      assert.isTrue(Option.isNone(yield* issueOf(Moved, { to: "a", pin: Redacted.make("4242") })))
      const empty = yield* issueOf(Moved, { to: "", pin: Redacted.make("4242") })
      assert.include(Option.getOrThrow(empty), "name")
      const jobs = yield* Jobs.Jobs
      const { id } = yield* Moved.enqueue({ name: "a", pin: Redacted.make(1) })
      const newer = yield* jobs.payloadIssue(Old, Option.getOrThrow(yield* jobs.get(id)))
      assert.strictEqual(Option.getOrThrow(newer), "payload version 2 is not among the previous versions of Moved")
    }).pipe(Effect.provide(storeOnly)))

  it.effect("is told without what is masked", () =>
    Effect.gen(function*() {
      const issue = Option.getOrThrow(yield* issueOf(Telling, { to: "a", pin: Redacted.make("4242") }))
      assert.strictEqual(issue, "<redacted> is too short")
    }).pipe(Effect.provide(storeOnly)))

  it.effect("is not asked of another job's declaration", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(issueOf(Pay, { to: "a", pin: Redacted.make("1") }))
      assert.include(error.message, "is one of Moved, not of Pay")
    }).pipe(Effect.provide(storeOnly)))
})

const Pin = Schema.String.annotate({ sensitive: true })

class Loose extends Job.make("Pinned", { payload: { to: Schema.String, pin: Pin } }) {}

/** Its check names the value. */
class Strict extends Job.make("Pinned", {
  payload: {
    to: Schema.String,
    pin: Pin.check(Schema.makeFilter((pin: string) => pin.length > 8 || `${pin} is too short`))
  }
}) {}

describe("what is wrong with a payload names nothing that is masked in it", () => {
  /** What the store has of a record that a worker could not read. */
  const stored = (id: JobRecord.JobId) =>
    Effect.gen(function*() {
      yield* settle
      const record = (yield* (yield* JobStore.JobStore).get(id))!
      assert.strictEqual(record.deadReason, "InvalidPayload")
      assert.notInclude(JSON.stringify([record.failures, record.attempts]), "4242")
      return record.failures.map(({ message }) => message)
    })

  it.effect("where a worker's lift throws, as the store keeps it", () =>
    Effect.gen(function*() {
      const { id } = yield* Old.enqueue({ to: "a", pin: Redacted.make("4242") })
      assert.deepStrictEqual(yield* stored(id), ["<redacted> is too short"])
    }).pipe(Effect.provide(withWorker(JobGroup.make(Telling), Telling.toLayer(() => Effect.void)))))

  it.effect("where a worker's schema does not take it", () =>
    Effect.gen(function*() {
      const { id } = yield* Loose.enqueue({ to: "a", pin: "4242" })
      assert.match((yield* stored(id))[0]!, /^<redacted> is too short/)
    }).pipe(Effect.provide(withWorker(JobGroup.make(Strict), Strict.toLayer(() => Effect.void)))))

  it.effect("where it was masked by the older schema alone", () => {
    class Plain extends Job.make("Pinned", {
      payload: { secret: Schema.String },
      version: 2,
      previous: [
        Job.version(1, Schema.Struct({ to: Schema.String, pin: Pin }), ({ pin }): { secret: string } => {
          throw new Error(`${pin} is too short`)
        })
      ]
    }) {}
    return Effect.gen(function*() {
      const { id } = yield* Loose.enqueue({ to: "a", pin: "4242" })
      assert.deepStrictEqual(yield* stored(id), ["<redacted> is too short"])
    }).pipe(Effect.provide(withWorker(JobGroup.make(Plain), Plain.toLayer(() => Effect.void))))
  })

  it.effect("where a worker of an earlier release has stored it", () =>
    Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      const jobs = yield* Jobs.Jobs
      const { id } = yield* Loose.enqueue({ to: "a", pin: "red" })
      const demand = [{ queue: "default", slots: 1, share: 1 }]
      const work = { worker: "w", lease: 30_000, demand: [], total: 0, settlements: [] }
      const { claimed: [at] } = yield* store.exchange({ ...work, demand, total: 1 })
      const failure = { kind: "Defect", tag: "InvalidPayload", message: "red, not <redacted>" } as const
      const outcome = { _tag: "Dead", reason: "InvalidPayload", failure } as const
      yield* store.exchange({ ...work, settlements: [{ id, fence: at!.fence, outcome, finishedAfter: 0 }] })
      const { attempts, failures } = Option.getOrThrow(yield* jobs.get(id))
      for (const found of [...failures, attempts[0]!.failure!]) {
        assert.strictEqual(found.message, "<redacted>, not <redacted>")
      }
    }).pipe(Effect.provide(storeOnly)))

  it.effect("where it is edited with the mask left in", () =>
    Effect.gen(function*() {
      const jobs = yield* Jobs.Jobs
      const { id } = yield* Loose.enqueue({ to: "a", pin: "4242" })
      const { payload } = Option.getOrThrow(yield* jobs.get(id))
      const error = yield* Effect.flip(jobs.editAndReplayJson(Strict, id, payload.replace("\"a\"", "\"b\"")))
      assert.include(error.message, "<redacted> is too short")
      assert.notInclude(JSON.stringify([error, error.message]), "4242")
    }).pipe(Effect.provide(storeOnly)))
})
