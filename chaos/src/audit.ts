/**
 * What the ledger says of a run, in Jepsen's words, beside how the store says that its records ended.
 *
 * The ledger decides. The store is believed in one thing: which attempt it let complete a record, since the result that it
 * kept is the fence that the handler ran with.
 */
import { type Entry, now } from "./ledger.ts"
import type { Stored } from "./store.ts"
import { doomed, unsent } from "./workload.ts"

export interface Findings {
  readonly acknowledged: number
  readonly refused: number
  readonly unknown: number
  readonly done: number
  /** Dead in the store, to be looked at and replayed. */
  readonly dead: number
  readonly runs: number
  /** Acknowledged, never done, and not the poison that is kept as dead either. */
  readonly lost: ReadonlyArray<string>
  /** There, though never sent, refused, or there already under another id; or done, and no handler came to its end. */
  readonly unexpected: ReadonlyArray<string>
  /** Runs beyond the first of each record. */
  readonly duplicated: number
  /** Two completions of one record were taken. */
  readonly doneTwice: ReadonlyArray<string>
  /** Completed by an attempt that was stale: a later one had been claimed. */
  readonly ghost: ReadonlyArray<string>
  /** Writes of attempts that were stale when they went out. What was refused was stale, also where the ledger cannot tell. */
  readonly stale: {
    readonly attempted: number
    readonly refused: number
    readonly accepted: number
    /** Settlements among the attempted, beside progress, logs and children. */
    readonly settlements: number
  }
  /** Claims whose reply was lost, found by reconciling. */
  readonly givenBack: number
  /**
   * Milliseconds from a process's death or freeze until what it held was taken from it, by the store's own record of it,
   * and until it was claimed again. Between the two it waits for its turn: a worker takes one record at a time of those
   * that have crashed others. A claim whose process died before it could note it is not there to be measured.
   */
  readonly rescue: ReadonlyArray<number>
  readonly recovery: ReadonlyArray<number>
  /** The most attempts of a key at one instant, by key. */
  readonly highest: ReadonlyMap<string, number>
  /** How often each fault struck. */
  readonly struck: ReadonlyMap<string, number>
}

export const audit = (entries: ReadonlyArray<Entry>, stored: ReadonlyArray<Stored>): Findings => {
  const byKind = Map.groupBy(entries, ({ kind }) => kind)
  const of = (kind: Entry["kind"]) => byKind.get(kind) ?? []
  const attempts = new Attempts(entries)

  const sent = new Map<number, Entry["kind"]>()
  for (const kind of ["sent", "acknowledged", "refused", "unknown"] as const) {
    for (const { n } of of(kind)) sent.set(n, kind)
  }
  const records = stored.filter(({ tag }) => !unsent.has(tag))
  const rows = Map.groupBy(records, ({ id }) => id)
  const idsOf = Map.groupBy(rows.keys(), (id) => numberOf(rows.get(id)![0]!))

  const lost = of("acknowledged").filter(({ id }) => !(rows.get(id) ?? []).some(isDone))
  const unexpected = [
    ...[...idsOf].flatMap(([n, ids]) => {
      const kind = sent.get(n)
      if (kind === undefined || kind === "refused") return [`${n} is there, and was ${kind ?? "never sent"}`]
      return ids.length > 1 ? [`${n} is there ${ids.length} times`] : []
    }),
    ...records.filter((record) => record.state === "completed" && !attempts.hasEnded(record.id, fenceOf(record)))
      .map(({ id }) => `${id} is completed, and no handler of it came to its end`)
  ]
  return {
    acknowledged: of("acknowledged").length,
    refused: of("refused").length,
    unknown: of("unknown").length,
    done: records.filter(({ state }) => state === "completed").length,
    dead: records.filter(({ state }) => state === "dead").length,
    runs: of("start").length,
    lost: lost.map(({ id, n }) => `${n} (${id})`),
    unexpected,
    duplicated: of("start").length - new Set(of("start").map(({ id }) => id)).size,
    doneTwice: doneTwice(rows, attempts),
    ghost: records.filter((record) => record.state === "completed" && attempts.newest(record.id) > fenceOf(record))
      .map((record) => `${record.id} by ${fenceOf(record)}, ${attempts.newest(record.id)} was claimed`),
    stale: attempts.stale(),
    givenBack: of("given back").reduce((sum, { n }) => sum + n, 0),
    ...recovery(entries, attempts, records),
    highest: highest(entries),
    struck: new Map([...Map.groupBy(of("fault"), ({ word }) => word)].map(([word, list]) => [word, list.length]))
  }
}

const isDone = ({ state, tag }: Stored): boolean => state === "completed" || state === "dead" && doomed.has(tag)

const numberOf = ({ payload }: Stored): number => (JSON.parse(payload) as { readonly n: number }).n

/** The attempt that the store let complete the record. */
const fenceOf = ({ result }: Stored): number =>
  result === undefined ? -1 : (JSON.parse(result) as { readonly fence: number }).fence

const doneTwice = (rows: ReadonlyMap<string, ReadonlyArray<Stored>>, attempts: Attempts): ReadonlyArray<string> => [
  ...[...rows.values()].filter((list) => list.length > 1).map((list) => `${list[0]!.id} has ${list.length} rows`),
  ...attempts.completedTwice()
]

