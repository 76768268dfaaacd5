/**
 * The one loop that talks to the store for work: writes, settlements and claims, in one exchange at a time.
 *
 * While an exchange is in flight more attempts end, so batches grow with load by themselves and an idle worker still
 * answers at once. Where many end meanwhile, a store elsewhere settles them beside it. Whatever happens to the store, the
 * loop goes on: what could not be delivered goes out again.
 */
import type * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import type { JobStoreError } from "../../JobError.ts"
import type { ExchangeReply, ExchangeRequest } from "../../JobStore.ts"
import { isRefusal, within } from "./call.ts"
import { renew } from "./keeper.ts"
import type { Parcel } from "./outbox.ts"
import { settleEach, writeEach } from "./refused.ts"
import { slice, type WorkerState } from "./state.ts"

/** Settlements and claims of one exchange, each. */
const maxBatch = 1000
/** After so many failed writes in a row, settlements go out without. */
const maxWriteFailures = 3
/**
 * Records that are claimed ahead of free slots, at most. On Postgres an exchange waits about as long for its log to be on disk
 * as it works: with 512, twice as many take 16.6 us of the server a job in place of 14.6.
 */
const maxAhead = 1024
/** For how many milliseconds it is claimed ahead, at most: batches grow with a store whose answers take up to a quarter of it. */
const maxHorizon = 100
/** Over how many milliseconds the rate is taken, at least. */
const paceOver = 20
/** So many settlements are worth an exchange beside the one that is under way. */
const minBeside = 50
/** Milliseconds between two looks of a worker without room, each because of a wake-up. */
const betweenNudges = 50
/** Milliseconds after which what the store could not reach goes out again: at once, it would go out without end. */
const untilAgain = 1000

export const pump = (state: WorkerState): Effect.Effect<never> =>
  Effect.gen(function*() {
    // A pump before this one may have failed with settlements and claims in its hands.
    state.outbox.landAll()
    state.slots.lookEverywhere()
    yield* reconcile(state)
    let yieldedAt = state.elapsedNow()
    let again: Fiber.Fiber<void> | undefined
    for (;;) {
      state.work.closeUnsafe()
      if (state.outbox.hasAside && (again === undefined || again.pollUnsafe() !== undefined)) {
        again = yield* Effect.forkChild(bringBack(state))
      }
      // Handlers that end at once, on a store that answers at once, would keep the thread from everybody else.
      noteDue(state)
      const isStartable = state.waitingCount > 0 && state.hasStartable && !(isElsewhere(state) && hasWork(state))
      if (isStartable || state.elapsedNow() - yieldedAt > slice) {
        yield* Effect.yieldNow
        yieldedAt = state.elapsedNow()
      }
      if (isStartable) state.startWaiting()
      if (hasWork(state)) yield* turn(state)
      else yield* sleep(state)
    }
  })

/** In a fiber of its own: a worker that has nothing else to do sleeps. */
const bringBack = (state: WorkerState): Effect.Effect<void> =>
  Effect.andThen(
    Effect.sleep(untilAgain),
    Effect.sync(() => {
      state.outbox.bringBack()
      state.work.openUnsafe()
    })
  )

/** What has come due may be found in any queue: each has its own room, so this says no more. */
const noteDue = (state: WorkerState): void => {
  if (state.dueAt === Infinity || state.elapsedNow() < state.dueAt) return
  state.dueAt = Infinity
  state.slots.lookEverywhere()
  // Others may sleep because this one was to look: where it cannot, the store is to know.
  if (!isElsewhere(state) && (state.stopping || !state.slots.mayFind(state.ahead))) state.nudged = true
}

const hasWork = (state: WorkerState): boolean =>
  !state.outbox.isEmpty ||
  (state.nudged && state.elapsedNow() >= nudgeAt(state)) ||
  (!state.stopping && state.slots.mayFind(state.ahead))

