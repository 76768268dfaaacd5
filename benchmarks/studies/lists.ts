/**
 * What lists cost as records become more: `node scripts/node.mjs benchmarks/studies/lists.ts [memory] [pg] [redis]
 * [--few 10000] [--many 1000000] [--rounds 100] [--check]`.
 *
 * Two stores of a kind are filled alike, one with few records and one with many: of a thousand, 600 completed, 10 cancelled, 10
 * dead, 80 scheduled, 20 blocked by keys, 280 ready, in ten queues of as many jobs. Then each list call of `Jobs` is made of both in
 * turns. Printed are the medians in milliseconds, their ratio, and the store's calls that one list takes.
 *
 * - A page has 50 records, also where it is the last one: what matches is spread alike.
 * - `rare`: what matches is one of 10,000. `seldom`: the first 20 records, which are older than all others and of a queue, a job, an
 *   error, a tag, a flow and a parent of their own. `nothing`: no record does.
 * - A page that is not full is a page all the same: a call looks at a bounded number of records. How many it said is printed.
 * - With `--check` it fails where a call takes more than twice as long with many records.
 */
import { PgJobStore } from "@capstan/pg"
import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { PgClient } from "@effect/sql-pg"
import { JobRecord, Jobs, JobSchedules, JobStore } from "capstan"
import { Context, Effect, Layer, ManagedRuntime, Redacted, Stream } from "effect"
import { parseArgs } from "node:util"
import { startPostgres, startRedis } from "../../scripts/servers/index.ts"

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    few: { type: "string", default: "10000" },
    many: { type: "string", default: "1000000" },
    rounds: { type: "string", default: "100" },
    check: { type: "boolean", default: false }
  }
})
const few = Number(values.few)
const many = Number(values.many)
const rounds = Number(values.rounds)

const keep: JobRecord.Keep = { age: 86_400_000_000, count: Infinity }
const retention = { completed: keep, cancelled: keep, dead: keep }

const idOf = (n: number) => JobRecord.JobId(`00000000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`)

const states = ["completed", "cancelled", "dead", "scheduled", "blocked", "ready"] as const
type State = typeof states[number]

/** The states lie among each other, as they do where jobs end out of order. */
const stateOf = (n: number): State => {
  if (isSeldom(n)) return n % 2 === 0 ? "dead" : "scheduled"
  const at = (n * 7919) % 1000
  return at < 600
    ? "completed"
    : at < 610
    ? "cancelled"
    : at < 620
    ? "dead"
    : at < 700
    ? "scheduled"
    : at < 720
    ? "blocked"
    : "ready"
}

const hour = 3_600_000

const given: Readonly<Record<State, (n: number) => Partial<JobStore.NewRecord>>> = {
  // Claimed before those that are to stay ready.
  completed: () => ({ priority: 1 }),
  dead: () => ({ priority: 1 }),
  cancelled: () => ({ delay: 1000 * hour }),
  scheduled: (n) => ({ delay: 1000 * hour + n }),
  blocked: (n) => ({ concurrency: { key: `@held/${n % 1000}`, limit: 1 } }),
  ready: () => ({})
}

/** The first of all, in either store: half of them die, and half are scheduled. */
const isSeldom = (n: number) => n <= 20

const record = (n: number): JobStore.NewRecord => ({
  id: idOf(n),
  tag: isSeldom(n) ? "Seldom" : n % 10_000 === 77 ? "Rare" : `Job${n % 10}`,
  version: 1,
  queue: isSeldom(n) ? "seldom" : `queue${n % 10}`,
  priority: 0,
  payload: `{"n":${n},"text":"${"x".repeat(60)}"}`,
  delay: 0,
  retention,
  sensitive: { payload: [], result: [], error: [], progress: [] },
  tags: isSeldom(n) ? ["seldom"] : [],
  headers: {},
  ...isSeldom(n) ? { flowId: idOf(1), parent: idOf(1) } : {},
  ...given[stateOf(n)](n)
})

const chunk = 500

