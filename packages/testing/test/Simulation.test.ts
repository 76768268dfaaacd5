import { Simulation } from "@capstan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { noFence, noReconcile, type Plant, racyClaim } from "../src/internal/simulation/plants.ts"

const seeds = Array.from({ length: 100 }, (_, i) => i + 1)

describe("Simulation", { timeout: 300_000 }, () => {
  it.live("a seed makes the same run again", () =>
    Effect.gen(function*() {
      const first = yield* Simulation.run({ seed: 42 })
      const second = yield* Simulation.run({ seed: 42 })
      const other = yield* Simulation.run({ seed: 43 })
      assert.strictEqual(first.fingerprint, second.fingerprint)
      assert.strictEqual(first.steps, second.steps)
      assert.notStrictEqual(first.fingerprint, other.fingerprint)
    }))

  it.live("no invariant breaks while processes freeze and die", () =>
    Effect.gen(function*() {
      const exploration = yield* Simulation.explore(seeds)
      const { events, failed, faults, transitions } = exploration
      assert.isUndefined(failed, failed && Simulation.describeFailure(failed, true))
      assert.strictEqual(faults.size, 9, `faults reached: ${[...faults.keys()].join(", ")}`)
      for (const reached of [events, transitions, faults]) {
        console.log(`reached: ${[...reached].toSorted().map(([name, times]) => `${name} ${times}`).join(", ")}`)
      }
      assert.deepStrictEqual(Simulation.unreached(exploration, { kills: true }), [])
    }))

  it.live("lost replies strand nothing, also when nobody dies (P14)", () =>
    Effect.gen(function*() {
      const exploration = yield* Simulation.explore(seeds, { kills: false })
      const { failed, faults } = exploration
      assert.isUndefined(failed, failed && Simulation.describeFailure(failed, false))
      assert.deepStrictEqual(Simulation.unreached(exploration, { kills: false }), [])
      assert.isAbove(faults.get("lost reply") ?? 0, 100)
    }))
})

describe("a planted race is found", { timeout: 300_000 }, () => {
  const plants: ReadonlyArray<readonly [string, Plant, boolean]> = [
    ["no fence", noFence, true],
    ["no reconciling", noReconcile, false],
    ["a racy claim", racyClaim, true]
  ]
  for (const [name, plant, kills] of plants) {
    it.live(name, () =>
      Effect.gen(function*() {
        const { failed } = yield* Simulation.explore(seeds, { plant, kills })
        assert.isDefined(failed, `${name} was not found within ${seeds.length} seeds`)
        console.log(`${name}: found by seed ${failed!.seed}: ${failed!.violations[0]}`)
      }))
  }
})
