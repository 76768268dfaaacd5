/**
 * pg-boss with heartbeats, which is how it finds a worker that is gone before a job expires: ten seconds, the least that it
 * takes; its supervision looks each second, its default being a minute. Each worker fetches one job at a time, so many workers
 * in a process, and looks again at once after one; new jobs wake them.
 */
import { type JobWithMetadata, PgBoss } from "pg-boss"
import type { Peer, PeerAddress, PeerWork } from "../../chaos/src/peer.ts"
import { connection } from "./postgres.ts"

const queue = "work"
const heartbeatSeconds = 10

const open = async ({ namespace, url }: PeerAddress, isSupervisor: boolean): Promise<PgBoss> => {
  const boss = new PgBoss({
    connectionString: url,
    schema: namespace,
    max: 12,
    useListenNotify: true,
    supervise: isSupervisor,
    superviseIntervalSeconds: 1,
    monitorIntervalSeconds: 1
  })
  boss.on("error", (error) => console.error(error))
  await boss.start()
  return boss
}

export const peer: Peer = {
  lease: heartbeatSeconds * 1000,
  settings:
    "heartbeatSeconds 10, superviseIntervalSeconds and monitorIntervalSeconds 1, useListenNotify, retryLimit 10",
  prepare: async (address) => {
    const boss = await open(address, false)
    await boss.createQueue(queue, { notify: true, heartbeatSeconds, retryLimit: 10, retryDelay: 0 })
    await boss.stop()
  },
  client: async (address) => {
    const boss = await open(address, true)
    return {
      enqueue: async (work) => {
        const id = await boss.send(queue, work)
        if (id === null) throw new Error("no id")
        return id
      },
      work: async (concurrency, handler) => {
        await boss.work(
          queue,
          {
            includeMetadata: true,
            batchSize: 1,
            localConcurrency: concurrency,
            burstWhenBatchFull: true,
            notifyPollingIntervalSeconds: 0.5,
            pollingIntervalSeconds: 0.5
          },
          async (jobs: Array<JobWithMetadata<PeerWork>>) => {
            for (const { data, id, retryCount } of jobs) await handler({ ...data, id, fence: retryCount + 1 })
          }
        )
      }
    }
  },
  observe: async ({ namespace, url }) => {
    const query = connection(url)
    return {
      unfinished: async () => {
        const [row] = await query<{ count: number }>(
          `SELECT count(*)::int FROM ${namespace}.job WHERE name = '${queue}' AND state < 'completed'`
        )
        return row!.count
      },
      records: async () => {
        const rows = await query<{ id: string; n: number; state: string; at: number | null }>(
          `SELECT id::text, (data ->> 'n')::int AS n, state::text,
             extract(epoch FROM completed_on)::float8 * 1000 AS at FROM ${namespace}.job WHERE name = '${queue}'`
        )
        return rows.map(({ at, id, n, state }) => ({
          id,
          n,
          state: state === "completed"
            ? "completed"
            : state === "failed" || state === "cancelled"
            ? "dead"
            : state === "active"
            ? "running"
            : "waiting",
          completedAt: state === "completed" && at !== null ? at : undefined
        }))
      },
      revive: async () => {
        const rows = await query<{ id: string }>(
          `SELECT id::text FROM ${namespace}.job WHERE name = '${queue}' AND state = 'failed'`
        )
        if (rows.length === 0) return 0
        const boss = await open({ namespace, url }, false)
        await boss.retry(queue, rows.map(({ id }) => id))
        await boss.stop()
        return rows.length
      },
      close: async () => {}
    }
  }
}
