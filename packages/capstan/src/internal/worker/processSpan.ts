/**
 * The span around the handler, of an attempt or of a batch.
 *
 * Guarantee: it has failed only where the attempt has. One that pauses unwinds its handler as a defect, and ends its span as a
 * success.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Tracer from "effect/Tracer"
import { EndSignal } from "../handler.ts"
import type { Attempt } from "./attempt.ts"

/** `own`: what an attempt and a batch say of themselves, and where their span lies in a trace. */
export const inProcessSpan = <A, E>(
  attempts: ReadonlyArray<Attempt>,
  own: Pick<Tracer.SpanOptionsNoTrace, "attributes" | "links" | "parent" | "root">,
  work: Effect.Effect<A, E>
): Effect.Effect<A, E> => {
  const { queue, tag } = attempts[0]!.claimed
  const options: Tracer.SpanOptionsNoTrace = {
    ...own,
    kind: "consumer",
    attributes: {
      "messaging.system.name": "capstan",
      "messaging.operation.type": "process",
      "messaging.operation.name": "process",
      "messaging.destination.name": queue,
      "capstan.job": tag,
      ...own.attributes
    }
  }
  // What the span's own exit must not be is carried out of it as a value.
  return Effect.flatten(Effect.useSpan(`process ${queue}`, options, (span) => {
    for (const attempt of attempts) attempt.span = span
    return Effect.matchCauseEffect(Effect.provideService(work, Tracer.ParentSpan, span), {
      onFailure: (cause) => isPause(cause) ? Effect.succeed(Exit.failCause(cause)) : Effect.failCause(cause),
      onSuccess: (value) => Effect.succeed(Exit.succeed(value))
    })
  }))
}

/** Steps that run beside each other are interrupted by the pause of one: that is part of it. What else failed is not. */
const isPause = ({ reasons }: Cause.Cause<unknown>): boolean => {
  const [first] = reasons
  if (first === undefined || first._tag === "Interrupt") return false
  return reasons.every((reason) =>
    reason._tag === "Interrupt" || reason._tag === "Die" && reason.defect instanceof EndSignal && reason.defect.isPause
  )
}
