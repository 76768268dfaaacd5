import { setTimeout as sleep } from "node:timers/promises"
import { type Fault, firstStarts, line, strikes } from "../fault.ts"

const crashes = 3

export const crash: Fault = {
  id: "F3",
  title: "the server crashes three times while producing",
  strike: async ({ cluster, seconds }) => {
    await cluster.startWorkers({ count: 4, concurrency: 10 })
    await cluster.startProducers({
      loads: [1, 2].map(() => ({ kinds: ["Work"], millis: [10, 100], rate: 100, inFlight: 50 }))
    })
    for (let i = 0; i < crashes; i++) {
      await sleep(seconds * 1000 / (crashes + 1))
      cluster.note("crash")
      await cluster.server.crash()
      await cluster.server.restart()
      cluster.note("up")
    }
    await sleep(seconds * 1000 / (crashes + 1))
  },
  judge: (run) => {
    const slowest = Math.max(...firstStarts(run, "up"))
    return [
      ...strikes(run, "crash"),
      line(`first job ${Math.round(slowest)} ms after the server is back`, slowest < 5000)
    ]
  }
}
