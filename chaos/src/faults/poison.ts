import { setTimeout as sleep } from "node:timers/promises"
import { wallClock } from "../audit.ts"
import { type Fault, line, none, type Run, strikes } from "../fault.ts"
import type { Stored } from "../store.ts"

/** What the store's default is: a record whose workers died this often is dead. */
const limit = 3
/** One in 600. */
const poisonEvery = 300

const load = { kinds: ["Work"], millis: [10, 100], rate: 100, inFlight: 50 } as const

export const poison: Fault = {
  id: "F8",
  title: "handlers that kill their process",
  strike: async ({ cluster, seconds }) => {
    cluster.mayEnd = true
    await cluster.startWorkers({ count: 4, concurrency: 10 })
    await cluster.startProducers({
      loads: [{ ...load, poisonEvery }, load]
    })
    await sleep(seconds * 1000)
    cluster.note("last")
  },
  judge: (run) => {
    const poisonous = run.stored.filter(({ tag }) => tag === "Poison")
    const charged = poisonous.map(({ deaths }) => deaths.filter(({ charged }) => charged).length)
    const blamed = blame(run)
    const others = throughputOfOthers(run)
    return [
      ...strikes(run, "killed itself"),
      line(
        `deaths charged to each of ${poisonous.length} poison records ${[...new Set(charged)].join(" and ")}`,
        charged.length > 0 && charged.every((count) => count === limit)
      ),
      none(
        `runs of all of them ${blamed.runs}, charged to a suspect beside them ${blamed.others}, to nobody`,
        blamed.nobody
      ),
      line(`dead ${run.findings.dead}`, run.findings.dead === poisonous.length),
      line(`throughput of others ${Math.round(others * 100)} % of what was produced`, others >= 0.7)
    ]
  }
}

/**
 * Whom the end of each run of poison was charged to. It is poison, unless its worker held one that had crashed others before, a
 * suspect: then it is that one alone (P10). How often poison meets an innocent suspect is chance: `chaos/README.md`, "Poison".
 */
export const blame = ({ entries, stored }: Pick<Run, "entries" | "stored">) => {
  const known = new Map(stored.map((record) => [record.id, record]))
  const nobody: Array<string> = []
  let runs = 0
  let others = 0
  for (const { at, by, id } of entries.filter(({ kind }) => kind === "start")) {
    const record = known.get(id)
    if (record?.tag !== "Poison") continue
    runs++
    const death = record.deaths.find((death) => death.at - wallClock > at)
    if (death?.charged === true) continue
    const suspects = death === undefined ? [] : stored.filter((other) => isSuspect(entries, other, by, death.at))
    if (suspects.length === 1) others++
    else nobody.push(`${id} by ${by}: ${suspects.length} suspects`)
  }
  return { runs, others, nobody }
}

/**
 * Whether a record that had crashed others before was charged when a process's records were taken from it, which is at one instant.
 * The process may have died before it was told that it had it; another one was not.
 */
const isSuspect = (entries: Run["entries"], { deaths, id }: Stored, by: string, at: number): boolean => {
  const i = deaths.findIndex((death) => death.charged && death.at === at)
  if (!deaths.slice(0, Math.max(0, i)).some(({ charged }) => charged)) return false
  const since = deaths[i - 1]!.at - wallClock
  const claim = entries.findLast((entry) =>
    entry.kind === "claim" && entry.id === id && entry.at > since && entry.at <= at - wallClock
  )
  return claim === undefined || claim.by === by
}

/** Of what was acknowledged while it was produced, the part that had been done by then. */
const throughputOfOthers = (run: Run): number => {
  const poisonous = new Set(run.stored.filter(({ tag }) => tag === "Poison").map(({ id }) => id))
  const last = run.entries.find(({ kind, word }) => kind === "fault" && word === "last")?.at ?? 0
  const before = (kind: string): ReadonlySet<string> =>
    new Set(
      run.entries.filter((entry) => entry.kind === kind && entry.at <= last && !poisonous.has(entry.id))
        .map(({ id }) => id)
    )
  return before("end").size / before("acknowledged").size
}
