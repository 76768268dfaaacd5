/**
 * The store's figures for everybody who looks: however many pages are open, one reading in so many milliseconds. What is
 * changed through this API is in the next reading.
 */
import { type JobError, Jobs, type JobStore } from "capstan"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/** So little that nobody waits for it, and much against a page that is told of each change. */
const shared = "500 millis"

export class Figures extends Context.Service<Figures, {
  readonly stats: Effect.Effect<JobStore.Stats, JobError.JobStoreError>
  readonly changed: Effect.Effect<void>
}>()("@capstan/http/internal/Figures") {}

export const layer: Layer.Layer<Figures, never, Jobs.Jobs> = Layer.effect(
  Figures,
  Effect.flatMap(Jobs.Jobs, (jobs) =>
    Effect.map(
      Effect.cachedInvalidateWithTTL(jobs.stats, shared),
      ([stats, changed]) => ({ stats, changed })
    ))
)