const fill = (count: number) =>
  Effect.gen(function*() {
    const store = yield* JobStore.JobStore
    yield* store.limits([{ _tag: "Propose", name: "@held", release: 0, settings: { concurrency: 0 } }])
    for (let from = 1; from <= count; from += chunk) {
      const numbers = Array.from({ length: Math.min(chunk, count - from + 1) }, (_, i) => from + i)
      yield* store.enqueue({ records: numbers.map(record) })
      const ending = new Map(
        numbers.map((n) => [idOf(n) as string, n] as const).filter(([, n]) =>
          stateOf(n) === "completed" || stateOf(n) === "dead"
        )
      )
      const many = Map.groupBy(ending.values(), (n) => record(n).queue)
      const demand = [...many].map(([queue, { length }]) => ({ queue, slots: length, share: length }))
      const exchange = (settlements: ReadonlyArray<JobStore.Settlement>, total: number) =>
        store.exchange({ worker: "w", lease: hour, settlements, demand: total === 0 ? [] : demand, total })
      const { claimed } = yield* exchange([], ending.size)
      if (claimed.length !== ending.size) {
        return yield* Effect.die(new Error(`${ending.size} records are to end, and ${claimed.length} were claimed`))
      }
      yield* exchange(
        claimed.map(({ fence, id }): JobStore.Settlement => {
          const n = ending.get(id)
          if (n === undefined) throw new Error(`${id} was claimed, which is to stay ready`)
          return {
            id,
            fence,
            finishedAfter: 0,
            outcome: stateOf(n) === "dead"
              ? {
                _tag: "Dead",
                reason: "Failed",
                failure: {
                  kind: "Declared",
                  tag: isSeldom(n) ? "Seldom" : n % 2 === 0 ? "Declined" : "Refused",
                  message: "no"
                }
              }
              : { _tag: "Complete", result: undefined }
          }
        }),
        0
      )
      yield* store.control({
        action: { _tag: "Cancel", reason: "for the study" },
        where: { ids: numbers.filter((n) => stateOf(n) === "cancelled").map(idOf) },
        limit: chunk
      })
    }
  })

type Services = JobStore.JobStore | Jobs.Jobs | JobSchedules.JobSchedules
type List = Effect.Effect<unknown, unknown, Services>

const query = (where: Jobs.Query): List => Effect.flatMap(Jobs.Jobs, (jobs) => jobs.query(where))

/** Each with the number of records that are in the store: some begin in the midst of it. */
const lists: Readonly<Record<string, (count: number) => List>> = {
  "newest": () => query({}),
  "oldest": () => query({ order: "oldest" }),
  "a queue": () => query({ queue: "queue3" }),
  "a job": () => query({ tag: "Job3" }),
  "a job and queue, oldest": () => query({ tag: "Job3", queue: "queue3", order: "oldest" }),
  ...Object.fromEntries(states.map((state) => [state, () => query({ states: [state] })])),
  "dead, oldest": () => query({ states: ["dead"], order: "oldest" }),
  // Few records have as many of these.
  "dead of a queue": () => query({ states: ["dead"], queue: "queue3", limit: 5 }),
  "dead by error": () => query({ states: ["dead"], errorTag: "Declined" }),
  "dead by reason": () => query({ states: ["dead"], deadReason: "Failed" }),
  "ready of a queue": () => query({ states: ["ready"], queue: "queue3" }),
  "scheduled of a queue": () => query({ states: ["scheduled"], queue: "queue3" }),
  "blocked of a queue": () => query({ states: ["blocked"], queue: "queue3", limit: 10 }),
  "blocked by a key": () => query({ blockedReason: "ConcurrencyKey" }),
  "completed of a queue": () => query({ states: ["completed"], queue: "queue3" }),
  "dead of a job": () => query({ states: ["dead"], tag: "Job3", limit: 5 }),
  "dead or cancelled": () => query({ states: ["dead", "cancelled"] }),
  "since an instant": () => query({ enqueuedFrom: 1 }),
  "dead since an instant": () => query({ enqueuedFrom: 1, states: ["dead"] }),
  "seldom: queue": () => query({ queue: "seldom" }),
  "seldom: queue, dead": () => query({ queue: "seldom", states: ["dead"] }),
  "seldom: queue, scheduled": () => query({ queue: "seldom", states: ["scheduled"] }),
  "seldom: queue, ready": () => query({ queue: "seldom", states: ["ready"] }),
  "seldom: job": () => query({ tag: "Seldom" }),
  "seldom: job, dead": () => query({ tag: "Seldom", states: ["dead"] }),
  "seldom: error": () => query({ errorTag: "Seldom" }),
  "seldom: error, dead": () => query({ errorTag: "Seldom", states: ["dead"] }),
  "seldom: tag": () => query({ label: "seldom" }),
  "seldom: tag, dead": () => query({ label: "seldom", states: ["dead"] }),
  "seldom: flow": () => query({ flowId: idOf(1) }),
  "seldom: children": () => query({ parent: idOf(1) }),
  "live": () => query({ states: ["blocked", "scheduled", "ready", "running"] }),
  "rare, one": () => query({ tag: "Rare", limit: 1 }),
  "by ids": (count) => query({ ids: [idOf(1), idOf(count >> 1), idOf(count)] }),
  "get": (count) => Effect.flatMap(Jobs.Jobs, (jobs) => jobs.get(idOf(count >> 1))),
  "stats": () => Effect.flatMap(Jobs.Jobs, (jobs) => jobs.stats),
  "limits": () => Effect.flatMap(Jobs.Jobs, (jobs) => jobs.limits),
  // Twenty of them, as in the few records; of each a hundred times as many wait.
  "keys": () => Effect.flatMap(Jobs.Jobs, (jobs) => Stream.runDrain(Stream.take(jobs.keys("held"), 100))),
  "schedules": () => Effect.flatMap(JobSchedules.JobSchedules, (schedules) => schedules.list()),
  "nothing: running": () => query({ states: ["running"] }),
  "nothing: parked": () => query({ blockedReason: "NoHandler" }),
  "nothing: crashed": () => query({ deadReason: "Crashed" }),
  "nothing: no such job": () => query({ tag: "None" }),
  "nothing: no such queue": () => query({ queue: "none" }),
  "nothing: no such tag": () => query({ label: "none" })
}

