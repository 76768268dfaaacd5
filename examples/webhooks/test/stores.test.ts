/** The demo on the other stores: the same tables as in memory. */
import { once } from "node:events"
import { createInterface } from "node:readline"
import { Client } from "pg"
import { assert, describe, it } from "vitest"
import { answers, comparable, demo, start } from "./programs.ts"

const seed = ["--seed", "3"]

describe("the demo", { timeout: 120_000 }, () => {
  it("prints the same in memory, on Postgres and on PGlite, times apart, and leaves nothing there", async () => {
    const url = process.env["CAPSTAN_TEST_PG_URL"]!
    const [memory, pg, pglite] = await Promise.all([
      demo(...seed),
      demo(...seed, "--store", "pg", "--url", url),
      demo(...seed, "--store", "pglite")
    ])
    assert.strictEqual(pg.status, 0, pg.stderr)
    assert.strictEqual(comparable(pg.stdout), comparable(memory.stdout))
    assert.match(pg.stdout, /^postgres \d+.*: an acknowledged enqueue survives/m)
    assert.match(pg.stdout, /completed after its replay, 2 attempts/)
    assert.match(pg.stdout, /server POST \/webhooks/)
    const client = new Client({ connectionString: url })
    await client.connect()
    const { rows } = await client.query("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'capstan\\_demo\\_%'")
    await client.end()
    assert.deepStrictEqual(rows, [])

    assert.strictEqual(pglite.status, 0, pglite.stderr)
    assert.strictEqual(comparable(pglite.stdout), comparable(memory.stdout))
    assert.match(pglite.stdout, /^pglite [\d.]+ \(postgres \d+/m)
    assert.match(pglite.stdout, /^not promised: .*\(P2\): there is one connection$/m)
  })

  it("starts a Postgres of its own when no server is named, and ends it also on Ctrl-C", async () => {
    const child = start("--store", "pg")
    let port = 0
    for await (const line of createInterface({ input: child.stdout })) {
      port = Number(/^it listens on 127\.0\.0\.1:(\d+)$/.exec(line)?.[1] ?? 0)
      if (port > 0) break
    }
    assert.isTrue(await answers(port))
    child.kill("SIGINT")
    const [status] = await once(child, "exit")
    assert.strictEqual(status, 130)
    assert.isFalse(await answers(port))
  })

  it("refuses a store that it does not have, and a server for one that has none", async () => {
    const unknown = await demo("--store", "mysql")
    assert.deepInclude(unknown, { status: 2 })
    assert.match(unknown.stderr, /--store mysql: this version has the stores memory, pg, pglite, redis/)
    const memory = await demo("--url", "postgres://127.0.0.1/x")
    assert.deepInclude(memory, { status: 2 })
    assert.match(memory.stderr, /--url goes with --store pg or redis, not with --store memory/)
  })
})