/**
 * When a worker without room asks what a wake-up meant: a cancel of what it runs, or work for others. A store elsewhere
 * that others fill is not asked without end.
 */
const nudgeAt = (state: WorkerState): number =>
  state.store.notifications === "exact" ? -Infinity : state.lastTurnAt + betweenNudges

const sleep = (state: WorkerState): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (state.nudged) return wakeIn(state, nudgeAt(state) - state.elapsedNow())
    const untilDue = state.dueAt === Infinity ? Infinity : Math.max(0, state.dueAt - state.elapsedNow())
    if (!isElsewhere(state)) return untilDue === Infinity ? state.work.await : wakeIn(state, untilDue)
    if (state.stopping || state.slots.room(state.ahead) === 0) return state.work.await
    return Effect.flatMap(Random.nextBetween(0.8, 1.2), (jitter) =>
      standBy(state, wakeIn(state, Math.min(untilDue, state.settings.pollInterval * jitter))))
  })

const wakeIn = (state: WorkerState, millis: number): Effect.Effect<void> =>
  Effect.timeoutOrElse(state.work.await, {
    duration: Math.ceil(millis),
    orElse: () => Effect.sync(() => state.slots.lookEverywhere())
  })

/**
 * While it sleeps, an enqueue of this process may take its exchange along. What comes of that is awaited as the reply to an
 * exchange of its own.
 */
const standBy = (state: WorkerState, sleeping: Effect.Effect<void>): Effect.Effect<void> => {
  const { outbox, slots, store } = state
  if (store.standBy === undefined) return sleeping
  const reply = Deferred.makeUnsafe<ExchangeReply | undefined, JobStoreError>()
  let asked: Asked | undefined
  const standing = store.standBy({
    queues: [...slots.queues.keys()],
    take: () => {
      // Its own exchange is about to go out.
      if (state.stopping || !outbox.isEmpty) return undefined
      asked = ask(state, outbox.take(0))
      return asked.request
    },
    receive: (exit) => {
      Deferred.doneUnsafe(reply, exit)
      state.work.openUnsafe()
    }
  })
  return Effect.andThen(
    Effect.raceFirst(sleeping, standing),
    Effect.suspend(() =>
      asked === undefined ? Effect.void : conclude(state, asked, within(state, "exchange", () => Deferred.await(reply)))
    )
  )
}

const turn = (state: WorkerState): Effect.Effect<void> =>
  Effect.suspend(() => {
    const parcel = state.outbox.take(maxBatch)
    if (parcel.writes.length === 0) return exchange(state, parcel)
    state.startWaiting()
    return Effect.flatMap(write(state, parcel), (isDone) => isDone ? exchange(state, parcel) : Effect.void)
  })

/** Answers whether the settlements may follow. When writes alone go on failing, they do not wait for them. */
const write = (state: WorkerState, parcel: Parcel): Effect.Effect<boolean> => {
  const { outbox, store } = state
  const onFailure = (cause: Cause.Cause<JobStoreError>): Effect.Effect<boolean> =>
    Effect.flatMap(state.health.failed("write", cause), (failures) => {
      if (failures < maxWriteFailures) outbox.land(parcel)
      else outbox.putBackWrites(parcel)
      return Effect.as(recover(state, failures), failures >= maxWriteFailures)
    })
  const onSuccess = () =>
    Effect.sync(() => {
      state.health.succeeded("write")
      parcel.written(parcel.writes.length)
      outbox.holdBack(parcel)
      return true
    })
  const sent = Effect.map(
    within(state, "write", () => store.write(parcel.writes)),
    (answers) => outbox.wrote(parcel.writes, answers)
  )
  return Effect.matchCauseEffect(sent, {
    onSuccess,
    onFailure: (cause) =>
      isRefusal(cause) ? Effect.matchCauseEffect(writeEach(state, parcel), { onSuccess, onFailure }) : onFailure(cause)
  })
}

