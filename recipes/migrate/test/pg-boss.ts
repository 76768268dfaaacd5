/** Queues of pg-boss with jobs of every kind. */
import { Effect } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { PgBoss } from "../client/index.ts"
import { source } from "../src/pgBoss.ts"
import { produce, start, work } from "../theirs/pg-boss.ts"
import { doing, type Filled, mails } from "./checks.ts"

const queues = ["send-mail", "make-report", "resize"]

export const filled = (url: string) =>
  Effect.gen(function*() {
    const boss = yield* Effect.acquireRelease(
      Effect.promise(() => start(url)),
      (boss) => Effect.promise(() => boss.stop({ graceful: false }))
    )
    const rest = yield* Effect.promise(() => fill(boss))
    return { source: yield* source({ batch: 25 }), ...rest } satisfies Filled
  })

const fill = async (boss: PgBoss) => {
  for (const name of queues) {
    await boss.createQueue(name)
    await boss.deleteAllJobs(name)
  }
  const send = async (name: string, data: object, options = {}) => `${name}/${await boss.send(name, data, options)}`
  const running = await send("send-mail", { to: "ada", subject: "running" })
  await boss.fetch("send-mail")
  await produce(boss)
  const all = async () =>
    (await Promise.all(queues.map((name) => boss.findJobs(name)))).flat()
      .map((job) => ({ ...job, id: `${job.name}/${job.id}` }))
  const produced = await all()

  const ranked: Record<number, Array<string>> = { 300: [], 200: [], 5: [], 0: [], [-1]: [] }
  for (let i = 0; i < 90; i++) {
    const priority = [-1, 200, 0, 5, 300][i % 5]!
    ranked[priority]!.push(await send("send-mail", { to: "ada", subject: `${priority}/${i}` }, { priority }))
  }
  // A job in another queue has its id.
  const id = ranked[300]![0]!.slice(-36)
  const report = await send("make-report", { date: "monday" }, { singletonKey: "a", id })
  const rejects = {
    [running]: "Running",
    [await send("make-report", { date: "monday" }, { singletonKey: "b" })]: "Held",
    [await send("resize", {})]: "UnknownName",
    [await send("send-mail", { to: 1 })]: "Unreadable"
  } as const
  await boss.schedule("make-report", "0 3 * * *", { date: "x" }, { key: "nightly" })
  const startAfter = (i: number) => new Date(Date.now() + (30 + i) * 60_000)
  for (let i = 1; i <= 30; i++) {
    await send("send-mail", { to: "ada", subject: `later ${i}` }, { startAfter: startAfter(i) })
  }

  const jobs = await all()
  const later = Object.fromEntries(
    jobs.filter(({ startAfter }) => startAfter.getTime() > Date.now()).map((
      { id, startAfter }
    ) => [id, startAfter.getTime()])
  )
  const ofProduced = (has: (job: (typeof produced)[number]) => boolean) =>
    produced.filter((job) => job.id !== running && later[job.id] === undefined && has(job))
      .toSorted((a, b) => a.createdOn.getTime() - b.createdOn.getTime()).map(({ id }) => id)
  return {
    due: [
      ...ranked[300]!,
      ...ranked[200]!,
      ...ofProduced(({ priority }) => priority === 10),
      ...ranked[5]!,
      ...ofProduced(({ priority }) => priority === 0),
      ...ranked[0]!,
      report,
      ...ranked[-1]!
    ],
    later,
    rejects: { ...rejects, nightly: "Schedule" as const },
    waiting: async () => (await all()).filter(({ state }) => state === "created").map(({ id }) => id),
    lock: (id: string) =>
      Effect.flatMap(
        SqlClient,
        (sql) => sql`SELECT FROM pgboss.job WHERE name = ${id.slice(0, -37)} AND id = ${id.slice(-36)}::uuid FOR UPDATE`
      ),
    again: () => send("make-report", { date: "monday" }, { singletonKey: "a", id }),
    besides: async (subjects: ReadonlyArray<string>, handle: (subject: string) => Promise<void>) => {
      await boss.insert("send-mail", subjects.map((subject) => ({ data: { to: "ada", subject } })))
      await boss.work<{ subject: string }>(
        "send-mail",
        { batchSize: 10, pollingIntervalSeconds: 0.5 },
        async (jobs) => {
          for (const { data } of jobs) await handle(data.subject)
        }
      )
      return () => boss.stop()
    },
    takes: async () => {
      const jobs = await boss.fetch<{ subject: string }>("send-mail", { batchSize: 5 })
      if (jobs.length > 0) await boss.complete("send-mail", jobs.map(({ id }) => id))
      return jobs.map(({ data }) => data.subject)
    }
  }
}

/** Their own workers do what their program enqueues. */
export const works = async (url: string) => {
  const boss = await start(url)
  await produce(boss)
  const ran = await doing((handle) => work(boss, handle), () => boss.stop({ graceful: true }))
  return ran
}

/** A long queue, and how much of it there is still. */
export const many = async (url: string) => {
  const boss = await start(url)
  for (const name of queues) await boss.deleteAllJobs(name)
  await boss.insert("send-mail", mails.map((data) => ({ data })))
  await boss.send("resize", {})
  const waiting = async () => (await boss.findJobs("send-mail", { limit: 100_000 })).length
  return { waiting, close: () => boss.stop() }
}
