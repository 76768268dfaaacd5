// Written by `npm run docs`: the example of `make` of capstan/Topic.
import { Effect, Schema } from "effect"
import { Job, Topic } from "capstan"

export const run = Effect.gen(function*() {
  const OrderPlaced = Topic.make("OrderPlaced", { orderId: Schema.String, total: Schema.Number })

  class SendReceipt extends Job.make("SendReceipt", {
    payload: { orderId: Schema.String },
    on: [Topic.on(OrderPlaced, { payload: ({ orderId }) => ({ orderId }) })]
  }) {}

  yield* OrderPlaced.publish({ orderId: "o1", total: 12 })
})
