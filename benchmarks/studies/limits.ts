/**
 * What limits cost: `node scripts/node.mjs benchmarks/studies/limits.ts [memory] [pg] [redis]`.
 *
 * - `enqueue`: records a second, in calls of 500, and what is lost of it against those without a key.
 * - `drain`: jobs a second through exchanges that settle and claim a hundred, by what limits them. 20,000 records, 20 of each
 *   key. One client, so what is measured is the store's own work. Median of five rounds, in which the variants take turns, and each
 *   of them comes first once: what else the machine does meets all of them.
 * - `claim`: milliseconds of such an exchange, median of a hundred, with no record blocked and with 100,000 of 100 keys.
 * - `fair`: which place the first record of a tenant gets behind another tenant's 100,000.
 */
import { PgJobStore } from "@capstan/pg"
import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { PgClient } from "@effect/sql-pg"
import { JobRecord, JobStore } from "capstan"
import { Effect, Layer, Redacted } from "effect"
import { startPostgres, startRedis } from "../../scripts/servers/index.ts"

const keep: JobRecord.Keep = { age: 86_400_000, count: Infinity }
const retention = {
  completed: keep,
  cancelled: { ...keep, age: 7 * keep.age },
  dead: { ...keep, age: 30 * keep.age }
}
let made = 0

const record = (given: Partial<JobStore.NewRecord>): JobStore.NewRecord => ({
  id: JobRecord.JobId(`00000000-0000-7000-8000-${(++made).toString(16).padStart(12, "0")}`),
  tag: "Task",
  version: 1,
  queue: "default",
  priority: 0,
  payload: `{"n":1,"text":"${"x".repeat(60)}"}`,
  delay: 0,
  retention,
  sensitive: { payload: [], result: [], error: [], progress: [] },
  tags: [],
  headers: {},
  ...given
})

const enqueue = (count: number, given: (i: number) => Partial<JobStore.NewRecord>) =>
  Effect.gen(function*() {
    const store = yield* JobStore.JobStore
    for (let i = 0; i < count; i += 500) {
      yield* store.enqueue({
        records: Array.from({ length: Math.min(500, count - i) }, (_, n) => record(given(i + n)))
      })
    }
  })

/** Exchanges of a hundred until so many have run; answers the milliseconds of each. */
const drain = (queue: string, count: number, worker: string) =>
  Effect.gen(function*() {
    const store = yield* JobStore.JobStore
    const took: Array<number> = []
    let settlements: ReadonlyArray<JobStore.Settlement> = []
    let done = 0
    while (done < count) {
      const start = performance.now()
      const reply = yield* store.exchange({
        worker,
        lease: 60_000,
        settlements,
        demand: [{ queue, slots: 100, share: 100 }],
        total: 100
      })
      took.push(performance.now() - start)
      done += settlements.length
      settlements = reply.claimed.map(({ fence, id }) => ({
        id,
        fence,
        finishedAfter: 0,
        outcome: { _tag: "Complete", result: undefined }
      }))
    }
    return took
  })

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

const rate = { limit: 1_000_000, perMillis: 1000, burst: 1_000_000 }
const variants: Readonly<Record<string, (i: number) => Partial<JobStore.NewRecord>>> = {
  "no key": () => ({}),
  "a key of one job": (i) => ({ concurrency: { key: `Task/${i % 1000}`, limit: 50 } }),
  "a shared key, concurrency": (i) => ({ concurrency: { key: `@slots/${i % 1000}`, limit: 50 } }),
  "a shared key, rate": (i) => ({ concurrency: { key: `@rate/${i % 1000}`, limit: 50 } }),
  "a shared key, fair": (i) => ({ concurrency: { key: `@fair/${i % 1000}`, limit: 50 } })
}

