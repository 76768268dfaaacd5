/**
 * One waiting loop per store and process: it asks for all awaited records at once, when an event names them.
 *
 * Guarantee: an await ends. Events only say when to look; a store whose notifications may be lost is looked at once a
 * second besides. A store that stays away for longer than `patience` fails those who wait, and so does one that breaks.
 */
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Scheduler from "effect/Scheduler"
import * as Stream from "effect/Stream"
import { AwaitInTransaction, JobStoreError } from "../JobError.ts"
import type { JobId } from "../JobRecord.ts"
import type { ResultAnswer, Shape, StoreEvent } from "../JobStore.ts"

/** How a record stands that may still run. */
export type Pending = Extract<ResultAnswer, { readonly _tag: "Pending" }>
/** How a record ended, or that it is not there. */
export type Final = Exclude<ResultAnswer, Pending>

export interface Watcher {
  /** The record was found, and is not final. Told again with each progress. */
  readonly pending: (answer: Pending) => void
  readonly final: (answer: Final) => void
  readonly failed: (cause: Cause.Cause<JobStoreError>) => void
}

/** How many ids one call asks for. */
const chunk = 1000
const pollInterval = Duration.seconds(1)
/** How long a store may be away before those who wait are told. */
const patience = Schedule.max([
  Schedule.exponential("50 millis"),
  Schedule.during("30 seconds")
]).pipe(Schedule.modifyDelay(({ duration }) => Effect.succeed(Duration.min(duration, Duration.seconds(2)))))

class Awaiter {
  private readonly store: Shape
  private readonly watchers = new Map<JobId, Set<Watcher>>()
  private asked = new Set<JobId>()
  private readonly wake = Latch.makeUnsafe(false)
  private fiber: Fiber.Fiber<void> | undefined

  constructor(store: Shape) {
    this.store = store
  }

  watch(id: JobId, watcher: Watcher, context: Context.Context<never>): void {
    let watchers = this.watchers.get(id)
    if (watchers === undefined) this.watchers.set(id, watchers = new Set())
    watchers.add(watcher)
    this.ask(id)
    if (this.fiber === undefined) this.start(context)
  }

  private start(context: Context.Context<never>): void {
    const fiber = Effect.runForkWith(background(context))(this.loop)
    this.fiber = fiber
    fiber.addObserver((exit) => {
      if (this.fiber !== fiber) return
      // It was not stopped: nobody waits for a loop that has ended.
      this.fiber = undefined
      if (exit._tag === "Failure") this.fail([...this.watchers.keys()], exit.cause)
    })
  }

  unwatch(id: JobId, watcher: Watcher): void {
    const watchers = this.watchers.get(id)
    if (watchers === undefined) return
    watchers.delete(watcher)
    if (watchers.size > 0) return
    this.watchers.delete(id)
    this.asked.delete(id)
    if (this.watchers.size === 0) this.stop()
  }

  private stop(): void {
    const fiber = this.fiber
    this.fiber = undefined
    fiber?.interruptUnsafe()
  }

  private ask(id: JobId): void {
    this.asked.add(id)
    this.wake.openUnsafe()
  }

  private readonly askAll = (): void => {
    for (const id of this.watchers.keys()) this.asked.add(id)
    this.wake.openUnsafe()
  }

  private readonly hear = (event: StoreEvent): void => {
    if (event.type === "missed") this.askAll()
    else if (this.watchers.has(event.id) && telling.has(event.type)) this.ask(event.id)
  }

  private readonly loop: Effect.Effect<void> = Effect.suspend(() => {
    const listen = Stream.runForEach(this.store.events, (event) => Effect.sync(() => this.hear(event))).pipe(
      Effect.sandbox,
      Effect.retry(Schedule.spaced(pollInterval)),
      Effect.ignore
    )
    const sleep = this.store.notifications === "exact"
      ? this.wake.await
      : Effect.timeoutOrElse(this.wake.await, { duration: pollInterval, orElse: () => Effect.sync(this.askAll) })
    const look = Effect.andThen(sleep, Effect.suspend(() => this.look()))
    // Not before the one who waits has returned from `watch`: nobody is told of an answer while still asking.
    return Effect.yieldNow.pipe(
      Effect.andThen(Effect.forkChild(listen, { startImmediately: true })),
      Effect.andThen(Effect.forever(look))
    )
  })

