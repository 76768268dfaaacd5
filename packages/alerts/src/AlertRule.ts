/**
 * Rules: what is worth waking somebody for. A rule is a function of what is now and what was at the look before.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type { Finding, Severity } from "./internal/alert.ts"
import type { Snapshot } from "./internal/snapshot.ts"

/**
 * A rule. `look` answers everything that it finds at present; `before` is the last look, and absent at the first.
 *
 * @category models
 * @since 0.1.0
 */
export interface AlertRule {
  /** What the rule finds in the figures of now. It runs in a job, so it may be run again with the same figures. */
  readonly look: (now: Snapshot, before: Snapshot | undefined) => ReadonlyArray<typeof Finding.Type>
  /** What it finds must stand so long before somebody is told. */
  readonly forMillis: number
}

/**
 * What all rules take.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /**
   * How urgent what it finds is: channels show it, and PagerDuty goes by it.
   *
   * @default "critical", and "warning" for `oldestReady` and `scheduleLate`
   */
  readonly severity?: (typeof Severity)["Type"] | undefined
  /**
   * Queues that it looks at.
   *
   * @default all
   */
  readonly queues?: ReadonlyArray<string> | undefined
}

const millis = (rule: string, option: string, given: Duration.Input): number => {
  const value = Duration.toMillis(Duration.fromInputUnsafe(given))
  if (!(value >= 0 && value <= 8.64e15)) throw new Error(`rule ${rule}: ${option} must be a finite duration from 0`)
  return value
}

const isWatched = ({ queues }: Options, queue: string): boolean => queues === undefined || queues.includes(queue)

