/** Tasks of graphile-worker that are to be left. */
import { makeWorkerUtils, run } from "../client/index.ts"

export const start = async (url: string) => {
  const utils = await makeWorkerUtils({ connectionString: url })
  await utils.migrate()
  return utils
}

export const produce = async ({ addJob }: Awaited<ReturnType<typeof start>>) => {
  await addJob("send-mail", { to: "ada@example.com", subject: "Welcome" })
  await addJob("send-mail", { to: "ada@example.com", subject: "Still there?" }, {
    runAt: new Date(Date.now() + 3_600_000)
  })
  await addJob("send-mail", { to: "ops@example.com", subject: "Disk full" }, { priority: -10 })
  await addJob("make-report", { date: "2026-11-26" }, { jobKey: "2026-11-26" })
}

export const workAt = (url: string, handle: (name: string, data: unknown) => Promise<void>) =>
  run({
    connectionString: url,
    concurrency: 10,
    taskList: {
      "send-mail": (payload) => handle("send-mail", payload),
      "make-report": (payload) => handle("make-report", payload)
    }
  })
