/**
 * What the loops of one worker share. All of it is changed in one thread, between two suspensions, so no lock is needed.
 *
 * To open a latch runs who waits for it, there and then: it is the last thing that a change does. To interrupt a fiber may
 * end its attempt there and then, too.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import type {
  AttemptRef,
  CancelRequest,
  Claimed,
  ExchangeReply,
  NewRecord,
  Outcome,
  Settlement,
  Shape as Store
} from "../../JobStore.ts"
import { endedHeader } from "../ended.ts"
import { following } from "../follow.ts"
import { endMark } from "../steps/names.ts"
import type { StepStore } from "../steps/steps.ts"
import { withSteps } from "../steps/undo.ts"
import { traceparent } from "../tracing.ts"
import { Attempt, type Host, type Receipt, type Stop } from "./attempt.ts"
import { Batch } from "./batch.ts"
import { within } from "./call.ts"
import { Collector } from "./collector.ts"
import { Health } from "./health.ts"
import { Outbox } from "./outbox.ts"
import {
  type Answer,
  body,
  completed,
  contextOf,
  type Decided,
  outcomeOf,
  type RunnableJob,
  undecided
} from "./runner.ts"
import type { QueueSlots, Slots } from "./slots.ts"
import type { Telemetry } from "./telemetry.ts"
import { type Settings, Timers } from "./timers.ts"
import { membersOf, type Prefetched, without } from "./waiting.ts"

/** Which reason of several holds. */
const rank: Readonly<Record<Stop["_tag"], number>> = { Cancel: 0, TimedOut: 1, Shutdown: 1, Lost: 2 }

/**
 * How long a claimed record may wait for a slot, at least, before it is given back to other workers, in milliseconds. A store
 * elsewhere answers late now and then, and what is given back costs it as much as twenty that run: with 20 there too, a busy
 * machine gave back every fifth record. Others look once a poll, so a part of that is no loss to them.
 */
const minPatience = { here: 20, elsewhere: 250 }
/** How long the worker may keep the thread, in milliseconds. */
export const slice = 4

export class WorkerState extends Timers implements Host {
  readonly store: Store
  readonly slots: Slots
  readonly jobs: ReadonlyMap<string, RunnableJob>
  readonly telemetry: Telemetry
  /** Not by id: a record that was lost may run here again while its lost attempt cannot be interrupted. */
  readonly running = new Set<Attempt>()
  private waiting: Array<Prefetched> = []
  private isStarting = false
  readonly collector = new Collector()
  readonly outbox = new Outbox()
  /** The attempts of those settlements in whose place, where the store refuses one, its record is to run once more. */
  readonly ends = new WeakMap<Settlement, Attempt>()
  /** Wakes the pump. */
  readonly work = Latch.makeUnsafe(true)
  /** Wakes who waits for the last attempt. */
  readonly empty = Latch.makeUnsafe(true)
  /** A wake-up came, and no exchange has begun since. */
  nudged = false
  /** How many records are claimed ahead of free slots. */
  ahead = 0
  /** How many records the store would rather give out at a time. */
  fits = Infinity
  /** How long a claimed record may wait for a slot. */
  patience: number
  readonly health: Health
  abandoned = 0
  /** When the last exchange was answered, by the monotonic clock. */
  lastTurnAt = 0
  /** How many the store has settled since then. */
  settledSince = 0
  /** Settlements are under way beside the turn of the loop. */
  isBeside = false
  /**
   * What the last turns settled, how long that took, how long since the last one there was nothing to run, and how long the
   * store took for it. Milliseconds.
   */
  readonly pace = { settled: 0, elapsed: 0, idle: 0, exchangeTime: 0 }
  /** A renewal is under way. */
  renewing = false
  /** After a renewal that failed. */
  renewNotBefore = 0

