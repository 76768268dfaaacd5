/** The figures in the words of `docs/choosing.md`, from what is committed of the benchmarks. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import type { SpeedRow } from "./speed.ts"

const path = "docs/choosing.md"

/** A phrase, with its figures as they are now between its words, and what they are to be. */
type Phrase = readonly [words: ReadonlyArray<string>, figures: ReadonlyArray<string>]

/** The page with its figures, and the phrases that are not there any more. */
export const choosing = (root: string): { readonly page: string; readonly absent: ReadonlyArray<string> } => {
  const median = (store: string, scenario: string, system = "capstan"): number => {
    const rows: ReadonlyArray<SpeedRow> = JSON.parse(
      readFileSync(join(root, `benchmarks/results/${store}.json`), "utf8")
    )
    const row = rows.find((row) => row.scenario === scenario && row.system === system && row.variant === "")
    if (row === undefined) throw new Error(`${store} has no row ${scenario} of ${system}`)
    return row.median
  }
  const thousands = (store: string, scenario: string): string => {
    const rate = median(store, scenario) / 1000
    return rate.toFixed(rate < 10 ? 1 : 0)
  }
  const whole = (store: string, scenario: string, system?: string) => median(store, scenario, system).toFixed(0)
  const millis = (store: string, scenario: string, system?: string) => median(store, scenario, system).toFixed(1)
  const times = (store: string, scenario: string, than: string) =>
    (median(store, scenario) / median(store, scenario, than)).toFixed(1)

  const drains = ["drain-c1", "drain-c10", "drain-c100", "drain-100k"]
    .map((scenario) => times("pg", scenario, "graphile-batch")).toSorted()

  const phrases: ReadonlyArray<Phrase> = [
    [[", ", " bytes a waiting record |"], [whole("memory", "heap")]],
    [["| ", " ms late at most (p99"], [whole("memory", "tick-p99")]],
    [["enqueue one at a time ", "x graphile-worker, in bulk ", "x pg-boss; drain ", " to ", "x graphile-worker's"], [
      times("pg", "enqueue-seq", "graphile"),
      times("pg", "enqueue-bulk", "pg-boss"),
      drains.at(0)!,
      drains.at(-1)!
    ]],
    [["pick-up by an idle worker ", " ms with BullMQ's Postgres backend, ", " where ours"], [
      millis("pg", "pickup-p50", "bullmq-pg"),
      millis("pg", "pickup-p50")
    ]],
    [["BullMQ, ", " bytes a waiting record against ", " |"], [
      whole("redis", "waiting-bytes"),
      whole("redis", "waiting-bytes", "bullmq")
    ]],
    [["| ", " k/s enqueued one at a time on Postgres, ", " on Redis |"], [
      thousands("pg", "enqueue-seq"),
      thousands("redis", "enqueue-seq")
    ]],
    [[
      "Postgres: ",
      " k/s enqueued one at a time by one connection, ",
      " k/s by a hundred fibers | worker ",
      " us, server ",
      " us a job"
    ], [
      thousands("pg", "enqueue-seq"),
      thousands("pg", "enqueue-100"),
      whole("pg", "cpu-worker"),
      whole("pg", "cpu-server")
    ]],
    [["durability is enough: ", " and ", " k/s, ", " and ", " us"], [
      thousands("redis", "enqueue-seq"),
      thousands("redis", "enqueue-100"),
      whole("redis", "cpu-worker"),
      whole("redis", "cpu-server")
    ]]
  ]

  let page = readFileSync(join(root, path), "utf8")
  const absent: Array<string> = []
  for (const [words, figures] of phrases) {
    const found = new RegExp(words.map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("[\\d.]+"))
    if (!found.test(page)) absent.push(words.join("…"))
    page = page.replace(found, () => words.map((part, i) => part + (figures[i] ?? "")).join(""))
  }
  return { page, absent }
}
