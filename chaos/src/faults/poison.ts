import { setTimeout as sleep } from "node:timers/promises"
import { type Fault, line, type Run, strikes } from "../fault.ts"
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
    const others = throughputOfOthers(run)
    return [
      ...strikes(run, "killed itself"),
      line(
        `deaths charged to each of ${poisonous.length} poison records ${[...new Set(charged)].join(" and ")}`,
        charged.length > 0 && charged.every((count) => count === limit)
      ),
      line(`runs of all of them ${runsOf(run, poisonous)}`, runsOf(run, poisonous) < (limit + 1) * poisonous.length),
      line(`dead ${run.findings.dead}`, run.findings.dead === poisonous.length),
      line(`throughput of others ${Math.round(others * 100)} % of what was produced`, others >= 0.7)
    ]
  }
}

/**
 * A death is charged to the one record that had crashed others before, where its worker held such a one (P10). So poison
 * that meets an innocent suspect runs more often than its limit, on every store: `chaos/README.md`, "Poison".
 */
const runsOf = ({ entries }: Run, records: ReadonlyArray<Stored>): number => {
  const ids = new Set(records.map(({ id }) => id))
  return entries.filter(({ id, kind }) => kind === "start" && ids.has(id)).length
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
