import { Job, JobGroup, JobStore, JobWorker } from "capstan"
import { Context, Effect, Exit, Layer, ManagedRuntime, Schema, Scope } from "effect"
import { type MakeSystem, text } from "../system.ts"

class Work extends Job.make("Work", { payload: { n: Schema.Number, text: Schema.String } }) {}
class Group extends JobGroup.make(Work) {}

/** On any store: what differs is the layer. */
export const makeOn =
  (layerOf: (url: string) => Layer.Layer<JobStore.JobStore>): MakeSystem => async ({ millis, run, url }) => {
    const runtime = ManagedRuntime.make(layerOf(url))
    const store = await runtime.runPromise(JobStore.JobStore)
    const scope = Effect.runSync(Scope.make())
    const handlers = Group.toLayer({
      Work: ({ n }) => {
        const work = Effect.sync(() => run(n))
        return millis === 0 ? work : Effect.andThen(Effect.sleep(millis), work)
      }
    })
    const context = Context.make(JobStore.JobStore, store)
    const on = Effect.runPromiseWith(context)
    return {
      enqueue: (from, count, inFlight) =>
        on(
          inFlight === 1
            ? Effect.gen(function*() {
              for (let n = from; n < from + count; n++) yield* Work.enqueue({ n, text })
            })
            : Effect.forEach(
              Array.from({ length: count }, (_, i) => from + i),
              (n) => Work.enqueue({ n, text }),
              { concurrency: inFlight, discard: true }
            )
        ),
      enqueueBulk: (from, count) =>
        on(Effect.asVoid(Work.enqueueMany(Array.from({ length: count }, (_, i) => ({ n: from + i, text }))))),
      enqueueDue: (from, count, runAt) =>
        on(
          Effect.asVoid(Work.enqueueMany(Array.from({ length: count }, (_, i) => ({ n: from + i, text })), { runAt }))
        ),
      start: (concurrency) =>
        on(
          Effect.asVoid(
            Layer.buildWithScope(Layer.fresh(Layer.provide(JobWorker.layer(Group, { concurrency }), handlers)), scope)
          )
        ),
      canHaveTwoWorkers: true,
      close: () => on(Scope.close(scope, Exit.void)).then(() => runtime.dispose())
    }
  }

export const make = makeOn(() => JobStore.layerMemory())
