import * as OtelTracer from "@effect/opentelemetry/OtelTracer"
import { assert, describe, it } from "@effect/vitest"
import {
  AlwaysOnSampler,
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  type Sampler,
  SamplingDecision,
  SimpleSpanProcessor
} from "@opentelemetry/sdk-trace-base"
import {
  Job,
  JobBatch,
  JobContext,
  JobError,
  JobGroup,
  Jobs,
  JobStore,
  JobWorker,
  Lifecycle,
  Step,
  Waitpoint
} from "capstan"
import { Cause, Effect, Layer, Metric, Redacted, Schedule, Schema, Tracer } from "effect"
import { TestClock } from "effect/testing"
import { readFileSync } from "node:fs"
import { inspect } from "node:util"
import { metrics } from "../src/internal/metrics.ts"
import { recordOf, settle, withOnly } from "./harness.ts"

const doc = (name: string) => readFileSync(new URL(`../../../docs/${name}.md`, import.meta.url), "utf8")

/** The rows of the table under a heading line: their cells without backticks. */
const rowsOf = (text: string, header: string): ReadonlyArray<ReadonlyArray<string>> => {
  const lines = text.split("\n")
  const start = lines.findIndex((line) => line.startsWith(`| ${header} |`))
  const rows = lines.slice(start + 2)
  return rows.slice(0, rows.findIndex((line) => !line.startsWith("|"))).map((line) =>
    line.split("|").slice(1, -1).map((cell) => cell.replaceAll("`", "").trim())
  )
}

const sorted = <A>(rows: Iterable<ReadonlyArray<A>>) => [...rows].toSorted((a, b) => String(a) < String(b) ? -1 : 1)

class Child extends Job.make("Child", { payload: Schema.Number, queue: "children", trace: "child" }) {}
class Parent
  extends Job.make("Parent", { queue: "parents", retry: Schedule.spaced("1 second"), error: Schema.String })
{}
class Approval extends Waitpoint.make("Approval") {}
class Family extends JobGroup.make(Parent, Child) {}

const traced = (
  attempts: number,
  change: (store: JobStore.Shape) => Partial<JobStore.Shape> = () => ({}),
  sampler: Sampler = new AlwaysOnSampler()
) => {
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ sampler, spanProcessors: [new SimpleSpanProcessor(exporter)] })
  const layer = Layer.provide(
    OtelTracer.layerWithoutOtelTracer,
    Layer.succeed(OtelTracer.OtelTracer, provider.getTracer("test"))
  )
  let runs = 0
  const handlers = Family.toLayer({
    Parent: () => ++runs < attempts ? Effect.fail("again") : Effect.asVoid(Child.enqueue(1)),
    Child: () => Step.run("once", Effect.void)
  })
  const store = Layer.effect(
    JobStore.JobStore,
    Effect.map(JobStore.JobStore, (store) => ({ ...store, ...change(store) }))
  ).pipe(Layer.provide(JobStore.layerMemory()))
  const withoutTracer = Layer.provideMerge(withOnly(Family, handlers), Layer.provideMerge(Jobs.layer, store))
  return { exporter, withoutTracer, layer: Layer.provideMerge(withoutTracer, layer) }
}

/** OpenTelemetry's numbers. */
const kindOf = ["internal", "server", "client", "producer", "consumer"]
const failed = 2

const named = (spans: ReadonlyArray<ReadableSpan>, name: string) => spans.filter((span) => span.name === name)

class Bulk extends JobBatch.make("Bulk", {
  payload: Schema.Number,
  queue: "bulk",
  batch: { size: 3, within: "1 second" }
}) {}

const BulkLive = Bulk.toLayer((members) => JobBatch.each(members, (n) => n === 2 ? Effect.die("no") : Effect.void))