  constructor(options: {
    readonly store: Store
    readonly clock: Clock.Clock
    readonly settings: Settings
    readonly slots: Slots
    readonly jobs: ReadonlyMap<string, RunnableJob>
    readonly telemetry: Telemetry
  }) {
    super(options.clock, options.settings)
    this.store = options.store
    this.patience = this.minPatience
    this.slots = options.slots
    this.jobs = options.jobs
    this.telemetry = options.telemetry
    this.health = new Health(options.settings.id)
  }

  get minPatience(): number {
    return this.store.notifications === "exact"
      ? minPatience.here
      : Math.min(minPatience.elsewhere, Math.max(minPatience.here, this.settings.pollInterval / 4))
  }

  get stopping(): boolean {
    return this.health.stopping
  }

  /** What steps ask of the store, each call in bounded time. */
  readonly steps: StepStore = {
    write: (entry) => within(this, "write", () => this.store.write([entry])),
    get: (id) => within(this, "get", () => this.store.get(id)),
    results: (id) => within(this, "results", () => this.store.results([id])),
    dependencies: (request) => within(this, "dependencies", () => this.store.dependencies(request))
  }

  // ------------------------------------------------------------------------------------------------ taking records in

  /** Starts what has a slot; the rest waits for one. A worker that closes gives all of it back. */
  receive(claimed: ReadonlyArray<Claimed>, storeNow: number): void {
    if (this.stopping) {
      for (const record of claimed) this.settle(record, { _tag: "Release" }, 0)
      return
    }
    const at = this.elapsedNow()
    const receipt: Receipt = { at, storeNow }
    for (const record of claimed) {
      const queue = this.slots.queues.get(record.queue)
      if (queue === undefined || !this.runs(record, at)) continue
      const next: Prefetched = { claimed: record, receipt }
      if (this.isCollected(record)) this.collect(next, queue, at)
      else this.wait(next, queue)
    }
    // With a store elsewhere the pump starts them, beside its next exchange when there is one.
    if (this.store.notifications === "exact") this.startWaiting()
    // It starts nothing while there is no slot: the keeper is to know how long these have waited.
    else if (this.waiting.length > 0 && !this.hasStartable) this.poke(this.waitingSince + this.patience)
  }

  private wait(next: Prefetched, queue: QueueSlots): void {
    queue.waiting++
    this.slots.waiting++
    this.waiting.push(next)
  }

  /** What has crashed a worker, or is to be undone, runs by itself and at once. */
  private isCollected({ checkpoints, crashes, headers, tag }: Claimed): boolean {
    return this.jobs.get(tag)!.definition.batch !== undefined && crashes === 0 &&
      checkpoints[endMark] === undefined && headers[endedHeader] === undefined
  }

  private collect(next: Prefetched, queue: QueueSlots, now: number): void {
    const full = this.collector.add(next, this.jobs.get(next.claimed.tag)!, queue, now)
    if (full !== undefined) this.wait(full, queue)
    this.poke(this.collector.nextAt)
  }

  /** Batches whose time has come run as they are. */
  closeBatches(now: number): void {
    const due = this.collector.due(now)
    if (due.length === 0) return
    for (const batch of due) this.wait(batch, this.slots.queues.get(batch.claimed.queue)!)
    this.slots.lookEverywhere()
    this.startWaiting()
    this.work.openUnsafe()
  }

  /** Parks what this worker has no handler for. */
  private runs(record: Claimed, at: number): boolean {
    const job = this.jobs.get(record.tag)
    if (job !== undefined && record.version <= job.definition.version) return true
    this.settle(
      record,
      { _tag: "Park", reason: job === undefined ? "NoHandler" : "NewerPayload" },
      this.elapsedNow() - at
    )
    return false
  }

