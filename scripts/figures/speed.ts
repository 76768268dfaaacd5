/** One picture of a store's benchmarks: a panel for each scenario, a bar for each system, whiskers from least to greatest. */
import { box, line, picture, text } from "./svg.ts"

/** A row of `benchmarks/results`. */
export interface SpeedRow {
  readonly scenario: string
  readonly system: string
  readonly variant: string
  readonly unit: string
  readonly median: number
  readonly min: number
  readonly max: number
  readonly rounds: number
  readonly date: string
  readonly server?: string
}

/** In the order of the page. What is not named here has too little to show, or is told in `benchmarks/README.md`. */
const scenarios: ReadonlyArray<readonly [scenario: string, title: string]> = [
  ["enqueue-seq", "enqueue, one at a time"],
  ["enqueue-100", "enqueue, 100 fibers"],
  ["enqueue-bulk", "enqueue, many in a call"],
  ["drain-c1", "work off, one at a time"],
  ["drain-100k", "work off, 100 at a time"],
  ["workers-2", "work off, two workers"],
  ["handler-10ms", "handlers of 10 ms, 100 at once"],
  ["due-1000-p99", "1,000 due at once, p99"],
  ["pickup-p50", "pick-up when idle, median"],
  ["pickup-p99", "pick-up when idle, p99"],
  ["cpu-worker", "CPU of the worker, a job"],
  ["cpu-server", "CPU of the server, a job"],
  ["wal-bytes", "log written, a job"],
  ["waiting-bytes", "memory, a waiting job"],
  ["heap", "memory, a waiting job"]
]

const names: Readonly<Record<string, string>> = {
  capstan: "Capstan",
  "capstan-no-history": "without history",
  "effect-persisted-queue": "PersistedQueue",
  graphile: "graphile-worker",
  "graphile-batch": "graphile, batched",
  bullmq: "BullMQ",
  "bullmq-pg": "BullMQ on Postgres",
  platformatic: "platformatic"
}

/** What any queue on this backend could do at best: a text, because its bar would make all others short. */
const bounds: Readonly<Record<string, string>> = { limit: "bare server", fibers: "plain fibers" }

const width = 900
const columnWidth = (width - 60) / 2
const labelWidth = 130
const barWidth = columnWidth - labelWidth - 122
const rowHeight = 21

export const speed = (store: string, rows: ReadonlyArray<SpeedRow>): string => {
  const warm = rows.filter(({ variant }) => variant === "")
  const panels = scenarios.map(([scenario, title]) => panelOf(title, warm.filter((row) => row.scenario === scenario)))
    .filter((panel) => panel !== undefined)
  const parts: Array<string> = []
  let top = 76
  for (let i = 0; i < panels.length; i += 2) {
    const pair = panels.slice(i, i + 2)
    for (const [column, panel] of pair.entries()) parts.push(...panel.draw(20 + column * (columnWidth + 20), top))
    top += Math.max(...pair.map(({ height }) => height)) + 14
  }
  const rounds = Math.min(...warm.map((row) => row.rounds))
  const dates = warm.map(({ date }) => date).toSorted()
  const days = [...new Set([dates.at(0), dates.at(-1)])].join(" to ")
  const server = (warm.find((row) => row.server !== undefined)?.server ?? "").split(";").slice(0, 3).join(",")
  const what = `Speed on ${store}, by system`
  return picture(width, top + 8, what, [
    text(20, 34, `Speed, ${store}`, "title"),
    text(width - 20, 34, days, "small", "end"),
    text(
      20,
      54,
      `medians of ${rounds} rounds, whiskers from least to greatest, in brackets as a multiple of Capstan${
        server && `; ${server}`
      }`,
      "small"
    ),
    ...parts
  ])
}

interface Panel {
  readonly height: number
  readonly draw: (left: number, top: number) => ReadonlyArray<string>
}

const panelOf = (title: string, rows: ReadonlyArray<SpeedRow>): Panel | undefined => {
  const bars = rows.filter(({ system }) => bounds[system] === undefined)
  const ours = bars.find(({ system }) => system === "capstan")
  // One alone compares nothing.
  if (ours === undefined || bars.length < 2) return undefined
  const bound = rows.find(({ system }) => bounds[system] !== undefined)
  const isLess = ours.unit !== "jobs/s"
  const sorted = [
    ours,
    ...bars.filter((row) => row !== ours).toSorted((a, b) => isLess ? a.median - b.median : b.median - a.median)
  ]
  const most = Math.max(...sorted.map(({ max }) => max))
  const draw = (left: number, top: number): ReadonlyArray<string> => [
    text(left, top + 12, title, "head"),
    text(
      left + columnWidth,
      top + 12,
      [...(isLess ? ["less is better"] : []), ...(bound ? [`${bounds[bound.system]} ${said(bound)}`] : [])].join("; "),
      "small",
      "end"
    ),
    ...sorted.flatMap((row, i) => barOf(row, ours, most, left, top + 20 + i * rowHeight))
  ]
  return { height: 24 + sorted.length * rowHeight, draw }
}

const barOf = (row: SpeedRow, ours: SpeedRow, most: number, left: number, top: number): ReadonlyArray<string> => {
  const isOurs = row === ours
  const start = left + labelWidth
  const at = (value: number): number => start + barWidth * value / most
  const middle = top + 10
  const ratio = row.median / ours.median
  return [
    text(start - 8, middle + 4, names[row.system] ?? row.system, isOurs ? "strong" : "", "end"),
    box(start, top + 3, at(row.median) - start, 14, isOurs ? "bar-ours" : "bar"),
    line(at(row.min), middle, at(row.max), middle, "whisker"),
    line(at(row.min), middle - 3.5, at(row.min), middle + 3.5, "whisker"),
    line(at(row.max), middle - 3.5, at(row.max), middle + 3.5, "whisker"),
    text(
      at(row.max) + 7,
      middle + 4,
      isOurs ? said(row) : `${said(row)} (${times(ratio)})`,
      isOurs ? "strong" : "muted"
    )
  ]
}

const times = (ratio: number): string => `${ratio >= 10 ? Math.round(ratio) : ratio.toFixed(ratio < 0.1 ? 2 : 1)}x`

/** With its unit, and no more digits than a noisy machine tells. */
const said = ({ median, unit }: SpeedRow): string => {
  if (unit === "jobs/s") return `${shortened(median)}/s`
  if (unit === "bytes") return `${Math.round(median).toLocaleString("en")} B`
  if (unit === "us") return `${rounded(median)} µs`
  return median < 0.1 ? `${rounded(median * 1000)} µs` : `${rounded(median)} ms`
}

const shortened = (value: number): string =>
  value >= 1e6 ? `${rounded(value / 1e6)} M` : value >= 1e3 ? `${rounded(value / 1e3)} k` : `${Math.round(value)} `

const rounded = (value: number): string => value >= 10 ? String(Math.round(value)) : value.toFixed(1)
