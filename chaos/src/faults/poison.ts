import { setTimeout as sleep } from "node:timers/promises"
import { type Fault, line, type Run, strikes } from "../fault.ts"

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
    const runs = runsOfPoison(run)
    const others = throughputOfOthers(run)
    return [
      ...strikes(run, "killed itself"),
      line(
        `runs per poison record ${[...new Set(runs)].join(" and ")}`,
        runs.length > 0 && runs.every((count) => count === limit)
      ),
      line(`dead ${run.findings.dead}, poison ${runs.length}`, run.findings.dead === runs.length),
      line(`throughput of others ${Math.round(others * 100)} % of what was produced`, others >= 0.7)
    ]
  }
}

const poisonIds = ({ stored }: Run): ReadonlySet<string> =>
  new Set(stored.filter(({ tag }) => tag === "Poison").map(({ id }) => id))

const runsOfPoison = (run: Run): ReadonlyArray<number> => {
  const starts = Map.groupBy(run.entries.filter(({ kind }) => kind === "start"), ({ id }) => id)
  return [...poisonIds(run)].map((id) => starts.get(id)?.length ?? 0)
}

/** Of what was acknowledged while it was produced, the part that had been done by then. */
const throughputOfOthers = (run: Run): number => {
  const poisonous = poisonIds(run)
  const last = run.entries.find(({ kind, word }) => kind === "fault" && word === "last")?.at ?? 0
  const before = (kind: string): ReadonlySet<string> =>
    new Set(
      run.entries.filter((entry) => entry.kind === kind && entry.at <= last && !poisonous.has(entry.id))
        .map(({ id }) => id)
    )
  return before("end").size / before("acknowledged").size
}
