/**
 * Tests of your own jobs, in virtual time: a worker on a memory store, what was enqueued, and time that passes at once.
 *
 * Runs under `TestClock`, as `it.effect` of `@effect/vitest` does.
 *
 * @since 0.1.0
 */
import type { JobError, JobRecord } from "capstan"
import { Job, JobGroup, Jobs, JobStore, JobWorker, type Transactional } from "capstan"
import { Clock, Context, Duration, Effect, type Exit, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as TransactionalMemory from "./TransactionalMemory.ts"

/**
 * A record of a job, with its payload decoded.
 *
 * @category models
 * @since 0.1.0
 */
export interface Enqueued<out Payload> {
  readonly id: JobRecord.JobId
  readonly payload: Payload
  readonly record: JobRecord.JobRecord
}

/**
 * The operations.
 *
 * @category models
 * @since 0.1.0
 */
export interface Shape {
  /** All records of a job that are kept, oldest first. */
  readonly enqueued: <J extends Job.Any>(
    job: J
  ) => Effect.Effect<ReadonlyArray<Enqueued<J["payloadSchema"]["Type"]>>, never, J["payloadSchema"]["DecodingServices"]>
  /**
   * Runs a handler once, inline: no record of it and no retry; what it enqueues is stored. See `JobWorker.perform`.
   *
   * A handler that ends with `X.commit` needs its record: enqueue it, and `advanceUntilIdle`.
   */
  readonly run: <J extends Job.Any>(
    job: J,
    payload: J["payloadSchema"]["~type.make.in"],
    options?: JobWorker.PerformOptions
  ) => Effect.Effect<
    J["successSchema"]["Type"],
    J["errorSchema"]["Type"] | JobError.EnqueueError | JobError.JobStoreError,
    | J["payloadSchema"]["EncodingServices" | "DecodingServices"]
    | J["successSchema"]["EncodingServices" | "DecodingServices"]
  >
  /**
   * Runs the handler of a batch job once for all payloads, inline, and answers how each record ends, in their order. See
   * `JobWorker.performBatch`.
   *
   * What workers collect they hold for the job's `within`: `advance` lets it pass.
   */
  readonly runBatch: <J extends Job.Any & { readonly isBatch: true }>(
    job: J,
    payloads: ReadonlyArray<J["payloadSchema"]["~type.make.in"]>,
    options?: JobWorker.PerformOptions
  ) => Effect.Effect<
    ReadonlyArray<
      Exit.Exit<
        J["successSchema"]["Type"],
        J["errorSchema"]["Type"] | JobError.EnqueueError | JobError.JobStoreError
      >
    >,
    JobError.EnqueueError,
    | J["payloadSchema"]["EncodingServices" | "DecodingServices"]
    | J["successSchema"]["EncodingServices" | "DecodingServices"]
  >
  /** Lets everything run that is due now, and what it enqueues, without time passing. */
  readonly drain: Effect.Effect<void>
  /** Lets time pass from one due instant to the next, and answers the instant it ended at (epoch milliseconds). */
  readonly advance: (duration: Duration.Input) => Effect.Effect<number>
  /**
   * Lets time pass until no record is waiting for an instant or running, at most a year. What waits for something else
   * (a signal, a handler, a paused queue) is left, and so is a handler that has run for a day while nothing changed. What waits for a
   * rate, a circuit or a turn is waited for as well, for a day without a change, or as long as the longest of these may take.
   *
   * While a handler runs or something waits for such a limit, time passes in steps of a second, and of a minute for every hour without
   * a change.
   */
  readonly advanceUntilIdle: Effect.Effect<number>
}

/**
 * The service of a test.
 *
 * @category service
 * @since 0.1.0
 */
export class TestJobs extends Context.Service<TestJobs, Shape>()("@capstan/testing/TestJobs") {}

/** No test means to wait longer. */
const year = Duration.toMillis(Duration.days(366))
/** A handler that has run for this long while nothing else changed is taken for one that never ends. */
const day = Duration.toMillis(Duration.days(1))

interface Stand {
  /** Changes when something happens. */
  readonly print: string
  readonly isRunning: boolean
  /** Something waits for a limit: a rate, a circuit, the turn of its key. */
  readonly isLimited: boolean
  /** For how long a limit may let nothing start. */
  readonly longest: number
  /** The next instant at which a record is due, or a key may go on; `Infinity` when none is to come. */
  readonly nextDue: number
}

/**
 * A memory store with transactions, a worker for the group with its handlers, `Jobs` and `TestJobs`. The worker closes
 * without waiting.
 *
 * **Example**
 *
 * ```ts
 * it.effect("is charged once it works", () =>
 *   Effect.gen(function*() {
 *     const test = yield* TestJobs.TestJobs
 *     const handle = yield* ChargeCard.enqueue({ invoiceId: "i", amount: 1 })
 *     yield* test.advanceUntilIdle
 *     assert.deepStrictEqual(yield* handle.await, { receipt: "r" })
 *   }).pipe(Effect.provide(TestJobs.layer(Billing, BillingLive))))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <J extends Job.Any, M, P, E, R>(
  group: JobGroup.JobGroup<J, M, P>,
  handlers: Layer.Layer<JobGroup.HandlersOf<J>, E, R>,
  options?: JobWorker.Options<J["queue"]>
): Layer.Layer<
  TestJobs | Jobs.Jobs | JobStore.JobStore | JobWorker.JobWorker,
  E,
  Exclude<R, Jobs.Jobs | JobStore.JobStore | Transactional.Transactional>
> =>
  Layer.effect(TestJobs, make).pipe(
    Layer.provideMerge(JobWorker.layer(group, { shutdownGrace: 0, ...options })),
    Layer.provide(handlers),
    Layer.provideMerge(Jobs.layer),
    Layer.provideMerge(TransactionalMemory.layer())
  ) as Layer.Layer<
    TestJobs | Jobs.Jobs | JobStore.JobStore | JobWorker.JobWorker,
    E,
    Exclude<R, Jobs.Jobs | JobStore.JobStore | Transactional.Transactional>
  >

const make = Effect.gen(function*(): Effect.fn.Return<Shape, never, JobStore.JobStore> {
  const store = yield* JobStore.JobStore
  const handlers = yield* Effect.context<never>()
  const drain = TestClock.adjust(0)
  /** How the store stands at rest. What is overdue then waits for something else than time, as does what is ready. */
  const stand = (now: number): Effect.Effect<Stand> =>
    Effect.gen(function*() {
      const { queues, workers } = yield* store.stats
      const { records } = yield* store.query({
        where: { states: ["scheduled", "blocked"] },
        order: "oldest",
        limit: 10_000
      })
      // At rest a worker has taken all that it may: what is ready in its queues waits for a limit of the queue.
      const open = new Set(
        queues.flatMap(({ paused, queue }) =>
          !paused && workers.some(({ queues }) => queues.includes(queue)) ? [queue] : []
        )
      )
      const isLimited = queues.some(({ counts, queue }) => open.has(queue) && counts.ready > 0) ||
        records.some(({ blocked, queue }) => open.has(queue) && blocked?.reason === "ConcurrencyKey")
      const limits = isLimited ? yield* store.limits([]) : []
      const keys = yield* Effect.forEach(
        limits.filter(({ name }) => name.startsWith("@")),
        ({ name }) => store.keys({ name, limit: 1000 })
      )
      const instants = [
        ...records.map(({ dueAt }) => dueAt),
        ...keys.flat().map(({ limitedUntil }) => limitedUntil)
      ]
      return {
        isLimited,
        longest: Math.max(
          day,
          ...limits.flatMap(({ override, proposed }) => [override, proposed]).map((settings) =>
            Math.max(settings?.rate?.perMillis ?? 0, settings?.breaker?.openMillis ?? 0)
          )
        ),
        print: JSON.stringify(queues.map(({ counts }) => counts)),
        isRunning: queues.some(({ counts }) => counts.running > 0),
        nextDue: Math.min(...instants.flatMap((at) => at !== undefined && at > now ? [at] : []))
      }
    }).pipe(Effect.orDie)
  /** From one due instant to the next, and in steps while something runs, until an instant or until nothing is to come. */
  const walk = (until: number, isToBeIdle: boolean) =>
    Effect.gen(function*() {
      let print: string | undefined
      let unchangedSince = 0
      for (;;) {
        yield* drain
        const now = yield* Clock.currentTimeMillis
        const found = yield* stand(now)
        if (found.print !== print) unchangedSince = now
        print = found.print
        const unchangedFor = now - unchangedSince
        const isAtRest = (!found.isRunning || unchangedFor >= day) &&
          (!found.isLimited || unchangedFor >= found.longest)
        if (now >= until || (isToBeIdle && found.nextDue === Infinity && isAtRest)) return now
        const step = found.isRunning || isToBeIdle && found.isLimited ? Math.max(1000, unchangedFor / 60) : Infinity
        yield* TestClock.adjust(Math.ceil(Math.min(until - now, found.nextDue - now, step)))
      }
    })
  return {
    enqueued: (job) =>
      Effect.gen(function*() {
        const { records } = yield* Effect.orDie(
          store.query({ where: { tag: job._tag }, order: "oldest", limit: 10_000 })
        )
        return yield* Effect.forEach(
          // Nobody enqueued what tells of a death.
          records.filter(({ headers }) => headers[JobStore.endedHeader] === undefined),
          (record) =>
            Effect.map(Effect.orDie(Job.decodePayload(job, record)), (payload) => ({ id: record.id, payload, record }))
        )
      }),
    run: (job, payload, options) =>
      Effect.updateContext(
        JobWorker.perform(job, payload, options) as Effect.Effect<never>,
        (context: Context.Context<never>) => Context.merge(handlers, context)
      ),
    runBatch: (job, payloads, options) =>
      Effect.updateContext(
        JobWorker.performBatch(job, payloads, options) as Effect.Effect<never>,
        (context: Context.Context<never>) => Context.merge(handlers, context)
      ),
    drain,
    advance: (duration) =>
      Effect.flatMap(
        Clock.currentTimeMillis,
        (now) => walk(now + Duration.toMillis(Duration.fromInputUnsafe(duration)), false)
      ),
    advanceUntilIdle: Effect.flatMap(Clock.currentTimeMillis, (now) => walk(now + year, true))
  }
})
