/** A store's last full run of faults in the tables of `chaos/README.md`: ours with the controls, and others under the same blows. */
import type { FaultResults, FaultRow, Figures } from "./faults.ts"

type Cells = ReadonlyArray<string>

export const faultTables = (
  { rows }: FaultResults
): { readonly ours: ReadonlyArray<Cells>; readonly others: ReadonlyArray<Cells> } => ({
  ours: rows.filter(isOurs).map((row) => [
    row.without === undefined ? row.fault : `${row.fault} without ${row.without}`,
    struck(row.figures),
    ...counts(row.figures, "acknowledged", "lost", "unexpected", "duplicated", "doneTwice", "ghost", "stuck"),
    `${count(row.figures.staleWrites?.attempted)} / ${count(row.figures.staleWrites?.accepted)}`,
    recovery(row.figures)
  ]),
  others: rows.filter((row) => !isOurs(row)).map((row) => [
    row.fault,
    row.system!,
    struck(row.figures),
    ...counts(row.figures, "acknowledged", "lost", "duplicated", "doneTwice", "ghost", "replayed")
  ])
})

const isOurs = ({ system = "capstan" }: FaultRow): boolean => system === "capstan"

type Count = { [K in keyof Figures]-?: Figures[K] extends number | undefined ? K : never }[keyof Figures]

const counts = (figures: Figures, ...names: ReadonlyArray<Count>): Cells => names.map((name) => count(figures[name]))

const count = (value: number | undefined): string => value?.toLocaleString("en-US") ?? "–"

const struck = ({ struck = {} }: Figures): string =>
  Object.entries(struck).map(([what, times]) => `${count(times)} ${what}`).join(", ")

const recovery = ({ recovery }: Figures): string =>
  recovery?.p50 === undefined
    ? ""
    : `${[recovery.p50, recovery.p95!, recovery.max!].map((millis) => (millis / 1000).toFixed(1)).join(" / ")} s`
