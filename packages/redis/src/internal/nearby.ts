/**
 * A worker that sleeps in the process that enqueues: it looks right behind the enqueue, on the same connection, and does not
 * wait for the server to call it. Median from enqueue to start on two cores: one round trip, 0.8 ms, instead of two, 1.1 ms.
 *
 * A store that has to wait for the first answer before it may ask again sends both as one (`StandBy`): here the second goes out behind
 * the first.
 *
 * As many as there are records, who have slept longest. A hint as all wake-ups are: the server calls all the same, and others
 * who sleep.
 */
import type { JobStore } from "capstan"
import * as Effect from "effect/Effect"
import { packWorker } from "./codec.ts"

export class Nearby {
  /** Workers of this process that have room and have found nothing more, by queue. */
  private readonly idle = new Map<string, Set<string>>()
  private woken: Set<string> | undefined
  private readonly wake: (workers: ReadonlySet<string>) => void

  constructor(wake: (workers: ReadonlySet<string>) => void) {
    this.wake = wake
  }

  /** An exchange was answered. Of one partition's none was asked for where another one's may be found. */
  found({ demand, total, worker }: JobStore.ExchangeRequest, { claimed, more }: JobStore.ExchangeReply): void {
    for (const { queue, slots } of demand) {
      const isFull = claimed.length >= total ||
        slots > 0 && claimed.length >= slots && claimedOf(claimed, queue) >= slots
      if (isFull || more.includes(queue)) this.forget(queue, worker)
      else this.add(queue, worker)
    }
  }

  /** These are about to be sent: in the next turn of the event loop they have been. */
  stores(records: ReadonlyArray<JobStore.NewRecord>): void {
    if (this.idle.size === 0) return
    for (const { queue } of records) {
      const [first] = this.idle.get(queue) ?? []
      if (first === undefined) continue
      this.forget(queue, first)
      this.soon(first)
    }
  }

  private add(queue: string, worker: string): void {
    const workers = this.idle.get(queue)
    if (workers === undefined) this.idle.set(queue, new Set([worker]))
    else workers.add(worker)
  }

  private forget(queue: string, worker: string): void {
    const workers = this.idle.get(queue)
    if (workers?.delete(worker) === true && workers.size === 0) this.idle.delete(queue)
  }

  private soon(worker: string): void {
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
    this.woken.add(packWorker(worker))
  }
}

const claimedOf = (claimed: ReadonlyArray<JobStore.Claimed>, queue: string): number => {
  let many = 0
  for (const record of claimed) if (record.queue === queue) many++
  return many
}
