/** Queues of pg-boss that are to be left. */
import { PgBoss } from "../client/index.ts"

export const start = async (url: string) => {
  const boss = await new PgBoss(url).start()
  await boss.createQueue("send-mail")
  await boss.createQueue("make-report", { policy: "exclusive" })
  return boss
}

export const produce = async (boss: PgBoss) => {
  await boss.send("send-mail", { to: "ada@example.com", subject: "Welcome" })
  await boss.send("send-mail", { to: "ada@example.com", subject: "Still there?" }, { startAfter: 3600 })
  await boss.send("send-mail", { to: "ops@example.com", subject: "Disk full" }, { priority: 10 })
  await boss.send("make-report", { date: "2026-11-26" }, { singletonKey: "2026-11-26" })
}

export const work = async (boss: PgBoss, handle: (name: string, data: unknown) => Promise<void>) => {
  for (const name of ["send-mail", "make-report"]) {
    await boss.work(name, (jobs) => Promise.all(jobs.map(({ data }) => handle(name, data))))
  }
}