  /**
   * Starts waiting records while there are slots, in the order of their claims. Handlers that end at once end in here, so
   * it returns after a few milliseconds to let others run; the pump goes on with it.
   */
  startWaiting(): void {
    // An attempt that ends while it starts frees its slot for the record after it: the loop below finds it.
    if (this.waiting.length === 0 || this.isStarting) return
    this.isStarting = true
    let now = this.elapsedNow()
    const until = now + slice
    const before = this.waiting
    const left: Array<Prefetched> = []
    this.waiting = []
    let i = 0
    try {
      while (i < before.length && now <= until) {
        // Each handler that ends looks here: what waits behind is not touched.
        if (this.slots.isFull) break
        const next = before[i++]!
        const queue = this.slots.queues.get(next.claimed.queue)!
        if (!this.slots.hasRoom(queue)) {
          left.push(next)
          continue
        }
        queue.waiting--
        this.slots.waiting--
        now = this.start(next, queue, now)
      }
    } finally {
      const isCutShort = i < before.length && !this.slots.isFull
      this.waiting = left.concat(before.slice(i), this.waiting)
      this.isStarting = false
      if (isCutShort) this.work.openUnsafe()
    }
    if (this.waiting.length > 0) this.poke(this.waitingSince + this.patience)
  }

  /** A waiting record has a slot: its start was put off. */
  get hasStartable(): boolean {
    return !this.slots.isFull && this.waiting.some((next) => this.isStartable(next))
  }

  get waitingCount(): number {
    return this.waiting.length
  }

  /**
   * Since when the oldest record without a slot waits, by the monotonic clock: they are in the order of their claims. What
   * has a slot and waits for its handler to be called is no use to anybody else.
   */
  get waitingSince(): number {
    let at = Infinity
    for (const next of this.waiting) {
      if (this.isStartable(next)) continue
      at = Math.min(at, next.since ?? next.receipt.at)
      if (next.since === undefined) return at
    }
    return at
  }

  private isStartable({ claimed }: Prefetched): boolean {
    return this.slots.hasRoom(this.slots.queues.get(claimed.queue)!)
  }

  /** Answers the instant after: a clock is read once an attempt. */
  private start(next: Prefetched, queue: QueueSlots, now: number): number {
    if (next.mates !== undefined && next.mates.length > 0) return this.startBatch(membersOf(next), queue, now)
    const attempt = new Attempt(next.claimed, this.jobs.get(next.claimed.tag)!, queue, this, next.receipt)
    attempt.startedAt = now
    queue.running++
    this.slots.running++
    const fiber = Effect.runForkWith(contextOf(attempt))(body(attempt))
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return this.ended(attempt, exit)
    attempt.fiber = fiber
    this.hold(attempt)
    fiber.addObserver((exit) => void this.ended(attempt, exit))
    return this.elapsedNow()
  }

  /** One run of the handler, and one slot, for all of them. */
  private startBatch(members: ReadonlyArray<Prefetched>, queue: QueueSlots, now: number): number {
    const runnable = this.jobs.get(members[0]!.claimed.tag)!
    const batch = new Batch(
      members.map(({ claimed, receipt }) => new Attempt(claimed, runnable, queue, this, receipt))
    )
    for (const attempt of batch.attempts) attempt.startedAt = now
    queue.running++
    this.slots.running++
    this.telemetry.batched(batch)
    for (const attempt of batch.attempts) this.hold(attempt)
    batch.start((attempt, exit) => void this.ended(attempt, exit))
    return this.elapsedNow()
  }

  // --------------------------------------------------------------------------------------------------- ending attempts

  /** Answers when it did. */
  private ended(attempt: Attempt, exit: Exit.Exit<Answer, unknown>): number {
    const now = this.elapsedNow()
    if (attempt.over) return now
    const elapsed = attempt.elapsedAt(now)
    this.decide(attempt, outcomeOf(attempt, exit, elapsed), elapsed)
    return now
  }

