// Written by `npm run docs`: the example of `Job` of capstan/Job.
import { Job } from "capstan"
import { Schema } from "effect"

export const run = () => {
  class SendReceipt extends Job.make("SendReceipt", { payload: { orderId: Schema.String } }) {}
}
