/** Effect's PersistedQueue on SQL. It has no call for many, and as many takers as its concurrency. */
import { PgClient } from "@effect/sql-pg"
import { Effect, Exit, FiberSet, Layer, Redacted, Schema, Scope } from "effect"
import { PersistedQueue } from "effect/persistence"
import { type MakeSystem, text } from "../../src/system.ts"

const schema = Schema.Struct({ n: Schema.Number, text: Schema.String })

export const make: MakeSystem = async ({ millis, run, url }) => {
  const scope = Effect.runSync(Scope.make())
  const layer = PersistedQueue.layer.pipe(
    Layer.provide(PersistedQueue.layerStoreSql()),
    Layer.provide(PgClient.layer({ url: Redacted.make(url) }))
  )
  const context = await Effect.runPromise(Layer.buildWithScope(layer, scope))
  const queue = await Effect.runPromise(Effect.provide(PersistedQueue.make({ name: "work", schema }), context))
  const handler = ({ n }: typeof schema.Type) => {
    const work = Effect.sync(() => run(n))
    return millis === 0 ? work : Effect.andThen(Effect.sleep(millis), work)
  }
  const fibers = await Effect.runPromise(Scope.provide(FiberSet.make(), scope))
  return {
    enqueue: (from, count, inFlight) =>
      Effect.runPromise(
        inFlight === 1
          ? Effect.gen(function*() {
            for (let n = from; n < from + count; n++) yield* queue.offer({ n, text })
          })
          : Effect.forEach(
            Array.from({ length: count }, (_, i) => from + i),
            (n) => queue.offer({ n, text }),
            { concurrency: inFlight, discard: true }
          )
      ),
    enqueueDue: (from, count, instant) =>
      Effect.runPromise(
        Effect.forEach(
          Array.from({ length: count }, (_, i) => from + i),
          (n) => Effect.suspend(() => queue.offer({ n, text }, { delay: instant - Date.now() })),
          { concurrency: 100, discard: true }
        )
      ),
    start: (concurrency) =>
      Effect.runPromise(
        Effect.forEach(
          Array.from({ length: concurrency }, (_, i) => i),
          () => FiberSet.run(fibers, Effect.forever(queue.take(handler))),
          { discard: true }
        )
      ),
    canHaveTwoWorkers: true,
    close: () => Effect.runPromise(Scope.close(scope, Exit.void)).then(() => undefined)
  }
}
