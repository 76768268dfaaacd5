import { setTimeout as sleep } from "node:timers/promises"
import { every, type Fault, line, type Run, strikes } from "../fault.ts"

/** Milliseconds in which every reply to a producer is lost: what the store sends again by itself is lost, too. */
const lossy = 1000

export const dropped: Fault = {
  id: "F5",
  title: "sockets dropped between an enqueue's commit and its reply; producers enqueue again, by the same key",
  strike: async ({ choices, cluster, proxy, seconds, struck }) => {
    const between = await proxy()
    await cluster.startWorkers({ count: 2, concurrency: 20 })
    await cluster.startProducers({
      loads: [1, 2].map(() => ({ kinds: ["Work"], millis: [0, 10], rate: 60, inFlight: 20, isSure: true })),
      ports: [between.port, between.port]
    })
    await every(2 * lossy, seconds, async () => {
      between.loseReplies(1, choices)
      await sleep(lossy)
      between.keepReplies()
    })
    struck("lost reply", between.counts.lost)
  },
  judge: (run) => {
    const again = run.entries.filter(({ kind }) => kind === "again").length
    const found = run.entries.filter(({ kind, word }) => kind === "acknowledged" && word === "Existing").length
    return [
      ...strikes(run, "lost reply"),
      line(`enqueued again ${again}`, again > 0),
      line(`found what was stored before ${found}`, found > 0),
      duplicates(run)
    ]
  },
  control: { without: "uniqueness", red: (run) => ({ ...duplicates(run), holds: !duplicates(run).holds }) }
}

const duplicates = ({ stored }: Run) => {
  const numbers = stored.map(({ payload }) => (JSON.parse(payload) as { readonly n: number }).n)
  const twice = numbers.length - new Set(numbers).size
  return line(`duplicates by retries of producers ${twice}`, twice === 0)
}
