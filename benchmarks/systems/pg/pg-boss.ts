/**
 * pg-boss with LISTEN and batches: a worker fetches as long as its batches come back full, is woken by a notification,
 * and polls as often as it lets one (0.5 s) for what falls due. One handler call has a batch and runs its jobs, so many at a time.
 */
import { type Job, PgBoss } from "pg-boss"
import { type MakeSystem, pooled, sleep, text } from "../../src/system.ts"

const queue = "work"
const batchSize = 100

export const make: MakeSystem = async ({ fails, millis, run, url }) => {
  const boss = new PgBoss({ connectionString: url, useListenNotify: true })
  const problems: Array<Error> = []
  boss.on("error", (error) => problems.push(error))
  await boss.start()
  if (await boss.getQueue(queue) === null) await boss.createQueue(queue, { notify: true })
  const insert = async (from: number, count: number, startAfter?: Date) => {
    await boss.insert(
      queue,
      Array.from({ length: count }, (_, i) => ({
        data: { n: from + i, text },
        ...startAfter === undefined ? {} : { startAfter }
      }))
    )
  }
  return {
    enqueue: (from, count, inFlight) => pooled(from, count, inFlight, (n) => boss.send(queue, { n, text })),
    enqueueBulk: (from, count) => insert(from, count),
    enqueueDue: (from, count, instant) => insert(from, count, new Date(instant)),
    start: async (concurrency) => {
      await boss.work(
        queue,
        { batchSize, burstWhenBatchFull: true, notifyPollingIntervalSeconds: 0.5, pollingIntervalSeconds: 0.5 },
        async (jobs: ReadonlyArray<Job<{ n: number }>>) => {
          if (fails !== undefined) {
            // What is thrown fails a whole batch.
            const isFailed = jobs.map(({ data }) => fails(data.n))
            const failed = jobs.filter((_, i) => isFailed[i]).map(({ id }) => id)
            if (failed.length > 0) await boss.fail(queue, failed)
            for (const [i, { data }] of jobs.entries()) if (!isFailed[i]) run(data.n)
          } else if (millis === 0) { for (const { data } of jobs) run(data.n) }
          else {
            await pooled(0, jobs.length, concurrency, async (i) => {
              await sleep(millis)
              run(jobs[i]!.data.n)
            })
          }
        }
      )
    },
    canHaveTwoWorkers: true,
    canRetry: true,
    close: async () => {
      await boss.stop()
      if (problems.length > 0) throw problems[0]!
    }
  }
}
