/**
 * How far this process has claimed in each queue, so that the next claim goes on from there.
 *
 * Only a record whose transaction committed late can lie behind a mark. It is found when a claim comes back short, and
 * once a second without any mark at all; less often where that takes long, as under a transaction that stays open: each
 * record that was claimed since is read again then (1.6 us; 1.5 s a look after a million).
 */
import type { ClaimedLine } from "./codec.ts"

/** The place of a record in its queue: priority as it is kept (negated), then turn, then place. */
type Mark = readonly [priority: number, turn: number, place: number]

/** Before every record. */
const front: Mark = [-1000, 0, 0]

/** Milliseconds between two looks without marks, at least. */
const usualPeriod = 1000
/** How many times as long as a look takes no other one is taken. */
const rest = 20

export class Marks {
  private readonly marks = new Map<string, Mark>()
  private lookedAt = -Infinity
  private period = usualPeriod

  /** Where the claims of an exchange begin. */
  from(queues: ReadonlyArray<string>, now: number): ReadonlyArray<Mark> {
    if (now - this.lookedAt >= this.period) {
      this.lookedAt = now
      // Until it is known how long that one takes.
      this.period = Infinity
      this.marks.clear()
    }
    return queues.map((queue) => this.marks.get(queue) ?? front)
  }

  /** The exchange that asked for its marks at an instant has ended, however. */
  ended(askedAt: number, now: number): void {
    if (askedAt === this.lookedAt) this.period = Math.max(usualPeriod, rest * (now - askedAt))
  }

  /** Brings what was claimed of a queue into its order, and goes on after the last of it. */
  advance(queue: string, lines: Array<ClaimedLine>): void {
    lines.sort(inOrder)
    const last = lines.at(-1)
    if (last === undefined) return
    const mark = this.marks.get(queue)
    if (mark === undefined || isBefore(mark, last)) this.marks.set(queue, [last[3], last[10], last[11]])
  }
}

const inOrder = (a: ClaimedLine, b: ClaimedLine): number => a[3] - b[3] || a[10] - b[10] || a[11] - b[11]

const isBefore = ([priority, turn, place]: Mark, line: ClaimedLine): boolean =>
  priority !== line[3] ? priority < line[3] : turn !== line[10] ? turn < line[10] : place < line[11]
