/**
 * What the ledger says of another system's run. Its settlements are not seen, since no seam of its is ours: what the server
 * took is known by when it took the completion, beside which attempts were at work then.
 */
import type { Findings } from "./audit.ts"
import { type Entry, now } from "./ledger.ts"
import type { PeerRecord } from "./peer.ts"

/** Milliseconds by which the clocks of the ledger and of a server may differ, and an answer may be late. */
const margin = 100

/** What the wall clock says beyond the ledger's. */
const wallClock = Date.now() - now()

interface Attempt {
  readonly by: string
  readonly fence: number
  readonly start: number
  readonly end: number
  /** When its settlement goes out: at its end, or when its process goes on that was frozen right after it. */
  readonly settles: number
}

export const auditPeer = (entries: ReadonlyArray<Entry>, records: ReadonlyArray<PeerRecord>): Findings => {
  const of = (kind: Entry["kind"]) => entries.filter((entry) => entry.kind === kind)
  const attempts = attemptsOf(entries)
  const known = new Map(records.map((record) => [record.id, record]))
  const sent = new Set(of("sent").map(({ n }) => n))
  const stale = { attempted: 0, refused: 0, accepted: 0, settlements: 0 }
  const ghost: Array<string> = []
  for (const [id, list] of attempts) {
    const completedAt = known.get(id)?.completedAt
    stale.attempted += list.filter(({ fence, settles }) =>
      list.some((other) =>
        other.fence > fence && other.start < settles && settles < Infinity
      )
    ).length
    if (completedAt === undefined) continue
    const at = completedAt - wallClock
    // Of those that had come to their end by then the newest is taken for the one that completed it.
    const by = Math.max(...list.filter(({ end }) => end < at + margin).map(({ fence }) => fence))
    const later = list.filter(({ fence, start }) => fence > by && start < at - margin)
    if (by === -Infinity || later.length === 0) continue
    stale.accepted++
    ghost.push(`${id} by ${by}, ${Math.max(...later.map(({ fence }) => fence))} was at work`)
  }
  stale.settlements = stale.attempted
  stale.refused = stale.attempted - stale.accepted
  const acknowledged = of("acknowledged")
  const starts = of("start")
  return {
    acknowledged: acknowledged.length,
    refused: 0,
    unknown: of("unknown").length,
    done: records.filter(({ state }) => state === "completed").length,
    dead: records.filter(({ state }) => state === "dead").length,
    runs: starts.length,
    lost: acknowledged.filter(({ id }) => known.get(id)?.state !== "completed").map(({ id, n }) => `${n} (${id})`),
    unexpected: [
      ...[...Map.groupBy(records, ({ n }) => n)].flatMap(([n, list]) => {
        const ids = new Set(list.map(({ id }) => id)).size
        return ids > 1 ? [`${n} is there ${ids} times`] : []
      }),
      ...records.flatMap(({ id, n, state }) => [
        ...sent.has(n) ? [] : [`${n} is there, and was never sent`],
        ...state === "completed" && !(attempts.get(id) ?? []).some(({ end }) => end < Infinity)
          ? [`${id} is completed, and no handler of it came to its end`]
          : []
      ])
    ],
    duplicated: starts.length - attempts.size,
    doneTwice: doubles(records),
    ghost,
    stale,
    givenBack: 0,
    rescue: [],
    recovery: recoveryOf(entries, attempts),
    highest: new Map(),
    struck: new Map(
      [...Map.groupBy(of("fault"), ({ word }) => word)].map(([word, list]) => [word, list.length])
    )
  }
}

const attemptsOf = (entries: ReadonlyArray<Entry>): ReadonlyMap<string, ReadonlyArray<Attempt>> => {
  const ends = new Map<string, number>()
  for (const { at, by, fence, id, kind } of entries) if (kind === "end") ends.set(`${by} ${id} ${fence}`, at)
  // A process that freezes itself says so: the runner notes the others.
  const frozen = Map.groupBy(entries.filter(({ by, id, kind }) => kind === "fault" && by === id), ({ by }) => by)
  const settles = (by: string, end: number): number => {
    const own = frozen.get(by) ?? []
    const at = own.findIndex((entry) => entry.word === "freeze" && entry.at >= end && entry.at < end + margin)
    return at < 0 ? end : own.slice(at).find(({ word }) => word === "thaw")?.at ?? Infinity
  }
  return Map.groupBy(
    entries.filter(({ kind }) => kind === "start").map(({ at, by, fence, id }) => {
      const end = ends.get(`${by} ${id} ${fence}`) ?? Infinity
      return { id, by, fence, start: at, end, settles: settles(by, end) }
    }),
    ({ id }) => id
  )
}

const doubles = (records: ReadonlyArray<PeerRecord>): ReadonlyArray<string> =>
  [...Map.groupBy(records.filter(({ state }) => state === "completed"), ({ id }) => id)]
    .filter(([, list]) => list.length > 1).map(([id, list]) => `${id} has ${list.length} completions`)

/** From each death or freeze to the next start of what ran then. */
const recoveryOf = (
  entries: ReadonlyArray<Entry>,
  attempts: ReadonlyMap<string, ReadonlyArray<Attempt>>
): ReadonlyArray<number> => {
  const byWorker = Map.groupBy(
    [...attempts].flatMap(([id, list]) => list.map((attempt) => ({ ...attempt, id }))),
    ({ by }) => by
  )
  return entries.filter(({ kind, word }) => kind === "fault" && (word === "kill" || word === "freeze")).flatMap((
    fault
  ) =>
    (byWorker.get(fault.id) ?? []).filter(({ end, start }) => start < fault.at && fault.at < end).flatMap(({ id }) => {
      const next = attempts.get(id)!.find(({ start }) => start > fault.at)
      return next === undefined ? [] : [next.start - fault.at]
    })
  )
}
