/** Every picture and table of `docs/figures`, by its name, from what is committed of the benchmarks, the fault runs and the simulation. */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { type FaultResults, type FaultRow, faults } from "./faults.ts"
import { simulation, type SimulationResults } from "./simulation.ts"
import { speed, type SpeedRow } from "./speed.ts"

const titles: Readonly<Record<string, string>> = { memory: "in memory", pg: "Postgres", redis: "Redis" }

export const figures = (root: string): ReadonlyMap<string, string> => {
  const pictures = new Map<string, string>()
  for (const [store, title] of Object.entries(titles)) {
    const measured = join(root, "benchmarks/results", `${store}.json`)
    if (existsSync(measured)) pictures.set(`speed-${store}.svg`, speed(title, read<ReadonlyArray<SpeedRow>>(measured)))
    const struck = join(root, "chaos/results", `${store}.json`)
    if (existsSync(struck)) {
      const results = read<FaultResults>(struck)
      pictures.set(`faults-${store}.svg`, faults(title, results))
      pictures.set(
        `chaos-${store}.json`,
        `[\n${results.rows.map((row) => `  ${JSON.stringify(toRow(row))}`).join(",\n")}\n]\n`
      )
    }
  }
  for (const name of ["simulation", "simulation-no-kills"]) {
    pictures.set(`${name}.svg`, simulation(read<SimulationResults>(join(root, "docs/figures", `${name}.json`))))
  }
  return pictures
}

/** A row for who reads them by a program: what struck whom, what was found, and whether it may be. */
const toRow = ({ commit, date, fault, figures, pass, seed, system = "capstan", without }: FaultRow) => ({
  fault,
  system,
  without,
  figures,
  pass,
  seed,
  commit,
  date
})

const read = <A>(path: string): A => JSON.parse(readFileSync(path, "utf8")) as A
