import { setTimeout as sleep } from "node:timers/promises"
import { unhurried } from "../cluster.ts"
import { type Fault, line, none, strikes } from "../fault.ts"
import { now } from "../ledger.ts"

const times = 2

/** Some handlers take longer than the grace: they are interrupted, and their attempts given back. */
const shutdownGrace = 500
const millis = [10, 3 * shutdownGrace] as const

/** The grace, and what the store takes to hear of the end of it all, on a machine that has other things to do. */
const bound = shutdownGrace + 2000

export const terminate: Fault = {
  id: "F19",
  title: "SIGTERM of all workers under load, twice, each of them two signals",
  strike: async ({ cluster, saw, seconds }) => {
    await cluster.startWorkers({ count: 2, concurrency: 40, lease: unhurried, shutdownGrace })
    await cluster.startProducers({
      loads: [1, 2].map(() => ({ kinds: ["Work"], millis, rate: 40, inFlight: 50 }))
    })
    for (let i = 0; i < times; i++) {
      await sleep(seconds * 1000 / (times + 1))
      await cluster.replaceAll(
        async (worker) => {
          cluster.note("terminate", worker.name)
          const began = now()
          await worker.terminate()
          saw("shutdown", now() - began)
        },
        async () => saw("left running", await cluster.server.running(cluster.namespace))
      )
    }
    await sleep(seconds * 1000 / (times + 1))
  },
  judge: (run) => {
    const left = run.seen.get("left running") ?? []
    const slowest = Math.round(Math.max(...run.seen.get("shutdown") ?? [Infinity]))
    const interrupted = run.entries.filter(({ kind }) => kind === "cut").length
    return [
      ...strikes(run, "terminate"),
      line(`left running ${left.join(" and ")}`, left.length === times && left.every((count) => count === 0)),
      line(`attempts interrupted ${interrupted}`, interrupted > 0),
      // No handler fails, so whatever is beyond the first was charged wrongly.
      none(
        "attempts charged wrongly",
        run.stored.filter(({ attempt, state }) => state !== "waiting" && attempt !== 1)
          .map(({ attempt, id }) => `${id} is charged with ${attempt}`)
      ),
      line(`shutdown in at most ${slowest} ms`, slowest < bound)
    ]
  }
}
