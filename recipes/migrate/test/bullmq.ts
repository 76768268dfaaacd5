/** A queue of BullMQ with jobs of every kind. */
import { Effect } from "effect"
import { FlowProducer, Worker } from "../client/index.ts"
import { source } from "../src/bullmq.ts"
import { NotPaused } from "../src/source.ts"
import { produce, queueAt, workAt } from "../theirs/bullmq.ts"
import { doing, type Filled, mails } from "./checks.ts"

/** What waits in a queue that is paused has a list of its own, which the types leave out. */
const waits = ["waiting", "paused", "prioritized", "delayed"] as Array<"waiting">

export const filled = (url: string) =>
  Effect.gen(function*() {
    const queue = yield* Effect.acquireRelease(
      Effect.sync(() => queueAt(url)),
      (queue) => Effect.promise(() => queue.close())
    )
    return yield* Effect.promise(async () => {
      await queue.obliterate({ force: true })
      // A worker takes this one and keeps it.
      const worker = new Worker("mail", undefined, { connection: { url } })
      const running = (await queue.add("send-mail", { to: "ada", subject: "running" })).id!
      await worker.getNextJob("token")
      await worker.close()

      const due: Array<string> = []
      const later: Record<string, number> = {}
      const rejects: Record<
        string,
        "UnknownName" | "Unreadable" | "Held" | "Running" | "PartOfFlow" | "OfSchedule" | "Schedule"
      > = {
        [running]: "Running"
      }
      await produce(queue)
      const add = async (name: string, data: unknown, options = {}) => (await queue.add(name, data, options)).id!
      const ranked: Record<number, Array<string>> = { 0: [], 1: [], 5: [], 300: [], 400: [] }
      for (let i = 0; i < 90; i++) {
        const priority = [400, 0, 5, 1, 300][i % 5]!
        ranked[priority]!.push(await add("send-mail", { to: "ada", subject: `${priority}/${i}` }, { priority }))
      }
      const own = () => add("send-mail", { to: "ada", subject: "of its own" }, { jobId: "own" })
      ranked[0]!.push(await own())
      const report = await add("make-report", { date: "monday" })
      rejects[await add("make-report", { date: "monday" })] = "Held"
      rejects[await add("resize", {})] = "UnknownName"
      rejects[await add("send-mail", { to: 1 })] = "Unreadable"
      for (let i = 1; i <= 30; i++) {
        await add("send-mail", { to: "ada", subject: `later ${i}` }, { delay: (30 + i) * 60_000 })
      }
      // A delay that was changed counts from the change.
      const changed = (await queue.getDelayed())[0]!
      await changed.changeDelay(7_200_000)
      await queue.upsertJobScheduler("nightly", { pattern: "0 3 * * *" }, { name: "make-report", data: { date: "x" } })
      rejects.nightly = "Schedule"
      const flows = new FlowProducer({ connection: { url } })
      const { children, job } = await flows.add({
        name: "make-report",
        queueName: "mail",
        data: { date: "sunday" },
        children: [{ name: "send-mail", queueName: "mail", data: { to: "ada", subject: "child" } }]
      })
      await flows.close()
      rejects[job.id!] = "PartOfFlow"
      rejects[children![0]!.job.id!] = "PartOfFlow"

      const delayed = await queue.getDelayed()
      for (const { data, id, repeatJobKey } of delayed) {
        if (repeatJobKey !== undefined) rejects[id!] = "OfSchedule"
        else {
          const score = await (await queue.getBackend().client).zscore(queue.toKey("delayed"), id!)
          later[id!] = Math.floor(Number(score) / 0x1000)
          if (data.subject === changed.data.subject && later[id!]! < Date.now() + 7_100_000) throw new Error("changed")
        }
      }
      const waiting = async () => (await queue.getJobs(waits)).map(({ id }) => id!)
      const produced = (await queue.getJobs(["waiting", "prioritized"]))
        .filter(({ data, name }) =>
          String(data.to).includes("@") || data.date === "2026-11-26" && name === "make-report"
        )
        .toSorted((a, b) => a.timestamp - b.timestamp || Number(a.id) - Number(b.id))
      due.push(
        ...produced.filter(({ priority }) => priority === 0).map(({ id }) => id!),
        ...ranked[0]!,
        report,
        ...produced.filter(({ priority }) => priority === 1).map(({ id }) => id!),
        ...[1, 5, 300, 400].flatMap((priority) => ranked[priority]!)
      )

      const refused = await Effect.runPromise(Effect.flip(source(queue).pages(true, () => Effect.succeed([]))))
      if (!(refused instanceof NotPaused)) throw refused
      await queue.pause()
      return { source: source(queue, { batch: 25 }), due, later, rejects, waiting, again: own } satisfies Filled
    })
  })

/** Their own workers do what their program enqueues. */
export const works = async (url: string) => {
  const queue = queueAt(url)
  await produce(queue)
  const ran = await doing((handle) => Promise.resolve(workAt(url, handle)), (worker) => worker.close())
  await queue.obliterate({ force: true })
  await queue.close()
  return ran
}

/** A long queue, and how much of it there is still. */
export const many = async (url: string) => {
  const queue = queueAt(url)
  await queue.obliterate({ force: true })
  await queue.addBulk(mails.map((data) => ({ name: "send-mail", data })))
  await queue.add("resize", {})
  await queue.pause()
  return { waiting: () => queue.getJobCountByTypes(...waits), close: () => queue.close() }
}
