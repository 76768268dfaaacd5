/** Capstan as its README gives it: history, fencing, metrics and retention on. */
import { PgJobStore } from "@capstan/pg"
import { PgClient } from "@effect/sql-pg"
import { Job, JobGroup, JobWorker } from "capstan"
import { Effect, Exit, Layer, Redacted, Schema, Scope } from "effect"
import { type MakeSystem, text } from "../../src/system.ts"

class Work extends Job.make("Work", { payload: { n: Schema.Number, text: Schema.String } }) {}
class Group extends JobGroup.make(Work) {}

export const make: MakeSystem = async ({ millis, run, url }) => {
  const scope = Effect.runSync(Scope.make())
  const context = await Effect.runPromise(
    Layer.buildWithScope(PgJobStore.layer().pipe(Layer.provide(PgClient.layer({ url: Redacted.make(url) }))), scope)
  )
  const handlers = Group.toLayer({
    Work: ({ n }) => {
      const work = Effect.sync(() => run(n))
      return millis === 0 ? work : Effect.andThen(Effect.sleep(millis), work)
    }
  })
  const on = Effect.runPromiseWith(context)
  const payloads = (from: number, count: number) => Array.from({ length: count }, (_, i) => ({ n: from + i, text }))
  return {
    enqueue: (from, count, inFlight) =>
      on(
        inFlight === 1
          ? Effect.gen(function*() {
            for (let n = from; n < from + count; n++) yield* Work.enqueue({ n, text })
          })
          : Effect.forEach(payloads(from, count), (payload) => Work.enqueue(payload), {
            concurrency: inFlight,
            discard: true
          })
      ),
    enqueueBulk: (from, count) => on(Effect.asVoid(Work.enqueueMany(payloads(from, count)))),
    enqueueDue: (from, count, runAt) => on(Effect.asVoid(Work.enqueueMany(payloads(from, count), { runAt }))),
    start: (concurrency) =>
      on(
        Effect.asVoid(
          Layer.buildWithScope(Layer.fresh(Layer.provide(JobWorker.layer(Group, { concurrency }), handlers)), scope)
        )
      ),
    canHaveTwoWorkers: true,
    close: () => on(Scope.close(scope, Exit.void)).then(() => undefined)
  }
}
