/** Every picture of `docs/figures`, by its name, from what is committed of the benchmarks and of the fault runs. */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { type FaultResults, faults } from "./faults.ts"
import { speed, type SpeedRow } from "./speed.ts"

const titles: Readonly<Record<string, string>> = { memory: "in memory", pg: "Postgres", redis: "Redis" }

export const figures = (root: string): ReadonlyMap<string, string> => {
  const pictures = new Map<string, string>()
  for (const [store, title] of Object.entries(titles)) {
    const measured = join(root, "benchmarks/results", `${store}.json`)
    if (existsSync(measured)) pictures.set(`speed-${store}.svg`, speed(title, read<ReadonlyArray<SpeedRow>>(measured)))
    const struck = join(root, "chaos/results", `${store}.json`)
    if (existsSync(struck)) pictures.set(`faults-${store}.svg`, faults(title, read<FaultResults>(struck)))
  }
  return pictures
}

const read = <A>(path: string): A => JSON.parse(readFileSync(path, "utf8")) as A
