import { setTimeout as sleep } from "node:timers/promises"
import { lease } from "../cluster.ts"
import { every, type Fault, firstStarts, line, strikes } from "../fault.ts"

const full = 1.5 * lease

export const fullMemory: Fault = {
  id: "F23",
  title: "a server whose memory is full for longer than the lease",
  needs: "fill",
  strike: async ({ cluster, seconds }) => {
    await cluster.startWorkers({ count: 4, concurrency: 10 })
    await cluster.startProducers({
      loads: [1, 2].map(() => ({ kinds: ["Work"], millis: [10, 100], rate: 60, inFlight: 50 }))
    })
    await every(Math.min(3 * full, Math.max(1000, seconds * 500)), seconds, async () => {
      cluster.note("full")
      await cluster.server.fill!()
      await sleep(full)
      await cluster.server.empty!()
      cluster.note("room")
    })
    await sleep(1500)
  },
  judge: (run) => {
    const slowest = Math.round(Math.max(...firstStarts(run, "room")))
    const { refused, unknown } = run.findings
    return [
      ...strikes(run, "full"),
      line(`refused ${refused}, unknown ${unknown}`, refused > 0),
      line(`first job ${slowest} ms after there is room`, slowest < 5000)
    ]
  }
}
