/** The program of `docs/events.md` in which an event completes a waitpoint, as it stands there. */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, Topic, Waitpoint } from "capstan"
import { Effect, Schema } from "effect"
import { TestClock } from "effect/testing"
import { readFileSync } from "node:fs"
import { recordOf, settle, withWorker } from "./harness.ts"

// example
const PaymentReceived = Topic.make("PaymentReceived", { orderId: Schema.String, cents: Schema.Int })

class Payment extends Waitpoint.make("Payment", { success: Schema.Struct({ cents: Schema.Int }) }) {}

class Ship extends Job.make("Ship", {
  payload: { orderId: Schema.String },
  success: Schema.String,
  completeOn: [{
    event: Topic.completion(PaymentReceived, Payment, {
      key: ({ orderId }) => orderId,
      value: ({ cents }) => ({ cents })
    }),
    payload: ({ orderId }) => orderId
  }]
}) {}

const ShipLive = Ship.toLayer(({ orderId }) =>
  Payment.awaitFor("7 days").pipe(
    Effect.map(({ cents }) => `${orderId} is shipped for ${cents}`),
    Effect.catchTag("WaitpointTimedOut", () => Effect.succeed(`${orderId} is not shipped`))
  )
)

const pay = PaymentReceived.publish({ orderId: "o1", cents: 1200 })
// example

const layer = withWorker(JobGroup.make(Ship), ShipLive)

describe("docs/events.md", () => {
  it("has this program", () => {
    const [, program] = readFileSync(new URL(import.meta.url), "utf8").split("\n// example\n")
    assert.include(readFileSync(new URL("../../../docs/events.md", import.meta.url), "utf8"), program!.trim())
  })

  it.effect("in which a payment lets its order go on, and no other one", () =>
    Effect.gen(function*() {
      const [paid, other] = yield* Effect.all([Ship.enqueue({ orderId: "o1" }), Ship.enqueue({ orderId: "o2" })])
      yield* settle
      assert.deepStrictEqual(yield* pay, [])
      yield* settle
      assert.strictEqual(yield* paid.await, "o1 is shipped for 1200")
      assert.deepStrictEqual((yield* recordOf(other.id)).blocked, { reason: "Waitpoint", on: "Payment" })
    }).pipe(Effect.provide(layer)))

  it.effect("in which the first of two payments counts", () =>
    Effect.gen(function*() {
      const order = yield* Ship.enqueue({ orderId: "o1" }, { delay: "1 day" })
      yield* PaymentReceived.publish({ orderId: "o1", cents: 1 })
      yield* PaymentReceived.publish({ orderId: "o1", cents: 2 })
      yield* TestClock.adjust("1 day")
      assert.strictEqual(yield* order.await, "o1 is shipped for 1")
    }).pipe(Effect.provide(layer)))

  it.effect("in which a payment that comes too late says nothing", () =>
    Effect.gen(function*() {
      const order = yield* Ship.enqueue({ orderId: "o1" })
      yield* settle
      yield* TestClock.adjust("7 days")
      assert.strictEqual(yield* order.await, "o1 is not shipped")
      yield* pay
      assert.strictEqual(yield* order.await, "o1 is not shipped")
    }).pipe(Effect.provide(layer)))
})
