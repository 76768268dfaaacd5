/** Effect's PersistedQueue. It has no call for many, and as many takers as its concurrency. */
import { Effect, Exit, FiberSet, Layer, Schema, Scope } from "effect"
import { PersistedQueue } from "effect/persistence"
import { Failed, type MakeSystem, text } from "../system.ts"

const schema = Schema.Struct({ n: Schema.Number, text: Schema.String })

/** On any store: what differs is the layer, and how many offers in flight are fastest, where many are to be stored. */
export const makeOn = (
  layerOf: (url: string) => Layer.Layer<PersistedQueue.PersistedQueueStore>,
  many?: number
): MakeSystem =>
async ({ fails, millis, run, url }) => {
  const scope = Effect.runSync(Scope.make())
  const context = await Effect.runPromise(
    Layer.buildWithScope(Layer.provide(PersistedQueue.layer, layerOf(url)), scope)
  )
  const queue = await Effect.runPromise(Effect.provide(PersistedQueue.make({ name: "work", schema }), context))
  const handler = ({ n }: typeof schema.Type) => {
    const work = Effect.sync(() => {
      if (fails?.(n) === true) throw new Failed()
      run(n)
    })
    return millis === 0 ? work : Effect.andThen(Effect.sleep(millis), work)
  }
  const fibers = await Effect.runPromise(Scope.provide(FiberSet.make(), scope))
  const offer = (from: number, count: number, concurrency: number) =>
    Effect.runPromise(
      Effect.forEach(
        Array.from({ length: count }, (_, i) => from + i),
        (n) => queue.offer({ n, text }),
        { concurrency, discard: true }
      )
    )
  const offerInTurn = (from: number, count: number) =>
    Effect.runPromise(Effect.gen(function*() {
      for (let n = from; n < from + count; n++) yield* queue.offer({ n, text })
    }))
  return {
    enqueue: (from, count, inFlight) => inFlight === 1 ? offerInTurn(from, count) : offer(from, count, inFlight),
    ...many === undefined ? {} : { enqueueBulk: (from, count) => offer(from, count, many) },
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
          () =>
            FiberSet.run(
              fibers,
              Effect.forever(fails === undefined ? queue.take(handler) : Effect.exit(queue.take(handler)))
            ),
          { discard: true }
        )
      ),
    canHaveTwoWorkers: true,
    canRetry: true,
    close: () => Effect.runPromise(Scope.close(scope, Exit.void)).then(() => undefined)
  }
}

export const make = makeOn(() => PersistedQueue.layerStoreMemory)