  private look(): Effect.Effect<void> {
    this.wake.closeUnsafe()
    const ids = [...this.asked]
    this.asked = new Set()
    return Effect.forEach(chunksOf(ids), (some) => this.lookAt(some), { discard: true })
  }

  private lookAt(ids: ReadonlyArray<JobId>): Effect.Effect<void> {
    return Effect.suspend(() => this.store.results(ids)).pipe(
      Effect.retry({ schedule: patience, while: (error) => error.isTransient }),
      Effect.map((answers) => {
        for (const answer of answers) this.tell(answer)
      }),
      Effect.catchCause((cause) => Effect.sync(() => this.fail(ids, cause)))
    )
  }

  private fail(ids: ReadonlyArray<JobId>, cause: Cause.Cause<JobStoreError>): void {
    for (const id of ids) for (const watcher of [...this.watchers.get(id) ?? []]) watcher.failed(cause)
  }

  private tell(answer: ResultAnswer): void {
    for (const watcher of [...this.watchers.get(answer.id) ?? []]) {
      if (answer._tag === "Pending") watcher.pending(answer)
      else watcher.final(answer)
    }
  }
}

const telling: ReadonlySet<StoreEvent["type"]> = new Set(["progress", "completed", "cancelled", "dead", "deleted"])

const chunksOf = (ids: ReadonlyArray<JobId>): ReadonlyArray<ReadonlyArray<JobId>> => {
  const chunks: Array<ReadonlyArray<JobId>> = []
  for (let i = 0; i < ids.length; i += chunk) chunks.push(ids.slice(i, i + chunk))
  return chunks
}

/** What the loop takes over from whoever waits first: the services of time and order, and nothing of the caller's work. */
const background = (context: Context.Context<never>): Context.Context<never> =>
  Context.empty().pipe(
    Context.add(Clock.Clock, Context.get(context, Clock.Clock)),
    Context.add(Random.Random, Context.get(context, Random.Random)),
    Context.add(Scheduler.Scheduler, Context.get(context, Scheduler.Scheduler))
  ) as Context.Context<never>

const awaiters = new WeakMap<Shape, Awaiter>()

const awaiterOf = (store: Shape): Awaiter => {
  let awaiter = awaiters.get(store)
  if (awaiter === undefined) awaiters.set(store, awaiter = new Awaiter(store))
  return awaiter
}

/** Calls the watcher until it is told to stop. */
export const watch = (
  store: Shape,
  id: JobId,
  watcher: Watcher,
  context: Context.Context<never>
): () => void => {
  const awaiter = awaiterOf(store)
  awaiter.watch(id, watcher, context)
  return () => awaiter.unwatch(id, watcher)
}

/** How the record ended. A record that was there when the wait began and is gone now was deleted. */
export const awaitFinal = (
  store: Shape,
  id: JobId
): Effect.Effect<Final & { readonly seen: boolean }, JobStoreError> =>
  Effect.contextWith((context: Context.Context<never>) => {
    if (store.inTransaction?.(context) === true) {
      return Effect.fail(new JobStoreError({ reason: new AwaitInTransaction({ id }) }))
    }
    return Effect.callback<Final & { readonly seen: boolean }, JobStoreError>((resume) => {
      let seen = false
      const stop = watch(store, id, {
        pending: () => {
          seen = true
        },
        final: (answer) => {
          stop()
          resume(Effect.succeed({ ...answer, seen }))
        },
        failed: (cause) => {
          stop()
          resume(Effect.failCause(cause))
        }
      }, context)
      return Effect.sync(stop)
    })
  })
