import { every, type Fault, line, type Run, strikes } from "../fault.ts"
import { limits } from "../workload.ts"

const keys = 10

export const keyed: Fault = {
  id: "F11",
  title: `keys with limits of ${limits.Narrow} and ${limits.Wide} while workers are killed every 700 ms`,
  strike: async ({ cluster, seconds }) => {
    await cluster.startWorkers({ count: 4, concurrency: 20 })
    await cluster.startProducers({
      loads: [
        { kinds: ["Narrow"], millis: [10, 100], rate: 40, inFlight: 50, keys },
        // More than the limits let through: each key has somebody waiting.
        { kinds: ["Wide"], millis: [100, 300], rate: 110, inFlight: 50, keys: 2 }
      ]
    })
    await every(700, seconds, () => cluster.killOne())
  },
  judge: (run) => [...strikes(run, "kill"), ...Object.entries(limits).map(([job, limit]) => highest(run, job, limit))],
  control: { without: "slots", red: (run) => ({ ...highest(run, "Narrow", 1), holds: mostOf(run, "Narrow") > 1 }) }
}

/** Reached, so that it is known to have been tested, and not passed. */
const highest = (run: Run, job: string, limit: number) => {
  const most = mostOf(run, job)
  return line(`at most ${most} at a time of ${job} keys, limit ${limit}`, most === limit)
}

const mostOf = ({ findings }: Run, job: string): number =>
  Math.max(0, ...[...findings.highest].filter(([key]) => key.startsWith(`${job}/`)).map(([, most]) => most))
