/**
 * The programs of the README after its first, word for word as they stand there: here they run.
 */
import { TestJobs } from "@capstan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobContext, JobGroup } from "capstan"
import { Effect, Schedule, Schema } from "effect"
import { readFileSync } from "node:fs"

class CardDeclined extends Schema.TaggedError<CardDeclined>()("CardDeclined", {}) {}
class ProviderBusy
  extends Schema.TaggedError<ProviderBusy>()("ProviderBusy", { retryAfter: Schema.DurationFromMillis })
{}
class Unreachable extends Schema.TaggedError<Unreachable>()("Unreachable", {}) {}

class ChargeCard extends Job.make("ChargeCard", {
  payload: { invoiceId: Schema.String, amount: Schema.Number },
  success: Schema.Struct({ receipt: Schema.String }),
  error: Schema.Union([CardDeclined, ProviderBusy, Unreachable]),
  queue: "billing",
  retry: Schedule.exponential("1 second"),
  maxAttempts: 8,
  timeout: "30 seconds",
  unique: { key: (payload) => payload.invoiceId },
  onError: { CardDeclined: "dead", ProviderBusy: { snooze: (error) => error.retryAfter } }
}) {}

class SendReceipt extends Job.make("SendReceipt", { payload: { receipt: Schema.String } }) {}
class Billing extends JobGroup.make(ChargeCard, SendReceipt) {}

const BillingLive = Billing.toLayer({
  ChargeCard: Effect.fnUntraced(function*({ invoiceId }) {
    const { attempt } = yield* JobContext.JobContext
    if (attempt < 3) return yield* new Unreachable()
    const receipt = `receipt of ${invoiceId}`
    yield* SendReceipt.enqueue({ receipt })
    return { receipt }
  }),
  SendReceipt: () => Effect.void
})

it.effect("fails twice, backs off, succeeds", () =>
  Effect.gen(function*() {
    const test = yield* TestJobs.TestJobs
    const handle = yield* ChargeCard.enqueue({ invoiceId: "i1", amount: 1 })
    yield* test.advanceUntilIdle
    assert.deepStrictEqual(yield* handle.await, { receipt: "receipt of i1" })
    assert.strictEqual((yield* test.enqueued(SendReceipt)).length, 1)
  }).pipe(Effect.provide(TestJobs.layer(Billing, BillingLive))))

describe("the README", () => {
  const text = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8")
  const [, ...later] = [...text("../../../README.md").matchAll(/```ts\n([^]*?)```/g)].map(([, block]) => block!)

  it.each(later)("has a program that runs here: %s", (block) => {
    assert.include(text("./Readme.test.ts"), block)
  })
})
