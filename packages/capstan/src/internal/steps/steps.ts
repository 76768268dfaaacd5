/**
 * The steps of one attempt: what the record has kept of those before it, and what this one adds.
 *
 * Guarantee: a step whose checkpoint is written never runs again. The write carries the fence, goes out until it is answered,
 * and changes nothing where the name is taken; what was kept is looked up before a step runs. A step that waits ends the
 * attempt once no other step of it is under way.
 *
 * A step costs one round trip, and a later attempt none for it. Rejected: to let the checkpoint go along with that of the next step,
 * or with the end of the attempt. The next effect would begin before the store has it: a worker that dies then does both again, and an
 * attempt that has lost its lease, which the answer tells, does one effect more. Only who calls knows whether that is harmless; it puts
 * both into one step.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Schedule from "effect/Schedule"
import * as Semaphore from "effect/Semaphore"
import { DuplicateStep, JobStoreError, LeaseLost, OtherStep, StepError, WaitInStep } from "../../JobError.ts"
import type { JobId, JobRecord } from "../../JobRecord.ts"
import type {
  AttemptRef,
  Claimed,
  DependenciesReply,
  DependenciesRequest,
  NewRecord,
  ResultAnswer,
  Settled,
  WriteEntry
} from "../../JobStore.ts"
import type { Final } from "../awaiter.ts"
import { EndSignal } from "../handler.ts"
import * as Log from "../log.ts"
import * as Checkpoint from "./checkpoint.ts"
import * as Failure from "./failure.ts"
import { endMark } from "./names.ts"
import * as Telemetry from "./telemetry.ts"
import { Until } from "./until.ts"

/** What steps ask of the store. */
export interface StepStore {
  readonly write: (entry: WriteEntry) => Effect.Effect<ReadonlyArray<Settled>, JobStoreError>
  readonly get: (id: JobId) => Effect.Effect<JobRecord | undefined, JobStoreError>
  readonly results: (id: JobId) => Effect.Effect<ReadonlyArray<ResultAnswer>, JobStoreError>
  readonly dependencies: (request: DependenciesRequest) => Effect.Effect<DependenciesReply, JobStoreError>
}

/** The attempt that the steps belong to. */
export interface StepRecord {
  readonly id: JobId
  readonly fence: number
  readonly job: string
  readonly claimed: Claimed
  /** The store's clock, as far as it is known to have come: never ahead of it. */
  readonly storeNow: number
  /** Its lease is lost: what it writes counts no more. */
  readonly isLost: boolean
  /** What its worker has warned of for its job. */
  readonly warned: Set<string>
  readonly log: (message: string) => Effect.Effect<void>
}

/** What a step waits for that has ended its part of the attempt. */
export type Wait =
  | { readonly _tag: "Timer"; readonly until: number }
  | { readonly _tag: "Signal"; readonly waitpoint: string; readonly until: number | undefined }
  | { readonly _tag: "Child"; readonly record: NewRecord; readonly until: number | undefined }

/** The step that a fiber is inside of: neither what waits nor what is to be undone may stand there. */
export const InStep = Context.Reference<string | undefined>("capstan/InStep", { defaultValue: () => undefined })

/** How to undo a step that has its checkpoint. */
interface Undo {
  readonly name: string
  readonly effect: Effect.Effect<unknown, unknown>
}

/** A store that is away is asked again until the lease is lost, which interrupts the attempt. */
const patience = Schedule.exponential("50 millis").pipe(
  (fast) => Schedule.min([fast, Schedule.spaced("2 seconds")]),
  Schedule.jittered
)
/** For how long a branch waits for steps of others that are to say how they are undone, in milliseconds. */
const forOthers = 5000

/** What a worker has warned of for a job, and remembers. */
const maxWarned = 32

/** How many a call of the store answers of what the record has waited for. */
const page = 1000

/** Checkpoints of a step's own making have these in their names; what is before them is the step's name. */
const stepOf = (name: string): string => name.replace(/[~@].*$/, "")

