/**
 * One picture of many simulated seeds: which steps from state to state were taken, which faults struck close behind each other, and how
 * often each event of the transition table and each feature was seen.
 */
import { Simulation } from "@capstan/testing"
import { box, line, picture, text } from "./svg.ts"

/** What `npm run simulate -- --json` keeps. */
export interface SimulationResults {
  readonly commit: string
  readonly date: string
  readonly seeds: { readonly from: number; readonly runs: number }
  readonly kills: boolean
  readonly steps: number
  readonly failed: null | { readonly seed: number; readonly violations: ReadonlyArray<string> }
  readonly events: Counts
  readonly transitions: Counts
  readonly features: Counts
  readonly faults: Counts
  readonly faultPairs: Counts
}

type Counts = Readonly<Record<string, number>>

const width = 1280
const margin = 20
const cell = { width: 56, height: 24 }
const top = 112

/** In the order of a record's life. */
const states = ["blocked", "scheduled", "ready", "running", "completed", "cancelled", "dead"] as const

const mapOf = (counts: Counts): ReadonlyMap<string, number> => new Map(Object.entries(counts))

/** As what it was kept of; what failed of it is told by the results alone. */
export const explorationOf = (results: SimulationResults): Simulation.Exploration => ({
  runs: results.seeds.runs,
  steps: results.steps,
  failed: undefined,
  events: mapOf(results.events),
  transitions: mapOf(results.transitions),
  features: mapOf(results.features),
  faults: mapOf(results.faults),
  faultPairs: mapOf(results.faultPairs)
})

export const simulation = (results: SimulationResults): string => {
  const missing = Simulation.unreached(explorationOf(results), { kills: results.kills })
  const { commit, date, events, failed, faultPairs, faults, features, kills, seeds, steps, transitions } = results
  const byState = matrix({
    left: margin,
    title: "Steps from the state of the row to that of the column",
    labels: states,
    of: (from, to) => transitions[`${from} → ${to}`] ?? 0,
    isAsked: (from, to) => missing.includes(`${from} → ${to}`)
  })
  const names = Object.keys(faults).toSorted()
  const byFault = matrix({
    left: 584,
    title: "The fault of the column struck within six seconds after that of the row",
    labels: names,
    of: (before, after) => faultPairs[`${before}, ${after}`] ?? 0,
    isAsked: () => true
  })
  const lists = top + 42 + Math.max(states.length, names.length) * cell.height + 34
  const columns = [
    list(margin, lists, 400, "Events of the transition table", events),
    list(margin + 424, lists, 400, "Features that did what they are for", features),
    list(margin + 848, lists, 392, "Faults", faults)
  ]
  const height = lists + 34 + Math.max(...[events, features, faults].map((of) => Object.keys(of).length)) * 20
  return picture(width, height, `What ${seeds.runs.toLocaleString("en")} simulated clusters reached`, [
    text(margin, 34, `What ${seeds.runs.toLocaleString("en")} simulated clusters reached`, "title"),
    text(
      margin,
      54,
      `${kills ? "workers freeze, are terminated and die" : "no worker loses its lease"}; seeds from ${seeds.from}; ` +
        `${steps.toLocaleString("en")} calls of their stores, invariants looked at after each; commit ${
          commit.slice(0, 7)
        }, ${date}`,
      "muted"
    ),
    failed !== null
      ? text(margin, 76, `Seed ${failed.seed} broke: ${failed.violations[0] ?? ""}`, "bad-text")
      : missing.length > 0
      ? text(margin, 76, `Not reached, though it can be: ${missing.join(", ")}`, "bad-text")
      : text(margin, 76, "No invariant broke, and all that can be reached was reached.", "good-text"),
    line(margin, 88, width - margin, 88, "rule"),
    ...byState,
    ...byFault,
    line(margin, lists - 20, width - margin, lists - 20, "rule"),
    ...columns.flat()
  ])
}

interface Matrix {
  readonly left: number
  readonly title: string
  readonly labels: ReadonlyArray<string>
  readonly of: (row: string, column: string) => number
  readonly isAsked: (row: string, column: string) => boolean
}

const labelWidth = 118

/** The larger a count, the darker its cell, by powers of ten. What is asked for and was never seen says so. */
const matrix = ({ isAsked, labels, left, of, title }: Matrix): ReadonlyArray<string> => {
  const x = (i: number) => left + labelWidth + i * cell.width
  const y = (i: number) => top + 42 + i * cell.height
  return [
    text(left, top, title, "head"),
    ...labels.flatMap((label, i) => [
      ...label.split(" ").map((word, n, words) =>
        text(x(i) + cell.width / 2, top + 36 - (words.length - 1 - n) * 12, word, "tiny", "middle")
      ),
      text(left + labelWidth - 8, y(i) + 16, label, "small", "end")
    ]),
    ...labels.flatMap((row, r) =>
      labels.flatMap((column, c) => {
        const count = of(row, column)
        if (count === 0 && !isAsked(row, column)) return []
        return [
          box(x(c) + 1, y(r) + 1, cell.width - 2, cell.height - 2, count === 0 ? "bad" : heat(count), 3),
          text(x(c) + cell.width / 2, y(r) + 16, short(count), count === 0 ? "bad-text" : "number", "middle")
        ]
      })
    )
  ]
}

const heat = (count: number): string => `heat-${Math.min(5, Math.floor(Math.log10(count)) + 1)}`

/** Three figures are enough in a cell. */
const short = (count: number): string =>
  count < 1000
    ? String(count)
    : count < 999_500
    ? `${thousands(count / 1000)} k`
    : `${thousands(count / 1e6)} M`

const thousands = (value: number): string => value < 9.95 ? value.toFixed(1) : value.toFixed(0)

const list = (left: number, from: number, listWidth: number, title: string, counts: Counts): ReadonlyArray<string> => {
  const bar = listWidth - 330
  return [
    text(left, from, title, "head"),
    ...Object.entries(counts).toSorted(([a], [b]) => a < b ? -1 : 1).flatMap(([name, count], i) => {
      const y = from + 22 + i * 20
      return [
        text(left, y, name, "small"),
        text(left + 320, y, count.toLocaleString("en"), "number", "end"),
        box(left + 330, y - 9, bar * Math.min(1, Math.log10(count + 1) / 7), 9, "bar")
      ]
    })
  ]
}
