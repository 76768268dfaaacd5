import { setTimeout as sleep } from "node:timers/promises"
import { every, type Fault, firstStarts, line, strikes } from "../fault.ts"

/** Milliseconds in which the first job starts. A quick run measures nothing: it has what others leave it of the cores. */
const soon = 1000
const soonInQuick = 3000

/** Milliseconds in which the last worker, too, starts a job after a black hole: what it waits for may be silent. */
const allBackIn = 15_000

export const cut: Fault = {
  id: "F4",
  title: "every connection cut again and again, then a black hole that leaves connections half-open",
  strike: async ({ cluster, proxy, seconds, store, struck }) => {
    const between = await proxy()
    await cluster.startWorkers({ count: 4, concurrency: 10, port: between.port })
    const load = { kinds: ["Work"], millis: [10, 100], rate: 60, inFlight: 50 } as const
    await cluster.startProducers({
      loads: [load, load, load],
      ports: [between.port, between.port, cluster.server.port]
    })
    const hole = Math.min(10, Math.max(3, seconds / 2))
    await every(Math.min(store.cutEvery, hole * 500), seconds, async () => {
      const count = await cluster.server.cut()
      cluster.note("cut", String(count))
    })
    await sleep(1000)
    between.hole()
    cluster.note("hole")
    await sleep(hole * 1000)
    between.heal()
    cluster.note("heal")
    struck("half-open connection", between.counts.halfOpen)
    await cluster.everyWorkerStarts(allBackIn)
  },
  judge: (run) => {
    const within = (millis: number) => run.isQuick ? Math.max(millis, soonInQuick) : millis
    const after = (fault: string, by?: string) => Math.round(Math.max(...firstStarts(run, fault, by)))
    const workers = new Set(run.entries.filter(({ kind }) => kind === "start").map(({ by }) => by))
    const slowest = Math.max(...[...workers].map((by) => after("heal", by)))
    return [
      ...strikes(run, "cut", "hole", "half-open connection"),
      line(`first job ${after("cut")} ms after a cut`, after("cut") < within(soon)),
      line(`first job ${after("heal")} ms after healing`, after("heal") < within(run.resumesIn)),
      line(`every worker back ${slowest} ms after healing`, slowest < allBackIn)
    ]
  }
}
