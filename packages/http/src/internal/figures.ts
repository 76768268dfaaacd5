/**
 * What pages read again and again, for everybody who looks: however many pages are open, one reading in so many milliseconds.
 * What is changed through this API is in the next reading.
 */
import { type JobError, Jobs, JobSchedules, type JobStore } from "capstan"
import * as Cache from "effect/Cache"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"

/** So little that nobody waits for it, and much against a page that is told of each change. */
const shared = "500 millis"
/** Of what pages ask for every few seconds. */
const sharedSettings = "2 seconds"

/** Keys of one limit that are shown. */
const mostKeys = 500

type Read<A> = Effect.Effect<A, JobError.JobStoreError>

export class Figures extends Context.Service<Figures, {
  readonly stats: Read<JobStore.Stats>
  readonly limits: Read<ReadonlyArray<Jobs.Limit>>
  /** The first of a limit's keys, and whether there are more. */
  readonly keys: (
    limit: string
  ) => Read<{ readonly keys: ReadonlyArray<Jobs.LimitedKey>; readonly isCut: boolean }>
  /** The page of schedules after a name. */
  readonly schedules: (after: string | undefined) => Read<ReadonlyArray<JobSchedules.Schedule>>
  readonly changed: Effect.Effect<void>
}>()("@capstan/http/internal/Figures") {}

/** A store that was away is asked again by the next who looks. */
const kept = {
  capacity: 64,
  timeToLive: <A, E>(exit: Exit.Exit<A, E>) => Exit.isSuccess(exit) ? sharedSettings : 0
} as const

export const layer: Layer.Layer<Figures, never, Jobs.Jobs | JobSchedules.JobSchedules> = Layer.effect(
  Figures,
  Effect.gen(function*() {
    const jobs = yield* Jobs.Jobs
    const schedules = yield* JobSchedules.JobSchedules
    const [stats, statsChanged] = yield* Effect.cachedInvalidateWithTTL(jobs.stats, shared)
    const [limits, limitsChanged] = yield* Effect.cachedInvalidateWithTTL(jobs.limits, sharedSettings)
    const keysOf = yield* Cache.makeWith(
      (limit: string) =>
        Effect.map(Stream.runCollect(Stream.take(jobs.keys(limit), mostKeys + 1)), (found) => ({
          keys: found.slice(0, mostKeys),
          isCut: found.length > mostKeys
        })),
      kept
    )
    const schedulesAfter = yield* Cache.makeWith((after: string) => schedules.list(after === "" ? {} : { after }), kept)
    return {
      stats,
      limits,
      keys: (limit) => Cache.get(keysOf, limit),
      schedules: (after = "") => Cache.get(schedulesAfter, after),
      changed: Effect.all([
        statsChanged,
        limitsChanged,
        Cache.invalidateAll(keysOf),
        Cache.invalidateAll(schedulesAfter)
      ], { discard: true })
    }
  })
)