  /**
   * The policy of a failed attempt may be an effect: it is run apart from the attempt, which may be interrupted. One that
   * takes its time keeps its attempt among those that run, so that the lease holds and a shutdown waits for it.
   */
  private decide(attempt: Attempt, decided: Decided, elapsed: number): void {
    // What was done is undone before anything follows.
    const outcome = following(attempt, attempt.mayHaveSteps ? withSteps(attempt.steps, decided) : decided)
    if (!Effect.isEffect(outcome)) return this.conclude(attempt, outcome, elapsed)
    const deciding = Effect.runForkWith(attempt.runnable.context)(outcome)
    const settled = (exit: Exit.Exit<Outcome | undefined>) =>
      this.conclude(attempt, exit._tag === "Success" ? exit.value : undecided(exit.cause), elapsed)
    const exit = deciding.pollUnsafe()
    if (exit !== undefined) return settled(exit)
    attempt.deciding = true
    this.hold(attempt)
    deciding.addObserver(settled)
  }

  private hold(attempt: Attempt): void {
    this.running.add(attempt)
    this.empty.closeUnsafe()
    this.poke(Math.min(attempt.startedAt + attempt.runnable.policy.timeout, this.renewAt))
  }

  private conclude(attempt: Attempt, outcome: Outcome | undefined, elapsed: number): void {
    if (attempt.over) return
    attempt.over = true
    if (attempt.batch === undefined || --attempt.batch.left === 0) {
      attempt.slots.running--
      this.slots.running--
    }
    this.running.delete(attempt)
    this.telemetry.ended(attempt, outcome, elapsed)
    if (outcome !== undefined) {
      const trace = attempt.span === undefined ? undefined : traceparent(attempt.span)
      const settlement = this.settle(attempt.claimed, outcome, elapsed, trace, attempt.children)
      if (attempt.mayHaveSteps || attempt.runnable.definition.next?.failure !== undefined) {
        this.ends.set(settlement, attempt)
      }
    }
    this.startWaiting()
    if (this.running.size === 0) this.empty.openUnsafe()
    this.work.openUnsafe()
  }

  /** Whoever calls it opens `work` when it is done. */
  private settle(
    { fence, id }: Claimed,
    outcome: Outcome,
    finishedAfter: number,
    trace?: string,
    children?: ReadonlyArray<NewRecord>
  ): Settlement {
    const alone = { id, fence, outcome, finishedAfter, trace }
    const settlement = children === undefined ? alone : { ...alone, children }
    this.outbox.settle(settlement)
    return settlement
  }

  /** Interrupts an attempt; its finalizers run, and its exit is settled by the reason. */
  interrupt(attempt: Attempt, stop: Stop): void {
    const earlier = attempt.stop
    if (earlier !== undefined && rank[stop._tag] <= rank[earlier._tag]) return
    attempt.stop = stop
    if (earlier !== undefined) return
    attempt.stoppedAt = this.elapsedNow()
    attempt.fiber?.interruptUnsafe()
    attempt.batch?.stopped(attempt.stoppedAt)
    this.poke(attempt.givenUpAfter(this.settings.interruptGrace))
  }

  /** Gives up on an attempt that cannot be interrupted: its slot is free, and the fence refuses what it still writes. */
  abandon(attempt: Attempt, outcome: Decided): void {
    this.abandoned++
    attempt.isAbandoned = true
    this.telemetry.abandoned(attempt)
    const decided = attempt.answered === undefined ? outcome : completed(attempt.answered)
    this.decide(attempt, decided, attempt.elapsed())
  }

  cancel(requests: ReadonlyArray<CancelRequest>): void {
    for (const request of requests) {
      const { reason } = request
      const attempt = this.find(request)
      if (attempt !== undefined) this.interrupt(attempt, { _tag: "Cancel", reason })
      // The store cancels what is given back, or lets it run once more where an earlier attempt has left something to undo.
      else this.takeWaiting(({ claimed }) => isSame(claimed, request), { _tag: "Release" })
    }
  }

  /** The store says that these are not held any more. */
  lose(lost: ReadonlyArray<AttemptRef>): void {
    for (const ref of lost) {
      const attempt = this.find(ref)
      if (attempt !== undefined) this.loseAttempt(attempt)
      else this.takeWaiting(({ claimed }) => isSame(claimed, ref), undefined)
    }
  }

