/**
 * What rules look at: the figures that the store maintains, the newest dead records, and the schedules. A look costs the
 * same whatever the store holds.
 */
import { type JobError, Jobs, JobSchedules } from "capstan"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

const Queue = Schema.Struct({
  queue: Schema.String,
  ready: Schema.Number,
  /** How many are kept, which their retention lets fall. */
  completed: Schema.Number,
  dead: Schema.Number,
  oldestReadyAge: Schema.optionalKey(Schema.Number),
  paused: Schema.Boolean,
  /** A worker with a lease takes from it. */
  isServed: Schema.Boolean,
  /** What ended while the look has listened for so long, where a rule had doubts. */
  heard: Schema.optionalKey(
    Schema.Struct({ completed: Schema.Number, dead: Schema.Number, forMillis: Schema.Number })
  )
})

/** One of the newest dead records. */
const Dead = Schema.Struct({
  id: Schema.String,
  job: Schema.String,
  queue: Schema.String,
  reason: Schema.String,
  finishedAt: Schema.Number
})

const ScheduleNow = Schema.Struct({
  name: Schema.String,
  /** Milliseconds since its next tick was due; below zero while it is still to come. */
  overdue: Schema.Number,
  /** The state of its last record, where that is not to be as it is. */
  failed: Schema.optionalKey(Schema.String),
  /** It is paused because no process declares it any more, and nobody has said that it is gone for good. */
  isVanished: Schema.optionalKey(Schema.Boolean)
})

export type Queue = typeof Queue.Type

export const Snapshot = Schema.Struct({
  at: Schema.Number,
  queues: Schema.Array(Queue),
  dead: Schema.Array(Dead),
  schedules: Schema.Array(ScheduleNow)
})

export type Snapshot = typeof Snapshot.Type

/** How many of the newest dead are looked at. What died beyond them is still in the figures. */
const newestDead = 200

/** The limits of our own queries are what they may be. */
export const inBounds = <A, E, R>(query: Effect.Effect<A, E | JobError.JobControlError, R>) =>
  Effect.catchTag(query, "JobControlError", (error) => Effect.die(error))

/** How many schedules are looked at, in pages of a hundred by their names. */
const mostSchedules = 10_000

const allOf = (
  { list }: JobSchedules.Shape
): Effect.Effect<ReadonlyArray<JobSchedules.Schedule>, JobError.JobStoreError> =>
  Effect.gen(function*() {
    const all: Array<JobSchedules.Schedule> = []
    for (;;) {
      const page = yield* list({ after: all.at(-1)?.name })
      all.push(...page)
      if (page.length === 0 || all.length >= mostSchedules) return all
    }
  })

/** What the next look is given of this one. Of thousands of schedules those that are well say nothing, and would be kept each time. */
export const memoryOf = (now: Snapshot): Snapshot => ({
  ...now,
  schedules: now.schedules.filter(({ failed, isVanished, overdue }) =>
    overdue > 0 || failed !== undefined || isVanished === true
  )
})

/** What is of one queue is left out. */
export const without = (ignored: string, snapshot: Snapshot): Snapshot => ({
  ...snapshot,
  queues: snapshot.queues.filter(({ queue }) => queue !== ignored),
  dead: snapshot.dead.filter(({ queue }) => queue !== ignored)
})

export const take = Effect.gen(function*() {
  const jobs = yield* Jobs.Jobs
  const schedules = yield* JobSchedules.JobSchedules
  const { now, queues, workers } = yield* jobs.stats
  const { records } = yield* jobs.query({ states: ["dead"], limit: newestDead }).pipe(inBounds)
  const listed = yield* allOf(schedules)
  const served = new Set(workers.flatMap((worker) => worker.leaseLeft > 0 ? worker.queues : []))
  return {
    at: now,
    queues: queues.map(({ counts, oldestReadyAge, paused, queue }) => ({
      queue,
      ready: counts.ready,
      completed: counts.completed,
      dead: counts.dead,
      ...(oldestReadyAge === undefined ? {} : { oldestReadyAge }),
      paused,
      isServed: served.has(queue)
    })),
    dead: records.map(({ deadReason, failures, finishedAt = 0, id, queue, tag }) => ({
      id,
      job: tag,
      queue,
      reason: [deadReason ?? "dead", failures.at(-1)?.tag].filter((part) => part !== undefined).join(", "),
      finishedAt
    })),
    schedules: listed.flatMap((schedule): Snapshot["schedules"] => {
      const next = Option.getOrUndefined(schedule.next)
      const run = Option.flatMap(schedule.last, (last) => last.run)
      const state = Option.isSome(run) && (run.value.state === "dead" || run.value.state === "cancelled")
        ? run.value.state
        : undefined
      // By whoever watches, its end would else be told as all being well.
      if (Option.isSome(schedule.paused) && schedule.paused.value.reason === "Vanished") {
        return [{ name: schedule.name, overdue: 0, isVanished: true }]
      }
      if (schedule.status !== "active" || next === undefined) return []
      return [{
        name: schedule.name,
        overdue: now - next.dueAt,
        ...(state === undefined ? {} : { failed: state })
      }]
    })
  } satisfies Snapshot
})
