/**
 * Indexes for who looks: of what waits, and of what has failed, died or was cancelled.
 *
 * None of them is written by an enqueue of a job that may start at once, a claim or a completion: what is delayed or blocked is, when
 * it comes and when it leaves, and what ends otherwise than well. While they are made, `record` and `history` are read once and not
 * written: some seconds for a million records.
 */
import { errorOf } from "../query.ts"

export const lists = (s: string): ReadonlyArray<string> => [
  `CREATE INDEX record_waiting ON ${s}.record (lane, id) WHERE lane > 1`,
  // Blocked until an instant at the latest: few among what is scheduled.
  `CREATE INDEX record_blocked_until ON ${s}.record ((lane + 0), id) WHERE lane = 2 AND reason IS NOT NULL`,
  `CREATE INDEX history_ended_queue ON ${s}.history (queue, id) WHERE state > 4`,
  `CREATE INDEX history_ended_tag ON ${s}.history (tag, id) WHERE state > 4`,
  `CREATE INDEX history_failed ON ${s}.history ((${errorOf("failures")}), id) WHERE failures IS NOT NULL`
]

/** Of what died for a reason, of which there are few. Written where a record dies, and nowhere else. */
export const reasons = (s: string): ReadonlyArray<string> => [
  `CREATE INDEX history_dead_reason ON ${s}.history (reason, id) WHERE state = 6`
]
