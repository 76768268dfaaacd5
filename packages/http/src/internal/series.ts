/**
 * The last half hour of one process: a sample every five seconds, kept for whoever asks, however many they are. It begins with
 * the first who does and ends an hour after the last, where it is not kept from the start on.
 */
import { Jobs, type JobStore } from "capstan"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as RcRef from "effect/RcRef"
import * as Schedule from "effect/Schedule"
import type * as Insight from "../ApiInsight.ts"
import type { Tally } from "./hub.ts"
import { Hubs } from "./hubs.ts"
import { present } from "./view.ts"

const every = 5000
const kept = 360
const linger = "1 hour"

/** Figures of every queue at one instant: who asks sees some of them. */
interface Sample {
  readonly at: number
  readonly queues: ReadonlyArray<JobStore.QueueStats>
  readonly told: ReturnType<Tally["take"]>
}

type Samples = ReadonlyArray<Sample>

export class Series extends Context.Service<Series, RcRef.RcRef<{ readonly samples: Samples }>>()(
  "@capstan/http/internal/Series"
) {}

const sampled = (jobs: Jobs.Shape, hubs: Hubs["Service"]) =>
  Effect.gen(function*() {
    const samples: Array<Sample> = []
    const tally = yield* (yield* RcRef.get(hubs)).tally
    const take = Effect.map(jobs.stats, ({ now, queues }) => {
      samples.push({ at: now, queues, told: tally.take() })
      if (samples.length > kept) samples.shift()
    })
    // A store that is away leaves a gap, and what was told meanwhile is in the sample after it.
    yield* Effect.ignore(take)
    yield* Effect.forkScoped(Effect.repeat(Effect.ignore(take), Schedule.spaced(every)))
    return { samples }
  })

export const layer = (isWatching: boolean): Layer.Layer<Series, never, Jobs.Jobs | Hubs> =>
  Layer.effect(
    Series,
    Effect.gen(function*() {
      const jobs = yield* Jobs.Jobs
      const hubs = yield* Hubs
      const series = yield* RcRef.make({ acquire: sampled(jobs, hubs), idleTimeToLive: linger })
      if (isWatching) yield* Effect.forkScoped(Effect.andThen(RcRef.get(series), Effect.never))
      return series
    })
  )

/** The samples, of the queues that may be seen. */
export const seriesOf = (samples: Samples, isSeen: (queue: string) => boolean): typeof Insight.Series.Type => ({
  every,
  samples: samples.map(({ at, queues, told }) => {
    const seen = queues.filter(({ queue }) => isSeen(queue))
    const sum = (of: (queue: JobStore.QueueStats) => number) => seen.reduce((total, queue) => total + of(queue), 0)
    const ages = seen.flatMap(({ oldestReadyAge }) => oldestReadyAge === undefined ? [] : [oldestReadyAge])
    let completed = 0
    let failed = 0
    for (const [queue, ended] of told.ended) {
      if (!isSeen(queue)) continue
      completed += ended.completed
      failed += ended.failed
    }
    return present({
      at,
      ready: sum(({ counts }) => counts.ready),
      running: sum(({ counts }) => counts.running),
      waiting: sum(({ counts }) => counts.blocked + counts.scheduled),
      dead: sum(({ counts }) => counts.dead),
      oldestReadyAge: ages.length === 0 ? undefined : Math.max(...ages),
      completed,
      failed,
      isAtLeast: told.isAtLeast
    })
  })
})
