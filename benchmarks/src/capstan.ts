/** Capstan as a system under measurement, on any store: what differs is the layer. */
import { Job, JobGroup, JobStore, JobWorker } from "capstan"
import { Context, Effect, Exit, Layer, ManagedRuntime, Schedule, Schema, Scope } from "effect"
import { type MakeSystem, text } from "./system.ts"

/** The store of one pass, on the database that the url names. */
export type LayerOf = (url: string) => Layer.Layer<JobStore.JobStore>

/** What the jobs of every scenario are told. */
export const payload = { n: Schema.Number, text: Schema.String }
const work = Job.make("Work", { payload })
/** The same, of which nothing is kept once it has completed. */
export const forgotten = Job.make("Work", { payload, retention: { completed: 0 } })

class Oops extends Schema.TaggedError<Oops>()("Oops", {}) {}
/** The same for a worker whose attempts may fail: what is enqueued does not say how it is retried. */
const failing = Job.make("Work", { payload, error: Oops, retry: Schedule.recurs(2) })

/** `prepare` puts into the store what stands there before the first job; `observed` is what its worker runs in. */
export const makeOn = (
  layerOf: LayerOf,
  job = work,
  prepare: Effect.Effect<void, unknown, JobStore.JobStore> = Effect.void,
  observed: Layer.Layer<never> = Layer.empty
): MakeSystem =>
async ({ fails, millis, run, url }) => {
  const Group = JobGroup.make(job)
  const Failing = JobGroup.make(failing)
  const runtime = ManagedRuntime.make(layerOf(url))
  const store = await runtime.runPromise(JobStore.JobStore)
  const scope = Effect.runSync(Scope.make())
  const handle = ({ n }: { readonly n: number }) => {
    const work = Effect.sync(() => run(n))
    return millis === 0 ? work : Effect.andThen(Effect.sleep(millis), work)
  }
  const worker = (concurrency: number) =>
    fails === undefined
      ? Layer.provide(JobWorker.layer(Group, { concurrency }), Group.toLayer({ Work: handle }))
      : Layer.provide(
        JobWorker.layer(Failing, { concurrency }),
        Failing.toLayer({ Work: (job) => fails(job.n) ? Effect.fail(new Oops()) : handle(job) })
      )
  const around = await Effect.runPromise(Layer.buildWithScope(observed, scope))
  const context = Context.add(around, JobStore.JobStore, store)
  const on = Effect.runPromiseWith(context)
  await on(prepare)
  return {
    enqueue: (from, count, inFlight) =>
      on(
        inFlight === 1
          ? Effect.gen(function*() {
            for (let n = from; n < from + count; n++) yield* job.enqueue({ n, text })
          })
          : Effect.forEach(
            Array.from({ length: count }, (_, i) => from + i),
            (n) => job.enqueue({ n, text }),
            { concurrency: inFlight, discard: true }
          )
      ),
    enqueueBulk: (from, count) =>
      on(Effect.asVoid(job.enqueueMany(Array.from({ length: count }, (_, i) => ({ n: from + i, text }))))),
    enqueueDue: (from, count, runAt) =>
      on(
        Effect.asVoid(job.enqueueMany(Array.from({ length: count }, (_, i) => ({ n: from + i, text })), { runAt }))
      ),
    start: (concurrency) => on(Effect.asVoid(Layer.buildWithScope(Layer.fresh(worker(concurrency)), scope))),
    canHaveTwoWorkers: true,
    canRetry: true,
    close: () => on(Scope.close(scope, Exit.void)).then(() => runtime.dispose())
  }
}
