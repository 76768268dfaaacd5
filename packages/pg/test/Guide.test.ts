/** The first program of `docs/postgres.md`, run as a process on a database of its own. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Client } from "pg"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { url } from "./server.ts"

const name = `t_guide_${process.pid}`
const program = fileURLToPath(new URL("programs/guide.ts", import.meta.url))
const admin = new Client({ connectionString: url() })

beforeAll(async () => {
  await admin.connect()
  await admin.query(`CREATE DATABASE ${name}`)
})
afterAll(async () => {
  await admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
  await admin.end()
})

describe("docs/postgres.md", () => {
  it("begins with this program", () => {
    const guide = readFileSync(new URL("../../../docs/postgres.md", import.meta.url), "utf8")
    const [, block] = /```ts\n([^]*?)```/.exec(guide)!
    assert.strictEqual(readFileSync(program, "utf8").split("\n").slice(1).join("\n"), block)
  })

  it("which makes its schema, welcomes somebody and ends", { timeout: 120_000 }, async () => {
    const database = new URL(url())
    database.pathname = name
    const child = spawn(process.execPath, ["--conditions=@capstan/source", program], {
      env: { ...process.env, DATABASE_URL: database.href }
    })
    let out = ""
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => out += text)
    }
    const [code] = await once(child, "close")
    assert.strictEqual(code, 0, out)
    assert.include(out.split("\n"), "Welcome, Ada!")
  })
})
