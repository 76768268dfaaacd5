/**
 * A binary heap whose items know where they are, so that any item leaves in O(log n).
 */
import type { Home, Row } from "./row.ts"

/** What can be in a heap: in one at a time. */
export interface Seated<T> {
  home: Home<T> | undefined
  index: number
}

export type Before<T> = (a: T, b: T) => boolean

/** Earlier instants first; first come, first served within one. */
export const byInstant: Before<Row> = (a, b) => a.at < b.at || (a.at === b.at && a.seq < b.seq)

/** The order of claims: higher priority, then turn; first come, first served within one. */
export const byTurn: Before<Row> = (a, b) =>
  a.priority > b.priority ||
  (a.priority === b.priority && (a.place < b.place || (a.place === b.place && a.seq < b.seq)))

export class Heap<T extends Seated<T>> implements Home<T> {
  private readonly items: Array<T> = []
  private readonly before: Before<T>

  constructor(before: Before<T>) {
    this.before = before
  }

  get size(): number {
    return this.items.length
  }

  peek(): T | undefined {
    return this.items[0]
  }

  [Symbol.iterator](): Iterator<T> {
    return this.items[Symbol.iterator]()
  }

  push(item: T): void {
    item.home = this
    this.items.push(item)
    this.up(item, this.items.length - 1)
  }

  pop(): T | undefined {
    const item = this.items[0]
    if (item !== undefined) this.remove(item)
    return item
  }

  remove(item: T): void {
    const index = item.index
    item.home = undefined
    item.index = -1
    const last = this.items.pop()!
    if (last === item) return
    this.up(last, index)
    this.down(last, last.index)
  }

  private up(item: T, index: number): void {
    while (index > 0) {
      const parent = (index - 1) >> 1
      const other = this.items[parent]!
      if (!this.before(item, other)) break
      this.set(other, index)
      index = parent
    }
    this.set(item, index)
  }

  private down(item: T, index: number): void {
    const size = this.items.length
    for (;;) {
      let child = 2 * index + 1
      if (child >= size) break
      if (child + 1 < size && this.before(this.items[child + 1]!, this.items[child]!)) child++
      const other = this.items[child]!
      if (!this.before(other, item)) break
      this.set(other, index)
      index = child
    }
    this.set(item, index)
  }

  private set(item: T, index: number): void {
    this.items[index] = item
    item.index = index
  }
}
