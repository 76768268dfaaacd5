/** What steps tell of themselves: a span around each that runs, and their metrics. What is answered from the store opens none. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Metric from "effect/Metric"
import * as Tracer from "effect/Tracer"
import { type Attributes, metrics } from "../metrics.ts"
import { isTraced } from "../tracing.ts"
import type { StepRecord } from "./steps.ts"

type Series = Metric.Metric<number, unknown>

type Make<A> = (attributes: A) => Series

/** Made once for each job: to make one costs more than to update it. */
const made = new Map<unknown, Map<string, Series>>()

const seriesOf = <A extends Attributes>(make: Make<A>, attributes: A): Series => {
  let all = made.get(make)
  if (all === undefined) made.set(make, all = new Map())
  const key = Object.values(attributes).join(" ")
  let series = all.get(key)
  if (series === undefined) all.set(key, series = make(attributes))
  return series
}

const update = <A extends Attributes>(make: Make<A>, attributes: A, by = 1): Effect.Effect<void> =>
  Effect.withFiber((fiber) => Effect.sync(() => seriesOf(make, attributes).updateUnsafe(by, fiber.context)))

const outcomeOf = (exit: Exit.Exit<unknown, unknown>): "done" | "failed" | "interrupted" =>
  Exit.isSuccess(exit) ? "done" : Cause.hasInterruptsOnly(exit.cause) ? "interrupted" : "failed"

/** A step that runs. */
export const observed = <A, E, R>(
  { claimed, id, job }: StepRecord,
  step: string,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => {
  const timed = Clock.clockWith((clock) => {
    const from = clock.monotonicTimeNanosUnsafe()
    return Effect.onExit(effect, (exit) => {
      const seconds = Number(clock.monotonicTimeNanosUnsafe() - from) / 1e9
      return update(metrics.stepTime, { job, outcome: outcomeOf(exit) }, seconds)
    })
  })
  return Effect.withFiber((fiber) =>
    isTraced(fiber)
      ? Effect.useSpan(`step ${claimed.queue}`, {
        kind: "internal",
        attributes: {
          "messaging.destination.name": claimed.queue,
          "messaging.message.id": id,
          "capstan.job": job,
          "capstan.attempt": claimed.attempt,
          "capstan.step": step
        }
      }, (span) => Effect.provideService(timed, Tracer.ParentSpan, span))
      : timed
  )
}

const kinds = { Timer: "sleep", Child: "invoke", Signal: "waitpoint" } as const

/** A wait that ends the attempt. */
export const waits = ({ job }: StepRecord, tag: keyof typeof kinds): Effect.Effect<void> =>
  update(metrics.waits, { job, kind: kinds[tag] })

/** What was waited for did not come in time. */
export const timedOut = ({ job }: StepRecord, kind: "invoke" | "waitpoint"): Effect.Effect<void> =>
  update(metrics.waitTimeouts, { job, kind })

/** A step that is undone. */
export const undoing = <A, E, R>({ job }: StepRecord, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.onExit(effect, (exit) => update(metrics.undone, { job, outcome: outcomeOf(exit) }))
