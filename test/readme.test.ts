/** What the documents say of this repository: links lead somewhere, commands exist, versions are those that were read. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"

const root = fileURLToPath(new URL("../", import.meta.url))
const text = (path: string) => readFileSync(join(root, path), "utf8")

const documents = [
  "README.md",
  "CONTRIBUTING.md",
  "AGENTS.md",
  "CHANGELOG.md",
  ...[
    "docs",
    "docs/migrate",
    "docs/api",
    ...readdirSync(join(root, "docs/api")).filter((name) => !name.includes(".")).map((name) => `docs/api/${name}`),
    "benchmarks",
    "chaos",
    ...readdirSync(join(root, "packages")).map((name) => `packages/${name}`)
  ]
    .flatMap((folder) =>
      readdirSync(join(root, folder)).filter((name) => name.endsWith(".md")).map((name) => `${folder}/${name}`)
    )
]

const { scripts }: { readonly scripts: Readonly<Record<string, string>> } = JSON.parse(text("package.json"))

describe.each(documents)("%s", (path) => {
  it("links to files that exist", () => {
    const targets = [...text(path).matchAll(/\]\(([^)#\s]+)[^)]*\)/g)].map(([, target]) => target!)
    const local = targets.filter((target) => !/^https?:/.test(target))
    expect(local.filter((target) => !existsSync(join(root, dirname(path), target)))).toEqual([])
  })

  it("names commands that exist", () => {
    const named = [...text(path).matchAll(/npm run ([\w-]+)/g)].map(([, name]) => name!)
    expect(named.filter((name) => scripts[name] === undefined)).toEqual([])
  })
})

/** A rate, a share of one, or a quantile of a time, as it was measured. */
const speed = /\d ?k\/s|\d jobs\/s|\d+(\.\d+)?x\b|times as fast|\bp99\b|speed-\w+\.svg/

it("what says how fast something is says how to measure it: a command, or the page of the benchmarks", () => {
  const silent = documents.filter((path) => !/^docs\/api|^CHANGELOG/.test(path)).filter((path) =>
    speed.test(text(path)) &&
    !/npm run (bench|simulate|chaos)|benchmarks\/(README\.md|studies\/)|\(\.\.\/benchmarks\)/.test(text(path))
  )
  expect(silent).toEqual([])
})

describe("the comparison", () => {
  const lock = JSON.parse(text("benchmarks/package-lock.json")).packages
  const versions = {
    BullMQ: lock["node_modules/bullmq"].version,
    "pg-boss": lock["node_modules/pg-boss"].version,
    "graphile-worker": lock["node_modules/graphile-worker"].version,
    Effect: JSON.parse(text("node_modules/effect/package.json")).version
  }

  it.each(["README.md", "docs/comparison.md"])("of %s is of the versions that are measured", (path) => {
    const words = text(path).replaceAll(/\s+/g, " ")
    for (const [name, version] of Object.entries(versions)) expect(words).toContain(`${name} ${version}`)
  })

  it("has a source for every column", () => {
    const [, header] = /## How it compares[^]*?\n\| \| (.*) \|\n/.exec(text("README.md"))!
    const sources = text("docs/comparison.md")
    const named = header!.split(" | ").filter((column) =>
      !new RegExp(`\\*\\*.*${column.split(" ").at(-1)}`).test(sources)
    )
    expect(named).toEqual([])
  })
})

it("the first program of the README is the first example, in ten lines", () => {
  const [, program] = /```ts\n([^]*?)```/.exec(text("README.md"))!
  const lines = program!.split("\n").filter((line) => line !== "")
  expect(lines.length).toBeLessThanOrEqual(10)
  expect(text("examples/hello/src/main.ts")).toContain(program)
})

describe("every npm script", () => {
  const own = Object.keys(scripts).filter((name) => !name.startsWith("pre"))

  it.each(own)("%s installs what it needs first, so that it works alone on a fresh clone", (name) => {
    expect(scripts[`pre${name}`]).toBe("node scripts/prepare.mjs")
    expect(scripts[name]).toMatch(/^node scripts\/node\.mjs \S+/)
    expect(existsSync(join(root, scripts[name]!.split(" ")[2]!))).toBe(true)
  })
})

it("peers of the benchmarks are installed by the bench alone", () => {
  const { dependencies } = JSON.parse(text("benchmarks/package.json"))
  const { workspaces } = JSON.parse(text("package.json"))
  expect(workspaces).not.toContain("benchmarks")
  // Drivers are what our own stores and tests use too.
  const drivers = new Set(["@effect/sql-pg", "ioredis", "pg", "redis"])
  const peers = new Set(Object.keys(dependencies).filter((name) => !drivers.has(name)))
  const manifests = [
    "package.json",
    ...readdirSync(join(root, "packages")).map((name) => `packages/${name}/package.json`)
  ]
  for (const path of manifests) {
    const { dependencies, devDependencies, peerDependencies } = JSON.parse(text(path))
    const named = Object.keys({ ...dependencies, ...devDependencies, ...peerDependencies })
    expect(named.filter((name) => peers.has(name)), path).toEqual([])
  }
})
