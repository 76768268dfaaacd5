/** What must be in the results that are kept of a store, and is not: no fault goes without a row, no row without its blows. */
import { faultsOf } from "./faults/index.ts"
import { peerFaults, peers } from "./peer.ts"
import type { Results } from "./report.ts"
import type { Store } from "./store.ts"

interface Wanted {
  readonly fault: string
  readonly system: string
  readonly without?: string | undefined
}

const wanted = (storeName: string, store: Store): ReadonlyArray<Wanted> =>
  faultsOf(store).flatMap(({ control, id }): ReadonlyArray<Wanted> => [
    { fault: id, system: "capstan" },
    ...control === undefined ? [] : [{ fault: id, system: "capstan", without: control.without }],
    ...peerFaults.has(id) ? peers[storeName]!.map((system) => ({ fault: id, system })) : []
  ])

const nameOf = ({ fault, system, without }: Wanted): string =>
  `${fault} ${system}${without === undefined ? "" : ` without ${without}`}`

export const faultsIn = (storeName: string, store: Store, { rows }: Results): ReadonlyArray<string> => {
  const found = new Set(rows.map(nameOf))
  return [
    ...wanted(storeName, store).map(nameOf).filter((name) => !found.has(name)).map((name) => `${name}: no row`),
    ...rows.flatMap((row) => {
      const blows = Object.entries(row.figures.struck)
      return blows.length > 0 && blows.every(([, times]) => times > 0)
        ? []
        : [`${nameOf(row)}: does not say how often it struck, or never did: ${JSON.stringify(row.figures.struck)}`]
    }),
    ...rows.filter(({ pass, system }) => !pass && system === "capstan").map((row) => `${nameOf(row)}: missed`),
    ...rows.filter(({ commit, date, seed, seconds }) => !commit || !date || !Number.isInteger(seed) || !(seconds > 0))
      .map((row) => `${nameOf(row)}: of no commit, date, seed or length`)
  ]
}
