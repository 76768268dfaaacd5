/** What `docs/guarantees.md` names is there: each test by its name, in the file that it says, and each promise has one. */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readFileSync } from "node:fs"

const root = new URL("../", import.meta.url)
const page = readFileSync(new URL("docs/guarantees.md", root), "utf8")

const named = [...page.matchAll(/^- (?:\w+: )?\[`([^`]+)`\]\(\.\.\/([^)]+)\)(?: › "([^"]+)")?/gm)].map((
  [, file, to, name]
) => ({
  file: file!,
  to: to!,
  name
}))

describe("the page of guarantees", () => {
  it("names tests for each promise", () => {
    const sections = page.split(/^## /m).slice(1).filter((section) => section.startsWith("P"))
    const promises = sections.flatMap((section) => section.split(":")[0]!.split(", "))
    assert.deepStrictEqual(promises, Array.from({ length: 14 }, (_, i) => `P${i + 1}`))
    for (const section of sections) assert.match(section, /^- .*`\]\([^)]+\) › "/m, section.slice(0, 40))
  })

  it("has the figures of the fault runs that are kept", async () => {
    const rows = ["pg", "redis"].flatMap((store): ReadonlyArray<{ readonly fault: string }> =>
      JSON.parse(readFileSync(new URL(`docs/figures/chaos-${store}.json`, root), "utf8"))
    )
    const bullets = [...page.matchAll(/^- \[`(chaos[^`]+)`\]\([^)]+\): ([^]*?)(?=\n- |\n\n)/gm)]
    assert.isAtLeast(bullets.length, 10)
    for (const [, file, told] of bullets) {
      const source = readFileSync(new URL(file!, root), "utf8")
      const id = /id: "(F\d+)"/.exec(source)![1]
      // How many there are of something stands in the fault itself; of what is counted on one hand the page says it in words.
      const known = source.replaceAll("_", "") + JSON.stringify(rows.filter(({ fault }) => fault === id))
      for (const [figure] of told!.matchAll(/\d[\d,]+/g)) {
        assert.match(known, new RegExp(`\\b${figure.replaceAll(",", "")}\\b`), `${file}: ${figure}`)
      }
    }
  })

  it("has those of the benchmarks and of the simulation that are kept", () => {
    const median = (path: string, row: string): number => {
      const kept = JSON.parse(readFileSync(new URL(path, root), "utf8"))
      return Array.isArray(kept)
        ? kept.find(({ scenario, system, variant }) => scenario === row && system === "capstan" && variant === "")
          .median
        : kept.features[row]
    }
    const bullets = [...page.matchAll(/^- \[`([^`]+\.json)`\]\([^)]+\) › `([^`]+)`: ([^]*?)(?=\n- |\n\n)/gm)]
    assert.isAtLeast(bullets.length, 2)
    for (const [, path, row, told] of bullets) {
      const figures = told!.match(/\d[\d,.]*\d/g)!.map((text) => Number(text.replaceAll(",", "")))
      const kept = median(path!, row!)
      assert.deepStrictEqual(figures, [kept < 10 ? Math.round(kept * 100) / 100 : kept], row)
    }
  })

  it("has a figure for each promise, of a run that is kept", () => {
    const without = page.split(/^## /m).slice(1).filter((section) => section.startsWith("P")).filter((section) =>
      !/^- \[`(chaos[^`]+|[^`]+\.json)`\]\([^)]+\)[^]*?: [^]*?\d\d/m.test(section)
    )
    assert.deepStrictEqual(without.map((section) => section.split("\n")[0]), [])
  })

  it("is where each promise of the README leads", () => {
    const headings = [...page.matchAll(/^## (.+)$/gm)].map(([, heading]) =>
      heading!.toLowerCase().replaceAll(/[^a-z0-9 -]/g, "").replaceAll(" ", "-")
    )
    const table = /## Promises\n[^]*?\n\| \| memory[^\n]*\n[^\n]*\n([^]*?)\n\n/.exec(
      readFileSync(new URL("README.md", root), "utf8")
    )![1]!
    for (const row of table.split("\n")) {
      const links = [...row.matchAll(/\]\(docs\/guarantees\.md#([^)]+)\)/g)].map(([, heading]) => heading!)
      assert.isAbove(links.length, 0, row)
      for (const heading of links) assert.include(headings, heading, row)
    }
  })

  it("has no promise that the README does not", () => {
    const readme = readFileSync(new URL("README.md", root), "utf8")
    const linked = new Set(
      [...readme.matchAll(/\[P(\d+)\]\(docs\/guarantees\.md#/g)].map(([, number]) => Number(number))
    )
    assert.deepStrictEqual([...linked].toSorted((a, b) => a - b), Array.from({ length: 14 }, (_, i) => i + 1))
  })

  it.each(named)("$file has $name", ({ file, name, to }) => {
    assert.strictEqual(to, file)
    const url = new URL(file, root)
    assert.isTrue(existsSync(url), `${file} is not there`)
    if (name !== undefined) assert.include(readFileSync(url, "utf8"), name)
  })
})
