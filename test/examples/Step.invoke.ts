// Written by `npm run docs`: the example of `invoke` of capstan/Step.
import { Charge, Unpaid, orderId } from "./setting.ts"
import { Effect } from "effect"
import { Step } from "capstan"

export const run = Effect.gen(function*() {
  const receipt = yield* Step.invoke("charge", Charge, { orderId }, { timeout: "1 hour" }).pipe(
    Effect.catchTag("InvokeTimedOut", () => new Unpaid())
  )
})
