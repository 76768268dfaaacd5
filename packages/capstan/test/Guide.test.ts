/** The program of `docs/steps.md`, as it stands there. */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, Step, Waitpoint } from "capstan"
import { Effect, Logger, Schema } from "effect"
import { TestClock } from "effect/testing"
import { readFileSync } from "node:fs"
import { settle, withWorker } from "./harness.ts"

// example
class Declined extends Schema.TaggedError<Declined>()("Declined", {}) {}

class Approval extends Waitpoint.make("Approval", { success: Schema.Struct({ by: Schema.String }) }) {}

class Buy extends Job.make("Buy", {
  payload: { item: Schema.String },
  success: Schema.String,
  error: Declined,
  onError: { Declined: "dead" }
}) {}

const BuyLive = Buy.toLayer(({ item }) =>
  Effect.gen(function*() {
    const hold = yield* Step.run("hold", { success: Schema.String }, Effect.succeed(`hold on ${item}`)).pipe(
      Step.withCompensation((hold) => Effect.log(`${hold} is given up`))
    )
    yield* Step.sleep("think-it-over", "1 day")
    const { by } = yield* Approval.awaitFor("7 days").pipe(
      Effect.catchTag("WaitpointTimedOut", () => new Declined())
    )
    yield* Step.run("pay", Effect.log(`paid, ${by} agreed`))
    return hold
  })
)

// Elsewhere, by whoever is asked:
const agree = (id: string) => Approval.complete(id, { by: "ada" })
// example

describe("docs/steps.md", () => {
  it("has this program", () => {
    const [, program] = readFileSync(new URL(import.meta.url), "utf8").split("\n// example\n")
    assert.include(readFileSync(new URL("../../../docs/steps.md", import.meta.url), "utf8"), program!.trim())
  })

  it.effect("which buys what somebody agrees to, and gives up what nobody does", () => {
    const said: Array<unknown> = []
    const listen = Logger.layer([Logger.make(({ message }) => void said.push(...[message].flat()))])
    return Effect.gen(function*() {
      const bought = yield* Buy.enqueue({ item: "a boat" })
      const left = yield* Buy.enqueue({ item: "a house" })
      yield* settle
      yield* TestClock.adjust("1 day")
      assert.strictEqual(yield* agree(bought.id), "Completed")
      assert.strictEqual(yield* bought.await, "hold on a boat")
      yield* TestClock.adjust("7 days")
      assert.instanceOf(yield* Effect.flip(left.await), Declined)
      assert.deepStrictEqual(said, ["paid, ada agreed", "hold on a house is given up"])
    }).pipe(Effect.provide(withWorker(JobGroup.make(Buy), BuyLive)), Effect.provide(listen))
  })
})
