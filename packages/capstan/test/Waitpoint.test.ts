import { assert, describe, it } from "@effect/vitest"
import { Job, JobError, JobGroup, JobStore, Step, Waitpoint } from "capstan"
import { Duration, Effect, Layer, Redacted, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { recordOf, settle, storeWith, withOnly, withWorker } from "./harness.ts"

class Rejected extends Schema.TaggedError<Rejected>()("Rejected", {}) {}
class Approval extends Waitpoint.make("Approval", { success: Schema.Struct({ by: Schema.String }) }) {}
class Other extends Waitpoint.make("Other") {}
class Publish extends Job.make("Publish", { success: Schema.String, error: Rejected, onError: { Rejected: "dead" } }) {}

const group = JobGroup.make(Publish)
const secret = Redacted.make("0123456789abcdef0123456789abcdef")
const anId = "00000000-0000-7000-8000-000000000001"

const patient = withWorker(group, Publish.toLayer(() => Effect.map(Approval.await, ({ by }) => by)))
const impatient = withWorker(
  group,
  Publish.toLayer(() =>
    Approval.awaitFor("1 day").pipe(
      Effect.map(({ by }) => by),
      Effect.catchTag("WaitpointTimedOut", () => Effect.succeed("nobody"))
    )
  )
)

describe("a waitpoint", () => {
  it.effect("holds its record without a worker until somebody completes it, typed", () =>
    Effect.gen(function*() {
      const handle = yield* Publish.enqueue()
      yield* settle
      const record = yield* recordOf(handle.id)
      assert.deepStrictEqual([record.blocked, record.attempt], [{ reason: "Waitpoint", on: "Approval" }, 0])
      yield* TestClock.adjust("365 days")
      assert.strictEqual(yield* Approval.complete(handle.id, { by: "ada" }), "Completed")
      assert.strictEqual(yield* handle.await, "ada")
      assert.strictEqual((yield* recordOf(handle.id)).attempt, 1)
    }).pipe(Effect.provide(patient)))

  it.effect("keeps the first completion, also before the wait, and tells the others that they are late", () =>
    Effect.gen(function*() {
      const handle = yield* Publish.enqueue(undefined, { delay: "1 minute" })
      assert.strictEqual(yield* Approval.complete(handle.id, { by: "ada" }), "Kept")
      assert.strictEqual(yield* Approval.complete(handle.id, { by: "grace" }), "TooLate")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* handle.await, "ada")
      assert.strictEqual(yield* Approval.complete(handle.id, { by: "grace" }), "NotFound")
      assert.strictEqual(yield* Approval.complete(anId, { by: "grace" }), "NotFound")
    }).pipe(Effect.provide(patient)))

  it.effect("times out, once and for all", () =>
    Effect.gen(function*() {
      const handle = yield* Publish.enqueue()
      yield* settle
      assert.strictEqual((yield* recordOf(handle.id)).dueAt, 86_400_000)
      yield* TestClock.adjust("1 day")
      assert.strictEqual(yield* handle.await, "nobody")
      const inTime = yield* Publish.enqueue()
      yield* settle
      yield* TestClock.adjust("23 hours")
      assert.strictEqual(yield* Approval.complete(inTime.id, { by: "ada" }), "Completed")
      assert.strictEqual(yield* inTime.await, "ada")
    }).pipe(Effect.provide(impatient)))

  it.effect("that is completed in the moment in which it times out has what was kept first", () => {
    // The signal arrives between the look of the attempt and its write.
    let signal: Effect.Effect<unknown, unknown> = Effect.void
    const racing = storeWith((store) => ({
      write: (entries) =>
        entries.some((entry) => entry._tag === "Step" && entry.name === "Approval")
          ? Effect.andThen(Effect.orDie(signal), store.write(entries))
          : store.write(entries)
    }))
    return Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      yield* Effect.gen(function*() {
        const handle = yield* Publish.enqueue()
        yield* settle
        signal = Effect.provideService(Approval.complete(handle.id, { by: "ada" }), JobStore.JobStore, store)
        yield* TestClock.adjust("1 day")
        assert.strictEqual(yield* handle.await, "ada")
      }).pipe(Effect.provide(withOnly(
        group,
        Publish.toLayer(() => Effect.map(Effect.orDie(Approval.awaitFor("1 day")), ({ by }) => by))
      )))
    }).pipe(Effect.provide(racing))
  })

  it.effect("whose value no longer decodes is a defect that says so", () =>
    Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      const { id } = yield* Publish.enqueue(undefined, { delay: "1 minute" })
      yield* store.signal({ id, waitpoint: "Approval", value: "5" })
      yield* TestClock.adjust("1 minute")
      assert.include((yield* recordOf(id)).failures[0]!.message, "what step Approval of job Publish has kept")
    }).pipe(Effect.provide(patient)))

  it.effect("beside a sleep: whichever comes first lets the record go on", () => {
    const layer = withWorker(
      group,
      Publish.toLayer(() =>
        Effect.race(
          Effect.map(Effect.orDie(Approval.await), ({ by }) => by),
          Effect.as(Effect.orDie(Step.sleep("patience", "1 hour")), "nobody")
        )
      )
    )
    return Effect.gen(function*() {
      const asleep = yield* Publish.enqueue()
      const signalled = yield* Publish.enqueue()
      yield* settle
      yield* TestClock.adjust("30 minutes")
      yield* Approval.complete(signalled.id, { by: "ada" })
      assert.strictEqual(yield* signalled.await, "ada")
      yield* TestClock.adjust("30 minutes")
      assert.strictEqual(yield* asleep.await, "nobody")
    }).pipe(Effect.provide(layer))
  })
})

