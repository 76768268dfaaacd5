/**
 * Work for hosts that run nothing between requests: a route that a scheduler calls (Vercel Cron, Cloud Scheduler,
 * EventBridge), which works for so many seconds, stops in time, and says what is left.
 *
 * Each call is a worker of its own. Several at once share the work, and no record runs in two of them.
 *
 * @since 0.1.0
 */
import { type Job, JobError, type JobGroup, Jobs, JobSchedules, type JobStore, JobWorker } from "capstan"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import { bytesOf, isSame, sentBy } from "./internal/bearer.ts"

/**
 * How long, and what comes first.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunOptions {
  /**
   * The call answers within this time, from 1 second. Seven tenths of it are for work; then attempts have one tenth to end by
   * themselves and one for their finalizers, and the last is for the figures. Stay below the host's own limit.
   */
  readonly atMost: Duration.Input
  /**
   * Runs before all else, within the time, such as what enqueues what another system has due. Schedules that are data are ticked after
   * it, and before any work. Its failure is logged, and work begins.
   *
   * @default nothing
   */
  readonly before?: Effect.Effect<unknown, unknown> | undefined
  /**
   * How many attempts run at a time.
   *
   * @default 100
   */
  readonly concurrency?: number | undefined
}

/**
 * How the route is called.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends RunOptions {
  /** Sent as `Authorization: Bearer <secret>`, at least 16 characters: a shorter one throws. Compared in constant time. */
  readonly secret: Redacted.Redacted
  /**
   * Where the route is, from the root of the server.
   *
   * @default "/capstan/drain"
   */
  readonly path?: `/${string}` | undefined
}

/**
 * What is left in the queues of the group.
 *
 * @category models
 * @since 0.1.0
 */
export interface Left {
  /** `idle`: nothing was ready any more. `time`: call again. */
  readonly stopped: "idle" | "time"
  /** Records that may be claimed at once. */
  readonly ready: number
  /** In all workers. */
  readonly running: number
  /** Records that wait for their instant. */
  readonly scheduled: number
  /** Records that wait for something other than time. */
  readonly blocked: number
}

/**
 * Works, stops in time, and says what is left.
 *
 * @category running
 * @since 0.1.0
 */
export const run = <J extends Job.Any, M, P>(
  group: JobGroup.JobGroup<J, M, P>,
  options: RunOptions
): Effect.Effect<Left, JobError.JobStoreError, JobStore.JobStore | JobGroup.HandlersOf<J>> => {
  const { tenth, work } = partsOf(options.atMost)
  const isOurs = queuesOf(group)
  return Effect.gen(function*() {
    const jobs = yield* Jobs.Jobs
    const { tickDue } = yield* JobSchedules.JobSchedules
    const start = yield* Clock.currentTimeMillis
    const before = Effect.ignore(
      Effect.tapCause(
        options.before ?? Effect.void,
        (cause) => Effect.logWarning("what comes before a drain failed", cause)
      )
    )
    // The worker would tick them too, but perhaps after it had looked idle. While the store is away there is no work either.
    yield* Effect.timeoutOption(Effect.andThen(before, Effect.ignore(tickDue)), work)
    const left = Math.max(0, work - ((yield* Clock.currentTimeMillis) - start))
    const worker = JobWorker.layer(group, {
      shutdownGrace: tenth,
      interruptGrace: tenth,
      ...options.concurrency === undefined ? {} : { concurrency: options.concurrency }
    })
    const stopped = yield* Effect.provide(untilIdle(jobs, isOurs, left), worker)
    const stats = yield* Effect.timeoutOrElse(jobs.stats, { duration: tenth, orElse: () => Effect.fail(silent) })
    return { stopped, ...sum(stats, isOurs) }
    // What is excluded from the services of a generic group, the compiler leaves undecided.
  }).pipe(Effect.provide(Layer.merge(Jobs.layer, JobSchedules.layer))) as Effect.Effect<
    Left,
    JobError.JobStoreError,
    JobStore.JobStore | JobGroup.HandlersOf<J>
  >
}

