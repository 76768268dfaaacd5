/**
 * Plain Effect: a queue, a semaphore and a set of fibers. It has no leases, retries or history: the limit.
 */
import { Effect, Exit, FiberSet, Queue, Scope, Semaphore } from "effect"
import { type MakeSystem, text } from "../system.ts"

export const make: MakeSystem = async ({ millis, run }) => {
  const scope = Effect.runSync(Scope.make())
  const queue = Effect.runSync(Queue.unbounded<{ readonly n: number; readonly text: string }>())
  const fibers = await Effect.runPromise(Scope.provide(FiberSet.make(), scope))
  const handler = (n: number) => {
    const work = Effect.sync(() => run(n))
    return millis === 0 ? work : Effect.andThen(Effect.sleep(millis), work)
  }
  return {
    enqueue: (from, count, inFlight) =>
      Effect.runPromise(
        inFlight === 1
          ? Effect.gen(function*() {
            for (let n = from; n < from + count; n++) yield* Queue.offer(queue, { n, text })
          })
          : Effect.forEach(
            Array.from({ length: count }, (_, i) => from + i),
            (n) => Queue.offer(queue, { n, text }),
            { concurrency: inFlight, discard: true }
          )
      ),
    start: async (concurrency) => {
      const semaphore = Semaphore.makeUnsafe(concurrency)
      const loop = Effect.forever(Effect.flatMap(
        Queue.take(queue),
        ({ n }) =>
          Effect.andThen(
            semaphore.take(1),
            FiberSet.run(fibers, Effect.ensuring(handler(n), semaphore.release(1)))
          )
      ))
      await Effect.runPromise(FiberSet.run(fibers, loop))
    },
    canHaveTwoWorkers: false,
    close: () => Effect.runPromise(Scope.close(scope, Exit.void)).then(() => undefined)
  }
}
