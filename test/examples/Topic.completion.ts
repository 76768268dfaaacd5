// Written by `npm run docs`: the example of `completion` of capstan/Topic.
import { Effect, Schema } from "effect"
import { Job, Topic, Waitpoint } from "capstan"

export const run = () => {
  const PaymentReceived = Topic.make("PaymentReceived", { orderId: Schema.String, cents: Schema.Int })

  class Payment extends Waitpoint.make("Payment", { success: Schema.Struct({ cents: Schema.Int }) }) {}

  class Ship extends Job.make("Ship", {
    payload: { orderId: Schema.String },
    completeOn: [{
      event: Topic.completion(PaymentReceived, Payment, {
        key: ({ orderId }) => orderId,
        value: ({ cents }) => ({ cents })
      }),
      payload: ({ orderId }) => orderId
    }]
  }) {}

  Ship.toLayer(({ orderId }) => Effect.flatMap(Payment.await, ({ cents }) => Effect.log(`${orderId}: ${cents}`)))
}
