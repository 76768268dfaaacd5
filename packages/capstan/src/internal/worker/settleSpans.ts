/**
 * The spans of settlements: a child of each traced attempt's span, as long as the exchange that carries it takes.
 *
 * One span for a whole batch, linked to its attempts, was rejected: it would be part of no record's trace, sampled apart
 * from it, and exporters drop links beyond 128.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import { JobStoreError, LeaseLost, Unavailable } from "../../JobError.ts"
import type { Decision } from "../../JobRecord.ts"
import type { AttemptRef, ExchangeReply, ExchangeRequest, Settled, Shape as Store } from "../../JobStore.ts"
import type { Attempt } from "./attempt.ts"

/** An attempt whose settlement the store has not answered yet. */
interface Unsettled {
  readonly attempt: Attempt
  readonly decision: Decision
  readonly tracer: Tracer.Tracer
  readonly parent: Tracer.AnySpan
}

export class SettleSpans {
  private readonly unsettled = new Map<string, Unsettled>()

  /** An attempt has ended, and its settlement goes out with one of the next exchanges. */
  ended(attempt: Attempt, decision: Decision): void {
    const parent = attempt.span
    if (parent?.sampled !== true) return
    const tracer: Tracer.Tracer | undefined = attempt.runnable.context.mapUnsafe.get(Tracer.TracerKey)
    if (tracer === undefined) return
    this.unsettled.set(attempt.id, { attempt, decision, tracer, parent })
  }

  around(store: Store, request: ExchangeRequest): Effect.Effect<ExchangeReply, JobStoreError> {
    if (this.unsettled.size === 0 || request.settlements.length === 0) return store.exchange(request)
    return Effect.clockWith((clock) => {
      const now = clock.currentTimeNanosUnsafe()
      const open = request.settlements.flatMap((at, i) => {
        const found = this.find(at)
        return found === undefined ? [] : [{ at, i, span: start(found, now) }]
      })
      return Effect.onExit(store.exchange(request), (exit) =>
        Effect.sync(() => {
          const now = clock.currentTimeNanosUnsafe()
          for (const { at, i, span } of open) {
            const answer = Exit.isSuccess(exit) ? exit.value.settled[i] : "Unreached"
            if (answer !== "Unreached") this.unsettled.delete(at.id)
            span.end(now, Exit.isFailure(exit) || answer === "Done" ? exit : notSettled(at, answer))
          }
        }))
    })
  }

  private find({ fence, id }: AttemptRef): Unsettled | undefined {
    const found = this.unsettled.get(id)
    return found?.attempt.fence === fence ? found : undefined
  }
}

const start = ({ attempt, decision, parent, tracer }: Unsettled, now: bigint): Tracer.Span => {
  const span = tracer.span({
    name: `settle ${attempt.queue}`,
    parent: Option.some(parent),
    annotations: Context.empty(),
    links: [],
    startTime: now,
    kind: "client",
    root: false,
    sampled: true
  })
  const attributes = {
    "messaging.system.name": "capstan",
    "messaging.operation.type": "settle",
    "messaging.operation.name": "settle",
    "messaging.destination.name": attempt.queue,
    "messaging.message.id": attempt.id,
    "capstan.job": attempt.job,
    "capstan.attempt": attempt.attempt,
    "capstan.decision": decision
  }
  for (const [name, value] of Object.entries(attributes)) span.attribute(name, value)
  return span
}

const notSettled = ({ fence, id }: AttemptRef, answer: Settled | undefined): Exit.Exit<never, JobStoreError> =>
  Exit.fail(
    new JobStoreError({
      reason: answer === "Unreached"
        ? new Unavailable({ operation: "exchange", detail: "the store did not reach where the record lies" })
        : new LeaseLost({ id, fence })
    })
  )
