/**
 * Which partition gives a worker the one record that has crashed others which it may hold (P10), and that the other partitions
 * know of it before the worker does: it may be dead the moment after.
 *
 * A partition that is away is not told, and the work of the others goes on. When the worker dies then, that partition charges
 * what it holds there with one crash too many; or, where it was not told of the end, with one too few. The end is told again
 * with each renewal until it is heard: before that the partition gives the worker none of its own.
 */
import type { JobRecord, JobStore } from "capstan"
import * as Effect from "effect/Effect"
import type { Calls } from "../client.ts"
import { packWorker } from "../codec.ts"
import type { Away } from "./away.ts"

interface Suspect {
  readonly id: JobRecord.JobId
  readonly fence: number
  readonly partition: number
}

export class Suspects {
  private readonly held = new Map<string, Suspect>()
  /** The partitions that have not heard of a worker's last one that it has ended. */
  private readonly unheard = new Map<string, Set<number>>()
  private readonly partitions: ReadonlyArray<Calls>
  private readonly away: Away

  constructor(partitions: ReadonlyArray<Calls>, away: Away) {
    this.partitions = partitions
    this.away = away
  }

  /** The partition that may give one out now: none but the one that has given one. */
  mayGive(worker: string, candidates: ReadonlyArray<number>, turn: number): number | undefined {
    return this.held.get(worker)?.partition ?? candidates[turn % candidates.length]
  }

  /** What the worker is about to be told that it holds. */
  readonly claimed = (
    worker: string,
    claimed: ReadonlyArray<JobStore.Claimed>,
    partitionOf: (id: JobRecord.JobId) => number | undefined
  ): Effect.Effect<void> => {
    const suspect = claimed.find(({ crashes }) => crashes > 0)
    if (suspect === undefined) return Effect.void
    const partition = partitionOf(suspect.id) ?? 0
    this.held.set(worker, { id: suspect.id, fence: suspect.fence, partition })
    // What they have not heard the end of is true again.
    this.unheard.delete(worker)
    return this.tell(worker, this.others(partition), true)
  }

  /** It holds those no longer. */
  readonly ended = (
    worker: string,
    attempts: ReadonlyArray<JobStore.AttemptRef>
  ): Effect.Effect<void> => {
    const suspect = this.held.get(worker)
    if (suspect === undefined || !attempts.some(({ fence, id }) => id === suspect.id && fence === suspect.fence)) {
      return Effect.void
    }
    this.held.delete(worker)
    const others = this.others(suspect.partition)
    this.unheard.set(worker, others)
    return this.tell(worker, others, false)
  }

  /** Those that were away may be there again. Without a lease the worker leaves: nobody gives it anything more. */
  readonly renewed = (worker: string, lease: number): Effect.Effect<void> => {
    if (lease === 0) {
      this.held.delete(worker)
      this.unheard.delete(worker)
    }
    const unheard = this.unheard.get(worker)
    return unheard === undefined ? Effect.void : this.tell(worker, unheard, false)
  }

  private others(partition: number): Set<number> {
    const others = new Set(this.partitions.keys())
    others.delete(partition)
    return others
  }

  /** Those that hear it are taken out of `untold`. */
  private tell(worker: string, untold: Set<number>, isHeld: boolean): Effect.Effect<void> {
    const args = [packWorker(worker), isHeld ? "1" : ""]
    return Effect.flatMap(this.away.present(this.partitions.length), (present) =>
      Effect.forEach(
        [...untold].filter((at) => present.has(at)),
        (at) =>
          Effect.ignore(Effect.map(
            this.away.ask(at, "spare", 0, this.partitions[at]!.call("spare", "spare", args)),
            () => untold.delete(at)
          )),
        { concurrency: "unbounded", discard: true }
      ))
  }
}
