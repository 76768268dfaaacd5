// Written by `npm run docs`: the example of `layer` of @capstan/testing/TestJobs.
import { Billing, BillingLive, ChargeCard, assert, it } from "./setting.ts"
import { Effect } from "effect"
import { TestJobs } from "@capstan/testing"

export const run = () => {
  it.effect("is charged once it works", () =>
    Effect.gen(function*() {
      const test = yield* TestJobs.TestJobs
      const handle = yield* ChargeCard.enqueue({ invoiceId: "i", amount: 1 })
      yield* test.advanceUntilIdle
      assert.deepStrictEqual(yield* handle.await, { receipt: "r" })
    }).pipe(Effect.provide(TestJobs.layer(Billing, BillingLive))))
}
