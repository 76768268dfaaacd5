/**
 * A batch that belongs to several partitions. Records that have nothing to do with each other go to theirs at once, all or
 * none for each partition. Those of a flow, of an attempt, or that may be refused together are written in one partition,
 * which forwards the others: all or none, and visible when they have arrived.
 */
import { JobError, type JobRecord, type JobStore } from "capstan"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Choose, Counts } from "./choose.ts"
import type { Forwarder } from "./forward.ts"
import { groupBy, type Places } from "./places.ts"
import { routed, withDependencies } from "./route.ts"

type Answers = Effect.Effect<ReadonlyArray<JobStore.Enqueued>, JobError.JobStoreError>

const failed = (reason: JobError.JobStoreError["reason"]) => Effect.fail(new JobError.JobStoreError({ reason }))

const belongsTogether = ({ dependencies, flowId, unique }: JobStore.NewRecord): boolean =>
  flowId !== undefined || dependencies !== undefined && dependencies.length > 0 ||
  unique !== undefined && unique.onConflict !== "keep"

export class Enqueuer {
  private readonly counts: Counts
  private readonly choose: Choose
  private readonly places: Places
  private readonly forwarder: Forwarder
  private readonly store: (partition: number, request: JobStore.EnqueueRequest) => Answers

  constructor(
    counts: Counts,
    choose: Choose,
    places: Places,
    forwarder: Forwarder,
    store: (partition: number, request: JobStore.EnqueueRequest) => Answers
  ) {
    this.counts = counts
    this.choose = choose
    this.places = places
    this.forwarder = forwarder
    this.store = store
  }

  /** The partitions of records, in their order. */
  place(records: ReadonlyArray<JobStore.NewRecord>): ReadonlyArray<number> | JobError.CrossPartition {
    const places: Array<number> = []
    for (const record of this.atHome(records)) {
      const place = this.choose(record)
      if (typeof place !== "number") return place
      places.push(place)
    }
    return places
  }

  /** A flow lies where all of its queues are. */
  private atHome(records: ReadonlyArray<JobStore.NewRecord>): ReadonlyArray<JobStore.NewRecord> {
    if (records.length < 2 || !records.some(({ flowId }) => flowId !== undefined)) return records
    const narrowest = new Map<string, string>()
    const count = (queue: string) => this.counts.get(queue) ?? 1
    for (const { flowId, queue } of records) {
      if (flowId === undefined) continue
      const found = narrowest.get(flowId)
      if (found === undefined || count(queue) < count(found)) narrowest.set(flowId, queue)
    }
    const isFree = ({ concurrency, flowId, idempotencyKey, partitionKey, unique }: JobStore.NewRecord) =>
      flowId !== undefined && (partitionKey ?? concurrency ?? unique ?? idempotencyKey) === undefined
    return records.map((record) => isFree(record) ? { ...record, queue: narrowest.get(record.flowId!)! } : record)
  }

  /**
   * The partition of what a schedule enqueues. Without keys that of the schedule, so that a tick is one write; where it looks
   * at the one before, it must be.
   */
  placeOfTick(
    record: JobStore.NewRecord,
    { name, overlap }: Pick<JobStore.TickRequest, "name" | "overlap">
  ): number | JobError.CrossPartition {
    const { concurrency, idempotencyKey, partitionKey, queue, tag, unique } = record
    if ((partitionKey ?? concurrency ?? unique ?? idempotencyKey) === undefined) return 0
    const place = this.choose(record)
    if (typeof place !== "number" || place === 0 || overlap === "allow") return place
    const issue =
      `schedule ${name} looks at the run before (overlap ${overlap}), and the keys of the job choose another ` +
      "partition than the schedule's: allow overlaps, or leave the queue in one partition"
    return new JobError.CrossPartition({ job: tag, queue, issue })
  }

  readonly enqueue = ({ by, records }: JobStore.EnqueueRequest): Answers =>
    Effect.gen({ self: this }, function*() {
      const places = this.place(records)
      if (!Array.isArray(places)) return yield* failed(places as JobError.CrossPartition)
      const [first] = places
      if (by === undefined && places.every((place) => place === first) && !records.some(hasDependencies)) {
        return yield* this.stored(first ?? 0, { records })
      }
      if (by === undefined && !records.some(belongsTogether)) return yield* this.apart(records, places)
      return yield* this.together(records, places, by)
    })

