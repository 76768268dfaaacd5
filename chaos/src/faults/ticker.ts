import { every, type Fault, type Line, line, type Run, strikes } from "../fault.ts"
import { doubledOf, instantsOf, missedOf } from "../jobs/ticks.ts"

export const ticker: Fault = {
  id: "F13",
  title: "schedules on 3 instances, of which the one that ticks is killed again and again",
  isLong: true,
  strike: async ({ cluster, seconds }) => {
    await cluster.startWorkers({ count: 3, concurrency: 5, ticks: true })
    await cluster.startProducers({ loads: [{ kinds: ["Work"], millis: [10, 100], rate: 10, inFlight: 10 }] })
    await every(1500, seconds, () => cluster.killTicker())
  },
  judge: (run) => [...strikes(run, "kill"), ...tickedOnce(run)],
  control: {
    without: "revision",
    red: ({ stored }) => {
      const doubled = doubledOf(instantsOf(stored, "once")) + doubledOf(instantsOf(stored, "all"))
      return line(`doubled ${doubled}`, doubled > 0)
    }
  }
}

/** Instants that passed while nobody ticked have one record together under `runOnce`, and their own under `runAll`. */
export const tickedOnce = ({ stored }: Run): ReadonlyArray<Line> => {
  const once = instantsOf(stored, "once")
  const all = instantsOf(stored, "all")
  return [
    line(`ticks ${once.length} and ${all.length}`, once.length > 2 && all.length > 2),
    line(`missed ${missedOf(all)}; ${missedOf(once)} for which another stands`, missedOf(all) === 0),
    line(`doubled ${doubledOf(once)} and ${doubledOf(all)}`, doubledOf(once) + doubledOf(all) === 0)
  ]
}