const exchange = (state: WorkerState, parcel: Parcel): Effect.Effect<void> =>
  Effect.suspend(() => {
    const asked = ask(state, parcel)
    const sent = send(state, asked.request)
    return conclude(state, asked, isElsewhere(state) ? alongside(state, sent) : sent)
  })

/** An exchange that has begun. */
interface Asked {
  readonly parcel: Parcel
  readonly request: ExchangeRequest
  readonly startedAt: number
}

const ask = (state: WorkerState, parcel: Parcel): Asked => {
  state.nudged = false
  const { slots } = state
  const startedAt = state.elapsedNow()
  if (isAtRest(state, parcel)) startAfresh(state, startedAt)
  else foresee(state, parcel, startedAt)
  const total = state.stopping ? 0 : Math.min(maxBatch, slots.room(state.ahead), share(state), state.fits)
  const demand = total === 0 ? [] : slots.demand(total)
  const most = Math.min(maxBatch, slots.most(demand, total))
  return { parcel, request: { ...by(state), settlements: parcel.settlements, demand, total: most }, startedAt }
}

const conclude = (
  state: WorkerState,
  asked: Asked,
  call: Effect.Effect<ExchangeReply | undefined, JobStoreError>
): Effect.Effect<void> => {
  const { parcel } = asked
  return Effect.matchCauseEffect(call, {
    onSuccess: (reply) =>
      Effect.sync(() => reply === undefined ? state.outbox.land(parcel) : accept(state, asked, reply)),
    onFailure: (cause) =>
      parcel.settlements.length > 0 && isRefusal(cause) ? refused(state, parcel, cause) : failed(state, parcel, cause)
  })
}

/** Nothing has run since the last turn: how long ago that was says nothing of the rate. */
const isAtRest = ({ isBeside, running, settledSince, waitingCount }: WorkerState, { settlements }: Parcel): boolean =>
  settlements.length === 0 && settledSince === 0 && running.size === 0 && waitingCount === 0 && !isBeside

const startAfresh = (state: WorkerState, now: number): void => {
  state.lastTurnAt = now
  state.pace.settled = 0
  state.pace.elapsed = 0
  state.pace.idle = 0
}

const by = ({ settings: { id: worker, lease } }: WorkerState) => ({ worker, lease })

const send = (state: WorkerState, request: ExchangeRequest) =>
  within(state, "exchange", () => state.telemetry.exchange(state.store, request))

/**
 * Starts what waits while the store is at work: both together take as long as the longer of the two. Of a job that does
 * nothing, 7 us are this process's and 21 us the server's on Postgres (`cpu-worker` and `cpu-server` of the benchmarks).
 */
const alongside = <A, E>(state: WorkerState, call: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.gen(function*() {
    if (hasNothing(state)) return yield* idle(state, call)
    const sent = yield* Effect.forkChild(call, { startImmediately: true })
    sent.addObserver(() => state.work.openUnsafe())
    while (sent.pollUnsafe() === undefined) {
      if (state.hasStartable) {
        yield* Effect.yieldNow
        state.startWaiting()
        continue
      }
      // A slot that becomes free meanwhile is not to wait for the store.
      state.work.closeUnsafe()
      if (isWorthBeside(state)) yield* Effect.forkChild(beside(state), { startImmediately: true })
      yield* hasNothing(state) ? idle(state, state.work.await) : state.work.await
    }
    return yield* Fiber.join(sent)
  })

const hasNothing = ({ running, waitingCount }: WorkerState): boolean => waitingCount === 0 && running.size === 0

/** Time in which it had nothing to run: how long the store took then says nothing of how fast the handlers are. */
const idle = <A, E>(state: WorkerState, wait: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    const from = state.elapsedNow()
    return Effect.onExit(wait, () =>
      Effect.sync(() => {
        state.pace.idle += state.elapsedNow() - from
      }))
  })

