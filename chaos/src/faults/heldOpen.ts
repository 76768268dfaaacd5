import { setTimeout as sleep } from "node:timers/promises"
import { type Fault, line, type Run, strikes } from "../fault.ts"

export const heldOpen: Fault = {
  id: "F15",
  title: "a transaction that is held open, so that nothing can be vacuumed",
  needs: "hold",
  isLong: true,
  strike: async ({ cluster, seconds, struck }) => {
    await cluster.startWorkers({ count: 2, concurrency: 20 })
    // More than can be done: the pace is that of the workers and the store.
    const load = { kinds: ["Work"], millis: [0, 0], rate: 5000, inFlight: 50 } as const
    await cluster.startProducers({ loads: [load, load] })
    const release = await cluster.server.hold!()
    cluster.note("held open")
    await sleep(seconds * 1000)
    cluster.note("released")
    struck("second held open", Math.floor(await release() / 1000))
  },
  judge: (run) => {
    const [first, last] = throughput(run)
    const share = last / first
    return [
      ...strikes(run, "held open", "second held open"),
      line(
        `${Math.round(last)} a second at the end, ${Math.round(first)} at the start: ${Math.round(share * 100)} %`,
        share >= 0.8
      )
    ]
  }
}

/** The median of what was done in a second, in the first and in the last third of the time. */
const throughput = ({ entries }: Run): readonly [number, number] => {
  const at = (fault: string) => entries.find(({ kind, word }) => kind === "fault" && word === fault)!.at
  const [from, to] = [at("held open"), at("released")]
  const seconds = Math.floor((to - from) / 1000)
  const done = Array.from({ length: seconds }, () => 0)
  for (const { at, kind } of entries) {
    const second = Math.floor((at - from) / 1000)
    if (kind === "end" && second >= 0 && second < seconds) done[second]!++
  }
  const third = Math.ceil(seconds / 3)
  const median = (counts: ReadonlyArray<number>) => counts.toSorted((a, b) => a - b)[Math.floor(counts.length / 2)]!
  return [median(done.slice(0, third)), median(done.slice(-third))]
}
