// Written by `npm run docs`: the example of `run` of capstan/Step.
import { Effect } from "effect"
import { Receipt, charge, order } from "./setting.ts"
import { Step } from "capstan"

export const run = Effect.gen(function*() {
  const receipt = yield* Step.run("charge", { success: Receipt }, charge(order))
})