describe("a token", () => {
  const reasonOf = (error: unknown) => (error as JobError.InvalidToken).reason

  it.effect("completes the waitpoint of its record, once", () =>
    Effect.gen(function*() {
      const handle = yield* Publish.enqueue(undefined, { delay: "1 minute" })
      const token = yield* Approval.sign(handle.id, { secret, expiresIn: "7 days" })
      const again = yield* Approval.sign(handle.id, { secret, expiresIn: "7 days" })
      assert.match(token, /^[\w-]+\.[\w-]+$/)
      assert.strictEqual(yield* Approval.verify(token, { secret }), handle.id)
      const bring = (token: string, by: string) => Approval.completeByToken(token, { by }, { secret })
      assert.strictEqual(yield* bring(token, "ada"), "Kept")
      assert.strictEqual(yield* bring(token, "grace"), "TooLate")
      assert.strictEqual(yield* bring(again, "grace"), "TooLate")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* handle.await, "ada")
    }).pipe(Effect.provide(patient)))

  it.effect("that is forged, changed, cut, expired or for another waitpoint is refused with the reason", () =>
    Effect.gen(function*() {
      const token = yield* Approval.sign(anId, { secret, expiresIn: "1 hour" })
      const [body, mac] = token.split(".") as [string, string]
      const [otherBody] = (yield* Approval.sign(`${anId.slice(0, -1)}2`, { secret, expiresIn: "1 hour" })).split(".")
      const wrong = Redacted.make("f".repeat(32))
      const refused = (text: string, by: Waitpoint.Secret = secret) =>
        Effect.map(Effect.flip(Approval.verify(text, { secret: by })), reasonOf)
      assert.strictEqual(yield* refused(token, wrong), "Forged")
      assert.strictEqual(yield* refused(`${otherBody}.${mac}`), "Forged")
      assert.strictEqual(yield* refused(`${body}.${mac.slice(0, -4)}`), "Forged")
      for (const text of ["", "x", body, `${body}.`, `${body}.${mac}.${mac}`, `${body}.!`]) {
        assert.strictEqual(yield* refused(text), "Malformed", text)
      }
      assert.strictEqual(reasonOf(yield* Effect.flip(Other.verify(token, { secret }))), "OtherWaitpoint")
      yield* TestClock.adjust("59 minutes")
      assert.strictEqual(yield* Approval.verify(token, { secret }), anId)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* refused(token), "Expired")
    }))

  it.effect("needs a secret that cannot be guessed", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Approval.sign(anId, { secret: Redacted.make("short"), expiresIn: "1 hour" }))
      assert.include(String(exit), "must have at least 32 characters")
    }))

  it.effect("needs an end: without one it would be no token", () =>
    Effect.gen(function*() {
      for (const expiresIn of [Duration.infinity, Infinity]) {
        const exit = yield* Effect.exit(Approval.sign(anId, { secret, expiresIn }))
        assert.include(String(exit), "expiresIn must be a finite duration")
      }
    }))
})

