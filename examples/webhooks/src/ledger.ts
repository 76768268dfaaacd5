/**
 * The truth is kept outside: what the sender was answered, against what the service was asked and did. Neither asks the
 * store; the table at the end, which does, is checked against both.
 */
import { jobFor } from "./jobs.ts"
import type { Figures } from "./report.ts"
import type { Sent } from "./sender.ts"
import type { Call } from "./service.ts"

export interface Verdict {
  /** Accepted, and nothing came of it. */
  readonly lost: ReadonlyArray<string>
  /** Accepted, and done more than once. */
  readonly doubled: ReadonlyArray<string>
  /** Done, and never accepted. */
  readonly invented: ReadonlyArray<string>
  /** A wrong signature that was accepted, a right one that was not, or a repetition that became a second record. */
  readonly misjudged: ReadonlyArray<string>
  /** A figure of the table that is another one in a ledger. */
  readonly miscounted: ReadonlyArray<string>
}

export interface Ledgers {
  readonly sent: ReadonlyArray<Sent>
  /** Deliveries whose effect was applied: one entry per effect. */
  readonly effects: ReadonlyArray<string>
  /** The table as it was printed, and the calls that the service had received by then. */
  readonly figures: ReadonlyArray<Figures>
  readonly calls: ReadonlyArray<Call>
}

export const compare = ({ calls, effects, figures, sent }: Ledgers): Verdict => {
  const accepted = new Set(sent.flatMap(({ id, status }) => status === 202 ? [id] : []))
  const times = new Map<string, number>()
  for (const id of effects) times.set(id, (times.get(id) ?? 0) + 1)
  return {
    lost: [...accepted].filter((id) => !times.has(id)),
    doubled: [...times].flatMap(([id, count]) => count > 1 ? [id] : []),
    invented: [...times.keys()].filter((id) => !accepted.has(id)),
    misjudged: sent.flatMap(({ id, isForged, isRepetition, status }) =>
      status === (isForged ? 401 : isRepetition ? 200 : 202) ? [] : [id]
    ),
    miscounted: figures.flatMap((row) => miscounted(row, sent, calls))
  }
}

/** One call per attempt; what it was answered decides what became of the attempt. */
const miscounted = (row: Figures, sent: ReadonlyArray<Sent>, calls: ReadonlyArray<Call>): ReadonlyArray<string> => {
  const own = calls.filter(({ job }) => job === row.job)
  const answered = (...answers: ReadonlyArray<Call["answer"]>) =>
    own.filter(({ answer }) => answers.includes(answer)).length
  const ledger = {
    records: sent.filter(({ event, status }) => status === 202 && jobFor(event)._tag === row.job).length,
    runs: own.length,
    retried: answered("500", "500 after it was done", "no answer after it was done"),
    snoozed: answered("429"),
    dead: answered("422")
  }
  return (["records", "runs", "retried", "snoozed", "dead"] as const).flatMap((name) =>
    row[name] === ledger[name] ? [] : [`${row.job}: ${row[name]} ${name}, by the ledger ${ledger[name]}`]
  )
}

export const isClean = (verdict: Verdict): boolean =>
  Object.values(verdict).every((ids: ReadonlyArray<string>) => ids.length === 0)

export const describe = (verdict: Verdict): string =>
  Object.entries(verdict).flatMap(([kind, ids]: [string, ReadonlyArray<string>]) =>
    ids.length === 0 ? [] : [`${kind}: ${ids.length} (${ids.slice(0, 3).join(", ")}${ids.length > 3 ? ", …" : ""})`]
  ).join("\n")
