/**
 * A worker that sleeps in the process that enqueues: it looks right behind the enqueue, on the same connection, and does not
 * wait for the server to call it. Median from enqueue to start on two cores: one round trip, 0.8 ms, instead of two, 1.1 ms.
 *
 * A hint as all wake-ups are: the server calls all the same, and others who sleep.
 */
import type { JobStore } from "capstan"
import * as Effect from "effect/Effect"
import { clean } from "./codec.ts"

export class Nearby {
  /** Queues in which a worker of this process has found nothing more. */
  private readonly idle = new Set<string>()
  private woken: Set<string> | undefined
  private readonly wake: (queues: ReadonlySet<string>) => void

  constructor(wake: (queues: ReadonlySet<string>) => void) {
    this.wake = wake
  }

  /** An exchange was answered. */
  found(demand: ReadonlyArray<JobStore.Demand>, more: ReadonlyArray<string>): void {
    for (const { queue } of demand) {
      if (more.includes(queue)) this.idle.delete(queue)
      else this.idle.add(queue)
    }
  }

  /** These are about to be sent: in the next turn of the event loop they have been. */
  stores(records: ReadonlyArray<JobStore.NewRecord>): void {
    if (this.idle.size === 0) return
    for (const { queue } of records) if (this.idle.delete(queue)) this.soon(queue)
  }

  private soon(queue: string): void {
    if (this.woken === undefined) {
      const woken = this.woken = new Set<string>()
      Effect.runFork(Effect.andThen(
        Effect.yieldNow,
        Effect.sync(() => {
          this.woken = undefined
          this.wake(woken)
        })
      ))
    }
    this.woken.add(clean(queue))
  }
}
