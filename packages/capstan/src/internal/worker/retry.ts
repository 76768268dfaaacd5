/**
 * What a failed attempt leads to.
 *
 * A schedule is replayed over the recorded failures: `Schedule.toStep` once, then one step for each failure in order, at
 * the instant at which it happened, with `Random` seeded by the record's id. So the delay of the n-th failure is the same
 * in every process, whatever ran in between; and what was not charged takes no step. The method is that of effect's
 * PersistedQueue, which repeats the last error for all steps; here each step gets its own.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type { Failure } from "../../JobRecord.ts"
import type { Claimed, NewFailure, Outcome } from "../../JobStore.ts"
import type { Codec } from "../codec.ts"
import { defaultPolicy, type RunPolicy } from "../definition.ts"
import { inTime } from "../inTime.ts"
import * as Log from "../log.ts"

/** The failures that a claim brings along, and how many steps stand for those before them at most. */
const travelling = 32
const mostForgotten = 1000

/** Exponential from 1 s, at most 5 min, jittered. */
export const defaultSchedule: Schedule.Schedule<unknown> = Schedule.exponential("1 second").pipe(
  Schedule.modifyDelay(({ duration }) => Effect.succeed(Duration.min(duration, Duration.minutes(5)))),
  Schedule.jittered
)

/** A failed attempt: what the store records, and the error that the job declared. */
export interface Failed {
  readonly failure: NewFailure
  readonly error: unknown
  /** By the store's clock: the instant of the claim plus what has passed since by the monotonic clock. */
  readonly endedAt: number
}

export interface Job {
  readonly tag: string
  readonly policy: RunPolicy
  readonly error: Codec
  readonly warned: Set<string>
}

/** By the policies of the job; by the default ones when they fail, or do not end. The attempt is charged either way. */
export const decide = (job: Job, claimed: Claimed, failed: Failed): Effect.Effect<Outcome> =>
  Effect.catchCause(
    inTime(Effect.suspend(() => byPolicy(job, claimed, failed)), Effect.die(new Error("it has not decided in time"))),
    (cause) =>
      Effect.andThen(
        warn(job, claimed, "policy", cause),
        byPolicy({ ...job, policy: { ...defaultPolicy, maxAttempts: job.policy.maxAttempts } }, unread(claimed), failed)
      )
  )

/** The default policies do not look at errors: none is decoded for them. */
const unread = (claimed: Claimed): Claimed => ({
  ...claimed,
  failures: claimed.failures.map((failure) => ({ ...failure, error: undefined }))
})

const byPolicy = (job: Job, claimed: Claimed, failed: Failed): Effect.Effect<Outcome> => {
  const { policy } = job
  const { endedAt, failure } = failed
  const dead: Outcome = { _tag: "Dead", reason: failure.kind === "Declared" ? "Failed" : failure.kind, failure }
  if (policy.retryFor !== undefined && endedAt - claimed.begunAt > policy.retryFor) return Effect.succeed(dead)
  const disposition =
    failure.kind === "Declared" && failure.tag !== undefined && Object.hasOwn(policy.onError, failure.tag)
      ? policy.onError[failure.tag]!
      : "retry"
  if (disposition === "dead") return Effect.succeed(dead)
  if (typeof disposition === "object" && "snooze" in disposition) {
    const { snooze } = disposition
    return Effect.sync(() => typeof snooze === "function" ? snooze(failed.error as never) : snooze).pipe(
      Effect.map((input): Outcome => ({ _tag: "SnoozeFor", delay: positiveMillis(input), failure })),
      Effect.catchDefect((defect) => Effect.as(warn(job, claimed, "onError.snooze", defect), dead))
    )
  }
  if (claimed.attempt >= policy.maxAttempts) return Effect.succeed(dead)
  return Effect.map(
    delayOf(job, claimed, failed, typeof disposition === "object" ? disposition.retry : undefined),
    (delay) => delay === undefined ? dead : { _tag: "RetryAfter", delay, failure }
  )
}

const positiveMillis = (input: Duration.Input): number => {
  const millis = Duration.toMillis(Duration.fromInputUnsafe(input))
  if (millis >= 0 && millis < Infinity) return millis
  throw new Error(`a snooze must be a finite duration from 0, it is ${millis} ms`)
}

