/**
 * What all parts of one simulated run share: the seed's choices, the trace, what was reached and what went wrong.
 */
import type { Lifecycle } from "capstan"
import { Effect } from "effect"
import type { Reached } from "./coverage.ts"
import { Features } from "./features.ts"
import { MemberLog } from "./memberLog.ts"
import { StepLog } from "./stepLog.ts"

/** A small generator (mulberry32, public domain): the same seed makes the same choices on every machine. */
export class Choices {
  private state: number

  constructor(seed: number) {
    this.state = seed | 0
  }

  /** From 0 up to 1. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  between(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1))
  }

  pick<A>(values: ReadonlyArray<A>): A {
    return values[this.between(0, values.length - 1)]!
  }
}

export type Fault =
  | "lost reply"
  | "unavailable"
  | "duplicate request"
  | "slow reply"
  | "dropped wake-up"
  | "frozen worker"
  | "killed worker"
  | "store restart"
  | "clock step"

export class World {
  readonly choices: Choices
  readonly faults = new Map<Fault, number>()
  /** Events of the transition table, and steps from state to state. */
  readonly events = new Map<Lifecycle.Event, number>()
  readonly transitions = new Map<string, number>()
  /** What of the features was seen to happen. */
  readonly features = new Map<Reached, number>()
  /** Records that a client was told of. */
  readonly acknowledged = new Set<string>()
  readonly violations: Array<string> = []
  /** Faults happen while this holds; then the cluster must come to rest. */
  isHostile = true
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

  constructor(seed: number) {
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
    this.trace(fault)
  }

  violate(what: string): void {
    if (this.violations.length < 10) this.violations.push(`at ${this.now()} ms: ${what}`)
  }

  /** Folds what happened into the hash of the run (FNV-1a): two runs of a seed must agree. */
  trace(what: string): void {
    const text = `${this.now()} ${what}`
    for (let i = 0; i < text.length; i++) this.hash = Math.imul(this.hash ^ text.charCodeAt(i), 16777619)
  }

  get fingerprint(): string {
    return (this.hash >>> 0).toString(16)
  }
}
