/**
 * One run of a record in this process, and the handler's view of it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type * as Tracer from "effect/Tracer"
import type { Shape as JobContextShape } from "../../JobContext.ts"
import type { JobId } from "../../JobRecord.ts"
import type { Claimed, NewRecord, WriteEntry } from "../../JobStore.ts"
import { EndSignal } from "../handler.ts"
import { type StepRecord, Steps, type StepStore } from "../steps/steps.ts"
import type { Batch } from "./batch.ts"
import { type Answer, plain, type RunnableJob } from "./runner.ts"
import type { QueueSlots } from "./slots.ts"

/** Why the worker interrupted an attempt. */
export type Stop =
  | { readonly _tag: "Cancel"; readonly reason: string }
  | { readonly _tag: "TimedOut" }
  /** The lease is gone: another worker may have the record, so nothing is settled. */
  | { readonly _tag: "Lost" }
  | { readonly _tag: "Shutdown" }

/** What an attempt needs of its worker. */
export interface Host {
  /** Milliseconds by the monotonic clock. */
  readonly elapsedNow: () => number
  readonly writes: (attempt: Attempt) => void
  /** Where steps are kept; nowhere for an attempt that no store holds. */
  readonly steps: StepStore | undefined
}

/** When the claims of one exchange arrived: by the monotonic clock, and by the store's. */
export interface Receipt {
  readonly at: number
  readonly storeNow: number
}

const pause = (duration: Duration.Input, closes?: "key" | "queue"): Effect.Effect<never> => {
  const millis = Duration.toMillis(Duration.fromInputUnsafe(duration))
  return millis >= 0 && millis < Infinity
    ? Effect.die(new EndSignal({ _tag: "SnoozeFor", delay: Math.ceil(millis), closes }))
    : Effect.die(new Error(`a snooze must be a finite duration from 0, it is ${millis} ms`))
}

/** Log lines of one attempt, and characters of one. */
export const maxLines = 100
export const maxLine = 2000

export class Attempt implements JobContextShape, StepRecord {
  readonly claimed: Claimed
  readonly runnable: RunnableJob
  readonly slots: QueueSlots
  private readonly host: Host
  private readonly receipt: Receipt
  /** By the monotonic clock: with its claim, or later where a worker has no slot for it yet. */
  startedAt: number
  fiber: Fiber.Fiber<unknown, unknown> | undefined
  stop: Stop | undefined
  /** When it was interrupted, by the monotonic clock. */
  stoppedAt = 0
  /** Its handler has succeeded, and its finalizers are not done: whatever stops them, it has succeeded. */
  answered: Exit.Success<Answer, unknown> | undefined
  /** It has ended, and its policy is not done with what that leads to. */
  deciding = false
  /** It holds its slot no more: it has ended, or could not be interrupted and was given up. */
  over = false
  /** It could not be interrupted, and was given up. */
  isAbandoned = false
  /** The span around its handler. */
  span: Tracer.AnySpan | undefined
  /** It committed its own completion: nothing is left to settle. */
  isCommitted = false
  /** Records that its settlement stores. */
  children: ReadonlyArray<NewRecord> | undefined
  private stepsOf: Steps | undefined
  private latest: string | undefined
  /** Those that it runs together with. */
  batch: Batch | undefined
  readonly scope = Scope.makeUnsafe()
  private lines: Array<string> | undefined
  private logged = 0

  constructor(
    claimed: Claimed,
    runnable: RunnableJob,
    slots: QueueSlots,
    host: Host,
    receipt: Receipt
  ) {
    this.claimed = claimed
    this.runnable = runnable
    this.slots = slots
    this.host = host
    this.receipt = receipt
    this.startedAt = receipt.at
  }

