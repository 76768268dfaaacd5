/**
 * Spans by OpenTelemetry's messaging conventions, and the W3C trace context that a record carries.
 *
 * A span costs about 4 us even when nobody listens, ten times what an enqueue costs in memory, so one is opened only when
 * a tracer was provided. Without one, a span around the call still hands its context on.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Tracer from "effect/Tracer"

/** Whether somebody provided a tracer. */
export const isTraced = (fiber: Fiber.Fiber<unknown, unknown>): boolean => fiber.cache.tracer !== undefined

/** The span around an enqueue. */
export const send = <A extends ReadonlyArray<{ readonly id: string }>, E, R>(
  job: { readonly tag: string; readonly queue: string },
  count: number,
  body: (fiber: Fiber.Fiber<unknown, unknown>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.useSpan(
    `send ${job.queue}`,
    {
      kind: "producer",
      attributes: {
        "messaging.system.name": "capstan",
        "messaging.operation.type": "send",
        "messaging.operation.name": "enqueue",
        "messaging.destination.name": job.queue,
        "capstan.job": job.tag,
        ...(count > 1 ? { "messaging.batch.message_count": count } : undefined)
      }
    },
    (span) =>
      Effect.withFiber((inner: Fiber.Fiber<unknown, unknown>) =>
        Effect.tap(body(inner), ([first]) =>
          Effect.sync(() => {
            if (count === 1 && first !== undefined) span.attribute("messaging.message.id", first.id)
          }))
      ).pipe(Effect.provideService(Tracer.ParentSpan, span))
  )

/** The trace context of the span around the fiber, as headers. */
export const traceHeaders = (
  fiber: Fiber.Fiber<unknown, unknown>
): { readonly traceparent: string } | undefined => {
  const { span } = fiber.cache
  return span === undefined ? undefined : { traceparent: traceparent(span) }
}

/** W3C trace context, version 00. Ids that are not of its length, such as those of effect's native tracer, are padded. */
export const traceparent = (span: Tracer.AnySpan): string =>
  `00-${span.traceId.padStart(32, "0")}-${span.spanId.padStart(16, "0")}-${span.sampled ? "01" : "00"}`

/** The span that a record's headers name. */
export const remoteSpan = (headers: Readonly<Record<string, string>>): Tracer.ExternalSpan | undefined => {
  const match = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(headers["traceparent"] ?? "")
  if (match === null) return undefined
  return Tracer.externalSpan({ traceId: match[1]!, spanId: match[2]!, sampled: (parseInt(match[3]!, 16) & 1) === 1 })
}
