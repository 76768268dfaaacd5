/** What `npm run simulate -- --seeds 1000 --json` kept of its last long runs: no invariant broke, and nothing was passed by. */
import { Simulation } from "@capstan/testing"
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"

interface Kept {
  readonly commit: string
  readonly seeds: { readonly from: number; readonly runs: number }
  readonly kills: boolean
  readonly steps: number
  readonly failed: null | { readonly seed: number }
  readonly events: Readonly<Record<string, number>>
  readonly transitions: Readonly<Record<string, number>>
  readonly features: Readonly<Record<string, number>>
  readonly faults: Readonly<Record<string, number>>
  readonly faultPairs: Readonly<Record<string, number>>
}

const files = { "simulation.json": true, "simulation-no-kills.json": false }

describe.each(Object.entries(files))("docs/figures/%s", (file, kills) => {
  const kept: Kept = JSON.parse(readFileSync(new URL(`../docs/figures/${file}`, import.meta.url), "utf8"))
  const counts = (of: Readonly<Record<string, number>>) => new Map(Object.entries(of))

  it("is of a thousand seeds, none of which broke an invariant", () => {
    expect(kept).toMatchObject({ kills, failed: null, seeds: { from: 1 } })
    expect(kept.seeds.runs).toBeGreaterThanOrEqual(1000)
  })

  it("reached every step, event, feature and fault that it can reach", () => {
    const exploration: Simulation.Exploration = {
      runs: kept.seeds.runs,
      steps: kept.steps,
      failed: undefined,
      events: counts(kept.events),
      transitions: counts(kept.transitions),
      features: counts(kept.features),
      faults: counts(kept.faults),
      faultPairs: counts(kept.faultPairs)
    }
    expect(Simulation.unreached(exploration, { kills })).toEqual([])
  })

  it("saw every two faults close behind each other", () => {
    const faults = Object.keys(kept.faults)
    const pairs = faults.flatMap((before) => faults.map((after) => `${before}, ${after}`))
    expect(pairs.filter((pair) => !(kept.faultPairs[pair]! > 0))).toEqual([])
  })
})