export class Steps {
  readonly record: StepRecord
  private readonly store: StepStore | undefined
  private readonly known: Map<string, string>
  /** What the record has kept is known: the claim has brought all of it, or the rest was read. */
  isWhole: boolean
  /** Steps that can be undone, of which nobody knows whether they are in the store: their writes were cut short. */
  private readonly unanswered = new Set<string>()
  private readonly asked = new Set<string>()
  private readonly ran = new Set<string>()
  /** Steps inside of another one, by name. */
  private readonly inside = new Map<string, string>()
  private ends: Map<string, Final> | undefined
  private readonly oneReader = Semaphore.makeUnsafe(1)
  private active = 0
  private readonly quiet = Latch.makeUnsafe(true)
  private readonly waits = new Set<Wait>()
  private readonly failed = new Failure.Failed()
  /** How to undo what is done, in the order of the handler. */
  readonly undos: Array<Undo> = []
  /** Where among them the next one stands that says how. */
  private place = 0
  private readonly until = new Until()
  /** The handler is run to learn how to undo its steps: those that have no checkpoint do not run. */
  isEnding = false
  /** Steps that fail in this run of it, whatever is kept of them: another way than that of the last attempt leads through that. */
  private failing: Failure.Failures | undefined
  private readonly ways = new Set<string>()
  /** It has said itself how it ends. */
  isOver = false

  constructor(record: StepRecord, store: StepStore | undefined) {
    this.record = record
    this.store = store
    this.known = new Map(Object.entries(record.claimed.checkpoints))
    this.isWhole = record.claimed.isCut !== true
  }

  // --------------------------------------------------------------------------------------------------------- looking up

  /** Takes a name for this attempt, and answers what the record has kept under it. */
  ask(
    name: string,
    ...kinds: ReadonlyArray<Checkpoint.Kind>
  ): Effect.Effect<Checkpoint.Checkpoint | undefined, JobStoreError> {
    return Effect.withFiber((fiber) => {
      const { job } = this.record
      if (this.asked.has(name)) return Effect.die(new StepError({ reason: new DuplicateStep({ job, step: name }) }))
      this.asked.add(name)
      const around = fiber.getRef(InStep)
      if (around !== undefined) this.inside.set(name, around)
      if (Failure.find(this.failing, name) !== undefined) return Effect.undefined
      return Effect.flatMap(this.find(name), (found) =>
        found === undefined || kinds.includes(found.kind)
          ? Effect.succeed(found)
          : Effect.die(
            new StepError({ reason: new OtherStep({ job, step: name, wanted: kinds[0]!, found: found.kind }) })
          ))
    })
  }

  /** What the record has kept under a name. */
  find(name: string): Effect.Effect<Checkpoint.Checkpoint | undefined, JobStoreError> {
    return Effect.suspend(() => {
      const found = this.known.get(name)
      if (found !== undefined) return Effect.succeed(Checkpoint.read(found))
      return this.isWhole
        ? Effect.undefined
        : Effect.andThen(this.readAll, Effect.sync(() => this.known.get(name))).pipe(
          Effect.map((text) => text === undefined ? undefined : Checkpoint.read(text))
        )
    })
  }

  /** All names that are known. */
  get names(): Effect.Effect<ReadonlyArray<string>, JobStoreError> {
    return Effect.suspend(() => Effect.map(this.isWhole ? Effect.void : this.readAll, () => [...this.known.keys()]))
  }

  /** The rest of what a claim brings only the first 64 KiB of; and what somebody else has written since. */
  get readAll(): Effect.Effect<void, JobStoreError> {
    return Effect.suspend(() => {
      if (this.store === undefined) return Effect.void
      return Effect.map(this.patiently(this.store.get(this.record.id)), (found) => {
        this.isWhole = true
        for (const [name, text] of Object.entries(found?.checkpoints ?? {})) this.known.set(name, text)
      })
    })
  }

  result(id: JobId): Effect.Effect<ResultAnswer | undefined, JobStoreError> {
    const { store } = this
    return store === undefined
      ? Effect.undefined
      : Effect.map(this.patiently(store.results(id)), ([answer]) => answer)
  }

