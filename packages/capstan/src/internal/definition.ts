/**
 * A declared job with its policies resolved and its codecs ready: what enqueue and the worker read.
 *
 * Everything that can be wrong with a declaration is found here, when it is made, and not by the first record.
 */
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import type { Keep, Retention, Sensitive } from "../JobRecord.ts"
import type { LimitSettings, NewRecord } from "../JobStore.ts"
import type { Codec } from "./codec.ts"
import type { Next } from "./follow.ts"
import type { Propagation } from "./propagate.ts"

/** What to do with one declared error. */
export type Disposition =
  | "retry"
  | "dead"
  | { readonly retry: Schedule.Schedule<unknown, never> }
  | { readonly snooze: Duration.Input | ((error: never) => Duration.Input) }

/** An older version of the payload, and how it becomes the next one. */
export interface Previous {
  readonly version: number
  readonly codec: Codec
  /** Where it is masked. */
  readonly sensitive: () => ReadonlyArray<string>
  readonly lift: (payload: never) => unknown
}

/** What decides a failed attempt: read from the worker's code when it settles, so a deploy mends waiting records. */
export interface RunPolicy {
  readonly maxAttempts: number
  /** Milliseconds since the first attempt of the present life began. */
  readonly retryFor: number | undefined
  readonly retry: Schedule.Schedule<unknown, never> | undefined
  readonly retryDefects: Schedule.Schedule<unknown, never> | undefined
  /** Milliseconds; `Infinity` means no limit. */
  readonly timeout: number
  readonly onError: Readonly<Record<string, Disposition>>
  readonly trace: "link" | "child"
}

/** A limit as code has it. */
export interface Proposal {
  /** As a store names it: a queue, or `@` and a space of keys. */
  readonly name: string
  readonly settings: LimitSettings
}

export interface Batching {
  readonly size: number
  readonly within: number
  readonly key: ((payload: never) => string) | undefined
}

/** Events that do something to those records of a job of which the payload says the same. */
export interface Listening {
  readonly topic: string
  /** What they complete; nothing where they cancel. */
  readonly waitpoint?: string
  /** How many of the same stand before it in the declaration. */
  readonly nth: number
  readonly key: (payload: never) => string
}

export interface Definition {
  readonly tag: string
  readonly version: number
  readonly previous: ReadonlyArray<Previous>
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
      readonly maxWait: number | undefined
    }
    | undefined
  readonly partition: ((payload: never) => string) | undefined
  /** Its keys are `space/key`; the limit holds until a worker has proposed one, where the space is a limit's. */
  readonly concurrency:
    | {
      readonly key: (payload: never) => string
      readonly limit: number
      readonly space: string
      /** All of its records have the same key. */
      readonly isWhole?: boolean
    }
    | undefined
  readonly limit: Proposal | undefined
  /** Its records are handled together: up to `size` with the same key, collected for up to `within` milliseconds. */
  readonly batch: Batching | undefined
  readonly policy: Partial<RunPolicy>
  /** The events that cancel its records. */
  readonly cancelOn: ReadonlyArray<Listening>
  /** The events that complete waitpoints of its records. */
  readonly completeOn: ReadonlyArray<Listening>
  /** What follows an attempt, when anything does. */
  readonly next: Next | undefined
  /** A checked payload, from what its constructor takes. */
  readonly make: (payload: unknown) => Effect.Effect<unknown, unknown>
  /** Whether a payload is to be made before it is encoded, which checks it; see `Codec.isConstructed`. */
  readonly isConstructed: () => boolean
  readonly payload: Codec
  readonly success: Codec
  readonly error: Codec
  readonly progress: Codec
}

/** The policies of an attempt as options give them. */
export interface RunOptions {
  readonly maxAttempts?: number | undefined
  readonly retryFor?: Duration.Input | undefined
  readonly retry?: Schedule.Schedule<unknown, never> | undefined
  readonly retryDefects?: Schedule.Schedule<unknown, never> | undefined
  readonly timeout?: Duration.Input | "infinite" | undefined
  readonly onError?: Readonly<Record<string, Disposition | undefined>> | undefined
  readonly trace?: "link" | "child" | undefined
}

