/**
 * `npm run bench [-- --store memory|pg|redis] [--url url] [--quick] [--scenario a,b] [--system a,b] [--rounds n]
 * [--save]`: every scenario on every system, rounds interleaved over the systems, each run in a process of its own. Prints a table
 * and writes `results/<store>.json`; of some scenarios or systems, or with `--quick`, only with `--save`, which leaves the other rows as
 * they are. A row of fewer than five rounds is printed and not kept.
 */
import { spawn, spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { loadServer } from "./load.ts"
import type { Figure } from "./measures.ts"
import { serverOf } from "./servers.ts"
import { alone, long, type Store, stores } from "./stores.ts"
import { installScenario, type Outcome, type Task } from "./task.ts"

const { values } = parseArgs({
  options: {
    store: { type: "string", default: "memory" },
    url: { type: "string" },
    quick: { type: "boolean", default: false },
    scenario: { type: "string" },
    system: { type: "string" },
    rounds: { type: "string" },
    save: { type: "boolean", default: false }
  }
})

const stop = (message: string): never => {
  console.error(message)
  process.exit(1)
}

if (!Object.hasOwn(stores, values.store)) stop(`no store "${values.store}": ${Object.keys(stores).join(", ")}`)
const name = values.store as Task["store"]
if (name === "redis" && values.url !== undefined) {
  stop("--url: on Redis the bench empties its server, and takes none but its own")
}
const store: Store = stores[name]
const chosen = {
  scenarios: store.scenarios.filter((rows) => {
    const named = values.scenario?.split(",")
    return named === undefined ? !values.quick || !long.includes(rows[0]!) : rows.some((row) => named.includes(row))
  }),
  systems: (scenario: string): ReadonlyArray<string> =>
    values.system?.split(",") ??
      (alone.includes(scenario) ? ["capstan"] : values.quick ? store.quick(scenario) : store.systems),
  rounds: Number(values.rounds ?? (values.quick ? 3 : 5))
}

const folder = fileURLToPath(new URL("..", import.meta.url))
const installPeers = () => {
  const stamp = `${folder}node_modules/.capstan-install`
  const lock = createHash("sha256").update(readFileSync(`${folder}package-lock.json`)).digest("hex")
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return
  process.stdout.write("installing the peers ...")
  const { status, stderr } = spawnSync("npm", ["ci", "--ignore-scripts", "--loglevel=error"], {
    cwd: folder,
    encoding: "utf8"
  })
  if (status !== 0) throw new Error(stderr)
  writeFileSync(stamp, lock)
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
  /** The day, in UTC: a machine is not as fast on every one. */
  readonly date: string
  readonly jobs?: number
  readonly server?: string
}

/** A process that fills a database with millions takes minutes. */
const limitSeconds = 900

const perform = (task: Task): Promise<Outcome | undefined> =>
  new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      [
        "--conditions=@capstan/source",
        "--expose-gc",
        "--max-old-space-size=8192",
        `${folder}src/child.ts`,
        JSON.stringify(task)
      ],
      { stdio: ["ignore", "pipe", "pipe"], timeout: limitSeconds * 1000 }
    )
    let out = ""
    let err = ""
    child.stdout.on("data", (chunk) => {
      out += chunk
    })
    child.stderr.on("data", (chunk) => {
      err += chunk
    })
    child.on("close", (code) => {
      if (code === 0) return resolve(JSON.parse(out.trim().split("\n").at(-1)!))
      const lines = err.trim().split("\n")
      const thrown = Math.max(0, lines.findIndex((line) => /^\S*Error/.test(line)))
      const reason = lines.slice(thrown).filter((line) => !/^\s+at /.test(line)).slice(0, 6).join("\n") ||
        `took longer than ${limitSeconds} s`
      console.error(`${task.system} ${task.scenario}: ${reason}`)
      resolve(undefined)
    })
  })

const toRow = (
  scenario: string,
  system: string,
  variant: string,
  server: string | undefined,
  figures: ReadonlyArray<Figure>
): Row => {
  const sorted = figures.map(({ value }) => value).toSorted((a, b) => a - b)
  const [{ but, jobs, unit }] = figures as [Figure]
  return {
    scenario,
    system,
    variant,
    unit,
    median: sorted[Math.floor(sorted.length / 2)]!,
    min: sorted[0]!,
    max: sorted.at(-1)!,
    rounds: sorted.length,
    date: new Date().toISOString().slice(0, 10),
    ...jobs === undefined ? {} : { jobs },
    ...server === undefined ? {} : { server: but === undefined ? server : `${server}; but ${but}` }
  }
}

const show = (row: Row | undefined): string => {
  if (row === undefined) return "–"
  // 100 at a time, 10 ms each.
  if (row.scenario === "handler-10ms" && store.isServer) return `${(row.median / 100).toFixed(1)} % of ideal`
  switch (row.unit) {
    case "jobs/s":
      return `${(row.median / 1000).toFixed(1)} k/s`
    case "ms":
      return `${row.median.toFixed(2)} ms`
    case "bytes":
      return `${row.median.toFixed(0)} B`
    case "us":
      return `${row.median.toFixed(1)} us`
    case "ratio":
      return row.median.toFixed(2)
  }
}

