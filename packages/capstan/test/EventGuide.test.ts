/** The program of `docs/events.md` in which an event completes a waitpoint, as it stands there. */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, Jobs, Topic, Waitpoint } from "capstan"
import { Effect, Layer, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { readFileSync } from "node:fs"
import { recordOf, settle, withWorker } from "./harness.ts"

// example
const PaymentReceived = Topic.make("PaymentReceived", { orderId: Schema.String, cents: Schema.Int })

class Payment extends Waitpoint.make("Payment", { success: Schema.Struct({ cents: Schema.Int }) }) {}

class Ship extends Job.make("Ship", { payload: { orderId: Schema.String }, success: Schema.String }) {}

const ship = (orderId: string) => Ship.enqueue({ orderId }, { tags: [`order:${orderId}`] })

const ShipLive = Ship.toLayer(({ orderId }) =>
  Effect.map(Payment.await, ({ cents }) => `${orderId} is shipped for ${cents}`)
)

class TakePayment extends Job.make("TakePayment", {
  payload: { orderId: Schema.String, cents: Schema.Int },
  on: [Topic.on(PaymentReceived, { payload: (event) => event })]
}) {}

const TakePaymentLive = TakePayment.toLayer(({ cents, orderId }) =>
  Effect.flatMap(Jobs.Jobs, (jobs) =>
    jobs.stream({ tag: Ship._tag, label: `order:${orderId}` }).pipe(
      Stream.runForEach(({ id }) => Payment.complete(id, { cents })),
      Effect.catchTag(["SchemaError", "JobControlError"], Effect.die)
    ))
)
// example

const layer = withWorker(JobGroup.make(Ship, TakePayment), Layer.merge(ShipLive, TakePaymentLive))

describe("docs/events.md", () => {
  it("has this program", () => {
    const [, program] = readFileSync(new URL(import.meta.url), "utf8").split("\n// example\n")
    assert.include(readFileSync(new URL("../../../docs/events.md", import.meta.url), "utf8"), program!.trim())
  })

  it.effect("in which a payment lets its order go on, and no other one", () =>
    Effect.gen(function*() {
      const [paid, other] = yield* Effect.all([ship("o1"), ship("o2")])
      yield* settle
      yield* PaymentReceived.publish({ orderId: "o1", cents: 1200 })
      yield* settle
      assert.strictEqual(yield* paid.await, "o1 is shipped for 1200")
      assert.deepStrictEqual((yield* recordOf(other.id)).blocked, { reason: "Waitpoint", on: "Payment" })
    }).pipe(Effect.provide(layer)))

  it.effect("in which the first of two payments counts", () =>
    Effect.gen(function*() {
      const order = yield* Ship.enqueue({ orderId: "o1" }, { tags: ["order:o1"], delay: "1 day" })
      yield* PaymentReceived.publish({ orderId: "o1", cents: 1 })
      yield* settle
      yield* PaymentReceived.publish({ orderId: "o1", cents: 2 })
      yield* TestClock.adjust("1 day")
      assert.strictEqual(yield* order.await, "o1 is shipped for 1")
    }).pipe(Effect.provide(layer)))
})
