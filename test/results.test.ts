/**
 * What is committed of the benchmarks can be read by a program: the rows of `benchmarks/results/<store>.json` have the
 * names that `benchmarks/README.md` explains, and no scenario of ours is missing.
 */
import { readdirSync, readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import type { SpeedRow } from "../scripts/figures/speed.ts"

const folder = new URL("../benchmarks/results/", import.meta.url)

const fields = ["scenario", "system", "variant", "unit", "median", "min", "max", "rounds"]

/** In a row of a server: a tenth of the jobs for a slow system, and what the server was. */
const more: Readonly<Record<"memory" | "server", ReadonlyArray<string>>> = { memory: [], server: ["jobs", "server"] }

const units = ["jobs/s", "ms", "bytes", "ratio", "us"]

const scenarios = [
  "enqueue-seq",
  "enqueue-100",
  "enqueue-bulk",
  "drain-c1",
  "drain-c10",
  "drain-c100",
  "drain-100k",
  "handler-10ms",
  "pickup-p50",
  "pickup-p99",
  "due-1000-p99",
  "workers-2",
  "backlog-ratio"
]

/** Of what no peer has: keys, flows, schedules. */
const own = ["keyed-ratio", "blocked-ratio", "flow-ratio", "tick-p99", "fair-first"]

const systems = {
  memory: ["capstan", "effect-persisted-queue", "platformatic", "p-queue", "fastq", "fibers", "limit"],
  server: [
    "capstan",
    "capstan-no-history",
    "effect-persisted-queue",
    "graphile",
    "graphile-batch",
    "pg-boss",
    "bullmq",
    "bullmq-pg",
    "limit"
  ]
}

interface Row extends SpeedRow {
  readonly [field: string]: unknown
}

const files = readdirSync(folder).filter((name) => name.endsWith(".json"))

const nameOf = ({ scenario, system, variant }: Row): string => `${scenario} ${system} "${variant}"`

describe("results of the benchmarks", () => {
  it("those of the memory store are there, and each file is named after a store", () => {
    expect(files).toContain("memory.json")
    expect(files.filter((name) => !["memory.json", "pg.json", "redis.json"].includes(name))).toEqual([])
  })

  for (const file of files) {
    const rows: ReadonlyArray<Row> = JSON.parse(readFileSync(new URL(file, folder), "utf8"))
    const kind = file === "memory.json" ? "memory" : "server"

    describe(file, () => {
      it("a row has the fields of the format and no others", () => {
        for (const row of rows) {
          const own = Object.keys(row)
          expect(own.slice(0, fields.length), nameOf(row)).toEqual(fields)
          expect(own.slice(fields.length).filter((field) => !more[kind].includes(field)), nameOf(row)).toEqual([])
        }
      })

      it("figures are numbers of a known unit, the median between the least and the greatest of several rounds", () => {
        for (const row of rows) {
          expect(units, nameOf(row)).toContain(row.unit)
          for (const figure of [row.min, row.median, row.max]) expect(Number.isFinite(figure), nameOf(row)).toBe(true)
          expect(row.min <= row.median && row.median <= row.max, nameOf(row)).toBe(true)
          expect(Number.isInteger(row.rounds) && row.rounds >= 3, nameOf(row)).toBe(true)
        }
      })

      it("systems have the names under which they are compared", () => {
        expect(rows.filter(({ system }) => !systems[kind].includes(system)).map(nameOf)).toEqual([])
      })

      it("a scenario and a system have one row of a variant", () => {
        const names = rows.map(nameOf)
        expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([])
      })

      it("each variant belongs to a row without", () => {
        const names = new Set(rows.map(nameOf))
        expect(rows.filter((row) => !names.has(nameOf({ ...row, variant: "" }))).map(nameOf)).toEqual([])
      })

      it("no scenario is without a row of ours and one of a rival", () => {
        const plain = rows.filter(({ variant }) => variant === "")
        const ofSystem = (isIt: (system: string) => boolean) =>
          new Set(plain.filter(({ system }) => isIt(system)).map(({ scenario }) => scenario))
        const ours = ofSystem((system) => system === "capstan")
        const theirs = ofSystem((system) => system !== "capstan")
        expect([...scenarios, ...own].filter((scenario) => !ours.has(scenario))).toEqual([])
        // Nobody else in memory has a call for many.
        const alone = kind === "memory" ? ["enqueue-bulk"] : []
        expect(scenarios.filter((scenario) => !theirs.has(scenario) && !alone.includes(scenario))).toEqual([])
      })
    })
  }
})
