/**
 * What a handler knows of its own attempt.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Option from "effect/Option"
import type { Steps } from "./internal/steps/steps.ts"
import type { JobId } from "./JobRecord.ts"
import type { WriteEntry } from "./JobStore.ts"

/**
 * The attempt that runs.
 *
 * @category models
 * @since 0.1.0
 */
export interface Shape {
  readonly id: JobId
  readonly job: string
  readonly queue: string
  /** From 1. An attempt that was given back is not counted. */
  readonly attempt: number
  /** Every write of this attempt carries it; once it is stale, the store refuses them all. */
  readonly fence: number
  /**
   * The same text in every attempt of this record: hand it to third parties that take an idempotency key, so that a
   * second attempt does not charge the card again.
   */
  readonly idempotencyKey: string
  readonly tags: ReadonlyArray<string>
  readonly headers: Readonly<Record<string, string>>
  readonly parent: Option.Option<JobId>
  /** The flow that its record is a member of. */
  readonly flow: Option.Option<JobId>
  /** Epoch milliseconds at which the attempt will be interrupted; none when its timeout is `"infinite"`. */
  readonly deadline: Option.Option<number>
  /**
   * Adds a line to the record, for whoever looks at it later. Buffered, never fails, at most 100 lines of 2,000
   * characters per attempt; a stale attempt's lines are refused by the store.
   */
  readonly log: (message: string) => Effect.Effect<void>
  /**
   * Ends this attempt and runs the record again after the duration, without charging an attempt. It unwinds the handler
   * like an interruption: finalizers run.
   */
  readonly snooze: (duration: Duration.Input) => Effect.Effect<never>
  /**
   * Says that nothing more may start for so long: of this record's key in the space of its `limit`, or of its queue (such as
   * a 429 with `Retry-After`). It ends this attempt as `snooze` does, without charging it, and the record is the first to
   * run afterwards, at its old place. Attempts that run go on.
   *
   * `"key"` of a job without `limit` is a defect.
   */
  readonly limited: (what: "key" | "queue", duration: Duration.Input) => Effect.Effect<never>
  /**
   * Milliseconds since the claim, by the monotonic clock.
   *
   * @internal
   */
  readonly elapsed: () => number
  /** @internal */
  readonly write: (entry: WriteEntry) => void
  /**
   * The attempt was told to stop: its lease is lost, a cancel was requested, or its time is over.
   *
   * @internal
   */
  readonly isStopped: boolean
  /**
   * The fiber that is interrupted when the attempt is told to stop.
   *
   * @internal
   */
  readonly watch: (fiber: Fiber.Fiber<unknown, unknown>) => void
  /** @internal */
  readonly steps: Steps
}

/**
 * The service that a handler finds its attempt under.
 *
 * @category service
 * @since 0.1.0
 */
export class JobContext extends Context.Service<JobContext, Shape>()("capstan/JobContext") {}
