/**
 * `npm run dashboard -- tabs`: what ten open pages take of a worker's throughput, on the memory store, where it would be
 * felt most: page, worker and store are one process. Rounds with and without them alternate.
 */
import { Dashboard } from "@capstan/dashboard"
import { Auth } from "@capstan/http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Job, JobGroup, Jobs, JobSchedules, JobStore, JobWorker } from "capstan"
import { Effect, Layer, Logger } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:http"
import process from "node:process"
import { fileURLToPath } from "node:url"

class Nothing extends Job.make("Nothing", { queue: "nothing", retention: { completed: "1 minute" } }) {}
class Group extends JobGroup.make(Nothing) {}

const rounds = Number(process.argv[2] ?? 6)
const records = Number(process.argv[3] ?? 40_000)

const measured = (work: Effect.Effect<void, unknown, JobStore.JobStore | Jobs.Jobs>) =>
  Effect.gen(function*() {
    const start = performance.now()
    yield* work
    return records / (performance.now() - start) * 1000
  })

const work = Effect.gen(function*() {
  const jobs = yield* Jobs.Jobs
  for (let i = 0; i < records; i += 1000) yield* Nothing.enqueueMany(Array.from({ length: 1000 }, () => undefined))
  yield* Effect.repeat(Effect.delay(jobs.stats, "10 millis"), {
    until: ({ queues }) => queues.every(({ counts }) => counts.ready + counts.running === 0)
  })
  // Each round begins as the first one did.
  yield* jobs.delete({ states: ["completed"], queue: "nothing" })
})

const open = (url: string) =>
  Effect.promise(async () => {
    const child = fork(fileURLToPath(new URL("./tab.ts", import.meta.url)), [url, "10"], { execArgv: [] })
    await once(child, "message")
    return child
  })

const close = (child: ChildProcess) =>
  Effect.promise(async () => {
    child.kill()
    await once(child, "exit")
  })

const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

const program = Effect.gen(function*() {
  const { address } = yield* HttpServer.HttpServer
  const url = `${HttpServer.formatAddress(address)}/capstan/api`
  const alone: Array<number> = []
  const looked: Array<number> = []
  yield* work
  for (let round = 0; round < rounds; round++) {
    alone.push(yield* measured(work))
    const child = yield* open(url)
    looked.push(yield* measured(work))
    yield* close(child)
    console.log(
      `round ${round + 1}: ${Math.round(alone.at(-1)!)} records a second alone, ${
        Math.round(looked.at(-1)!)
      } with ten pages`
    )
  }
  const share = 1 - median(looked.map((value, i) => value / alone[i]!))
  console.log(
    `median: ${Math.round(median(alone))} alone, ${Math.round(median(looked))} with ten pages: ${
      (share * 100).toFixed(1)
    } % less, round by round`
  )
}).pipe(Effect.provide(
  HttpRouter.serve(Dashboard.layer({ groups: [Group] }), { disableListenLog: true, disableLogger: true }).pipe(
    Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1", gracefulShutdownTimeout: 0 })),
    Layer.provide(Auth.none),
    Layer.provideMerge(
      JobWorker.layer(Group, { concurrency: 100 }).pipe(Layer.provide(Nothing.toLayer(() => Effect.void)))
    ),
    Layer.provideMerge(Layer.merge(Jobs.layer, JobSchedules.layer)),
    Layer.provideMerge(JobStore.layerMemory()),
    Layer.provide(Logger.layer([]))
  )
))

await Effect.runPromise(program)
process.exit(0)
