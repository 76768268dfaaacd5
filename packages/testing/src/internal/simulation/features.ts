/**
 * Features of the product that some of the runs use, each in a file of its own: what clients do with it, and what must hold of
 * its records, told from these alone.
 */
import type { JobRecord, JobStore } from "capstan"
import type { Effect } from "effect"
import { QueueRate } from "./rates.ts"
import type { Choices, World } from "./world.ts"

export interface Feature {
  /** What a client does with it at some instant, if anything. */
  act(choices: Choices): Effect.Effect<unknown, unknown, JobStore.JobStore> | undefined
  /** A record as it stood before a step of the store, and after it. */
  see?(was: JobRecord.JobRecord | undefined, is: JobRecord.JobRecord, step: string): void
  /** All records after a step, when each has been seen. */
  look?(records: ReadonlyMap<string, JobRecord.JobRecord>, step: string): void
  /** All records when nothing happens any more. */
  rest?(records: ReadonlyMap<string, JobRecord.JobRecord>): void
}

/** Each is in every other run: what one has no need of makes room for more of another. */
const used = 0.5

export class Features {
  private readonly all: ReadonlyArray<Feature>

  constructor(world: World) {
    this.all = [new QueueRate(world)].filter(() => world.choices.chance(used))
  }

  act(choices: Choices): ReadonlyArray<Effect.Effect<unknown, unknown, JobStore.JobStore>> {
    return this.all.flatMap((feature) => feature.act(choices) ?? [])
  }

  see(was: JobRecord.JobRecord | undefined, is: JobRecord.JobRecord, step: string): void {
    for (const feature of this.all) feature.see?.(was, is, step)
  }

  look(records: ReadonlyMap<string, JobRecord.JobRecord>, step: string): void {
    for (const feature of this.all) feature.look?.(records, step)
  }

  rest(records: ReadonlyMap<string, JobRecord.JobRecord>): void {
    for (const feature of this.all) feature.rest?.(records)
  }
}
