// Written by `npm run docs`: the example of `make` of capstan/Job.
import { CardDeclined, ProviderBusy } from "./setting.ts"
import { Job } from "capstan"
import { Schema } from "effect"

export const run = () => {
  class ChargeCard extends Job.make("ChargeCard", {
    payload: { invoiceId: Schema.String, amount: Schema.Number },
    success: Schema.Struct({ receipt: Schema.String }),
    error: Schema.Union([CardDeclined, ProviderBusy]),
    onError: { CardDeclined: "dead", ProviderBusy: { snooze: (error) => error.retryAfter } }
  }) {}
}
