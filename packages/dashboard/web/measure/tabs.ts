/**
 * `npm run dashboard -- tabs [--store memory|pg|redis] [--rounds 6] [--seconds 10]`: what one and ten open pages take of a worker's
 * throughput, and how often the store is asked meanwhile. Page, worker and the store's client are one process, where it is felt
 * most. Rounds take turns, each time in another order; what is compared is each round's own.
 *
 * With `--check` it fails where ten pages take 5 % or more, or ask the store more often than four times a second.
 */
import { Dashboard } from "@capstan/dashboard"
import { Auth } from "@capstan/http"
import { PgJobStore } from "@capstan/pg"
import { RedisJobStore } from "@capstan/redis"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { PgClient } from "@effect/sql-pg"
import { Job, JobGroup, Jobs, JobSchedules, JobStore, JobWorker } from "capstan"
import { Effect, Layer, Logger, Redacted, Stream } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:http"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { durableRedis, startPostgres, startRedis } from "../../../../scripts/servers/index.ts"

const { values } = parseArgs({
  options: {
    store: { type: "string", default: "memory" },
    rounds: { type: "string", default: "6" },
    seconds: { type: "string", default: "10" },
    check: { type: "boolean", default: false }
  }
})
const rounds = Number(values.rounds)
const seconds = Number(values.seconds)

class Nothing extends Job.make("Nothing", { queue: "nothing", retention: { completed: "10 seconds" } }) {}
class Group extends JobGroup.make(Nothing) {}

const stores: Readonly<Record<string, () => Promise<Layer.Layer<JobStore.JobStore>>>> = {
  memory: async () => JobStore.layerMemory(),
  pg: async () => {
    const { url } = await startPostgres({ settings: { shared_buffers: "512MB", max_wal_size: "8GB" } })
    return Layer.orDie(Layer.provide(PgJobStore.layer(), PgClient.layer({ url: Redacted.make(url) })))
  },
  redis: async () => {
    const { url } = await startRedis({ settings: durableRedis() })
    return Layer.orDie(Layer.provide(RedisJobStore.layer(), NodeRedis.layer({ url })))
  }
}
const makeStore = stores[values.store]
if (makeStore === undefined) {
  throw new Error(`--store is one of ${Object.keys(stores).join(", ")}, it is ${values.store}`)
}

/** Calls that look. What works, stores and cleans up asks the more, the more is done. */
const looks = new Set(["stats", "query", "get", "limits", "keys", "schedules", "events"])
let looked = 0

const counted = (store: JobStore.JobStore["Service"]): JobStore.JobStore["Service"] => {
  const counting = (member: unknown): unknown => {
    if (Stream.isStream(member)) return Stream.suspend(() => (looked++, member))
    if (Effect.isEffect(member)) return Effect.suspend(() => (looked++, member))
    return (...args: ReadonlyArray<unknown>) => Effect.suspend(() => (looked++, (member as Function)(...args)))
  }
  return Object.fromEntries(
    Object.entries(store).map(([name, member]) => [name, looks.has(name) ? counting(member) : member])
  ) as unknown as JobStore.JobStore["Service"]
}

const progress = { ran: 0, stored: 0 }
const chunk = 1000
/** More than the worker has in its hands, and little enough that every round has as much before it. */
const ahead = 4 * chunk

/** Records a second, and looks a second, with as much waiting all the time. */
const round = Effect.gen(function*() {
  const start = performance.now()
  const [ranBefore, lookedBefore] = [progress.ran, looked]
  while (performance.now() - start < seconds * 1000) {
    if (progress.stored - progress.ran < ahead) {
      yield* Nothing.enqueueMany(Array.from({ length: chunk }, () => undefined))
      progress.stored += chunk
    } else yield* Effect.sleep("1 millis")
  }
  const took = (performance.now() - start) / 1000
  const figures = { rate: (progress.ran - ranBefore) / took, looks: (looked - lookedBefore) / took }
  // Nothing of it is left for the next one.
  while (progress.ran < progress.stored) yield* Effect.sleep("10 millis")
  return figures
})

const open = (url: string, tabs: number) =>
  Effect.promise(async () => {
    const child = fork(fileURLToPath(new URL("./tab.ts", import.meta.url)), [url, String(tabs)], { execArgv: [] })
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

const arms = [0, 1, 10]

const program = Effect.gen(function*() {
  const { address } = yield* HttpServer.HttpServer
  const url = `${HttpServer.formatAddress(address)}/capstan/api`
  const found = new Map(arms.map((tabs) => [tabs, { rates: [] as Array<number>, looks: [] as Array<number> }]))
  // Code that has just been loaded is not compiled yet.
  yield* round
  for (let n = 0; n < rounds; n++) {
    for (const tabs of arms.map((_, i) => arms[(i + n) % arms.length]!)) {
      const child = tabs === 0 ? undefined : yield* open(url, tabs)
      const { looks, rate } = yield* round
      if (child !== undefined) yield* close(child)
      found.get(tabs)!.rates.push(rate)
      found.get(tabs)!.looks.push(looks)
    }
    console.log(
      `round ${n + 1}: ${
        arms.map((tabs) => `${tabs} pages ${Math.round(found.get(tabs)!.rates.at(-1)!)}/s`).join(", ")
      }`
    )
  }
  const alone = found.get(0)!.rates
  let taken = 0
  for (const [tabs, { looks, rates }] of found) {
    taken = 1 - median(rates.map((rate, i) => rate / alone[i]!))
    console.log(
      `${values.store}, ${tabs} pages: median ${Math.round(median(rates))} records a second (${
        (taken * 100).toFixed(1)
      } % less, round by round), the store is asked ${median(looks).toFixed(2)} times a second by who looks`
    )
  }
  const asked = median(found.get(10)!.looks)
  if (values.check && (taken >= 0.05 || asked > 4)) {
    console.error(`ten pages are to take less than 5 %, and to ask at most 4 times a second`)
    process.exitCode = 1
  }
})

const storeLayer = await makeStore()
await Effect.runPromise(Effect.provide(
  program,
  HttpRouter.serve(Dashboard.layer({ groups: [Group] }), { disableListenLog: true, disableLogger: true }).pipe(
    Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1", gracefulShutdownTimeout: 0 })),
    Layer.provide(Auth.none),
    Layer.provideMerge(
      JobWorker.layer(Group, { concurrency: 100 }).pipe(
        Layer.provide(Nothing.toLayer(() => Effect.sync(() => void progress.ran++)))
      )
    ),
    Layer.provideMerge(Layer.merge(Jobs.layer, JobSchedules.layer)),
    Layer.provideMerge(Layer.effect(JobStore.JobStore, Effect.map(JobStore.JobStore, counted))),
    Layer.provideMerge(storeLayer),
    Layer.provide(Logger.layer([]))
  )
))
process.exit()
