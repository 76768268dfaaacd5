/** A short run of `npm run fuzz`, and that it finds what is to be found. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { once, type Target } from "./fuzz/fuzz.ts"
import { describe as show, run, targets } from "./fuzz/index.ts"

const target = (call: Target<never>["call"]): Target<never> => ({ name: "a call", errors: ["Expected"], call })

describe("what comes from outside", { timeout: 120_000 }, () => {
  it.live("makes typed errors and nothing else", () =>
    Effect.gen(function*() {
      const rounds = 15
      const { findings, tallies } = yield* run(7, (calls) => calls < rounds * targets.length)
      assert.deepStrictEqual(findings.map(show), [])
      for (const { name } of targets) {
        const { answered, refused } = tallies.get(name)!
        assert.strictEqual(answered + refused, rounds, name)
      }
      // A run that is refused everywhere, or nowhere, has looked at nothing.
      const sum = (of: "answered" | "refused") => [...tallies.values()].filter((tally) => tally[of] > 0).length
      assert.isAtLeast(sum("answered"), targets.length - 2)
      assert.isAtLeast(sum("refused"), targets.length - 8)
    }))

  it.effect("is found out where it makes a defect, an error that nobody named, or one without a tag", () =>
    Effect.gen(function*() {
      for (
        const call of [
          () => Effect.die(new Error("a defect")),
          () => Effect.fail({ _tag: "Other" }),
          () => Effect.fail("text"),
          () => {
            throw new TypeError("thrown")
          }
        ]
      ) {
        assert.isDefined(yield* once(target(call), 1))
      }
      assert.isUndefined(yield* once(target(() => Effect.fail({ _tag: "Expected" })), 1))
    }))

  it.effect("is made by its seed alone", () =>
    Effect.gen(function*() {
      const inputs: Array<unknown> = []
      const noted = target((a, note) => Effect.sync(() => note(inputs[inputs.push(a.json()) - 1])))
      for (const seed of [5, 5, 6]) yield* once(noted, seed)
      assert.deepStrictEqual(inputs[0], inputs[1])
      assert.notDeepEqual(inputs[0], inputs[2])
    }))
})
