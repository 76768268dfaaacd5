/** A collector on loopback that keeps what comes, decoded as OTLP says it: JSON over HTTP. */
import { Schema } from "effect"
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

const Attributes = Schema.Array(Schema.Struct({ key: Schema.String, value: Schema.Record(Schema.String, Schema.Json) }))

const Span = Schema.Struct({
  traceId: Schema.String.check(Schema.isPattern(/^[0-9a-f]{32}$/)),
  spanId: Schema.String.check(Schema.isPattern(/^[0-9a-f]{16}$/)),
  parentSpanId: Schema.optional(Schema.String),
  name: Schema.String,
  kind: Schema.Number,
  startTimeUnixNano: Schema.String,
  endTimeUnixNano: Schema.String,
  attributes: Attributes,
  links: Schema.Array(Schema.Struct({ traceId: Schema.String, spanId: Schema.String })),
  status: Schema.Struct({ code: Schema.Number })
})

export type Span = typeof Span.Type

const Resource = Schema.Struct({ attributes: Attributes })

const Traces = Schema.Struct({
  resourceSpans: Schema.Array(
    Schema.Struct({ resource: Resource, scopeSpans: Schema.Array(Schema.Struct({ spans: Schema.Array(Span) })) })
  )
})

/** As text or number: 64 bits are a text in JSON. */
const Count = Schema.Union([Schema.Number, Schema.String.check(Schema.isPattern(/^\d+$/))])

const point = { attributes: Attributes, startTimeUnixNano: Schema.String, timeUnixNano: Schema.String }

const NumberPoint = Schema.Union([
  Schema.Struct({ ...point, asDouble: Schema.Number }),
  Schema.Struct({ ...point, asInt: Count })
])

const HistogramPoint = Schema.Struct({
  ...point,
  count: Count,
  sum: Schema.Number,
  bucketCounts: Schema.Array(Count),
  explicitBounds: Schema.Array(Schema.Number)
})

const Metric = Schema.Union([
  Schema.Struct({
    name: Schema.String,
    sum: Schema.Struct({
      aggregationTemporality: Schema.Literals([1, 2]),
      isMonotonic: Schema.Boolean,
      dataPoints: Schema.Array(NumberPoint)
    })
  }),
  Schema.Struct({ name: Schema.String, gauge: Schema.Struct({ dataPoints: Schema.Array(NumberPoint) }) }),
  Schema.Struct({
    name: Schema.String,
    histogram: Schema.Struct({
      aggregationTemporality: Schema.Literals([1, 2]),
      dataPoints: Schema.Array(HistogramPoint)
    })
  })
])

export type Metric = typeof Metric.Type

const Metrics = Schema.Struct({
  resourceMetrics: Schema.Array(Schema.Struct({
    resource: Resource,
    scopeMetrics: Schema.Array(Schema.Struct({ metrics: Schema.Array(Metric) }))
  }))
})

export interface Collector extends AsyncDisposable {
  readonly url: string
  readonly spans: ReadonlyArray<Span>
  /** Each as it came last. */
  readonly metrics: ReadonlyMap<string, Metric>
  /** The services that sent it. */
  readonly services: ReadonlySet<string>
  /** What did not decode: none is expected. */
  readonly rejects: ReadonlyArray<string>
}

export const startCollector = async (): Promise<Collector> => {
  const spans: Array<Span> = []
  const metrics = new Map<string, Metric>()
  const services = new Set<string>()
  const from = ({ attributes }: typeof Resource.Type) => {
    for (const { key, value } of attributes) if (key === "service.name") services.add(String(value["stringValue"]))
  }
  const rejects: Array<string> = []
  const take = (path: string, body: unknown) => {
    if (path === "/v1/traces") {
      const { resourceSpans } = Schema.decodeUnknownSync(Traces)(body)
      for (const { resource, scopeSpans } of resourceSpans) {
        from(resource)
        for (const scope of scopeSpans) spans.push(...scope.spans)
      }
    } else if (path === "/v1/metrics") {
      const { resourceMetrics } = Schema.decodeUnknownSync(Metrics)(body)
      for (const { resource, scopeMetrics } of resourceMetrics) {
        from(resource)
        for (const scope of scopeMetrics) for (const metric of scope.metrics) metrics.set(metric.name, metric)
      }
    }
  }
  const server = createServer((request, response) => {
    let text = ""
    request.setEncoding("utf8").on("data", (part: string) => text += part).on("end", () => {
      try {
        take(request.url!, JSON.parse(text))
      } catch (error) {
        rejects.push(`${request.url}: ${String(error).slice(0, 500)}`)
      }
      response.end("{}")
    })
  })
  await once(server.listen(0, "127.0.0.1"), "listening")
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    metrics,
    services,
    rejects,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
    }
  }
}
