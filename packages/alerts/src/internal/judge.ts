/** What stands, and what of it is told: from what the rules find now and what the look before has left. */
import * as Schema from "effect/Schema"
import { type Alert, Finding, Severity } from "./alert.ts"
import type { Findings, Found } from "./findings.ts"
import { Snapshot } from "./snapshot.ts"

/** Something that stands. What is optional is absent in the look of an older release. */
const Standing = Schema.Struct({
  finding: Finding,
  since: Schema.Number,
  /** When it was told last, if it was. */
  toldAt: Schema.optionalKey(Schema.Number),
  /** How urgent it was then: what swings up and down is not told at each swing. */
  toldAs: Schema.optionalKey(Severity),
  /** Which rules have found it, by their places: while one of these fails, nobody knows that it is over. */
  rules: Schema.optionalKey(Schema.Array(Schema.Number))
})

type Standing = typeof Standing.Type

type Finding = typeof Finding.Type

/** What one look leaves for the next: the record of the look is the memory, so it survives every process. */
export const Look = Schema.Struct({ snapshot: Snapshot, standing: Schema.Array(Standing) })

export type Look = typeof Look.Type

const urgency = { warning: 0, critical: 1 } as const

const isMore = (a: Finding["severity"], than: Finding["severity"]): boolean => urgency[a] > urgency[than]

const moreUrgent = (a: Finding, b: Finding): Finding => isMore(b.severity, a.severity) ? b : a

/**
 * What stands now, and what of it is to be told. Rules may find the same: it stands once, is due when the first of them has waited long
 * enough, and is told once more where another of them finds it more urgent than it was told.
 */
export const judge = ({ before, findings: { doubted, failed, found }, repeatMillis, snapshot }: {
  readonly findings: Findings
  readonly snapshot: Snapshot
  readonly before: Look | undefined
  readonly repeatMillis: number
}): { readonly standing: ReadonlyArray<Standing>; readonly told: ReadonlyArray<typeof Alert.Type> } => {
  const stood = new Map((before?.standing ?? []).map((standing) => [standing.finding.key, standing]))
  const byKey = Map.groupBy(found, ({ finding }) => finding.key)
  const told: Array<typeof Alert.Type> = []
  const say = (state: "firing" | "resolved", { finding, since }: Standing) =>
    void told.push({ ...finding, state, since, at: snapshot.at })
  /** Of the rules that found it before, those that cannot say whether it is over. */
  const silenced = (earlier: Standing | undefined) => (earlier?.rules ?? []).filter((rule) => failed.has(rule))

  const standing = [...byKey].map(([key, findings]): Standing => {
    const earlier = stood.get(key)
    const since = earlier?.since ?? snapshot.at
    const ripe = findings.filter(({ forMillis }) => snapshot.at - since >= forMillis)
    const finding = mostUrgentOf(ripe) ?? findings[0]!.finding
    const finders = new Set([...findings.map(({ rule }) => rule), ...silenced(earlier)])
    const now: Standing = { ...earlier, finding, since, rules: [...finders] }
    const isDue = earlier?.toldAt === undefined
      ? ripe.length > 0
      : snapshot.at - earlier.toldAt >= repeatMillis ||
        ripe.length > 0 && isMore(finding.severity, earlier.toldAs ?? earlier.finding.severity)
    if (!isDue) return now
    say("firing", now)
    return { ...now, toldAt: snapshot.at, toldAs: finding.severity }
  })
  for (const [key, earlier] of stood) {
    if (byKey.has(key)) continue
    if (doubted.has(key) || silenced(earlier).length > 0) standing.push(earlier)
    else if (earlier.toldAt !== undefined) say("resolved", earlier)
  }
  return { standing, told }
}

const mostUrgentOf = (found: ReadonlyArray<Found>): Finding | undefined =>
  found.length === 0 ? undefined : found.map(({ finding }) => finding).reduce(moreUrgent)
