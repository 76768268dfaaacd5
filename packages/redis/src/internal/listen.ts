/**
 * Wake-ups of sleeping workers, and events of records: one subscription for each per store and process, opened when somebody
 * first listens.
 *
 * Hints only. Events are numbered, so a reader that missed some is told; they are sent while somebody is known to read them.
 */
import { type JobError, JobRecord, type JobStore } from "capstan"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Calls } from "./client.ts"
import { clean, field, group, packWorker, record, unclean } from "./codec.ts"
import * as Ids from "./ids.ts"
import { listening } from "./subscription.ts"

/** How often the store sends itself a message, and how long that may take. */
const usualBeat = Duration.seconds(10)
/** A reader that is further behind is told that it missed some. */
const keptEvents = 4096

interface Sleeper {
  readonly worker: string
  readonly queues: ReadonlySet<string>
  readonly queue: Queue.Queue<void>
}

/** Starts a fiber of the scope once, when it is needed. */
class Once {
  private fiber: Fiber.Fiber<unknown, unknown> | undefined
  private readonly effect: Effect.Effect<unknown, unknown>
  private readonly scope: Scope.Scope

  constructor(effect: Effect.Effect<unknown, unknown>, scope: Scope.Scope) {
    this.effect = effect
    this.scope = scope
  }

  start(): void {
    this.fiber ??= Effect.runFork(Effect.forkIn(this.effect, this.scope))
  }
}

export interface Wakeups {
  readonly wakeups: JobStore.Shape["wakeups"]
  /** Wakes those who sleep here, without the server. */
  readonly wake: (workers: ReadonlySet<string>) => void
}

export const makeWakeups = (
  client: Calls,
  scope: Scope.Scope,
  id: string,
  every: Duration.Input = usualBeat
): Wakeups => {
  const sleepers = new Set<Sleeper>()
  const channel = `${client.key}:w`
  let isConnected = false
  const wake = (which: (sleeper: Sleeper) => boolean) => {
    for (const sleeper of sleepers) if (which(sleeper)) Queue.offerUnsafe(sleeper.queue, undefined)
  }
  const session = new Once(
    listening(client, {
      channel,
      every,
      beat: client.send("listen", "PUBLISH", channel, `h${id}`),
      hear: (message) => {
        const rest = message.slice(1)
        switch (message[0]) {
          case "w":
            wake(({ queues }) => queues.has(rest))
            return false
          case "n": {
            const names = new Set(rest.split(field))
            wake(({ worker }) => names.has(worker))
            return false
          }
          case "k":
            wake(({ worker }) => worker === rest)
            return false
          default:
            if (rest !== id) return false
            // From here on nothing is missed; what came before may have been.
            if (!isConnected) wake(() => true)
            return isConnected = true
        }
      },
      lost: () => isConnected = false
    }),
    scope
  )
  const wakeups: Wakeups["wakeups"] = (worker, queues) =>
    Stream.unwrap(Effect.gen(function*() {
      const queue = yield* Queue.dropping<void>(1)
      const sleeper: Sleeper = { worker: packWorker(worker), queues: new Set(queues.map(clean)), queue }
      yield* Effect.acquireRelease(
        Effect.sync(() => sleepers.add(sleeper)),
        () => Effect.sync(() => sleepers.delete(sleeper))
      )
      session.start()
      return Stream.fromQueue(queue)
    }))
  return { wakeups, wake: (workers) => wake(({ worker }) => workers.has(worker)) }
}

export const makeEvents = (
  client: Calls,
  scope: Scope.Scope,
  every: Duration.Input = usualBeat,
  partitions: ReadonlyArray<Calls> = [client]
): Stream.Stream<JobStore.StoreEvent, JobError.JobStoreError> => {
  const readers = new Set<Queue.Queue<JobStore.StoreEvent>>()
  /** Open while there are some. */
  const isRead = Latch.makeUnsafe(false)
  /** The number of the last message of each partition; of none while nothing is sure to be heard. */
  const last = new Map<string, number>()
  let isOpen = false
  const listen = Effect.forEach(partitions, (one) => one.call("listen", "listen", []), {
    concurrency: "unbounded",
    discard: true
  })
  const missed = (reader: Queue.Queue<JobStore.StoreEvent>) => {
    Queue.takeUnsafe(reader)
    Queue.offerUnsafe(reader, { type: "missed" })
  }
  const session = new Once(
    listening(client, {
      channel: `${client.key}:e`,
      every,
      // Where nobody reads nothing is sent, and silence tells nothing. The next reader is listened for at once.
      beat: Effect.andThen(isRead.await, listen),
      hear: (message) => {
        const [number, events, ready = ""] = message.split(group)
        const from = number!.slice(0, number!.indexOf("|") + 1)
        const at = Number(number!.slice(from.length))
        const before = last.get(from)
        if (before === undefined && !isOpen && last.size + 1 < partitions.length && events === undefined) {
          // The others have not answered yet.
        } else if (before === undefined || at > before + (events === undefined ? 0 : 1)) {
          isOpen = true
          for (const reader of readers) missed(reader)
        } else if (events !== undefined && at > before) {
          const instants = ready.split(",").values()
          for (const line of events.split(record)) {
            const event = toEvent(line, instants)
            for (const reader of readers) if (!Queue.offerUnsafe(reader, event)) missed(reader)
          }
        }
        last.set(from, at)
        return true
      },
      lost: () => {
        last.clear()
        isOpen = false
      }
    }),
    scope
  )
  return Stream.unwrap(Effect.gen(function*() {
    const queue = yield* Queue.bounded<JobStore.StoreEvent>(keptEvents)
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        readers.add(queue)
        isRead.openUnsafe()
      }),
      () =>
        Effect.sync(() => {
          readers.delete(queue)
          if (readers.size === 0) isRead.closeUnsafe()
        })
    )
    session.start()
    if (isOpen) {
      yield* listen
      missed(queue)
    }
    return Stream.fromQueue(queue)
  }))
}

/** `instants`: since when each of those that started was ready, in their order. */
const toEvent = (line: string, instants: Iterator<string>): JobStore.RecordEvent => {
  const [type, id, tag, queue, at, attempt, reason, snoozed] = line.split(field)
  return {
    type: type as JobStore.RecordEvent["type"],
    id: JobRecord.JobId(Ids.unpack(id!)),
    tag: unclean(tag!),
    queue: unclean(queue!),
    at: Number(at),
    attempt: Number(attempt),
    reason: reason === "" ? undefined : unclean(reason!),
    snoozed: snoozed === undefined ? undefined : true,
    readyAt: type === "started" ? Number(instants.next().value) || undefined : undefined
  }
}
