/**
 * Rows in the order of their enqueue, for those who look: all of a queue or a job, and the few of a state, a failure, a tag, a flow.
 *
 * Cost: what every row is in is an array to which it is added at the end. What only some are in is kept in blocks, so that a row
 * comes and goes in its midst by moving a few hundred others at most; states in which all rows are for a while have no such list.
 */
import type { Row } from "./row.ts"

/** Rows one after another, `undefined` at the end. Nothing may change while it is asked. */
export type Walk = () => Row | undefined

/** Numbers of rows: the first, and the one after the last. */
export interface Range {
  readonly from: number
  readonly before: number
}

export interface List {
  /** How many rows a walk may meet. */
  readonly size: number
  readonly walk: (order: "newest" | "oldest", range: Range) => Walk
}

/** The position of the first that has come to this value, of such as rise in it. */
const firstAt = <A>(all: ReadonlyArray<A>, valueOf: (one: A) => number, value: number): number => {
  let low = 0
  let high = all.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (valueOf(all[middle]!) < value) low = middle + 1
    else high = middle
  }
  return low
}

const numberOf = ({ seq }: Row): number => seq
const instantOf = ({ enqueuedAt }: Row): number => enqueuedAt
const lastNumberOf = (block: ReadonlyArray<Row>): number => block[block.length - 1]!.seq

/** The first position with this number or a later one. */
const position = (rows: ReadonlyArray<Row>, seq: number): number => firstAt(rows, numberOf, seq)

const walkOf = (rows: ReadonlyArray<Row>, order: "newest" | "oldest", { before, from }: Range): Walk => {
  const step = order === "newest" ? -1 : 1
  let i = order === "newest" ? position(rows, before) - 1 : position(rows, from)
  return () => {
    const row = rows[i]
    if (row === undefined || row.seq < from || row.seq >= before) return undefined
    i += step
    return row
  }
}

/** Rows that are never taken out one by one: a removed one is met until the list is made anew. */
export class Log implements List {
  rows: Array<Row> = []
  private holes = 0

  get size(): number {
    return this.rows.length
  }

  get last(): Row | undefined {
    return this.rows[this.rows.length - 1]
  }

  push(row: Row): void {
    this.rows.push(row)
  }

  /** One of its rows is gone. Such rows leave when they are a quarter of it, so that no removal searches it. */
  lose(): void {
    this.holes++
    if (this.holes * 4 < this.rows.length || this.holes < 64 && this.holes < this.rows.length) return
    this.rows = this.rows.filter((row) => !row.isGone)
    this.holes = 0
  }

  walk(order: "newest" | "oldest", range: Range): Walk {
    return walkOf(this.rows, order, range)
  }

  /** The number of the first row that was enqueued at this instant or later, where all instants rise. */
  numberAt(instant: number): number {
    return this.rows[firstAt(this.rows, instantOf, instant)]?.seq ?? Infinity
  }
}

/** How many rows a block has at most. */
const most = 512

/** Rows that come and go anywhere. */
export class Sorted implements List {
  private readonly blocks: Array<Array<Row>> = []
  size = 0

  add(row: Row): void {
    const { blocks } = this
    this.size++
    const last = blocks.at(-1)
    if (last === undefined || last.at(-1)!.seq < row.seq) {
      if (last === undefined || last.length === most) blocks.push([row])
      else last.push(row)
      return
    }
    const at = this.blockOf(row.seq)
    const block = blocks[at]!
    block.splice(position(block, row.seq), 0, row)
    if (block.length > most) blocks.splice(at + 1, 0, block.splice(most >> 1))
  }

  /** Does nothing with one that is not there. */
  remove(row: Row): void {
    const { blocks } = this
    // A row that has just come is in no list yet, and is the last of all: most often that is asked.
    if (this.size === 0 || blocks.at(-1)!.at(-1)!.seq < row.seq) return
    const at = this.blockOf(row.seq)
    const block = blocks[at]!
    const i = position(block, row.seq)
    if (block[i] !== row) return
    this.size--
    block.splice(i, 1)
    if (block.length === 0) blocks.splice(at, 1)
  }

  walk(order: "newest" | "oldest", range: Range): Walk {
    const { blocks } = this
    const step = order === "newest" ? -1 : 1
    let at = Math.min(this.blockOf(order === "newest" ? range.before - 1 : range.from), blocks.length - 1)
    let walk: Walk | undefined
    return () => {
      for (; at >= 0 && at < blocks.length; at += step) {
        walk ??= walkOf(blocks[at]!, order, range)
        const row = walk()
        if (row !== undefined) return row
        walk = undefined
      }
      return undefined
    }
  }

  /** The first block that ends with this number or a later one. */
  private blockOf(seq: number): number {
    return firstAt(this.blocks, lastNumberOf, seq)
  }
}

/** Lists by a name that only some rows have. One that is empty is forgotten. */
export class Named {
  private readonly lists = new Map<string, Sorted>()

  get(name: string): Sorted | undefined {
    return this.lists.get(name)
  }

  all(): Iterable<Sorted> {
    return this.lists.values()
  }

  add(name: string, row: Row): void {
    let list = this.lists.get(name)
    if (list === undefined) this.lists.set(name, list = new Sorted())
    list.add(row)
  }

  remove(name: string, row: Row): void {
    const list = this.lists.get(name)
    if (list === undefined) return
    list.remove(row)
    if (list.size === 0) this.lists.delete(name)
  }
}

/** Few rows that were gathered elsewhere. */
export const few = (rows: Array<Row>): List => {
  rows.sort((a, b) => a.seq - b.seq)
  return { size: rows.length, walk: (order, range) => walkOf(rows, order, range) }
}

/** The rows of several lists, none of which is in two of them. */
export const merged = (walks: ReadonlyArray<Walk>, order: "newest" | "oldest"): Walk => {
  if (walks.length === 1) return walks[0]!
  const heads = walks.map((walk) => walk())
  return () => {
    let next = -1
    for (let i = 0; i < heads.length; i++) {
      const head = heads[i]
      if (head === undefined) continue
      if (next < 0 || (order === "newest") === (head.seq > heads[next]!.seq)) next = i
    }
    if (next < 0) return undefined
    const row = heads[next]
    heads[next] = walks[next]!()
    return row
  }
}
