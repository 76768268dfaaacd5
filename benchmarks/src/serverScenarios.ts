/**
 * What is measured on a server. Each scenario runs in a process of its own, each pass on a fresh copy of the system's
 * database; one pass may give several rows.
 */
import type { Features } from "./features.ts"
import { Ledger } from "./ledger.ts"
import * as measures from "./measures.ts"
import type { Server } from "./server.ts"
import { type MakeSystem, sleep, weigh } from "./system.ts"

/** A system that does fewer jobs in a second gets a tenth of them. */
export const slow = 5000

export interface Pass {
  /** On a fresh copy of the system's database at each call. */
  readonly make: MakeSystem
  /** The same with the workers in processes of their own. */
  readonly makeProcesses: (workers: number) => MakeSystem
  /** The same on a copy of a database in which so many jobs wait. */
  readonly makeFilled: (waiting: number) => Promise<MakeSystem>
  /** The same, each on a fresh copy; `undefined` of a system that has none. */
  readonly features: Features | undefined
  readonly server: Server
  /** Opens a transaction in the database that was made last, and answers what ends it. */
  readonly hold: () => Promise<() => Promise<void>>
  /** Of the database that was made last. */
  readonly analyze: () => Promise<void>
  readonly jobs: number
  readonly quick: boolean
}

export type Figures = Readonly<Record<string, measures.Figure>>

export interface ServerScenario {
  /** The rows that it gives. */
  readonly rows: ReadonlyArray<string>
  readonly jobs: number
  /** The first row is a rate: the first pass has at most a tenth of the jobs, and all have one when it is slow. */
  readonly rated: boolean
  /** At most. Two are always made where the first has fewer jobs, more while there is time. */
  readonly passes: number
  /** `undefined`: the system cannot do it. */
  readonly measure: (pass: Pass) => Promise<Figures | undefined>
}

const rates = (row: string, count: number, millis: number | undefined): Figures | undefined =>
  millis === undefined ? undefined : { [row]: measures.rate(count, millis) }

const passes = 5

const enqueue = (row: string, inFlight: number, jobs: number): ServerScenario => ({
  rows: [row],
  jobs,
  rated: true,
  passes,
  measure: async ({ jobs, make }) => rates(row, jobs, await measures.enqueue(make, jobs, inFlight, true))
})

const enqueueBulk: ServerScenario = {
  rows: ["enqueue-bulk"],
  jobs: 50_000,
  rated: true,
  passes,
  measure: async ({ jobs, make }) => rates("enqueue-bulk", jobs, await measures.enqueueBulk(make, jobs, true))
}

const drain = (row: string, jobs: number, concurrency: number, millis = 0): ServerScenario => ({
  rows: [row],
  jobs,
  rated: true,
  passes,
  measure: async ({ analyze, jobs, make }) =>
    rates(row, jobs, await measures.drain(make, { count: jobs, concurrency, millis, filled: analyze }))
})

/** So many processes, which run a hundred handlers at a time together. */
const workers = (workers: number): ServerScenario => ({
  rows: [`workers-${workers}`],
  jobs: 40_000,
  rated: true,
  passes,
  measure: async ({ analyze, jobs, makeProcesses }) => {
    const options = { count: jobs, concurrency: 100 / workers, workers, filled: analyze }
    return rates(`workers-${workers}`, jobs, await measures.drain(makeProcesses(workers), options))
  }
})

const failing: ServerScenario = {
  rows: ["fail-once"],
  jobs: 20_000,
  rated: true,
  passes,
  measure: async ({ analyze, jobs, make }) =>
    rates("fail-once", jobs, await measures.failing(make, { count: jobs, concurrency: 100, filled: analyze }))
}

const heavy: ServerScenario = {
  rows: ["payload-10kb"],
  jobs: 20_000,
  rated: true,
  passes,
  measure: async ({ analyze, jobs, make }) => {
    weigh(10_240)
    return rates("payload-10kb", jobs, await measures.drain(make, { count: jobs, concurrency: 100, filled: analyze }))
  }
}

const halfLoad: ServerScenario = {
  rows: ["half-load", "half-load-p50", "half-load-p99"],
  jobs: 0,
  rated: false,
  passes: 1,
  measure: async ({ make, quick }) => {
    const { lags, rate } = await measures.halfLoad(make, quick ? 2 : 5)
    const jobs = lags.length
    return {
      "half-load": { value: rate, unit: "jobs/s", jobs },
      "half-load-p50": { value: measures.at(lags, 0.5), unit: "ms", jobs },
      "half-load-p99": { value: measures.at(lags, 0.99), unit: "ms", jobs }
    }
  }
}

