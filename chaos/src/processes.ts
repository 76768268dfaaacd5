/** What the runner and its processes say to each other, over the channel that they were forked with. */

import type { Safeguard } from "./store.ts"

export interface Common {
  /** The store, by its name. */
  readonly store: string
  readonly url: string
  readonly namespace: string
  readonly without: Safeguard | undefined
  /** The folder of the ledger. */
  readonly folder: string
  readonly name: string
}

export interface WorkerTask extends Common {
  readonly concurrency: number
  /** Milliseconds. */
  readonly lease: number
  /** Milliseconds by which its wall clock is off. */
  readonly clockOff?: number | undefined
  /** Whether it serves the schedules, too. */
  readonly ticks?: boolean | undefined
  /** Whether it writes down what it has of its machine. */
  readonly samples?: boolean | undefined
  /** How long it waits for what it interrupts, in milliseconds. @default that of `JobWorker.layer` */
  readonly interruptGrace?: number | undefined
  /** How long it lets handlers end by themselves when it closes, in milliseconds. @default that of `JobWorker.layer` */
  readonly shutdownGrace?: number | undefined
}

export type Kind =
  | "Work"
  | "Stubborn"
  | "Narrow"
  | "Wide"
  | "Chain"
  | "Held"
  | "Flaky"
  | "Transfer"
  | "Batched"
  | "Soak"

/** What a producer makes: jobs of these kinds in turn, with handlers that take so long. */
export interface Load {
  readonly kinds: ReadonlyArray<Kind>
  /** Milliseconds, the least and the most. */
  readonly millis: readonly [number, number]
  /** Keys of the kinds that have a limit. */
  readonly keys?: number
  /** Every so many jobs, one that kills its process. */
  readonly poisonEvery?: number
  /** Every so many jobs, one whose process is frozen at its end, for so many seconds. */
  readonly late?: { readonly every: number; readonly seconds: number }
  /** Every so many jobs, one that never returns; every other one of them cannot be interrupted. */
  readonly hangEvery?: number
  /** Each has an idempotency key, with which it is enqueued again as long as its outcome is unknown. */
  readonly isSure?: boolean
  /** Each is a flow of levels, in place of a job. */
  readonly isFlow?: boolean
  /** Of jobs, at most. */
  readonly most?: number
  /** A second. */
  readonly rate: number
  /** Enqueues under way at a time, at most. */
  readonly inFlight: number
}

export interface ProducerTask extends Common {
  readonly load: Load
  readonly seed: number
  /** The number of its first job, and how far apart its numbers are: no other producer has them. */
  readonly first: number
  readonly step: number
}

export type Ask =
  | { readonly _tag: "begin"; readonly task: unknown }
  | { readonly _tag: "stop" }

export type Tell =
  /** It has read its program, and waits to be told what to do. */
  | { readonly _tag: "loaded" }
  /** A worker: the store has answered. A producer: it has begun. */
  | { readonly _tag: "ready" }
  /** A producer has stopped, and every enqueue of it has had an answer. */
  | { readonly _tag: "stopped" }

/** Ends with the runner, also when that is killed. */
export const serve = <Task>(begin: (task: Task, tell: (what: Tell) => void) => { readonly stop: () => void }): void => {
  const tell = (what: Tell) => {
    if (process.connected) process.send!(what)
  }
  let running: { readonly stop: () => void } | undefined
  process.on("disconnect", () => process.exit(1))
  process.on("message", (ask: Ask) => {
    if (ask._tag === "begin") running = begin(ask.task as Task, tell)
    else running?.stop()
  })
  tell({ _tag: "loaded" })
}
