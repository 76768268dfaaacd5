import * as fastq from "fastq"
import { type MakeSystem, sleep, text } from "../system.ts"

export const make: MakeSystem = async ({ millis, run }) => {
  const queue = fastq.promise<unknown, { n: number; text: string }, void>(async ({ n }) => {
    if (millis > 0) await sleep(millis)
    run(n)
  }, 1)
  queue.pause()
  return {
    enqueue: async (from, count) => {
      for (let n = from; n < from + count; n++) void queue.push({ n, text })
    },
    start: async (concurrency) => {
      queue.concurrency = concurrency
      queue.resume()
    },
    canHaveTwoWorkers: false,
    close: async () => queue.kill()
  }
}
