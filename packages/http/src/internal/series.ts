/**
 * The last half hour of one process: a sample every five seconds, kept for whoever asks, however many they are; and the hours
 * before it by the minute. It begins with the first who asks and ends an hour after the last, where it is not kept from the start
 * on.
 */
import { Jobs, type JobStore } from "capstan"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as RcRef from "effect/RcRef"
import * as Schedule from "effect/Schedule"
import type * as Insight from "../ApiInsight.ts"
import { Histogram, mergedOf } from "./histogram.ts"
import { History } from "./history.ts"
import { Hubs } from "./hubs.ts"
import type { Tally } from "./tally.ts"
import { present } from "./view.ts"

const every = 5000
const kept = 360
const linger = "1 hour"

/** Figures of every queue at one instant: who asks sees some of them. */
export interface Sample {
  readonly at: number
  readonly queues: ReadonlyArray<JobStore.QueueStats>
  readonly heard: ReturnType<Tally["take"]>
  /** Milliseconds in which the store answered. */
  readonly took: number
}

type Samples = ReadonlyArray<Sample>

export class Series
  extends Context.Service<Series, RcRef.RcRef<{ readonly samples: Samples; readonly history: History }>>()(
    "@capstan/http/internal/Series"
  )
{}

const sampled = (jobs: Jobs.Shape, hubs: Hubs["Service"]) =>
  Effect.gen(function*() {
    const samples: Array<Sample> = []
    const history = new History()
    const tally = yield* (yield* RcRef.get(hubs)).tally
    const take = Effect.map(Effect.timed(jobs.stats), ([took, { now, queues }]) => {
      const sample: Sample = { at: now, queues, heard: tally.take(), took: Duration.toMillis(took) }
      samples.push(sample)
      if (samples.length > kept) samples.shift()
      history.add(sample)
    })
    // A store that is away leaves a gap, and what was told meanwhile is in the sample after it.
    yield* Effect.ignore(take)
    yield* Effect.forkScoped(Effect.repeat(Effect.ignore(take), Schedule.spaced(every)))
    return { samples, history }
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

/** So many samples are the minute that a percentile is of. */
const minute = Math.round(60_000 / every)

/** The samples, of the queues that may be seen. */
export const seriesOf = (samples: Samples, isSeen: (queue: string) => boolean): typeof Insight.Series.Type => {
  const told = samples.map(({ heard }) => [...heard.told].flatMap(([queue, of]) => isSeen(queue) ? [of] : []))
  const waits = told.map((of) => mergedOf(of.map(({ waits }) => waits)))
  const runs = told.map((of) => mergedOf(of.map(({ runs }) => runs)))
  const last = samples.length - minute
  /** Of the half hour before the last minute: not of less than two minutes, which would say little. */
  const before = (times: ReadonlyArray<Histogram>) =>
    last < 2 * minute ? undefined : mergedOf(times.slice(0, last)).quantile(0.95)
  return present({
    every,
    waitBefore: before(waits),
    runBefore: before(runs),
    samples: samples.map(({ at, heard, queues }, i) => {
      const seen = queues.filter(({ queue }) => isSeen(queue))
      const sum = (of: (queue: JobStore.QueueStats) => number) => seen.reduce((total, queue) => total + of(queue), 0)
      const ages = seen.flatMap(({ oldestReadyAge }) => oldestReadyAge === undefined ? [] : [oldestReadyAge])
      const lately = (times: ReadonlyArray<Histogram>) => mergedOf(times.slice(Math.max(0, i + 1 - minute), i + 1))
      return present({
        at,
        ready: sum(({ counts }) => counts.ready),
        running: sum(({ counts }) => counts.running),
        waiting: sum(({ counts }) => counts.blocked + counts.scheduled),
        dead: sum(({ counts }) => counts.dead),
        oldestReadyAge: ages.length === 0 ? undefined : Math.max(...ages),
        completed: told[i]!.reduce((total, { completed }) => total + completed, 0),
        failed: told[i]!.reduce((total, { failed }) => total + failed, 0),
        wait: lately(waits).quantile(0.95),
        run: lately(runs).quantile(0.95),
        isAtLeast: heard.isAtLeast
      })
    })
  })
}
