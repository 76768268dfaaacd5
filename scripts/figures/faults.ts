/**
 * One picture of a store's last full run of faults: what an audit of the ledgers found after each, by system, and after the
 * same fault without the safeguard, which must be found.
 */
import { box, line, picture, text } from "./svg.ts"

/** A row of `chaos/results`. Of a peer, what its ledger cannot tell is left out. */
export interface FaultRow {
  readonly fault: string
  readonly title?: string
  /** Absent: ours. */
  readonly system?: string
  /** The safeguard that was taken away. */
  readonly without?: string
  readonly figures: Figures
  readonly seed: number
  readonly seconds: number
  readonly commit: string
  readonly date: string
  readonly lines?: ReadonlyArray<{ readonly what: string; readonly holds: boolean }>
  readonly pass: boolean
}

export interface Figures {
  readonly acknowledged?: number
  readonly lost?: number
  readonly unexpected?: number
  readonly doneTwice?: number
  readonly ghost?: number
  readonly stuck?: number
  readonly duplicated?: number
  readonly staleWrites?: { readonly accepted?: number; readonly attempted?: number }
  /** Records that died of chance, and that an operator ran again. */
  readonly replayed?: number
  readonly recovery?: { readonly samples: number; readonly p50?: number; readonly p95?: number; readonly max?: number }
  readonly struck?: Readonly<Record<string, number>>
}

export interface FaultResults {
  readonly server: string
  readonly rows: ReadonlyArray<FaultRow>
}

/** None of these may be above zero. */
const columns: ReadonlyArray<readonly [head: string, of: (figures: Figures) => number | undefined]> = [
  ["lost", ({ lost }) => lost],
  ["unexpected", ({ unexpected }) => unexpected],
  ["done twice", ({ doneTwice }) => doneTwice],
  ["ghosts", ({ ghost }) => ghost],
  ["stale writes", ({ staleWrites }) => staleWrites?.accepted],
  ["stuck", ({ stuck }) => stuck]
]

const names: Readonly<Record<string, string>> = { capstan: "Capstan", graphile: "graphile-worker", bullmq: "BullMQ" }

const width = 1280
const labelX = 32
const jobsX = 238
const cellsX = 252
const cellWidth = 68
/** Extra runs are no fault: at least once is what is promised. */
const extraX = cellsX + (columns.length + 1) * cellWidth - 12
const noteX = extraX + 22
const rowHeight = 23

export const faults = (store: string, { rows, server }: FaultResults): string => {
  const parts: Array<string> = []
  let top = 104
  for (const fault of new Set(rows.map(({ fault }) => fault))) {
    const group = rows.filter((row) => row.fault === fault)
    const first = group[0]!
    parts.push(
      line(20, top - 6, width - 20, top - 6, "rule"),
      text(20, top + 12, `${fault}  ${first.title ?? ""}`, "head"),
      text(width - 20, top + 12, struckBy(first), "small", "end")
    )
    top += 19
    for (const row of inOrder(group)) {
      parts.push(...rowOf(row, top))
      top += rowHeight
    }
    top += 10
  }
  // A full run may be made in parts.
  const [{ seconds, seed }] = rows as readonly [FaultRow, ...ReadonlyArray<FaultRow>]
  const commits = [...new Set(rows.map(({ commit }) => commit))].join(", ")
  const day = rows.map(({ date }) => date.slice(0, 10)).toSorted().at(-1)
  return picture(width, top + 30, `What an audit found after faults, ${store}`, [
    text(20, 34, `What is left after faults, ${store}`, "title"),
    text(20, 54, `${seconds} s a fault, seed ${seed}; ${server}; commit ${commits}, ${day}`, "muted"),
    text(jobsX, 84, "jobs", "small", "end"),
    ...columns.map(([head], i) => text(cellsX + (i + 0.5) * cellWidth, 84, head, "small", "middle")),
    text(extraX, 84, "extra runs", "small", "end"),
    ...parts,
    text(
      20,
      top + 12,
      "Ghosts: completed by a stale attempt. Stale writes: those that a store accepted. A control must turn red: it shows that the audit sees what it looks for.",
      "small"
    )
  ])
}

/** Ours, then others under the same fault, then what happens without the safeguard. */
const inOrder = (rows: ReadonlyArray<FaultRow>): ReadonlyArray<FaultRow> => {
  const rank = ({ system = "capstan", without }: FaultRow) => without !== undefined ? 2 : system === "capstan" ? 0 : 1
  return rows.toSorted((a, b) => rank(a) - rank(b))
}

/** What strikes, without what only ends it or was counted of it. */
const struckBy = ({ figures }: FaultRow): string =>
  Object.entries(figures.struck ?? {})
    .filter(([what]) => !/^(up|heal|thaw|go on|room|last)$/.test(what))
    .map(([what, times]) => `${what} ${times.toLocaleString("en")}`)
    .join(", ")

/** As much as there is room for at its right. */
const cut = (note: string): string => note.length > 72 ? `${note.slice(0, 71)}…` : note

const rowOf = (row: FaultRow, top: number): ReadonlyArray<string> => {
  const { figures, system = "capstan", without } = row
  const name = names[system] ?? system
  const note = noteOf(row)
  const isBad = columns.some(([, of]) => (of(figures) ?? 0) > 0)
  return [
    text(
      labelX,
      top + 15,
      without === undefined ? name : `control: no ${without}`,
      without === undefined ? system === "capstan" ? "strong" : "" : "muted"
    ),
    text(jobsX, top + 15, figures.acknowledged?.toLocaleString("en") ?? "", "muted", "end"),
    ...columns.flatMap(([, of], i) => cellOf(of(figures), cellsX + i * cellWidth, top)),
    text(extraX, top + 15, figures.duplicated?.toLocaleString("en") ?? "", "muted", "end"),
    // A control may show what it lacks in another figure alone.
    text(noteX, top + 15, cut(note), without !== undefined && !isBad ? "bad-text small-bad" : "small")
  ]
}

const cellOf = (value: number | undefined, left: number, top: number): ReadonlyArray<string> => {
  if (value === undefined) return []
  const look = value === 0 ? "good" : "bad"
  return [
    box(left + 2, top + 1, cellWidth - 4, rowHeight - 3, look, 3),
    text(left + cellWidth / 2, top + 15, value.toLocaleString("en"), `${look}-text`, "middle")
  ]
}

const common = /^(acknowledged|lost|unexpected|done twice|ghost|stale writes accepted|stuck|wedged|processes that) /

/** What this fault is about beside the columns: the first of its own lines. */
const noteOf = ({ figures, lines = [] }: FaultRow): string => {
  const struck = new Set(Object.entries(figures.struck ?? {}).map(([what, times]) => `${what} ${times}`))
  return lines.map(({ what }) => what).find((what) => !common.test(what) && !struck.has(what)) ?? ""
}
