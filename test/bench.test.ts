/** What `npm run bench` can measure: no scenario that is asked for is missing on a store, and the page says what each row is. */
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { alone, long, stores } from "../benchmarks/src/stores.ts"

const page = readFileSync(new URL("../benchmarks/README.md", import.meta.url), "utf8")

const everywhere = [
  "enqueue-seq",
  "enqueue-100",
  "enqueue-bulk",
  "drain-c1",
  "drain-c10",
  "drain-c100",
  "drain-100k",
  "handler-10ms",
  "pickup-p50",
  "pickup-p95",
  "pickup-p99",
  "half-load",
  "half-load-p50",
  "half-load-p99",
  "due-1000-p99",
  "workers-2",
  "workers-4",
  "backlog-ratio",
  "backlog-ratio-1m",
  "fail-once",
  "payload-10kb",
  "traced-ratio",
  "keyed-ratio"
]

const ofStore: Readonly<Record<string, ReadonlyArray<string>>> = {
  memory: ["heap"],
  pg: ["cpu-worker", "cpu-server", "wal-bytes", "backlog-ratio-5m", "held-60s"],
  redis: ["cpu-worker", "cpu-server", "waiting-bytes", "drain-100k-aof", "aof-bytes"]
}

describe.each(Object.entries(stores))("the scenarios on %s", (name, store) => {
  const rows = store.scenarios.flat()

  it("are those that are asked for, each once", () => {
    expect([...everywhere, ...ofStore[name]!].filter((row) => !rows.includes(row))).toEqual([])
    expect(rows.filter((row, i) => rows.indexOf(row) !== i)).toEqual([])
  })

  it("are on the page, where their names do not say all", () => {
    const plain = /^(enqueue|drain|pickup|due|handler)-|^heap$/
    expect(rows.filter((row) => !plain.test(row) && !page.includes(`\`${row}\``))).toEqual([])
  })
})

it("those that are left out of a quick run are there", () => {
  const all = new Set(Object.values(stores).flatMap(({ scenarios }) => scenarios.flat()))
  expect([...alone, ...long].filter((row) => !all.has(row))).toEqual([])
})
