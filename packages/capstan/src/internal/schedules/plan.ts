/**
 * The planned instants of a schedule, computed: the same in every process, whenever it is asked.
 *
 * Cron is effect's, with its time zones. A local time that a clock change leaves out happens at the instant after the gap,
 * and one that it repeats by `onDstOverlap`.
 */
import * as Cron from "effect/Cron"
import * as Result from "effect/Result"

/** What a schedule is, as its row keeps it. Durations and instants are milliseconds. */
export interface Spec {
  readonly cron?: string | undefined
  readonly timeZone?: string | undefined
  readonly onDstOverlap?: Cron.DstOverlapPolicy | undefined
  readonly every?: number | undefined
  readonly start?: number | undefined
  readonly end?: number | undefined
  readonly limit?: number | undefined
  readonly jitter?: number | undefined
  readonly missed: "skip" | "runOnce" | "runAll"
  readonly overlap: "skip" | "queue" | "allow" | "cancelPrevious"
}

export interface Plan {
  /** The first planned instant after this one; none after the end. */
  readonly after: (at: number) => number | undefined
  /** The last planned instant up to this one; none before the start. */
  readonly latest: (at: number) => number | undefined
  /** When the tick of a planned instant is due: later by its jitter. */
  readonly dueAt: (at: number) => number
}

interface Raw {
  readonly after: (at: number) => number
  readonly latest: (at: number) => number
}

/** Throws where the specification has no instants: it was checked when it was made. */
export const toPlan = (name: string, spec: Spec): Plan => {
  const raw = spec.every === undefined ? ofCron(spec) : ofPeriod(spec.every, spec.start ?? 0)
  const { end = Infinity, jitter = 0, start = -Infinity } = spec
  const within = (search: (at: number) => number, at: number): number | undefined => {
    try {
      const found = search(at)
      return found >= start && found <= end ? found : undefined
    } catch {
      // A cron expression with a last instant, such as one of a single year's day.
      return undefined
    }
  }
  return {
    after: (at) => within(raw.after, Math.max(at, start - 1)),
    latest: (at) => within(raw.latest, Math.min(at, end)),
    dueAt: (at) => at + spread(`${name}/${at}`, jitter)
  }
}

const ofPeriod = (every: number, from: number): Raw => ({
  after: (at) => from + (Math.floor((at - from) / every) + 1) * every,
  latest: (at) => from + Math.floor((at - from) / every) * every
})

const ofCron = ({ cron = "", onDstOverlap, timeZone }: Spec): Raw => {
  const parsed = Result.getOrThrow(parse(cron, timeZone, onDstOverlap))
  return {
    after: (at) => Cron.next(parsed, at).getTime(),
    latest: (at) => Cron.prev(parsed, at + 1).getTime()
  }
}

/** With a wildcard for the hour, the hour that a clock change repeats is meant twice. */
export const parse = (
  cron: string,
  timeZone: string = "UTC",
  onDstOverlap: Cron.DstOverlapPolicy = /[*/]/.test(cron.trim().split(/\s+/).at(-4) ?? "*") ? "both" : "earlier"
): Result.Result<Cron.Cron, Cron.CronParseError> => Cron.parse(cron, timeZone, { onDstOverlap })

/** A number from 0 to `most` that every process finds for this text (FNV-1a). */
const spread = (text: string, most: number): number => {
  if (most === 0) return 0
  let hash = 2166136261
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 16777619)
  // The last characters differ alone: without this their hashes lie side by side.
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b)
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b)
  return Math.floor(((hash ^ (hash >>> 16)) >>> 0) / 4294967296 * (most + 1))
}

/** So many missed instants are made up for in one write. */
export const batch = 100

/** A tick that is later than this was missed. */
export const tolerance = 60_000

export interface Due {
  /** Those to enqueue, in their order. */
  readonly instants: ReadonlyArray<number>
  /** The one after them and after all that are skipped. */
  readonly nextAt: number | undefined
}

/** What is due of a schedule whose next tick was planned for `at`, by its policy for missed instants. */
export const dueOf = (plan: Plan, spec: Spec, at: number, now: number): Due => {
  // What lies in the last moments may have its jitter still before it.
  const latest = Math.max(at, plan.latest(now - (spec.jitter ?? 0)) ?? at)
  switch (spec.missed) {
    case "runOnce":
      return { instants: [latest], nextAt: plan.after(latest) }
    case "skip":
      return { instants: now - plan.dueAt(latest) > tolerance ? [] : [latest], nextAt: plan.after(latest) }
    case "runAll": {
      const instants = [at]
      let next = plan.after(at)
      while (next !== undefined && next <= latest && instants.length < batch) {
        instants.push(next)
        next = plan.after(next)
      }
      return { instants, nextAt: next }
    }
  }
}
