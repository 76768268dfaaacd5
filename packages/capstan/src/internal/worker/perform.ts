/**
 * An attempt, or a batch of them, in the caller's fiber. No store holds them: nothing is leased, kept or tried again.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { EnqueueError } from "../../JobError.ts"
import type { Outcome } from "../../JobStore.ts"
import { defaultPolicy, type Definition } from "../definition.ts"
import { Detached, prepareOne } from "../enqueue.ts"
import { EndSignal, type Registered, SettledValue } from "../handler.ts"
import { Attempt, type Host } from "./attempt.ts"
import { Batch } from "./batch.ts"
import { type Answer, body, contextOf, makeRunnable, UnreadablePayload } from "./runner.ts"
import { QueueSlots } from "./slots.ts"

export interface PerformOptions {
  /**
   * The number of the attempt, from 1, for a handler that looks at it.
   *
   * @default 1
   */
  readonly attempt?: number | undefined
  /**
   * Labels beside those of the job, which the handler finds in `JobContext.tags`.
   *
   * @default none
   */
  readonly tags?: ReadonlyArray<string> | undefined
  /**
   * What the enqueue would have given for `JobContext.headers`.
   *
   * @default none
   */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

export const perform = (
  job: Definition,
  handler: Registered,
  payload: unknown,
  options: PerformOptions
): Effect.Effect<unknown, unknown> =>
  Effect.gen(function*() {
    const attempt = yield* attemptOf(job, handler, payload, options)
    return yield* resultOf(job, Effect.provideContext(body(attempt), contextOf(attempt)))
  })

/** A batch of them: how each ends. */
export const performBatch = (
  job: Definition,
  handler: Registered,
  payloads: ReadonlyArray<unknown>,
  options: PerformOptions
): Effect.Effect<ReadonlyArray<Exit.Exit<unknown, unknown>>, unknown> =>
  Effect.gen(function*() {
    const attempts = yield* Effect.forEach(payloads, (payload) => attemptOf(job, handler, payload, options))
    const exits = yield* new Batch(attempts).performed
    return yield* Effect.forEach(exits, (exit) => Effect.exit(resultOf(job, exit)))
  })

const attemptOf = (
  job: Definition,
  handler: Registered,
  payload: unknown,
  { attempt: number = 1, headers, tags }: PerformOptions
): Effect.Effect<Attempt, EnqueueError> =>
  Effect.gen(function*() {
    const record = yield* prepareOne(job, payload, { headers, tags })
    const clock = yield* Clock.Clock
    const context = yield* Effect.context<never>()
    const now = clock.currentTimeMillisUnsafe()
    const host: Host = {
      elapsedNow: () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6,
      // There is nowhere to keep progress and logs.
      writes: () => {},
      steps: undefined
    }
    return new Attempt(
      {
        id: record.id,
        tag: record.tag,
        version: record.version,
        queue: record.queue,
        priority: record.priority,
        payload: record.payload,
        attempt: number,
        fence: 1,
        crashes: 0,
        enqueuedAt: now,
        begunAt: now,
        readyAt: now,
        failures: [],
        tags: record.tags,
        headers: record.headers,
        checkpoints: {},
        dependencies: {}
      },
      // Its record is in no store, so what it enqueues cannot be the record's children.
      makeRunnable(job, { ...defaultPolicy, ...job.policy }, handler, Context.add(context, Detached, true)),
      new QueueSlots(record.queue),
      host,
      { at: host.elapsedNow(), storeNow: now }
    )
  })

const resultOf = (job: Definition, answered: Effect.Effect<Answer, unknown>): Effect.Effect<unknown, unknown> =>
  answered.pipe(
    Effect.catchDefect((defect) =>
      Effect.die(
        defect instanceof EndSignal
          ? new Error(`${job.tag} ${pauseOf(defect.outcome)}, and only a worker can run it again then`)
          : defect
      )
    ),
    Effect.catch((error) =>
      error instanceof UnreadablePayload
        ? Effect.die(new Error(`the payload of ${job.tag} encodes, and does not decode again: ${error.issue}`))
        : Effect.fail(error)
    ),
    Effect.flatMap((answer) =>
      answer instanceof SettledValue ? Effect.succeed(answer.value) : Effect.orDie(job.success.decode(answer))
    )
  )

const pauseOf = (outcome: Outcome): string =>
  outcome._tag === "SnoozeFor" ? `snoozed for ${outcome.delay} ms` : "waits for something outside"
