/** The examples on Postgres: on the server of the tests, in databases of their own. */
import { type ChildProcess, spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { Client } from "pg"
import { afterEach, assert, beforeEach, describe, it } from "vitest"

const path = (name: string) => fileURLToPath(new URL(`../${name}`, import.meta.url))

const admin = new Client({ connectionString: process.env["CAPSTAN_TEST_PG_URL"] })
const database = `capstan_orders_${process.pid}`
const url = new URL(process.env["CAPSTAN_TEST_PG_URL"]!)
url.pathname = `/${database}`

const running = new Set<ChildProcess>()

/** A program of the example, and its lines of output. */
const run = (name: string, env: Readonly<Record<string, string>> = {}) => {
  const child = spawn(process.execPath, ["--conditions=@capstan/source", path(name)], {
    env: { ...process.env, ORDERS_URL: url.href, PORT: "0", ...env },
    stdio: ["ignore", "pipe", "pipe"]
  })
  running.add(child)
  const lines: Array<string> = []
  const waiting = new Set<() => void>()
  const tell = () => {
    for (const look of waiting) look()
  }
  const hear = (line: string) => {
    lines.push(line)
    tell()
  }
  createInterface({ input: child.stdout }).on("line", hear)
  createInterface({ input: child.stderr }).on("line", hear)
  const exited = new Promise<number | null>((resolve) => {
    child.once("close", (code) => {
      running.delete(child)
      resolve(code)
      tell()
    })
  })
  /** The lines that match, once there are so many. */
  const said = (pattern: RegExp, count = 1) =>
    new Promise<ReadonlyArray<string>>((resolve, reject) => {
      const look = () => {
        const found = lines.filter((line) => pattern.test(line))
        if (found.length >= count) resolve(found)
        else if (running.has(child)) return
        else reject(new Error(`${name} ended without ${pattern}:\n${lines.join("\n")}`))
        waiting.delete(look)
      }
      waiting.add(look)
      look()
    })
  return { lines, said, exited, kill: (signal: NodeJS.Signals) => child.kill(signal) }
}

const pay = async (web: string, n: number, email: string) => {
  const { status } = await fetch(`${web}/payments`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ paymentId: `pay-${n}`, order: { orderId: `order-${n}`, email, cents: 1000 } })
  })
  return status
}

beforeEach(async () => {
  if (!("_connected" in admin && admin._connected)) await admin.connect()
  await admin.query(`CREATE DATABASE ${database}`)
})
afterEach(async () => {
  for (const child of running) child.kill("SIGKILL")
  await admin.query(`DROP DATABASE ${database} WITH (FORCE)`)
})

describe("order-pipeline on Postgres", { timeout: 60_000 }, () => {
  it("says the same as in memory, when web and worker are one process", async () => {
    const { exited, lines } = run("order-pipeline/src/main.ts")
    assert.strictEqual(await exited, 0, lines.join("\n"))
    assert.deepStrictEqual(lines.filter((line) => !line.startsWith("[")), [
      "announced twice, shipped once: true",
      "shipped as P-order-0",
      "shipped as P-order-1",
      "not shipped: carrier refused: the customer is on a list",
      "shipped as P-order-3",
      "orders: 4",
      "dead: UpdateCrm, ShipOrder, SendInvoice",
      "third parties did 12 things"
    ])
    assert.strictEqual(lines.filter((line) => line.includes("is dead: Refused")).length, 3)
  })

  it("runs as a web process and a worker process: an order is kept with its jobs, or not at all", async () => {
    const web = run("order-pipeline/src/web.ts")
    const [line] = await web.said(/^web: /)
    const address = line!.slice("web: ".length)

    assert.strictEqual(await pay(address, 1, "ada@example.com"), 202)
    assert.strictEqual(await pay(address, 2, "refused@example.com"), 202)
    // The payload is larger than a job may be: the order, whose row was written before, is gone with it.
    assert.strictEqual(await pay(address, 3, `${"a".repeat(300_000)}@example.com`), 503)

    // What was answered with 202 survives whoever answered, also when nobody works yet.
    web.kill("SIGKILL")
    await web.exited
    const worker = run("order-pipeline/src/worker.ts")
    const alerts = await worker.said(/is dead: Refused/, 3)
    assert.deepStrictEqual(
      alerts.map((line) => /: (\w+) [0-9a-f-]+ is dead/.exec(line)?.[1]).toSorted(),
      ["SendInvoice", "ShipOrder", "UpdateCrm"]
    )
    const client = new Client({ connectionString: url.href })
    await client.connect()
    const orders = await client.query("SELECT id FROM orders ORDER BY id")
    assert.deepStrictEqual(orders.rows, [{ id: "order-1" }, { id: "order-2" }])
    await client.end()

    worker.kill("SIGTERM")
    await worker.exited
  })
})

it("the scratchpad's play file on Postgres retries, succeeds, and rolls back", { timeout: 60_000 }, async () => {
  const { exited, lines } = run("../scratchpad/pg.ts")
  assert.strictEqual(await exited, 0, lines.join("\n"))
  assert.include(lines, "works after 3 attempts")
  assert.strictEqual(lines.at(-1), "1 record is left")
})
