import { Simulation } from "@capstan/testing"
import { assert, describe, it, type TestContext } from "@effect/vitest"
import { Effect } from "effect"
import {
  forgottenSteps,
  mixedEnds,
  noCompare,
  noFence,
  noLimit,
  noReconcile,
  noRecord,
  noUnique,
  type Plant,
  racyClaim,
  unfencedSteps
} from "../src/internal/simulation/plants.ts"
import { twin } from "./twin.ts"

/** Shown in the run of the tests. */
const tell = (context: TestContext, text: string) => Effect.promise(() => context.annotate(text))

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
      assert.isTrue(first.hasBatches, "no records of a batch job ran together")
    }))

  it.live("no invariant breaks while processes freeze and die", (context) =>
    Effect.gen(function*() {
      const exploration = yield* Simulation.explore(seeds)
      const { events, failed, faults, transitions } = exploration
      assert.isUndefined(failed, failed && Simulation.describeFailure(failed, true))
      assert.strictEqual(faults.size, 9, `faults reached: ${[...faults.keys()].join(", ")}`)
      for (const reached of [events, transitions, faults]) {
        yield* tell(
          context,
          `reached: ${[...reached].toSorted().map(([name, times]) => `${name} ${times}`).join(", ")}`
        )
      }
      assert.deepStrictEqual(Simulation.unreached(exploration, { kills: true }), [])
    }))
})

describe("a planted race is found", { timeout: 300_000 }, () => {
  const plants: ReadonlyArray<readonly [string, Plant, boolean]> = [
    ["no fence", noFence, true],
    ["no reconciling", noReconcile, false],
    ["no limit", noLimit, false],
    ["no unique key", noUnique, false],
    ["a racy claim", racyClaim, true],
    ["a tick that compares nothing", noCompare, true],
    ["a tick that stores nothing", noRecord, false],
    ["no fence at a step", unfencedSteps, true],
    ["checkpoints that are not read back", forgottenSteps, true],
    ["records of a batch that end by each other's exits", mixedEnds, false]
  ]
  for (const [name, plant, kills] of plants) {
    it.live(name, (context) =>
      Effect.gen(function*() {
        const { failed } = yield* Simulation.explore(seeds, { plant, kills })
        assert.isDefined(failed, `${name} was not found within ${seeds.length} seeds`)
        yield* tell(context, `${name}: found by seed ${failed!.seed}: ${failed!.violations[0]}`)
      }))
  }

  const counter = "  if (edge.answer === undefined) row.grow().pending--\n"
  const counters: ReadonlyArray<readonly [string, string]> = [
    ["a dependency that is not counted down, simulated", ""],
    ["a dependency that is counted down twice, simulated", "  if (edge.answer === undefined) row.grow().pending -= 2\n"]
  ]
  for (const [name, instead] of counters) {
    it.live(name, (context) =>
      Effect.gen(function*() {
        const layer = yield* Effect.promise(() => twin(name, { file: "edges.ts", line: counter, instead }))
        const { failed } = yield* Simulation.explore(seeds, { layer, kills: false })
        assert.isDefined(failed, `${name} was not found within ${seeds.length} seeds`)
        assert.match(failed!.violations[0]!, /waits, and all that it waits for has ended|runs, and .* has not ended/)
        yield* tell(context, `${name}: found by seed ${failed!.seed}: ${failed!.violations[0]}`)
      }))
  }
})
