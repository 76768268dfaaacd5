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
  const digits = (ratio: number) => ratio.toFixed(ratio < 1 ? 2 : ratio < 10 ? 1 : 0)
  const ratio = (store: string, scenario: string, than: string) =>
    median(store, scenario) / median(store, scenario, than)
  const times = (store: string, scenario: string, than: string) => digits(ratio(store, scenario, than))

  /** The least and the greatest. */
  const range = (ratios: ReadonlyArray<number>) => [digits(Math.min(...ratios)), digits(Math.max(...ratios))]
  const drains = (store: string, than: string) =>
    ["drain-c1", "drain-c10", "drain-c100", "drain-100k"].map((scenario) => ratio(store, scenario, than))

  const phrases: ReadonlyArray<Phrase> = [
    [[", ", " bytes a waiting record |"], [whole("memory", "heap")]],
    [
      ["in a drain plain fibers do ", " to ", " times as many jobs a second"],
      range(drains("memory", "fibers").map((ours) => 1 / ours))
    ],
    [["| ", " to ", "x PersistedQueue in memory"], range(drains("memory", "effect-persisted-queue"))],
    [["99 of 100 ticks within ", " ms of their instant"], [whole("memory", "tick-p99")]],
    [["enqueue one at a time ", "x graphile-worker, in bulk ", "x pg-boss; drain ", " to ", "x graphile-worker's"], [
      times("pg", "enqueue-seq", "graphile"),
      times("pg", "enqueue-bulk", "pg-boss"),
      ...range(drains("pg", "graphile-batch"))
    ]],
    [["payloads of 10 KB, of which ours does ", "x what graphile-worker's batches do and ", "x what pg-boss does"], [
      times("pg", "payload-10kb", "graphile-batch"),
      times("pg", "payload-10kb", "pg-boss")
    ]],
    [["two worker processes on two cores: ", "x graphile-worker's batches"], [
      times("pg", "workers-2", "graphile-batch")
    ]],
    [["PersistedQueue on SQL, where ours enqueues one at a time ", "x as fast"], [
      times("pg", "enqueue-seq", "effect-persisted-queue")
    ]],
    [["pick-up by an idle worker ", " ms with BullMQ's Postgres backend, ", " where ours"], [
      millis("pg", "pickup-p50", "bullmq-pg"),
      millis("pg", "pickup-p50")
    ]],
    [["| drain ", " to ", "x BullMQ, "], range(drains("redis", "bullmq"))],
    [["pick-up by an idle worker ", " ms with BullMQ, ", " ms with ours"], [
      millis("redis", "pickup-p50", "bullmq"),
      millis("redis", "pickup-p50")
    ]],
    [["one `RPUSH` a message, where ours enqueues one at a time ", "x as fast"], [
      times("redis", "enqueue-seq", "effect-persisted-queue")
    ]],
    [
      ["start ", " to ", " times as fast as those of a thousand flows"],
      range(["memory", "pg", "redis"].map((store) => median(store, "flow-ratio")))
    ],
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
