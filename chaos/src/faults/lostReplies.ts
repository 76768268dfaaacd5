import { setTimeout as sleep } from "node:timers/promises"
import { unhurried } from "../cluster.ts"
import { type Fault, line, strikes } from "../fault.ts"
import { until } from "../until.ts"

const probability = 0.02

/** Enough that some carried claims: a busy machine sends few replies in a quick run. */
const enough = 20

export const lostReplies: Fault = {
  id: "F21",
  title: "2 % of the replies lost after the store has committed, no kills",
  isCalm: true,
  strike: async ({ choices, cluster, proxy, seconds, struck }) => {
    const between = await proxy()
    await cluster.startWorkers({ count: 4, concurrency: 10, lease: unhurried, port: between.port })
    await cluster.startProducers({
      loads: [1, 2].map(() => ({ kinds: ["Work"], millis: [10, 100], rate: 60, inFlight: 50 })),
      ports: [between.port, between.port]
    })
    between.loseReplies(probability, choices)
    await sleep(seconds * 1000)
    await until(async () => between.counts.lost >= enough, 60)
    between.keepReplies()
    struck("lost reply", between.counts.lost)
  },
  judge: (run) => [
    ...strikes(run, "lost reply"),
    line(`claims given back ${run.findings.givenBack}`, run.findings.givenBack > 0)
  ],
  control: { without: "reconciling", red: ({ stuck }) => line(`stuck ${stuck}`, stuck > 0) }
}
