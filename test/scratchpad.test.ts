/**
 * The play file that CONTRIBUTING starts from runs, and shows what it is there to show.
 */
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"

const file = fileURLToPath(new URL("../scratchpad/memory.ts", import.meta.url))

it("the scratchpad's play file on the memory store retries, succeeds, and shows the record's history", () => {
  const { status, stderr, stdout } = spawnSync(process.execPath, ["--conditions=@capstan/source", file], {
    encoding: "utf8"
  })
  expect([status, stderr]).toEqual([0, ""])
  expect(stdout.trimEnd().split("\n")).toEqual([
    "works after 3 attempts",
    "attempt 1 retried: Unlucky",
    "attempt 2 retried: Unlucky",
    "attempt 3 completed",
    "log of attempt 1: no luck",
    "log of attempt 2: no luck",
    "log of attempt 3: luck"
  ])
})
