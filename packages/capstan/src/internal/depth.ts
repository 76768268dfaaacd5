/**
 * The gauges of a store: how many records each queue has in each state, and how long its oldest ready one has waited.
 *
 * They are read from figures that the store maintains, at an interval: no worker does it by itself, because an idle one
 * holds no timer, and of many processes one is enough.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import { states } from "../JobRecord.ts"
import type { QueueStats, Shape } from "../JobStore.ts"
import * as Log from "./log.ts"
import { metrics } from "./metrics.ts"

/** Sets the gauges every so often, for as long as the scope lives. A store that is away leaves them as they were. */
export const sample = (store: Shape, intervalMillis: number): Effect.Effect<void, never, Scope.Scope> =>
  Effect.matchCauseEffect(store.stats, {
    onSuccess: ({ queues }) => Effect.forEach(queues, show, { discard: true }),
    onFailure: (cause) => Log.debug("the store's figures could not be read, they are asked for again", cause)
  }).pipe(
    Effect.andThen(Effect.sleep(intervalMillis)),
    Effect.forever,
    Effect.withTracerEnabled(false),
    Effect.forkScoped,
    Effect.asVoid
  )

const show = ({ counts, oldestReadyAge = 0, queue }: QueueStats): Effect.Effect<void> =>
  Effect.andThen(
    Effect.forEach(states, (state) => Metric.update(metrics.records({ queue, state }), counts[state]), {
      discard: true
    }),
    Metric.update(metrics.oldestReady({ queue }), oldestReadyAge / 1000)
  )
