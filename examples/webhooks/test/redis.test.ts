/** The demo on Redis: the same tables as in memory. */
import { once } from "node:events"
import { createInterface } from "node:readline"
import { createClient } from "redis"
import { assert, describe, it } from "vitest"
import { answers, comparable, demo, start } from "./programs.ts"

const seed = ["--seed", "3"]

describe("the demo on Redis", { timeout: 120_000 }, () => {
  it("prints the same as in memory, times apart, and leaves nothing there", async () => {
    const url = process.env["CAPSTAN_TEST_REDIS_URL"]!
    const memory = await demo(...seed)
    const redis = await demo(...seed, "--store", "redis", "--url", url)
    assert.strictEqual(redis.status, 0, redis.stderr)
    assert.strictEqual(comparable(redis.stdout), comparable(memory.stdout))
    assert.match(redis.stdout, /^redis.*: an acknowledged enqueue survives/m)
    assert.match(redis.stdout, /completed after its replay, 2 attempts/)
    assert.match(redis.stdout, /server POST \/webhooks/)
    const client = await createClient({ url }).connect()
    const left: Array<string> = []
    for await (const keys of client.scanIterator({ MATCH: "{capstan-demo-*" })) left.push(...keys)
    client.destroy()
    assert.deepStrictEqual(left, [])
  })

  it("starts a Redis of its own when no server is named, and ends it also on Ctrl-C", async () => {
    const child = start("--store", "redis")
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
})
