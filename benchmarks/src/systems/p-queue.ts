import PQueue from "p-queue"
import { type MakeSystem, sleep, text } from "../system.ts"

export const make: MakeSystem = async ({ millis, run }) => {
  const queue = new PQueue({ autoStart: false })
  return {
    enqueue: async (from, count) => {
      for (let n = from; n < from + count; n++) {
        const payload = { n, text }
        void queue.add(async () => {
          if (millis > 0) await sleep(millis)
          run(payload.n)
        })
      }
    },
    start: async (concurrency) => {
      queue.concurrency = concurrency
      queue.start()
    },
    canHaveTwoWorkers: false,
    close: async () => queue.clear()
  }
}
