/**
 * What the scenarios are made of. Each measure is one pass on a fresh system, which `make` gives.
 */
import type { Features } from "./features.ts"
import { Ledger } from "./ledger.ts"
import { type MakeSystem, sleep, type System } from "./system.ts"

export interface Figure {
  readonly value: number
  readonly unit: "jobs/s" | "ms" | "bytes" | "ratio" | "us"
  /** Of how many jobs, where that differs from one system to the next. */
  readonly jobs?: number
  /** What the server did otherwise than in the other rows. */
  readonly but?: string
}

export const rate = (count: number, millis: number): Figure => ({ value: (count / millis) * 1000, unit: "jobs/s" })

export const at = (values: ReadonlyArray<number>, percentile: number): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * percentile)]!

export const fill = (system: System, count: number): Promise<void> =>
  system.enqueueBulk === undefined ? system.enqueue(0, count, 100) : system.enqueueBulk(0, count)

/** Milliseconds of so many calls. What memory holds is left where it is: giving it back makes the next pass another one. */
export const enqueue = async (
  make: MakeSystem,
  count: number,
  inFlight: number,
  close: boolean
): Promise<number> => {
  const system = await make({ run: () => {}, millis: 0, url: "" })
  const start = performance.now()
  await system.enqueue(0, count, inFlight)
  const elapsed = performance.now() - start
  if (close) await system.close()
  return elapsed
}

/** The same with the call for many; `undefined` where there is none. */
export const enqueueBulk = async (
  make: MakeSystem,
  count: number,
  close: boolean
): Promise<number | undefined> => {
  const system = await make({ run: () => {}, millis: 0, url: "" })
  if (system.enqueueBulk === undefined) return undefined
  const start = performance.now()
  await system.enqueueBulk(0, count)
  const elapsed = performance.now() - start
  if (close) await system.close()
  return elapsed
}

export interface Drain {
  readonly count: number
  readonly concurrency: number
  /** How long a handler takes. */
  readonly millis?: number
  readonly workers?: number
  /** Before the first job is stored. */
  readonly begun?: () => Promise<void>
  /** All jobs are stored, and no worker runs yet. */
  readonly filled?: () => Promise<void>
  /** All handlers have run, and what a worker writes after them is written. */
  readonly closed?: () => Promise<void>
}

/** Milliseconds from the start of the workers to the last handler. */
export const drain = async (make: MakeSystem, options: Drain): Promise<number | undefined> => {
  const { concurrency, count, millis = 0, workers = 1 } = options
  const ledger = new Ledger(count)
  const system = await make({ run: ledger.run, millis, url: "" })
  if (workers > 1 && !system.canHaveTwoWorkers) return undefined
  await options.begun?.()
  await fill(system, count)
  await options.filled?.()
  const start = performance.now()
  for (let i = 0; i < workers; i++) await system.start(concurrency)
  await ledger.after(count)
  const elapsed = performance.now() - start
  await system.close()
  ledger.check(count)
  await options.closed?.()
  return elapsed
}

/** From the call of enqueue to the start of the handler, on a worker that `idle` lets come to rest before each. */
export const pickup = async (
  make: MakeSystem,
  samples: number,
  idle: () => Promise<void>
): Promise<ReadonlyArray<number>> => {
  const ledger = new Ledger(samples)
  const system = await make({ run: ledger.run, millis: 0, url: "" })
  await system.start(10)
  const lags: Array<number> = []
  let start = 0
  ledger.onRun = () => lags.push(performance.now() - start)
  for (let n = 0; n < samples; n++) {
    await idle()
    start = performance.now()
    await system.enqueue(n, 1, 1)
    await ledger.after(n + 1)
  }
  await system.close()
  ledger.check(samples)
  return lags
}

/** How late each of 1,000 runs that are due at one instant, so many milliseconds from now. */
export const due = async (make: MakeSystem, inMillis: number): Promise<ReadonlyArray<number> | undefined> => {
  const ledger = new Ledger(1000)
  const system = await make({ run: ledger.run, millis: 0, url: "" })
  if (system.enqueueDue === undefined) return undefined
  await system.start(10)
  const instant = Math.round(Date.now() + inMillis)
  const lags: Array<number> = []
  ledger.onRun = () => lags.push(Date.now() - instant)
  await system.enqueueDue(0, 1000, instant)
  await ledger.after(1000)
  await system.close()
  ledger.check(1000)
  return lags
}

/** A drain in which each third job in ten fails at its first attempt. */
export const failing = async (make: MakeSystem, options: Drain): Promise<number | undefined> => {
  const failed = new Uint8Array(options.count)
  const fails = (n: number) => n % 10 < 3 && failed[n]!++ === 0
  let isRetried = true
  const millis = await drain(
    async (handle) => {
      const system = await make({ ...handle, fails })
      isRetried = system.canRetry === true
      return isRetried ? system : { ...system, canHaveTwoWorkers: false }
    },
    options
  )
  return isRetried ? millis : undefined
}

export interface HalfLoad {
  /** Jobs a second that were enqueued. */
  readonly rate: number
  /** From the instant at which each job was to be enqueued to the start of its handler. */
  readonly lags: ReadonlyArray<number>
}