/**
 * A long drain, and what each of its jobs costs: log from its enqueue (the call for many) to the end, memory while it
 * waits, CPU from the start of the worker.
 */
const longDrain = (...costs: ReadonlyArray<"wal-bytes" | "waiting-bytes">): ServerScenario => ({
  rows: ["drain-100k", ...costs, "cpu-worker", "cpu-server"],
  jobs: 100_000,
  rated: true,
  passes: 3,
  measure: async ({ analyze, jobs, make, server }) => {
    const logged = server.logged ?? (async () => 0)
    const used = server.used ?? (async () => 0)
    let written = 0
    let held = 0
    let own: NodeJS.CpuUsage | undefined
    let theirs: number | undefined
    const millis = await measures.drain(make, {
      count: jobs,
      concurrency: 100,
      begun: async () => {
        written = -(await logged())
        held = -(await used())
      },
      filled: async () => {
        // What `analyze` writes is not theirs.
        written += await logged()
        held += await used()
        await analyze()
        written -= await logged()
        theirs = await server.cpu()
        own = process.cpuUsage()
      },
      closed: async () => {
        own = process.cpuUsage(own)
        const spent = await server.cpu()
        theirs = spent === undefined || theirs === undefined ? undefined : spent - theirs
        written += await logged()
      }
    })
    const bytes = { "wal-bytes": written, "waiting-bytes": held }
    return {
      ...rates("drain-100k", jobs, millis),
      ...Object.fromEntries(costs.map((row) => [row, { value: bytes[row] / jobs, unit: "bytes" as const }])),
      "cpu-worker": { value: (own!.user + own!.system) / jobs, unit: "us" },
      ...theirs === undefined ? {} : { "cpu-server": { value: theirs / jobs, unit: "us" } }
    }
  }
})

/** The same drain, its enqueues included, on a server that appends what it does to a file. */
const durableDrain: ServerScenario = {
  rows: ["drain-100k-aof", "aof-bytes"],
  jobs: 100_000,
  rated: true,
  passes: 3,
  measure: ({ jobs, make, server }) =>
    server.durably!(async () => {
      const logged = server.logged ?? (async () => 0)
      let written = 0
      const millis = await measures.drain(make, {
        count: jobs,
        concurrency: 100,
        begun: async () => {
          written = -(await logged())
        },
        closed: async () => {
          written += await logged()
        }
      })
      const but = "appendonly yes, appendfsync everysec, no rewrite meanwhile"
      return {
        "drain-100k-aof": { ...measures.rate(jobs, millis!), but },
        "aof-bytes": { value: written / jobs, unit: "bytes", but }
      }
    })
}

/** An idle worker has written everything and waits; the pauses differ, so that no poll falls into step with them. */
const pickup: ServerScenario = {
  rows: ["pickup-p50", "pickup-p95", "pickup-p99"],
  jobs: 1000,
  rated: false,
  passes: 1,
  measure: async ({ make, quick }) => {
    const lags = await measures.pickup(make, quick ? 200 : 1000, () => sleep(8 + Math.random() * 8))
    // The first ones are before code is compiled and connections are open.
    const warm = lags.slice(lags.length / 10)
    return {
      "pickup-p50": { value: measures.at(warm, 0.5), unit: "ms" },
      "pickup-p95": { value: measures.at(warm, 0.95), unit: "ms" },
      "pickup-p99": { value: measures.at(warm, 0.99), unit: "ms" }
    }
  }
}

/** The instant is at any distance from the last poll. */
const due: ServerScenario = {
  rows: ["due-1000-p99"],
  jobs: 1000,
  rated: false,
  passes: 4,
  measure: async ({ make }) => {
    const lags = await measures.due(make, 1000 + Math.random() * 1000)
    return lags && { "due-1000-p99": { value: measures.at(lags, 0.99), unit: "ms" } }
  }
}

/** The rate of the same number of jobs while so many wait, against while 10,000 do. */
const backlog = (row: string, many: number, quickly: boolean): ServerScenario => ({
  rows: [row],
  jobs: 10_000,
  rated: false,
  passes: 1,
  measure: async ({ jobs, makeFilled, quick }) => {
    if (quick && !quickly) return undefined
    const timeOf = async (waiting: number, jobs: number): Promise<number> => {
      const make = await makeFilled(waiting)
      const ledger = new Ledger(waiting)
      const system = await make({ run: ledger.run, millis: 0, url: "" })
      await system.start(100)
      await ledger.after(jobs / 10)
      const start = performance.now()
      await ledger.after(jobs)
      const elapsed = performance.now() - start
      await system.close()
      return elapsed
    }
    const cold = measures.rate(jobs * 0.09, await timeOf(10_000, jobs / 10))
    const count = cold.value < slow ? jobs / 10 : jobs
    let few = 0
    let more = 0
    for (let i = 0; i < (quickly && !quick ? 4 : 2); i++) {
      few += await timeOf(10_000, count)
      more += await timeOf(many, count)
    }
    return { [row]: { value: few / more, unit: "ratio", jobs: count } }
  }
})

