/**
 * Records of batch jobs on their way to a batch: each job and key has one that is open, until it is full or its time has come.
 *
 * They are claimed, and none of them has started: whatever ends the wait gives them back as they were.
 */
import type { RunnableJob } from "./runner.ts"
import type { QueueSlots } from "./slots.ts"
import type { Prefetched } from "./waiting.ts"

class Collection {
  readonly queue: QueueSlots
  readonly size: number
  readonly closesAt: number
  members: Array<Prefetched> = []

  constructor(queue: QueueSlots, size: number, closesAt: number) {
    this.queue = queue
    this.size = size
    this.closesAt = closesAt
  }
}

export class Collector {
  private readonly open = new Map<string, Collection>()
  /** How many records it holds. */
  size = 0
  /** When the next batch closes, by the monotonic clock. */
  nextAt = Infinity

  /** Answers the batch that is full with this record. */
  add(next: Prefetched, { definition, tag }: RunnableJob, queue: QueueSlots, now: number): Prefetched | undefined {
    const { size, within } = definition.batch!
    const name = `${tag}\0${next.claimed.batchKey ?? ""}`
    let collection = this.open.get(name)
    if (collection === undefined) {
      this.open.set(name, collection = new Collection(queue, size, now + within))
      this.nextAt = Math.min(this.nextAt, collection.closesAt)
    }
    collection.members.push(next)
    queue.collecting++
    this.size++
    if (collection.members.length < size) return undefined
    const full = this.close(name, collection, now)
    if (collection.closesAt === this.nextAt) this.foresee()
    return full
  }

  /** The batches whose time has come, in the order in which they were begun. */
  due(now: number): ReadonlyArray<Prefetched> {
    const closed: Array<Prefetched> = []
    if (now < this.nextAt) return closed
    for (const [name, collection] of this.open) {
      if (now >= collection.closesAt) closed.push(this.close(name, collection, now))
    }
    this.foresee()
    return closed
  }

  /** It waits for a slot now: one that is full, at least until it would have closed by itself. */
  private close(name: string, collection: Collection, now: number): Prefetched {
    this.forget(name, collection, collection.members.length)
    const [first, ...mates] = collection.members
    return { ...first!, mates, since: Math.max(now, collection.closesAt) }
  }

  private forget(name: string, collection: Collection, many: number): void {
    collection.queue.collecting -= many
    this.size -= many
    if (many === collection.members.length) this.open.delete(name)
  }

  /** Once for all that have closed: each look costs as much as there are keys. */
  private foresee(): void {
    this.nextAt = Infinity
    for (const { closesAt } of this.open.values()) if (closesAt < this.nextAt) this.nextAt = closesAt
  }

  /** Takes records out. */
  take(which: (next: Prefetched) => boolean): ReadonlyArray<Prefetched> {
    const taken: Array<Prefetched> = []
    if (this.size === 0) return taken
    for (const [name, collection] of this.open) {
      const gone = collection.members.filter(which)
      if (gone.length === 0) continue
      taken.push(...gone)
      this.forget(name, collection, gone.length)
      collection.members = collection.members.filter((next) => !gone.includes(next))
    }
    if (taken.length > 0) this.foresee()
    return taken
  }

  get claimed(): ReadonlyArray<Prefetched["claimed"]> {
    return [...this.open.values()].flatMap(({ members }) => members.map(({ claimed }) => claimed))
  }
}
