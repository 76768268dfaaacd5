import { setTimeout as sleep } from "node:timers/promises"
import { type Fault, firstStarts, line, strikes } from "../fault.ts"

/** Milliseconds in which the standby refuses every write. */
const readOnly = 3000

export const standby: Fault = {
  id: "F24",
  title: "the server lost for good, its standby read-only for 3 s and then promoted",
  special: "standby",
  isLong: true,
  strike: async ({ cluster, proxy, seconds, struck }) => {
    const between = await proxy()
    await cluster.startWorkers({ count: 4, concurrency: 10, port: between.port })
    await cluster.startProducers({
      loads: [1, 2].map(() => ({ kinds: ["Work"], millis: [10, 100], rate: 60, inFlight: 50 })),
      ports: [between.port, between.port]
    })
    await sleep(seconds * 500)
    cluster.note("primary lost")
    await cluster.server.failOver!()
    between.moveTo(cluster.server.port)
    await sleep(readOnly)
    await cluster.server.promote!()
    cluster.note("promoted")
    await sleep(seconds * 500)
    struck("refused write", cluster.entries().filter(({ kind }) => kind === "refused").length)
    await cluster.everyWorkerStarts(allBackIn)
  },
  judge: (run) => {
    const after = (by?: string) => Math.round(Math.max(...firstStarts(run, "promoted", by)))
    const workers = new Set(run.entries.filter(({ kind }) => kind === "start").map(({ by }) => by))
    const slowest = Math.max(...[...workers].map(after))
    return [
      ...strikes(run, "primary lost", "promoted", "refused write"),
      line(`first job ${after()} ms after the promotion`, after() < 5000),
      line(`every worker back ${slowest} ms after it`, slowest < allBackIn)
    ]
  },
  control: {
    without: "replication",
    isApart: true,
    red: ({ findings: { lost } }) => line(`lost ${lost.length}`, lost.length > 0)
  }
}

/** Milliseconds in which the last worker, too, starts a job again. */
const allBackIn = 15_000
