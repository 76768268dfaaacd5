import { once } from "node:events"
import { createServer, type IncomingMessage } from "node:http"
import type { AddressInfo } from "node:net"
import { assert, beforeAll, describe, it } from "vitest"
import * as programs from "./programs.ts"

/** How long each whole run took. */
const times: Array<number> = []

const demo = async (...args: ReadonlyArray<string>) => {
  const started = performance.now()
  const ran = await programs.demo(...args)
  if (ran.status === 0) times.push(performance.now() - started)
  return ran
}

type Ran = Awaited<ReturnType<typeof demo>>

/** The number after the first cell of a row. */
const count = (stdout: string, row: string): number => Number(new RegExp(`^ +${row} +(\\d+)`, "m").exec(stdout)?.[1])

/** The table of jobs without times. */
const jobsOf = (stdout: string): string => programs.comparable(stdout).split("Deliveries")[0]!

const careless = [
  ["break the idempotency key", "idempotency", "doubled"],
  ["say that it was done, and did not ask for it", "loss", "lost"],
  ["ask for what nobody sent", "invention", "invented"]
] as const

describe("the demo", { timeout: 60_000 }, () => {
  let first: Ran
  let second: Ran
  const broken = new Map<string, Ran>()
  // Most of a run is waiting: two at a time take hardly longer than one.
  beforeAll(async () => {
    ;[first, second] = await Promise.all([demo("--seed", "3"), demo("--seed", "3")])
    await Promise.all(careless.map(async ([, what]) => broken.set(what, await demo("--break", what))))
  }, 120_000)

  it("agrees with the ledgers, and shows what became of the dead record and of one trace", () => {
    assert.strictEqual(first.status, 0, first.stderr)
    assert.match(first.stdout, /TriageIssue\s+\d+\s+\d+/)
    assert.match(first.stdout, /dead: Failed/)
    assert.match(first.stdout, /completed after its replay/)
    assert.match(first.stdout, /server POST \/webhooks/)
    assert.match(first.stdout, /└─ send /)
    for (const operation of ["process", "settle"]) {
      assert.match(first.stdout, new RegExp(`[├└]─ ${operation} \\w+ +attempt 2`))
    }
    assert.match(first.stdout, /none lost, doubled or invented;\n {2}the table of jobs counts what they count/)
  })

  it("has figures of how long each job waited and ran", () => {
    const table = first.stdout.split("wait p50/p95")[1]!.split("Deliveries")[0]!
    const rows = table.split("\n").filter((line) => /^ +\w/.test(line) && !line.includes("run p50/p95"))
    assert.strictEqual(rows.length, 5)
    const millis = rows.map((row) => {
      const cells = /(\d+) ms \/ (\d+) ms +(\d+) ms \/ (\d+) ms$/.exec(row)
      assert.isNotNull(cells, row)
      return cells!.slice(1).map(Number)
    })
    for (const [wait50, wait95, run50, run95] of millis) {
      assert.isAtMost(wait50!, wait95!)
      assert.isAtMost(run50!, run95!)
    }
    // An attempt calls a service over HTTP.
    assert.isAbove(Math.max(...millis.map(([, , , run95]) => run95!)), 0)
  })

  it("prints the same for the same seed, times apart", () => {
    assert.strictEqual(programs.comparable(second.stdout), programs.comparable(first.stdout))
  })

  it("delivers the 329 examples, in plain text where there is no terminal", () => {
    const { stdout } = first
    assert.match(stdout, /329 webhooks/)
    assert.strictEqual(count(stdout, "accepted") + count(stdout, "forged: the signature is wrong"), 329)
    assert.isAbove(count(stdout, "repeated: the record is there already"), 0)
    // Every fault that the service can have.
    for (const answer of ["204 late", "500", "500 after it was done", "429", "no answer after it was done", "422"]) {
      assert.isAbove(count(stdout, answer), 0, answer)
    }
    assert.notInclude(stdout, "\u001b")
    assert.notInclude(stdout, "\r")
  })

  it.each(careless)("exits non-zero when the handlers %s", (_, what, kind) => {
    const { status, stdout } = broken.get(what)!
    assert.strictEqual(status, 1)
    assert.match(stdout, new RegExp(`^${kind}: \\d+ \\(`, "m"))
    assert.notInclude(stdout, "agree")
    // It is another seed's.
    assert.notStrictEqual(jobsOf(stdout), jobsOf(first.stdout))
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
    const { status } = await demo("--otlp", `http://127.0.0.1:${port}`)
    collector.close()
    assert.strictEqual(status, 0)
    const traces = received.get("/v1/traces") ?? ""
    for (const name of ["/webhooks", "send ", "process ", "settle ", "messaging.message.id", "capstan-webhooks"]) {
      assert.include(traces, name)
    }
    const metrics = received.get("/v1/metrics") ?? ""
    for (const name of ["capstan_attempts", "messaging_process_duration_seconds"]) assert.include(metrics, name)
  })

  it("refuses to break what it cannot", async () => {
    const { status, stderr } = await demo("--break", "everything")
    assert.strictEqual(status, 2)
    assert.match(stderr, /can break idempotency, loss, invention/)
  })

  it("ends in order when it is interrupted: the worker gives back what it holds, and the store says what is lost", async () => {
    const child = programs.start()
    let stdout = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text
      if (stdout.includes("delivered") && !child.killed) child.kill("SIGINT")
    })
    const [status] = await once(child, "close")
    assert.strictEqual(status, 130)
    assert.match(stdout, /memory store closed: \d+ unfinished records are lost/)
    assert.notInclude(stdout, "agree")
  })

  it("takes at most 20 seconds", () => {
    // Of several runs the fastest: the others may have shared the machine.
    assert.isBelow(Math.min(...times), 20_000)
  })
})
