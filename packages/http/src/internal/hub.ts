/**
 * The event streams of one process: one subscription at the store for all readers, frames that several readers share, and
 * the last of them kept, so that a reader whose connection broke goes on where it was.
 *
 * A frame goes out at once, and the next one not before a pause, in which the store gathers what happens. What is too much
 * for a page becomes `missed`: then reading anew is cheaper than being told.
 */
import type { JobError, Jobs, JobStore } from "capstan"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Tally } from "./tally.ts"

/** What happened, or `missed`. Its id says nothing of other frames: a gap would tell a reader of what may not be seen. */
export interface Frame {
  readonly id: string
  readonly events: ReadonlyArray<JobStore.RecordEvent> | "missed"
}

export interface Settings {
  /** Milliseconds between two frames. */
  readonly pause: number
  /** Events of one frame, each of another record. */
  readonly frame: number
  /** Frames that are kept for who comes back. */
  readonly kept: number
  /** Frames that a reader may be behind. */
  readonly behind: number
}

export const usualSettings: Settings = { pause: 200, frame: 500, kept: 256, behind: 64 }

/** One connection. */
export interface Reader {
  /** What it missed while it was away. */
  readonly before: ReadonlyArray<Frame>
  readonly queue: Queue.Queue<Frame, Cause.Done>
  /** It was too slow: after what waits for it the stream ends. */
  isDropped: boolean
}

export class Hub {
  private readonly nextId: () => string
  private readonly settings: Settings
  private readonly readers = new Set<Reader>()
  private frames: Array<Frame> = []
  private readonly tallies = new Set<Tally>()

  constructor(nextId: () => string, settings: Settings) {
    this.nextId = nextId
    this.settings = settings
  }

  /** Until the scope closes. `after` is the last id that the reader has seen. */
  readonly join = (after: string | undefined): Effect.Effect<Reader, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.map(Queue.dropping<Frame, Cause.Done>(this.settings.behind), (queue) => {
        const reader: Reader = { before: this.since(after), queue, isDropped: false }
        this.readers.add(reader)
        return reader
      }),
      (reader) => Effect.sync(() => this.leave(reader))
    )

  /** Counts what ends from now on, until the scope closes. */
  readonly tally: Effect.Effect<Tally, never, Scope.Scope> = Effect.acquireRelease(
    Effect.sync(() => {
      const tally = new Tally()
      this.tallies.add(tally)
      return tally
    }),
    (tally) => Effect.sync(() => void this.tallies.delete(tally))
  )

  publish(events: ReadonlyArray<JobStore.StoreEvent>): void {
    for (const tally of this.tallies) tally.add(events)
    const last = new Map<string, JobStore.RecordEvent>()
    let missed = false
    for (const event of events) {
      if (event.type !== "missed") {
        // The latest stands where it happened.
        last.delete(event.id)
        last.set(event.id, event)
        continue
      }
      // Who reads anew has what was before.
      missed = true
      last.clear()
    }
    const isTooMuch = last.size > this.settings.frame
    if (missed || isTooMuch) this.send("missed")
    if (last.size > 0 && !isTooMuch) this.send([...last.values()])
  }

  private send(events: Frame["events"]): void {
    const frame: Frame = { id: this.nextId(), events }
    this.frames.push(frame)
    if (this.frames.length > this.settings.kept) this.frames.shift()
    for (const reader of [...this.readers]) {
      if (Queue.offerUnsafe(reader.queue, frame)) continue
      reader.isDropped = true
      this.leave(reader)
    }
  }

  private leave(reader: Reader): void {
    this.readers.delete(reader)
    Queue.endUnsafe(reader.queue)
  }

  /** Before the subscription is open there is nothing to say: it opens with `missed`, and all readers get that. */
  private since(after: string | undefined): ReadonlyArray<Frame> {
    const last = this.frames.at(-1)
    if (last === undefined) return []
    const seen = this.frames.findLastIndex(({ id }) => id === after)
    return seen === -1 ? [{ id: last.id, events: "missed" }] : this.frames.slice(seen + 1)
  }
}

/** A hub that hears the store until the scope closes. A subscription that ends, for whatever reason, is made anew. */
export const make = (jobs: Jobs.Shape, settings: Settings): Effect.Effect<Hub, never, Scope.Scope> =>
  Effect.gen(function*() {
    const random = yield* Random.Random
    const part = () => Math.floor(random.nextDoubleUnsafe() * 2 ** 48).toString(36)
    const hub = new Hub(() => part() + part(), settings)
    yield* Effect.forkScoped(Effect.repeat(Effect.retry(hear(jobs, hub, settings), again), again))
    return hub
  })

/** Of a store that is away, until it is back. */
const again = Schedule.jittered(Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("5 seconds")]))

const hear = (
  jobs: Jobs.Shape,
  hub: Hub,
  settings: Settings
): Effect.Effect<void, JobError.JobStoreError> =>
  Stream.runForEachArray(
    jobs.events,
    (events) => Effect.andThen(Effect.sync(() => hub.publish(events)), Effect.sleep(settings.pause))
  )
