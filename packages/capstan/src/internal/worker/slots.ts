/**
 * One pool of slots, shared by queues: how many records each queue may take now.
 *
 * Weighted: every exchange gives each queue a credit in proportion to its weight; what it takes is charged. A queue that
 * had nothing to take keeps no credit, so it cannot save up and crowd out the others later (deficit round robin, Shreedhar
 * and Varghese 1996).
 */
import type { Claimed, Demand } from "../../JobStore.ts"

export class QueueSlots {
  readonly name: string
  cap = Infinity
  weight = 1
  /** How many records one slot takes, where all jobs of the queue take batches. */
  batch = 1
  /** The largest batch of any of its jobs. */
  largest = 1
  /** Claimed, and collected for a batch that is not closed. */
  collecting = 0
  running = 0
  /** Claimed, and not started yet. */
  waiting = 0
  credit = 0
  /** A claim may find something. */
  mayFind = true

  constructor(name: string) {
    this.name = name
  }
}

export class Slots {
  concurrency: number
  readonly order: "strict" | "weighted"
  readonly queues: ReadonlyMap<string, QueueSlots>
  running = 0
  waiting = 0
  private readonly list: ReadonlyArray<QueueSlots>

  constructor(concurrency: number, order: "strict" | "weighted", queues: ReadonlyArray<QueueSlots>) {
    this.concurrency = concurrency
    this.order = order
    this.list = queues
    this.queues = new Map(queues.map((queue) => [queue.name, queue]))
  }

  get isFull(): boolean {
    return this.running >= this.concurrency
  }

  /** Whether a claimed record of the queue may start. */
  hasRoom(queue: QueueSlots): boolean {
    return !this.isFull && queue.running < queue.cap
  }

  /** How many records the pool may take, with `ahead` of them to wait for a slot. */
  room(ahead: number): number {
    return Math.max(0, this.concurrency - this.running - this.waiting + ahead)
  }

  /** Whether a claim for one of the queues may find something that there is room for. */
  mayFind(ahead: number): boolean {
    return this.room(ahead) > 0 && this.list.some((queue) => queue.mayFind && this.roomOf(queue) > 0)
  }

  lookEverywhere(): void {
    for (const queue of this.list) queue.mayFind = true
  }

  demand(total: number): ReadonlyArray<Demand> {
    if (this.list.length === 1) {
      const queue = this.list[0]!
      const slots = Math.min(total * queue.batch, this.roomOf(queue))
      return slots > 0 ? [{ queue: queue.name, slots, share: slots }] : []
    }
    return this.order === "strict" ? this.strict(total) : this.weighted(total)
  }

  /** How many records a demand for so many slots may bring: of batches, all that the slots take. */
  most(demand: ReadonlyArray<Demand>, total: number): number {
    if (this.list.every(({ batch }) => batch === 1)) return total
    const shared = demand.reduce((sum, { share }) => sum + share, 0)
    return Math.max(total, this.order === "strict" ? Math.max(...demand.map(({ slots }) => slots)) : shared)
  }

  /**
   * How many records of the queue may be claimed by its cap. None ahead: what waits for the pool starts when anything ends,
   * what waits for a cap only holds a place in the pool that others could use. Of batches as many are collected as would fill
   * the slots that are free, also where other jobs share the queue: what is claimed there may all be theirs, or none of it.
   */
  private roomOf({ batch, cap, collecting, largest, running, waiting }: QueueSlots): number {
    const room = cap - running - waiting
    const size = batch === 1 ? largest : batch
    if (size === 1) return room
    const collectable = Math.max(0, Math.min(room, this.concurrency - this.running - this.waiting)) * size - collecting
    return batch === 1 ? Math.min(room, collectable) : collectable
  }

  private open(total: number): ReadonlyArray<readonly [QueueSlots, number]> {
    const found: Array<readonly [QueueSlots, number]> = []
    for (const queue of this.list) {
      const slots = Math.min(total * queue.batch, this.roomOf(queue))
      if (slots > 0) found.push([queue, slots])
    }
    return found
  }

  private strict(total: number): ReadonlyArray<Demand> {
    return this.open(total).map(([queue, slots]) => ({ queue: queue.name, slots, share: 0 }))
  }

  private weighted(total: number): ReadonlyArray<Demand> {
    const open = this.open(total)
    let weights = 0
    for (const [queue] of open) weights += queue.weight
    for (const [queue] of open) queue.credit += (total * queue.weight) / weights
    return open
      .map(([queue, slots]) => ({
        queue,
        demand: { queue: queue.name, slots, share: share(queue.credit * queue.batch, slots) }
      }))
      .toSorted((a, b) => b.queue.credit - a.queue.credit)
      .map(({ demand }) => demand)
  }

  /**
   * Charges what came, and takes back the credit of queues that have nothing more. One that was left out because the pool
   * had no room for it keeps its credit, for the next time; but nobody keeps more of it than they can use: a queue at its
   * cap would save it up.
   */
  charge(
    demand: ReadonlyArray<Demand>,
    claimed: ReadonlyArray<Pick<Claimed, "queue">>,
    more: ReadonlyArray<string>
  ): void {
    // Of a queue that was not asked for nothing is known, not even when its next record is due.
    for (const queue of this.list) queue.mayFind = true
    for (const { queue } of demand) this.queues.get(queue)!.mayFind = more.includes(queue)
    if (this.list.length === 1 || this.order === "strict") return
    for (const { queue: name } of demand) {
      const queue = this.queues.get(name)!
      let taken = 0
      for (const record of claimed) if (record.queue === name) taken += 1 / queue.batch
      const most = queue.mayFind ? Math.min(this.concurrency, queue.cap) : 0
      queue.credit = Math.max(-this.concurrency, Math.min(most, queue.credit - taken))
    }
  }

  /** A claimed record goes back unstarted: the credits are what they were before it was claimed. */
  giveBack(queue: QueueSlots): void {
    if (this.list.length === 1 || this.order === "strict") return
    let weights = 0
    for (const { weight } of this.list) weights += weight
    for (const other of this.list) other.credit -= other.weight / weights
    queue.credit++
  }
}

const share = (credit: number, slots: number): number => Math.max(0, Math.min(slots, Math.floor(credit)))
