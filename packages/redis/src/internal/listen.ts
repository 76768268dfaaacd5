/**
 * One subscription per store and process for wake-ups, opened when a worker first listens, and one for events while
 * somebody reads them.
 *
 * Hints only. A subscription comes back by itself after a lost connection, and says nothing of what it missed; so the store
 * sends itself a message now and then: who hears nothing for too long subscribes anew and tells everybody to look.
 */
import type { JobStore } from "capstan"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Client } from "./client.ts"
import { clean, packWorker } from "./codec.ts"

/** How often the store sends itself a message, and how long that may take. */
const usualBeat = Duration.seconds(10)

interface Sleeper {
  readonly worker: string
  readonly queues: ReadonlySet<string>
  readonly queue: Queue.Queue<void>
}

export class Listener {
  private readonly sleepers = new Set<Sleeper>()
  private readonly client: Client
  private readonly scope: Scope.Scope
  private readonly id: string
  private readonly beat: Duration.Input
  private fiber: Fiber.Fiber<unknown> | undefined
  private isHeard = false
  private isConnected = false

  constructor(client: Client, scope: Scope.Scope, id: string, beat: Duration.Input = usualBeat) {
    this.client = client
    this.scope = scope
    this.id = id
    this.beat = beat
  }

  readonly wakeups = (worker: string, queues: ReadonlyArray<string>): Stream.Stream<void> =>
    Stream.unwrap(Effect.gen({ self: this }, function*() {
      const queue = yield* Queue.dropping<void>(1)
      const sleeper: Sleeper = { worker: packWorker(worker), queues: new Set(queues.map(clean)), queue }
      yield* Effect.acquireRelease(
        Effect.sync(() => this.sleepers.add(sleeper)),
        () => Effect.sync(() => this.sleepers.delete(sleeper))
      )
      this.fiber ??= Effect.runFork(Effect.forkIn(this.loop, this.scope))
      return Stream.fromQueue(queue)
    }))

  private readonly loop = Effect.suspend(() => this.session).pipe(
    Effect.sandbox,
    Effect.retry(
      Schedule.exponential("50 millis").pipe(
        Schedule.jittered,
        (schedule) => Schedule.min([schedule, Schedule.spaced("5 seconds")])
      )
    ),
    Effect.forever
  )

  private readonly session = Effect.scoped(Effect.gen({ self: this }, function*() {
    const channel = `${this.client.key}:w`
    const messages = yield* this.client.redis.subscribe(channel)
    const read = Effect.forever(Effect.map(Queue.take(messages), ({ message }) => this.hear(message)))
    const watch = Effect.gen({ self: this }, function*() {
      do {
        this.isHeard = false
        // At once, too: the answer says from when on nothing is missed.
        yield* Effect.ignore(this.client.send("listen", "PUBLISH", channel, `h${this.id}`))
        yield* Effect.sleep(this.beat)
      } while (this.isHeard)
      yield* Effect.logWarning("no wake-up has come back in time: listening anew")
    })
    yield* Effect.raceFirst(read, watch)
  })).pipe(Effect.ensuring(Effect.sync(() => this.isConnected = false)))

  private hear(message: string): void {
    const rest = message.slice(1)
    switch (message[0]) {
      case "w":
        return this.wake(({ queues }) => queues.has(rest))
      case "k":
        return this.wake(({ worker }) => worker === rest)
      case "h":
        if (rest !== this.id) return
        // From here on nothing is missed; what came before may have been.
        if (!this.isConnected) this.wake(() => true)
        this.isHeard = true
        this.isConnected = true
    }
  }

  private wake(which: (sleeper: Sleeper) => boolean): void {
    for (const sleeper of this.sleepers) if (which(sleeper)) Queue.offerUnsafe(sleeper.queue, undefined)
  }
}

export const noEvents: Stream.Stream<JobStore.StoreEvent> = Stream.concat(
  Stream.make({ type: "missed" as const }),
  Stream.never
)
