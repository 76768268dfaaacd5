/**
 * One LISTEN per store and process, opened when somebody first listens: workers' wake-ups and events of records.
 *
 * Hints only. It comes back by itself after a lost connection, and tells everybody to look anew. A connection that is half
 * open looks alive for hours, so the store sends itself a message now and then and reconnects when that does not arrive.
 */
import { type JobError, JobRecord, type JobStore } from "capstan"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Client } from "./client.ts"

/** How often the store sends itself a message, and how long that may take. */
const beat = "10 seconds"
/** How long a listener counts after it was last heard of, in milliseconds. */
const listenerAge = 30_000
/** A reader that is further behind is told that it missed some. */
const keptEvents = 4096

interface Worker {
  readonly id: string
  readonly queues: ReadonlySet<string>
  readonly queue: Queue.Queue<void>
}

export class Listener {
  private readonly workers = new Set<Worker>()
  private readonly readers = new Set<Queue.Queue<JobStore.StoreEvent>>()
  private readonly client: Client
  private readonly scope: Scope.Scope
  private readonly id: string
  private fiber: Fiber.Fiber<unknown> | undefined
  private heard = false
  private isConnected = false

  constructor(client: Client, scope: Scope.Scope, id: string) {
    this.client = client
    this.scope = scope
    this.id = id
  }

  readonly wakeups = (worker: string, queues: ReadonlyArray<string>): Stream.Stream<void> =>
    Stream.unwrap(Effect.gen({ self: this }, function*() {
      const queue = yield* Queue.dropping<void>(1)
      const listening: Worker = { id: worker, queues: new Set(queues), queue }
      yield* Effect.acquireRelease(
        Effect.sync(() => this.workers.add(listening)),
        () => Effect.sync(() => this.workers.delete(listening))
      )
      this.start()
      return Stream.fromQueue(queue)
    }))

  /** Opens with `missed` once it is sure to hear what comes after. */
  readonly events: Stream.Stream<JobStore.StoreEvent, JobError.JobStoreError> = Stream.unwrap(
    Effect.gen({ self: this }, function*() {
      const queue = yield* Queue.bounded<JobStore.StoreEvent>(keptEvents)
      yield* Effect.acquireRelease(
        Effect.sync(() => this.readers.add(queue)),
        () => Effect.sync(() => this.readers.delete(queue))
      )
      this.start()
      if (this.isConnected) yield* Effect.andThen(this.register, Effect.sync(() => this.missed(queue)))
      return Stream.fromQueue(queue)
    })
  )

  private start(): void {
    this.fiber ??= Effect.runFork(Effect.forkIn(this.loop, this.scope))
  }

  private readonly loop = Effect.suspend(() => this.connection).pipe(
    Effect.sandbox,
    Effect.retry(
      Schedule.exponential("50 millis").pipe(
        Schedule.modifyDelay(({ duration }) => Effect.succeed(duration)),
        Schedule.jittered,
        (schedule) => Schedule.min([schedule, Schedule.spaced("5 seconds")])
      )
    ),
    Effect.forever
  )

  private readonly connection = Effect.scoped(Effect.gen({ self: this }, function*() {
    // The pool may hand out a connection that is half-open: it would never be answered.
    const messages = yield* Effect.timeout(this.client.outside(this.client.pg.listen(this.client.channel)), beat)
    yield* Effect.acquireRelease(
      Effect.sync(() => this.isConnected = true),
      () => Effect.sync(() => this.isConnected = false)
    )
    yield* this.register
    for (const worker of this.workers) Queue.offerUnsafe(worker.queue, undefined)
    for (const reader of this.readers) this.missed(reader)
    const read = Effect.forever(Effect.map(Queue.take(messages), ({ payload }) => this.hear(payload)))
    yield* Effect.raceFirst(read, this.watch)
  }))

  /** Ends when a message to oneself does not come back. */
  private readonly watch = Effect.gen({ self: this }, function*() {
    do {
      this.heard = false
      yield* this.register
      yield* this.client.call("listen", "SELECT pg_notify($1, $2)", [this.client.channel, `h${this.id}`])
      yield* Effect.sleep(beat)
    } while (this.heard)
    yield* Effect.logWarning("no notification came back for ten seconds: listening anew")
  })

  /** Events are only sent while somebody is known to read them. */
  private readonly register = Effect.suspend(() =>
    this.readers.size === 0 ? Effect.void : this.client.call(
      "listen",
      `INSERT INTO ${this.client.schema}.listener (id, until) VALUES ($1, ${this.client.schema}.clock() + ${listenerAge})
       ON CONFLICT (id) DO UPDATE SET until = excluded.until`,
      [this.id]
    )
  )

  private hear(message: string): void {
    const rest = message.slice(1)
    switch (message[0]) {
      case "w":
        for (const { queue, queues } of this.workers) if (queues.has(rest)) Queue.offerUnsafe(queue, undefined)
        return
      case "k":
        for (const { id, queue } of this.workers) if (id === rest) Queue.offerUnsafe(queue, undefined)
        return
      case "e":
        if (this.readers.size === 0) return
        return this.tell(JSON.parse(rest))
      case "h":
        if (rest === this.id) this.heard = true
    }
  }

  private tell(event: JobStore.RecordEvent & { readonly reason?: string | null }): void {
    const told: JobStore.StoreEvent = {
      ...event,
      id: JobRecord.JobId(event.id),
      reason: event.reason ?? undefined
    }
    for (const reader of this.readers) if (!Queue.offerUnsafe(reader, told)) this.missed(reader)
  }

  private missed(reader: Queue.Queue<JobStore.StoreEvent>): void {
    Queue.takeUnsafe(reader)
    Queue.offerUnsafe(reader, { type: "missed" })
  }
}
