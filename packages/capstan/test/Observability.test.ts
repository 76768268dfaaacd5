import * as OtelTracer from "@effect/opentelemetry/OtelTracer"
import { assert, describe, it } from "@effect/vitest"
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor
} from "@opentelemetry/sdk-trace-base"
import { Job, JobGroup, JobStore, JobWorker, Lifecycle } from "capstan"
import { Effect, Layer, Metric, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { readFileSync } from "node:fs"
import { metrics } from "../src/internal/worker/telemetry.ts"
import { recordOf, settle, withWorker } from "./harness.ts"

const doc = (name: string) => readFileSync(new URL(`../../../docs/${name}.md`, import.meta.url), "utf8")

/** The first cells of the rows of the table under a heading line, without their backticks. */
const firstCells = (text: string, header: string): ReadonlyArray<string> => {
  const lines = text.split("\n")
  const start = lines.findIndex((line) => line.startsWith(`| ${header} |`))
  const rows = lines.slice(start + 2)
  return rows.slice(0, rows.findIndex((line) => !line.startsWith("|"))).map((line) =>
    line.split("|")[1]!.replaceAll("`", "").trim()
  )
}

class Child extends Job.make("Child", { payload: Schema.Number, queue: "children", trace: "child" }) {}
class Parent
  extends Job.make("Parent", { queue: "parents", retry: Schedule.spaced("1 second"), error: Schema.String })
{}
class Family extends JobGroup.make(Parent, Child) {}

const traced = (attempts: number) => {
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  const layer = Layer.provide(
    OtelTracer.layerWithoutOtelTracer,
    Layer.succeed(OtelTracer.OtelTracer, provider.getTracer("test"))
  )
  let runs = 0
  const handlers = Family.toLayer({
    Parent: () => ++runs < attempts ? Effect.fail("again") : Effect.asVoid(Child.enqueue(1)),
    Child: () => Effect.void
  })
  return { exporter, layer: Layer.provideMerge(withWorker(Family, handlers), layer) }
}

const named = (spans: ReadonlyArray<ReadableSpan>, name: string) => spans.filter((span) => span.name === name)

describe("spans", () => {
  it.effect("an enqueue is a child of the request's span, and each attempt a new trace that is linked to it", () => {
    const { exporter, layer } = traced(2)
    return Effect.gen(function*() {
      const { id } = yield* Effect.withSpan(Parent.enqueue(), "http.server GET")
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* settle
      const spans = exporter.getFinishedSpans()
      const [request] = named(spans, "http.server GET")
      const [send] = named(spans, "send parents")
      const attempts = named(spans, "process parents")
      assert.strictEqual(send!.parentSpanContext?.spanId, request!.spanContext().spanId)
      assert.strictEqual(attempts.length, 2)
      for (const attempt of attempts) {
        assert.strictEqual(attempt.parentSpanContext, undefined)
        assert.strictEqual(attempt.links[0]?.context.spanId, send!.spanContext().spanId)
      }
      assert.deepStrictEqual(attempts.map(({ attributes }) => attributes["capstan.attempt"]), [1, 2])
      const record = yield* recordOf(id)
      assert.deepStrictEqual(
        record.attempts.map(({ trace }) => trace?.split("-")[2]),
        attempts.map((span) => span.spanContext().spanId)
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("a child job is sent from its parent's attempt, and is part of its trace when it asks to be", () => {
    const { exporter, layer } = traced(1)
    return Effect.gen(function*() {
      yield* Parent.enqueue()
      yield* settle
      const spans = exporter.getFinishedSpans()
      const [parent] = named(spans, "process parents")
      const [send] = named(spans, "send children")
      const [child] = named(spans, "process children")
      assert.strictEqual(send!.parentSpanContext?.spanId, parent!.spanContext().spanId)
      assert.strictEqual(child!.parentSpanContext?.spanId, send!.spanContext().spanId)
      assert.strictEqual(child!.spanContext().traceId, parent!.spanContext().traceId)
    }).pipe(Effect.provide(layer))
  })

  it.effect("idle loops open no spans, and the attributes are those of the table", () => {
    const { exporter, layer } = traced(1)
    return Effect.gen(function*() {
      yield* Parent.enqueue()
      yield* Child.enqueueMany([1, 2])
      yield* settle
      yield* TestClock.adjust("1 hour")
      const spans = exporter.getFinishedSpans()
      const names = new Set(spans.map(({ name }) => name))
      assert.deepStrictEqual([...names].toSorted(), [
        "process children",
        "process parents",
        "send children",
        "send parents"
      ])
      const attributes = new Set(spans.flatMap((span) => Object.keys(span.attributes)))
      assert.deepStrictEqual([...attributes].toSorted(), firstCells(doc("observability"), "attribute").toSorted())
    }).pipe(Effect.provide(layer))
  })
})

describe("metrics", () => {
  it.effect("count attempts by outcome and time them", () => {
    class Task extends Job.make("Counted") {}
    const layer = JobWorker.layer(JobGroup.make(Task), { shutdownGrace: 0 }).pipe(
      Layer.provide(Task.toLayer(() => Effect.void)),
      Layer.provideMerge(JobStore.layerMemory())
    )
    return Effect.gen(function*() {
      yield* Task.enqueueMany([undefined, undefined, undefined])
      yield* settle
      const counter = metrics.attempts({ queue: "default", job: "Counted", outcome: "Complete" })
      assert.strictEqual((yield* Metric.value(counter)).count, 3)
      const histogram = metrics.ran({ queue: "default", job: "Counted" })
      assert.strictEqual((yield* Metric.value(histogram)).count, 3)
    }).pipe(Effect.provide(layer), Effect.provideService(Metric.MetricRegistry, new Map()))
  })

  it("are those of the table in the docs", () => {
    assert.deepStrictEqual(
      firstCells(doc("observability"), "metric").toSorted(),
      Object.values(metrics).map((series) => series({}).id).toSorted()
    )
  })
})

describe("the docs", () => {
  it("show the transition table as it is", () => {
    const rows = Object.entries(Lifecycle.table).map(([event, { attempt, fence, from, to }]) =>
      `| \`${event}\` | ${from.join(", ")} | ${to.join(", ")} | ${fence === 1 ? "+1" : ""} | ${
        attempt === 0 ? "" : attempt === 1 ? "+1" : "-1"
      } |`
    )
    const text = doc("writing-a-store")
    const shown = text.split("<!-- lifecycle -->\n")[1]!.split("<!-- /lifecycle -->")[0]!.trim().split("\n").slice(2)
    assert.deepStrictEqual(shown, rows)
  })
})
