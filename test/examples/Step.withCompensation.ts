// Written by `npm run docs`: the example of `withCompensation` of capstan/Step.
import { Effect } from "effect"
import { Receipt, charge, order, refund } from "./setting.ts"
import { Step } from "capstan"

export const run = Effect.gen(function*() {
  yield* Step.run("charge", { success: Receipt }, charge(order)).pipe(
    Step.withCompensation((receipt) => refund(receipt))
  )
})
