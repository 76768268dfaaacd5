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
const keptEntries = 10_000

const none: ReadonlyArray<never> = []

export class Outbox {
  private settlements: Array<Settlement> = []
  private entries: ReadonlyArray<WriteEntry> = none
  /** Attempts that have written since the last time. */
  private readonly dirty = new Set<Attempt>()
  /** On their way. */
  settling: ReadonlyArray<Settlement> = none
  writing: ReadonlyArray<WriteEntry> = none
  /**
   * Wakes who waits until there is nothing more to say. A turn under way keeps it closed, even with nothing to settle: what
   * it claims may have to be given back.
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

  /** Begins a turn. Writes and settlements are taken in one step, so no settlement overtakes what its attempt wrote. */
  take(atMost: number): void {
    this.flushed.closeUnsafe()
    if (this.dirty.size > 0) {
      const written = [...this.dirty].flatMap((attempt) => attempt.takeWrites())
      this.entries = [...this.entries, ...written].slice(-keptEntries)
      this.dirty.clear()
    }
    this.writing = this.entries
    this.entries = none
    if (this.settlements.length <= atMost) {
      this.settling = this.settlements
      this.settlements = []
    } else {
      this.settling = this.settlements.splice(0, atMost)
    }
  }

  /** The store has so many of the writes on their way. */
  written(count: number): void {
    this.writing = this.writing.slice(count)
  }

  /** The store has so many of the settlements on their way. */
  settled(count: number): void {
    this.settling = this.settling.slice(count)
  }

  putBackWrites(): void {
    this.entries = [...this.writing, ...this.entries]
    this.writing = none
  }

  /** Ends a turn. What did not arrive goes out again first: a settlement sent twice is answered as done (P13). */
  land(): void {
    if (this.writing.length > 0) this.putBackWrites()
    if (this.settling.length > 0) this.settlements = [...this.settling, ...this.settlements]
    this.settling = none
    if (this.isEmpty) this.flushed.openUnsafe()
  }

  /** What it has settled and not heard back. */
  unsettled(): ReadonlyArray<AttemptRef> {
    return [...this.settling, ...this.settlements].map(({ fence, id }) => ({ id, fence }))
  }
}