  /**
   * How a child has ended that this record waited for, also one that is removed; `undefined` when it has not, or there was none.
   * All are read once: of hundreds that are removed, each would ask.
   */
  endOf(id: JobId): Effect.Effect<Final | undefined, JobStoreError> {
    const read = Effect.suspend(() => this.ends === undefined ? this.readEnds : Effect.void)
    return Effect.andThen(this.oneReader.withPermits(1)(read), Effect.sync(() => this.ends?.get(id)))
  }

  private get readEnds(): Effect.Effect<void, JobStoreError> {
    return Effect.gen({ self: this }, function*() {
      const { store } = this
      if (store === undefined) return
      const ends = new Map<string, Final>()
      let cursor: string | undefined
      do {
        const reply = yield* this.patiently(store.dependencies({ id: this.record.id, limit: page, cursor }))
        // A child has its own id for its name.
        for (const { answer, name } of reply.dependencies) if (answer._tag !== "Pending") ends.set(name, answer)
        cursor = reply.cursor
      } while (cursor !== undefined)
      this.ends = ends
    })
  }

  // ------------------------------------------------------------------------------------------------------------ keeping

  /** Keeps a checkpoint. Once it returns, the store has it; a stale attempt fails with `LeaseLost`. */
  keep(
    name: string,
    checkpoint: Checkpoint.Given,
    replaces?: string
  ): Effect.Effect<void, JobStoreError> {
    return Effect.suspend(() => {
      const entry = this.entryOf(name, checkpoint, replaces)
      return this.store === undefined
        ? Effect.sync(() => this.kept(entry))
        : this.accept(entry, this.patiently(this.store.write(entry)))
    })
  }

