/**
 * How far this process has claimed in each queue, so that the next claim goes on from there.
 *
 * Under a transaction that is open for long, dead entries cannot be cleaned up, and whoever reads a queue from its front
 * reads all of them. What a mark has passed can only hide a record whose enqueue committed late:
 *
 * - by moments, as concurrent statements do. A claim that comes back short, and one a second, goes back to where the mark
 *   was two to four seconds ago.
 * - by as long as a caller's transaction was open. Its notification says so at its commit, and the next claim reads from the
 *   front. As a notification may be lost, one claim in ten seconds does so anyway.
 *
 * A claim from the front that took long (1.6 us a dead entry) is not repeated before a hundred times as long has passed.
 */
import type { ClaimedLine } from "./codec.ts"

/** The place of a record in its queue: priority as it is kept (negated), then turn, then place. */
export type Mark = readonly [priority: number, turn: number, place: number]

/** Before every record. */
const front: Mark = [-1000, 0, 0]

interface Trail {
  now: Mark
  recent: Mark
  before: Mark
}

/** In milliseconds. */
const period = { trail: 1000, turn: 2000, front: 10_000 }
const rest = 100

export interface Start {
  readonly marks: ReadonlyArray<Mark>
  /** Where a claim that comes back short goes back to. */
  readonly trails: ReadonlyArray<Mark>
  readonly isFromFront: boolean
}

export class Marks {
  private readonly trails = new Map<string, Trail>()
  private isLate = false
  private turnedAt = -Infinity
  private trailAt = -Infinity
  private frontAt = -Infinity
  private restUntil = -Infinity

  /** Where the claims of an exchange begin. */
  from(queues: ReadonlyArray<string>, now: number): Start {
    if (now - this.turnedAt >= period.turn) {
      this.turnedAt = now
      for (const trail of this.trails.values()) {
        trail.before = trail.recent
        trail.recent = trail.now
      }
    }
    const isFromFront = now >= this.restUntil && (this.isLate || now - this.frontAt >= period.front)
    const isFromTrail = now - this.trailAt >= period.trail
    if (isFromFront) {
      this.isLate = false
      this.frontAt = now
      // Until it is known how long it takes.
      this.restUntil = Infinity
    }
    if (isFromTrail) this.trailAt = now
    const trails = queues.map((queue) => isFromFront ? front : this.trails.get(queue)?.before ?? front)
    const marks = isFromFront || isFromTrail ? trails : queues.map((queue) => this.trails.get(queue)?.now ?? front)
    return { marks, trails, isFromFront }
  }

  /** An exchange that claimed from the front has ended, however, after so many milliseconds. */
  ended(took: number, now: number): void {
    this.restUntil = now + took * rest
  }

  /** A transaction that was open has enqueued: its records may lie anywhere. */
  readonly late = (): void => {
    this.isLate = true
  }

  /** Brings what was claimed of a queue into its order, and goes on after the last of it. */
  advance(queue: string, lines: Array<ClaimedLine>): void {
    lines.sort(inOrder)
    // Records that take turns are claimed from beside the others, whose place their turns say nothing of.
    const last = lines.findLast(({ turn }) => turn === 0)
    if (last === undefined) return
    const mark: Mark = [last.priority, last.turn, last.place]
    const trail = this.trails.get(queue)
    if (trail === undefined) this.trails.set(queue, { now: mark, recent: front, before: front })
    else if (isBefore(trail.now, mark)) trail.now = mark
  }
}

const inOrder = (a: ClaimedLine, b: ClaimedLine): number =>
  a.priority - b.priority || a.turn - b.turn || a.place - b.place

const isBefore = (a: Mark, b: Mark): boolean => a[0] !== b[0] ? a[0] < b[0] : a[1] !== b[1] ? a[1] < b[1] : a[2] < b[2]
