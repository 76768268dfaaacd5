/**
 * Features of the product that some of the runs use, each in a file of its own: what clients do with it, and what must hold of
 * its records, told from these alone.
 */
import type { JobRecord, JobStore } from "capstan"
import type { Effect } from "effect"
import { Approvals } from "./approvals.ts"
import { CircuitBreaker } from "./breaker.ts"
import type { Choices } from "./choices.ts"
import { Coalesced } from "./coalesced.ts"
import { Overlap } from "./overlap.ts"
import { QueueRate } from "./rates.ts"
import { Topics } from "./topics.ts"
import { Turns } from "./turns.ts"
import type { World } from "./world.ts"

export interface Feature {
  /** What a client does with it at some instant, if anything. */
  act(choices: Choices): Effect.Effect<unknown, unknown, JobStore.JobStore> | undefined
  /** A record as it stood before a step of the store, and after it. */
  see?(was: JobRecord.JobRecord | undefined, is: JobRecord.JobRecord, step: string): void
  /** All records after a step, when each has been seen; they stand as they did when they were asked for, or later. */
  look?(records: ReadonlyMap<string, JobRecord.JobRecord>, step: string, askedAt: number): void
  /** All records when nothing happens any more. */
  rest?(records: ReadonlyMap<string, JobRecord.JobRecord>): void
}

/** Each is in every third run: what one has no need of makes room for more of another. */
const used = 1 / 3

export class Features {
  readonly overlap: Overlap
  readonly approvals: Approvals
  private readonly all: ReadonlyArray<Feature>

  constructor(world: World) {
    this.overlap = new Overlap(world)
    this.approvals = new Approvals(world)
    const all = [
      new QueueRate(world),
      this.overlap,
      new Topics(world),
      new Turns(world),
      new CircuitBreaker(world),
      new Coalesced(world),
      this.approvals
    ]
    this.all = all.filter(() => world.choices.chance(used))
  }

  get hasOverlap(): boolean {
    return this.all.includes(this.overlap)
  }

  /** By the names of their features. */
  act(choices: Choices): ReadonlyArray<readonly [string, Effect.Effect<unknown, unknown, JobStore.JobStore>]> {
    return this.all.flatMap((feature) => {
      const act = feature.act(choices)
      return act === undefined ? [] : [[feature.constructor.name, act] as const]
    })
  }

  see(was: JobRecord.JobRecord | undefined, is: JobRecord.JobRecord, step: string): void {
    for (const feature of this.all) feature.see?.(was, is, step)
  }

  look(records: ReadonlyMap<string, JobRecord.JobRecord>, step: string, askedAt: number): void {
    for (const feature of this.all) feature.look?.(records, step, askedAt)
  }

  rest(records: ReadonlyMap<string, JobRecord.JobRecord>): void {
    for (const feature of this.all) feature.rest?.(records)
  }
}
