/**
 * A declared job with its policies resolved and its codecs ready: what enqueue and the worker read.
 */
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import type * as Schema from "effect/Schema"
import type { NewRecord } from "../JobStore.ts"
import type { Retention, Sensitive } from "../JobRecord.ts"
import type { Codec } from "./codec.ts"
import type { Propagation } from "./propagate.ts"

/** What to do with one declared error. */
export type Disposition =
  | "retry"
  | "dead"
  | { readonly retry: Schedule.Schedule<unknown, unknown> }
  | { readonly snooze: (error: never) => Duration.Input }

/** An older version of the payload, and how it becomes the next one. */
export interface PreviousVersion {
  readonly version: number
  readonly codec: Codec
  readonly lift: (payload: never) => unknown
}

/** What decides a failed attempt: read from the worker's code when it settles, so a deploy mends waiting records. */
export interface RunPolicy {
  readonly maxAttempts: number
  /** Milliseconds since the first attempt of the present life began. */
  readonly retryFor: number | undefined
  readonly retry: Schedule.Schedule<unknown, unknown> | undefined
  readonly retryDefects: Schedule.Schedule<unknown, unknown> | undefined
  /** Milliseconds; `undefined` means no limit. */
  readonly timeout: number | undefined
  readonly onError: Readonly<Record<string, Disposition>>
  readonly trace: "link" | "child"
}

export interface Definition {
  readonly tag: string
  readonly version: number
  readonly previous: ReadonlyArray<PreviousVersion>
  readonly queue: string
  readonly priority: number
  readonly maxPayloadBytes: number
  readonly startBefore: number | undefined
  readonly retention: Retention
  readonly tags: ReadonlyArray<string>
  readonly propagate: ReadonlyArray<Propagation>
  readonly sensitive: () => Sensitive
  readonly unique:
    | {
      readonly key: (payload: never) => string
      readonly until: NonNullable<NewRecord["unique"]>["until"]
      readonly onConflict: NonNullable<NewRecord["unique"]>["onConflict"]
    }
    | undefined
  readonly concurrency: { readonly key: (payload: never) => string; readonly limit: number } | undefined
  readonly policy: Partial<RunPolicy>
  readonly make: (payload: unknown) => Effect.Effect<unknown, unknown>
  readonly payload: Codec
  readonly success: Codec
  readonly error: Codec
  readonly progress: Codec
  readonly successSchema: Schema.Top
}

/** Milliseconds of a duration that must be finite and not negative. */
export const millis = (job: string, option: string, input: Duration.Input): number => {
  const value = Duration.toMillis(Duration.fromInputUnsafe(input))
  if (!(value >= 0)) throw new Error(`job ${job}: ${option} must not be negative, it is ${value} ms`)
  return value
}