/**
 * A steady load while a transaction stays open that has enqueued too: the rate of its last seconds against that of its
 * first. What a system deletes or updates meanwhile cannot be cleaned up.
 */
const held: ServerScenario = {
  rows: ["held-60s"],
  jobs: 0,
  rated: false,
  passes: 1,
  measure: async ({ hold, make, quick }) => {
    const seconds = quick ? 20 : 60
    const window = seconds / 6
    const ledger = new Ledger(20_000_000)
    const system = await make({ run: ledger.run, millis: 0, url: "" })
    if (system.enqueueBulk === undefined) return undefined
    let stored = 0
    const store = async () => {
      await system.enqueueBulk!(stored, 5000)
      stored += 5000
    }
    const state = { goes: true }
    const produce = async () => {
      while (state.goes) await (stored - ledger.count < 20_000 ? store() : sleep(5))
    }
    await store()
    await system.start(100)
    const producing = produce()
    // Code is compiled and statistics are there before it begins.
    await ledger.after(50_000)
    const release = await hold()
    const rateOf = async (millis: number): Promise<number> => {
      const before = ledger.count
      const start = performance.now()
      await sleep(millis)
      return (ledger.count - before) / (performance.now() - start)
    }
    const first = await rateOf(window * 1000)
    await sleep((seconds - 2 * window) * 1000)
    const last = await rateOf(window * 1000)
    state.goes = false
    await producing
    await ledger.after(stored)
    await release()
    await system.close()
    ledger.check(stored)
    return { "held-60s": { value: last / first, unit: "ratio", jobs: stored } }
  }
}

/** Of a system that has keys, flows and schedules. */
const featured = (
  row: string,
  jobs: number,
  passes: number,
  measure: (features: Features, pass: Pass) => Promise<measures.Figure>
): ServerScenario => ({
  rows: [row],
  jobs,
  rated: false,
  passes,
  measure: async (pass) => pass.features && { [row]: await measure(pass.features, pass) }
})

const feature: ReadonlyArray<ServerScenario> = [
  featured(
    "keyed-ratio",
    20_000,
    passes,
    (features, { analyze, jobs, make }) => measures.keyed(make, features, jobs, analyze)
  ),
  featured(
    "traced-ratio",
    20_000,
    passes,
    (features, { analyze, jobs, make }) => measures.traced(make, features, jobs, analyze)
  ),
  featured(
    "blocked-ratio",
    20_000,
    2,
    (features, { analyze, jobs }) => measures.blocked(features, 100_000, jobs, analyze)
  ),
  featured("flow-ratio", 10_000, passes, (features, { analyze, jobs }) => measures.flows(features, jobs, analyze)),
  featured("tick-p99", 500, 1, async (features, { jobs }) => ({
    value: measures.at(await measures.ticks(features, "", jobs), 0.99),
    unit: "ms"
  })),
  featured("fair-first", 1_000_000, 1, async (features, { jobs, quick }) => {
    const big = quick ? jobs / 10 : jobs
    return { ...await measures.fairness(features, big), jobs: big }
  })
]

const scenarios = (...long: ReadonlyArray<ServerScenario>): ReadonlyArray<ServerScenario> => [
  enqueue("enqueue-seq", 1, 20_000),
  enqueue("enqueue-100", 100, 20_000),
  enqueueBulk,
  drain("drain-c1", 20_000, 1),
  drain("drain-c10", 20_000, 10),
  drain("drain-c100", 20_000, 100),
  ...long,
  drain("handler-10ms", 20_000, 100, 10),
  pickup,
  due,
  workers(2),
  workers(4),
  failing,
  heavy,
  halfLoad,
  backlog("backlog-ratio", 500_000, true),
  backlog("backlog-ratio-1m", 1_000_000, false),
  ...feature
]

export const serverScenarios = {
  pg: [...scenarios(longDrain("wal-bytes")), backlog("backlog-ratio-5m", 5_000_000, false), held],
  redis: scenarios(longDrain("waiting-bytes"), durableDrain)
}
