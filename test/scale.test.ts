/**
 * Every figure of `docs/scale.md` is that of its source: the committed benchmarks, the counts of crowds, or the code. So are those of
 * the guides that have a table of the same kind.
 */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { tables } from "../scripts/figures/tables.ts"

const root = fileURLToPath(new URL("../", import.meta.url))
const read = (path: string) => readFileSync(root + path, "utf8")

const page = read("docs/scale.md")

/** The cells of a table's rows, by the first words of its header. */
const table = (header: string): ReadonlyArray<ReadonlyArray<string>> => {
  const lines = page.split("\n")
  const at = lines.findIndex((line) => line.startsWith(header))
  assert.isAtLeast(at, 0, `the page has no table ${header}`)
  const end = lines.findIndex((line, i) => i > at && !line.startsWith("|"))
  return lines.slice(at + 2, end).map((line) => line.slice(1, -1).split("|").map((cell) => cell.trim()))
}

it.each([...tables(root)])("%s has what was measured (npm run figures)", (path, filled) => {
  assert.strictEqual(read(path), filled)
})

describe("the page of scale", () => {
  it("has a table of costs, one of what so many jobs a second take, and one of crowds", () => {
    for (const header of ["| | scenario |", "| jobs/s | store |", "| store | load |"]) {
      assert.isAbove(table(header).length, 0, header)
    }
  })

  it.each(["limits", "flows", "schedules"])("is not alone: the guide to %s has its costs", (guide) => {
    assert.include(read(`docs/${guide}.md`), "| | scenario |")
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
