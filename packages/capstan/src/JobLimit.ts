/**
 * Limits on how many records start, and run, over all workers of a store.
 *
 * A limit is a named setting of the store. Code proposes it: a starting worker does, with its release number. An operator may
 * set another value while everything runs, and that one holds until it is cleared (`Jobs`). Guarantee: neither a concurrency
 * nor a rate is ever exceeded, whatever claims race, by the store's clock (P6, P7).
 *
 * What waits for its key waits outside of the queue: it costs a claim nothing, and hides no other key.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import { integer, invalid, millis } from "./internal/definition.ts"
import type { LimitSettings, Rate } from "./StoreLimits.ts"

/**
 * What a limit says. What is left out is not limited.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /**
   * At most so many records of one key run at a time, over all workers.
   *
   * @default no limit
   */
  readonly concurrency?: number | undefined
  /**
   * At most `limit` records of one key start within any `per`, one after the other at even distances. `burst` of them may
   * start at once after a pause; then up to `limit + burst - 1` start within a `per`.
   *
   * @default no limit
   */
  readonly rate?: RateOptions | undefined
}

/**
 * How many starts there may be in a time.
 *
 * @category options
 * @since 0.1.0
 */
export interface RateOptions {
  /** How many records of one key start within `per`: an integer from 1. */
  readonly limit: number
  /** The time that `limit` counts for, from 1 ms to 366 days. */
  readonly per: Duration.Input
  /**
   * How many may start at once after a pause: the size of a token bucket. At most `limit`; more is refused.
   *
   * @default 1
   */
  readonly burst?: number | undefined
}

/**
 * Options of a limit by key.
 *
 * @category options
 * @since 0.1.0
 */
export interface KeyOptions extends Options {
  /**
   * Whose turn it is within a queue and a priority: `"fifo"` by age, `"fair"` one record of each key in turn, so that a key
   * that comes anew does not wait behind the backlog of another. Fair records come after those of jobs without.
   *
   * @default "fifo"
   */
  readonly order?: "fifo" | "fair" | undefined
  /**
   * A circuit breaker of each key: `consecutive` attempts in a row that failed open it, and nothing of the key starts for
   * `openDuration`. Then one attempt probes: its success closes the circuit, its failure opens it again. Attempts that are
   * not made are not charged.
   *
   * @default none
   */
  readonly breaker?: BreakerOptions | undefined
}

/**
 * When a circuit opens, and for how long.
 *
 * @category options
 * @since 0.1.0
 */
export interface BreakerOptions {
  /** So many attempts in a row that failed open it. */
  readonly consecutive: number
  /** Nothing starts for so long; then one attempt probes. */
  readonly openDuration: Duration.Input
}

/**
 * A limit by key, which jobs share by the option `limit`.
 *
 * @category models
 * @since 0.1.0
 */
export interface JobLimit {
  /** As a store names it: `@` and the name. */
  readonly name: string
  readonly settings: LimitSettings
}

/**
 * Declares a limit by key.
 *
 * **Example**
 *
 * ```ts
 * const Api = JobLimit.make("api", { concurrency: 4, rate: { limit: 100, per: "1 minute", burst: 10 } })
 *
 * class Fetch extends Job.make("Fetch", {
 *   payload: { account: Schema.String },
 *   limit: { by: Api, key: ({ account }) => account }
 * }) {}
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (name: string, options: KeyOptions): JobLimit => {
  if (!/^[A-Za-z][\w.:-]{0,127}$/.test(name)) {
    throw new Error(
      `limit ${name}: its name must start with a letter and have at most 128 letters, digits, and . _ - : – it is "${name}"`
    )
  }
  return { name: `@${name}`, settings: keySettingsOf(`limit ${name}`, options) }
}

/**
 * The same for a limit by key.
 *
 * @internal
 */
export const keySettingsOf = (of: string, options: KeyOptions): LimitSettings => {
  const { breaker, order } = options
  return {
    ...settingsOf(of, options),
    ...(order === undefined ? {} : { order }),
    ...(breaker === undefined ? {} : {
      breaker: {
        consecutive: integer(of, "breaker.consecutive", breaker.consecutive, 1, 1_000_000),
        openMillis: millis(of, "breaker.openDuration", breaker.openDuration)
      }
    })
  }
}

/**
 * The settings of a store from options, checked; it throws where they cannot be meant.
 *
 * @internal
 */
export const settingsOf = (of: string, { concurrency, rate }: Options): LimitSettings => ({
  ...(concurrency === undefined ? {} : { concurrency: integer(of, "concurrency", concurrency, 0, 1_000_000) }),
  ...(rate === undefined ? {} : { rate: rateOf(of, rate) })
})

const rateOf = (of: string, { burst = 1, limit, per }: RateOptions): Rate => {
  const perMillis = millis(of, "rate.per", per)
  return {
    limit: integer(of, "rate.limit", limit, 1, 1_000_000),
    perMillis: integer(of, "rate.per", perMillis, 1, 366 * 24 * 60 * 60 * 1000),
    burst: burstOf(of, burst, limit)
  }
}

/** A larger one would let more start at once than the rate has for the whole time. */
const burstOf = (of: string, burst: number, limit: number): number => {
  if (Number.isInteger(burst) && burst >= 1 && burst <= limit) return burst
  throw invalid(of, "rate.burst", `must be an integer from 1 to rate.limit, which is ${limit}; it is ${burst}`)
}