  /** The same with one try, for who has no time. */
  tryKeep(name: string, checkpoint: Checkpoint.Given, replaces?: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.store === undefined) return Effect.void
      const entry = this.entryOf(name, checkpoint, replaces)
      return Effect.ignore(this.accept(entry, this.store.write(entry)))
    })
  }

  entryOf(name: string, checkpoint: Checkpoint.Given, replaces?: string): StepEntry {
    const { fence, id } = this.record
    const value = Checkpoint.write({ ...checkpoint, inside: this.inside.get(stepOf(name)) })
    if (checkpoint.undo === true) this.unanswered.add(name)
    return {
      _tag: "Step",
      at: { id, fence },
      name,
      value,
      replaces,
      ...(checkpoint.undo === true ? { undo: true } : {})
    }
  }

  /** It is in the store. */
  kept({ name, replaces, value }: StepEntry): void {
    if (replaces !== undefined) this.known.delete(replaces)
    this.known.set(name, value)
    this.unanswered.delete(name)
  }

  /** Keeps how the record is to end: its next attempt undoes what is done. */
  keepEnd(end: unknown): Effect.Effect<void, JobStoreError> {
    const entry = endEntry(this.record, end)
    return this.store === undefined ? Effect.void : this.accept(entry, this.patiently(this.store.write(entry)))
  }

  private accept(
    entry: StepEntry,
    write: Effect.Effect<ReadonlyArray<Settled>, JobStoreError>
  ): Effect.Effect<void, JobStoreError> {
    return Effect.flatMap(write, ([answer]) =>
      answer === "Done"
        ? Effect.sync(() => this.kept(entry))
        : Effect.fail(new JobStoreError({ reason: new LeaseLost(entry.at) })))
  }

  private patiently<A>(call: Effect.Effect<A, JobStoreError>): Effect.Effect<A, JobStoreError> {
    return Effect.retry(call, { schedule: patience, while: (error) => error.isTransient && !this.record.isLost })
  }

  // ------------------------------------------------------------------------------------------------------------ running

  /** Runs what has no checkpoint yet. Whoever waits beside it waits until it is through. */
  run<A, R>(name: string, effect: Effect.Effect<A, unknown, R>): Effect.Effect<A, unknown, R> {
    const begin = Effect.sync(() => {
      this.active++
      this.quiet.closeUnsafe()
      this.ran.add(name)
      return this.record.storeNow
    })
    const end = Effect.sync(() => {
      if (--this.active === 0) this.quiet.openUnsafe()
    })
    const running = Effect.acquireUseRelease(
      begin,
      () => Effect.provideService(Telemetry.observed(this.record, name, effect), InStep, name),
      (began, exit) => {
        // What is inside of another step is not come to again: that one fails again, or is kept.
        if (!this.inside.has(name)) this.failed.add(name, exit, this.record.storeNow - began)
        return end
      }
    )
    return Effect.suspend(() => this.isEnding ? this.failAgain(name) : running)
  }

  /** Ends the attempt until what it waits for has come. */
  wait(name: string, wait: Wait): Effect.Effect<never> {
    return Effect.withFiber((fiber) => {
      if (fiber.getRef(InStep) !== undefined) {
        return Effect.die(new StepError({ reason: new WaitInStep({ job: this.record.job, step: name }) }))
      }
      return Effect.andThen(
        this.stopHere,
        Effect.acquireUseRelease(
          Effect.sync(() => this.waits.add(wait)),
          () =>
            Effect.andThen(
              Effect.andThen(this.untilQuiet, Telemetry.waits(this.record, wait._tag)),
              Effect.suspend(() => Effect.die(this.signalOf()))
            ),
          () => Effect.sync(() => this.waits.delete(wait))
        )
      )
    })
  }

  /** Others may begin a step, or lose a race, in the turn in which the last one ended. */
  private get untilQuiet(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      yield* Effect.yieldNow
      while (this.active > 0) {
        yield* this.quiet.await
        yield* Effect.yieldNow
      }
    })
  }

  /** One end for all that waits: whichever comes first lets the record run again. */
  private signalOf(): EndSignal {
    const waits = [...this.waits]
    const children = waits.flatMap((wait) => wait._tag === "Child" ? [wait.record] : [])
    const left = children.length === 0 ? undefined : children
    let until = Infinity
    for (const wait of waits) if (wait.until !== undefined) until = Math.min(until, wait.until)
    const delay = until === Infinity ? undefined : Math.max(0, Math.ceil(until - this.record.storeNow))
    const signal = waits.find((wait) => wait._tag === "Signal")
    if (signal !== undefined) {
      const { waitpoint } = signal
      return new EndSignal(
        delay === undefined ? { _tag: "WaitFor", waitpoint } : { _tag: "WaitFor", waitpoint, delay },
        left
      )
    }
    if (delay === undefined) return new EndSignal({ _tag: "WaitForChildren" }, left)
    return new EndSignal(
      left === undefined ? { _tag: "SnoozeFor", delay } : { _tag: "WaitForChildren", delay },
      left
    )
  }

  // ------------------------------------------------------------------------------------------------------------- undoing

  /** The names of the steps that are to be undone when the record ends without success. */
  get undoable(): ReadonlyArray<string> {
    return [...this.known].flatMap(([name, text]) =>
      Checkpoint.read(text).undo && !this.known.has(undoneOf(name)) ? [name] : []
    )
  }

  /**
   * Something has to be undone when the record ends without success, or may have to, as long as not all is known: the next
   * attempt finds out.
   */
  get mayHaveToUndo(): boolean {
    return !this.isWhole || this.unanswered.size > 0 || this.undoable.length > 0
  }

  /** The steps that have failed before this one begins, for one that is to be undone. */
  get failedSoFar(): Failure.Failures | undefined {
    return this.failed.kept
  }

  /** What is done of a step can be undone so. */
  canUndo(name: string, effect: Effect.Effect<unknown, unknown>): void {
    const at = this.undos.findIndex((undo) => undo.name === name)
    if (at < 0) this.undos.splice(this.place, 0, { name, effect })
    this.place = (at < 0 ? this.place : at) + 1
    this.until.ask()
  }

  /** Steps that are to be undone, and have not said how. */
  get missing(): ReadonlyArray<string> {
    return this.undoable.filter((name) => !this.undos.some((undo) => undo.name === name))
  }

  /** Waits until each of them has said how. */
  get undosKnown(): Effect.Effect<void> {
    return this.until.isSo(() => this.missing.length === 0)
  }

  private untilOrLate(condition: () => boolean): Effect.Effect<void> {
    return Effect.timeoutOrElse(this.until.isSo(condition), { duration: forOthers, orElse: () => Effect.void })
  }

  /** In the last attempt of a record that is to end, what is not done does not begin: others may have to say how they are undone. */
  get stopHere(): Effect.Effect<void> {
    return Effect.suspend(() => this.isEnding ? this.stop : Effect.void)
  }

  private get stop(): Effect.Effect<never> {
    return Effect.andThen(this.untilOrLate(() => this.missing.length === 0), Effect.die(stopped))
  }

  /**
   * The same for a step with a result. One that had failed when a step began that is to be undone fails again: the handler went on
   * after that, and does so now. It does not run, which could do its effect once more, or succeed and lead elsewhere. To fail at once
   * could interrupt those beside it that say later how they are undone.
   */
  private failAgain(name: string): Effect.Effect<never, unknown> {
    return Effect.suspend(() => {
      const before = (later: string) => Failure.find(this.failedBefore(later), name)
      const failure = Failure.find(this.failing, name) ??
        this.missing.map(before).find((failure) => failure !== undefined)
      if (failure === undefined) return this.stop
      const isNext = () => this.missing.every((later) => before(later) !== undefined)
      return Effect.andThen(
        this.untilOrLate(isNext),
        Effect.suspend(() =>
          this.missing.length === 0
            ? this.stop
            : Effect.andThen(Failure.again(failure, forOthers), this.stop)
        )
      )
    })
  }

  private failedBefore(name: string): Failure.Failures | undefined {
    return Checkpoint.read(this.known.get(name)!).failed
  }

  /**
   * Prepares another run of the handler, where it may say more: what is missing was done on another way, since a step that had
   * failed before it succeeded in a later attempt.
   */
  takeOtherWay(): boolean {
    const next = this.missing.find((name) => !this.ways.has(name) && this.failedBefore(name) !== undefined)
    if (next === undefined) return false
    this.ways.add(next)
    this.failing = this.failedBefore(next)
    this.asked.clear()
    this.place = 0
    return true
  }

  // ------------------------------------------------------------------------------------------------------ what is left

  /**
   * Says in the record which checkpoints no step of a finished attempt asked for: a name was changed. In the log it says so once,
   * and of names that are each record's own no more than some tens of times. What is inside of a step that is kept is not asked for.
   */
  get reportUnasked(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const left = new Set<string>()
      for (const [name, text] of this.known) {
        const step = stepOf(name)
        if (step === "" || name.startsWith("!") || this.asked.has(step)) continue
        const { inside } = Checkpoint.read(text)
        const isCovered = inside !== undefined && this.known.has(inside) && !this.ran.has(inside)
        if (!isCovered) left.add(step)
      }
      if (left.size === 0) return Effect.void
      const names = [...left].toSorted().join(", ")
      const { id, job, log, warned } = this.record
      const line = `no step asked for what is kept of ${names}: was it renamed or taken out?`
      if (warned.has(line) || warned.size >= maxWarned) return log(line)
      warned.add(line)
      return Effect.andThen(log(line), Log.warning(`job ${job}, record ${id}: ${line}`))
    })
  }
}

type StepEntry = WriteEntry & { readonly _tag: "Step" }

/** How the record is to end: its next attempt undoes what is done, and ends it. */
export const endEntry = ({ fence, id }: AttemptRef, end: unknown): StepEntry => ({
  _tag: "Step",
  at: { id, fence },
  name: endMark,
  value: JSON.stringify(end),
  undo: true
})

export const undoneOf = (name: string): string => `${name}~undone`

/** Unwinds a handler that has nothing more to say. */
const stopped = new EndSignal({ _tag: "Release" })
