/**
 * One queue: its ready rows in the order of claims, its scheduled rows by their instant, its counts.
 */
import type { State } from "../../JobRecord.ts"
import { QueueLists } from "./catalogue.ts"
import { Deque } from "./deque.ts"
import { byInstant, byTurn, Heap } from "./heap.ts"
import { Gate, type Limit } from "./limits.ts"
import type { Row } from "./row.ts"

/** Places of rows that take turns: behind all others. */
export const fairFrom = 2 ** 43

/**
 * Whose turn it is: every key has a virtual time, which goes on by one with each of its records, and never lies behind that
 * of the queue, the turn of what was claimed last. So a key that comes anew is next, however many records another has.
 */
class Turns {
  private now = 0
  private readonly last = new Map<string, number>()
  private bound = 1000

  next(key: string): number {
    const turn = Math.max(this.now, (this.last.get(key) ?? -1) + 1)
    this.last.set(key, turn)
    if (this.last.size > this.bound) this.forget()
    return turn
  }

  claimed(turn: number): void {
    if (turn > this.now) this.now = turn
  }

  /**
   * A key behind the queue's time is as good as new. One at it gains a turn at most: where every record has a key of its own
   * the time stands still, and nothing would ever be forgotten.
   */
  private forget(): void {
    for (const [key, turn] of this.last) if (turn <= this.now) this.last.delete(key)
    this.bound = Math.max(1000, 2 * this.last.size)
  }
}

/** The ready rows of one priority. */
class Lane {
  readonly priority: number
  /** Rows that came in turn. */
  private readonly inTurn = new Deque()
  /** Rows that came back to an earlier place, released or rescued, and those that take turns. */
  private readonly early = new Heap(byTurn)
  /** Rows that crashed a worker: each worker takes one at a time, beside its other work (P10). */
  private readonly suspects = new Heap(byTurn)

  constructor(priority: number) {
    this.priority = priority
  }

  push(row: Row): void {
    const last = this.inTurn.last()
    if (row.crashes > 0) this.suspects.push(row)
    else if (row.place >= fairFrom) this.early.push(row)
    else if (last === undefined ? this.inTurn.size === 0 : last.place < row.place) this.inTurn.push(row)
    else this.early.push(row)
  }

  *rows(): Iterable<Row> {
    yield* this.inTurn
    yield* this.early
    yield* this.suspects
  }

  peek(suspects: boolean): Row | undefined {
    let first = this.inTurn.peek()
    const early = this.early.peek()
    if (early !== undefined && (first === undefined || early.place < first.place)) first = early
    if (suspects) {
      const suspect = this.suspects.peek()
      if (suspect !== undefined && (first === undefined || suspect.place < first.place)) first = suspect
    }
    return first
  }
}

export class QueueState {
  readonly name: string
  readonly due = new Heap(byInstant)
  readonly counts: Record<State, number> = {
    blocked: 0,
    scheduled: 0,
    ready: 0,
    running: 0,
    completed: 0,
    cancelled: 0,
    dead: 0
  }
  readonly lists = new QueueLists()
  parked = 0
  paused = false
  /** Of all workers together. */
  limit: Limit | undefined = undefined
  readonly gate = new Gate()
  readonly turns = new Turns()
  /** Higher priorities first; a lane stays once it was needed (there are at most 201). */
  private readonly lanes: Array<Lane> = []

  constructor(name: string) {
    this.name = name
  }

  push(row: Row): void {
    this.lane(row.priority).push(row)
  }

  /** The next row to claim. `suspects`: whether the claimer may take one that crashed a worker. */
  peek(suspects: boolean): Row | undefined {
    const { lanes } = this
    for (let i = 0; i < lanes.length; i++) {
      const row = lanes[i]!.peek(suspects)
      if (row !== undefined) return row
    }
    return undefined
  }

  /** All that is ready, in no order. */
  *ready(): Iterable<Row> {
    for (const lane of this.lanes) yield* lane.rows()
  }

  /** How many of its rows may start now. */
  room(now: number): number {
    const { gate, limit } = this
    if (limit === undefined) return now < gate.closedUntil ? 0 : Infinity
    return Math.min((limit.holds.concurrency ?? Infinity) - this.counts.running, gate.open(limit.holds, now))
  }

  /** When a row may start that waits for nothing but an instant. */
  opensAt(): number {
    const { counts, gate, limit } = this
    if (limit === undefined) return gate.closedUntil
    return counts.running >= (limit.holds.concurrency ?? Infinity) ? Infinity : gate.opensAt(limit.holds, 1)
  }

  /** When the row that has been ready for longest became so. */
  oldestReadyAt(): number | undefined {
    let oldest: number | undefined
    for (const lane of this.lanes) {
      const row = lane.peek(true)
      if (row !== undefined && (oldest === undefined || row.readyAt < oldest)) oldest = row.readyAt
    }
    return oldest
  }

  private lane(priority: number): Lane {
    const { lanes } = this
    for (let i = 0; i < lanes.length; i++) {
      const lane = lanes[i]!
      if (lane.priority === priority) return lane
      if (lane.priority < priority) {
        const added = new Lane(priority)
        lanes.splice(i, 0, added)
        return added
      }
    }
    const added = new Lane(priority)
    lanes.push(added)
    return added
  }
}
