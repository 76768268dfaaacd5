/** The page that ships: built of what stands beside it, small, and without anything that its policy would not run. */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { gzipSync } from "node:zlib"
import { files, index } from "../src/internal/files.ts"
import { digest } from "../web/digest.ts"

const page = new URL("../page/", import.meta.url)
const text = (path: string) => readFileSync(new URL(path, page), "utf8")

interface Chunk {
  readonly file: string
  readonly isEntry?: boolean
  readonly imports?: ReadonlyArray<string>
}

const manifest: Readonly<Record<string, Chunk>> = JSON.parse(text("manifest.json"))

/** A chunk and all that it cannot do without. */
const closure = (name: string, seen = new Set<string>()): ReadonlySet<string> => {
  seen.add(manifest[name]!.file)
  for (const one of manifest[name]!.imports ?? []) if (!seen.has(manifest[one]!.file)) closure(one, seen)
  return seen
}

const size = (paths: Iterable<string>): number =>
  [...paths].reduce((sum, path) => sum + gzipSync(readFileSync(new URL(path, page))).length, 0)

describe("the page", () => {
  it("is built of the sources as they are: else type npm run dashboard -- build", () => {
    assert.strictEqual(text("sources.sha256").trim(), digest())
  })

  it("loads at first less than 150 kB of compressed JavaScript", () => {
    const entry = Object.keys(manifest).find((name) => manifest[name]!.isEntry === true)!
    const first = closure(entry)
    assert.isAbove(first.size, 0)
    const bytes = size(first)
    assert.isBelow(bytes, 150_000, `${bytes} bytes`)
    // No page needs more than the first load and a little.
    for (const name of Object.keys(manifest)) {
      assert.isBelow(size(new Set([...first, ...closure(name)])), 200_000, name)
    }
  })

  it("has no script, style or handler in its HTML", () => {
    const html = index()
    assert.notMatch(html, /<script(?![^>]*\bsrc=)[^>]*>/)
    assert.notMatch(html, /<style|\son\w+=|\sstyle=|javascript:/)
  })

  it("names nothing of another origin", () => {
    for (const path of readdirSync(new URL("assets/", page))) {
      const urls = text(`assets/${path}`).match(/https?:\/\/[\w.-]+/g) ?? []
      // Namespaces of XML, and where libraries explain their errors.
      const others = urls.filter((url) =>
        !/w3\.org|react\.dev|tanstack\.com|github\.com|localhost|tailwindcss\.com/.test(url)
      )
      assert.deepStrictEqual(others, [], path)
    }
  })

  it("is served with all that it names", () => {
    const served = files()
    for (const { file } of Object.values(manifest)) assert.isTrue(served.has(file), file)
    assert.isTrue(served.has("icon.svg"))
    assert.isTrue(served.get(Object.values(manifest)[0]!.file)!.isImmutable)
    assert.isFalse(served.get("icon.svg")!.isImmutable)
  })
})
