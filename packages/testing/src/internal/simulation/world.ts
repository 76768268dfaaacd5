/**
 * What all parts of one simulated run share: the seed's choices, the trace, what was reached and what went wrong.
 */
import type { Lifecycle } from "capstan"
import { Effect } from "effect"
import { Choices, hashOf } from "./choices.ts"
import type { Reached } from "./coverage.ts"
import { Features } from "./features.ts"
import { MemberLog } from "./memberLog.ts"
import { StepLog } from "./stepLog.ts"

/** What somebody did, or what went wrong, at some instant: with its key it can be left out of another run of the seed. */
export interface Occurrence {
  readonly key: string
  /** Virtual milliseconds since the start of the run. */
  readonly at: number
  readonly what: string
}

/** What a record did, for who reads the story of a run. */
export interface Told {
  /** Virtual milliseconds since the start of the run. */
  readonly at: number
  readonly what: string
  readonly id: string
}

/** Two faults of which the second comes so soon after the first, in milliseconds, meet: as long as a lease. */
const meetsWithin = 6000

export type Fault =
  | "lost reply"
  | "unavailable"
  | "duplicate request"
  | "slow reply"
  | "dropped wake-up"
  | "frozen worker"
  | "killed worker"
  | "terminated worker"
  | "store restart"
  | "clock step"

export const faults: ReadonlyArray<Fault> = [
  "lost reply",
  "unavailable",
  "duplicate request",
  "slow reply",
  "dropped wake-up",
  "frozen worker",
  "killed worker",
  "terminated worker",
  "store restart",
  "clock step"
]

export class World {
  readonly seed: number
  readonly choices: Choices
  readonly faults = new Map<Fault, number>()
  /** How often one fault came within a lease after another one. */
  readonly pairs = new Map<string, number>()
  private readonly struck = new Map<Fault, number>()
  /** What happened, in order; what is in `without` did not. */
  readonly story: Array<Occurrence> = []
  private readonly without: ReadonlySet<string>
  /** What the records did, while somebody wants to know. */
  readonly told: Array<Told> = []
  readonly tells: boolean
  /** The names of workers, by their ids. */
  readonly workers = new Map<string, string>()
  /** Events of the transition table, and steps from state to state. */
  readonly events = new Map<Lifecycle.Event, number>()
  readonly transitions = new Map<string, number>()
  /** What of the features was seen to happen. */
  readonly features = new Map<Reached, number>()
  /** Records that a client was told of. */
  readonly acknowledged = new Set<string>()
  readonly violations: Array<string> = []
  brokeAt: number | undefined = undefined
  /** Faults happen while this holds; then the cluster must come to rest. */
  isHostile = true
  /** Nobody is looked at any more. */
  isOver = false
  now: () => number = () => 0
  restartUntil = 0
  /** The slowest reply, in milliseconds. */
  slowest = 6000
  steps = 0
  /** Makes one of a step of the store and the look at its records after it. */
  atomically: <A, E>(step: Effect.Effect<A, E>) => Effect.Effect<A, E> = (step) => step
  readonly stepLog = new StepLog(this)
  readonly memberLog = new MemberLog(this)
  readonly use: Features
  private hash = 2166136261

  constructor(seed: number, { tells = false, without = new Set<string>() }: {
    readonly tells?: boolean | undefined
    readonly without?: ReadonlySet<string> | undefined
  } = {}) {
    this.seed = seed
    this.tells = tells
    this.without = without
    this.choices = new Choices(seed)
    this.use = new Features(this)
  }

  /** What operators leave alone. */
  acknowledge<E, R>(stored: Effect.Effect<ReadonlyArray<{ readonly id: string }>, E, R>): Effect.Effect<void, E, R> {
    return Effect.map(stored, (all) => all.forEach(({ id }) => this.acknowledged.add(id)))
  }

  met(what: Reached): void {
    this.features.set(what, (this.features.get(what) ?? 0) + 1)
  }

  reached(fault: Fault): void {
    this.faults.set(fault, (this.faults.get(fault) ?? 0) + 1)
    const now = this.now()
    for (const [before, at] of this.struck) {
      if (now - at > meetsWithin) continue
      const pair = `${before}, ${fault}`
      this.pairs.set(pair, (this.pairs.get(pair) ?? 0) + 1)
    }
    this.struck.set(fault, now)
    this.trace(fault)
  }

  /** Whether something happens that could: always, but in a run that is made without it. */
  may(key: string, what = key): boolean {
    if (this.without.has(key)) return false
    this.story.push({ key, at: this.now(), what })
    return true
  }

  tell(id: string, what: string): void {
    if (this.tells) this.told.push({ at: this.now(), what, id })
  }

  violate(what: string): void {
    this.brokeAt ??= this.now()
    if (this.violations.length < 10) this.violations.push(`at ${this.now()} ms: ${what}`)
  }

  /** Folds what happened into the hash of the run (FNV-1a): two runs of a seed must agree. */
  trace(what: string): void {
    this.hash = hashOf(`${this.now()} ${what}`, this.hash)
  }

  get fingerprint(): string {
    return (this.hash >>> 0).toString(16)
  }
}
