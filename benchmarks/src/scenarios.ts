/**
 * What is measured. Each scenario runs in a process of its own, on a fresh system, and answers one figure.
 */
import { type MakeSystem, sleep, type System } from "./system.ts"

export interface Figure {
  readonly value: number
  readonly unit: "jobs/s" | "ms" | "bytes" | "ratio"
}

/** `undefined`: the system cannot do it. */
export type Scenario = (make: MakeSystem) => Promise<Figure | undefined>

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

const enqueue = (inFlight: number, count: number): Scenario => async (make) => {
  const system = await make({ run: () => {}, millis: 0 })
  const start = performance.now()
  await system.enqueue(0, count, inFlight)
  return { value: (count / (performance.now() - start)) * 1000, unit: "jobs/s" }
}

const drain = (count: number, concurrency: number, millis = 0, workers = 1): Scenario => async (make) => {
  const ledger = new Ledger(count)
  const system = await make({ run: ledger.run, millis })
  if (workers > 1 && !system.canHaveTwoWorkers) return undefined
  await fill(system, count)
  const start = performance.now()
  for (let i = 0; i < workers; i++) await system.start(concurrency)
  await ledger.after(count)
  const elapsed = performance.now() - start
  ledger.check(count)
  return { value: (count / elapsed) * 1000, unit: "jobs/s" }
}

/** From the call of enqueue to the start of the handler, on an idle worker. */
const pickup = (percentile: number): Scenario => async (make) => {
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
    await sleep(0)
  }
  return { value: at(lags, percentile), unit: "ms" }
}

const at = (values: ReadonlyArray<number>, percentile: number): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * percentile)]!

const due: Scenario = async (make) => {
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
  return { value: at(lags, 0.99), unit: "ms" }
}

/** The rate of the first 10,000 while many wait, against the rate while few do. */
const backlog: Scenario = async (make) => {
  const rate = async (waiting: number) => {
    const ledger = new Ledger(waiting)
    const system = await make({ run: ledger.run, millis: 0 })
    await fill(system, waiting)
    globalThis.gc?.()
    const start = performance.now()
    await system.start(100)
    await ledger.after(10_000)
    const value = 10_000 / (performance.now() - start)
    void system.close()
    return value
  }
  // The first run warms the code up, so that both are measured alike.
  await rate(20_000)
  const few = await rate(10_000)
  return { value: (await rate(500_000)) / few, unit: "ratio" }
}

const heap: Scenario = async (make) => {
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

export const scenarios: Readonly<Record<string, Scenario>> = {
  "enqueue-seq": enqueue(1, 20_000),
  "enqueue-100": enqueue(100, 20_000),
  "enqueue-bulk": async (make) => {
    const system = await make({ run: () => {}, millis: 0 })
    if (system.enqueueBulk === undefined) return undefined
    const start = performance.now()
    await system.enqueueBulk(0, 20_000)
    return { value: (20_000 / (performance.now() - start)) * 1000, unit: "jobs/s" }
  },
  "drain-c1": drain(20_000, 1),
  "drain-c10": drain(20_000, 10),
  "drain-c100": drain(20_000, 100),
  "drain-100k": drain(100_000, 100),
  "handler-10ms": drain(2000, 100, 10),
  "pickup-p50": pickup(0.5),
  "pickup-p99": pickup(0.99),
  "due-1000-p99": due,
  "workers-2": drain(20_000, 50, 0, 2),
  "backlog-ratio": backlog,
  heap
}
