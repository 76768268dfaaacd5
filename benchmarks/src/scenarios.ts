/**
 * What is measured. Each scenario runs in a process of its own, each pass on a fresh system, and answers one figure.
 */
import { type MakeSystem, sleep, type System, turn } from "./system.ts"

export interface Figure {
  readonly value: number
  readonly unit: "jobs/s" | "ms" | "bytes" | "ratio"
}

/** `undefined`: the system cannot do it. */
type Measure = (make: MakeSystem) => Promise<Figure | undefined>

export interface Scenario {
  readonly measure: Measure
  /** How often it is passed. All systems are as fast as they get after some 100,000 jobs. */
  readonly passes: number
}

/** The ledger: how often each job ran. */
class Ledger {
  private readonly times: Uint8Array
  private done = 0
  private readonly waiting: Array<{ readonly at: number; readonly resolve: () => void }> = []
  onRun: (n: number) => void = () => {}

  constructor(size: number) {
    this.times = new Uint8Array(size)
  }

  readonly run = (n: number): void => {
    this.times[n]!++
    this.done++
    this.onRun(n)
    while (this.waiting.length > 0 && this.done >= this.waiting[0]!.at) this.waiting.shift()!.resolve()
  }

  /** Resolves when so many handlers have run. */
  after(count: number): Promise<void> {
    return this.done >= count ? Promise.resolve() : new Promise((resolve) => this.waiting.push({ at: count, resolve }))
  }

  /** Each of the first so many ran exactly once. */
  check(count: number): void {
    for (let n = 0; n < count; n++) {
      if (this.times[n] !== 1) throw new Error(`job ${n} ran ${this.times[n]} times`)
    }
  }
}

const fill = (system: System, count: number) =>
  system.enqueueBulk === undefined ? system.enqueue(0, count, 100) : system.enqueueBulk(0, count)

const rate = (count: number, millis: number): Figure => ({ value: (count / millis) * 1000, unit: "jobs/s" })

const enqueue = (inFlight: number, count: number): Measure => async (make) => {
  const system = await make({ run: () => {}, millis: 0 })
  const start = performance.now()
  await system.enqueue(0, count, inFlight)
  return rate(count, performance.now() - start)
}

const drain = (count: number, concurrency: number, millis = 0, workers = 1): Measure => async (make) => {
  const ledger = new Ledger(count)
  const system = await make({ run: ledger.run, millis })
  if (workers > 1 && !system.canHaveTwoWorkers) return undefined
  await fill(system, count)
  const start = performance.now()
  for (let i = 0; i < workers; i++) await system.start(concurrency)
  await ledger.after(count)
  const elapsed = performance.now() - start
  ledger.check(count)
  await system.close()
  return rate(count, elapsed)
}

/** From the call of enqueue to the start of the handler, on an idle worker. */
const pickup = (percentile: number): Measure => async (make) => {
  const samples = 1000
  const ledger = new Ledger(samples)
  const system = await make({ run: ledger.run, millis: 0 })
  await system.start(10)
  const lags: Array<number> = []
  let start = 0
  ledger.onRun = () => lags.push(performance.now() - start)
  for (let n = 0; n < samples; n++) {
    start = performance.now()
    await system.enqueue(n, 1, 1)
    await ledger.after(n + 1)
    await turn()
  }
  await system.close()
  return { value: at(lags, percentile), unit: "ms" }
}

const at = (values: ReadonlyArray<number>, percentile: number): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * percentile)]!

const due: Measure = async (make) => {
  const ledger = new Ledger(1000)
  const system = await make({ run: ledger.run, millis: 0 })
  if (system.enqueueDue === undefined) return undefined
  await system.start(10)
  const instant = Date.now() + 1000
  await system.enqueueDue(0, 1000, instant)
  const lags: Array<number> = []
  ledger.onRun = () => lags.push(Date.now() - instant)
  await ledger.after(1000)
  ledger.check(1000)
  await system.close()
  return { value: at(lags, 0.99), unit: "ms" }
}

/** The rate while 500,000 wait, against the rate of 10,000 that wait alone. */
const backlog: Measure = async (make) => {
  /** Milliseconds for `count` jobs after the first `lead`, of as many as wait. */
  const timeOf = async (waiting: number, lead: number, count: number): Promise<number> => {
    const ledger = new Ledger(waiting)
    const system = await make({ run: ledger.run, millis: 0 })
    await fill(system, waiting)
    await sleep(waiting / 1000)
    let start = performance.now()
    await system.start(100)
    if (lead > 0) {
      await ledger.after(lead)
      start = performance.now()
    }
    await ledger.after(lead + count)
    const elapsed = performance.now() - start
    await system.close()
    return elapsed
  }
  const timesOf = async (times: number, waiting: number, lead: number, count: number): Promise<number> => {
    let sum = 0
    for (let i = 0; i < times; i++) sum += await timeOf(waiting, lead, count)
    return sum
  }
  await timeOf(100_000, 0, 100_000)
  // As many jobs on both sides: a single drain of 10,000 takes less than two collections of garbage. The lead has the
  // collector sort out what filling left, which is as large as the backlog and no work of the claims.
  const few = await timesOf(8, 10_000, 0, 10_000)
  return { value: few / (await timesOf(2, 500_000, 40_000, 40_000)), unit: "ratio" }
}

const heap: Measure = async (make) => {
  const count = 100_000
  const system = await make({ run: () => {}, millis: 0 })
  await fill(system, 1000)
  globalThis.gc?.()
  const before = process.memoryUsage().heapUsed
  await system.enqueue(1000, count, 100)
  globalThis.gc?.()
  const value = (process.memoryUsage().heapUsed - before) / count
  await system.enqueue(1000 + count, 1, 1)
  return { value, unit: "bytes" }
}

const enqueueBulk: Measure = async (make) => {
  const system = await make({ run: () => {}, millis: 0 })
  if (system.enqueueBulk === undefined) return undefined
  const start = performance.now()
  await system.enqueueBulk(0, 20_000)
  return rate(20_000, performance.now() - start)
}

export const scenarios: Readonly<Record<string, Scenario>> = {
  "enqueue-seq": { measure: enqueue(1, 20_000), passes: 12 },
  "enqueue-100": { measure: enqueue(100, 20_000), passes: 12 },
  "enqueue-bulk": { measure: enqueueBulk, passes: 12 },
  "drain-c1": { measure: drain(20_000, 1), passes: 10 },
  "drain-c10": { measure: drain(20_000, 10), passes: 10 },
  "drain-c100": { measure: drain(20_000, 100), passes: 10 },
  "drain-100k": { measure: drain(100_000, 100), passes: 3 },
  "handler-10ms": { measure: drain(2000, 100, 10), passes: 1 },
  "pickup-p50": { measure: pickup(0.5), passes: 3 },
  "pickup-p99": { measure: pickup(0.99), passes: 3 },
  "due-1000-p99": { measure: due, passes: 4 },
  "workers-2": { measure: drain(20_000, 50, 0, 2), passes: 10 },
  "backlog-ratio": { measure: backlog, passes: 1 },
  heap: { measure: heap, passes: 1 }
}
