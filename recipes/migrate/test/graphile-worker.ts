/** Tasks of graphile-worker of every kind. */
import { Effect } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { source } from "../src/graphileWorker.ts"
import { produce, start, workAt } from "../theirs/graphile-worker.ts"
import { doing, type Filled, mails } from "./checks.ts"

interface Job {
  readonly id: string
  readonly priority: number
  readonly run_at: Date
}

export const filled = (url: string) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const utils = yield* Effect.acquireRelease(
      Effect.promise(() => start(url)),
      (utils) => Effect.promise(async () => utils.release())
    )
    yield* sql`DELETE FROM graphile_worker._private_jobs`
    yield* sql`DELETE FROM graphile_worker._private_job_queues`
    yield* sql`DELETE FROM graphile_worker._private_known_crontabs`
    const all = sql<Job>`SELECT id::text AS id, priority, run_at FROM graphile_worker.jobs ORDER BY jobs.id`

    yield* Effect.promise(() => produce(utils))
    const produced = yield* all
    const add = async (name: string, payload: unknown, options = {}) =>
      (await utils.addJob(name, payload as never, options)).id

    const ranked: Record<number, Array<string>> = { [-300]: [], [-200]: [], [-5]: [], 0: [], 1: [] }
    const made = yield* Effect.promise(async () => {
      for (let i = 0; i < 90; i++) {
        const priority = [1, -200, 0, -5, -300][i % 5]!
        ranked[priority]!.push(await add("send-mail", { to: "ada", subject: `${priority}/${i}` }, { priority }))
      }
      const report = await add("make-report", { date: "monday" })
      const held = await add("make-report", { date: "monday" })
      const unknown = await add("resize", {})
      const unreadable = await add("send-mail", { to: 1 })
      const running = await add("send-mail", { to: "ada", subject: "running" })
      const serial = [0, 1].map((i) => add("send-mail", { to: "ada", subject: `serial ${i}` }, { queueName: "serial" }))
      const [first, second] = await Promise.all(serial)
      for (let i = 1; i <= 30; i++) {
        await add("send-mail", { to: "ada", subject: `later ${i}` }, {
          runAt: new Date(Date.now() + (30 + i) * 60_000)
        })
      }
      return { report, held, unknown, unreadable, running, first: first!, second: second! }
    })
    // As a worker locks them: what it has, and the named queue of it.
    yield* sql`UPDATE graphile_worker._private_jobs SET locked_at = now(), locked_by = 'w1', attempts = 1
      WHERE ${sql.in("id", [made.running, made.first])}`
    yield* sql`UPDATE graphile_worker._private_job_queues SET locked_at = now(), locked_by = 'w1' WHERE queue_name = 'serial'`
    yield* sql`INSERT INTO graphile_worker._private_known_crontabs (identifier, known_since) VALUES ('nightly', now())`

    const jobs = yield* all
    const now = Date.now()
    const dueOf = (priority: number) =>
      produced.filter((job) => job.priority === priority && job.run_at.getTime() <= now)
        .map(({ id }) => id)
    return {
      source: yield* source({ batch: 25 }),
      due: [
        ...ranked[-300]!,
        ...ranked[-200]!,
        ...dueOf(-10),
        ...ranked[-5]!,
        ...dueOf(0),
        ...ranked[0]!,
        made.report,
        ...ranked[1]!
      ],
      later: Object.fromEntries(
        jobs.filter(({ run_at }) => run_at.getTime() > now).map(({ id, run_at }) => [id, run_at.getTime()])
      ),
      rejects: {
        [made.held]: "Held",
        [made.unknown]: "UnknownName",
        [made.unreadable]: "Unreadable",
        [made.running]: "Running",
        [made.first]: "Running",
        [made.second]: "Running",
        nightly: "Schedule"
      },
      waiting: () =>
        Effect.runPromise(
          Effect.map(
            sql<Job>`SELECT id::text AS id FROM graphile_worker.jobs WHERE locked_at IS NULL`,
            (jobs) => jobs.map(({ id }) => id)
          )
        ),
      lock: (id) =>
        Effect.flatMap(
          SqlClient,
          (sql) => sql`SELECT FROM graphile_worker._private_jobs WHERE id = ${id}::bigint FOR UPDATE`
        ),
      besides: async (subjects, handle) => {
        for (const subject of subjects) {
          await add("send-mail", { to: "ada", subject })
        }
        const runner = await workAt(url, (_, data) => handle((data as { subject: string }).subject))
        return () => runner.stop()
      }
    } satisfies Filled
  })

/** Their own workers do what their program enqueues. */
export const works = async (url: string) => {
  const utils = await start(url)
  await produce(utils)
  await utils.release()
  return doing((handle) => workAt(url, handle), (runner) => runner.stop())
}

/** A long queue, and how much of it there is still. */
export const many = async (url: string) => {
  const utils = await start(url)
  await utils.withPgClient((pg) => pg.query("DELETE FROM graphile_worker._private_jobs"))
  await utils.addJobs(mails.map((payload) => ({ identifier: "send-mail", payload })))
  await utils.addJob("resize", {})
  const waiting = () =>
    utils.withPgClient(async (pg) =>
      Number((await pg.query("SELECT count(*) AS n FROM graphile_worker._private_jobs")).rows[0].n)
    )
  return { waiting, close: () => Promise.resolve(utils.release()) }
}
