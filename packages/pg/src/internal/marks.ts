/**
 * How far this process has claimed in each queue, so that the next claim goes on from there.
 *
 * Only a record whose transaction committed late can lie behind a mark. It is found when a claim comes back short, and
 * once a second without any mark at all.
 */
import type { ClaimedRow } from "./codec.ts"

/** The place of a record in its queue: priority as it is kept (negated), then turn, then place. */
type Mark = readonly [priority: number, turn: number, place: number]

/** Before every record. */
const front: Mark = [-1000, 0, 0]

const period = 1000

export class Marks {
  private readonly marks = new Map<string, Mark>()
  private sweptAt = 0

  /** Where the claims of an exchange begin. */
  from(queues: ReadonlyArray<string>, now: number): ReadonlyArray<Mark> {
    if (now - this.sweptAt >= period) {
      this.sweptAt = now
      this.marks.clear()
    }
    return queues.map((queue) => this.marks.get(queue) ?? front)
  }

  /** Rows come in order of their queue's claims. */
  advance(rows: ReadonlyArray<ClaimedRow>): void {
    for (const { place, priority, queue, turn } of rows) {
      const mark = this.marks.get(queue)
      if (mark === undefined || isBefore(mark, priority, turn, place)) this.marks.set(queue, [priority, turn, place])
    }
  }
}

const isBefore = (mark: Mark, priority: number, turn: number, place: number): boolean =>
  mark[0] !== priority ? mark[0] < priority : mark[1] !== turn ? mark[1] < turn : mark[2] < place
