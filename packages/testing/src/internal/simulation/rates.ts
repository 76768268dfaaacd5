/**
 * Rates, by the store's clock: no window has more starts than one allows, of a key that jobs share, and of a queue.
 */
import { Job, type JobRecord, type JobStore } from "capstan"
import type { Choices } from "./choices.ts"
import { isStart } from "./events.ts"
import type { Feature } from "./features.ts"
import { common } from "./jobs.ts"
import type { World } from "./world.ts"

/** Of keys of the limit `shared`, and of the queue `rated`. */
export const rate: JobStore.Rate = { limit: 2, perMillis: 1000, burst: 2 }

const most = rate.limit + rate.burst - 1

/** The starts that a window has seen. */
export class Starts {
  private readonly world: World
  private starts: ReadonlyArray<number> = []

  constructor(world: World) {
    this.world = world
  }

  /** Answers whether the window is full. */
  started(is: JobRecord.JobRecord, of: string, step: string): boolean {
    const at = is.claimedAt!
    this.starts = [...this.starts.filter((start) => start > at - rate.perMillis), at]
    const { length } = this.starts
    if (length > most) this.world.violate(`${step}: ${length} starts of ${of} within a second, ${most} may be`)
    return length >= most
  }
}

export class Rated extends Job.make("Rated", { ...common, queue: "rated" }) {}

export class QueueRate implements Feature {
  private readonly world: World
  private readonly starts: Starts

  constructor(world: World) {
    this.world = world
    this.starts = new Starts(world)
  }

  act(choices: Choices) {
    if (!choices.chance(0.02)) return undefined
    const payloads = Array.from({ length: 5 }, () => ({ millis: choices.between(1, 200), failures: 0 }))
    return this.world.acknowledge(Rated.enqueueMany(payloads))
  }

  see(was: JobRecord.JobRecord | undefined, is: JobRecord.JobRecord, step: string): void {
    if (is.tag !== Rated._tag || !isStart(was, is)) return
    if (this.starts.started(is, `the queue ${is.queue}`, step)) this.world.met("rate of a queue is used up")
  }
}