/**
 * The route, for `GET` and `POST`: 200 with what is left, 401 without the secret, 503 when the store is away.
 *
 * **Example**
 *
 * ```ts
 * const Drained = Drain.layer(Mails, { secret: Redacted.make(process.env.CRON_SECRET!), atMost: "50 seconds" })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <J extends Job.Any, M, P>(
  group: JobGroup.JobGroup<J, M, P>,
  options: Options
): Layer.Layer<never, never, HttpRouter.HttpRouter | JobStore.JobStore | JobGroup.HandlersOf<J>> => {
  const secret = bytesOf(options.secret, "the secret of the drain handler")
  partsOf(options.atMost)
  return HttpRouter.use((router) =>
    Effect.contextWith((context: Context.Context<JobStore.JobStore | JobGroup.HandlersOf<J>>) => {
      const drained = Effect.provideContext(run(group, options), context).pipe(
        Effect.map((left) => HttpServerResponse.jsonUnsafe(left, { headers })),
        Effect.catch((error) =>
          Effect.succeed(HttpServerResponse.jsonUnsafe({ _tag: "StoreFailed", detail: error.message }, {
            status: 503,
            headers
          }))
        )
      )
      const handler = (request: HttpServerRequest.HttpServerRequest) =>
        isSame(secret, sentBy(request)) ? drained : Effect.succeed(refused)
      const path = options.path ?? "/capstan/drain"
      return Effect.andThen(router.add("GET", path, handler), router.add("POST", path, handler))
    })
  )
}

/** What is answered is true for a moment. */
const headers = { "cache-control": "no-store" }

const refused = HttpServerResponse.jsonUnsafe(
  { _tag: "Unauthorized", detail: "send the secret of the drain handler: Authorization: Bearer <secret>" },
  { status: 401, headers }
)

const silent = new JobError.JobStoreError({
  reason: new JobError.Unavailable({ operation: "stats", detail: "no answer in time" })
})

const partsOf = (atMost: Duration.Input): { readonly work: number; readonly tenth: number } => {
  const millis = Duration.toMillis(Duration.fromInputUnsafe(atMost))
  if (!(millis >= 1000 && Number.isFinite(millis))) {
    throw new Error(`atMost of a drain is a finite duration from 1 second, it is ${millis} ms`)
  }
  return { work: millis * 0.7, tenth: millis / 10 }
}

const queuesOf = (group: JobGroup.Any): (queue: string) => boolean => {
  const queues = new Set([...group.jobs.values()].map((job) => job.queue))
  return (queue) => queues.has(queue)
}

/** Between two looks at the figures. */
const look = "100 millis"

/** Twice nothing to do: between two records a worker may look idle for a moment. */
const untilIdle = (
  jobs: Jobs.Shape,
  isOurs: (queue: string) => boolean,
  millis: number
): Effect.Effect<Left["stopped"], never, JobWorker.JobWorker> =>
  Effect.gen(function*() {
    const worker = yield* JobWorker.JobWorker
    yield* worker.awaitReady
    let quiet = 0
    while (quiet < 2) {
      yield* Effect.sleep(look)
      const { running, waiting } = yield* worker.health
      // A store that is away may come back in time.
      const hasWork = yield* Effect.orElseSucceed(
        Effect.map(jobs.stats, ({ queues }) =>
          queues.some(({ counts, paused, queue }) => isOurs(queue) && !paused && counts.ready > 0)),
        () =>
          true
      )
      quiet = running + waiting === 0 && !hasWork ? quiet + 1 : 0
    }
    return "idle" as const
  }).pipe(Effect.timeoutOrElse({ duration: millis, orElse: () => Effect.succeed("time" as const) }))

const sum = ({ queues }: JobStore.Stats, isOurs: (queue: string) => boolean): Omit<Left, "stopped"> => {
  const left = { ready: 0, running: 0, scheduled: 0, blocked: 0 }
  for (const { counts, queue } of queues) {
    if (!isOurs(queue)) continue
    for (const state of ["ready", "running", "scheduled", "blocked"] as const) left[state] += counts[state]
  }
  return left
}
