/**
 * Where records lie, of those that this process has lately had to do with. What it does not know it asks every partition for,
 * once: a record never moves.
 */
import type { JobError, JobRecord } from "capstan"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Calls } from "../client.ts"
import { packId } from "../codec.ts"

/** How many are remembered: more than a process holds, awaits and looks at within a moment. */
const kept = 65_536

export class Places {
  private readonly known = new Map<string, number>()
  private readonly partitions: ReadonlyArray<Calls>

  constructor(partitions: ReadonlyArray<Calls>) {
    this.partitions = partitions
  }

  of(id: JobRecord.JobId): number | undefined {
    return this.known.get(id)
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

  /**
   * Looks for those whose place is not known. Answers which are on their way, and from where; what no partition knows has no
   * place.
   */
  find(
    ids: ReadonlyArray<JobRecord.JobId>
  ): Effect.Effect<ReadonlyMap<JobRecord.JobId, number>, JobError.JobStoreError> {
    const unknown = ids.filter((id) => !this.known.has(id))
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
        for (const id of onTheirWay.keys()) if (this.known.has(id)) onTheirWay.delete(id)
        // Who is away only matters for what the others do not have.
        return failure !== undefined && unknown.some((id) => !this.known.has(id) && !onTheirWay.has(id))
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
