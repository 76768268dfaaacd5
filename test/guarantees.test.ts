/** What `docs/guarantees.md` names is there: each test by its name, in the file that it says, and each promise has one. */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readFileSync } from "node:fs"

const root = new URL("../", import.meta.url)
const page = readFileSync(new URL("docs/guarantees.md", root), "utf8")

const named = [...page.matchAll(/^- (?:\w+: )?`([^`]+)`(?: › "([^"]+)")?/gm)].map(([, file, name]) => ({
  file: file!,
  name
}))

describe("the page of guarantees", () => {
  it("names tests for each promise", () => {
    const sections = page.split(/^## /m).slice(1).filter((section) => section.startsWith("P"))
    const promises = sections.flatMap((section) => section.split(":")[0]!.split(", "))
    assert.deepStrictEqual(promises, Array.from({ length: 14 }, (_, i) => `P${i + 1}`))
    for (const section of sections) assert.match(section, /^- .*` › "/m, section.slice(0, 40))
  })

  it.each(named)("$file has $name", ({ file, name }) => {
    const url = new URL(file, root)
    assert.isTrue(existsSync(url), `${file} is not there`)
    if (name !== undefined) assert.include(readFileSync(url, "utf8"), name)
  })
})
