/**
 * One LISTEN per store and process, opened when somebody first listens: workers' wake-ups and events of records.
 *
 * Hints only. It comes back by itself after a lost connection, and tells everybody to look anew. A connection that is half
 * open looks alive for hours, so the store sends itself a message now and then and reconnects when that does not arrive.
 */
import * as PgConnection from "@effect/sql-pg/PgConnection"
import { type JobError, JobRecord, type JobStore } from "capstan"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Client } from "./client.ts"

/** How often the store sends itself a message, and how long that may take. */
const usualBeat = "10 seconds"
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
  private readonly late: () => void
  private readonly beat: Duration.Input
  private fiber: Fiber.Fiber<unknown> | undefined
  private heard = false
  private isConnected = false

  constructor(client: Client, scope: Scope.Scope, id: string, late: () => void, beat: Duration.Input = usualBeat) {
    this.client = client
    this.scope = scope
    this.id = id
    this.late = late
    this.beat = beat
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
      if (this.isConnected) {
        yield* this.client.call("listen", this.registration, [this.id])
        this.missed(queue)
      }
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
        Schedule.jittered,
        (schedule) => Schedule.min([schedule, Schedule.spaced("5 seconds")])
      )
    ),
    Effect.forever
  )

  /**
   * A connection of its own, beside the pool: one that is half open can be let go of at once, where a pool would wait for an
   * answer to UNLISTEN that never comes, also when it is closed.
   */
  private readonly connection = Effect.scoped(Effect.gen({ self: this }, function*() {
    const use = yield* Scope.make()
    yield* Effect.addFinalizer(() => Scope.close(use, Exit.void))
    // Ended before its use is, so that nothing waits for an answer.
    const life = yield* Scope.make()
    yield* Effect.addFinalizer(() => Scope.close(life, Exit.void))
    const session = yield* Scope.provide(PgConnection.make(this.client.pg.config), life)
    const pinned = yield* Scope.provide(session.pin, use)
    const isListening = yield* Deferred.make<void>()
    const read = Effect.gen({ self: this }, function*() {
      const messages = yield* Scope.provide(pinned.listen(this.client.channel), use)
      if (this.readers.size > 0) yield* pinned.query(this.registration, [this.id])
      this.isConnected = true
      yield* Deferred.succeed(isListening, undefined)
      this.late()
      for (const worker of this.workers) Queue.offerUnsafe(worker.queue, undefined)
      for (const reader of this.readers) this.missed(reader)
      return yield* Effect.forever(Effect.map(Queue.take(messages), ({ payload }) => this.hear(payload)))
    })
    const say = (text: string, ...params: ReadonlyArray<string>) =>
      Effect.forkIn(Effect.ignore(pinned.query(text, params)), use)
    const watch = Effect.gen({ self: this }, function*() {
      this.heard = (yield* Effect.timeoutOption(Deferred.await(isListening), this.beat))._tag === "Some"
      while (this.heard) {
        this.heard = false
        if (this.readers.size > 0) yield* say(this.registration, this.id)
        yield* say("SELECT pg_notify($1, $2)", this.client.channel, `h${this.id}`)
        yield* Effect.sleep(this.beat)
      }
      yield* Effect.logWarning("no notification has come back in time: listening anew")
      yield* Scope.close(life, Exit.void)
    })
    yield* Effect.raceFirst(read, watch)
  })).pipe(Effect.ensuring(Effect.sync(() => this.isConnected = false)))

  /** Events are only sent while somebody is known to read them. */
  private get registration(): string {
    return `INSERT INTO ${this.client.schema}.listener (id, until) VALUES ($1, ${this.client.schema}.clock() + ${listenerAge})
      ON CONFLICT (id) DO UPDATE SET until = excluded.until`
  }

  private hear(message: string): void {
    const rest = message.slice(1)
    switch (message[0]) {
      case "l":
      case "w":
        if (message[0] === "l") this.late()
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
