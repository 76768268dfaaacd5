/**
 * BullMQ by its guide: one queue, one worker; what is completed is removed, as its page on production has it, and many are
 * added by `addBulk`. Over ioredis, its default client.
 */
import { Queue, Worker } from "bullmq"
import { Failed, type MakeSystem, pooled, sleep, text } from "../../src/system.ts"

const name = "work"

export const make: MakeSystem = async ({ fails, millis, run, url }) => {
  const { hostname: host, port } = new URL(url)
  const connection = { host, port: Number(port) }
  const queue = new Queue<{ n: number; text: string }>(name, {
    connection,
    defaultJobOptions: { removeOnComplete: true, ...fails === undefined ? {} : { attempts: 3 } }
  })
  const workers: Array<Worker<{ n: number }>> = []
  const addBulk = async (from: number, count: number, instant?: number) => {
    const delay = instant === undefined ? undefined : instant - Date.now()
    for (let n = from; n < from + count; n += 1000) {
      await queue.addBulk(
        Array.from({ length: Math.min(1000, from + count - n) }, (_, i) => ({
          name,
          data: { n: n + i, text },
          ...delay === undefined ? {} : { opts: { delay } }
        }))
      )
    }
  }
  await queue.waitUntilReady()
  return {
    enqueue: (from, count, inFlight) => pooled(from, count, inFlight, (n) => queue.add(name, { n, text })),
    enqueueBulk: (from, count) => addBulk(from, count),
    enqueueDue: (from, count, instant) => addBulk(from, count, instant),
    start: async (concurrency) => {
      const worker = new Worker<{ n: number }>(
        name,
        async ({ data }) => {
          if (millis > 0) await sleep(millis)
          if (fails?.(data.n) === true) throw new Failed()
          run(data.n)
        },
        { connection, concurrency }
      )
      workers.push(worker)
      await worker.waitUntilReady()
    },
    canHaveTwoWorkers: true,
    canRetry: true,
    close: async () => {
      await Promise.all(workers.map((worker) => worker.close()))
      await queue.close()
    }
  }
}
