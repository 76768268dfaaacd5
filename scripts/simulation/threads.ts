/** Seeds in several threads: each takes the next few as soon as it is done with its last. */
import { Simulation } from "@capstan/testing"
import { Worker } from "node:worker_threads"

/** Small enough that all threads end at about the same time. */
const usualShare = 25

export interface Share {
  readonly seeds: ReadonlyArray<number>
  readonly kills: boolean
}

/**
 * Says after every share how many seeds are done. When a seed fails, the shares before it are still run to their ends, and none behind
 * them is begun: the lowest seed that fails is found, whatever the number of threads.
 */
export const exploreInThreads = async (
  { count, from, kills, share = usualShare, threads }: {
    readonly from: number
    readonly count: number
    readonly kills: boolean
    readonly threads: number
    /** How many seeds a thread takes at a time. */
    readonly share?: number
  },
  onProgress: (explored: number) => void
): Promise<Simulation.Exploration> => {
  const shares: Array<ReadonlyArray<number>> = []
  for (let first = 0; first < count; first += share) {
    shares.push(Array.from({ length: Math.min(share, count - first) }, (_, i) => from + first + i))
  }
  let explored = Simulation.combine([])
  const runShare = (thread: Worker, seeds: ReadonlyArray<number>): Promise<void> =>
    new Promise((resolve, reject) => {
      thread.once("error", reject)
      thread.once("message", (part: Simulation.Exploration) => {
        thread.off("error", reject)
        explored = Simulation.combine([explored, part])
        onProgress(explored.runs)
        resolve()
      })
      // oxlint-disable-next-line unicorn/require-post-message-target-origin
      thread.postMessage({ seeds, kills } satisfies Share)
    })
  const runShares = async (thread: Worker): Promise<void> => {
    const seeds = explored.failed === undefined ? shares.shift() : undefined
    if (seeds === undefined) return
    await runShare(thread, seeds)
    return runShares(thread)
  }
  const work = async (): Promise<void> => {
    const thread = new Worker(new URL("thread.ts", import.meta.url))
    try {
      await runShares(thread)
    } finally {
      await thread.terminate()
    }
  }
  await Promise.all(Array.from({ length: Math.min(threads, shares.length) }, work))
  return explored
}
