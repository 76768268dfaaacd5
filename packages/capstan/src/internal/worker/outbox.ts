/**
 * What the worker has still to tell the store, and what of it is on its way.
 *
 * Nothing is forgotten before the store has answered: what a failed call carried goes out again. What an attempt wrote goes
 * out before its settlement, after which the fence refuses it.
 */
import * as Latch from "effect/Latch"
import type { AttemptRef, Settled, Settlement, WriteEntry } from "../../JobStore.ts"
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
  /** What lies where the store could not reach it, until it goes out again. */
  private entriesAside: Array<WriteEntry> = []
  private settlementsAside: Array<Settlement> = []
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

  get hasAside(): boolean {
    return this.settlementsAside.length > 0 || this.entriesAside.length > 0
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
    this.holdBack(parcel)
    return parcel
  }

  /** Ends a turn. What did not arrive goes out again first: a settlement sent twice is answered as done (P13). */
  land(parcel: Parcel): void {
    if (!this.underWay.delete(parcel)) return
    this.putBackWrites(parcel)
    if (parcel.settlements.length > 0) this.settlements = [...parcel.settlements, ...this.settlements]
    if (this.isEmpty && !this.hasAside && this.underWay.size === 0) this.flushed.openUnsafe()
  }

  landAll(): void {
    for (const parcel of this.underWay) this.land(parcel)
    this.bringBack()
  }

  /** The store has answered these settlements: what it could not reach is set aside. Answers the others. */
  reached(settlements: ReadonlyArray<Settlement>, answers: ReadonlyArray<Settled>): ReadonlyArray<Settlement> {
    if (!answers.includes("Unreached")) return settlements
    this.settlementsAside.push(...settlements.filter((_, i) => answers[i] === "Unreached"))
    return settlements.filter((_, i) => answers[i] !== "Unreached")
  }

  /** The same of writes. */
  wrote(entries: ReadonlyArray<WriteEntry>, answers: ReadonlyArray<Settled>): void {
    if (answers.includes("Unreached")) this.entriesAside.push(...entries.filter((_, i) => answers[i] === "Unreached"))
  }

  /** Of attempts that have writes aside everything waits for those: what came later must not overtake them. */
  holdBack(parcel: Parcel): void {
    if (this.entriesAside.length === 0) return
    const held = new Set(this.entriesAside.map(({ at }) => keyOf(at)))
    const [entries, entriesAside] = apart(parcel.writes, ({ at }) => held.has(keyOf(at)))
    const [settlements, settlementsAside] = apart(parcel.settlements, (at) => held.has(keyOf(at)))
    parcel.writes = entries
    parcel.settlements = settlements
    this.entriesAside.push(...entriesAside)
    this.settlementsAside.push(...settlementsAside)
  }

  /** What is aside goes out again: settlements after the others, which may be as many as one turn carries. */
  bringBack(): void {
    this.entries = [...this.entriesAside, ...this.entries]
    this.settlements = [...this.settlements, ...this.settlementsAside]
    this.entriesAside = []
    this.settlementsAside = []
  }

  /** Its settlements go on without them. */
  putBackWrites(parcel: Parcel): void {
    if (parcel.writes.length > 0) this.entries = [...parcel.writes, ...this.entries]
    parcel.writes = none
  }

  /** What it has settled and not heard back. */
  unsettled(): ReadonlyArray<AttemptRef> {
    return [...this.underWay].flatMap(({ settlements }) => settlements)
      .concat(this.settlements, this.settlementsAside)
      .map(({ fence, id }) => ({ id, fence }))
  }
}

const keyOf = ({ fence, id }: AttemptRef): string => `${id} ${fence}`

const apart = <A>(items: ReadonlyArray<A>, isAside: (item: A) => boolean): readonly [Array<A>, Array<A>] => [
  items.filter((item) => !isAside(item)),
  items.filter(isAside)
]