/**
 * One at a time: claiming and settling are about the same work for a server, so two connections do what there is. Writes
 * go first with the loop's own turn: no settlement may overtake them. It claims nothing: to claim in both was tried, and a
 * drain of 100,000 jobs on Postgres went from 115 to 97 k/s.
 */
const isWorthBeside = ({ isBeside, outbox }: WorkerState): boolean =>
  !isBeside && outbox.unsent >= minBeside && !outbox.hasWrites

/** Settles what has ended beside the exchange under way. What fails is left to the loop's next turn. */
const beside = (state: WorkerState): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { outbox } = state
    const parcel = outbox.take(maxBatch)
    const startedAt = state.elapsedNow()
    state.isBeside = true
    const request = { ...by(state), settlements: parcel.settlements, demand: [], total: 0 }
    return Effect.matchCauseEffect(send(state, request), {
      onFailure: () => Effect.void,
      onSuccess: (reply) => Effect.sync(() => delivered(state, parcel, reply, startedAt))
    }).pipe(Effect.ensuring(Effect.sync(() => {
      state.isBeside = false
      outbox.land(parcel)
      state.work.openUnsafe()
    })))
  })

/** A store in the same process answers at once: nothing is gained by starting handlers beside it. */
const isElsewhere = (state: WorkerState): boolean => state.store.notifications !== "exact"

/** Half of what may be held where records are claimed ahead: the other half runs here while the store looks for this one. */
const share = (state: WorkerState): number =>
  isElsewhere(state) && state.ahead > 0 ? Math.ceil((state.slots.concurrency + state.ahead) / 2) : maxBatch

const failed = (state: WorkerState, parcel: Parcel, cause: Cause.Cause<JobStoreError>): Effect.Effect<void> =>
  Effect.flatMap(state.health.failed("exchange", cause), (failures) => {
    state.outbox.land(parcel)
    return recover(state, failures)
  })

const refused = (state: WorkerState, parcel: Parcel, cause: Cause.Cause<JobStoreError>): Effect.Effect<void> =>
  Effect.andThen(
    state.health.failed("exchange", cause),
    Effect.matchCauseEffect(settleEach(state, parcel), {
      onSuccess: () => {
        state.outbox.land(parcel)
        return reconcile(state)
      },
      onFailure: (cause) => failed(state, parcel, cause)
    })
  )

const accept = (state: WorkerState, asked: Asked, reply: ExchangeReply): void => {
  const { parcel, request: { demand }, startedAt } = asked
  const now = state.elapsedNow()
  delivered(state, parcel, reply, startedAt)
  if (reply.claimed.length > 0 && reply.renewsLease !== false) state.confirm(startedAt)
  if (demand.length > 0) {
    state.dueAt = reply.nextDueIn === undefined ? Infinity : now + reply.nextDueIn
    state.slots.charge(demand, reply.claimed, reply.more)
  }
  if (reply.claimed.length > 0) state.fits = reply.fits ?? Infinity
  state.ahead = prefetch(state, reply.claimed.length, now - startedAt, now)
  state.receive(reply.claimed, reply.now)
  state.outbox.land(parcel)
}

/** The store has the settlements that it could reach. */
const delivered = (state: WorkerState, parcel: Parcel, reply: ExchangeReply, startedAt: number): void => {
  parcel.settlements = state.outbox.reached(parcel.settlements, reply.settled)
  const settled = parcel.settlements.length
  state.settledSince += workedOff(parcel)
  parcel.settled(settled)
  state.telemetry.exchanged(settled + reply.claimed.length, state.elapsedNow() - startedAt)
  state.hear(reply)
}

/** What is given back was not worked off, and says nothing of the rate. */
const workedOff = ({ settlements }: Parcel): number => {
  let count = 0
  for (const { outcome } of settlements) if (outcome._tag !== "Release") count++
  return count
}

