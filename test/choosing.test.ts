/** The page by which a reader chooses: each row says what to take, what was measured, and when something else is better. */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { choosing } from "../scripts/figures/choosing.ts"

const root = fileURLToPath(new URL("../", import.meta.url))
const read = (path: string) => readFileSync(root + path, "utf8")

const rows = read("docs/choosing.md").split("\n").filter((line) => line.startsWith("| ")).slice(1)
  .map((line) => line.slice(1, -1).split(" | ").map((cell) => cell.trim()))

const text = rows.map((row) => row.join(" | ")).join("\n")

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

  it("has the figures of the committed benchmarks (npm run figures)", () => {
    const { absent, page } = choosing(root)
    assert.deepStrictEqual(absent, [])
    assert.strictEqual(read("docs/choosing.md"), page)
  })
})
