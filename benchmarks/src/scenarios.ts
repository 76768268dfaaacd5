/**
 * What is measured in memory. Each scenario runs in a process of its own, each pass on a fresh system.
 */
import type { Features } from "./features.ts"
import { Ledger } from "./ledger.ts"
import * as measures from "./measures.ts"
import { type MakeSystem, turn, weigh } from "./system.ts"

/** `undefined`: the system cannot do it. */
type Measure = (make: MakeSystem, features: Features | undefined) => Promise<measures.Figure | undefined>

export interface Scenario {
  readonly measure: Measure
  /** How often it is passed. All systems are as fast as they get after some 100,000 jobs. */
  readonly passes: number
}

const rateOf = (count: number, millis: number | undefined): measures.Figure | undefined =>
  millis === undefined ? undefined : measures.rate(count, millis)

const enqueue = (inFlight: number, count: number): Measure => async (make) =>
  rateOf(count, await measures.enqueue(make, count, inFlight, false))

const enqueueBulk = (count: number): Measure => async (make) =>
  rateOf(count, await measures.enqueueBulk(make, count, false))

const drain = (count: number, concurrency: number, millis = 0, workers = 1): Measure => async (make) =>
  rateOf(count, await measures.drain(make, { count, concurrency, millis, workers }))

const pickup = (percentile: number): Measure => async (make) => ({
  value: measures.at(await measures.pickup(make, 1000, turn), percentile),
  unit: "ms"
})

const due: Measure = async (make) => {
  const lags = await measures.due(make, 500)
  return lags && { value: measures.at(lags, 0.99), unit: "ms" }
}

/**
 * The rate while so many wait, against the rate while 10,000 do; every system and both sides alike.
 *
 * Both sides run four windows: a lead of 11,000 jobs that are not measured, in which a worker starts and its batches grow, then
 * 9,000 that are. A window alone takes less than two collections of garbage, so the four are summed. The large backlog has room
 * for all of them, the small one is filled anew for each, on a fresh system; no end of a drain is measured. What filling left
 * to the collector is as large as the backlog and no work of the claims: it is collected before the lead.
 */
const backlog = (many: number): Measure => async (make) => {
  const lead = 11_000
  const count = 9000
  const windows = 4
  /** Milliseconds that so many windows take; `waiting` jobs wait when the first lead is over. */
  const timeOf = async (waiting: number, windows: number): Promise<number> => {
    const ledger = new Ledger(lead + waiting)
    const system = await make({ run: ledger.run, millis: 0, url: "" })
    await measures.fill(system, lead + waiting)
    globalThis.gc?.()
    await system.start(100)
    let elapsed = 0
    for (let from = 0; from < windows * (lead + count); from += lead + count) {
      await ledger.after(from + lead)
      const start = performance.now()
      await ledger.after(from + lead + count)
      elapsed += performance.now() - start
    }
    await system.close()
    return elapsed
  }
  await measures.drain(make, { count: 100_000, concurrency: 100 })
  let few = 0
  for (let i = 0; i < windows; i++) few += await timeOf(10_000, 1)
  return { value: few / await timeOf(many, windows), unit: "ratio" }
}

/** A drain of jobs of 10 KB. */
const heavy = (count: number): Measure => async (make) => {
  weigh(10_240)
  return rateOf(count, await measures.drain(make, { count, concurrency: 100 }))
}

const failing = (count: number): Measure => async (make) =>
  rateOf(count, await measures.failing(make, { count, concurrency: 100 }))

const halfLoad = async (make: MakeSystem) => measures.halfLoad(make, 2)

const heap: Measure = async (make) => {
  const count = 100_000
  const system = await make({ run: () => {}, millis: 0, url: "" })
  await measures.fill(system, 1000)
  globalThis.gc?.()
  const before = process.memoryUsage().heapUsed
  await system.enqueue(1000, count, 100)
  globalThis.gc?.()
  const value = (process.memoryUsage().heapUsed - before) / count
  await system.enqueue(1000 + count, 1, 1)
  return { value, unit: "bytes" }
}

/** Of a system that has keys, flows and schedules. */
const featured =
  (measure: (features: Features, make: MakeSystem) => Promise<measures.Figure>): Measure => async (make, features) =>
    features && measure(features, make)

/** What filling left to the collector is no work of a drain. */
const collect = async (): Promise<void> => globalThis.gc?.()

const ticks = async (features: Features): Promise<measures.Figure> => ({
  value: measures.at(await measures.ticks(features, "", 500), 0.99),
  unit: "ms"
})

export const scenarios: Readonly<Record<string, Scenario>> = {
  "enqueue-seq": { measure: enqueue(1, 20_000), passes: 8 },
  "enqueue-100": { measure: enqueue(100, 20_000), passes: 8 },
  "enqueue-bulk": { measure: enqueueBulk(20_000), passes: 8 },
  "drain-c1": { measure: drain(20_000, 1), passes: 8 },
  "drain-c10": { measure: drain(20_000, 10), passes: 8 },
  "drain-c100": { measure: drain(20_000, 100), passes: 8 },
  "drain-100k": { measure: drain(100_000, 100), passes: 2 },
  "handler-10ms": { measure: drain(20_000, 100, 10), passes: 1 },
  "pickup-p50": { measure: pickup(0.5), passes: 3 },
  "pickup-p95": { measure: pickup(0.95), passes: 3 },
  "pickup-p99": { measure: pickup(0.99), passes: 3 },
  "due-1000-p99": { measure: due, passes: 8 },
  "workers-2": { measure: drain(20_000, 50, 0, 2), passes: 8 },
  "workers-4": { measure: drain(20_000, 25, 0, 4), passes: 8 },
  "fail-once": { measure: failing(20_000), passes: 8 },
  "payload-10kb": { measure: heavy(20_000), passes: 4 },
  "half-load": {
    measure: async (make) => ({ value: (await halfLoad(make)).rate, unit: "jobs/s" }),
    passes: 1
  },
  "half-load-p50": {
    measure: async (make) => ({ value: measures.at((await halfLoad(make)).lags, 0.5), unit: "ms" }),
    passes: 1
  },
  "half-load-p99": {
    measure: async (make) => ({ value: measures.at((await halfLoad(make)).lags, 0.99), unit: "ms" }),
    passes: 1
  },
  "backlog-ratio": { measure: backlog(500_000), passes: 1 },
  "backlog-ratio-1m": { measure: backlog(1_000_000), passes: 1 },
  heap: { measure: heap, passes: 1 },
  "keyed-ratio": { measure: featured((features, make) => measures.keyed(make, features, 20_000, collect)), passes: 8 },
  "traced-ratio": {
    measure: featured((features, make) => measures.traced(make, features, 20_000, collect)),
    passes: 8
  },
  "blocked-ratio": { measure: featured((features) => measures.blocked(features, 100_000, 20_000, collect)), passes: 4 },
  "flow-ratio": { measure: featured((features) => measures.flows(features, 10_000, collect)), passes: 8 },
  "tick-p99": { measure: featured(ticks), passes: 1 },
  "fair-first": { measure: featured((features) => measures.fairness(features, 1_000_000)), passes: 1 }
}
