/**
 * A program with one worker on the memory store, in virtual time.
 */
import { Jobs, JobStore, JobWorker } from "capstan"
import type { Job, JobGroup } from "capstan"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"

export const withWorker = <J extends Job.Any, M, P, E, RIn>(
  group: JobGroup.JobGroup<J, M, P>,
  handlers: Layer.Layer<JobGroup.HandlersOf<J>, E, RIn>,
  options?: JobWorker.Options<J["queue"]>
) =>
  JobWorker.layer(group, { shutdownGrace: 0, ...options }).pipe(
    Layer.provide(handlers),
    Layer.provideMerge(Jobs.layer),
    Layer.provideMerge(JobStore.layerMemory())
  )

/** A worker on the store that the program has already. */
export const withOnly = <J extends Job.Any, M, P, E, RIn>(
  group: JobGroup.JobGroup<J, M, P>,
  handlers: Layer.Layer<JobGroup.HandlersOf<J>, E, RIn>,
  options?: JobWorker.Options<J["queue"]>
) => Layer.fresh(JobWorker.layer(group, { shutdownGrace: 0, ...options }).pipe(Layer.provide(handlers)))

/** Lets everything run that can run without time passing. */
export const settle: Effect.Effect<void> = TestClock.adjust(0)

export const recordOf = (id: string) =>
  Effect.flatMap(
    Jobs.Jobs,
    (jobs) =>
      Effect.flatMap(jobs.get(id), (record) =>
        record._tag === "Some" ? Effect.succeed(record.value) : Effect.die(new Error(`no record ${id}`)))
  )

/** The memory store with some of its verbs changed. */
export const storeWith = (change: (store: JobStore.Shape) => Partial<JobStore.Shape>) =>
  Layer.effect(
    JobStore.JobStore,
    Effect.map(JobStore.JobStore, (store): JobStore.Shape => ({ ...store, ...change(store) }))
  ).pipe(Layer.provide(JobStore.layerMemory()), (layer) => Layer.provideMerge(Jobs.layer, layer))