const minute = 60_000
const day = 24 * 60 * minute

export const defaultPolicy: RunPolicy = {
  maxAttempts: 10,
  retryFor: undefined,
  retry: undefined,
  retryDefects: undefined,
  timeout: 15 * minute,
  onError: {},
  trace: "link"
}

const forEver = Infinity

export const defaultRetention: Retention = {
  completed: { age: day, count: forEver },
  cancelled: { age: 7 * day, count: forEver },
  dead: { age: 30 * day, count: forEver }
}

export const defaultMaxPayloadBytes = 256 * 1024

/** The refusal of an option that cannot be meant. */
export const invalid = (job: string, option: string, issue: string): Error =>
  new Error(`job ${job}, option ${option}: ${issue}`)

/** Milliseconds of a finite duration that is not negative. */
export const millis = (job: string, option: string, input: Duration.Input): number => {
  const value = Duration.toMillis(Duration.fromInputUnsafe(input))
  if (!(value >= 0 && value < forEver)) {
    throw invalid(job, option, `must be a finite duration from 0, it is ${value} ms`)
  }
  return Math.ceil(value)
}

/** A whole number in a range. */
export const integer = (job: string, option: string, value: number, from: number, to: number): number => {
  if (Number.isInteger(value) && value >= from && value <= to) return value
  throw invalid(job, option, `must be an integer from ${from} to ${to}, it is ${value}`)
}

/** Names appear in keys, spans and pages of every store: letters, digits and `. _ - / :`, a letter first. */
export const name = (job: string, option: string, value: string): string => {
  if (/^[A-Za-z][\w./:-]{0,127}$/.test(value)) return value
  throw invalid(
    job,
    option,
    `must start with a letter and have at most 128 letters, digits, and . _ - / : – it is "${value}"`
  )
}

export const runPolicy = (job: string, options: RunOptions): Partial<RunPolicy> => {
  const policy: { -readonly [K in keyof RunPolicy]?: RunPolicy[K] } = {}
  if (options.maxAttempts !== undefined) {
    policy.maxAttempts = options.maxAttempts === forEver
      ? forEver
      : integer(job, "maxAttempts", options.maxAttempts, 1, 1_000_000)
  }
  if (options.retryFor !== undefined) policy.retryFor = millis(job, "retryFor", options.retryFor)
  if (options.retry !== undefined) policy.retry = options.retry
  if (options.retryDefects !== undefined) policy.retryDefects = options.retryDefects
  if (options.timeout !== undefined) {
    policy.timeout = options.timeout === "infinite" ? forEver : millis(job, "timeout", options.timeout)
  }
  if (options.onError !== undefined) {
    policy.onError = Object.fromEntries(
      Object.entries(options.onError).flatMap(([tag, value]) => value === undefined ? [] : [[tag, value]])
    )
  }
  if (options.trace !== undefined) policy.trace = options.trace
  return policy
}

export type KeepInput = Duration.Input | "forever" | {
  readonly age?: Duration.Input | "forever"
  readonly count?: number
}

const keep = (job: string, option: string, input: KeepInput | undefined, otherwise: Keep): Keep => {
  if (input === undefined) return otherwise
  const age = (value: Duration.Input | "forever") => value === "forever" ? forEver : millis(job, option, value)
  if (typeof input === "object" && ("age" in input || "count" in input)) {
    return {
      age: input.age === undefined ? otherwise.age : age(input.age),
      count: input.count === undefined
        ? forEver
        : integer(job, `${option}.count`, input.count, 0, Number.MAX_SAFE_INTEGER)
    }
  }
  return { age: age(input as Duration.Input | "forever"), count: forEver }
}

export const retention = (
  job: string,
  options: { readonly [K in keyof Retention]?: KeepInput | undefined } | undefined
): Retention =>
  options === undefined ? defaultRetention : {
    completed: keep(job, "retention.completed", options.completed, defaultRetention.completed),
    cancelled: keep(job, "retention.cancelled", options.cancelled, defaultRetention.cancelled),
    dead: keep(job, "retention.dead", options.dead, defaultRetention.dead)
  }
