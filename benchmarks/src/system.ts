/**
 * What a system under measurement does. One file per system, with the defaults that its README gives.
 */
export interface Handle {
  /** Called by every handler: the ledger outside the system. */
  readonly run: (n: number) => void
  /** How long a handler takes, in milliseconds; 0 ends at once. */
  readonly millis: number
  /** The database of this pass; empty in memory. */
  readonly url: string
  /** Whether this attempt of a job fails, before `run`: asked once an attempt. None fails where it is left out. */
  readonly fails?: (n: number) => boolean
}

export interface System {
  /** Stores jobs `from` up to `from + count`, so many calls in flight. */
  readonly enqueue: (from: number, count: number, inFlight: number) => Promise<void>
  /** The same with the call that the system has for many. */
  readonly enqueueBulk?: (from: number, count: number) => Promise<void>
  /** Stores jobs that are all due at one instant, in epoch milliseconds. */
  readonly enqueueDue?: (from: number, count: number, instant: number) => Promise<void>
  /** Starts a worker. A second call starts a second one on the same jobs, where the system can. */
  readonly start: (concurrency: number) => Promise<void>
  readonly canHaveTwoWorkers: boolean
  /** It runs what `fails` once more. */
  readonly canRetry?: boolean
  /** Ends the workers once what they have done is written, and lets go of every connection. */
  readonly close: () => Promise<void>
}

export type MakeSystem = (handle: Handle) => Promise<System>

/** 100 bytes as JSON, together with the number, until a scenario makes it longer. */
export let text = "x".repeat(80)

/** Makes the payload of every job of this process so long. */
export const weigh = (bytes: number): void => {
  text = "x".repeat(bytes - 20)
}

/** What a handler throws whose attempt fails. */
export class Failed extends Error {
  override readonly name = "Failed"
}

/** Promises, so many at a time. */
export const pooled = async (from: number, count: number, inFlight: number, call: (n: number) => Promise<unknown>) => {
  let next = from
  const lane = async () => {
    while (next < from + count) await call(next++)
  }
  await Promise.all(Array.from({ length: inFlight }, lane))
}

export const sleep = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

/** Until everything has run that was ready: after it, a worker is idle again. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
