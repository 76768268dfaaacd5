/**
 * A batch that belongs to several partitions. Records that have nothing to do with each other go to theirs at once, all or
 * none for each partition. Those of a flow, of an event, of an attempt, or that may be refused together are written in one
 * partition, which forwards the others: all or none, and visible when they have arrived.
 */
import { JobError, type JobRecord, type JobStore } from "capstan"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { isEvent } from "../codec.ts"
import type { Choose, Counts } from "./choose.ts"
import type { Forwarder } from "./forward.ts"
import { Homes } from "./homes.ts"
import { groupBy, type Places } from "./places.ts"
import { crosses, crossing, everywhere, routed, type RoutedEnqueue, withDependencies } from "./route.ts"

type Answers = Effect.Effect<ReadonlyArray<JobStore.Enqueued>, JobError.JobStoreError>

const failed = (reason: JobError.JobStoreError["reason"]) => Effect.fail(new JobError.JobStoreError({ reason }))

const belongsTogether = (
  { dependencies, flowId, tag, unique }: JobStore.NewRecord,
  _: number,
  [first]: ReadonlyArray<JobStore.NewRecord>
): boolean =>
  flowId !== undefined || dependencies !== undefined && dependencies.length > 0 ||
  unique !== undefined && unique.onConflict !== "keep" ||
  // Of one call for several jobs, such as an event for all that subscribe, either all are stored or none.
  tag !== first!.tag

export class Enqueuer {
  private readonly homes: Homes
  private readonly choose: Choose
  private readonly places: Places
  private readonly forwarder: Forwarder
  private readonly store: (partition: number, request: JobStore.EnqueueRequest) => Answers
  private readonly many: number

  constructor(
    many: number,
    counts: Counts,
    choose: Choose,
    places: Places,
    forwarder: Forwarder,
    store: (partition: number, request: JobStore.EnqueueRequest) => Answers
  ) {
    this.many = many
    this.homes = new Homes(counts, choose, places)
    this.choose = choose
    this.places = places
    this.forwarder = forwarder
    this.store = store
  }

  /** The partitions of records, in their order. */
  place(
    records: ReadonlyArray<JobStore.NewRecord>,
    whole?: JobRecord.JobId
  ): ReadonlyArray<number> | JobError.CrossPartition {
    return this.homes.of(records, whole)
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

  readonly enqueue = (request: JobStore.EnqueueRequest): Answers =>
    Effect.gen({ self: this }, function*() {
      const { by, records, whole } = request
      if (records.some(({ dependents }) => dependents !== undefined)) {
        const unseen = yield* this.arrived(records.flatMap(({ dependents = [] }) => dependents.map(({ id }) => id)))
        if (unseen !== undefined) return yield* failed(unseen)
      }
      const places = this.place(records, whole)
      if (!Array.isArray(places)) return yield* failed(places as JobError.CrossPartition)
      const [first] = places
      if (isEvent(request)) return yield* this.together(request, places)
      if (by === undefined && places.every((place) => place === first) && !records.some(hasDependencies)) {
        return yield* this.stored(first ?? 0, request)
      }
      if (by === undefined && !records.some(belongsTogether)) return yield* this.apart(records, places)
      return yield* this.together(request, places)
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
      const groups = [...groupBy([...records.entries()], ([i]) => places[i]!)]
      const exits = yield* Effect.forEach(
        groups,
        ([place, entries]) => Effect.exit(this.stored(place, { records: entries.map(([, record]) => record) })),
        { concurrency: "unbounded" }
      )
      // By position: a batch may have a record twice.
      const answers = new Map<number, JobStore.Enqueued>()
      exits.forEach((exit, g) => {
        if (Exit.isSuccess(exit)) groups[g]![1].forEach(([i], n) => answers.set(i, exit.value[n]!))
      })
      const failure = exits.find(Exit.isFailure)
      if (failure === undefined) return records.map((_, i) => answers.get(i)!)
      if (answers.size === 0) return yield* failure
      const detail =
        `${answers.size} of ${records.length} records are stored, the partitions of the others did not take them`
      return yield* failed(new JobError.OutcomeUnknown({ operation: "enqueue", detail }))
    })
  }

  private together(request: JobStore.EnqueueRequest, places: ReadonlyArray<number>): Answers {
    const { by, records } = request
    return Effect.gen({ self: this }, function*() {
      const conflict = yield* this.findDependencies(records, places)
      if (conflict !== undefined) return yield* failed(conflict)
      if (by !== undefined) yield* this.places.find([by.id])
      // Who may refuse the batch decides.
      const decides = Math.max(
        0,
        records.findIndex(({ flowId, unique }) =>
          unique !== undefined && (unique.onConflict !== "keep" || flowId !== undefined)
        )
      )
      const at = by === undefined ? places[decides] ?? 0 : this.places.of(by.id) ?? 0
      const isAway = records.findIndex(({ dependents }, i) => dependents !== undefined && places[i] !== at)
      if (isAway >= 0) return yield* failed(crossing(records[isAway]!, issues.addedFrom))
      const routes = records.map((record, i) => this.route(record, places[i]!, at))
      const routed: RoutedEnqueue = { ...request, records: routes, [everywhere]: this.many }
      const answers = yield* this.stored(at, routed)
      if (!isEvent(request) && !answers.some(({ outcome }) => outcome === "Deferred") && !routes.some(crosses)) {
        return answers
      }
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
          else if (place !== places[i]) return crossing(record, issues.dependsOn(name))
        }
      }
      const unseen = yield* this.arrived(others)
      if (unseen !== undefined) return unseen
      const cancels = records.findIndex(({ dependencies = [] }, i) =>
        dependencies.some(({ onFailure }) => onFailure === "cancelSiblings") &&
        dependencies.some(({ id }) => (own.get(id) ?? this.places.of(id) ?? places[i]) !== places[i])
      )
      return cancels < 0 ? undefined : crossing(records[cancels]!, issues.cancelsSiblings)
    })
  }

  /** Looks for records, and lets those arrive that are on their way. */
  private arrived(
    ids: ReadonlyArray<JobRecord.JobId>
  ): Effect.Effect<JobError.Unavailable | undefined, JobError.JobStoreError> {
    return Effect.gen({ self: this }, function*() {
      const onTheirWay = yield* this.places.find(ids)
      if (onTheirWay.size === 0) return undefined
      yield* Effect.forEach(new Set(onTheirWay.values()), this.forwarder.from, { discard: true })
      const still = yield* this.places.find([...onTheirWay.keys()])
      if (still.size === 0) return undefined
      const detail = `${[...still.keys()].join(", ")} is waited for, and still on its way to its partition`
      return new JobError.Unavailable({ operation: "enqueue", detail })
    })
  }
}

const issues = {
  addedFrom: "it is added to a flow by a record in another partition: add from a record of the flow, and give all of " +
    "its jobs the same partition",
  dependsOn: (name: string) => `it depends on ${name}, which lies in another partition: give both the same partition`,
  cancelsSiblings:
    "one of its dependencies lies in another partition, where a failure cannot cancel siblings: enqueue " +
    "them together, or give all the same partition"
}

const hasDependencies = ({ dependencies }: JobStore.NewRecord): boolean =>
  dependencies !== undefined && dependencies.length > 0
