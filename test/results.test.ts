/**
 * What is committed of the benchmarks can be read by a program: the rows of `benchmarks/results/<store>.json` are those that the
 * bench gives, each of them, of the systems that it knows.
 */
import { readdirSync, readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { alone, stores, unrivalled } from "../benchmarks/src/stores.ts"
import type { Task } from "../benchmarks/src/task.ts"
import type { SpeedRow } from "../scripts/figures/speed.ts"

const folder = new URL("../benchmarks/results/", import.meta.url)

const fields = ["scenario", "system", "variant", "unit", "median", "min", "max", "rounds", "date"]

/** In a row of a server: a tenth of the jobs for a slow system, and what the server was. */
const more: Readonly<Record<"memory" | "server", ReadonlyArray<string>>> = { memory: [], server: ["jobs", "server"] }

const units = ["jobs/s", "ms", "bytes", "ratio", "us"]

/** What any queue could do at best is no rival. */
const limits = new Set(["limit", "fibers"])

interface Row extends SpeedRow {
  readonly [field: string]: unknown
}

const files = readdirSync(folder).filter((name) => name.endsWith(".json"))

const nameOf = ({ scenario, system, variant }: Row): string => `${scenario} ${system} "${variant}"`

describe("results of the benchmarks", () => {
  it("each store has a file, and there are no others", () => {
    expect(files.toSorted()).toEqual(Object.keys(stores).map((name) => `${name}.json`).toSorted())
  })

  for (const file of files) {
    const rows: ReadonlyArray<Row> = JSON.parse(readFileSync(new URL(file, folder), "utf8"))
    const store = file.slice(0, -".json".length) as Task["store"]
    const { isServer, scenarios, systems } = stores[store]
    const kind = isServer ? "server" : "memory"

    describe(file, () => {
      it("a row has the fields of the format and no others", () => {
        for (const row of rows) {
          const own = Object.keys(row)
          expect(own.slice(0, fields.length), nameOf(row)).toEqual(fields)
          expect(own.slice(fields.length).filter((field) => !more[kind].includes(field)), nameOf(row)).toEqual([])
        }
      })

      it("figures are numbers of a known unit, the median between the least and the greatest of five rounds or more", () => {
        for (const row of rows) {
          expect(units, nameOf(row)).toContain(row.unit)
          for (const figure of [row.min, row.median, row.max]) expect(Number.isFinite(figure), nameOf(row)).toBe(true)
          expect(row.min <= row.median && row.median <= row.max, nameOf(row)).toBe(true)
          expect(Number.isInteger(row.rounds) && row.rounds >= 5, nameOf(row)).toBe(true)
        }
      })

      it("what is compared was measured on the same day", () => {
        const days = new Map(rows.map(({ date, scenario }) => [scenario, date]))
        expect(
          rows.filter(({ date, scenario }) => !/^\d{4}-\d\d-\d\d$/.test(date) || days.get(scenario) !== date)
            .map(nameOf)
        ).toEqual([])
      })

      it("a row is of a scenario and a system that the bench has", () => {
        const known = new Set(scenarios.flat())
        expect(rows.filter(({ scenario, system }) => !known.has(scenario) || !systems.includes(system)).map(nameOf))
          .toEqual([])
      })

      it("a scenario and a system have one row of a variant", () => {
        const names = rows.map(nameOf)
        expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([])
      })

      it("each variant belongs to a row without", () => {
        const names = new Set(rows.map(nameOf))
        expect(rows.filter((row) => !names.has(nameOf({ ...row, variant: "" }))).map(nameOf)).toEqual([])
      })

      const without = (known: ReadonlyArray<string>, isIt: (system: string) => boolean) => {
        const found = new Set(rows.filter(({ system }) => isIt(system)).map(({ scenario }) => scenario))
        return known.filter((scenario) => !found.has(scenario)).toSorted()
      }

      it("what the bench gives is there of ours", () => {
        expect(without(scenarios.flat(), (system) => system === "capstan")).toEqual([])
      })

      it("what others can do is there of a rival", () => {
        const compared = scenarios.flat().filter((row) => !alone.includes(row))
        expect(without(compared, (system) => system !== "capstan" && !limits.has(system))).toEqual(
          Object.keys(unrivalled[store])
        )
      })
    })
  }
})

/** Each ratio that the page says of rows that are kept: ours over theirs, or theirs over ours where the page says it so. */
describe("the words of benchmarks/README.md", () => {
  const page = readFileSync(new URL("../README.md", folder), "utf8").replaceAll(/\s+/g, " ")
  const median = (store: string, scenario: string, system: string): number => {
    const rows: ReadonlyArray<Row> = JSON.parse(readFileSync(new URL(`${store}.json`, folder), "utf8"))
    return rows.find((row) => row.scenario === scenario && row.system === system && row.variant === "")!.median
  }
  const ours = (store: string, scenario: string, system: string) =>
    median(store, scenario, "capstan") / median(store, scenario, system)
  const theirs = (store: string, scenario: string, system: string) => 1 / ours(store, scenario, system)
  const batched = "graphile-batch"
  const queue = "effect-persisted-queue"

  const claims: ReadonlyArray<readonly [words: RegExp, ratios: ReadonlyArray<number>]> = [
    [/stand to graphile-worker's as two do, ([\d.]+) times/, [ours("pg", "workers-4", batched)]],
    [
      /`payload-10kb`: ([\d.]+) times graphile-worker in batches, ([\d.]+) times pg-boss/,
      [ours("pg", "payload-10kb", batched), ours("pg", "payload-10kb", "pg-boss")]
    ],
    [/`due-1000-p99`: ([\d.]+) times what graphile-worker's batches take/, [ours("pg", "due-1000-p99", batched)]],
    [
      /A job takes (\d+) us of both sides together, graphile-worker's in batches (\d+) /,
      ["capstan", batched].map((system) => median("pg", "cpu-worker", system) + median("pg", "cpu-server", system))
    ],
    [/`RPUSH` where .*?: ([\d.]+) times PersistedQueue's rate in `redis\.json`/, [ours("redis", "enqueue-seq", queue)]],
    [
      /ours is seen at ([\d.]+) times the load of PersistedQueue's, whose p50 is ([\d.]+) of ours and whose p99 ([\d.]+)\./,
      [
        ours("redis", "half-load", queue),
        theirs("redis", "half-load-p50", queue),
        theirs("redis", "half-load-p99", queue)
      ]
    ],
    [
      /`payload-10kb`: `limit` does no more than ([\d.]+) times what we do, and PersistedQueue as much/,
      [Math.max(theirs("redis", "payload-10kb", "limit"), theirs("redis", "payload-10kb", queue))]
    ]
  ]

  it.each(claims)("%s", (words, ratios) => {
    const told = words.exec(page)?.slice(1)
    expect(told, "the page says it").toBeDefined()
    const digits = (text: string) => text.split(".")[1]?.length ?? 0
    expect(told).toEqual(ratios.map((ratio, i) => ratio.toFixed(digits(told![i]!))))
  })
})
