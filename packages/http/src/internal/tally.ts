/** What ended, and how long it waited and ran, by queue, as the store told it: from its events alone, in bounded memory. */
import type { JobStore } from "capstan"
import { Histogram } from "./histogram.ts"

/** Of one queue. */
export interface Told {
  completed: number
  /** Retried after a failure, or dead. */
  failed: number
  /** From when the record was due to the start of its first attempt. */
  readonly waits: Histogram
  /** Of attempts, however they ended. */
  readonly runs: Histogram
}

/** Records of which it is remembered that they run, and as many of which that they have run before. */
const remembered = 20_000

/** The instant in an id, that of its enqueue: for events of a release that does not say since when a record was ready. */
const enqueuedAt = (id: string): number => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)

/** What was put in first makes room. */
const put = <A>(map: Map<string, A>, key: string, value: A): void => {
  map.delete(key)
  map.set(key, value)
  if (map.size > remembered) map.delete(map.keys().next().value!)
}

export class Tally {
  private told = new Map<string, Told>()
  private readonly started = new Map<string, number>()
  /** A snooze gives the attempt back: what starts as the first one may have run before. */
  private readonly ran = new Map<string, true>()
  private isAtLeast = false
  private isHearing = false

  add(events: ReadonlyArray<JobStore.StoreEvent>): void {
    for (const event of events) {
      this.isHearing ||= event.type !== "missed"
      switch (event.type) {
        case "missed":
          // A subscription opens with it.
          this.isAtLeast ||= this.isHearing
          break
        case "started":
          if (event.attempt === 1 && !this.ran.has(event.id)) {
            this.of(event.queue).waits.add(Math.max(0, event.at - (event.readyAt ?? enqueuedAt(event.id))))
          }
          put(this.started, event.id, event.at)
          break
        case "completed":
          this.of(event.queue).completed++
          this.end(event)
          this.ran.delete(event.id)
          break
        case "dead":
        case "retried":
          if (event.snoozed !== true) this.of(event.queue).failed++
          this.end(event)
          break
        case "blocked":
        case "cancelled":
          this.end(event)
          break
        case "enqueued":
        case "progress":
        case "deleted":
          break
      }
    }
  }

  /** Since it was taken last. */
  take(): { readonly told: ReadonlyMap<string, Told>; readonly isAtLeast: boolean } {
    const { isAtLeast, told } = this
    this.told = new Map()
    this.isAtLeast = false
    return { told, isAtLeast }
  }

  private end({ at, id, queue }: JobStore.RecordEvent): void {
    const started = this.started.get(id)
    if (started === undefined) return
    this.started.delete(id)
    put(this.ran, id, true)
    this.of(queue).runs.add(Math.max(0, at - started))
  }

  private of(queue: string): Told {
    let found = this.told.get(queue)
    if (found === undefined) {
      this.told.set(queue, found = { completed: 0, failed: 0, waits: new Histogram(), runs: new Histogram() })
    }
    return found
  }
}
