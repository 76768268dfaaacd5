/**
 * Every figure of `docs/scale.md` is that of its source: the committed benchmarks, the counts of crowds, or the code. So are those of
 * the guides that have a table of the same kind.
 */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8")

const page = read("docs/scale.md")

interface Row {
  readonly scenario: string
  readonly system: string
  readonly variant: string
  readonly unit: string
  readonly median: number
}

const results = Object.fromEntries(["memory", "pg", "redis"].map((store) => {
  const rows: ReadonlyArray<Row> = JSON.parse(read(`benchmarks/results/${store}.json`))
  return [store, rows.filter(({ system, variant }) => system === "capstan" && variant === "")]
}))

const figure = (store: string, scenario: string): Row | undefined =>
  results[store]!.find((row) => row.scenario === scenario)

const median = (store: string, scenario: string): number => figure(store, scenario)!.median

/** Three digits that count, as the page writes a figure. */
const three = (value: number): string =>
  Number(value.toPrecision(3)).toLocaleString("en-US", { maximumSignificantDigits: 3 })

/** The cells of a table's rows, by the first words of its header. */
const table = (header: string, text = page): ReadonlyArray<ReadonlyArray<string>> => {
  const lines = text.split("\n")
  const at = lines.findIndex((line) => line.startsWith(header))
  assert.isAtLeast(at, 0, `the page has no table ${header}`)
  const end = lines.findIndex((line, i) => i > at && !line.startsWith("|"))
  const rows = lines.slice(at + 2, end).map((line) => line.slice(1, -1).split("|").map((cell) => cell.trim()))
  assert.isAbove(rows.length, 0)
  return rows
}

const assertCosts = (text: string) => {
  for (const [what, scenario, ...cells] of table("| | scenario |", text)) {
    const name = scenario!.replaceAll("`", "")
    const wanted = ["memory", "pg", "redis"].map((store) => {
      const heap = store === "memory" && name === "waiting-bytes"
      const row = figure(store, heap ? "heap" : name)
      if (row === undefined) return "–"
      return three(row.median) + (row.unit === "ratio" ? "" : ` ${row.unit}`) + (heap ? " (`heap`)" : "")
    })
    assert.deepStrictEqual(cells, wanted, what)
    assert.notDeepEqual(wanted, ["–", "–", "–"], what)
  }
}

it.each(["limits", "flows", "schedules"])("the guide to %s has the costs of the committed benchmarks", (guide) => {
  assertCosts(read(`docs/${guide}.md`))
})

describe("the page of scale", () => {
  it("has the costs of the committed benchmarks", () => {
    assertCosts(page)
  })

  it("divides them as it says", () => {
    for (const [rate, store, ...cells] of table("| jobs/s | store |")) {
      const jobs = Number(rate!.replaceAll(",", ""))
      const millionths = (scenario: string) => three((median(store!, scenario) * jobs) / 1e6)
      assert.deepStrictEqual(cells, [
        millionths("cpu-server"),
        millionths("cpu-worker"),
        store === "pg" ? `${millionths("wal-bytes")} MB/s` : "–",
        three(median(store!, "drain-100k") / jobs)
      ], `${rate} on ${store}`)
    }
  })

  it("has the counts of crowds, all of them", () => {
    const rows: ReadonlyArray<Readonly<Record<string, string | number>>> = JSON.parse(read("docs/figures/crowd.json"))
    assert.deepStrictEqual(
      table("| store | load |"),
      rows.map(({ empty, exchanges, load, store, wakeups, workers }) => [
        String(store),
        String(load),
        Number(workers).toLocaleString("en-US"),
        ...[exchanges, empty, wakeups].map((count) => Number(count).toFixed(2))
      ])
    )
  })

  it("says that a record calls no more than a few", () => {
    const counts = table("| store | load |").map(([store, load, , , , calls]) => ({
      of: `${store} ${load}`,
      calls: Number(calls)
    }))
    const isOfMore = (of: string) => counts.some((row) => row.of === of && row.calls > 4)
    const all = [...new Set(counts.map(({ of }) => of))]
    assert.deepStrictEqual(all.filter(isOfMore), [])
  })

  it("has no other figure in its text than those of the code", () => {
    const pump = read("packages/capstan/src/internal/worker/pump.ts")
    const worker = read("packages/capstan/src/JobWorker.ts")
    const timers = read("packages/capstan/src/internal/worker/timers.ts")
    const crowd = read("packages/testing/src/internal/simulation/crowd.ts")
    assert.include(pump, "const maxBatch = 1000\n")
    assert.include(worker, "options.pollInterval ?? \"2 seconds\"")
    assert.include(worker, "options.lease ?? \"30 seconds\"")
    assert.include(timers, "this.confirmedAt + this.settings.lease / 3")
    assert.include(crowd, "const pause = 200\n")
    assert.include(crowd, "load === \"delayed\" ? \"150 millis\" : 0")
    const known: ReadonlyArray<RegExp> = [
      // One exchange: `maxBatch`.
      /settles up to 1,000 records and claims up to 1,000/,
      // `pollInterval`, a third of `lease`, and a thousand workers by the one.
      /looks every 2 seconds and renews its lease every 10/,
      /1,000 idle workers look 500 times a second/,
      /each worker looks every 2 seconds of its own accord/,
      // `pause` and the delay of the crowd.
      /one record each 200 ms/,
      /enqueued 150 ms before it is due/,
      // What the multiples in the table say.
      /the last column is above 1 /,
      /Below 1 the measured machine/
    ]
    const prose = page.split("\n")
      .filter((line) => !line.startsWith("|") && !line.startsWith("#")).join(" ").replaceAll(/\s+/g, " ")
    const left = known.reduce((text, one) => {
      assert.match(text, one)
      return text.replace(one, "")
    }, prose.replaceAll(/`[^`]*`/g, "").replaceAll(/\]\([^)]*\)/g, ""))
    assert.deepStrictEqual(left.match(/\d[\d.,]*/g) ?? [], [])
  })
})
