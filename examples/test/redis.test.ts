/** The examples on Redis: on servers of their own, for an example's store has the usual names of keys. */
import { createClient } from "redis"
import { afterAll, afterEach, assert, beforeAll, beforeEach, describe, it } from "vitest"
import { durableRedis, type Redis, startRedis } from "../../scripts/servers/index.ts"
import { endAll, pay, programs, shop } from "./programs.ts"

let server: Redis
let run: ReturnType<typeof programs>

beforeAll(async () => {
  server = await startRedis({ settings: durableRedis("always") })
  run = programs(server.url)
}, 60_000)
afterAll(() => server.stop())
beforeEach(() => server.command("FLUSHALL"))
afterEach(endAll)

describe("order-pipeline on Redis", { timeout: 60_000 }, () => {
  it("says the same as in memory, when web and worker are one process", async () => {
    const { exited, lines } = run("order-pipeline/src/main.ts")
    assert.strictEqual(await exited, 0, lines.join("\n"))
    assert.deepStrictEqual(lines.filter((line) => !line.startsWith("[")), shop)
    assert.strictEqual(lines.filter((line) => line.includes("is dead: Refused")).length, 3)
  })

  it("runs as a web process and a worker process, and survives the server's crash between the two", async () => {
    const web = run("order-pipeline/src/web.ts")
    const [line] = await web.said(/^web: /)
    const address = line!.slice("web: ".length)

    assert.strictEqual(await pay(address, 1, "ada@example.com"), 202)
    assert.strictEqual(await pay(address, 2, "refused@example.com"), 202)
    // The payload is larger than a job may be: there is no order of which nothing follows.
    assert.strictEqual(await pay(address, 3, `${"a".repeat(300_000)}@example.com`), 503)

    web.kill("SIGKILL")
    await web.exited
    await server.crash()
    await server.restart()
    const worker = run("order-pipeline/src/worker.ts")
    const alerts = await worker.said(/is dead: Refused/, 3)
    assert.deepStrictEqual(
      alerts.map((line) => /: (\w+) [0-9a-f-]+ is dead/.exec(line)?.[1]).toSorted(),
      ["SendInvoice", "ShipOrder", "UpdateCrm"]
    )
    const client = await createClient({ url: server.url }).connect()
    assert.deepStrictEqual((await client.hKeys("orders")).toSorted(), ["order-1", "order-2"])
    client.destroy()

    worker.kill("SIGTERM")
    await worker.exited
  })
})

it(
  "the scratchpad's play file on Redis retries, succeeds, and is seen from elsewhere",
  { timeout: 60_000 },
  async () => {
    const { exited, lines } = run("../scratchpad/redis.ts")
    assert.strictEqual(await exited, 0, lines.join("\n"))
    assert.include(lines, "works after 3 attempts")
    assert.strictEqual(lines.at(-1), "1 record is seen from elsewhere")
  }
)
