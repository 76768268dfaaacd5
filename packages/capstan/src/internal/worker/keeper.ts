/**
 * Keeps what the worker holds: renews its lease, and fences itself when it cannot; enforces timeouts, also against what
 * cannot be interrupted; gives claimed records back that wait for a slot while other workers may be free.
 *
 * It sleeps until the next instant at which one of these is due; on a store in the same process, where nothing gets lost,
 * without a timer while nothing is held.
 */
import * as Effect from "effect/Effect"
import type { JobStoreError } from "../../JobError.ts"
import type { Attempt } from "./attempt.ts"
import { within } from "./call.ts"
import { timedOut } from "./runner.ts"
import type { WorkerState } from "./state.ts"

export const keeper = (state: WorkerState): Effect.Effect<never> =>
  Effect.gen(function*() {
    for (;;) {
      state.keep.closeUnsafe()
      const at = nextAt(state)
      state.keeperAt = at
      const wait = at - state.elapsedNow()
      if (at === Infinity) yield* state.keep.await
      else if (wait > 0) {
        yield* Effect.timeoutOrElse(state.keep.await, {
          duration: Math.ceil(wait),
          orElse: () => Effect.void
        })
      }
      look(state)
      if (!state.renewing && state.elapsedNow() >= renewalAt(state)) {
        yield* Effect.forkChild(renewal(state), { startImmediately: true })
      }
    }
  })

const nextAt = (state: WorkerState): number => {
  let at = state.renewing ? Infinity : renewalAt(state)
  if (state.isHolding) at = Math.min(at, state.fencedAt)
  at = Math.min(at, state.waitingSince + state.patience, state.collector.nextAt)
  for (const attempt of state.running) at = Math.min(at, checkAt(state, attempt))
  return at
}

const checkAt = (state: WorkerState, attempt: Attempt): number =>
  attempt.deciding
    ? Infinity
    : attempt.stop === undefined
    ? attempt.startedAt + attempt.runnable.policy.timeout
    : attempt.givenUpAfter(state.settings.interruptGrace)

const renewalAt = (state: WorkerState): number =>
  state.mustRenew ? Math.max(state.renewAt, state.renewNotBefore) : Infinity

const look = (state: WorkerState): void => {
  const now = state.elapsedNow()
  for (const attempt of [...state.running]) {
    if (!attempt.over && now >= checkAt(state, attempt)) stopOrAbandon(state, attempt)
  }
  state.closeBatches(now)
  if (now >= state.waitingSince + state.patience) {
    // Handlers have become slower than the pace says.
    state.ahead = 0
    state.pace.settled = 0
    state.pace.elapsed = 0
    state.settledSince = 0
    state.releaseStuck()
  }
  if (state.isHolding && now >= state.fencedAt) state.loseAll()
}

const stopOrAbandon = (state: WorkerState, attempt: Attempt): void => {
  const { stop } = attempt
  switch (stop?._tag) {
    case undefined:
      return state.interrupt(attempt, { _tag: "TimedOut" })
    case "TimedOut":
      return state.abandon(attempt, timedOut(attempt, attempt.storeTimeAfter(attempt.elapsed())))
    case "Cancel":
      return state.abandon(attempt, stop)
    case "Lost":
      return state.abandon(attempt, undefined)
    case "Shutdown":
      return state.abandon(attempt, { _tag: "Release" })
  }
}

/** In a fiber of its own: a renewal that takes its time holds up neither timeouts nor the fence. */
const renewal = (state: WorkerState): Effect.Effect<void> =>
  Effect.suspend(() => {
    state.renewing = true
    return Effect.matchCauseEffect(renew(state, state.settings.exchangeTimeout), {
      onSuccess: () => Effect.void,
      onFailure: (cause) => {
        state.renewNotBefore = state.elapsedNow() + state.settings.lease / 20
        return Effect.asVoid(state.health.failed("renew", cause))
      }
    })
  }).pipe(Effect.ensuring(Effect.sync(() => {
    state.renewing = false
    state.keep.openUnsafe()
  })))

/**
 * Renews the lease and compares what the store says with what is here: what the store has taken away is interrupted, and
 * claims older than `reconcileOlderThan` that are not here are given back (P14).
 */
export const renew = (state: WorkerState, reconcileOlderThan: number): Effect.Effect<void, JobStoreError> =>
  Effect.suspend(() => {
    const requestedAt = state.elapsedNow()
    const { jobs, settings, slots, store } = state
    const call = () =>
      store.renew({
        worker: settings.id,
        lease: settings.lease,
        queues: [...slots.queues.keys()],
        handles: [...jobs.values()].map(({ definition, tag }) => ({ tag, version: definition.version })),
        holding: state.holding(),
        reconcileOlderThan,
        process: settings.process
      })
    return Effect.map(within(state, "renew", call), (reply) => {
      state.confirm(requestedAt)
      state.health.succeeded("renew", reply.now)
      state.lose(reply.lost)
      state.cancel(reply.cancel)
      state.foreseeMaintenance(reply.maintainIn)
      if (reply.unparked > 0) {
        state.slots.lookEverywhere()
        state.work.openUnsafe()
      }
    })
  })
