/** What is committed is what the build makes, byte for byte. */
import { spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { afterAll, assert, it } from "vitest"

const page = fileURLToPath(new URL("../../page/", import.meta.url))
const fresh = mkdtempSync(`${tmpdir()}/capstan-page-`)

afterAll(() => rmSync(fresh, { recursive: true, force: true }))

const filesOf = (folder: string): ReadonlyMap<string, string> =>
  new Map(
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .map((path) => path.replaceAll("\\", "/"))
      .filter((path) => statSync(`${folder}/${path}`).isFile() && path !== "sources.sha256")
      .toSorted()
      .map((path) => [path, readFileSync(`${folder}/${path}`, "utf8")])
  )

it("the page is what the sources make: else type npm run dashboard -- build", () => {
  // As the command does it: what tests set in the environment would be in the bundle.
  const { NODE_ENV: _, VITEST: __, MODE: ___, ...env } = process.env
  const { status, stderr } = spawnSync(
    process.execPath,
    ["node_modules/vite/bin/vite.js", "build", "--outDir", fresh, "--emptyOutDir", "--logLevel", "error"],
    { cwd: fileURLToPath(new URL("../", import.meta.url)), env, encoding: "utf8" }
  )
  assert.strictEqual(status, 0, stderr)
  const [made, kept] = [filesOf(fresh), filesOf(page)]
  assert.deepStrictEqual([...kept.keys()], [...made.keys()])
  for (const [path, text] of made) assert.isTrue(kept.get(path) === text, path)
})
