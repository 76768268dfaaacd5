/**
 * BullMQ with locks as long as our lease, its default being 30 s, looked for as often; a job that has lost its lock three
 * times fails, as in ours, its default being one time. Over ioredis, its default client.
 */
import { Queue, Worker } from "bullmq"
import type { Peer, PeerAddress, PeerWork } from "../../chaos/src/peer.ts"

const name = "work"
const lease = 2000

/** The prefix that the namespace's keys have, those of ours too. */
const options = ({ namespace, url }: PeerAddress) => {
  const { hostname: host, port } = new URL(url)
  return { prefix: `{${namespace}}`, connection: { host, port: Number(port) } }
}

const queueOf = (address: PeerAddress): Queue<PeerWork> => {
  const queue = new Queue<PeerWork>(name, options(address))
  queue.on("error", (error) => console.error(error))
  return queue
}

export const peer: Peer = {
  lease,
  settings: "lockDuration and stalledInterval 2 s, maxStalledCount 3, appendfsync always",
  prepare: async () => {},
  client: async (address) => {
    const queue = queueOf(address)
    await queue.waitUntilReady()
    return {
      enqueue: async (work) => {
        const { id } = await queue.add(name, work)
        return id!
      },
      work: async (concurrency, handler) => {
        const worker = new Worker<PeerWork>(
          name,
          ({ attemptsStarted, data, id }) => handler({ ...data, id: id!, fence: attemptsStarted }),
          { ...options(address), concurrency, lockDuration: lease, stalledInterval: lease, maxStalledCount: 3 }
        )
        worker.on("error", (error) => console.error(error))
        await worker.waitUntilReady()
      }
    }
  },
  observe: async (address) => {
    const queue = queueOf(address)
    return {
      unfinished: () => queue.getJobCountByTypes("wait", "active", "delayed", "prioritized", "waiting-children"),
      records: async () => {
        const states = { completed: "completed", failed: "dead", active: "running", wait: "waiting" } as const
        const lists = await Promise.all(
          Object.entries(states).map(async ([theirs, state]) =>
            (await queue.getJobs([theirs as keyof typeof states], 0, -1)).map(({ data, finishedOn, id }) => ({
              id: id!,
              n: data.n,
              state,
              completedAt: state === "completed" ? finishedOn : undefined
            }))
          )
        )
        return lists.flat()
      },
      revive: async () => {
        const failed = await queue.getFailed(0, -1)
        for (const job of failed) await job.retry()
        return failed.length
      },
      close: () => queue.close()
    }
  }
}