/**
 * How many records to claim ahead: what is worked off while an exchange is under way (the product of rate and delay), at
 * least what one millisecond takes. So handlers of microseconds get batches, and handlers of seconds leave everything to
 * whoever is free. Never more than `maxAhead`, and never more than
 *
 * - with a store in the same process, twice what the exchange settles: as much again as it refills, and room to grow;
 * - with a store elsewhere, four times what was settled of late (the last `paceOver` milliseconds that were worked, what is
 *   older halved with every exchange). There are two exchanges to fill, the one under way and the one whose records run beside
 *   it, and one asks for half of all that may be held (`share`): so for no more than twice what was settled, and half the slots.
 *   An exchange that only brought records says nothing of the rate, and leaves the number as it is.
 */
const prefetch = (state: WorkerState, claimed: number, exchangeTime: number, now: number): number => {
  const { pace } = state
  const settled = state.settledSince
  state.settledSince = 0
  pace.exchangeTime = exchangeTime
  if (isElsewhere(state) && settled === 0 && claimed > 0) return state.ahead
  const { elapsed, worked } = paceWith(state, settled, now)
  pace.settled = worked
  pace.elapsed = elapsed
  state.lastTurnAt = now
  pace.idle = 0
  return aheadAt(state, worked, elapsed)
}

/**
 * The same when an exchange is about to go out, by what it carries: what is known by its answer is known already. Without,
 * a worker's second exchange claims no more than its first.
 */
const foresee = (state: WorkerState, parcel: Parcel, now: number): void => {
  const settled = state.settledSince + workedOff(parcel)
  if (settled === 0) {
    // What was worked off so long ago says nothing of the handlers that run now: it claims nothing that they keep from starting.
    if (now - state.lastTurnAt > maxHorizon) state.ahead = 0
    return
  }
  const { elapsed, worked } = paceWith(state, settled, now)
  state.ahead = Math.max(state.ahead, aheadAt(state, worked, elapsed))
}

/**
 * The pace with so many more settled until now. Handlers of some milliseconds end in bursts: of one turn to a store elsewhere
 * the rate is no measure.
 */
const paceWith = (state: WorkerState, settled: number, now: number) => {
  const { pace } = state
  const kept = !isElsewhere(state) ? 0 : pace.elapsed > paceOver ? 0.5 : 1
  return { worked: pace.settled * kept + settled, elapsed: pace.elapsed * kept + now - state.lastTurnAt - pace.idle }
}

const aheadAt = (state: WorkerState, worked: number, elapsed: number): number => {
  if (worked === 0) return 0
  const exchanges = isElsewhere(state) ? 2 : 1
  const horizon = Math.min(maxHorizon, Math.max(1, 2 * exchanges * state.pace.exchangeTime))
  // What is claimed for a long delay waits for some of it, and is not to be given back right before its turn.
  state.patience = Math.max(state.minPatience, 2 * horizon)
  const inHorizon = elapsed <= 0 ? Infinity : (worked / elapsed) * horizon
  return Math.floor(Math.min(maxAhead, 2 * exchanges * worked, inHorizon))
}

/** Waits a little longer with every failure, then asks the store what it believes that this worker holds. */
const recover = (state: WorkerState, failures: number): Effect.Effect<void> =>
  Effect.andThen(backOff(state, failures), reconcile(state))

const backOff = (state: WorkerState, failures: number): Effect.Effect<void> =>
  Effect.flatMap(
    Random.nextBetween(0.5, 1),
    (jitter) => Effect.sleep(Math.min(5000, 50 * 2 ** Math.min(failures, 10)) * jitter)
  ).pipe(Effect.andThen(Effect.sync(() => state.slots.lookEverywhere())))

/** Registers the worker and gives back what it does not hold, as often as it takes. */
const reconcile = (state: WorkerState): Effect.Effect<void> =>
  Effect.catchCause(
    renew(state, 0),
    (cause) => Effect.flatMap(state.health.failed("renew", cause), (failures) => recover(state, failures))
  )