describe("spans", () => {
  it.effect("a batch is one trace, linked to the enqueue of each record, and each has a settlement in it", () => {
    const { exporter, layer } = traced(1)
    return Effect.gen(function*() {
      const handles = yield* Effect.forEach([1, 2, 3], (n) => Effect.withSpan(Bulk.enqueue(n), `request ${n}`))
      yield* Layer.build(withOnly(JobGroup.make(Bulk), BulkLive))
      yield* settle
      const spans = exporter.getFinishedSpans()
      const sends = named(spans, "send bulk").map((span) => span.spanContext().spanId)
      const [batch, ...others] = named(spans, "process bulk")
      assert.deepStrictEqual(others, [])
      assert.deepStrictEqual(batch!.links.map(({ context }) => context.spanId), sends)
      assert.deepStrictEqual(
        batch!.links.map(({ attributes }) => attributes?.["messaging.message.id"]),
        handles.map(({ id }) => id)
      )
      assert.isUndefined(batch!.parentSpanContext)
      assert.strictEqual(batch!.attributes["messaging.batch.message_count"], 3)
      const settled = named(spans, "settle bulk")
      assert.deepStrictEqual(settled.map(({ attributes }) => attributes["capstan.decision"]), [
        "completed",
        "retried",
        "completed"
      ])
      for (const span of settled) assert.strictEqual(span.parentSpanContext?.spanId, batch!.spanContext().spanId)
      const { count } = yield* Metric.value(metrics.batchSize({ queue: "bulk", job: "Bulk" }))
      assert.strictEqual(Number(count), 1)
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

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

  it.effect("a step that runs is a child of its attempt, and one that is done opens none; all are counted", () => {
    class Stepped
      extends Job.make("Stepped", { queue: "steps", error: Schema.String, retry: Schedule.spaced("1 second") })
    {}
    const { exporter, layer } = traced(1)
    let runs = 0
    const handler = Stepped.toLayer(() =>
      Effect.gen(function*() {
        yield* Step.run("first", Effect.sleep("2 seconds"))
        if (++runs === 1) return yield* Step.run("second", Effect.fail("again"))
        yield* Effect.ignore(Approval.awaitFor("1 minute"))
      })
    )
    return Effect.gen(function*() {
      yield* Layer.build(withOnly(JobGroup.make(Stepped), handler))
      const { id } = yield* Stepped.enqueue()
      yield* settle
      yield* TestClock.adjust("2 seconds")
      yield* TestClock.adjust("1 second")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* recordOf(id)).state, "completed")
      const spans = exporter.getFinishedSpans()
      const [process] = named(spans, "process steps")
      const steps = named(spans, "step steps")
      assert.deepStrictEqual(steps.map(({ attributes }) => attributes["capstan.step"]), ["first", "second"])
      assert.deepStrictEqual(
        new Set(steps.map(({ parentSpanContext }) => parentSpanContext?.spanId)),
        new Set([process!.spanContext().spanId])
      )
      assert.deepStrictEqual(steps.map(({ status }) => status.code === failed), [false, true])
      const { count, max } = yield* Metric.value(metrics.stepTime({ job: "Stepped", outcome: "done" }))
      assert.deepStrictEqual([count, max], [1, 2])
      const counted = [
        metrics.waits({ job: "Stepped", kind: "waitpoint" }),
        metrics.waitTimeouts({ job: "Stepped", kind: "waitpoint" })
      ]
      for (const metric of counted) assert.strictEqual((yield* Metric.value(metric)).count, 1)
    }).pipe(Effect.scoped, Effect.provide(layer), Effect.provideService(Metric.MetricRegistry, new Map()))
  })

  describe("of an attempt that pauses", () => {
    const card = "4242 4242"
    class Asked
      extends Job.make("Asked", { payload: { card: Schema.RedactedFromValue(Schema.String) }, queue: "asked" })
    {}
    const ask = Step.invoke("ask", Asked, { card: Redacted.make(card) })
    const context = JobContext.JobContext
    const pauses = {
      sleep: Step.sleep("night", "8 hours"),
      invoke: ask,
      waitpoint: Approval.await,
      both: Effect.all([ask, Approval.await], { concurrency: "unbounded" }),
      snooze: Effect.flatMap(context, ({ snooze }) => snooze("1 hour")),
      limited: Effect.flatMap(context, ({ limited }) => limited("queue", "1 hour"))
    }
    const names = Object.keys(pauses) as ReadonlyArray<keyof typeof pauses>
    class Pausing extends Job.make("Pausing", { payload: Schema.Literals(names), queue: "pausing" }) {}
    class Together extends JobBatch.make("Together", { queue: "together", batch: { size: 2, within: "1 second" } }) {}

    const run = <A>(use: (spans: ReadonlyArray<ReadableSpan>, causes: ReadonlyArray<Cause.Cause<unknown>>) => A) => {
      const { exporter, layer } = traced(1)
      const causes: Array<Cause.Cause<unknown>> = []
      const handlers = Layer.merge(
        Pausing.toLayer((name) =>
          Effect.suspend((): Effect.Effect<unknown, unknown, Effect.Services<(typeof pauses)[typeof name]>> =>
            pauses[name]
          ).pipe(
            Effect.withSpan("of the handler"),
            Effect.tapCause((cause) => Effect.sync(() => causes.push(cause))),
            Effect.orDie,
            Effect.asVoid
          )
        ),
        Together.toLayer(([first]) => Effect.andThen(first!.context.snooze("1 hour"), Effect.succeed([])))
      )
      return Effect.gen(function*() {
        yield* Layer.build(withOnly(JobGroup.make(Pausing, Together), handlers))
        for (const name of names) {
          yield* Pausing.enqueue(name)
          yield* settle
        }
        yield* Together.enqueueMany([undefined, undefined])
        yield* settle
        use(exporter.getFinishedSpans(), causes)
      }).pipe(Effect.scoped, Effect.provide(layer))
    }

    it.effect("none has failed, nor that of a batch", () =>
      run((spans) => {
        const attempts = [...named(spans, "process pausing"), ...named(spans, "process together")]
        assert.deepStrictEqual(
          attempts.map(({ events, status }) => [status.code === failed, events.length]),
          [...names, "together"].map(() => [false, 0])
        )
        const settled = [...named(spans, "settle pausing"), ...named(spans, "settle together")]
        assert.deepStrictEqual(settled.map(({ attributes }) => attributes["capstan.decision"]), [
          "snoozed",
          "waiting",
          "waiting",
          "waiting",
          "snoozed",
          "snoozed",
          "snoozed",
          "snoozed"
        ])
      }))

    it.effect("no text has the payload of a child, nor has any of what unwinds the handler", () =>
      run((spans, causes) => {
        const ofHandler = named(spans, "of the handler")
        assert.strictEqual(ofHandler.length, names.length)
        const texts = [
          ...spans.map(({ attributes, events, status }) => JSON.stringify([attributes, events, status])),
          ...causes.flatMap((cause) => [Cause.pretty(cause), JSON.stringify(cause), inspect(cause, { depth: null })]),
          ...causes.map((cause) => inspect(Cause.prettyErrors(cause), { depth: null }))
        ]
        for (const text of texts) assert.notInclude(text, card)
      }))
  })

  it.effect("a settlement is a child of its attempt, and says what it decides", () => {
    const { exporter, layer } = traced(2)
    return Effect.gen(function*() {
      const { id } = yield* Parent.enqueue()
      yield* settle
      yield* TestClock.adjust("1 second")
      const spans = exporter.getFinishedSpans()
      const attempts = named(spans, "process parents")
      const settled = named(spans, "settle parents")
      assert.deepStrictEqual(attempts.map(({ status }) => status.code === failed), [true, false])
      assert.deepStrictEqual(
        settled.map(({ parentSpanContext }) => parentSpanContext?.spanId),
        attempts.map((span) => span.spanContext().spanId)
      )
      assert.deepStrictEqual(settled.map(({ attributes }) => attributes["capstan.decision"]), ["retried", "completed"])
      assert.deepStrictEqual(
        new Set(settled.map(({ attributes }) => attributes["messaging.message.id"])),
        new Set([id])
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("a settlement that the store does not answer, does not reach, or refuses, has failed", () => {
    const fault = { answers: ["away", "does not reach", "refuses"] }
    const { exporter, layer } = traced(1, (store) => ({
      exchange: (request) => {
        if (request.settlements.length === 0) return store.exchange(request)
        switch (fault.answers.shift()) {
          case "away":
            return Effect.fail(
              new JobError.JobStoreError({
                reason: new JobError.Unavailable({ operation: "exchange", detail: "test" })
              })
            )
          case "does not reach":
            return Effect.map(store.exchange({ ...request, settlements: [] }), (reply) => ({
              ...reply,
              settled: ["Unreached"]
            }))
          case "refuses":
            return Effect.map(store.exchange(request), (reply) => ({ ...reply, settled: ["LeaseLost"] }))
          default:
            return store.exchange(request)
        }
      }
    }))
    return Effect.gen(function*() {
      yield* Child.enqueue(1)
      yield* settle
      yield* TestClock.adjust("3 seconds")
      const settled = named(exporter.getFinishedSpans(), "settle children")
      assert.deepStrictEqual(settled.map(({ status }) => status.code), [failed, failed, failed])
    }).pipe(Effect.provide(layer))
  })

  it.effect("an attempt that is not sampled has no settlement", () => {
    const sampler: Sampler = {
      shouldSample: (_context, _traceId, name) => ({
        // As those that go by the parent do: what is in an attempt is sampled with it.
        decision: /^(process|step) /.test(name) ? SamplingDecision.NOT_RECORD : SamplingDecision.RECORD_AND_SAMPLED
      }),
      toString: () => "no attempts"
    }
    const { exporter, layer } = traced(1, undefined, sampler)
    return Effect.gen(function*() {
      yield* Child.enqueue(1)
      yield* settle
      assert.deepStrictEqual(exporter.getFinishedSpans().map(({ name }) => name), ["send children"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("none are opened but those of the table, none by idle loops, each of its kind with its attributes", () => {
    const { exporter, layer } = traced(2)
    return Effect.gen(function*() {
      yield* Parent.enqueue()
      yield* Child.enqueueMany([1, 2])
      yield* Layer.build(withOnly(JobGroup.make(Bulk), BulkLive))
      yield* Effect.forEach([1, 3], (n) => Bulk.enqueue(n))
      yield* settle
      yield* TestClock.adjust("1 hour")
      const spans = exporter.getFinishedSpans()
      const text = doc("observability")
      const kinds = new Map(spans.map(({ kind, name }) => [
        `${name.split(" ")[0]} {queue}`,
        kindOf[kind]!
      ]))
      assert.deepStrictEqual(
        new Set(spans.map(({ name }) => name.split(" ")[1])),
        new Set(["parents", "children", "bulk"])
      )
      assert.deepStrictEqual(sorted(kinds), sorted(rowsOf(text, "span").map(([name, kind]) => [name, kind])))
      const on = new Map<string, Set<string>>()
      for (const { attributes, name } of spans) {
        for (const attribute of Object.keys(attributes)) {
          on.set(attribute, (on.get(attribute) ?? new Set()).add(name.split(" ")[0]!))
        }
      }
      const operations = ["send", "process", "step", "settle"]
      const found = [...on].map(([attribute, names]) => [
        attribute,
        names.size === operations.length ? "all" : operations.filter((name) => names.has(name)).join(", ")
      ])
      const rows = rowsOf(text, "attribute")
      assert.deepStrictEqual(sorted(found), sorted(rows.map(([attribute, on]) => [attribute, on])))
      for (const name of ["messaging.operation.type", "messaging.operation.name"]) {
        assert.deepStrictEqual(
          new Set(spans.flatMap(({ attributes }) => attributes[name] ?? [])),
          new Set(rows.find(([attribute]) => attribute === name)![2]!.split(", ")),
          name
        )
      }
    }).pipe(Effect.scoped, Effect.provide(layer))
  })
})

describe("without a tracer", () => {
  it.effect("no span is opened: not by an enqueue, not by an attempt, not by its settlement", () => {
    const opened: Array<string> = []
    const { span } = Tracer.nativeTracer
    const spy: typeof span = (options) => {
      opened.push(options.name)
      return span.call(Tracer.nativeTracer, options)
    }
    return Effect.gen(function*() {
      yield* Effect.acquireRelease(
        Effect.sync(() => Object.assign(Tracer.nativeTracer, { span: spy })),
        () => Effect.sync(() => Object.assign(Tracer.nativeTracer, { span }))
      )
      const { id } = yield* Parent.enqueue()
      yield* Child.enqueueMany([1, 2])
      yield* settle
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* recordOf(id)).state, "completed")
      assert.deepStrictEqual(opened, [])
      // A span of the program's own is counted, so the spy would have seen them.
      yield* Effect.withSpan(Effect.void, "own")
      assert.deepStrictEqual(opened, ["own"])
    }).pipe(Effect.provide(traced(2).withoutTracer))
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
      const counter = metrics.attempts({ queue: "default", job: "Counted", decision: "completed" })
      assert.strictEqual((yield* Metric.value(counter)).count, 3)
      const histogram = metrics.ran({ queue: "default", job: "Counted" })
      assert.strictEqual((yield* Metric.value(histogram)).count, 3)
    }).pipe(Effect.provide(layer), Effect.provideService(Metric.MetricRegistry, new Map()))
  })

  it("are those of the table in the docs, of the same type, with the same attributes", () => {
    assert.deepStrictEqual(
      sorted(rowsOf(doc("observability"), "metric").map(([name, type, attributes]) => [name, type, attributes])),
      sorted(Object.values(metrics).map(({ attributes, id, type }) => [id, type, attributes.join(", ")]))
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