/** What is known of the attempts of each record. */
class Attempts {
  private readonly claims: ReadonlyMap<string, ReadonlyArray<Entry>>
  private readonly ends: ReadonlySet<string>
  /** Writes by record, fence and kind: when the first of them went out, and the best answer. */
  private readonly writes = new Map<string, { readonly first: Entry; answer: string | undefined }>()

  constructor(entries: ReadonlyArray<Entry>) {
    // A claim whose reply was lost is in no ledger; that of a handler that began is.
    this.claims = Map.groupBy(entries.filter(({ kind }) => kind === "claim" || kind === "start"), ({ id }) => id)
    this.ends = new Set(entries.filter(({ kind }) => kind === "end").map(attemptOf))
    for (const entry of entries) {
      if (entry.kind !== "ask" && entry.kind !== "answer") continue
      const [kind, answer] = entry.word.split(" ")
      const key = `${attemptOf(entry)} ${kind}`
      const write = this.writes.get(key)
      if (write === undefined) this.writes.set(key, { first: entry, answer })
      else if (answer !== undefined && write.answer !== "Done") write.answer = answer
    }
  }

  hasEnded(id: string, fence: number): boolean {
    return this.ends.has(`${id} ${fence}`)
  }

  /** The highest fence that was given out. */
  newest(id: string): number {
    return Math.max(0, ...(this.claims.get(id) ?? []).map(({ fence }) => fence))
  }

  /** The claim after this one: between the two the rescue has raised the fence. */
  nextClaim(id: string, fence: number): number | undefined {
    return this.claims.get(id)?.find((entry) => entry.fence === fence + 2)?.at
  }

  completedTwice(): ReadonlyArray<string> {
    const done = [...this.writes.values()].filter(({ answer, first }) =>
      first.word.startsWith("settle") && answer === "Done" && this.ends.has(attemptOf(first))
    )
    return [...Map.groupBy(done, ({ first }) => first.id)].filter(([, list]) => list.length > 1)
      .map(([id, list]) => `${id} by ${list.map(({ first }) => first.fence).join(" and ")}`)
  }

  stale(): Findings["stale"] {
    let attempted = 0
    let refused = 0
    let accepted = 0
    let settlements = 0
    for (const { answer, first } of this.writes.values()) {
      const wasStale = (this.claims.get(first.id) ?? []).some(({ at, fence }) => fence > first.fence && at < first.at)
      if (answer === "LeaseLost") refused++
      else if (wasStale && answer === "Done") accepted++
      else if (!wasStale) continue
      attempted++
      if (first.word.startsWith("settle")) settlements++
    }
    return { attempted, refused, accepted, settlements }
  }
}

const attemptOf = ({ fence, id }: Entry): string => `${id} ${fence}`

/** From each death or freeze on, for what was held then and not completed by whoever held it. */
const recovery = (
  entries: ReadonlyArray<Entry>,
  attempts: Attempts,
  records: ReadonlyArray<Stored>
): Pick<Findings, "rescue" | "recovery"> => {
  const known = new Map(records.map((record) => [record.id, record]))
  const held = new Map<string, Map<string, Entry>>()
  const rescue: Array<number> = []
  const recovery: Array<number> = []
  for (const entry of entries) {
    const mine = held.get(entry.by) ?? new Map<string, Entry>()
    held.set(entry.by, mine)
    if (entry.kind === "claim") mine.set(attemptOf(entry), entry)
    if (entry.kind === "answer" && entry.word.startsWith("settle")) mine.delete(attemptOf(entry))
    if (entry.kind !== "fault" || !["kill", "freeze", "killed itself"].includes(entry.word)) continue
    for (const { fence, id } of held.get(entry.id)?.values() ?? []) {
      const record = known.get(id)
      if (record === undefined || fenceOf(record) === fence) continue
      const taken = record.deaths.map(({ at }) => at - wallClock).find((at) => at > entry.at)
      if (taken !== undefined) rescue.push(taken - entry.at)
      const next = attempts.nextClaim(id, fence)
      if (next !== undefined && next > entry.at) recovery.push(next - entry.at)
    }
    held.delete(entry.id)
  }
  return { rescue, recovery }
}

/** What the store's clock says beyond the ledger's: both are this machine's. */
export const wallClock = Date.now() - now()

/** An attempt of a key lasts until its handler ends, is interrupted, or its process dies. */
const highest = (entries: ReadonlyArray<Entry>): ReadonlyMap<string, number> => {
  const running = new Map<string, Map<string, string>>()
  const most = new Map<string, number>()
  for (const { by, fence, id, kind, word } of entries) {
    if (kind === "fault" && (word === "kill" || word === "killed itself")) {
      for (const attempts of running.values()) {
        for (const [attempt, process] of attempts) if (process === id) attempts.delete(attempt)
      }
    }
    if (word === "" || (kind !== "start" && kind !== "end" && kind !== "cut")) continue
    const attempts = running.get(word) ?? new Map<string, string>()
    running.set(word, attempts)
    if (kind === "start") attempts.set(`${id} ${fence}`, by)
    else attempts.delete(`${id} ${fence}`)
    most.set(word, Math.max(most.get(word) ?? 0, attempts.size))
  }
  return most
}

/** p50, p95 and the most. */
export const quantiles = (values: ReadonlyArray<number>) => {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (part: number): number | undefined => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]
  return { p50: at(0.5), p95: at(0.95), max: sorted.at(-1) }
}