const said = (duration: number): string => Duration.format(Duration.millis(Math.round(duration / 1000) * 1000))

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`

/** Those that died since the look before, by the figures; retention takes some away, so a figure that fell says nothing. */
const diedIn = (queue: string, now: Snapshot, before: Snapshot): number => {
  const of = ({ queues }: Snapshot) => queues.find((one) => one.queue === queue)
  return Math.max(0, (of(now)?.dead ?? 0) - (of(before)?.dead ?? 0))
}

/**
 * A record has died. It stands as long as one died within `within`, so that many deaths are one alert.
 *
 * @category constructors
 * @since 0.1.0
 */
export const dead = (
  options: Options & {
    /**
     * How long after the last death the alert stands.
     *
     * @default "15 minutes"
     */
    readonly within?: Duration.Input | undefined
    /**
     * Jobs that it looks at.
     *
     * @default all
     */
    readonly jobs?: ReadonlyArray<string> | undefined
  } = {}
): AlertRule => {
  const within = millis("dead", "within", options.within ?? "15 minutes")
  return {
    forMillis: 0,
    look: (now) => {
      const recent = now.dead.filter(({ finishedAt, job, queue }) =>
        now.at - finishedAt <= within && isWatched(options, queue) &&
        (options.jobs === undefined || options.jobs.includes(job))
      )
      return [...Map.groupBy(recent, ({ job }) => job)].map(([job, records]) => ({
        key: `dead/${job}`,
        severity: options.severity ?? "critical",
        title: `${job}: ${counted(records.length, "record")} died`,
        detail: records.slice(0, 5).map(({ id, reason }) => `${id}: ${reason}`).join("\n")
      }))
    }
  }
}

/**
 * Records die of their workers: reason `Crashed`, by which poison is known.
 *
 * @category constructors
 * @since 0.1.0
 */
export const crashLoop = (
  options: Options & {
    /**
     * How many such records of one job there must be.
     *
     * @default 1
     */
    readonly atLeast?: number | undefined
    /**
     * How long after its death a record counts.
     *
     * @default "15 minutes"
     */
    readonly within?: Duration.Input | undefined
  } = {}
): AlertRule => {
  const within = millis("crashLoop", "within", options.within ?? "15 minutes")
  return {
    forMillis: 0,
    look: (now) => {
      const crashed = now.dead.filter(({ finishedAt, queue, reason }) =>
        reason.startsWith("Crashed") && now.at - finishedAt <= within && isWatched(options, queue)
      )
      return [...Map.groupBy(crashed, ({ job }) => job)].flatMap(([job, records]) =>
        records.length < (options.atLeast ?? 1) ? [] : [{
          key: `crashLoop/${job}`,
          severity: options.severity ?? "critical",
          title: `${job}: ${counted(records.length, "record")} crashed workers again and again`,
          detail: records.slice(0, 5).map(({ id }) => id).join("\n")
        }]
      )
    }
  }
}

/**
 * A queue's oldest ready record waits for longer than that. A paused queue is left alone.
 *
 * @category constructors
 * @since 0.1.0
 */
export const oldestReady = (
  options: Options & {
    /** How long the oldest ready record of a queue may wait. */
    readonly longerThan: Duration.Input
  }
): AlertRule => {
  const longerThan = millis("oldestReady", "longerThan", options.longerThan)
  return {
    forMillis: 0,
    look: (now) =>
      now.queues.flatMap(({ oldestReadyAge = 0, paused, queue, ready }) =>
        paused || oldestReadyAge <= longerThan || !isWatched(options, queue) ? [] : [{
          key: `oldestReady/${queue}`,
          severity: options.severity ?? "warning",
          title: `queue ${queue}: the oldest ready record waits for ${said(oldestReadyAge)}`,
          detail: `${counted(ready, "record")} ready`
        }]
      )
  }
}

/**
 * Of what ended in a queue since the look before, more than `above` died.
 *
 * @category constructors
 * @since 0.1.0
 */
export const failureRate = (
  options: Options & {
    /** From 0 to 1. */
    readonly above: number
    /**
     * With fewer ends than that there is no rate.
     *
     * @default 20
     */
    readonly atLeast?: number | undefined
  }
): AlertRule => {
  if (!(options.above >= 0 && options.above <= 1)) throw new Error("rule failureRate: above must be from 0 to 1")
  return {
    forMillis: 0,
    look: (now, before) =>
      before === undefined ? [] : now.queues.flatMap(({ completed, queue }) => {
        const died = diedIn(queue, now, before)
        const done = Math.max(0, completed - (before.queues.find((one) => one.queue === queue)?.completed ?? 0))
        const rate = died / (died + done)
        return died + done < (options.atLeast ?? 20) || rate <= options.above || !isWatched(options, queue) ? [] : [{
          key: `failureRate/${queue}`,
          severity: options.severity ?? "critical",
          title: `queue ${queue}: ${Math.round(rate * 100)} % of what ended is dead`,
          detail: `${died} dead, ${done} completed in ${said(now.at - before.at)}`
        }]
      })
  }
}

/**
 * Something is ready in a queue that no worker takes from. A paused queue is left alone.
 *
 * @category constructors
 * @since 0.1.0
 */
export const noWorker = (
  options: Options & {
    /**
     * A rolling deploy may leave a queue alone so long.
     *
     * @default "1 minute"
     */
    readonly for?: Duration.Input | undefined
  } = {}
): AlertRule => ({
  forMillis: millis("noWorker", "for", options.for ?? "1 minute"),
  look: (now) =>
    now.queues.flatMap(({ isServed, paused, queue, ready }) =>
      isServed || paused || ready === 0 || !isWatched(options, queue) ? [] : [{
        key: `noWorker/${queue}`,
        severity: options.severity ?? "critical",
        title: `queue ${queue}: no worker`,
        detail: `${counted(ready, "record")} ready`
      }]
    )
})

/**
 * A schedule's tick is later than that, no process declares it any more, or its last run died or was cancelled.
 *
 * @category constructors
 * @since 0.1.0
 */
export const scheduleLate = (
  options: Pick<Options, "severity"> & {
    /**
     * How much later than planned a tick may come.
     *
     * @default "1 minute"
     */
    readonly by?: Duration.Input | undefined
  } = {}
): AlertRule => {
  const by = millis("scheduleLate", "by", options.by ?? "1 minute")
  return {
    forMillis: 0,
    look: (now) =>
      now.schedules.flatMap(({ failed, isVanished, name, overdue }) =>
        overdue > by || failed !== undefined || isVanished === true
          ? [{
            key: `schedule/${name}`,
            severity: options.severity ?? "warning",
            title: isVanished === true
              ? `schedule ${name} does not run`
              : overdue > by
              ? `schedule ${name} is late`
              : `schedule ${name}: the last run is ${failed}`,
            detail: isVanished === true
              ? "no process declares it any more: start one that does, or remove it"
              : overdue > by
              ? `its tick was due ${said(overdue)} ago`
              : ""
          }]
          : []
      )
  }
}

/**
 * What most teams want: deaths, crash loops, queues without a worker, late schedules, and waits of more than five minutes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const usual: ReadonlyArray<AlertRule> = [
  dead(),
  crashLoop(),
  noWorker(),
  scheduleLate(),
  oldestReady({ longerThan: "5 minutes" })
]