  get id(): JobId {
    return this.claimed.id
  }
  get job(): string {
    return this.claimed.tag
  }
  get queue(): string {
    return this.claimed.queue
  }
  get attempt(): number {
    return this.claimed.attempt
  }
  get fence(): number {
    return this.claimed.fence
  }
  get idempotencyKey(): string {
    return this.claimed.id
  }
  get tags(): ReadonlyArray<string> {
    return this.claimed.tags
  }
  get headers(): Readonly<Record<string, string>> {
    return this.claimed.headers
  }
  get parent(): Option.Option<JobId> {
    return Option.fromUndefinedOr(this.claimed.parent)
  }
  get flow(): Option.Option<JobId> {
    return Option.fromUndefinedOr(this.claimed.flowId as JobId | undefined)
  }
  get deadline(): Option.Option<number> {
    const { timeout } = this.runnable.policy
    return timeout === Infinity
      ? Option.none()
      : Option.some(this.receipt.storeNow + (this.startedAt - this.receipt.at) + timeout)
  }

  /** How long after its claim an instant of the monotonic clock is. */
  elapsedAt(now: number): number {
    return Math.max(0, now - this.receipt.at)
  }

  /** The instant `elapsed` after its claim, by the store's clock. */
  storeTimeAfter(elapsed: number): number {
    return this.receipt.storeNow + elapsed
  }

  // Functions are made when a handler asks for them, so that an attempt that asks for none allocates none, and one that
  // takes them out of the service can still call them.

  get elapsed(): () => number {
    return () => this.elapsedAt(this.host.elapsedNow())
  }

  /** Made for who asks for them. */
  get steps(): Steps {
    return this.stepsOf ??= new Steps(this, this.host.steps)
  }

  /** This attempt, or one before it, has had steps or signals. */
  get mayHaveSteps(): boolean {
    if (this.stepsOf !== undefined || this.claimed.isCut === true) return true
    for (const _ in this.claimed.checkpoints) return true
    return false
  }

  get storeNow(): number {
    return this.storeTimeAfter(this.elapsedAt(this.host.elapsedNow()))
  }

  get warned(): Set<string> {
    return this.runnable.warned
  }

  get isLost(): boolean {
    return this.stop?._tag === "Lost"
  }

  get isStopped(): boolean {
    return this.stop !== undefined
  }

  get watch(): (fiber: Fiber.Fiber<unknown, unknown>) => void {
    return (fiber) => {
      // One that runs by itself is interrupted as a whole.
      if (this.batch !== undefined) this.fiber = fiber
    }
  }

  /** When what cannot be interrupted is given up, by the monotonic clock. The others of its batch go on without it. */
  givenUpAfter(grace: number): number {
    return (this.batch === undefined ? this.stoppedAt : this.batch.stoppedAt) + grace
  }

  get log(): (message: string) => Effect.Effect<void> {
    return (message) => Effect.sync(() => this.addLine(message))
  }

  get snooze(): (duration: Duration.Input) => Effect.Effect<never> {
    return (duration) => Effect.suspend(() => pause(duration))
  }

  get limited(): (what: "key" | "queue", duration: Duration.Input) => Effect.Effect<never> {
    return (what, duration) =>
      Effect.suspend(() =>
        what === "key" && this.runnable.definition.limit === undefined
          ? Effect.die(new Error(`job ${this.job} has no limit whose key could be limited: give it the option limit`))
          : pause(duration, what)
      )
  }

  get write(): (entry: WriteEntry) => void {
    return (entry) => {
      if (entry._tag !== "Progress") return
      this.latest = entry.value
      this.host.writes(this)
    }
  }

  private addLine(message: string): void {
    if (this.logged === maxLines) return
    this.logged++
    this.lines ??= []
    this.lines.push(
      this.logged === maxLines
        ? `(only the first ${maxLines - 1} lines of an attempt are kept)`
        : plain(message.length > maxLine ? `${message.slice(0, maxLine)}…` : message)
    )
    this.host.writes(this)
  }

  /** What it has written since the last time. */
  takeWrites(): ReadonlyArray<WriteEntry> {
    const at = { id: this.id, fence: this.fence }
    const entries: Array<WriteEntry> = []
    if (this.lines !== undefined) entries.push({ _tag: "Log", at, lines: this.lines })
    if (this.latest !== undefined) entries.push({ _tag: "Progress", at, value: this.latest })
    this.lines = undefined
    this.latest = undefined
    return entries
  }
}
