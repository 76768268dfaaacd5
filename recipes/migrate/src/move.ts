/**
 * Moves waiting jobs of another queue into the store, as often as it takes.
 *
 * Guarantee: a job is removed there only when the store has acknowledged its record, or was seen to have it from an earlier run.
 * Each record is known by its source, its id there and its edition, so a run that is repeated after a crash, at whatever point,
 * stores nothing twice and loses nothing. What does not move is reported, once in each run, and stays where it is.
 */
import { JobStore } from "capstan"
import { Duration, Effect, Result } from "effect"
import type { Route } from "./route.ts"
import type { NotPaused, PageError, Reject, Source, SourceError, SourceJob } from "./source.ts"

export interface Options {
  readonly source: Source
  readonly routes: ReadonlyArray<Route>
  /**
   * - `"dry"`: reads, decodes and reports
   * - `"copy"`: enqueues as well, and leaves all where it is: both sides will run it
   * - `"move"`: removes what is enqueued
   */
  readonly mode: "dry" | "copy" | "move"
  /** Where rejects go, a page at a time. */
  readonly report: (rejects: ReadonlyArray<Reject>) => Effect.Effect<void, PageError>
  /**
   * Records are kept at least this long after their end, whatever their jobs say: so long a repeated run knows what has moved.
   *
   * @default 1 day
   */
  readonly keepFor?: Duration.Input | undefined
}

export interface Counts {
  /** Jobs that waited there. */
  readonly read: number
  /** Records that are new; in a dry run those that would be. */
  readonly stored: number
  /** Jobs that an earlier run had stored. */
  readonly before: number
  readonly removed: number
  /** Jobs that stay, by reason, with what does not wait. */
  readonly rejected: Readonly<Record<string, number>>
}

/** One run. It may be interrupted and repeated at any time. */
export const move = Effect.fn("migrate.move")(
  function*(options: Options): Effect.fn.Return<Counts, PageError | SourceError | NotPaused, JobStore.JobStore> {
    const { mode, report, source } = options
    const store = yield* JobStore.JobStore
    const prepare = preparing(options)
    const counts = { read: 0, stored: 0, before: 0, removed: 0, rejected: {} as Record<string, number> }

    // A job that stays may change its place while the pages are read, or begin to run before what runs is looked at.
    const told = new Set<string>()
    const isNew = ({ id, reason }: Reject) => {
      const one = `${reason === "Schedule" ? "schedule" : "job"} ${id}`
      return !told.has(one) && told.add(one)
    }
    const reject = (all: ReadonlyArray<Reject>) => {
      const rejects = all.filter(isNew)
      for (const { reason } of rejects) counts.rejected[reason] = (counts.rejected[reason] ?? 0) + 1
      return rejects.length === 0 ? Effect.void : report(rejects)
    }

    const page = Effect.fnUntraced(function*(jobs: ReadonlyArray<SourceJob>) {
      counts.read += jobs.length
      const prepared = yield* Effect.forEach(
        jobs,
        (job) => Effect.provideService(prepare(job), JobStore.JobStore, store)
      )
      const ready = prepared.flatMap((one) => Result.isSuccess(one) ? [one.success] : [])
      const ends = mode === "dry" ? [] : yield* enqueue(store, ready)
      const stored = ends.filter(({ end }) => end === "Stored").length
      counts.stored += mode === "dry" ? ready.length : stored
      counts.before += ends.filter(({ end }) => end === "Before").length
      yield* reject([
        ...prepared.flatMap((one) => Result.isFailure(one) ? [one.failure] : []),
        ...ends.flatMap(({ end, job }) =>
          end === "Stored" || end === "Before" ?
            [] :
            [{ source: source.name, id: job.id, name: job.name, reason: "Held" as const, detail: end.detail }]
        )
      ])
      if (mode !== "move") return []
      const done = ends.flatMap(({ end, job }) => end === "Stored" || end === "Before" ? [job.id] : [])
      counts.removed += done.length
      return done
    })

    yield* source.pages(mode === "move", page)
    yield* reject((yield* source.others).map((other) => ({ source: source.name, ...other })))
    return counts
  }
)

interface Prepared {
  readonly job: SourceJob
  readonly record: JobStore.NewRecord
}

/** The record of a job, or why there is none. */
const preparing = ({ keepFor = "1 day", routes, source }: Options) => {
  const byName = new Map(routes.map((route) => [route.from, route]))
  const age = Duration.toMillis(Duration.fromInputUnsafe(keepFor))
  const atLeast = (keep: JobStore.NewRecord["retention"]["completed"]) => ({
    age: Math.max(age, keep.age),
    count: Infinity
  })
  return Effect.fnUntraced(function*(job: SourceJob) {
    const { id, name, obstacle } = job
    const refuse = (why: Pick<Reject, "reason" | "detail">): Result.Result<Prepared, Reject> =>
      Result.fail({ source: source.name, id, name, ...why })
    if (obstacle !== undefined) return refuse(obstacle)
    const route = byName.get(name)
    if (route === undefined) return refuse({ reason: "UnknownName", detail: `no route for ${name}` })
    const from = `${source.name}/${id}`
    const key = `${from}@${job.edition}`
    const headers = { "moved-from": from, "moved-attempts": String(job.attempts) }
    const made = yield* Effect.result(route.toRecord(job, headers, key))
    if (Result.isFailure(made)) {
      return "_tag" in made.failure ? yield* Effect.fail(made.failure) : refuse(made.failure)
    }
    const { retention: { cancelled, completed, dead }, ...record } = made.success
    const retention = { completed: atLeast(completed), cancelled: atLeast(cancelled), dead: atLeast(dead) }
    return Result.succeed({ job, record: { ...record, retention } })
  })
}

type End = "Stored" | "Before" | { readonly detail: string }

/** Stores a page whole, in its order, and says of each job what it found. */
const enqueue = Effect.fnUntraced(function*(store: JobStore.Shape, ready: ReadonlyArray<Prepared>) {
  if (ready.length === 0) return []
  const answers = yield* store.enqueue({ records: ready.map(({ record }) => record) })
  return yield* Effect.forEach(
    ready,
    ({ job, record }, i) => Effect.map(endOf(store, record, answers[i]!), (end) => ({ job, end })),
    { concurrency: 16 }
  )
})

/**
 * A record that was there may be that of an earlier run, or one that has the unique key of this one. It is looked at, for only
 * the former means that the job has moved.
 */
const endOf = Effect.fnUntraced(
  function*(store: JobStore.Shape, record: JobStore.NewRecord, { id, outcome }: JobStore.Enqueued) {
    if (outcome !== "Existing") return "Stored" as End
    const there = yield* store.get(id)
    return there?.idempotencyKey === record.idempotencyKey
      ? "Before" as End
      : { detail: `the record ${id} has its unique key ${record.unique?.key ?? ""}` } as End
  }
)