const width = 24

/** Every row of the chosen scenarios; prints each as it is known. */
const measureAll = async (url: string, prefix: string, server: string | undefined): Promise<ReadonlyArray<Row>> => {
  const all: Array<Row> = []
  const task = { store: name, quick: values.quick, url, prefix }
  /** Its schema is installed once, which tells whether it is there at all. */
  const isThere = async (system: string) => await perform({ ...task, system, scenario: installScenario }) !== undefined
  const named = new Set(chosen.scenarios.flatMap(([first]) => chosen.systems(first!)))
  const columns: Array<string> = []
  for (const system of new Set([...store.systems.filter((system) => named.has(system)), ...named])) {
    if (!store.isServer || await isThere(system)) columns.push(system)
  }
  console.log(["scenario".padEnd(16), ...columns.map((system) => system.padStart(width))].join(""))
  for (const rows of chosen.scenarios) {
    const systems = chosen.systems(rows[0]!).filter((system) => columns.includes(system))
    const outcomes = new Map<string, Array<Outcome>>()
    for (let round = 0; round < chosen.rounds; round++) {
      for (const system of systems) {
        const earlier = outcomes.get(system) ?? []
        if (round > 0 && earlier.length === 0) continue
        const jobs = earlier[0]?.[rows[0]!]?.warm.jobs
        const outcome = await perform({ ...task, system, scenario: rows[0]!, ...jobs === undefined ? {} : { jobs } })
        if (outcome !== undefined && Object.keys(outcome).length > 0) outcomes.set(system, [...earlier, outcome])
      }
    }
    for (const scenario of rows) {
      const figuresOf = (list: ReadonlyArray<Outcome>, which: "warm" | "cold"): ReadonlyArray<Figure> =>
        list.flatMap((outcome) => outcome[scenario]?.[which] ?? [])
      const rowsOf = (variant: string, which: "warm" | "cold"): ReadonlyArray<Row> =>
        [...outcomes].flatMap(([system, list]) => {
          const figures = figuresOf(list, which)
          return figures.length === 0 ? [] : [toRow(scenario, system, variant, server, figures)]
        })
      const warm = rowsOf("", "warm")
      all.push(...warm, ...rowsOf("cold", "cold"))
      const ours = warm.find(({ system }) => system === "capstan")
      const cells = columns.map((system) => {
        const row = warm.find((row) => row.system === system)
        const ratio = row === undefined || ours === undefined || row === ours
          ? ""
          : ` (${(ours.median / row.median).toFixed(2)}x)`
        return `${show(row)}${ratio}`.padStart(width)
      })
      console.log([scenario.padEnd(16), ...cells].join(""))
    }
  }
  console.log(
    "\n(n x): capstan's figure over that system's; of rates more is better, of times and bytes less. " +
      "Processes are warmed up; the first pass of each is in the file as variant `cold`"
  )
  return all
}

const onServer = async (): Promise<ReadonlyArray<Row>> => {
  const { own, url } = await serverOf(name, values.url)
  const prefix = `capstan_bench_${process.pid}`
  const open = await loadServer(name)
  const server = await open(url, prefix)
  const interrupt = () => {
    if (own !== undefined) process.exit(130)
    void server.dropTemplates().finally(() => process.exit(130))
  }
  // More than once: from the terminal, and from the script that started this.
  process.on("SIGINT", interrupt)
  process.on("SIGTERM", interrupt)
  try {
    const described = await server.describe()
    console.log(`${described}\n`)
    return await measureAll(url, prefix, described)
  } finally {
    await server.dropTemplates()
    await server.close()
    await own?.stop()
  }
}

installPeers()
const rows = store.isServer ? await onServer() : await measureAll("", "", undefined)
/** Of a row that is kept: of fewer a median says too little. */
const leastRounds = 5
const isAll = values.scenario === undefined && values.system === undefined && !values.quick
if (isAll || values.save) {
  const file = `${folder}results/${name}.json`
  const whole = rows.filter(({ rounds }) => rounds >= leastRounds)
  for (const row of rows.filter((row) => !whole.includes(row))) {
    console.error(`not kept, since it has ${row.rounds} rounds: ${row.scenario} ${row.system} ${row.variant}`)
  }
  const isSame = (a: Row) => (b: Row) => a.scenario === b.scenario && a.system === b.system && a.variant === b.variant
  const kept: ReadonlyArray<Row> = isAll ? [] : JSON.parse(readFileSync(file, "utf8"))
  const scenarios = store.scenarios.flat()
  const all = [...kept.filter((row) => !whole.some(isSame(row))), ...whole].toSorted((a, b) =>
    scenarios.indexOf(a.scenario) - scenarios.indexOf(b.scenario) ||
    a.variant.localeCompare(b.variant) ||
    store.systems.indexOf(a.system) - store.systems.indexOf(b.system)
  )
  mkdirSync(`${folder}results`, { recursive: true })
  writeFileSync(file, `${JSON.stringify(all, null, 2)}\n`)
}
process.exit(0)
