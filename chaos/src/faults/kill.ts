import { lease, poll } from "../cluster.ts"
import { every, type Fault, line, rescuedWithin, strikes } from "../fault.ts"

export const kill: Fault = {
  id: "F1",
  title: "kill -9 of a random worker every 700 ms",
  strike: async ({ cluster, seconds }) => {
    await cluster.startWorkers({ count: 4, concurrency: 10 })
    await cluster.startProducers({
      loads: [1, 2].map(() => ({ kinds: ["Work"], millis: [10, 100], rate: 100, inFlight: 50 }))
    })
    await every(700, seconds, () => cluster.killOne())
  },
  judge: (run) => [...strikes(run, "kill"), rescuedWithin(run, lease + poll)],
  control: {
    without: "rescue",
    // Two such runs at once would start more processes than two cores have time for.
    isApart: true,
    red: ({ stuck }) => line(`stuck ${stuck}`, stuck > 0)
  }
}
