/**
 * `npm run bench [-- --quick] [--scenario a,b] [--system a,b] [--rounds n]`: every scenario on every system, rounds
 * interleaved over the systems, each run in a process of its own. Prints a table and writes `results/memory.json`.
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { type Figure, scenarios } from "./scenarios.ts"

const systems = ["capstan", "effect-persisted-queue", "platformatic", "p-queue", "fastq", "fibers"]
/** The systems that a target of ours is measured against, and the limit. */
const quickSystems = ["capstan", "effect-persisted-queue", "fibers"]

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    scenario: { type: "string" },
    system: { type: "string" },
    rounds: { type: "string" }
  }
})
const chosen = {
  scenarios: values.scenario?.split(",") ?? Object.keys(scenarios),
  systems: values.system?.split(",") ?? (values.quick ? quickSystems : systems),
  rounds: Number(values.rounds ?? (values.quick ? 3 : 5))
}

const folder = fileURLToPath(new URL("..", import.meta.url))
if (!existsSync(`${folder}node_modules`)) {
  process.stdout.write("installing the peers ...")
  const { status, stderr } = spawnSync("npm", ["ci", "--ignore-scripts"], { cwd: folder, encoding: "utf8" })
  if (status !== 0) throw new Error(stderr)
  console.log(" done")
}

interface Row {
  readonly scenario: string
  readonly system: string
  readonly variant: string
  readonly unit: Figure["unit"]
  readonly median: number
  readonly min: number
  readonly max: number
  readonly rounds: number
}

interface Figures {
  readonly warm: Figure
  /** Of the first pass, when there were several. */
  readonly cold?: Figure
}

const runOnce = (system: string, scenario: string): Figures | undefined => {
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    [
      "--conditions=@capstan/source",
      "--expose-gc",
      "--max-old-space-size=8192",
      `${folder}src/child.ts`,
      system,
      scenario
    ],
    { encoding: "utf8", timeout: 180_000 }
  )
  if (status !== 0) {
    console.error(
      `${system} ${scenario}: ${stderr.trim().split("\n").slice(0, 6).join("\n") || "took longer than 180 s"}`
    )
    return undefined
  }
  return JSON.parse(stdout.trim().split("\n").at(-1)!) ?? undefined
}

const toRow = (scenario: string, system: string, variant: string, figures: ReadonlyArray<Figure>): Row => {
  const sorted = figures.map(({ value }) => value).toSorted((a, b) => a - b)
  return {
    scenario,
    system,
    variant,
    unit: figures[0]!.unit,
    median: sorted[Math.floor(sorted.length / 2)]!,
    min: sorted[0]!,
    max: sorted.at(-1)!,
    rounds: sorted.length
  }
}

const rows: Array<Row> = []
const show = (row: Row | undefined, unit: Figure["unit"]): string => {
  if (row === undefined) return "–"
  switch (unit) {
    case "jobs/s":
      return `${(row.median / 1000).toFixed(1)} k/s`
    case "ms":
      return `${row.median.toFixed(2)} ms`
    case "bytes":
      return `${row.median.toFixed(0)} B`
    case "ratio":
      return row.median.toFixed(2)
  }
}

const width = 24
console.log(["scenario".padEnd(14), ...chosen.systems.map((system) => system.padStart(width))].join(""))
for (const scenario of chosen.scenarios) {
  const figures = new Map<string, Array<Figures>>()
  for (let round = 0; round < chosen.rounds; round++) {
    for (const system of chosen.systems) {
      if (round > 0 && !figures.has(system)) continue
      const figure = runOnce(system, scenario)
      if (figure !== undefined) figures.set(system, [...figures.get(system) ?? [], figure])
    }
  }
  const ofScenario = [...figures].map(([system, list]) => toRow(scenario, system, "", list.map(({ warm }) => warm)))
  rows.push(...ofScenario)
  for (const [system, list] of figures) {
    const cold = list.flatMap(({ cold }) => cold === undefined ? [] : [cold])
    if (cold.length > 0) rows.push(toRow(scenario, system, "cold", cold))
  }
  const ours = ofScenario.find(({ system }) => system === "capstan")
  const cells = chosen.systems.map((system) => {
    const row = ofScenario.find((row) => row.system === system)
    const cell = show(row, row?.unit ?? "jobs/s")
    const ratio = row === undefined || ours === undefined || row === ours
      ? ""
      : ` (${(ours.median / row.median).toFixed(2)}x)`
    return `${cell}${ratio}`.padStart(width)
  })
  console.log([scenario.padEnd(14), ...cells].join(""))
}
console.log(
  "\n(n x): capstan's figure over that system's; of rates more is better, of times and bytes less. " +
    "Processes are warmed up; the first pass of each is in the file as variant `cold`"
)

mkdirSync(`${folder}results`, { recursive: true })
if (values.scenario === undefined && values.system === undefined) {
  writeFileSync(`${folder}results/memory.json`, `${JSON.stringify(rows, null, 2)}\n`)
}
