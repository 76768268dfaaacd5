/**
 * Rules: what is worth waking somebody for. A rule is a function of what is now and what was at the look before.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type { Answer, Severity } from "./internal/alert.ts"
import type { Snapshot } from "./internal/snapshot.ts"

/**
 * A rule. `look` answers everything that it finds at present; `before` is the last look, and absent at the first.
 *
 * @category models
 * @since 0.1.0
 */
export interface AlertRule {
  /**
   * What the rule finds in the figures of now. It runs in a job, so it may be run again with the same figures.
   *
   * One that throws is told of as `rule/` and its place among the rules, as long as it does. What it found before stands meanwhile.
   *
   * A finding with `doubt`, the name of a queue, is told to nobody: the look listens there to what ends, and asks again, with `heard` in
   * the figures of the queue. What is in doubt then neither begins nor ends.
   */
  readonly look: (now: Snapshot, before: Snapshot | undefined) => ReadonlyArray<typeof Answer.Type>
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

/** What the figures say of a queue since the look before. Retention takes some away, so it may have been more. */
const endedIn = (
  queue: string,
  now: Snapshot,
  before: Snapshot
): { readonly completed: number; readonly died: number } => {
  const of = ({ queues }: Snapshot) => queues.find((one) => one.queue === queue)
  const rise = (state: "completed" | "dead") => Math.max(0, (of(now)?.[state] ?? 0) - (of(before)?.[state] ?? 0))
  const newest = now.dead.filter((record) => record.queue === queue && record.finishedAt > before.at)
  return { completed: rise("completed"), died: Math.max(rise("dead"), newest.length) }
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
 * Of what ends in a queue, more than `above` dies.
 *
 * **Details**
 *
 * The figures of a store say how many records are kept, not how many have ended: a queue that is well has as many completed records
 * removed as complete, or keeps none of them. So where the deaths since the look before could be too many, the look listens to what ends, until
 * it has heard 500 ends of each such queue, for ten seconds at most. What it hears decides, whatever is kept.
 *
 * **Gotchas**
 *
 * It says nothing of deaths that are over when it listens, such as those of a batch that failed at once: `dead` tells of these. It needs
 * a store that has events, and never finds anything without them, as on Postgres with `listen: false`. While it listens, and for half
 * a minute after that, the store tells what happens to every record.
 *
 * @category constructors
 * @since 0.1.0
 */
export const failureRate = (
  options: Options & {
    /** From 0 to 1. */
    readonly above: number
    /**
     * With fewer ends than that between two looks there is no rate. What is heard is for a part of the time, and so is this.
     *
     * @default 20
     */
    readonly atLeast?: number | undefined
  }
): AlertRule => {
  const { above, atLeast = 20 } = options
  if (!(above >= 0 && above <= 1)) throw new Error("rule failureRate: above must be from 0 to 1")
  return {
    forMillis: 0,
    look: (now, before) =>
      before === undefined ? [] : now.queues.flatMap(({ heard, queue }) => {
        if (!isWatched(options, queue)) return []
        const { completed, died } = endedIn(queue, now, before)
        // With as many completed as there must be, it would be no more than that.
        if (died === 0 || died / Math.max(atLeast, died + completed) <= above) return []
        const finding = { key: `failureRate/${queue}`, severity: options.severity ?? "critical" } as const
        if (heard === undefined || heard.forMillis === 0) {
          return [{ ...finding, title: `queue ${queue}: ${counted(died, "record")} died`, detail: "", doubt: queue }]
        }
        const ends = heard.completed + heard.dead
        const rate = heard.dead / ends
        const isEnough = ends > 0 && ends >= atLeast * Math.min(1, heard.forMillis / (now.at - before.at))
        return !isEnough || rate <= above ? [] : [{
          ...finding,
          title: `queue ${queue}: ${Math.round(rate * 100)} % of what ends is dead`,
          detail: `${heard.dead} dead, ${heard.completed} completed in ${said(heard.forMillis)}`
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
