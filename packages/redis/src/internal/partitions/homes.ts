/**
 * Which partition each record of a batch lies in: a flow lies in one. Its members without keys go where those with keys must
 * be, and what is added to it goes where the records are that are to wait for it.
 */
import type { JobError, JobRecord, JobStore } from "capstan"
import type { Choose, Counts } from "./choose.ts"
import type { Places } from "./places.ts"
import { crossing } from "./route.ts"

type Record = JobStore.NewRecord
type Found = number | JobError.CrossPartition

/** A key must be found again by whoever else has it. An idempotency key needs to be found by the same flow alone. */
const isKeyed = ({ concurrency, partitionKey, unique }: Record): boolean =>
  (partitionKey ?? concurrency ?? unique) !== undefined

export class Homes {
  private readonly counts: Counts
  private readonly choose: Choose
  private readonly places: Places

  constructor(counts: Counts, choose: Choose, places: Places) {
    this.counts = counts
    this.choose = choose
    this.places = places
  }

  /** With `whole` the batch is one thing, and lies in one partition or is refused. */
  of(
    records: ReadonlyArray<Record>,
    whole: JobRecord.JobId | undefined
  ): ReadonlyArray<number> | JobError.CrossPartition {
    const homes = this.flowsOf(records, whole)
    if (!(homes instanceof Map)) return homes
    const found: Array<number> = []
    for (const record of records) {
      const home = record.dependents === undefined ? homes.get(record.flowId) : this.awaitedAt(record)
      const isBound = record.dependents !== undefined || whole !== undefined
      const place = home === undefined || typeof home === "number" && !isBound && isKeptApart(record)
        ? this.choose(record)
        : typeof home === "number"
        ? this.at(record, home)
        : home
      if (typeof place !== "number") return place
      found.push(place)
    }
    return found
  }

  /** The partition of each flow that has several records in the batch. */
  private flowsOf(
    records: ReadonlyArray<Record>,
    whole: JobRecord.JobId | undefined
  ): Map<string | undefined, number> | JobError.CrossPartition {
    const homes = new Map<string | undefined, number>()
    if (records.length < 2 && whole === undefined) return homes
    const flows = new Map<string | undefined, Array<Record>>()
    for (const record of records) {
      if (record.flowId === undefined && whole === undefined) continue
      const members = flows.get(record.flowId)
      if (members === undefined) flows.set(record.flowId, [record])
      else members.push(record)
    }
    for (const [flowId, members] of flows) {
      const home = this.choose(members.find(isKeyed) ?? this.free(members))
      if (typeof home !== "number") return home
      homes.set(flowId, home)
    }
    return homes
  }

  /** What chooses for members without keys: a flow lies where all of its queues are. */
  private free(members: ReadonlyArray<Record>): Record {
    const count = ({ queue }: Record) => this.counts.get(queue) ?? 1
    const narrowest = members.reduce((a, b) => count(b) < count(a) ? b : a)
    const chooser = members.find(({ idempotencyKey }) => idempotencyKey !== undefined) ?? narrowest
    return { ...chooser, queue: narrowest.queue }
  }

  /** Where the records are that are to wait for this one. One that is nowhere has ended: then the store says so. */
  private awaitedAt(record: Record): Found | undefined {
    const theirs = new Set(record.dependents!.flatMap(({ id }) => this.places.of(id) ?? []))
    if (theirs.size > 1) return crossing(record, "the records that are to wait for it lie in different ones")
    return [...theirs][0]
  }

  /** The given partition, when the record may lie there. */
  private at(record: Record, home: number): Found {
    if (home >= (this.counts.get(record.queue) ?? 1)) {
      return crossing(
        record,
        `its flow lies in partition ${home}, which its queue does not have: give both queues as many`
      )
    }
    if (!isKeyed(record)) return home
    const own = this.choose(record)
    return typeof own !== "number" || own === home ? own : crossing(
      record,
      `its keys choose ${own}, and its flow lies in ${home}: give all jobs of the flow the same partition`
    )
  }
}

/** A member of a flow that has to be found by a key of its own. */
const isKeptApart = (record: Record): boolean => isKeyed(record) || record.idempotencyKey !== undefined
