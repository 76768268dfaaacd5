/**
 * The end of a worker (P9): stop claiming, wait, interrupt, wait, give up what cannot be interrupted, settle what has
 * ended, leave. Each step has a limit, and nothing is lost: what did not end is given back without charging its attempt.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Latch from "effect/Latch"
import * as Log from "../log.ts"
import { isAway } from "./call.ts"
import type { WorkerState } from "./state.ts"

export const shutdown = (state: WorkerState): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { exchangeTimeout, interruptGrace, shutdownGrace } = state.settings
    state.health.status = "stopping"
    // What a handler does as it starts may be what closes its worker: it counts as running once its start has returned.
    yield* Effect.yieldNow
    state.releaseWaiting()
    state.work.openUnsafe()
    yield* awaitFor(state.empty, shutdownGrace)
    const interrupted = [...state.running]
    for (const attempt of interrupted) state.interrupt(attempt, { _tag: "Shutdown" })
    yield* awaitFor(state.empty, interruptGrace)
    for (const attempt of [...state.running]) state.abandon(attempt, { _tag: "Release" })
    // The keeper gives up on them in the same instant, and may have come first.
    const stuck = interrupted.filter(({ isAbandoned }) => isAbandoned)
    if (stuck.length > 0) {
      yield* Log.warning(
        `worker ${state.settings.id}: ${stuck.length} attempts could not be interrupted within ${interruptGrace} ms ` +
          `and were given back`,
        stuck.map(({ id, job }) => `${job} ${id}`)
      )
    }
    yield* awaitFor(state.outbox.flushed, exchangeTimeout)
    yield* leave(state)
    state.health.status = "stopped"
  })

/** Gives back what the store still counts as held here, and says goodbye; a store that is away finds out by the lease. */
const leave = (state: WorkerState): Effect.Effect<void> =>
  Effect.suspend(() =>
    state.store.renew({
      worker: state.settings.id,
      lease: 0,
      queues: [],
      handles: [],
      holding: [],
      reconcileOlderThan: 0
    })
  ).pipe(
    (goodbye) => atMost(goodbye, state.settings.exchangeTimeout),
    Effect.catchCause((cause) =>
      isAway(cause)
        ? Effect.void
        : Log.warning(`worker ${state.settings.id}: its goodbye failed, the store finds out by the lease`, cause)
    )
  )

/** Returns when the latch opens, at the latest after so long. */
const awaitFor = (latch: Latch.Latch, millis: number): Effect.Effect<void> =>
  Effect.suspend(() => latch.isOpen() || millis <= 0 ? Effect.void : atMost(latch.await, millis))

/**
 * At most so long, in a fiber of its own: who closes a worker has mostly been interrupted, by a signal for one, and what may be
 * interrupted would end there before it has begun.
 */
const atMost = <A, E>(effect: Effect.Effect<A, E>, millis: number): Effect.Effect<void, E> =>
  Effect.timeoutOption(effect, millis).pipe(
    Effect.forkDetach({ startImmediately: true }),
    Effect.flatMap(Fiber.join),
    Effect.asVoid
  )
