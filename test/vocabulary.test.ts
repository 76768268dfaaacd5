/** Whoever comes from another library finds its words next to ours, in the guide of each topic. */
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"

const topics = ["schedules", "limits", "batches", "flows", "steps", "events"]
const others = ["BullMQ", "pg-boss", "Inngest", "Oban"]

const cellsOf = (line: string): ReadonlyArray<string> =>
  line.replaceAll(/`[^`]*`/g, "code").split("|").slice(1, -1).map((cell) => cell.trim())

describe("the guide of each topic has a table of the words of others", () => {
  for (const topic of topics) {
    it(topic, () => {
      const lines = readFileSync(new URL(`../docs/${topic}.md`, import.meta.url), "utf8").split("\n")
      const head = lines.findIndex((line) => line.startsWith("|") && others.every((other) => line.includes(other)))
      expect(head, "no table names all four").toBeGreaterThan(0)
      const end = lines.findIndex((line, i) => i > head && !line.startsWith("|"))
      const rows = lines.slice(head + 2, end).map(cellsOf)
      expect(rows.length).toBeGreaterThan(2)
      const columns = cellsOf(lines[head]!).length
      expect(rows.filter((cells) => cells.length !== columns || cells.some((cell) => cell === ""))).toEqual([])
      expect(lines.slice(end).join("\n"), "where it was read").toMatch(/Read (in|on) /)
    })
  }
})
