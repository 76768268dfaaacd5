/**
 * The programs of docs/limits.md, word for word as they stand there: here they run.
 */
import { TestJobs } from "@capstan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobContext, JobGroup, JobLimit, Jobs } from "capstan"
import { Effect, Layer, Schema, Stream } from "effect"
import { readFileSync } from "node:fs"

const Provider = JobLimit.make("provider", {
  concurrency: 2,
  rate: { limit: 60, per: "1 minute", burst: 5 },
  order: "fair"
})

class SendMail extends Job.make("SendMail", {
  payload: { tenant: Schema.String, to: Schema.String },
  limit: { by: Provider, key: ({ tenant }) => tenant }
}) {}

class SendText extends Job.make("SendText", {
  payload: { tenant: Schema.String, number: Schema.String },
  limit: { by: Provider, key: ({ tenant }) => tenant }
}) {}

class PushToCrm extends Job.make("PushToCrm", {
  payload: { tenant: Schema.String },
  concurrency: { key: ({ tenant }) => tenant, limit: 2 },
  breaker: { consecutive: 5, openDuration: "30 seconds" }
}) {}

let sent: ReadonlyArray<string> = []
let busy = 1
const deliver = (to: string) =>
  Effect.sync(() => {
    if (busy-- > 0) return "too many"
    sent = [...sent, to]
    return "sent"
  })

const SendMailLive = SendMail.toLayer(({ to }) =>
  Effect.gen(function*() {
    const { limited } = yield* JobContext.JobContext
    const answer = yield* deliver(to)
    if (answer === "too many") return yield* limited("key", "30 seconds")
  })
)

const halve = Effect.gen(function*() {
  const jobs = yield* Jobs.Jobs
  yield* jobs.setLimit({ key: "provider" }, { concurrency: 1 })
  const keys = yield* Stream.runCollect(jobs.keys("provider"))
  yield* jobs.clearLimit({ key: "provider" })
  return keys
})

const group = JobGroup.make(SendMail, SendText)
const handlers = Layer.merge(SendMailLive, SendText.toLayer(() => Effect.void))

it.effect("a third party that says stop is asked again when it said, and the keys show who waits", () =>
  Effect.gen(function*() {
    const test = yield* TestJobs.TestJobs
    yield* SendMail.enqueue({ tenant: "a", to: "one" })
    yield* test.advance(0)
    yield* SendMail.enqueue({ tenant: "a", to: "two" })
    yield* SendMail.enqueue({ tenant: "b", to: "three" })
    yield* test.advance(1000)
    assert.deepStrictEqual(sent, ["three"])
    const keys = yield* halve
    assert.deepStrictEqual(keys.map(({ key, waiting }) => [key, waiting]), [["a", 2]])
    yield* test.advance(30_000)
    assert.deepStrictEqual(sent, ["three", "one", "two"])
  }).pipe(
    Effect.provide(Jobs.layer.pipe(Layer.provideMerge(TestJobs.layer(group, handlers))))
  ))

it.effect("a third party that is down is left alone, and others are not", () => {
  let calls: ReadonlyArray<string> = []
  const live = PushToCrm.toLayer(({ tenant }) =>
    Effect.suspend(() => {
      calls = [...calls, tenant]
      return tenant === "down" ? Effect.die("down") : Effect.void
    })
  )
  return Effect.gen(function*() {
    const test = yield* TestJobs.TestJobs
    yield* PushToCrm.enqueueMany(Array.from({ length: 20 }, () => ({ tenant: "down" })))
    yield* PushToCrm.enqueue({ tenant: "up" })
    yield* test.advance(0)
    assert.strictEqual(calls.filter((tenant) => tenant === "up").length, 1)
    const made = calls.filter((tenant) => tenant === "down").length
    // Two ran side by side when the fifth failure opened it.
    assert.include([5, 6], made)
    yield* test.advance(29_000)
    assert.strictEqual(calls.filter((tenant) => tenant === "down").length, made)
    yield* test.advance(1000)
    assert.strictEqual(calls.filter((tenant) => tenant === "down").length, made + 1)
  }).pipe(Effect.provide(TestJobs.layer(JobGroup.make(PushToCrm), live)))
})

describe("the guide", () => {
  const text = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8")
  const blocks = [...text("../../../docs/limits.md").matchAll(/```ts\n([^]*?)```/g)].map(([, block]) => block!)

  it.each(blocks)("has a program that runs here: %s", (block) => {
    assert.include(text("./LimitsGuide.test.ts"), block)
  })
})
