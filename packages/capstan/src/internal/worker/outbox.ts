/**
 * What the worker has still to tell the store, and what of it is on its way.
 *
 * Nothing is forgotten before the store has answered: what a failed call carried goes out again. What an attempt wrote goes
 * out before its settlement, after which the fence refuses it.
 */
import * as Latch from "effect/Latch"
import type { AttemptRef, Settlement, WriteEntry } from "../../JobStore.ts"
import type { Attempt } from "./attempt.ts"

/** Progress and log entries that are kept while the store is away. */
export const keptEntries = 10_000

const none: ReadonlyArray<never> = []

/** What one turn carries to the store, until the store has answered. */
export class Parcel {
  writes: ReadonlyArray<WriteEntry>
  settlements: ReadonlyArray<Settlement>

  constructor(writes: ReadonlyArray<WriteEntry>, settlements: ReadonlyArray<Settlement>) {
    this.writes = writes
    this.settlements = settlements
  }

  /** The store has so many of the writes. */
  written(count: number): void {
    this.writes = this.writes.slice(count)
  }

  /** The store has so many of the settlements. */
  settled(count: number): void {
    this.settlements = this.settlements.slice(count)
  }
}

export class Outbox {
  private settlements: Array<Settlement> = []
  private entries: ReadonlyArray<WriteEntry> = none
  /** Attempts that have written since the last time. */
  private readonly dirty = new Set<Attempt>()
  private readonly underWay = new Set<Parcel>()
  /**
   * Wakes who waits until there is nothing more to say. A turn under way keeps it closed, even with nothing to settle: what
   * it claims may have to be given back.
   */
  readonly flushed = Latch.makeUnsafe(true)

  get isEmpty(): boolean {
    return this.settlements.length === 0 && !this.hasWrites
  }

  get hasWrites(): boolean {
    return this.dirty.size > 0 || this.entries.length > 0
  }

  /** How many settlements wait to go out. */
  get unsent(): number {
    return this.settlements.length
  }

  settle(settlement: Settlement): void {
    this.flushed.closeUnsafe()
    this.settlements.push(settlement)
  }

  writes(attempt: Attempt): void {
    this.dirty.add(attempt)
  }

  /** Begins a turn. Writes and settlements are taken in one step, so no settlement overtakes what its attempt wrote. */
  take(atMost: number): Parcel {
    this.flushed.closeUnsafe()
    if (this.dirty.size > 0) {
      const written = [...this.dirty].flatMap((attempt) => attempt.takeWrites())
      this.entries = [...this.entries, ...written].slice(-keptEntries)
      this.dirty.clear()
    }
    const { entries, settlements } = this
    const isAll = settlements.length <= atMost
    const parcel = new Parcel(entries, isAll ? settlements : settlements.slice(0, atMost))
    this.entries = none
    this.settlements = isAll ? [] : settlements.slice(atMost)
    this.underWay.add(parcel)
    return parcel
  }

  /** Ends a turn. What did not arrive goes out again first: a settlement sent twice is answered as done (P13). */
  land(parcel: Parcel): void {
    if (!this.underWay.delete(parcel)) return
    this.putBackWrites(parcel)
    if (parcel.settlements.length > 0) this.settlements = [...parcel.settlements, ...this.settlements]
    if (this.isEmpty && this.underWay.size === 0) this.flushed.openUnsafe()
  }

  landAll(): void {
    for (const parcel of this.underWay) this.land(parcel)
  }

  /** Its settlements go on without them. */
  putBackWrites(parcel: Parcel): void {
    if (parcel.writes.length > 0) this.entries = [...parcel.writes, ...this.entries]
    parcel.writes = none
  }

  /** What it has settled and not heard back. */
  unsettled(): ReadonlyArray<AttemptRef> {
    return [...[...this.underWay].flatMap(({ settlements }) => settlements), ...this.settlements]
      .map(({ fence, id }) => ({ id, fence }))
  }
}