/**
 * An open loop: jobs come at instants that do not wait for those before, at half of the rate at which the system takes jobs in and
 * works them off at once. That rate is measured first, with 200 enqueues in flight and no more than 2,000 jobs ahead of the worker.
 */
export const halfLoad = async (make: MakeSystem, seconds: number): Promise<HalfLoad> => {
  // The quickest passes two millions in a second.
  const most = 20_000_000
  const ahead = 2000
  const inFlight = 100
  const ledger = new Ledger(most)
  const planned = new Float64Array(most)
  const lags: Array<number> = []
  const system = await make({ run: ledger.run, millis: 0, url: "" })
  await system.start(100)

  let next = 0
  const closed = async (until: number) => {
    while (performance.now() < until) {
      if (next - ledger.count >= ahead) await ledger.after(next - ahead + 1)
      const from = next
      next += inFlight
      await system.enqueue(from, inFlight, inFlight)
    }
  }
  const closedFor = async (millis: number): Promise<number> => {
    const before = ledger.count
    const start = performance.now()
    await Promise.all([closed(start + millis), closed(start + millis)])
    await ledger.after(next)
    return (ledger.count - before) / (performance.now() - start)
  }
  await closedFor(500 * seconds)
  const perMilli = await closedFor(500 * seconds) / 2

  const first = next
  const count = Math.min(Math.floor(perMilli * seconds * 1000), most - first)
  ledger.onRun = (n) => lags.push(performance.now() - planned[n]!)
  const start = performance.now()
  const calls: Array<Promise<void>> = []
  for (let asked = 0; asked < count;) {
    const from = first + asked
    const now = performance.now()
    while (asked < count && start + asked / perMilli <= now) {
      planned[first + asked] = start + asked / perMilli
      asked++
    }
    const many = first + asked - from
    if (many > 0) calls.push(system.enqueue(from, many, many))
    await sleep(1)
  }
  await Promise.all(calls)
  await ledger.after(first + count)
  await system.close()
  ledger.check(first + count)
  // Before the first tenth is over the system has not come to rest from what was measured before.
  return { rate: perMilli * 1000, lags: lags.slice(count / 10) }
}

/** How long two drains take: their ratio, which is 1 when a job costs the second no more than the first. */
const against = async (first: MakeSystem, second: MakeSystem, options: Drain): Promise<Figure> => {
  const millis = (await drain(first, options))!
  return { value: millis / (await drain(second, options))!, unit: "ratio" }
}

type Filled = Exclude<Drain["filled"], undefined>

const nothing: Filled = async () => {}

/** The rate of jobs that each have one of a thousand keys, against that of jobs without. */
export const keyed = (make: MakeSystem, features: Features, count: number, filled = nothing): Promise<Figure> =>
  against(make, features.keyed, { count, concurrency: 100, filled })

/** The rate while each attempt has its spans, which are sent away in batches, against the rate without a tracer. */
export const traced = (make: MakeSystem, features: Features, count: number, filled = nothing): Promise<Figure> =>
  against(make, features.traced, { count, concurrency: 100, filled })

/** The rate while so many records of as many keys of which nothing may start are blocked, against the rate while none is. */
export const blocked = (features: Features, waiting: number, count: number, filled = nothing): Promise<Figure> =>
  against(features.behind(0), features.behind(waiting), { count, concurrency: 100, filled })

/** The children a second of one flow that has so many, against those of flows of ten. What waits for them runs, too. */
export const flows = async (features: Features, leaves: number, filled = nothing): Promise<Figure> => {
  const millis = (each: number) =>
    drain(features.flows(each), { count: leaves / each * (each + 1), concurrency: 100, filled })
  return { value: (await millis(10))! / (await millis(leaves))!, unit: "ratio" }
}

/** How late so many ticks begin to run, of twenty schedules that are due at the same instants. */
export const ticks = async (features: Features, url: string, count: number): Promise<ReadonlyArray<number>> => {
  const lags: Array<number> = []
  const ledger = new Ledger(0)
  const warm = 2 * schedules
  const close = await features.ticking({
    url,
    schedules,
    run: (planned) => {
      lags.push(Date.now() - planned)
      ledger.run(0)
    }
  })
  await ledger.after(warm + count)
  await close()
  // The first ones are before code is compiled and connections are open.
  return lags.slice(warm, warm + count)
}

const schedules = 20

/** Milliseconds until the first job of a small tenant starts, which comes behind so many of a big one; the median of twenty. */
export const fairness = async (features: Features, big: number): Promise<Figure> => {
  const small = 20
  const lead = 5000
  const ledger = new Ledger(big + small)
  const system = await features.fair(big)({ run: ledger.run, millis: 0, url: "" })
  await fill(system, big)
  globalThis.gc?.()
  const lags: Array<number> = []
  let start = 0
  let ran = () => {}
  ledger.onRun = (n) => {
    if (n < big) return
    lags.push(performance.now() - start)
    ran()
  }
  await system.start(100)
  await ledger.after(lead)
  for (let n = big; n < big + small; n++) {
    const hasRun = new Promise<void>((resolve) => ran = resolve)
    start = performance.now()
    await system.enqueue(n, 1, 1)
    await hasRun
  }
  const left = big + small - ledger.count
  await system.close()
  if (left <= 0) throw new Error("the big tenant had nothing left: its jobs were to wait all the time")
  return { value: at(lags, 0.5), unit: "ms" }
}
