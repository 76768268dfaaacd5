/**
 * The memory store: the verbs over one `MemoryState`, with the clock of the layer and the hints that make wake-ups exact.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { JobStoreError, LeaseLost } from "../../JobError.ts"
import type { Shape, StoreEvent } from "../../JobStore.ts"
import { control } from "./control.ts"
import { enqueue } from "./enqueue.ts"
import { exchange } from "./exchange.ts"
import { change, keysOf } from "./limits.ts"
import { maintain } from "./maintain.ts"
import { dependencies, query, results, stats } from "./query.ts"
import { renew } from "./renew.ts"
import { view } from "./row.ts"
import * as Schedules from "./schedules.ts"
import { MemoryState } from "./state.ts"
import { signal, write } from "./write.ts"

export interface MemoryOptions {
  /**
   * A record whose workers died this often while they held it is dead with reason `Crashed`.
   *
   * @default 3
   */
  readonly maxCrashes?: number | undefined
  /**
   * How many finished records are kept in all; the oldest goes first, whatever its own retention says. It bounds the
   * memory, and with it how long an idempotency key of a finished record is known.
   *
   * @default 100_000
   */
  readonly maxFinished?: number | undefined
}

/** See `MemoryOptions.maxFinished`. */
export const defaultMaxFinished = 100_000

interface WorkerHint {
  readonly worker: string
  readonly queues: ReadonlySet<string>
  readonly queue: Queue.Queue<void>
}

/** The events that a reader has not taken yet. */
class EventBuffer {
  private waiting: Array<StoreEvent> = [{ type: "missed" }]
  readonly filled = Latch.makeUnsafe(true)

  add(event: StoreEvent): void {
    if (this.waiting.length >= keptEvents) this.waiting = [{ type: "missed" }]
    else this.waiting.push(event)
    this.filled.openUnsafe()
  }

  take(): ReadonlyArray<StoreEvent> {
    const taken = this.waiting
    this.waiting = []
    this.filled.closeUnsafe()
    return taken
  }
}

/** A reader that is further behind is told that it missed some. */
const keptEvents = 4096

/** Who listens. One pending hint is enough for a worker: what it says is only "look". */
class Listeners {
  readonly workers = new Set<WorkerHint>()
  readonly events = new Set<EventBuffer>()

  readonly work = (queue: string): void => {
    for (const listener of this.workers) if (listener.queues.has(queue)) Queue.offerUnsafe(listener.queue, undefined)
  }

  readonly worker = (worker: string): void => {
    for (const listener of this.workers) if (listener.worker === worker) Queue.offerUnsafe(listener.queue, undefined)
  }

  readonly all = (): void => {
    for (const listener of this.workers) Queue.offerUnsafe(listener.queue, undefined)
  }

  get heard(): boolean {
    return this.events.size > 0
  }

  readonly event = (event: StoreEvent): void => {
    for (const buffer of this.events) buffer.add(event)
  }
}

let stores = 0

export const make = Effect.fnUntraced(function*(
  options?: MemoryOptions
): Effect.fn.Return<Shape, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const listeners = new Listeners()
  const state = new MemoryState({
    maxCrashes: options?.maxCrashes ?? 3,
    maxFinished: options?.maxFinished ?? defaultMaxFinished,
    hints: listeners
  })
  yield* Effect.addFinalizer(() => warnOfLoss(state))
  return shape(state, clock, listeners, `memory-${++stores}`)
})

const shape = (state: MemoryState, clock: Clock.Clock, listeners: Listeners, identity: string): Shape => {
  // Whole milliseconds, as all stores keep them: a fraction left until something is due would be waited for in vain.
  const now = () => Math.floor(clock.currentTimeMillisUnsafe())
  return {
    identity,
    notifications: "exact",
    describe: Effect.succeed({
      kind: "memory",
      durability: "none: records live in this process",
      schemaVersion: 1,
      capabilities: ["events", "schedules"],
      maxCrashes: state.maxCrashes
    }),
    enqueue: (request) =>
      Effect.suspend(() => {
        const answers = enqueue(state, request, now())
        return answers === undefined
          ? Effect.fail(new JobStoreError({ reason: new LeaseLost(request.by!) }))
          : Effect.succeed(answers)
      }),
    exchange: (request) => Effect.sync(() => exchange(state, request, now())),
    renew: (request) => Effect.sync(() => renew(state, request, now())),
    write: (entries) => Effect.sync(() => write(state, entries, now())),
    results: (ids) => Effect.sync(() => results(state, ids)),
    dependencies: (request) => Effect.sync(() => dependencies(state, request)),
    signal: (request) => Effect.sync(() => signal(state, request, now())),
    get: (id) =>
      Effect.sync(() => {
        const row = state.rows.get(id)
        if (row === undefined) return undefined
        const checkpoints = row.more?.checkpoints
        return checkpoints === undefined ? view(row) : { ...view(row), checkpoints }
      }),
    query: (request) => Effect.sync(() => query(state, request)),
    stats: Effect.sync(() => stats(state, now())),
    control: (request) => Effect.sync(() => control(state, request, now())),
    pause: (name, paused) =>
      Effect.sync(() => {
        const queue = state.queue(name)
        if (queue.paused === paused) return false
        queue.paused = paused
        if (!paused) state.hints.work(name)
        return true
      }),
    schedules: (request) => Effect.sync(() => Schedules.read(state, request, now())),
    putSchedule: (put) => Effect.sync(() => Schedules.put(state, put)),
    tick: (request) => Effect.sync(() => Schedules.tick(state, request, now())),
    limits: (changes) => Effect.sync(() => change(state, changes, now())),
    keys: (request) => Effect.sync(() => keysOf(state, request, now())),
    maintain: Effect.sync(() => maintain(state, now())),
    wakeups: (worker, queues) =>
      Stream.unwrap(Effect.gen(function*() {
        const queue = yield* Queue.dropping<void>(1)
        const listener: WorkerHint = { worker, queues: new Set(queues), queue }
        yield* Effect.acquireRelease(
          Effect.sync(() => listeners.workers.add(listener)),
          () => Effect.sync(() => listeners.workers.delete(listener))
        )
        return Stream.fromQueue(queue)
      })),
    events: Stream.unwrap(Effect.gen(function*() {
      const buffer = new EventBuffer()
      yield* Effect.acquireRelease(
        Effect.sync(() => listeners.events.add(buffer)),
        () => Effect.sync(() => listeners.events.delete(buffer))
      )
      return Stream.flattenIterable(
        Stream.fromEffectRepeat(Effect.andThen(buffer.filled.await, Effect.sync(() => buffer.take())))
      )
    }))
  }
}

/** Says what ends with the process, so that nobody finds out later. */
const warnOfLoss = (state: MemoryState) =>
  Effect.suspend(() => {
    const lost = new Map<string, number>()
    for (const row of state.rows.values()) {
      if (row.state === "completed" || row.state === "cancelled" || row.state === "dead") continue
      lost.set(row.spec.tag, (lost.get(row.spec.tag) ?? 0) + 1)
    }
    if (lost.size === 0) return Effect.void
    const total = [...lost.values()].reduce((sum, count) => sum + count, 0)
    return Effect.logWarning(
      `memory store closed: ${total} unfinished records are lost`,
      Object.fromEntries([...lost].toSorted(([a], [b]) => (a < b ? -1 : 1)))
    )
  })
