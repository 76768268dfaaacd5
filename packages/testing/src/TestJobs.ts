/**
 * Tests of your own jobs, in virtual time: a worker on a memory store, what was enqueued, and time that passes at once.
 *
 * Runs under `TestClock`, as `it.effect` of `@effect/vitest` does.
 *
 * @since 0.1.0
 */
import type { JobError, JobRecord } from "capstan"
import { Job, JobGroup, Jobs, JobStore, JobWorker } from "capstan"
import { Clock, Context, Duration, Effect, Layer, Option } from "effect"
import { TestClock } from "effect/testing"

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
  /** Lets everything run that is due now, and what it enqueues, without time passing. */
  readonly drain: Effect.Effect<void>
  /** Lets time pass from one due instant to the next, and answers the instant it ended at (epoch milliseconds). */
  readonly advance: (duration: Duration.Input) => Effect.Effect<number>
  /**
   * Lets time pass until no record is waiting for an instant or running, at most a year. What waits for something else
   * (a signal, a handler) is left.
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

/**
 * A memory store, a worker for the group with its handlers, `Jobs` and `TestJobs`. The worker closes without waiting.
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
  Exclude<R, Jobs.Jobs | JobStore.JobStore>
> =>
  Layer.effect(TestJobs, make).pipe(
    Layer.provideMerge(JobWorker.layer(group, { shutdownGrace: 0, ...options })),
    Layer.provide(handlers),
    Layer.provideMerge(Jobs.layer),
    Layer.provideMerge(JobStore.layerMemory())
  ) as Layer.Layer<
    TestJobs | Jobs.Jobs | JobStore.JobStore | JobWorker.JobWorker,
    E,
    Exclude<R, Jobs.Jobs | JobStore.JobStore>
  >

const make = Effect.gen(function*(): Effect.fn.Return<Shape, never, JobStore.JobStore> {
  const store = yield* JobStore.JobStore
  const handlers = yield* Effect.context<never>()
  const counts = Effect.map(Effect.orDie(store.stats), ({ queues }) => ({
    active: queues.reduce((sum, { counts }) => sum + counts.ready + counts.running, 0),
    scheduled: queues.reduce((sum, { counts }) => sum + counts.scheduled, 0)
  }))
  const drain = TestClock.adjust(0)
  const nextDue: Effect.Effect<Option.Option<number>> = Effect.map(
    Effect.orDie(store.query({ where: { states: ["scheduled"] }, order: "oldest", limit: 10_000 })),
    ({ records }) => {
      const due = records.map(({ dueAt }) => dueAt ?? Infinity)
      return due.length === 0 ? Option.none() : Option.some(Math.min(...due))
    }
  )
  /** To the next due instant, but no further than the limit; while something runs, in small steps. */
  const step = (until: number) =>
    Effect.gen(function*() {
      yield* drain
      const now = yield* Clock.currentTimeMillis
      const { active } = yield* counts
      const next = active > 0 ? Option.some(now + 1000) : yield* nextDue
      const to = Math.min(until, Math.max(now + 1, Option.getOrElse(next, () => until)))
      yield* TestClock.adjust(to - now)
    })
  return {
    enqueued: (job) =>
      Effect.gen(function*() {
        const { records } = yield* Effect.orDie(
          store.query({ where: { tag: job._tag }, order: "oldest", limit: 10_000 })
        )
        return yield* Effect.forEach(
          records,
          (record) =>
            Effect.map(Effect.orDie(Job.decodePayload(job, record)), (payload) => ({ id: record.id, payload, record }))
        )
      }),
    run: (job, payload, options) =>
      Effect.updateContext(
        JobWorker.perform(job, payload, options) as Effect.Effect<never>,
        (context: Context.Context<never>) => Context.merge(handlers, context)
      ),
    drain,
    advance: (duration) =>
      Effect.gen(function*() {
        const until = (yield* Clock.currentTimeMillis) + Duration.toMillis(Duration.fromInputUnsafe(duration))
        while ((yield* Clock.currentTimeMillis) < until) yield* step(until)
        yield* drain
        return yield* Clock.currentTimeMillis
      }),
    advanceUntilIdle: Effect.gen(function*() {
      const until = (yield* Clock.currentTimeMillis) + year
      yield* drain
      for (let at = 0; at < until; at = yield* Clock.currentTimeMillis) {
        const { active, scheduled } = yield* counts
        if (active + scheduled === 0) break
        yield* step(until)
      }
      return yield* Clock.currentTimeMillis
    })
  }
})
