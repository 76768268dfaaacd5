/**
 * What partitions gain: `node scripts/node.mjs benchmarks/studies/partitions.ts [jobs]`.
 *
 * A queue of 1, 2 and 3 partitions on a cluster of three masters without replicas and append-only files, each partition on a
 * master of its own. Jobs are stored by the call for many, then two workers of 100 in a process each drain them with handlers that
 * do nothing. Medians of three interleaved rounds.
 *
 * - `jobs/s`: also of enqueues. Masters and workers share this machine: with fewer cores than processes it says little.
 * - `busiest`: CPU that the busiest master spends for a job, both ways: what bounds a queue where each node has a core of its own.
 * - `servers`, `workers`: CPU of all of them for a job.
 */
import { RedisJobStore } from "@capstan/redis"
import * as RedisCluster from "@capstan/redis/RedisCluster"
import { Job, JobGroup, JobStore, JobWorker } from "capstan"
import { Effect, Layer, Schema } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import { type RedisCluster as Servers, startRedisCluster } from "../../scripts/servers/index.ts"
import { cpuOf } from "../src/cpu.ts"
import { text } from "../src/system.ts"

class Work extends Job.make("Work", { payload: { n: Schema.Number, text: Schema.String }, queue: "work" }) {}
class Group extends JobGroup.make(Work) {}

interface Task {
  readonly prefix: string
  readonly partitions: number
  readonly urls: ReadonlyArray<string>
}

const storeOf = ({ partitions, prefix, urls }: Task) =>
  Layer.orDie(
    Layer.provide(
      RedisJobStore.layer({ prefix, partitions: { work: partitions } }),
      RedisCluster.layer({ prefix, rootNodes: urls.map((url) => ({ url })) })
    )
  )

/** A process with a worker, until it is told to end; then it tells how often its handler ran and what it cost. */
const runWorker = async (task: Task) => {
  let ran = 0
  let own = process.cpuUsage()
  const stop = new Promise<void>((resolve) => process.once("message", () => resolve()))
  const worker = JobWorker.layer(Group, { concurrency: 100 }).pipe(
    Layer.provide(Group.toLayer({
      Work: () =>
        Effect.sync(() => {
          if (ran++ === 0) own = process.cpuUsage()
        })
    })),
    Layer.provide(storeOf(task))
  )
  await Effect.runPromise(
    Effect.scoped(Effect.andThen(
      Layer.build(worker),
      Effect.promise(() => {
        process.send!("ready")
        return stop
      })
    ))
  )
  const { system, user } = process.cpuUsage(own)
  process.send!({ ran, cpu: user + system })
  process.disconnect()
}

const said = <A>(child: ChildProcess) =>
  new Promise<A>((resolve) => child.once("message", (word) => resolve(word as A)))

/** Names whose partitions lie on masters of their own. */
const spreadOver = async (servers: Servers, count: number): Promise<string> => {
  for (let n = 0;; n++) {
    const prefix = `study${n}`
    const keys = Array.from({ length: count }, (_, i) => i === 0 ? `{${prefix}}` : `{${prefix}/${i}}`)
    const nodes = await Promise.all(keys.map(async (key) => servers.masterOf(await servers.slotOf(key))))
    if (new Set(nodes).size === count) return prefix
  }
}

interface Figures {
  readonly enqueued: number
  readonly drained: number
  readonly busiest: number
  readonly servers: number
  readonly workers: number
}

const measure = async (servers: Servers, partitions: number, jobs: number): Promise<Figures> => {
  await Promise.all(servers.nodes.map((node) => node.command("FLUSHALL")))
  const task: Task = { prefix: await spreadOver(servers, partitions), partitions, urls: servers.urls }
  const spent = () => servers.nodes.map(({ pid }) => cpuOf(pid, false))
  const before = spent()
  return Effect.runPromise(
    Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      const start = performance.now()
      for (let from = 0; from < jobs; from += 10_000) {
        yield* Work.enqueueMany(Array.from({ length: 10_000 }, (_, i) => ({ n: from + i, text })))
      }
      const stored = performance.now()
      const children = [1, 2].map(() => fork(fileURLToPath(import.meta.url), [JSON.stringify(task)]))
      yield* Effect.promise(() => Promise.all(children.map((child) => said(child))))
      const begun = performance.now()
      const left = Effect.map(
        store.stats,
        ({ queues }) => queues.reduce((sum, { counts }) => sum + counts.ready + counts.running, 0)
      )
      while ((yield* left) > 0) yield* Effect.sleep("20 millis")
      const ended = performance.now()
      const ends = children.map((child) => said<{ ran: number; cpu: number }>(child))
      for (const child of children) child.send("end")
      const told = yield* Effect.promise(() => Promise.all(ends))
      const ran = told.reduce((sum, { ran }) => sum + ran, 0)
      if (ran !== jobs) return yield* Effect.die(new Error(`${ran} of ${jobs} jobs have run`))
      const each = spent().map((after, i) => (after - before[i]!) / jobs)
      return {
        enqueued: jobs / (stored - start) * 1000,
        drained: jobs / (ended - begun) * 1000,
        busiest: Math.max(...each),
        servers: each.reduce((a, b) => a + b),
        workers: told.reduce((sum, { cpu }) => sum + cpu, 0) / jobs
      }
    }).pipe(Effect.provide(storeOf(task)))
  )
}

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

const study = async (jobs: number) => {
  await using servers = await startRedisCluster({ replicas: 0, settings: { appendonly: "no" } })
  const counts = [1, 2, 3]
  const found = counts.map((): Array<Figures> => [])
  // The first round is not counted.
  for (let round = 0; round < 4; round++) {
    for (const [i, partitions] of counts.entries()) {
      const figures = await measure(servers, partitions, jobs)
      if (round > 0) found[i]!.push(figures)
    }
  }
  for (const [i, partitions] of counts.entries()) {
    const of = (name: keyof Figures) => median(found[i]!.map((figures) => figures[name]))
    console.log(
      `${partitions}: enqueue ${Math.round(of("enqueued"))} jobs/s, drain ${Math.round(of("drained"))} jobs/s; ` +
        `us a job: busiest ${of("busiest").toFixed(1)}, servers ${of("servers").toFixed(1)}, ` +
        `workers ${of("workers").toFixed(1)}`
    )
  }
}

const [given] = process.argv.slice(2)
if (process.send === undefined) await study(Number(given ?? 60_000))
else await runWorker(JSON.parse(given!))
process.exit()
