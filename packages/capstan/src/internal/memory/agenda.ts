/**
 * Rows with an instant at which something must be done to them, earliest first. A row leaves when that is off.
 *
 * A row sits in a heap of its queue at the same time and knows its place there alone: here an entry of its own knows it,
 * found by a map, so that rows without such an instant have no field for it.
 */
import { Heap, type Seated } from "./heap.ts"
import type { Home, Row } from "./row.ts"

class Entry implements Seated<Entry> {
  home: Home<Entry> | undefined = undefined
  index = -1
  readonly row: Row
  readonly at: number

  constructor(row: Row, at: number) {
    this.row = row
    this.at = at
  }
}

export class Agenda {
  private readonly heap = new Heap<Entry>((a, b) => a.at < b.at)
  private readonly entries = new Map<Row, Entry>()

  get nextAt(): number {
    return this.heap.peek()?.at ?? Infinity
  }

  /** The earliest row, when its instant has come. */
  due(now: number): Row | undefined {
    const first = this.heap.peek()
    return first !== undefined && first.at <= now ? first.row : undefined
  }

  /** The one instant of a row. */
  set(row: Row, at: number): void {
    this.remove(row)
    const entry = new Entry(row, at)
    this.entries.set(row, entry)
    this.heap.push(entry)
  }

  remove(row: Row): void {
    const entry = this.entries.get(row)
    if (entry === undefined) return
    this.entries.delete(row)
    this.heap.remove(entry)
  }
}
