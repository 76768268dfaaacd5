/**
 * Wake-ups where nothing may be listened to (`listen: false`): the workers of a process hear of what the same process does,
 * at its commit, and poll for what others do.
 *
 * Hints only, as all wake-ups.
 */
import type { JobStore } from "capstan"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { Client } from "./client.ts"

interface Sleeper {
  readonly worker: string
  readonly queues: ReadonlySet<string>
  readonly queue: Queue.Queue<void>
}

/** The store, with each call that may leave work behind telling those who may sleep beside it. */
export const withLocalWakeups = (store: JobStore.Shape, client: Client, late: () => void): JobStore.Shape => {
  const sleepers = new Set<Sleeper>()

  const wake = (which: (sleeper: Sleeper) => boolean) =>
    Effect.withFiber((fiber) => {
      const isLate = client.isInTransaction(fiber.context)
      return client.pg.afterCommit(Effect.sync(() => {
        if (isLate) late()
        for (const sleeper of sleepers) if (which(sleeper)) Queue.offerUnsafe(sleeper.queue, undefined)
      }))
    })
  const wakeAll = wake(() => true)
  /** Wakes everybody when the answer says that something may have become ready. */
  const then = <A, E>(call: Effect.Effect<A, E>, hasWork: (answer: A) => boolean): Effect.Effect<A, E> =>
    Effect.tap(call, (answer) => hasWork(answer) ? wakeAll : Effect.void)

  return {
    ...store,
    enqueue: (request) =>
      Effect.tap(
        store.enqueue(request),
        wake(({ queues }) => request.records.some(({ queue }) => queues.has(queue)))
      ),
    // Who settles sees in the reply what else it could claim.
    exchange: (request) =>
      request.settlements.length === 0 ? store.exchange(request) : Effect.tap(
        store.exchange(request),
        wake(({ worker }) => worker !== request.worker)
      ),
    renew: (request) => then(store.renew(request), ({ reconciled, unparked }) => reconciled + unparked > 0),
    signal: (request) => then(store.signal(request), (answer) => answer !== "NotFound"),
    control: (request) => then(store.control(request), ({ outcomes }) => outcomes.length > 0),
    pause: (queue, paused) => then(store.pause(queue, paused), (changed) => changed && !paused),
    tick: (request) => then(store.tick(request), (reply) => reply !== undefined && reply.outcomes.length > 0),
    maintain: then(store.maintain, ({ expired, rescued }) => rescued + expired > 0),
    wakeups: (worker, queues) =>
      Stream.unwrap(Effect.gen(function*() {
        const queue = yield* Queue.dropping<void>(1)
        const sleeper: Sleeper = { worker, queues: new Set(queues), queue }
        yield* Effect.acquireRelease(
          Effect.sync(() => sleepers.add(sleeper)),
          () => Effect.sync(() => sleepers.delete(sleeper))
        )
        return Stream.fromQueue(queue)
      })),
    events: Stream.concat(Stream.make({ type: "missed" as const }), Stream.never)
  }
}
