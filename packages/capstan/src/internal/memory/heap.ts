/**
 * A binary heap of rows that knows where each row is, so that any row leaves in O(log n).
 */
import type { Home, Row } from "./row.ts"

export type Before = (a: Row, b: Row) => boolean

/** Earlier instants first; first come, first served within one. */
export const byInstant: Before = (a, b) => a.at < b.at || (a.at === b.at && a.seq < b.seq)

/** The order of claims: higher priority, then turn. */
export const byTurn: Before = (a, b) => a.priority > b.priority || (a.priority === b.priority && a.place < b.place)

export class Heap implements Home {
  private readonly rows: Array<Row> = []
  private readonly before: Before

  constructor(before: Before) {
    this.before = before
  }

  get size(): number {
    return this.rows.length
  }

  peek(): Row | undefined {
    return this.rows[0]
  }

  push(row: Row): void {
    row.home = this
    this.rows.push(row)
    this.up(row, this.rows.length - 1)
  }

  pop(): Row | undefined {
    const row = this.rows[0]
    if (row !== undefined) this.remove(row)
    return row
  }

  remove(row: Row): void {
    const index = row.index
    row.home = undefined
    row.index = -1
    const last = this.rows.pop()!
    if (last === row) return
    this.up(last, index)
    this.down(last, last.index)
  }

  private up(row: Row, index: number): void {
    while (index > 0) {
      const parent = (index - 1) >> 1
      const other = this.rows[parent]!
      if (!this.before(row, other)) break
      this.set(other, index)
      index = parent
    }
    this.set(row, index)
  }

  private down(row: Row, index: number): void {
    const size = this.rows.length
    for (;;) {
      let child = 2 * index + 1
      if (child >= size) break
      if (child + 1 < size && this.before(this.rows[child + 1]!, this.rows[child]!)) child++
      const other = this.rows[child]!
      if (!this.before(other, row)) break
      this.set(other, index)
      index = child
    }
    this.set(row, index)
  }

  private set(row: Row, index: number): void {
    this.rows[index] = row
    row.index = index
  }
}
