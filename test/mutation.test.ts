/**
 * The published scores of the mutation tests can be read by a program, say why each survivor lives, and belong to sources that
 * are not long gone.
 */
import { execFileSync, spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { keyOf, mutantsOf, survivorOf } from "../scripts/mutation/all.ts"
import { type Module, modules } from "../scripts/mutation/modules.ts"
import { refusalOf, type Row, scoreOf } from "../scripts/mutation/published.ts"

const root = fileURLToPath(new URL("../", import.meta.url))
const rows: ReadonlyArray<Row> = JSON.parse(readFileSync(`${root}docs/mutation.json`, "utf8"))
const page = readFileSync(`${root}docs/mutation.md`, "utf8")

/** So many commits may touch a module before it is measured again. */
const most = 30
/** How many days a measurement may be older than the last commit, where the history is cut off before it. */
const mostDays = 180

const git = (...args: ReadonlyArray<string>): string =>
  execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim()
const holds = (...args: ReadonlyArray<string>): boolean => spawnSync("git", args, { cwd: root }).status === 0

/** Commits since then that touch the module. None: the history does not reach so far back. */
const since = ({ commit }: Row, { files }: Module): number | undefined =>
  holds("merge-base", "--is-ancestor", commit, "HEAD")
    ? Number(git("rev-list", "--count", `${commit}..HEAD`, "--", ...files))
    : undefined

describe("npm run mutate", () => {
  const before = { module: "memory", sample: 120 }

  it("refuses a smaller sample than the published one, and says what to type", () => {
    const refusal = refusalOf(before, { sample: 2, all: 3000 })
    expect(refusal).toMatch(/sample of 120 of memory, and 2 would take its place/)
    expect(refusal).toMatch(/--sample 120 or more, or .* --to <file>/)
  })

  it("publishes one that is as large, one that is all there is, and the first one", () => {
    expect(refusalOf(before, { sample: 120, all: 3000 })).toBeUndefined()
    expect(refusalOf(before, { sample: 81, all: 81 })).toBeUndefined()
    expect(refusalOf(undefined, { sample: 2, all: 3000 })).toBeUndefined()
  })
})

describe("docs/mutation.json", () => {
  it("has a row for each module, but for those of which the page says that they are not measured", () => {
    const missing = Object.keys(modules).filter((name) => !rows.some(({ module }) => module === name))
    expect(rows.map(({ module }) => module)).toEqual(Object.keys(modules).filter((name) => !missing.includes(name)))
    expect(missing.length > 0).toBe(page.includes("<!-- not measured -->"))
  })

  it("is what the page shows", () => {
    const shown = page.split("\n").filter((line) => /^\| [a-z]+ \| `/.test(line)).map((line) => {
      const [, name, , all, , , killed, survived, score] = line.split("|").map((cell) => cell.trim().replace(",", ""))
      return [name, all, killed, survived, score]
    })
    expect(shown).toEqual(rows.map(({ all, killed, module, score, survived, timedOut }) => [
      module,
      `${all}`,
      `${killed + timedOut}`,
      `${survived.length}`,
      `${score.toFixed(1)} %`
    ]))
  })

  for (const row of rows) {
    const module = modules[row.module]!

    describe(row.module, () => {
      it("has figures that belong together", () => {
        const { all, invalid, killed, sample, score, survived, timedOut } = row
        expect(killed + timedOut + survived.length + invalid).toBe(sample)
        expect(sample).toBeLessThanOrEqual(all)
        expect(sample).toBeGreaterThanOrEqual(20)
        expect(score).toBe(scoreOf(row))
      })

      it("says of each survivor why it lives", () => {
        const isReason = (because: string) => /^(Equivalent|Killed since|Open): .{20,}\.$/.test(because)
        expect(row.survived.filter(({ because }) => !isReason(because)).map(keyOf)).toEqual([])
      })

      // An unpacked archive has no history to ask.
      if (existsSync(`${root}.git`)) {
        it("was measured on sources that few commits have touched since", () => {
          const commits = since(row, module)
          if (commits !== undefined) return expect(commits).toBeLessThanOrEqual(most)
          expect(git("rev-parse", "--is-shallow-repository"), "its commit is none of this history").toBe("true")
          const days = (Date.parse(git("log", "-1", "--format=%cI")) - Date.parse(row.date)) / 86_400_000
          expect(days).toBeLessThanOrEqual(mostDays)
        })

        it("names survivors that are mutants of these sources, where nothing touched them since", () => {
          if (since(row, module) !== 0) return
          const files = module.files.filter((file) => row.survived.some(({ place }) => place.startsWith(`${file}:`)))
          const known = new Set(mutantsOf({ ...module, files }).map((mutant) => keyOf(survivorOf(mutant))))
          expect(row.survived.map(keyOf).filter((key) => !known.has(key))).toEqual([])
        })
      }
    })
  }
})
