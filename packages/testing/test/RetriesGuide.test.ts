/**
 * The programs of docs/retries.md, word for word as they stand there: here they run, and so does each row of its table.
 */
import { TestJobs } from "@capstan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup } from "capstan"
import { Clock, Effect, Schedule, Schema } from "effect"
import { readFileSync } from "node:fs"

class RateLimited extends Schema.TaggedError<RateLimited>()("RateLimited", { retryAfter: Schema.Number }) {}
class CardDeclined extends Schema.TaggedError<CardDeclined>()("CardDeclined", {}) {}
class Unreachable extends Schema.TaggedError<Unreachable>()("Unreachable", {}) {}

class Charge extends Job.make("Charge", {
  payload: { invoice: Schema.String },
  error: Schema.Union([RateLimited, CardDeclined, Unreachable]),
  retry: Schedule.exponential("1 second"),
  retryFor: "1 day",
  maxAttempts: Infinity,
  timeout: "30 seconds",
  onError: {
    CardDeclined: "dead",
    RateLimited: { snooze: ({ retryAfter }) => retryAfter }
  }
}) {}

class SendMail extends Job.make("SendMail", {
  payload: { to: Schema.Array(Schema.String) },
  version: 2,
  previous: [Job.version(1, Schema.Struct({ to: Schema.String }), ({ to }) => ({ to: [to] }))]
}) {}

const errors = Schema.Union([RateLimited, CardDeclined, Unreachable])
type Failing = typeof errors.Type

/** The seconds after which a job with these options runs again and again, while its handler fails as told. */
const attemptsOf = (options: Job.RunOptions<Failing>, failing: Effect.Effect<never, Failing>) => {
  const at: Array<number> = []
  const Work = Job.make("Work", { error: errors, ...options })
  const live = Work.toLayer(() =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      at.push(now / 1000)
      return failing
    })
  )
  return Effect.gen(function*() {
    const test = yield* TestJobs.TestJobs
    yield* Work.enqueue()
    yield* test.advanceUntilIdle
    const [{ record }] = (yield* test.enqueued(Work)) as [TestJobs.Enqueued<unknown>]
    assert.strictEqual(record.state, "dead")
    return at.map((instant) => Math.round(instant - at[0]!))
  }).pipe(Effect.provide(TestJobs.layer(JobGroup.make(Work), live)))
}

describe("the table", () => {
  const minutes = (count: number) => Array.from({ length: count }, (_, i) => i * 60)
  const away = Effect.fail(new Unreachable())

  it.effect("never again", () =>
    Effect.map(attemptsOf({ maxAttempts: 1 }, away), (at) => assert.deepStrictEqual(at, [0])))

  it.effect("every minute, ten attempts in all", () =>
    Effect.map(
      attemptsOf({ retry: Schedule.spaced("1 minute"), maxAttempts: 10 }, away),
      (at) => assert.deepStrictEqual(at, minutes(10))
    ))

  it.effect("for a day, however many", () =>
    Effect.map(attemptsOf({ maxAttempts: Infinity, retryFor: "1 day" }, away), (at) => {
      assert.isAbove(at.at(-1)!, 86_400)
      assert.isBelow(at.at(-1)!, 86_400 + 400)
    }))

  it.effect("another pace for one error", () =>
    Effect.map(
      attemptsOf({ onError: { Unreachable: { retry: Schedule.spaced("1 minute") } } }, away),
      (at) => assert.deepStrictEqual(at, minutes(10))
    ))

  it.effect("no second try for one error", () =>
    Effect.map(
      attemptsOf({ onError: { CardDeclined: "dead" } }, Effect.fail(new CardDeclined())),
      (at) => assert.deepStrictEqual(at, [0])
    ))

  it.effect("when the third party says", () =>
    Effect.map(
      attemptsOf(
        { retryFor: "1 hour", onError: { RateLimited: { snooze: ({ retryAfter }) => retryAfter } } },
        Effect.fail(new RateLimited({ retryAfter: 900_000 }))
      ),
      (at) => assert.deepStrictEqual(at, [0, 900, 1800, 2700, 3600, 4500])
    ))

  it.effect("another pace for defects and timeouts", () =>
    Effect.map(
      attemptsOf({ retryDefects: Schedule.spaced("1 hour"), maxAttempts: 3 }, Effect.die(new Error("a bug"))),
      (at) => assert.deepStrictEqual(at, [0, 3600, 7200])
    ))
})

it.effect("a card that is declined is tried once, a provider that is busy until it is not", () => {
  let busy = 3
  const live = Charge.toLayer(({ invoice }) =>
    Effect.suspend((): Effect.Effect<void, Failing> => {
      if (invoice === "declined") return Effect.fail(new CardDeclined())
      return busy-- > 0 ? Effect.fail(new RateLimited({ retryAfter: 60_000 })) : Effect.void
    })
  )
  return Effect.gen(function*() {
    const test = yield* TestJobs.TestJobs
    yield* Charge.enqueueMany([{ invoice: "declined" }, { invoice: "i1" }])
    yield* test.advance("2 minutes")
    yield* test.advance("2 minutes")
    assert.deepStrictEqual(
      (yield* test.enqueued(Charge)).map(({ record }) => [record.state, record.attempt]),
      [["dead", 1], ["completed", 1]]
    )
  }).pipe(Effect.provide(TestJobs.layer(JobGroup.make(Charge), live)))
})

it.effect("what was enqueued before a change is lifted to what the handler takes now", () => {
  const Before = Job.make("SendMail", { payload: { to: Schema.String } })
  const sent: Array<string> = []
  const live = SendMail.toLayer(({ to }) => Effect.sync(() => void sent.push(...to)))
  return Effect.gen(function*() {
    const test = yield* TestJobs.TestJobs
    yield* Before.enqueue({ to: "ada" })
    yield* SendMail.enqueue({ to: ["grace", "edsger"] })
    yield* test.advanceUntilIdle
    assert.deepStrictEqual(sent, ["ada", "grace", "edsger"])
  }).pipe(Effect.provide(TestJobs.layer(JobGroup.make(SendMail), live)))
})

it.effect("and without `previous` it is dead", () => {
  const Before = Job.make("SendMail", { payload: { to: Schema.String } })
  const Now = Job.make("SendMail", { payload: { to: Schema.Array(Schema.String) }, version: 2 })
  return Effect.gen(function*() {
    const test = yield* TestJobs.TestJobs
    yield* Before.enqueue({ to: "ada" })
    yield* test.advanceUntilIdle
    const [{ record }] = (yield* test.enqueued(Before)) as [TestJobs.Enqueued<unknown>]
    assert.deepStrictEqual([record.state, record.deadReason], ["dead", "InvalidPayload"])
  }).pipe(Effect.provide(TestJobs.layer(JobGroup.make(Now), Now.toLayer(() => Effect.void))))
})

describe("the guide", () => {
  const text = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8")
  const guide = text("../../../docs/retries.md")
  const blocks = [...guide.matchAll(/```ts\n([^]*?)```/g)].map(([, block]) => block!)

  it.each(blocks)("has a program that runs here: %s", (block) => {
    assert.include(text("./RetriesGuide.test.ts"), block)
  })

  it("has a table of which each row is tested here", () => {
    const rows = guide.split("\n").filter((line) => line.startsWith("| ")).slice(1)
      .map((line) => line.split("|")[1]!.trim())
    const own = text("./RetriesGuide.test.ts")
    assert.isAtLeast(rows.length, 7)
    for (const row of rows) assert.include(own, `it.effect("${row}"`)
  })
})
