/**
 * What the worker has still to tell the store, and what of it is on its way.
 *
 * Nothing is forgotten before the store has answered: what a failed call carried goes out again.
 */
import * as Latch from "effect/Latch"
import type { AttemptRef, Settlement, WriteEntry } from "../../JobStore.ts"
import type { Attempt } from "./attempt.ts"

/** Progress and log entries that are kept while the store is away. */
const keptEntries = 10_000

export class Outbox {
  private settlements: Array<Settlement> = []
  /** Settlements on their way. */
  private inFlight: ReadonlyArray<Settlement> = []
  /** Attempts that have written since the last time. */
  private readonly dirty = new Set<Attempt>()
  private entries: ReadonlyArray<WriteEntry> = []
  /**
   * Wakes who waits until there is nothing more to say. An exchange under way keeps it closed, even with nothing to settle:
   * what it claims may have to be given back.
   */
  readonly flushed = Latch.makeUnsafe(true)

  get isEmpty(): boolean {
    return this.settlements.length === 0 && this.dirty.size === 0 && this.entries.length === 0
  }

  settle(settlement: Settlement): void {
    this.flushed.closeUnsafe()
    this.settlements.push(settlement)
  }

  writes(attempt: Attempt): void {
    this.dirty.add(attempt)
  }

  /** What the attempts have written since the last time, and what could not be sent then. */
  takeWrites(): ReadonlyArray<WriteEntry> {
    if (this.dirty.size > 0) {
      const written = [...this.dirty].flatMap((attempt) => attempt.takeWrites())
      this.entries = [...this.entries, ...written].slice(-keptEntries)
      this.dirty.clear()
    }
    const taken = this.entries
    this.entries = []
    return taken
  }

  putBackWrites(entries: ReadonlyArray<WriteEntry>): void {
    this.entries = entries
  }

  /** The settlements of the exchange that begins. */
  takeSettlements(atMost: number): ReadonlyArray<Settlement> {
    this.flushed.closeUnsafe()
    if (this.settlements.length <= atMost) {
      this.inFlight = this.settlements
      this.settlements = []
    } else {
      this.inFlight = this.settlements.splice(0, atMost)
    }
    return this.inFlight
  }

  /** The settlements in flight have arrived, and the reply is taken in. */
  delivered(): void {
    this.inFlight = []
    this.landed()
  }

  /** Settlements whose exchange failed go out again first: sent twice, they are answered as done (P13). */
  putBack(): void {
    this.settlements = [...this.inFlight, ...this.settlements]
    this.inFlight = []
    this.landed()
  }

  private landed(): void {
    if (this.isEmpty) this.flushed.openUnsafe()
  }

  /** What it has settled and not heard back. */
  unsettled(): ReadonlyArray<AttemptRef> {
    return [...this.inFlight, ...this.settlements].map(({ fence, id }) => ({ id, fence }))
  }
}
