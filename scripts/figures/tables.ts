/** Every table of the pages whose cells are measured, from what is committed of the benchmarks, the crowds and the fault runs. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import type { FaultResults } from "./faults.ts"
import { faultTables } from "./faultTables.ts"
import type { SpeedRow } from "./speed.ts"

type Cells = ReadonlyArray<string>

const stores = ["memory", "pg", "redis"] as const
const faultStores = [["Postgres", "pg"], ["Redis", "redis"]] as const
const pages = ["scale", "limits", "flows", "schedules"].map((name) => `docs/${name}.md`)

/** The pages by their paths, each with its tables filled. */
export const tables = (root: string): ReadonlyMap<string, string> => {
  const read = (path: string): string => readFileSync(join(root, path), "utf8")
  const measured = Object.fromEntries(stores.map((store) => {
    const rows: ReadonlyArray<SpeedRow> = JSON.parse(read(`benchmarks/results/${store}.json`))
    return [store, rows.filter(({ system, variant }) => system === "capstan" && variant === "")]
  }))
  const crowd: ReadonlyArray<Crowd> = JSON.parse(read("docs/figures/crowd.json"))
  const figure = (store: string, scenario: string) => measured[store]?.find((row) => row.scenario === scenario)

  const costs = ([what, scenario]: Cells): Cells => {
    const name = scenario!.replaceAll("`", "")
    const cells = stores.map((store) => {
      const isHeap = store === "memory" && name === "waiting-bytes"
      const row = figure(store, isHeap ? "heap" : name)
      if (row === undefined) return "–"
      return three(row.median) + (row.unit === "ratio" ? "" : ` ${row.unit}`) + (isHeap ? " (`heap`)" : "")
    })
    if (cells.every((cell) => cell === "–")) throw new Error(`${what}: no store has a row ${scenario}`)
    return [what!, scenario!, ...cells]
  }

  const shares = ([rate, store]: Cells): Cells => {
    const jobs = Number(rate!.replaceAll(",", ""))
    const median = (scenario: string) => figure(store!, scenario)!.median
    const inASecond = (scenario: string) => three((median(scenario) * jobs) / 1e6)
    return [
      rate!,
      store!,
      inASecond("cpu-server"),
      inASecond("cpu-worker"),
      store === "pg" ? `${inASecond("wal-bytes")} MB/s` : "–",
      three(median("drain-100k") / jobs)
    ]
  }

  const crowds = crowd.map(({ empty, exchanges, load, store, wakeups, workers }) => [
    store,
    load,
    workers.toLocaleString("en-US"),
    ...[exchanges, empty, wakeups].map((count) => count.toFixed(2))
  ])

  const struck = (page: string): string =>
    faultStores.reduce((page, [name, store]) => {
      const { others, ours } = faultTables(JSON.parse(read(`chaos/results/${store}.json`)) as FaultResults)
      return fill(fill(page, `| ${name} | struck |`, () => ours), `| ${name} | system |`, () => others)
    }, page)

  const guides = pages.map((path): readonly [string, string] => {
    const costed = fill(read(path), "| | scenario |", (rows) => rows.map(costs))
    const shared = fill(costed, "| jobs/s | store |", (rows) => rows.map(shares))
    return [path, fill(shared, "| store | load |", () => crowds)]
  })
  return new Map([...guides, ["chaos/README.md", struck(read("chaos/README.md"))]])
}

interface Crowd {
  readonly store: string
  readonly load: string
  readonly workers: number
  readonly exchanges: number
  readonly empty: number
  readonly wakeups: number
}

/** Three digits that count. */
const three = (value: number): string =>
  Number(value.toPrecision(3)).toLocaleString("en-US", { maximumSignificantDigits: 3 })

/** The page with the rows of the table that begins so; as it is where it has none. */
const fill = (page: string, header: string, rowsOf: (rows: ReadonlyArray<Cells>) => ReadonlyArray<Cells>): string => {
  const lines = page.split("\n")
  const at = lines.findIndex((line) => line.startsWith(header))
  if (at < 0) return page
  const end = lines.findIndex((line, i) => i > at && !line.startsWith("|"))
  const rows = lines.slice(at + 2, end).map((line) => line.slice(1, -1).split("|").map((cell) => cell.trim()))
  return lines.toSpliced(at + 2, end - at - 2, ...rowsOf(rows).map((cells) => `| ${cells.join(" | ")} |`)).join("\n")
}
