// Written by `npm run docs`: the example of `match` of capstan/Topic.
import { Job, Topic } from "capstan"
import { OrderPaid } from "./setting.ts"
import { Schema } from "effect"

export const run = () => {
  class RemindToPay extends Job.make("RemindToPay", {
    payload: { orderId: Schema.String },
    cancelOn: [{ event: Topic.match(OrderPaid, ({ id }) => id), payload: ({ orderId }) => orderId }]
  }) {}
}
