/** BullMQ on its Postgres backend, by its guide: one queue, one worker, a pool of ten connections each. */
import { createPostgresBackend, runMigrations, withBackend } from "bullmq"
import { Client } from "pg"
import { Failed, type MakeSystem, pooled, sleep, text } from "../../src/system.ts"

const { Queue, Worker } = withBackend(createPostgresBackend)
const name = "work"

export const make: MakeSystem = async ({ fails, millis, run, url }) => {
  const client = new Client({ connectionString: url })
  await client.connect()
  await runMigrations(client)
  await client.end()

  const queue = new Queue<{ n: number; text: string }>(name, {
    connection: url,
    ...fails === undefined ? {} : { defaultJobOptions: { attempts: 3 } }
  })
  const workers: Array<InstanceType<typeof Worker<{ n: number }>>> = []
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
        { connection: url, concurrency }
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
