import { build } from "esbuild"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { assert, describe, it } from "vitest"
import { shop } from "./programs.ts"

const path = (name: string) => fileURLToPath(new URL(`../${name}`, import.meta.url))

const run = async (name: string) => {
  const node = promisify(execFile)(process.execPath, ["--conditions=@capstan/source", path(name)])
  return (await node).stdout.trim().split("\n")
}

/** The project's files of which something is left in a bundle. */
const bundled = async (name: string) => {
  const { metafile } = await build({
    entryPoints: [path(name)],
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "node",
    external: ["effect", "@effect/*"],
    conditions: ["@capstan/source"],
    logLevel: "silent"
  })
  const [output] = Object.values(metafile.outputs)
  return Object.entries(output!.inputs).flatMap(([file, { bytesInOutput }]) => bytesInOutput > 0 ? [file] : [])
}

const worker = /JobWorker\.ts|internal\/worker\//

describe("examples", () => {
  it("hello greets", async () => {
    assert.deepStrictEqual(await run("hello/src/main.ts"), ["Hello, world!"])
  })

  it("order-pipeline ships once, alerts on the dead, and tells who was refused", async () => {
    const lines = await run("order-pipeline/src/main.ts")
    assert.deepStrictEqual(lines.filter((line) => !line.startsWith("[")), shop)
    assert.strictEqual(lines.filter((line) => line.includes("is dead: Refused")).length, 3)
  })

  it("nightly-report sums what there is, says what failed, and starts a night once", async () => {
    assert.deepStrictEqual(await run("nightly-report/src/main.ts"), [
      "north: 200",
      "east: 45",
      "south: 325",
      "1 without sales",
      "total 570, 1 of 4 regions failed, second start: Existing"
    ])
  })

  it("approval transfers what is approved, and undoes what is refused or left alone", { timeout: 30_000 }, async () => {
    assert.deepStrictEqual(await run("approval/src/main.ts"), [
      "a forged link: Forged",
      "the link: Completed",
      "bob: T-R-bob, approved by ada",
      "eve: refused: ada said no",
      "zoe: refused: nobody decided in time",
      "bank: reserved 500 for bob",
      "bank: mailed about bob",
      "bank: transferred R-bob",
      "bank: reserved 900000 for eve",
      "bank: mailed about eve",
      "bank: freed R-eve",
      "bank: reserved 100 for zoe",
      "bank: mailed about zoe",
      "bank: freed R-zoe"
    ])
  })

  it("tenant-fanout delivers to all, in turns, and as slowly as each can take it", { timeout: 30_000 }, async () => {
    assert.deepStrictEqual(await run("tenant-fanout/src/main.ts"), [
      "big: 100 delivered",
      "small: 6 delivered, long before big was through",
      "busy: 6 delivered after it had said stop 1 time",
      "down: 6 delivered, and few calls while it was down",
      "limits: kept"
    ])
  })

  it("the web entry bundles no worker, the worker entry does", async () => {
    const web = await bundled("order-pipeline/src/web.ts")
    assert.isTrue(web.some((file) => file.endsWith("src/Job.ts")))
    assert.deepStrictEqual(web.filter((file) => worker.test(file)), [])
    assert.isTrue((await bundled("order-pipeline/src/worker.ts")).some((file) => worker.test(file)))
  })
})
