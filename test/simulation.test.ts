/** What `npm run simulate -- --json` kept of its last long runs: no invariant broke, and nothing was passed by. */
import { Simulation } from "@capstan/testing"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { explorationOf, type SimulationResults } from "../scripts/figures/simulation.ts"
import { exploreInThreads } from "../scripts/simulation/threads.ts"

const files = [
  { file: "simulation.json", kills: true, runs: 10_000 },
  { file: "simulation-no-kills.json", kills: false, runs: 1000 }
]

describe.each(files)("docs/figures/$file", ({ file, kills, runs }) => {
  const kept: SimulationResults = JSON.parse(readFileSync(new URL(`../docs/figures/${file}`, import.meta.url), "utf8"))

  it(`is of ${runs} seeds, none of which broke an invariant`, () => {
    expect(kept).toMatchObject({ kills, failed: null, seeds: { from: 1 } })
    expect(kept.seeds.runs).toBeGreaterThanOrEqual(runs)
  })

  it("reached every step, event, feature and fault that it can reach", () => {
    expect(Simulation.unreached(explorationOf(kept), { kills })).toEqual([])
  })

  it("saw every two faults close behind each other", () => {
    const faults = Object.keys(kept.faults)
    const pairs = faults.flatMap((before) => faults.map((after) => `${before}, ${after}`))
    expect(pairs.filter((pair) => !(kept.faultPairs[pair]! > 0))).toEqual([])
  })
})

describe("seeds shared out among threads", { timeout: 120_000 }, () => {
  it("are each run once, and come to what one thread comes to", async () => {
    const told: Array<number> = []
    const inThreads = await exploreInThreads(
      { from: 5, count: 2, kills: true, threads: 2, share: 1 },
      (explored) => told.push(explored)
    )
    expect(told).toEqual([1, 2])
    const alone = await Effect.runPromise(Simulation.explore([5, 6], { kills: true }))
    expect(inThreads).toEqual(alone)
  })
})
