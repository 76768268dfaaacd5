import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { createServer, type IncomingMessage } from "node:http"
import type { AddressInfo } from "node:net"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "vitest"

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url))

const demo = (...args: ReadonlyArray<string>) => {
  const { status, stderr, stdout } = spawnSync(process.execPath, ["--conditions=@capstan/source", main, ...args], {
    encoding: "utf8"
  })
  return { status, stdout, stderr }
}

/** The tables and the verdict, without times and ids. */
const comparable = (stdout: string): string => {
  const [tables, rest] = stdout.split("A dead record")
  const timeless = tables!.replaceAll(/(\s+–|\s+\d+ ms) \/( –| \d+ ms)/g, "").replaceAll(/[ ─]+/g, " ")
  return timeless + rest!.slice(rest!.indexOf("The ledgers"))
}

describe("the demo", { timeout: 60_000 }, () => {
  it("agrees with the ledgers, and prints the same for the same seed, times apart", () => {
    const first = demo("--seed", "3")
    const second = demo("--seed", "3")
    assert.strictEqual(first.status, 0, first.stderr)
    assert.strictEqual(comparable(first.stdout), comparable(second.stdout))
    assert.match(first.stdout, /TriageIssue\s+\d+\s+\d+/)
    assert.match(first.stdout, /dead: Failed/)
    assert.match(first.stdout, /completed after its replay/)
    assert.match(first.stdout, /server POST \/webhooks/)
    assert.match(first.stdout, /└─ send /)
    assert.match(first.stdout, /none lost, doubled or invented/)
    assert.notStrictEqual(comparable(demo("--seed", "4").stdout), comparable(first.stdout))
  })

  it("exits non-zero when the handlers break the idempotency key", () => {
    const { status, stdout } = demo("--break", "idempotency")
    assert.strictEqual(status, 1)
    assert.match(stdout, /doubled: \d+/)
  })

  it("sends the same spans and metrics to a collector", async () => {
    const received = new Map<string, string>()
    const collector = createServer((request: IncomingMessage, response) => {
      let body = ""
      request.setEncoding("utf8").on("data", (text: string) => body += text).on("end", () => {
        received.set(request.url!, (received.get(request.url!) ?? "") + body)
        response.end("{}")
      })
    })
    await once(collector.listen(0, "127.0.0.1"), "listening")
    const { port } = collector.address() as AddressInfo
    const args = ["--conditions=@capstan/source", main, "--otlp", `http://127.0.0.1:${port}`]
    const [status] = await once(spawn(process.execPath, args, { stdio: "ignore" }), "exit")
    collector.close()
    assert.strictEqual(status, 0)
    const traces = received.get("/v1/traces") ?? ""
    for (const name of ["/webhooks", "send ", "process ", "messaging.message.id", "capstan-webhooks"]) {
      assert.include(traces, name)
    }
    const metrics = received.get("/v1/metrics") ?? ""
    for (const name of ["capstan_attempts", "messaging_process_duration_seconds"]) assert.include(metrics, name)
  })
})
