/** What must be in the results that are kept of a store, and is not: no fault goes without a row, no row without its blows. */
import { faultsOf } from "./faults/index.ts"
import { peerFaults, peers } from "./peer.ts"
import type { Results } from "./report.ts"
import type { Store } from "./store.ts"

/** The faults that files of format 1 have. */
const first: ReadonlySet<string> = new Set(["F1", "F3", "F4", "F6", "F8", "F11", "F21"])

interface Wanted {
  readonly fault: string
  readonly system: string
  readonly without?: string | undefined
}

const wanted = (storeName: string, store: Store, format: number): ReadonlyArray<Wanted> =>
  faultsOf(store).filter(({ id }) => format > 1 || first.has(id)).flatMap(({ control, id }): ReadonlyArray<Wanted> => [
    { fault: id, system: "capstan" },
    ...control === undefined ? [] : [{ fault: id, system: "capstan", without: control.without }],
    ...format > 1 && peerFaults.has(id) ? peers[storeName]!.map((system) => ({ fault: id, system })) : []
  ])

const nameOf = ({ fault, system, without }: Wanted): string =>
  `${fault} ${system}${without === undefined ? "" : ` without ${without}`}`

export const faultsIn = (storeName: string, store: Store, { format = 1, rows }: Results): ReadonlyArray<string> => {
  const named = rows.map((row) => ({ ...row, system: row.system ?? "capstan" }))
  const found = new Set(named.map(nameOf))
  return [
    ...wanted(storeName, store, format).map(nameOf).filter((name) => !found.has(name)).map((name) => `${name}: no row`),
    ...named.flatMap((row) => {
      const blows = Object.entries(row.figures.struck)
      return blows.length > 0 && blows.every(([, times]) => times > 0)
        ? []
        : [`${nameOf(row)}: does not say how often it struck, or never did: ${JSON.stringify(row.figures.struck)}`]
    }),
    ...named.filter(({ pass, system }) => !pass && system === "capstan").map((row) => `${nameOf(row)}: missed`),
    ...format > 1
      ? named.filter(({ commit, date, seed, seconds }) => !commit || !date || !Number.isInteger(seed) || !(seconds > 0))
        .map((row) => `${nameOf(row)}: of no commit, date, seed or length`)
      : []
  ]
}