/** Milliseconds until the next attempt; `undefined` when the schedule has ended. */
const delayOf = (
  job: Job,
  claimed: Claimed,
  failed: Failed,
  ofTag: Schedule.Schedule<unknown, never> | undefined
): Effect.Effect<number | undefined> => {
  const isDeclared = failed.failure.kind === "Declared"
  const given = isDeclared ? ofTag ?? job.policy.retry : job.policy.retryDefects
  const known = charged(claimed)
  const earlier = known.filter((failure) =>
    isDeclared
      ? failure.kind === "Declared" && (ofTag === undefined || failure.tag === failed.failure.tag)
      : failure.kind !== "Declared"
  )
  // Of several kinds as large a part as among those that came along.
  const forgotten = claimed.failures.length < travelling
    ? 0
    : Math.floor((claimed.attempt - 1 - known.length) * earlier.length / known.length)
  return Effect.flatMap(
    isDeclared ? declaredSteps(job, earlier, failed) : Effect.succeed(otherSteps(earlier, failed, claimed)),
    (steps) => {
      const fallback = replay(defaultSchedule, claimed.id, steps)
      return given === undefined ? fallback : Effect.catchCause(
        replayWhole(given as Schedule.Schedule<unknown>, claimed, steps, forgotten),
        (cause) => Effect.andThen(warn(job, claimed, "retry", cause), fallback)
      )
    }
  )
}

/** A failure that gave its attempt back has the number of the attempt after it. */
const charged = ({ attempt, failures }: Claimed): ReadonlyArray<Failure> =>
  failures.filter((failure, i) => failure.attempt < (failures[i + 1]?.attempt ?? attempt))

interface Step {
  readonly at: number
  readonly input: unknown
}

/** An old error that no longer decodes is replaced by the current one. */
const declaredSteps = (job: Job, earlier: ReadonlyArray<Failure>, failed: Failed): Effect.Effect<ReadonlyArray<Step>> =>
  Effect.map(
    Effect.forEach(
      earlier,
      ({ at, error }) =>
        Effect.map(
          error === undefined ? Effect.succeed(undefined) : Effect.exit(job.error.decode(error)),
          (decoded) => ({ at, input: decoded?._tag === "Success" ? decoded.value : failed.error })
        )
    ),
    (steps) => [...steps, { at: failed.endedAt, input: failed.error }]
  )

const otherSteps = (earlier: ReadonlyArray<Failure>, failed: Failed, claimed: Claimed): ReadonlyArray<Step> => [
  ...earlier.map((failure) => ({ at: failure.at, input: failure })),
  { at: failed.endedAt, input: { ...failed.failure, attempt: claimed.attempt, at: failed.endedAt } satisfies Failure }
]

/**
 * The delay is that of what came along: beyond it the last one repeats. Whether the schedule has ended is asked with the failures
 * before as well, of which only their number is known and since when: each takes a step, with the input of the oldest that came
 * along. Else one that ends after more of them would never end.
 */
const replayWhole = (
  schedule: Schedule.Schedule<unknown>,
  { begunAt, id }: Claimed,
  steps: ReadonlyArray<Step>,
  forgotten: number
): Effect.Effect<number | undefined> => {
  const delay = replay(schedule, id, steps)
  const many = Math.min(mostForgotten, forgotten)
  if (!(many > 0)) return delay
  const { at, input } = steps[0]!
  const before = Array.from({ length: many }, (_, i) => ({ at: begunAt + (at - begunAt) * i / many, input }))
  return Effect.flatMap(
    replay(schedule, id, [...before, ...steps]),
    (whole) => whole === undefined ? Effect.succeed(undefined) : delay
  )
}

const replay = (
  schedule: Schedule.Schedule<unknown>,
  seed: string,
  steps: ReadonlyArray<Step>
): Effect.Effect<number | undefined> =>
  Effect.gen(function*() {
    const step = yield* Schedule.toStep(schedule)
    let delay: number | undefined
    for (const { at, input } of steps) {
      const result = yield* Pull.catchDone(step(at, input), () => Effect.succeed(undefined))
      if (result === undefined) return undefined
      // Jitter makes fractions; stores keep whole milliseconds.
      delay = Math.ceil(Duration.toMillis(result[1]))
    }
    // No instant stands for it, and stores differ in what they would make of it.
    if (delay !== undefined && !Number.isFinite(delay)) {
      return yield* Effect.die(
        new Error(`a delay must be finite, it is ${delay} ms: a schedule that ends it retries no more`)
      )
    }
    return delay
  }).pipe(Random.withSeed(seed))

/** Once per job and worker: a policy that throws does so for every record. */
const warn = (job: Job, claimed: Claimed, option: string, problem: unknown): Effect.Effect<void> => {
  if (job.warned.has(option)) return Effect.void
  job.warned.add(option)
  return Log.warning(
    `job ${job.tag}: its ${option} threw for record ${claimed.id}; the default policy holds instead`,
    problem
  )
}
