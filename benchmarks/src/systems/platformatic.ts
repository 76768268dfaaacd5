import { MemoryStorage, Queue } from "@platformatic/job-queue"
import { Failed, type MakeSystem, pooled, sleep, text } from "../system.ts"

export const make: MakeSystem = async ({ fails, millis, run }) => {
  const storage = new MemoryStorage()
  // Its concurrency is an option of the queue, and only a started queue takes jobs in: one to enqueue, others to work.
  const producer = new Queue<{ n: number; text: string }, null>({ storage })
  await producer.start()
  const workers: Array<Queue<{ n: number; text: string }, null>> = []
  return {
    enqueue: (from, count, inFlight) => pooled(from, count, inFlight, (n) => producer.enqueue(`job-${n}`, { n, text })),
    start: async (concurrency) => {
      const worker = new Queue<{ n: number; text: string }, null>({ storage, concurrency })
      workers.push(worker)
      worker.execute(async ({ payload }: { readonly payload: { readonly n: number } }) => {
        if (millis > 0) await sleep(millis)
        if (fails?.(payload.n) === true) throw new Failed()
        run(payload.n)
        return null
      })
      await worker.start()
    },
    canHaveTwoWorkers: true,
    canRetry: true,
    close: async () => {
      for (const queue of [producer, ...workers]) await queue.stop()
    }
  }
}
