import { every, type Fault, line, none, strikes } from "../fault.ts"
import { depth, flowOf, Level, width } from "../jobs/levels.ts"
import { crashing } from "./crash.ts"

/** A flow in so many seconds: each death holds up a level of it. */
const pace = 15

export const flows: Fault = {
  id: "F14",
  title: `flows of ${depth} levels of ${width}, while workers are killed every 700 ms and the server crashes`,
  isLong: true,
  strike: async ({ cluster, seconds }) => {
    await cluster.startWorkers({ count: 4, concurrency: 10 })
    await cluster.startProducers({
      loads: [{
        kinds: [],
        isFlow: true,
        millis: [10, 50],
        rate: 1,
        inFlight: 1,
        most: Math.max(1, Math.round(seconds / pace))
      }]
    })
    await Promise.all([crashing(cluster, seconds, 2), every(700, seconds, () => cluster.killOne())])
  },
  judge: ({ entries, stored, ...run }) => {
    const records = stored.filter(({ tag }) => tag === Level._tag)
      .map((record) => ({ ...record, ...JSON.parse(record.payload) as typeof Level.payloadSchema.Type }))
    const starts = new Map<string, number>()
    const ends = new Map<string, number>()
    for (const { at, id, kind } of entries) {
      if (kind === "start" && !starts.has(id)) starts.set(id, at)
      if (kind === "end" && !ends.has(id)) ends.set(id, at)
    }
    const levels = Map.groupBy(records, ({ level, n }) => `${flowOf(n)}/${level}`)
    const early = records.filter(({ id, level, n }) =>
      levels.get(`${flowOf(n)}/${level - 1}`)?.some((parent) => !(ends.get(parent.id)! < starts.get(id)!))
    )
    const neverRun = records.filter(({ id }) => !starts.has(id))
    return [
      ...strikes({ entries, stored, ...run }, "kill", "crash"),
      line(`killed at work ${run.findings.recovery.length} times`, run.findings.recovery.length > 0),
      line(`records of flows ${records.length}`, records.length > depth * width),
      none("children before their parents", early.map(({ id, level }) => `${id} of level ${level}`)),
      none("never run", neverRun.map(({ id }) => id))
    ]
  }
}
