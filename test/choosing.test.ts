/** The page by which a reader chooses: each row says what to take, what was measured, and when something else is better. */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8")

const rows = read("docs/choosing.md").split("\n").filter((line) => line.startsWith("| ")).slice(1)
  .map((line) => line.slice(1, -1).split(" | ").map((cell) => cell.trim()))

const text = rows.map((row) => row.join(" | ")).join("\n")

interface Row {
  readonly scenario: string
  readonly system: string
  readonly variant: string
  readonly median: number
}

const median = (store: string, scenario: string, system = "capstan"): number => {
  const all: ReadonlyArray<Row> = JSON.parse(read(`benchmarks/results/${store}.json`))
  return all.find((row) => row.scenario === scenario && row.system === system && row.variant === "")!.median
}

const thousands = (store: string, scenario: string): string => {
  const rate = median(store, scenario) / 1000
  return rate.toFixed(rate < 10 ? 1 : 0)
}

describe("the page of choices", () => {
  it("says in each row what to take, what was measured, and what may be better", () => {
    assert.isAtLeast(rows.length, 12)
    for (const row of rows) {
      assert.strictEqual(row.length, 4, row[0])
      for (const cell of row) assert.notStrictEqual(cell, "", row[0])
    }
  })

  it("has Effect's own among them", () => {
    for (const name of ["PersistedQueue", "`Workflow`", "`ClusterCron`", "`Schedule.cron`"]) assert.include(text, name)
  })

  it("has the figures of the committed benchmarks", () => {
    const figures = [
      `${median("memory", "heap").toFixed(0)} bytes a waiting record`,
      `${median("memory", "tick-p99").toFixed(0)} ms late`,
      `pick-up is what counts (${median("pg", "pickup-p50", "bullmq-pg").toFixed(1)} ms, ours ${
        median("pg", "pickup-p50").toFixed(1)
      })`,
      `${median("redis", "waiting-bytes").toFixed(0)} bytes a waiting record against ${
        median("redis", "waiting-bytes", "bullmq").toFixed(0)
      }`,
      `${thousands("pg", "enqueue-seq")} k/s enqueued one at a time on Postgres, ${
        thousands("redis", "enqueue-seq")
      } on Redis`,
      `${thousands("pg", "enqueue-100")} k/s by a hundred fibers`,
      `${thousands("redis", "enqueue-seq")} and ${thousands("redis", "enqueue-100")} k/s`
    ]
    for (const figure of figures) assert.include(text, figure)
  })
})
