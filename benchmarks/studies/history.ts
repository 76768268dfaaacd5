/**
 * What history and the fence cost on Postgres: `node scripts/node.mjs benchmarks/studies/history.ts [rounds]`.
 *
 * A worker with a concurrency of 100 drains 40,000 jobs that do nothing, each time on a fresh database, the variants one after
 * the other in each round:
 *
 * - `history`: as it comes. `none`: with `retention: { completed: 0 }`, which leaves no row of a record.
 * - `no fence`: the store with history, whose completions look at the id alone. No store: a stale attempt would complete
 *   what another one runs. `neither`: both.
 * - `graphile-batch`: graphile-worker, as `npm run bench` runs it. It has neither.
 *
 * CPU and log are from the start of the worker to its end. The cost of each is what is left without it.
 */
import { PgJobStore } from "@capstan/pg"
import { PgClient } from "@effect/sql-pg"
import { Job, JobGroup, JobStore, JobWorker } from "capstan"
import { Context, Effect, Exit, Layer, ManagedRuntime, Redacted, Schema, Scope } from "effect"
import { startPostgres } from "../../scripts/servers/index.ts"
import { loadServer, loadSystem } from "../src/load.ts"
import { drain } from "../src/measures.ts"
import { type MakeSystem, text } from "../src/system.ts"

const count = 40_000
const rounds = Number(process.argv[2] ?? 3)

const payload = { n: Schema.Number, text: Schema.String }
class Kept extends Job.make("Kept", { payload }) {}
class Gone extends Job.make("Gone", { payload, retention: { completed: 0 } }) {}
const Group = JobGroup.make(Kept, Gone)

/** Without the fence the statement that settles has one condition less. */
const unfence = (sql: PgClient.PgClient) =>
  Effect.gen(function*() {
    const [complete] = yield* sql<{ text: string }>`
      SELECT pg_get_functiondef(oid) AS text FROM pg_proc
      WHERE proname = 'complete' AND pronamespace = 'capstan'::regnamespace`
    const [fenced, unfenced] = ["WHERE r.id = g.id AND r.fence = g.fence\n", "WHERE r.id = g.id\n"]
    // A copy of a database that has none has none either.
    if (complete!.text.includes(unfenced)) return
    if (!complete!.text.includes(fenced)) return yield* Effect.die(new Error("the fence is written otherwise by now"))
    yield* sql.unsafe(complete!.text.replace(fenced, unfenced)).unprepared
  })

const capstan = (job: typeof Kept | typeof Gone, isFenced: boolean): MakeSystem => async ({ run, url }) => {
  const layer = Layer.provideMerge(PgJobStore.layer(), PgClient.layer({ url: Redacted.make(url) }))
  const runtime = ManagedRuntime.make(layer)
  const store = await runtime.runPromise(JobStore.JobStore)
  if (!isFenced) await runtime.runPromise(Effect.flatMap(PgClient.PgClient, unfence))
  const on = Effect.runPromiseWith(Context.make(JobStore.JobStore, store))
  const scope = Effect.runSync(Scope.make())
  const work = ({ n }: { readonly n: number }) => Effect.sync(() => run(n))
  const handlers = Group.toLayer({ Kept: work, Gone: work })
  const enqueueMany = (from: number, count: number) =>
    on(Effect.asVoid(job.enqueueMany(Array.from({ length: count }, (_, i) => ({ n: from + i, text })))))
  return {
    enqueue: enqueueMany,
    enqueueBulk: enqueueMany,
    start: (concurrency) =>
      on(Effect.asVoid(
        Layer.buildWithScope(Layer.fresh(Layer.provide(JobWorker.layer(Group, { concurrency }), handlers)), scope)
      )),
    canHaveTwoWorkers: false,
    close: () => on(Scope.close(scope, Exit.void)).then(() => runtime.dispose())
  }
}

const variants: Readonly<Record<string, MakeSystem>> = {
  history: capstan(Kept, true),
  none: capstan(Gone, true),
  "no fence": capstan(Kept, false),
  neither: capstan(Gone, false),
  "graphile-batch": await loadSystem("pg", "graphile-batch")
}

interface Cost {
  readonly cpu: number
  readonly log: number
  readonly rate: number
}

const own = await startPostgres({
  settings: { shared_buffers: "1GB", max_wal_size: "16GB", checkpoint_timeout: "30min" }
})
const server = await (await loadServer("pg"))(own.url, "history")
console.log(`${await server.describe()}\n`)

const measure = async (name: string, make: MakeSystem): Promise<Cost> => {
  await server.template(name, async (url) => {
    await (await make({ run: () => {}, millis: 0, url })).close()
  })
  const url = await server.copy(name)
  let cpu = 0
  let log = 0
  const millis = await drain((handle) => make({ ...handle, url }), {
    count,
    concurrency: 100,
    filled: async () => {
      await server.analyze(url)
      log = -await server.logged!()
      cpu = -(await server.cpu() ?? NaN)
    },
    closed: async () => {
      cpu += await server.cpu() ?? NaN
      log += await server.logged!()
    }
  })
  return { cpu: cpu / count, log: log / count, rate: count / millis! }
}

const costs = new Map<string, Array<Cost>>()
// The first round is not counted: code is new.
for (let round = 0; round <= rounds; round++) {
  for (const [name, make] of Object.entries(variants)) {
    const cost = await measure(name, make)
    if (round > 0) costs.set(name, [...costs.get(name) ?? [], cost])
  }
}
const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1]!
const of = (name: string, what: keyof Cost): number => median(costs.get(name)!.map((cost) => cost[what]))
for (const name of costs.keys()) {
  const against = name === "graphile-batch"
    ? ""
    : `, ${(of(name, "rate") / of("graphile-batch", "rate")).toFixed(2)}x graphile-batch`
  console.log(
    `${name.padEnd(16)}${of(name, "cpu").toFixed(1)} us of the server's CPU, ${of(name, "log").toFixed(0)} B of log, ` +
      `${of(name, "rate").toFixed(1)} k/s${against}`
  )
}
await server.dropTemplates()
await server.close()
await own.stop()
process.exit()