  private find(ref: AttemptRef): Attempt | undefined {
    for (const attempt of this.running) if (isSame(attempt, ref)) return attempt
    return undefined
  }

  /** The lease has run out, or nearly: all that is held is lost. */
  loseAll(): void {
    // First what waits: it would take the slots of what ends.
    this.takeWaiting(() => true, undefined)
    for (const attempt of [...this.running]) this.loseAttempt(attempt)
  }

  private loseAttempt(attempt: Attempt): void {
    if (attempt.stop?._tag === "Lost") return
    this.telemetry.lost(attempt.claimed)
    this.interrupt(attempt, { _tag: "Lost" })
  }

  /** Gives back what has no slot. */
  releaseStuck(): void {
    this.takeWaiting((next) => !this.isStartable(next), { _tag: "Release" }, false)
  }

  releaseWaiting(): void {
    this.takeWaiting(() => true, { _tag: "Release" })
  }

  /** Of a batch it takes only those that are meant, and the others go on. What is collected is among them unless that is said. */
  private takeWaiting(which: (next: Prefetched) => boolean, outcome: Outcome | undefined, isAll = true): void {
    const gone = isAll ? [...this.collector.take(which)] : []
    const left: Array<Prefetched> = []
    for (const next of this.waiting) {
      const rest = without(next, which)
      gone.push(...rest.taken)
      if (rest.left !== undefined) {
        left.push(rest.left)
        continue
      }
      const queue = this.slots.queues.get(next.claimed.queue)!
      queue.waiting--
      this.slots.waiting--
      if (outcome?._tag === "Release") this.slots.giveBack(queue)
    }
    if (gone.length === 0) return
    this.waiting = left
    for (const { claimed, receipt } of outcome === undefined ? [] : gone) {
      this.settle(claimed, outcome!, this.elapsedNow() - receipt.at)
    }
    this.work.openUnsafe()
  }

  // ----------------------------------------------------------------------------------------------- talking to the store

  writes = (attempt: Attempt): void => {
    if (attempt.over) return
    this.outbox.writes(attempt)
    this.work.openUnsafe()
  }

  /** All that the worker believes to hold, also what it has settled and not heard back; not what it gave up as lost. */
  holding(): ReadonlyArray<AttemptRef> {
    return [
      ...[...this.running].filter(({ stop }) => stop?._tag !== "Lost").map(({ fence, id }) => ({ id, fence })),
      ...this.waiting.flatMap(membersOf).map(({ claimed: { fence, id } }) => ({ id, fence })),
      ...this.collector.claimed.map(({ fence, id }) => ({ id, fence })),
      ...this.outbox.unsettled()
    ]
  }

  /**
   * Whether the lease is renewed: while something is held; and on a store elsewhere always, since a request that arrived
   * twice may have claimed what nobody here knows of, and only a renewal finds it (P14).
   */
  get mustRenew(): boolean {
    return this.isHolding || (this.store.notifications === "hint" && !this.stopping)
  }

  /** Something runs or waits here that is not lost. What is only to be settled needs no lease: its fence tells. */
  get isHolding(): boolean {
    if (this.waiting.length > 0 || this.collector.size > 0) return true
    for (const { stop } of this.running) if (stop?._tag !== "Lost") return true
    return false
  }

  /** What every reply to an exchange says. */
  hear(reply: ExchangeReply): void {
    this.health.succeeded("exchange", reply.now)
    this.foreseeMaintenance(reply.maintainIn)
    this.cancel(reply.cancel)
  }

  /** Somebody says that there is something: records to claim, or a cancel of what runs here. */
  wake(): void {
    this.nudged = true
    this.slots.lookEverywhere()
    this.work.openUnsafe()
  }
}

const isSame = (a: AttemptRef, b: AttemptRef): boolean => a.fence === b.fence && a.id === b.id
