import { setTimeout as sleep } from "node:timers/promises"
import type { Cluster } from "../cluster.ts"
import { type Fault, firstStarts, line, strikes } from "../fault.ts"

const crashes = 3

/** Crashes the server so many times in so many seconds. */
export const crashing = async (cluster: Cluster, seconds: number, times: number): Promise<void> => {
  for (let i = 0; i < times; i++) {
    await sleep(seconds * 1000 / (times + 1))
    cluster.note("crash")
    await cluster.server.crash()
    await cluster.server.restart()
    cluster.note("up")
  }
  await sleep(seconds * 1000 / (times + 1))
}

export const crash: Fault = {
  id: "F3",
  title: "the server crashes three times while producing",
  strike: async ({ cluster, seconds }) => {
    await cluster.startWorkers({ count: 4, concurrency: 10 })
    await cluster.startProducers({
      loads: [1, 2].map(() => ({ kinds: ["Work"], millis: [10, 100], rate: 100, inFlight: 50 }))
    })
    await crashing(cluster, seconds, crashes)
  },
  judge: (run) => {
    const slowest = Math.max(...firstStarts(run, "up"))
    return [
      ...strikes(run, "crash"),
      line(`first job ${Math.round(slowest)} ms after the server is back`, slowest < 5000)
    ]
  }
}