/** Counts what of the store's a list takes, and at how many records it says that it looked. */
const calls = { made: 0, looked: 0 }
const counted = (store: JobStore.JobStore["Service"]): JobStore.JobStore["Service"] => ({
  ...store,
  query: (request) =>
    Effect.suspend(() => {
      calls.made++
      return Effect.tap(store.query(request), ({ looked = 0 }) => Effect.sync(() => void (calls.looked += looked)))
    }),
  get: (id) => Effect.suspend(() => (calls.made++, store.get(id))),
  keys: (request) => Effect.suspend(() => (calls.made++, store.keys(request)))
})

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

interface Kind {
  /** A store of its own for each. */
  readonly layer: (name: string) => Layer.Layer<JobStore.JobStore>
  /** What a server does by itself once it has run for a while. */
  readonly settle: Effect.Effect<void>
}

const kinds: Readonly<Record<string, () => Promise<Kind>>> = {
  memory: async () => ({ layer: () => Layer.fresh(JobStore.layerMemory()), settle: Effect.void }),
  pg: async () => {
    const { url } = await startPostgres({ settings: { shared_buffers: "1GB", max_wal_size: "16GB" } })
    const client = PgClient.layer({ url: Redacted.make(url) })
    return {
      layer: (schema) => Layer.orDie(Layer.provide(PgJobStore.layer({ schema }), client)),
      settle: Effect.flatMap(PgClient.PgClient, (sql) => sql.unsafe("VACUUM ANALYZE").unprepared).pipe(
        Effect.provide(client),
        Effect.orDie,
        Effect.asVoid
      )
    }
  },
  redis: async () => {
    const { url } = await startRedis({ settings: {} })
    return {
      layer: (prefix) => Layer.orDie(Layer.provide(RedisJobStore.layer({ prefix }), NodeRedis.layer({ url }))),
      settle: Effect.void
    }
  }
}

const study = async (name: string, { layer, settle }: Kind): Promise<boolean> => {
  const filled = async (of: string, count: number) => {
    const runtime = ManagedRuntime.make(
      Layer.merge(Jobs.layer, JobSchedules.layer).pipe(
        Layer.provideMerge(Layer.effect(JobStore.JobStore, Effect.map(JobStore.JobStore, counted))),
        Layer.provide(layer(of))
      )
    )
    const start = performance.now()
    await runtime.runPromise(fill(count))
    console.log(`  ${count} records in ${((performance.now() - start) / 1000).toFixed(0)} s`)
    return { count, context: await runtime.context() as Context.Context<Services> }
  }
  console.log(name)
  const sides = [await filled("few", few), await filled("many", many)] as const
  await Effect.runPromise(settle)
  const measure = async (list: (count: number) => List, { context, count }: typeof sides[number]) => {
    const effect = Effect.provide(list(count), context)
    const before = { ...calls }
    const start = performance.now()
    await Effect.runPromise(effect)
    return { millis: performance.now() - start, made: calls.made - before.made, looked: calls.looked - before.looked }
  }
  let isKept = true
  console.log(
    `  ${"".padEnd(26)}${String(few).padStart(10)}${String(many).padStart(10)}     ratio     calls      looked`
  )
  for (const [what, list] of Object.entries(lists)) {
    const took: [Array<number>, Array<number>] = [[], []]
    let made: readonly [number, number] = [0, 0]
    let looked: readonly [number, number] = [0, 0]
    // Plans and code are new at first.
    for (let round = -3; round < rounds; round++) {
      const [a, b] = round % 2 === 0
        ? [await measure(list, sides[0]), await measure(list, sides[1])]
        : [await measure(list, sides[1]), await measure(list, sides[0])].toReversed()
      made = [a!.made, b!.made]
      looked = [a!.looked, b!.looked]
      if (round < 0) continue
      took[0].push(a!.millis)
      took[1].push(b!.millis)
    }
    const [first, second] = took.map(median) as [number, number]
    const isSlower = second > 2 * first
    if (isSlower) isKept = false
    console.log(
      `  ${what.padEnd(26)}${first.toFixed(3).padStart(10)}${second.toFixed(3).padStart(10)}${
        (second / first).toFixed(2).padStart(10)
      }${`${made[0]}, ${made[1]}`.padStart(10)}${`${looked[0]}, ${looked[1]}`.padStart(16)}${
        isSlower ? "   slower" : ""
      }`
    )
  }
  return isKept
}

for (const name of positionals) {
  if (!(name in kinds)) throw new Error(`${name}: there are ${Object.keys(kinds).join(", ")}`)
}
for (const [name, make] of Object.entries(kinds)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue
  if (!(await study(name, await make())) && values.check) process.exitCode = 1
}
process.exit()
