/**
 * The hours before the last half one, by the minute and by queue: figures that can be added up, so that any stretch of time and
 * any choice of queues is told of them. It is in the memory of one process, and bounded there.
 */
import type * as Insight from "../ApiInsight.ts"
import { Histogram, mergedOf } from "./histogram.ts"
import type { Sample } from "./series.ts"
import type { Told } from "./tally.ts"
import { present } from "./view.ts"

const minute = 60_000
/** The same hours of yesterday, for some hours. */
const kept = 30 * 60
/** Minutes of one queue in which something was there: what is more is forgotten earlier. */
const mostCells = 60_000
const mostParts = 60

/** One queue in one minute. */
interface Cell extends Told {
  /** Summed over the samples. */
  ready: number
  running: number
  oldest: number | undefined
}

interface Slot {
  readonly at: number
  samples: number
  isAtLeast: boolean
  readonly trips: Histogram
  readonly queues: Map<string, Cell>
}

const newCell = (): Cell => ({
  completed: 0,
  failed: 0,
  waits: new Histogram(),
  runs: new Histogram(),
  ready: 0,
  running: 0,
  oldest: undefined
})

const older = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || (b !== undefined && b > a) ? b : a

export class History {
  private readonly slots: Array<Slot> = []
  private cells = 0
  private first: number | undefined
  private last = 0

  add({ at, heard, queues, took }: Sample): void {
    this.first ??= at
    this.last = at
    const slot = this.slotAt(Math.floor(at / minute) * minute)
    slot.samples++
    slot.isAtLeast ||= heard.isAtLeast
    slot.trips.add(took)
    for (const { counts: { ready, running }, oldestReadyAge, queue } of queues) {
      if (ready + running === 0) continue
      const cell = this.cellOf(slot, queue)
      cell.ready += ready
      cell.running += running
      cell.oldest = older(cell.oldest, oldestReadyAge)
    }
    for (const [queue, { completed, failed, runs, waits }] of heard.told) {
      const cell = this.cellOf(slot, queue)
      cell.completed += completed
      cell.failed += failed
      cell.waits.merge(waits)
      cell.runs.merge(runs)
    }
    while (this.slots.length > kept || (this.cells > mostCells && this.slots.length > 1)) {
      this.cells -= this.slots.shift()!.queues.size
    }
  }

  /** From an instant on, and before another. */
  between(
    asked: number | undefined,
    before: number = this.last + 1,
    isSeen: (queue: string) => boolean
  ): typeof Insight.History.Type {
    const from = asked ?? before - 60 * minute
    const every = Math.max(1, Math.ceil((before - from) / minute / mostParts)) * minute
    // Whole minutes: each is of the stretch in which it begins, so two that touch share none.
    const slots = this.slots.filter(({ at }) => at >= from && at < before)
    const parts = new Map<number, Array<Slot>>()
    for (const slot of slots) {
      const at = from + Math.floor((slot.at - from) / every) * every
      const part = parts.get(at)
      if (part === undefined) parts.set(at, [slot])
      else part.push(slot)
    }
    return present({
      from,
      before,
      since: this.first,
      every,
      total: figuresOf(slots, isSeen),
      parts: [...parts].map(([at, slots]) => ({ at, ...figuresOf(slots, isSeen) }))
    })
  }

  private slotAt(at: number): Slot {
    const last = this.slots.at(-1)
    // A clock that was put back goes on where it was.
    if (last !== undefined && last.at >= at) return last
    const slot: Slot = { at, samples: 0, isAtLeast: false, trips: new Histogram(), queues: new Map() }
    this.slots.push(slot)
    return slot
  }

  private cellOf(slot: Slot, queue: string): Cell {
    let cell = slot.queues.get(queue)
    if (cell === undefined) {
      slot.queues.set(queue, cell = newCell())
      this.cells++
    }
    return cell
  }
}

const timesOf = (histogram: Histogram) =>
  histogram.count === 0 ? undefined : {
    count: histogram.count,
    p50: histogram.quantile(0.5)!,
    p95: histogram.quantile(0.95)!,
    p99: histogram.quantile(0.99)!
  }

const figuresOf = (slots: ReadonlyArray<Slot>, isSeen: (queue: string) => boolean) => {
  const cells = slots.flatMap(({ queues }) => [...queues].flatMap(([queue, cell]) => isSeen(queue) ? [cell] : []))
  const sum = (of: (cell: Cell) => number) => cells.reduce((total, cell) => total + of(cell), 0)
  const samples = slots.reduce((total, { samples }) => total + samples, 0)
  return present({
    completed: sum(({ completed }) => completed),
    failed: sum(({ failed }) => failed),
    wait: timesOf(mergedOf(cells.map(({ waits }) => waits))),
    run: timesOf(mergedOf(cells.map(({ runs }) => runs))),
    oldestReadyAge: cells.map(({ oldest }) => oldest).reduce(older, undefined),
    ready: samples === 0 ? 0 : sum(({ ready }) => ready) / samples,
    running: samples === 0 ? 0 : sum(({ running }) => running) / samples,
    roundTrip: timesOf(mergedOf(slots.map(({ trips }) => trips))),
    isAtLeast: slots.some(({ isAtLeast }) => isAtLeast)
  })
}
