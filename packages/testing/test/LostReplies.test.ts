/**
 * Most seeds of `Simulation.test.ts` without a death: a kill frees what a lost reply strands, and hides it. In a file of its
 * own, for the two run beside each other.
 */
import { Simulation } from "@capstan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

const seeds = Array.from({ length: 80 }, (_, i) => i + 1)

describe("Simulation", { timeout: 300_000 }, () => {
  it.live("lost replies strand nothing, also when nobody dies (P14)", () =>
    Effect.gen(function*() {
      const exploration = yield* Simulation.explore(seeds, { kills: false })
      const { failed, faults } = exploration
      assert.isUndefined(failed, failed && Simulation.describeFailure(failed, false))
      assert.deepStrictEqual(Simulation.unreached(exploration, { kills: false }), [])
      assert.isAbove(faults.get("lost reply") ?? 0, 100)
    }))
})
