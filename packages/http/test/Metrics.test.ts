/** Metrics over HTTP, and that what is drawn and alerted on exists as the table of the documentation has it. */
import { assert, describe, it } from "@effect/vitest"
import { Jobs } from "capstan"
import { Effect, Layer, Schedule } from "effect"
import { readFileSync } from "node:fs"
import { Greet, serve, worked } from "./harness.ts"

const text = (path: string) => readFileSync(new URL(`../../../docs/${path}`, import.meta.url), "utf8")

interface Described {
  readonly type: string
  readonly attributes: ReadonlyArray<string>
}

/** The table of metrics in the documentation. */
const documented: ReadonlyMap<string, Described> = new Map(
  [...text("observability.md").matchAll(/^\| `([\w]+)` \| (counter|gauge|histogram) \|([^|]*)\|/gm)].map((
    [, name, type, attributes]
  ) => [name!, {
    type: type!,
    attributes: attributes!.split(",").map((one) => one.trim()).filter((one) => one !== "")
  }])
)

/** What is wrong with an expression: a metric or a label that there is not, a counter without a rate. */
const wrongWith = (expression: string): ReadonlyArray<string> => {
  const wrong: Array<string> = []
  const names = [...expression.matchAll(/\b(capstan_\w+|messaging_\w+)(\{[^}]*\})?(\[\w+\])?/g)]
  if (names.length === 0) wrong.push("no metric")
  const labels = new Set<string>()
  for (const [, series, selector = "", range] of names) {
    const name = series!.replace(/_(bucket|sum|count)$/, "")
    const found = documented.get(name) ?? documented.get(series!)
    if (found === undefined) {
      wrong.push(`there is no metric ${series}`)
      continue
    }
    if (found.type === "histogram" && name === series) wrong.push(`${series} is a histogram`)
    if (found.type !== "histogram" && name !== series) wrong.push(`${series} is no histogram`)
    if (found.type !== "gauge" && range === undefined) wrong.push(`${series} counts up for ever`)
    for (const label of found.attributes) labels.add(label)
    if (series!.endsWith("_bucket")) labels.add("le")
    for (const [, label] of selector.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)) {
      if (!found.attributes.includes(label!)) wrong.push(`${series} has no label ${label}`)
    }
  }
  for (const [, by] of expression.matchAll(/\bby \(([^)]*)\)/g)) {
    for (const label of by!.split(",").map((one) => one.trim())) {
      if (!labels.has(label)) wrong.push(`by ${label}: none of the metrics has it`)
    }
  }
  return wrong
}

const panels: ReadonlyArray<{ readonly title: string; readonly targets: ReadonlyArray<{ readonly expr: string }> }> =
  JSON
    .parse(text("monitoring/grafana.json")).panels

/** A rule's expression stands behind `expr:`, or below `expr: |`. */
const alerts = [
  ...text("monitoring/alerts.yaml").matchAll(
    /- alert: (\w+)\n\s+expr: (?:\|\n((?: {10}.*\n)+)|(.*)\n)[^]*?summary: (.*)\n\s+description: (.*)\n/g
  )
].map(([, name, block, line, summary, description]) => ({
  name: name!,
  expr: block ?? line!,
  summary: summary!,
  description: description!
}))

describe("what Grafana draws and Prometheus alerts on", () => {
  it("is in the table of metrics", () => {
    assert.isAbove(documented.size, 12)
    assert.isAbove(panels.length, 15)
    for (const { targets, title } of panels) {
      for (const { expr } of targets) assert.deepStrictEqual(wrongWith(expr), [], title)
    }
    assert.strictEqual(alerts.length, text("monitoring/alerts.yaml").match(/- alert:/g)!.length)
    for (const { expr, name } of alerts) assert.deepStrictEqual(wrongWith(expr), [], name)
  })

  it("draws every metric of the table", () => {
    const drawn = JSON.stringify(panels)
    assert.deepStrictEqual([...documented.keys()].filter((name) => !drawn.includes(name)), [])
  })

  it("names labels in its texts that its expression keeps", () => {
    for (const { description, expr, name, summary } of alerts) {
      const kept = [...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, by]) => by!.split(",").map((one) => one.trim()))
      for (const [, label] of `${summary} ${description}`.matchAll(/\$labels\.(\w+)/g)) {
        assert.include(kept, label!, name)
      }
    }
  })

  it.each([
    ["max(capstan_nothing)", "there is no metric capstan_nothing"],
    ["capstan_dead", "capstan_dead counts up for ever"],
    ["rate(capstan_wait_seconds[5m])", "capstan_wait_seconds is a histogram"],
    ["sum by (colour) (capstan_records)", "by colour: none of the metrics has it"],
    ["capstan_records{job=\"a\"}", "capstan_records has no label job"]
  ])("a mistake is found: %s", (expression, found) => {
    assert.include(wrongWith(expression), found)
  })
})

describe("GET /metrics", () => {
  it.live("has what this process counted, as Prometheus reads it, for who may see all queues", () =>
    Effect.gen(function*() {
      const { ask, context, request } = yield* serve()
      yield* Effect.provide(
        Effect.gen(function*() {
          const { await: ended } = yield* Greet.enqueue({ name: "you" })
          yield* worked(ended)
        }),
        context
      )
      // The gauges are the store's: an own layer keeps them.
      yield* Layer.build(Layer.provide(Jobs.layerMetrics({ interval: "10 millis" }), Layer.succeedContext(context)))
      const { body, headers, status } = yield* Effect.repeat(ask("viewer", "/metrics"), {
        schedule: Schedule.spaced("10 millis"),
        until: ({ body }) => /capstan_records\{/.test(body)
      })
      assert.strictEqual(status, 200)
      assert.match(headers.get("content-type")!, /^text\/plain; version=0\.0\.4/)
      assert.match(body, /^# TYPE capstan_attempts counter$/m)
      assert.match(body, /^capstan_attempts\{[^}]*decision="completed"[^}]*\} \d+$/m)
      assert.match(body, /^capstan_wait_seconds_bucket\{[^}]*queue="mail"[^}]*le="\+Inf"[^}]*\} \d+$/m)
      const names = [...body.matchAll(/^# TYPE (\S+) (\S+)$/gm)].filter(([, name]) =>
        /^(capstan|messaging)_/.test(name!)
      )
      for (const [, name, type] of names) assert.strictEqual(documented.get(name!)?.type, type, name)
      assert.strictEqual((yield* request("/metrics")).status, 401)
      assert.strictEqual((yield* ask("mailAdmin", "/metrics")).status, 403)
    }).pipe(Effect.scoped))
})
