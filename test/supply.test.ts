/** What comes with a package of ours when somebody installs it: the whole tree, its licences, and that nothing of it runs. */
import { readdirSync, readFileSync } from "node:fs"
import { expect, it } from "vitest"

const root = new URL("../", import.meta.url)
const json = (path: string) => JSON.parse(readFileSync(new URL(path, root), "utf8"))

interface Entry {
  readonly license?: string
  readonly hasInstallScript?: boolean
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>
}

const installed: Readonly<Record<string, Entry>> = json("package-lock.json").packages
const own = readdirSync(new URL("packages", root)).map((folder) => json(`packages/${folder}/package.json`))

/** Names that an installation of these brings along: dependencies, and peers that are not optional. */
const namesIn = ({ dependencies = {}, peerDependencies = {}, peerDependenciesMeta = {} }: Entry) => [
  ...Object.keys(dependencies),
  ...Object.keys(peerDependencies).filter((name) => peerDependenciesMeta[name]?.optional !== true)
]

/** Everything that these names bring along, by the lock file. */
const treeOf = (names: ReadonlyArray<string>) => {
  const found = new Map<string, Entry>()
  const visit = (name: string): void => {
    if (found.has(name)) return
    const entry = own.find((one) => one.name === name) ?? installed[`node_modules/${name}`]
    expect(entry, `${name} is in the lock file`).toBeDefined()
    found.set(name, entry!)
    for (const next of namesIn(entry!)) visit(next)
  }
  names.forEach(visit)
  return found
}

it.each([
  { packages: ["capstan"], brings: ["effect"] },
  { packages: ["capstan", "@capstan/pg"], brings: ["@effect/sql-pg", "effect"] },
  { packages: ["capstan", "@capstan/redis"], brings: ["effect"] },
  { packages: ["capstan", "@capstan/http", "@capstan/dashboard", "@capstan/alerts"], brings: ["effect"] }
])(
  "$packages bring $brings and nothing else, all under MIT, and none runs a script when it is installed",
  ({ brings, packages }) => {
    const tree = treeOf(packages)
    expect([...tree.keys()].filter((name) => !packages.includes(name)).toSorted()).toEqual(brings)
    for (const [name, { hasInstallScript, license }] of tree) {
      expect([name, license, hasInstallScript]).toEqual([name, "MIT", undefined])
    }
  }
)

it("what they need of others has a range of one major version, or of one minor one where a store or page is built on what may change", () => {
  const ranges = Object.fromEntries(own.map(({ name, peerDependencies }) => [
    name,
    Object.fromEntries(
      Object.entries(peerDependencies as Readonly<Record<string, string>>).filter(([peer]) => !/^@?capstan/.test(peer))
    )
  ]))
  expect(ranges).toEqual({
    capstan: { effect: "^4.1.0" },
    "@capstan/alerts": { effect: "~4.1.0" },
    "@capstan/cli": { effect: "~4.1.0", "@effect/platform-node": "~4.1.0", "@effect/sql-pg": "~4.0.5" },
    "@capstan/dashboard": { effect: "~4.1.0" },
    "@capstan/http": { effect: "~4.1.0" },
    "@capstan/pg": { effect: "~4.1.0", "@effect/sql-pg": "^4.0.5" },
    "@capstan/redis": { effect: "~4.1.0", redis: "^6.3.0" },
    "@capstan/testing": { effect: "^4.1.0", "@effect/vitest": ">=4.0.5 <5", vitest: "^5" }
  })
  for (const { name, version, peerDependencies } of own) {
    for (const [peer, range] of Object.entries(peerDependencies)) {
      if (/^@?capstan/.test(peer)) expect([name, peer, range]).toEqual([name, peer, `^${version}`])
    }
  }
})

it("no package of ours has a dependency of its own that is no peer, or a script that an installation runs", () => {
  for (const { dependencies, name, optionalDependencies, scripts = {} } of own) {
    expect([name, dependencies, optionalDependencies]).toEqual([name, undefined, undefined])
    const run = Object.keys(scripts).filter((script) => /^(pre|post)?(install|prepare)$/.test(script))
    expect([name, run]).toEqual([name, []])
  }
})
