/**
 * Rows in the order in which they came. A row may leave from the middle: it leaves a hole, which costs nothing until the
 * front reaches it.
 *
 * Why not a heap for the ready rows: they come in order, so push and pop are O(1) here and touch memory in sequence; a
 * heap of 500,000 rows misses the cache at every level of every pop.
 */
import type { Home, Row } from "./row.ts"

export class Deque implements Home<Row> {
  private rows: Array<Row | undefined> = []
  private head = 0
  /** How many slots were cut off the front: a row's index never changes. */
  private base = 0
  private live = 0

  get size(): number {
    return this.live
  }

  last(): Row | undefined {
    return this.rows[this.rows.length - 1]
  }

  *[Symbol.iterator](): Iterator<Row> {
    for (let i = this.head; i < this.rows.length; i++) {
      const row = this.rows[i]
      if (row !== undefined) yield row
    }
  }

  push(row: Row): void {
    row.home = this
    row.index = this.base + this.rows.length
    this.rows.push(row)
    this.live++
  }

  peek(): Row | undefined {
    const { rows } = this
    while (this.head < rows.length) {
      const row = rows[this.head]
      if (row !== undefined) return row
      this.head++
    }
    return undefined
  }

  remove(row: Row): void {
    this.rows[row.index - this.base] = undefined
    row.home = undefined
    row.index = -1
    if (--this.live === 0) this.reset()
    else if (this.head >= 1024 && this.head * 2 >= this.rows.length) this.cut()
    else if (this.rows.length - this.head > 1024 && this.live * 4 < this.rows.length - this.head) this.close()
  }

  private reset(): void {
    this.base += this.rows.length
    this.rows = []
    this.head = 0
  }

  private cut(): void {
    this.rows = this.rows.slice(this.head)
    this.base += this.head
    this.head = 0
  }

  /** Closes the holes, when three of four slots are one. */
  private close(): void {
    const rows = this.rows.filter((row) => row !== undefined)
    this.base += this.rows.length
    this.rows = []
    this.head = 0
    this.live = 0
    for (const row of rows) this.push(row)
  }
}
