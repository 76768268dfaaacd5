/** What a worker says of where it runs. */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { hostname } from "node:os"
import process from "node:process"
import { version } from "../src/internal/version.ts"
import { processOf } from "../src/internal/worker/process.ts"

describe("a worker says", () => {
  it("the release of capstan that the package has", () => {
    const manifest: { readonly version: string } = JSON.parse(
      readFileSync(new URL("../package.json", import.meta.url), "utf8")
    )
    assert.strictEqual(version, manifest.version)
  })

  it("host, process and release by itself, and the application's version where that is given", () => {
    const own = { host: hostname(), pid: process.pid, capstanVersion: version }
    assert.deepStrictEqual(processOf({}), { ...own, appVersion: undefined })
    assert.deepStrictEqual(processOf({ version: "2026.11" }), { ...own, appVersion: "2026.11" })
  })

  it("another host, or none", () => {
    assert.strictEqual(processOf({ host: "web-1" }).host, "web-1")
    assert.strictEqual(processOf({ host: false }).host, undefined)
  })

  it("nothing that is empty or longer than a line", () => {
    assert.throws(() => processOf({ version: " " }), "worker: version must have from 1 to 100 characters")
    assert.throws(() => processOf({ version: "v".repeat(101) }), "it has 101")
    assert.throws(() => processOf({ host: "" }), "worker: host must have")
  })
})
