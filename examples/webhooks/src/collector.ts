/**
 * An OpenTelemetry collector on loopback: keeps the spans that the exporter sends, as any collector would get them, and
 * hands everything on to another one when there is one.
 */
import { Console, Effect, Layer, Schema } from "effect"
import { HttpClient, HttpClientRequest, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"

const Attribute = Schema.Struct({
  key: Schema.String,
  value: Schema.Struct({
    stringValue: Schema.optional(Schema.String),
    intValue: Schema.optional(Schema.Union([Schema.Number, Schema.String])),
    doubleValue: Schema.optional(Schema.Number),
    boolValue: Schema.optional(Schema.Boolean)
  })
})

/** A span, as far as the tree needs it. */
export const Span = Schema.Struct({
  spanId: Schema.String,
  parentSpanId: Schema.optional(Schema.String),
  name: Schema.String,
  /** 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
  kind: Schema.Number,
  startTimeUnixNano: Schema.String,
  endTimeUnixNano: Schema.String,
  attributes: Schema.Array(Attribute),
  links: Schema.Array(Schema.Struct({ spanId: Schema.String })),
  /** 2 is an error. */
  status: Schema.Struct({ code: Schema.Number })
})

const Traces = Schema.fromJsonString(Schema.Struct({
  resourceSpans: Schema.Array(Schema.Struct({
    scopeSpans: Schema.Array(Schema.Struct({ spans: Schema.Array(Span) }))
  }))
}))
const decode = Schema.decodeUnknownEffect(Traces)

export interface Collector {
  readonly routes: Layer.Layer<never, never, HttpRouter.HttpRouter>
  /** What came so far. */
  readonly spans: ReadonlyArray<typeof Span.Type>
}

/** A collector that hands on what it gets to the base URL of another one. */
export const makeCollector = (forwardTo: string | undefined): Effect.Effect<Collector, never, HttpClient.HttpClient> =>
  Effect.map(HttpClient.HttpClient, (client) => collector(forwardTo, client))

const collector = (forwardTo: string | undefined, client: HttpClient.HttpClient): Collector => {
  const spans: Array<typeof Span.Type> = []
  let hasWarned = false

  const handOn = Effect.fnUntraced(function*(path: string, body: string) {
    if (forwardTo === undefined) return
    const request = HttpClientRequest.post(`${forwardTo.replace(/\/$/, "")}${path}`).pipe(
      HttpClientRequest.bodyText(body, "application/json")
    )
    yield* client.pipe(HttpClient.filterStatusOk).execute(request).pipe(
      Effect.catchTag("HttpClientError", (error) => {
        if (hasWarned) return Effect.void
        hasWarned = true
        return Console.error(`${forwardTo} does not take what is sent to it: ${error.message}`)
      })
    )
  })

  const take = (path: `/${string}`, keep: (body: string) => Effect.Effect<void, Schema.SchemaError>) =>
    HttpRouter.add(
      "POST",
      path,
      Effect.gen(function*() {
        const body = yield* (yield* HttpServerRequest.HttpServerRequest).text
        yield* keep(body)
        yield* handOn(path, body)
        return HttpServerResponse.jsonUnsafe({})
      }).pipe(Effect.orDie, Effect.withTracerEnabled(false))
    )

  const keepSpans = (body: string) =>
    Effect.map(decode(body), ({ resourceSpans }) => {
      for (const { scopeSpans } of resourceSpans) for (const scope of scopeSpans) spans.push(...scope.spans)
    })

  return {
    routes: Layer.mergeAll(
      take("/v1/traces", keepSpans),
      take("/v1/metrics", () => Effect.void),
      take("/v1/logs", () => Effect.void)
    ),
    spans
  }
}
