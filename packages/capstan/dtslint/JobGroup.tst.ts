/**
 * What a group's layer must refuse.
 */
import { Job, JobGroup } from "capstan"
import { Effect, Schema } from "effect"
import { describe, expect, test } from "tstyche"

class Declined extends Schema.TaggedError<Declined>()("Declined", {}) {}
class Other extends Schema.TaggedError<Other>()("Other", {}) {}

class Charge extends Job.make("Charge", { payload: { id: Schema.String }, success: Schema.Number, error: Declined }) {}
class Notify extends Job.make("Notify", { payload: Schema.String }) {}
class Billing extends JobGroup.make(Charge, Notify) {}

const Notified = () => Effect.void

describe("the layer of a group", () => {
  test("takes handlers that fail with what their job declares", () => {
    expect(Billing.toLayer).type.toBeCallableWith({ Charge: () => Effect.fail(new Declined()), Notify: Notified })
    expect(Billing.toLayer).type.toBeCallableWith({
      Charge: () => Effect.as(Notify.enqueue("x"), 1),
      Notify: Notified
    })
  })

  test("refuses an error that its job does not declare, also beside one that it does", () => {
    expect(Billing.toLayer).type.not.toBeCallableWith({ Charge: () => Effect.fail(new Other()), Notify: Notified })
    expect(Billing.toLayer).type.not.toBeCallableWith({
      Charge: (): Effect.Effect<number, Declined | Other> => Effect.succeed(1),
      Notify: Notified
    })
    // Declared by the other job of the group alone.
    expect(Billing.toLayer).type.not.toBeCallableWith({
      Charge: () => Effect.succeed(1),
      Notify: () => Effect.fail(new Declined())
    })
  })

  test("refuses it from an effect that builds the handlers, and in of", () => {
    const handlers = { Charge: () => Effect.fail(new Other()), Notify: Notified }
    expect(Billing.toLayer).type.not.toBeCallableWith(Effect.succeed(handlers))
    expect(Billing.of).type.not.toBeCallableWith(handlers)
  })

  test("refuses a wrong success, a wrong payload and a missing handler", () => {
    expect(Billing.toLayer).type.not.toBeCallableWith({ Charge: () => Effect.succeed("1"), Notify: Notified })
    expect(Billing.toLayer).type.not.toBeCallableWith({ Charge: (id: number) => Effect.succeed(id), Notify: Notified })
    expect(Billing.toLayer).type.not.toBeCallableWith({ Charge: () => Effect.succeed(1) })
  })
})
