/**
 * What must not compile, as a user's own compiler sees it: `tsc` 7 tells by `npm run check` when a line below compiles,
 * and tstyche on TypeScript 6 also whether it is refused for the reason that stands above it.
 */
// Nothing here runs, and what the types refuse Effect's diagnostics say once more.
// @effect-diagnostics floatingEffect:off missingEffectError:off
import { Job, JobGroup, Topic, Waitpoint } from "capstan"
import { Context, Effect, Schedule, Schema, SchemaGetter } from "effect"
import { describe, test } from "tstyche"

class Declined extends Schema.TaggedError<Declined>()("Declined", {}) {}
class Refused extends Schema.TaggedError<Refused>()("Refused", { code: Schema.String }) {}
class Other extends Schema.TaggedError<Other>()("Other", {}) {}
class Stripe extends Context.Service<Stripe, string>()("test/Stripe") {}

class Charge extends Job.make("Charge", {
  payload: { id: Schema.String },
  success: Schema.Struct({ receipt: Schema.String }),
  error: Declined
}) {}
class Notify extends Job.make("Notify", { payload: Schema.String }) {}
class Billing extends JobGroup.make(Charge, Notify) {}

const receipt = { receipt: "r" }

describe("what does not compile", () => {
  test("a group without the handler of one of its jobs", () => {
    Billing.toLayer({ Charge: () => Effect.succeed(receipt), Notify: () => Effect.void })
    // @ts-expect-error Property 'Notify' is missing
    Billing.toLayer({ Charge: () => Effect.succeed(receipt) })
  })

  test("a handler that fails with an error that its job does not declare", () => {
    Charge.toLayer(() => Effect.fail(new Declined()))
    // @ts-expect-error Type 'Other' is not assignable to type 'Declined | EnqueueError | JobStoreError'
    Charge.toLayer(() => Effect.fail(new Other()))
    // @ts-expect-error Type 'Other' is not assignable to type 'Declined | EnqueueError | JobStoreError'
    Billing.toLayer({ Charge: () => Effect.fail(new Other()), Notify: () => Effect.void })
  })

  test("a payload of another type", () => {
    Charge.enqueue({ id: "i" })
    // @ts-expect-error Type 'number' is not assignable to type 'string'
    Charge.enqueue({ id: 1 })
    // @ts-expect-error Property 'id' is missing
    Charge.enqueue({})
    // @ts-expect-error Expected 1-2 arguments, but got 0
    Charge.enqueue()
    // @ts-expect-error Type 'number' is not assignable to type 'string'
    Charge.run({ id: 1 })
    // @ts-expect-error not assignable to parameter of type 'Iterable<{ readonly id: string; }>'
    Charge.enqueueMany([{ id: "i" }, { id: 1 }])
  })

  test("onError for a tag that is not declared", () => {
    Job.make("Right", { error: Declined, onError: { Declined: "dead" } })
    // @ts-expect-error 'Other' does not exist in type '{ readonly Declined?: OnError<Declined>; }'
    Job.make("Wrong", { error: Declined, onError: { Other: "dead" } })
  })

  test("the result of another job's commit", () => {
    Charge.toLayer(() => Charge.commit(Effect.succeed(receipt)))
    // @ts-expect-error Type 'Settled<void>' is not assignable to type '{ readonly receipt: string; } | Settled<{ readonly receipt: string; }>'
    Charge.toLayer(() => Notify.commit(Effect.void))
    // @ts-expect-error Property 'receipt' is missing
    Charge.commit(Effect.succeed({ invoice: "i" }))
  })

  test("a schedule of retries that can fail, needs a service, or takes another error", () => {
    const schedule = Schedule.spaced("1 second")
    const failing = Schedule.modifyDelay(schedule, () => Effect.fail(new Other()))
    const needing = Schedule.modifyDelay(schedule, () => Effect.as(Stripe, "1 second" as const))
    const ofRefused = Schedule.setInputType<Refused>()(schedule)
    Job.make("Right", { error: Declined, retry: schedule })
    // @ts-expect-error Type 'Other' is not assignable to type 'never'
    Job.make("Wrong", { error: Declined, retry: failing })
    // @ts-expect-error Type 'Other' is not assignable to type 'never'
    Job.make("Wrong", { error: Declined, retryDefects: failing })
    // @ts-expect-error Type 'Stripe' is not assignable to type 'never'
    Job.make("Wrong", { error: Declined, retry: needing })
    // @ts-expect-error Type 'Declined | Refused' is not assignable to type 'Refused'
    Job.make("Wrong", { error: Schema.Union([Declined, Refused]), retry: ofRefused })
  })

  test("a schema whose services nobody is asked for", () => {
    const Sealed = Schema.String.pipe(Schema.encodeTo(Schema.String, {
      decode: SchemaGetter.transform((text: string) => text),
      encode: SchemaGetter.transformEffect((text: string) => Effect.as(Stripe, text))
    }))
    const Opened = Schema.flip(Sealed)
    const Placed = Topic.make("Placed", Schema.String)
    const text = (text: string) => text
    class Secret extends Job.make("Secret", { payload: Sealed }) {}
    class Told extends Waitpoint.make("Told", { success: Sealed }) {}
    Job.version(1, Sealed, text)
    // @ts-expect-error Type 'Stripe' is not assignable to type 'never'
    Job.version(1, Opened, text)
    Job.make("Right", { payload: Opened, on: [Topic.on(Placed, { payload: text })] })
    // @ts-expect-error Type 'string' is not assignable to type 'Unprovided<Stripe>'
    Job.make("Wrong", { payload: Sealed, on: [Topic.on(Placed, { payload: text })] })
    // @ts-expect-error not assignable to parameter of type 'Unprovided<Stripe>'
    Secret.request("text")
    Job.make("Right", { success: Sealed, onComplete: () => undefined })
    // @ts-expect-error not assignable to type 'Unprovided<Stripe>'
    Job.make("Wrong", { success: Opened, onComplete: () => undefined })
    // @ts-expect-error Type 'Stripe' is not assignable to type 'never'
    Topic.completion(Placed, Told, { key: text, value: text })
  })
})
