/**
 * The memory store: the verbs over one `MemoryState`, with the clock of the layer and the hints that make wake-ups exact.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { JobStoreError, LeaseLost } from "../../JobError.ts"
import type { Shape } from "../../JobStore.ts"
import { integer } from "../definition.ts"
import * as Log from "../log.ts"
import { Member } from "./beside.ts"
import { control } from "./control.ts"
import { enqueue } from "./enqueue.ts"
import { exchange } from "./exchange.ts"
import { change, keysOf } from "./limits.ts"
import { EventBuffer, Listeners } from "./listeners.ts"
import { maintain } from "./maintain.ts"
import { dependencies, isCursor, query, results, stats } from "./query.ts"
import { renew } from "./renew.ts"
import { view } from "./row.ts"
import * as Schedules from "./schedules.ts"
import { MemoryState } from "./state.ts"
import { signal, write } from "./write.ts"

export interface MemoryOptions {
  /**
   * A record whose workers died this often while they held it is dead with reason `Crashed`: from 1 to 100.
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

let stores = 0

export const make = Effect.fnUntraced(function*(
  options?: MemoryOptions
): Effect.fn.Return<Shape, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const listeners = new Listeners()
  const state = new MemoryState({
    maxCrashes: integer("memory store", "maxCrashes", options?.maxCrashes ?? 3, 1, 100),
    maxFinished: integer(
      "memory store",
      "maxFinished",
      options?.maxFinished ?? defaultMaxFinished,
      0,
      Number.MAX_SAFE_INTEGER
    ),
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
    exchange: (request) =>
      Effect.sync(() => {
        const at = now()
        return listeners.exchange(state, request, at, () => exchange(state, request, at))
      }),
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
    isCursor,
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
        const member = new Member(worker, queues, queue)
        yield* Effect.acquireRelease(
          Effect.sync(() => listeners.add(member)),
          () => Effect.sync(() => listeners.delete(member, state, now()))
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
    return Log.warning(
      `memory store closed: ${total} unfinished records are lost`,
      Object.fromEntries([...lost].toSorted(([a], [b]) => (a < b ? -1 : 1)))
    )
  })