const study = Effect.gen(function*() {
  const store = yield* JobStore.JobStore
  yield* store.limits([
    { _tag: "Propose", name: "@slots", release: 0, settings: { concurrency: 50 } },
    { _tag: "Propose", name: "@rate", release: 0, settings: { rate } },
    { _tag: "Propose", name: "@fair", release: 0, settings: { order: "fair" } },
    { _tag: "Propose", name: "@blocked", release: 0, settings: { concurrency: 0 } },
    { _tag: "Propose", name: "limited", release: 0, settings: { concurrency: 100_000, rate } }
  ])
  const perSecond = (took: ReadonlyArray<number>) => Math.round(20_000 / took.reduce((a, b) => a + b) * 1000)
  // The first round is not counted: code and plans are new.
  const stored = new Map<string, Array<number>>()
  const drained = new Map<string, Array<number>>()
  for (let round = 0; round <= 5; round++) {
    const all = Object.entries(variants)
    for (let i = 0; i < all.length; i++) {
      const [name, given] = all[(i + round) % all.length]!
      const queue = `q${i}-${round}`
      const start = performance.now()
      yield* enqueue(20_000, (n) => ({ ...given(n), queue }))
      const took = performance.now() - start
      const rate = perSecond(yield* drain(queue, 20_000, "w"))
      if (round === 0) continue
      stored.set(name, [...stored.get(name) ?? [], perSecond([took])])
      drained.set(name, [...drained.get(name) ?? [], rate])
    }
  }
  for (const [what, rates] of [["enqueue", stored], ["drain", drained]] as const) {
    const without = median(rates.get("no key")!)
    for (const [name, all] of rates) {
      console.log(`  ${what}, ${name}: ${median(all)} jobs/s, loss ${Math.round(100 * (1 - median(all) / without))} %`)
    }
  }
  yield* enqueue(20_000, () => ({ queue: "limited" }))
  console.log(`  drain, a queue with concurrency and rate: ${perSecond(yield* drain("limited", 20_000, "w"))} jobs/s`)

  yield* enqueue(10_000, () => ({ queue: "claims" }))
  console.log(`  claim, none blocked: ${median(yield* drain("claims", 10_000, "w")).toFixed(2)} ms`)
  yield* enqueue(100_000, (i) => ({ queue: "claims", concurrency: { key: `@blocked/${i % 100}`, limit: 1 } }))
  yield* enqueue(10_000, () => ({ queue: "claims" }))
  console.log(`  claim, 100,000 blocked: ${median(yield* drain("claims", 10_000, "w")).toFixed(2)} ms`)

  yield* enqueue(100_000, () => ({ queue: "fair", concurrency: { key: "@fair/big", limit: 1_000_000 } }))
  yield* drain("fair", 500, "w")
  yield* enqueue(1, () => ({ queue: "fair", tag: "Small", concurrency: { key: "@fair/small", limit: 1_000_000 } }))
  let place = 0
  for (let found = false; !found;) {
    const { claimed } = yield* store.exchange({
      worker: "v",
      lease: 60_000,
      settlements: [],
      demand: [{ queue: "fair", slots: 10, share: 10 }],
      total: 10
    })
    const at = claimed.findIndex(({ tag }) => tag === "Small")
    found = at >= 0 || claimed.length === 0
    place += found ? at + 1 : claimed.length
  }
  console.log(`  fair: behind 99,500 of another tenant, the first of one is number ${place}`)
})

const layers: Readonly<Record<string, () => Promise<Layer.Layer<JobStore.JobStore>>>> = {
  memory: async () => JobStore.layerMemory(),
  pg: async () => {
    const { url } = await startPostgres({ settings: { shared_buffers: "1GB", max_wal_size: "16GB" } })
    return Layer.orDie(Layer.provide(PgJobStore.layer(), PgClient.layer({ url: Redacted.make(url) })))
  },
  redis: async () => {
    const { url } = await startRedis({ settings: {} })
    return Layer.orDie(Layer.provide(RedisJobStore.layer(), NodeRedis.layer({ url })))
  }
}

const asked = process.argv.slice(2)
for (const [name, layer] of Object.entries(layers)) {
  if (asked.length > 0 && !asked.includes(name)) continue
  console.log(name)
  await Effect.runPromise(Effect.provide(study, await layer()))
}
process.exit()
