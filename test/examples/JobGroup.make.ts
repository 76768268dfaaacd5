// Written by `npm run docs`: the example of `make` of capstan/JobGroup.
import { ChargeCard, SendReceipt, charge, send } from "./setting.ts"
import { JobGroup } from "capstan"

export const run = () => {
  class Billing extends JobGroup.make(ChargeCard, SendReceipt) {}

  const BillingLive = Billing.toLayer({
    ChargeCard: (payload) => charge(payload),
    SendReceipt: (payload) => send(payload)
  })
}
