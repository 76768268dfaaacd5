import { setTimeout as sleep } from "node:timers/promises"
import { lease } from "../cluster.ts"
import { every, type Fault, firstStarts, line, strikes } from "../fault.ts"

/** Past the lease: whoever comes first when answers come again finds nothing that is held, and nobody may have run it. */
const paused = 1.5 * lease

export const pause: Fault = {
  id: "F22",
  title: "a server that answers nobody for longer than the lease",
  needs: "pause",
  strike: async ({ cluster, seconds }) => {
    await cluster.startWorkers({ count: 4, concurrency: 10 })
    await cluster.startProducers({
      loads: [1, 2].map(() => ({ kinds: ["Work"], millis: [10, 100], rate: 60, inFlight: 50 }))
    })
    await every(Math.min(3 * paused, Math.max(1000, seconds * 500)), seconds, async () => {
      cluster.note("pause")
      await cluster.server.pause!(paused)
      await sleep(paused)
      cluster.note("go on")
    })
    await sleep(1500)
  },
  judge: (run) => {
    const slowest = Math.round(Math.max(...firstStarts(run, "go on")))
    return [...strikes(run, "pause"), line(`first job ${slowest} ms after it answers again`, slowest < 2000)]
  }
}