  private stored(partition: number, request: JobStore.EnqueueRequest): Answers {
    return Effect.tap(this.store(partition, request), (answers) =>
      Effect.sync(() => {
        for (const { id, outcome } of answers) if (outcome !== "Deferred") this.places.note(id, partition)
      }))
  }

  /** A record as the partition that it is written in is told of it. */
  route(record: JobStore.NewRecord, its: number, at: number): JobStore.NewRecord {
    return routed(withDependencies(record, its, (id) => this.places.of(id)), its, at)
  }

  private apart(records: ReadonlyArray<JobStore.NewRecord>, places: ReadonlyArray<number>): Answers {
    return Effect.gen({ self: this }, function*() {
      const groups = [...groupBy(records, (_, i) => places[i]!)]
      const exits = yield* Effect.forEach(
        groups,
        ([place, records]) => Effect.exit(this.stored(place, { records })),
        { concurrency: "unbounded" }
      )
      const answers = new Map<JobRecord.JobId, JobStore.Enqueued>()
      exits.forEach((exit, i) => {
        if (Exit.isSuccess(exit)) groups[i]![1].forEach(({ id }, n) => answers.set(id, exit.value[n]!))
      })
      const failure = exits.find(Exit.isFailure)
      if (failure === undefined) return records.map(({ id }) => answers.get(id)!)
      if (answers.size === 0) return yield* failure
      const detail =
        `${answers.size} of ${records.length} records are stored, the partitions of the others did not take them`
      return yield* failed(new JobError.OutcomeUnknown({ operation: "enqueue", detail }))
    })
  }

  private together(
    records: ReadonlyArray<JobStore.NewRecord>,
    places: ReadonlyArray<number>,
    by: JobStore.AttemptRef | undefined
  ): Answers {
    return Effect.gen({ self: this }, function*() {
      const conflict = yield* this.findDependencies(records, places)
      if (conflict !== undefined) return yield* failed(conflict)
      if (by !== undefined) yield* this.places.find([by.id])
      // Who may refuse the batch decides.
      const decides = Math.max(
        0,
        records.findIndex(({ unique }) => unique !== undefined && unique.onConflict !== "keep")
      )
      const at = by === undefined ? places[decides]! : this.places.of(by.id) ?? 0
      const answers = yield* this.stored(at, {
        records: records.map((record, i) => this.route(record, places[i]!, at)),
        by
      })
      if (!answers.some(({ outcome }) => outcome === "Deferred")) return answers
      const outcomes = yield* this.forwarder.from(at)
      return answers.map((answer, i) => {
        const outcome = answer.outcome === "Deferred" ? outcomes.get(answer.id) ?? answer : answer
        if (outcome.outcome !== "Deferred") this.places.note(outcome.id, answer === outcome ? at : places[i]!)
        return outcome
      })
    })
  }

  /** What is waited for must be where it can be asked for. */
  private findDependencies(
    records: ReadonlyArray<JobStore.NewRecord>,
    places: ReadonlyArray<number>
  ): Effect.Effect<JobError.JobStoreError["reason"] | undefined, JobError.JobStoreError> {
    return Effect.gen({ self: this }, function*() {
      const own = new Map(records.map(({ id }, i) => [id, places[i]!]))
      const others: Array<JobRecord.JobId> = []
      for (let i = 0; i < records.length; i++) {
        const record = records[i]!
        for (const { id, name } of record.dependencies ?? []) {
          const place = own.get(id)
          if (place === undefined) others.push(id)
          else if (place !== places[i]) {
            const issue = `it depends on ${name}, which lies in another partition: give both the same partition`
            return new JobError.CrossPartition({ job: record.tag, queue: record.queue, issue })
          }
        }
      }
      const onTheirWay = yield* this.places.find(others)
      if (onTheirWay.size === 0) return undefined
      yield* Effect.forEach(new Set(onTheirWay.values()), this.forwarder.from, { discard: true })
      const still = yield* this.places.find([...onTheirWay.keys()])
      if (still.size === 0) return undefined
      const detail = `${[...still.keys()].join(", ")} is waited for, and still on its way to its partition`
      return new JobError.Unavailable({ operation: "enqueue", detail })
    })
  }
}

const hasDependencies = ({ dependencies }: JobStore.NewRecord): boolean =>
  dependencies !== undefined && dependencies.length > 0
