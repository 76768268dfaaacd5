/** The examples on Postgres: on the server of the tests, in databases of their own. */
import { Client } from "pg"
import { afterEach, assert, beforeEach, describe, it } from "vitest"
import { type Span, startCollector } from "./otel.ts"
import { endAll, pay, programs, shop } from "./programs.ts"

const admin = new Client({ connectionString: process.env["CAPSTAN_TEST_PG_URL"] })
const database = `capstan_orders_${process.pid}`
const url = new URL(process.env["CAPSTAN_TEST_PG_URL"]!)
url.pathname = `/${database}`
const run = programs(url.href)

beforeEach(async () => {
  if (!("_connected" in admin && admin._connected)) await admin.connect()
  await admin.query(`CREATE DATABASE ${database}`)
})
afterEach(async () => {
  endAll()
  await admin.query(`DROP DATABASE ${database} WITH (FORCE)`)
})

describe("order-pipeline on Postgres", { timeout: 60_000 }, () => {
  it("says the same as in memory, when web and worker are one process", async () => {
    const { exited, lines } = run("order-pipeline/src/main.ts")
    assert.strictEqual(await exited, 0, lines.join("\n"))
    assert.deepStrictEqual(lines.filter((line) => !line.startsWith("[")), shop)
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

describe("the order pipeline as a collector sees it", { timeout: 60_000 }, () => {
  it("is one picture: request, jobs, the jobs that they leave behind, and the database", async () => {
    await using collector = await startCollector()
    const { exited, lines } = run("otel/src/main.ts", { OTLP_URL: collector.url })
    assert.strictEqual(await exited, 0, lines.join("\n"))
    assert.deepStrictEqual(collector.rejects, [])

    const { spans } = collector
    const byId = new Map(spans.map((span) => [span.spanId, span]))
    const pathOf = (span: Span): ReadonlyArray<string> => {
      const parent = byId.get(span.parentSpanId ?? "")
      return parent === undefined ? [span.name] : [...pathOf(parent), span.name]
    }
    const mails = spans.filter(({ name }) => name === "process mail")
    // Three parcels are announced; an attempt more stands beside the first of its record.
    assert.strictEqual(new Set(mails.map(({ parentSpanId }) => parentSpanId)).size, 3)
    for (const mail of mails) {
      const path = pathOf(mail)
      assert.match(path[0]!, /POST/)
      assert.deepStrictEqual(
        path.filter((name) => /^(send|process) /.test(name)),
        ["send shipping", "process shipping", "send mail", "process mail"]
      )
      assert.strictEqual(byId.get(mail.parentSpanId!)?.traceId, mail.traceId)
    }
    const statements = spans.filter((span) => span.attributes.some(({ key }) => key.startsWith("db.")))
    const inRequests = statements.filter((span) => pathOf(span)[0]!.includes("POST"))
    assert.isAbove(inRequests.length, 0, "no statement stands below a request")
    // The last of the chain writes to the database, too: request, job, child job, statement.
    for (const mail of mails.filter(({ status }) => status.code !== 2)) {
      const below = statements.filter(({ parentSpanId }) => parentSpanId === mail.spanId)
      assert.deepStrictEqual(below.map(({ traceId }) => traceId), [mail.traceId])
      const text = below[0]!.attributes.find(({ key }) => key === "db.query.text")?.value["stringValue"]
      assert.match(String(text), /^UPDATE orders SET told_at/)
    }

    // Three orders were refused by somebody: the span says so.
    const refused = spans.filter(({ name, status }) => name.startsWith("process ") && status.code === 2)
    assert.isAtLeast(refused.length, 3)
    const pointsOf = (name: string) => {
      const metric = collector.metrics.get(name)
      assert.isDefined(metric, name)
      return "sum" in metric
        ? metric.sum.dataPoints
        : "gauge" in metric
        ? metric.gauge.dataPoints
        : metric.histogram.dataPoints
    }
    const sumOf = (decision: string) =>
      pointsOf("capstan_attempts")
        .filter(({ attributes }) =>
          attributes.some(({ key, value }) => key === "decision" && value["stringValue"] === decision)
        )
        .reduce(
          (sum, point) => sum + Number("asDouble" in point ? point.asDouble : "asInt" in point ? point.asInt : NaN),
          0
        )
    // Of four orders one is refused by all three whom it needs; the others are four records each.
    assert.deepStrictEqual([sumOf("completed"), sumOf("dead")], [12, 3])
    const ran = pointsOf("messaging_process_duration_seconds").reduce(
      (sum, point) => sum + Number("count" in point ? point.count : NaN),
      0
    )
    assert.strictEqual(ran, spans.filter(({ name }) => name.startsWith("process ")).length)
    assert.deepStrictEqual([...collector.services], ["shop"])
  })
})