describe("Step.invoke", () => {
  class Child extends Job.make("Child", {
    payload: { n: Schema.Int },
    success: Schema.Int,
    error: Rejected,
    onError: { Rejected: "dead" },
    retention: { completed: 0 }
  }) {}
  class Parent
    extends Job.make("Parent", { success: Schema.Unknown, error: Rejected, retry: Schedule.spaced("1 minute") })
  {}
  const family = JobGroup.make(Parent, Child)
  const child = (ran: Array<number>) =>
    Child.toLayer(({ n }) =>
      Effect.suspend(() => {
        ran.push(n)
        return n < 0 ? Effect.fail(new Rejected()) : Effect.delay(Effect.succeed(n * 2), "1 minute")
      })
    )
  const layer = (ran: Array<number>, parent: Parameters<typeof Parent.toLayer>[0]) =>
    withWorker(family, Layer.merge(child(ran), Parent.toLayer(parent) as Layer.Layer<Job.Handler<"Parent">>), {
      concurrency: 2
    })

  it.effect("waits for the children's typed results without a slot, and stores each once", () => {
    const ran: Array<number> = []
    let attempts = 0
    const parent = () =>
      Effect.gen(function*() {
        attempts++
        const both = yield* Effect.all([Step.invoke("one", Child, { n: 1 }), Step.invoke("two", Child, { n: 2 })], {
          concurrency: "unbounded"
        })
        const last = yield* Step.invoke("three", Child, { n: both[0] + both[1] })
        if (attempts === 3) return yield* new Rejected()
        return last
      }).pipe(Effect.catchTags({ JobDead: Effect.die, JobCancelled: Effect.die, JobGone: Effect.die }))
    return Effect.gen(function*() {
      const handle = yield* Parent.enqueue()
      yield* settle
      const record = yield* recordOf(handle.id)
      assert.deepStrictEqual([record.blocked, ran], [{ reason: "Children", on: undefined }, [1, 2]])
      yield* TestClock.adjust("1 minute")
      yield* TestClock.adjust("1 minute")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* handle.await, 12)
      assert.deepStrictEqual([ran, attempts], [[1, 2, 6], 4])
    }).pipe(Effect.provide(layer(ran, parent)))
  })

  it.effect("beside a waitpoint runs once, though its record is gone when somebody completes that", () => {
    const ran: Array<number> = []
    const parent = () =>
      Effect.all([Approval.await, Step.invoke("one", Child, { n: 1 })], { concurrency: "unbounded" }).pipe(
        Effect.catchTags({ JobDead: Effect.die, JobCancelled: Effect.die, JobGone: Effect.die })
      )
    return Effect.gen(function*() {
      const handle = yield* Parent.enqueue()
      yield* settle
      yield* TestClock.adjust("2 days")
      assert.deepStrictEqual([(yield* recordOf(handle.id)).blocked?.reason, ran], ["Waitpoint", [1]])
      yield* Approval.complete(handle.id, { by: "ada" })
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* handle.await, [{ by: "ada" }, 2])
      assert.deepStrictEqual(ran, [1])
    }).pipe(Effect.provide(layer(ran, parent)))
  })

  const mailing = (many: number) => {
    class Mail extends Job.make("Mail", { payload: { n: Schema.Int }, retention: { completed: 0 } }) {}
    const sent: Array<number> = []
    let attempts = 0
    const parent = () =>
      Effect.gen(function*() {
        // One that finds no end runs again at once, for ever.
        if (++attempts > 20) return yield* Effect.never
        const mails = Array.from({ length: many }, (_, n) =>
          Step.invoke(`mail-${n}`, Mail, { n }, n === 0 ? { delay: "2 days" } : {}))
        return (yield* Effect.all(mails, { concurrency: "unbounded" })).length
      }).pipe(Effect.catchTags({ JobDead: Effect.die, JobCancelled: Effect.die, JobGone: Effect.die }))
    const handlers = Layer.merge(
      Mail.toLayer(({ n }) => Effect.sync(() => void sent.push(n))),
      Parent.toLayer(parent) as Layer.Layer<Job.Handler<"Parent">>
    )
    return Effect.gen(function*() {
      const handle = yield* Parent.enqueue()
      yield* settle
      yield* TestClock.adjust("2 days")
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* recordOf(handle.id)).state, "completed")
      assert.deepStrictEqual([sent.length, attempts], [many, 2])
    }).pipe(Effect.provide(withWorker(JobGroup.make(Parent, Mail), handlers)))
  }

  it.effect("of a job without a result succeeds though its record is gone", () => mailing(2))
  it.effect("of more than a hundred jobs goes on with the last end, though all their records are gone", () =>
    mailing(101))

  it.effect("a child's own error is typed, and kept", () => {
    const ran: Array<number> = []
    const parent = () =>
      Step.invoke("one", Child, { n: -1 }).pipe(
        Effect.catchTags({
          Rejected: () => Effect.succeed("rejected"),
          JobDead: Effect.die,
          JobCancelled: Effect.die,
          JobGone: Effect.die
        }),
        Effect.tap(() => Step.sleep("then", "1 hour"))
      )
    return Effect.gen(function*() {
      const handle = yield* Parent.enqueue()
      yield* settle
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* handle.await, "rejected")
      assert.deepStrictEqual(ran, [-1])
    }).pipe(Effect.provide(layer(ran, parent)))
  })

  it.effect("that does not end in time fails typed, stays so, and its child goes on", () => {
    const ran: Array<number> = []
    let attempts = 0
    const parent = () =>
      Effect.gen(function*() {
        attempts++
        const outcome = yield* Step.invoke("one", Child, { n: 1 }, { timeout: "30 seconds" }).pipe(
          Effect.catchTags({
            InvokeTimedOut: ({ child, step }) => Effect.succeed(`${step} ${child.length}`),
            JobDead: Effect.die,
            JobCancelled: Effect.die,
            JobGone: Effect.die
          })
        )
        yield* Step.sleep("then", "1 hour")
        return outcome
      })
    return Effect.gen(function*() {
      const handle = yield* Parent.enqueue()
      yield* settle
      assert.strictEqual((yield* recordOf(handle.id)).blocked?.reason, "Children")
      yield* TestClock.adjust("29 seconds")
      assert.strictEqual(attempts, 1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(attempts, 2)
      yield* TestClock.adjust("2 hours")
      assert.strictEqual(yield* handle.await, "one 36")
      assert.deepStrictEqual([ran, attempts], [[1], 3])
    }).pipe(Effect.provide(layer(ran, parent)))
  })

  it.effect("that ends in time is the same with a timeout, whatever waits beside it", () => {
    const ran: Array<number> = []
    const parent = () =>
      Effect.gen(function*() {
        const started = yield* Effect.all([
          Step.invoke("one", Child, { n: 1 }, { timeout: "1 hour" }),
          Step.invoke("two", Child, { n: 2 }),
          Effect.as(Step.sleep("nap", "10 seconds"), 3)
        ], { concurrency: "unbounded" })
        return started
      }).pipe(
        Effect.catchTags({
          InvokeTimedOut: Effect.die,
          JobDead: Effect.die,
          JobCancelled: Effect.die,
          JobGone: Effect.die
        })
      )
    return Effect.gen(function*() {
      const handle = yield* Parent.enqueue()
      yield* settle
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* recordOf(handle.id)).blocked?.reason, "Children")
      yield* TestClock.adjust("50 seconds")
      assert.deepStrictEqual(yield* handle.await, [2, 4, 3])
      assert.deepStrictEqual(ran, [1, 2])
    }).pipe(Effect.provide(layer(ran, parent)))
  })
})
