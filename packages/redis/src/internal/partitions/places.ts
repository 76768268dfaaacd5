/**
 * Where records lie, of those that this process has lately had to do with. What it does not know it asks every partition for,
 * once: a record never moves. Of what a worker holds nothing is forgotten: it could not be asked for while a partition is away.
 */
import type { JobError, JobRecord, JobStore } from "capstan"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Calls } from "../client.ts"
import { packId } from "../codec.ts"

/** How many are remembered: more than a process holds, awaits and looks at within a moment. */
const kept = 65_536

/** Of one worker. */
interface Held {
  /** What it held at its last renewal, or had claimed since the one before: that may have been on its way to it still. */
  readonly renewed: Map<string, number>
  /** What it has claimed since. */
  readonly claimed: Map<string, number>
}

export class Places {
  private readonly known = new Map<string, number>()
  private readonly held = new Map<string, Held>()
  private readonly partitions: ReadonlyArray<Calls>

  constructor(partitions: ReadonlyArray<Calls>) {
    this.partitions = partitions
  }

  of(id: JobRecord.JobId): number | undefined {
    const at = this.known.get(id)
    if (at !== undefined) return at
    for (const { claimed, renewed } of this.held.values()) {
      const at = claimed.get(id) ?? renewed.get(id)
      if (at !== undefined) return at
    }
    return undefined
  }

  note(id: JobRecord.JobId, partition: number): void {
    if (this.known.size >= kept && !this.known.has(id)) {
      for (const oldest of this.known.keys()) {
        this.known.delete(oldest)
        break
      }
    }
    this.known.set(id, partition)
  }

  claimed(worker: string, id: JobRecord.JobId, partition: number): void {
    this.note(id, partition)
    const held = this.held.get(worker) ?? { renewed: new Map(), claimed: new Map() }
    this.held.set(worker, held)
    held.claimed.set(id, partition)
  }

  settled(worker: string, id: JobRecord.JobId): void {
    const held = this.held.get(worker)
    held?.claimed.delete(id)
    held?.renewed.delete(id)
  }

  /** A worker says what it holds; without a lease that is nothing, and it leaves. */
  renews(worker: string, lease: number, holding: ReadonlyArray<JobStore.AttemptRef>): void {
    const renewed = new Map(this.held.get(worker)?.claimed)
    for (const { id } of holding) {
      const at = this.of(id)
      if (at !== undefined) renewed.set(id, at)
    }
    if (lease === 0) this.held.delete(worker)
    else this.held.set(worker, { renewed, claimed: new Map() })
  }

  /**
   * Looks for those whose place is not known. Answers which are on their way, and from where; what no partition knows has no
   * place.
   */
  find(
    ids: ReadonlyArray<JobRecord.JobId>
  ): Effect.Effect<ReadonlyMap<JobRecord.JobId, number>, JobError.JobStoreError> {
    const unknown = ids.filter((id) => this.of(id) === undefined)
    if (unknown.length === 0) return Effect.succeed(none)
    const packed = unknown.map(packId)
    return Effect.flatMap(
      Effect.forEach(
        this.partitions,
        (partition) => Effect.exit(partition.call<string>("find", "whereabouts", packed)),
        { concurrency: "unbounded" }
      ),
      (replies) => {
        const onTheirWay = new Map<JobRecord.JobId, number>()
        let failure: Cause.Cause<JobError.JobStoreError> | undefined
        replies.forEach((reply, at) => {
          if (Exit.isFailure(reply)) {
            failure = reply.cause
            return
          }
          reply.value.split(",").forEach((answer, i) => {
            if (answer === "here" || answer === "gone") this.note(unknown[i]!, at)
            else if (answer === "sent") onTheirWay.set(unknown[i]!, at)
          })
        })
        for (const id of onTheirWay.keys()) if (this.of(id) !== undefined) onTheirWay.delete(id)
        // Who is away only matters for what the others do not have.
        return failure !== undefined && unknown.some((id) => this.of(id) === undefined && !onTheirWay.has(id))
          ? Effect.failCause(failure)
          : Effect.succeed(onTheirWay)
      }
    )
  }

  /** Items by partition; those without a place are in `nowhere`. */
  group<A>(items: ReadonlyArray<A>, idOf: (item: A) => JobRecord.JobId): ReadonlyMap<number, ReadonlyArray<A>> {
    return groupBy(items, (item) => this.of(idOf(item)) ?? nowhere)
  }
}

export const nowhere = -1

const none: ReadonlyMap<JobRecord.JobId, number> = new Map()

export const groupBy = <A>(
  items: ReadonlyArray<A>,
  partitionOf: (item: A, i: number) => number
): ReadonlyMap<number, ReadonlyArray<A>> => {
  const groups = new Map<number, Array<A>>()
  items.forEach((item, i) => {
    const partition = partitionOf(item, i)
    const group = groups.get(partition)
    if (group === undefined) groups.set(partition, [item])
    else group.push(item)
  })
  return groups
}
