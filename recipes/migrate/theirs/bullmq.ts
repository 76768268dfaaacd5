/** A queue of BullMQ that is to be left. */
import { Queue, Worker } from "../client/index.ts"

export const queueAt = (url: string) => new Queue("mail", { connection: { url } })

export const produce = async (queue: Queue) => {
  await queue.add("send-mail", { to: "ada@example.com", subject: "Welcome" })
  await queue.add("send-mail", { to: "ada@example.com", subject: "Still there?" }, { delay: 3_600_000 })
  await queue.add("send-mail", { to: "ops@example.com", subject: "Disk full" }, { priority: 1 })
  await queue.add("make-report", { date: "2026-11-26" }, { deduplication: { id: "2026-11-26" } })
}

export const workAt = (url: string, handle: (name: string, data: unknown) => Promise<void>) =>
  new Worker("mail", (job) => handle(job.name, job.data), { connection: { url }, concurrency: 10 })
