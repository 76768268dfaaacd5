/**
 * Rows with an instant at which something must be checked, earliest first. A row that has changed since is found out by
 * the check, so nothing ever leaves early.
 */
import type { Row } from "./row.ts"

interface Entry {
  readonly at: number
  readonly row: Row
}

export class Agenda {
  private readonly entries: Array<Entry> = []

  get nextAt(): number {
    return this.entries[0]?.at ?? Infinity
  }

  add(at: number, row: Row): void {
    const { entries } = this
    const entry = { at, row }
    let index = entries.push(entry) - 1
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (entries[parent]!.at <= at) break
      entries[index] = entries[parent]!
      index = parent
    }
    entries[index] = entry
  }

  /** The earliest row, when its instant has come. */
  take(now: number): Row | undefined {
    const { entries } = this
    const first = entries[0]
    if (first === undefined || first.at > now) return undefined
    const last = entries.pop()!
    if (entries.length > 0) this.sink(last)
    return first.row
  }

  private sink(entry: Entry): void {
    const { entries } = this
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= entries.length) break
      if (child + 1 < entries.length && entries[child + 1]!.at < entries[child]!.at) child++
      if (entries[child]!.at >= entry.at) break
      entries[index] = entries[child]!
      index = child
    }
    entries[index] = entry
  }
}
