/** How `npm test` ends: what has failed, or not run at all, is no success. */
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"

const root = fileURLToPath(new URL("../", import.meta.url))

/** As from a shell: nothing of this run's own. */
const test = (env: Readonly<Record<string, string>>, ...args: ReadonlyArray<string>) => {
  const { status, stdout } = spawnSync(
    process.execPath,
    ["--conditions=@capstan/source", `${root}scripts/test.ts`, ...args],
    { cwd: root, encoding: "utf8", env: { PATH: process.env["PATH"], NO_COLOR: "1", ...env } }
  )
  return { status, count: stdout.trim().split("\n").at(-1) }
}

describe("the test command", { timeout: 120_000 }, () => {
  it("ends with 0 when all passed", () => {
    expect(test({}, "test/vocabulary", "-t", "")).toEqual({
      status: 0,
      count: expect.stringMatching(/^[1-9]\d* passed, 0 failed$/)
    })
  })

  it("ends with 1 when a test failed: here one whose server is not there", () => {
    const nobody = "postgres://127.0.0.1:1/none"
    expect(test({ CAPSTAN_TEST_PG_URL: nobody }, "packages/pg/test/SqlEnqueue", "-t", "instant"))
      .toEqual({ status: 1, count: expect.stringMatching(/^0 passed, [1-9]\d* failed$/) })
  })

  it("ends with 1 when nothing ran", () => {
    expect(test({}, "no/such/file")).toEqual({ status: 1, count: "0 passed, 0 failed" })
  })
})
