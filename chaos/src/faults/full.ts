import { setTimeout as sleep } from "node:timers/promises"
import { lease } from "../cluster.ts"
import { every, type Fault, firstStarts, line, strikes } from "../fault.ts"

const full = 1.5 * lease

export const fullServer: Fault = {
  id: "F16",
  title: "a server that has no room, on its disk or in its memory, for longer than the lease",
  special: "little room",
  // A disk of its own is not to be had everywhere.
  isLong: ["pg"],
  strike: async ({ cluster, seconds, struck }) => {
    await cluster.server.confine?.(cluster.namespace)
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
    struck("refused write", cluster.entries().filter(({ kind }) => kind === "refused").length)
  },
  judge: (run) => {
    const slowest = Math.round(Math.max(...firstStarts(run, "room")))
    return [
      ...strikes(run, "full", "refused write"),
      line(`first job ${slowest} ms after there is room`, slowest < 5000)
    ]
  }
}
