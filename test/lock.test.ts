/**
 * The lock file serves `npm ci` on every platform: it has each package that a dependency names for one, also those that
 * the registry it was made with does not carry.
 */
import { readFileSync } from "node:fs"
import { expect, it } from "vitest"
import { complete, missing } from "../scripts/lock.mjs"

const tool = { version: "1.0.0", dev: true, optionalDependencies: { "@tool/linux-x64-musl": "1.0.0" } }
const program = {
  version: "1.0.0",
  cpu: ["x64"],
  dev: true,
  libc: ["musl"],
  optional: true,
  os: ["linux"]
}

it.each(["", "benchmarks/"])("no package of another platform is missing in %spackage-lock.json", (folder) => {
  const lock = JSON.parse(readFileSync(new URL(`../${folder}package-lock.json`, import.meta.url), "utf8"))
  expect(Object.keys(missing(lock)), "run `node scripts/lock.mjs`").toEqual([])
})

it("a missing package is added in npm's order, for the platform of its name", () => {
  const lock = { packages: { "": {}, "node_modules/tool": tool, "node_modules/zip": {} } }
  expect(missing(lock)).toEqual({ "node_modules/@tool/linux-x64-musl": program })
  expect(Object.keys(complete(lock).packages)).toEqual([
    "",
    "node_modules/@tool/linux-x64-musl",
    "node_modules/tool",
    "node_modules/zip"
  ])
  expect(missing(complete(lock))).toEqual({})
})

it("a package is found in the folder of who asks for it, and in those around it", () => {
  const asks = { packages: { "node_modules/a/node_modules/tool": tool } }
  for (
    const at of ["node_modules/a/node_modules/tool/node_modules/", "node_modules/a/node_modules/", "node_modules/"]
  ) {
    expect(missing({ packages: { ...asks.packages, [`${at}@tool/linux-x64-musl`]: program } })).toEqual({})
  }
  const elsewhere = { ...asks.packages, "node_modules/b/node_modules/@tool/linux-x64-musl": program }
  expect(Object.keys(missing({ packages: elsewhere }))).toEqual(["node_modules/@tool/linux-x64-musl"])
})

it("a name that says no platform is left to a person", () => {
  const lock = { packages: { "node_modules/tool": { optionalDependencies: { "tool-faster": "1.0.0" } } } }
  expect(() => missing(lock)).toThrow("tool-faster: its name says no platform")
})
