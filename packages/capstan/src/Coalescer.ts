/**
 * Enqueues from many fibers become one call of a store: while one is under way the next ones gather, so batches grow with
 * load and a lone enqueue waits for nobody. Each caller gets its own answer, and bad ones fail alone: whose records a store
 * refuses is the matter of nobody who was sent along.
 *
 * For who writes a store that lives elsewhere; `@capstan/pg` and `@capstan/redis` enqueue through it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { isStored } from "./internal/stored.ts"
import { JobStoreError, OutcomeUnknown, Unavailable } from "./JobError.ts"
import type { Enqueued, NewRecord } from "./JobStore.ts"

/**
 * What the store did with each of the records, in order.
 *
 * @category models
 * @since 0.1.0
 */
export type Answer = Effect.Effect<ReadonlyArray<Enqueued>, JobStoreError>

/**
 * Stores a batch, all or none.
 *
 * **Details**
 *
 * A batch that it refuses it answers with an error that is not transient, or by outcomes (`UniqueConflict`, `Begun`, `Refused`), and
 * has stored nothing of it.
 *
 * @category models
 * @since 0.1.0
 */
export type Store = (records: ReadonlyArray<NewRecord>) => Answer

interface Waiting {
  readonly records: ReadonlyArray<NewRecord>
  readonly resume: (answer: Answer) => void
}

const closing = { operation: "enqueue", detail: "the store is closing" }
const notSent: Answer = Effect.fail(new JobStoreError({ reason: new Unavailable(closing) }))
const notAnswered: Answer = Effect.fail(new JobStoreError({ reason: new OutcomeUnknown(closing) }))

/** How many records one statement carries. */
const batch = 1000
/** Fewer callers are not spread over several calls. */
const least = 16

/**
 * One way into a store: one call of it, or a few, are under way at a time.
 *
 * **Details**
 *
 * A call runs in a fiber of its own: who is interrupted takes back what was not sent, and waits for nothing. When the scope
 * closes, those who were not sent fail with `Unavailable`, those who were with `OutcomeUnknown`.
 *
 * @category models
 * @since 0.1.0
 */
export class Coalescer {
  private waiting: Array<Waiting> = []
  private readonly sent = new Set<Waiting>()
  private readonly calls = new Set<Fiber.Fiber<unknown, unknown>>()
  /** Callers are being answered: what they store next goes along with what waits. */
  private isAnswering = false
  /** Another call is about to begin, beside one that is under way. */
  private isBeginning = false
  /** Calls begin in a loop: one that is answered at once leaves the next to it. */
  private isStarting = false
  private readonly store: Store
  private readonly scope: Scope.Scope
  private readonly inFlight: number

  /**
   * @param inFlight how many calls may be under way at a time. More than one pays where the store works while this process
   * makes the next batch, and keeps the order of calls.
   */
  constructor(store: Store, scope: Scope.Scope, inFlight = 1) {
    this.store = store
    this.scope = scope
    this.inFlight = inFlight
    Effect.runSync(Scope.addFinalizer(scope, Effect.suspend(() => this.close())))
  }

  /** Stores records with whatever else is stored at this moment. */
  readonly enqueue = (records: ReadonlyArray<NewRecord>): Answer =>
    Effect.callback<ReadonlyArray<Enqueued>, JobStoreError>((resume) => {
      if (this.scope.state._tag === "Closed") return resume(notSent)
      const one: Waiting = { records, resume }
      this.waiting.push(one)
      if (!this.isAnswering && this.calls.size < this.inFlight) {
        // A lone caller waits for nobody. Beside a call that is under way, whoever is about to come goes along.
        if (this.calls.size === 0) this.begin()
        else this.beginSoon()
      }
      // Whoever is interrupted before it was sent leaves nothing behind.
      return Effect.sync(() => {
        const at = this.waiting.indexOf(one)
        if (at >= 0) this.waiting.splice(at, 1)
      })
    })

  private begin(): void {
    if (this.isStarting) return
    this.isStarting = true
    while (this.waiting.length > 0 && this.calls.size < this.inFlight) this.call(this.send(this.take()))
    this.isStarting = false
  }

  private beginSoon(): void {
    if (this.isBeginning) return
    this.isBeginning = true
    Effect.runFork(Effect.andThen(
      Effect.yieldNow,
      Effect.sync(() => {
        this.isBeginning = false
        this.begin()
      })
    ))
  }

  private call(sending: Effect.Effect<void>): void {
    const fiber = Effect.runFork(sending)
    this.calls.add(fiber)
    fiber.addObserver(() => {
      this.calls.delete(fiber)
      this.begin()
    })
  }

  private close(): Effect.Effect<void> {
    const { sent, waiting } = this
    this.waiting = []
    for (const one of sent) this.answer(one, notAnswered)
    for (const { resume } of waiting) resume(notSent)
    return Fiber.interruptAll(this.calls)
  }

  /** The next call's share: where several may be under way, they carry as many callers each, so that one is always. */
  private take(): ReadonlyArray<Waiting> {
    const callers = Math.max(least, Math.ceil((this.waiting.length + this.sent.size) / this.inFlight))
    const last = Math.min(this.waiting.length, callers)
    let count = 0
    let size = 0
    while (count < last && (count === 0 || size + this.waiting[count]!.records.length <= batch)) {
      size += this.waiting[count++]!.records.length
    }
    const taken = this.waiting.slice(0, count)
    this.waiting = this.waiting.slice(count)
    for (const one of taken) this.sent.add(one)
    return taken
  }

  private answer(one: Waiting, answer: Answer): void {
    this.sent.delete(one)
    one.resume(answer)
  }

  private answerAll(some: ReadonlyArray<Waiting>, answerOf: (one: Waiting) => Answer): void {
    this.isAnswering = true
    try {
      for (const one of some) this.answer(one, answerOf(one))
    } finally {
      this.isAnswering = false
    }
  }

  private send(some: ReadonlyArray<Waiting>): Effect.Effect<void> {
    const records = some.length === 1 ? some[0]!.records : some.flatMap(({ records }) => records)
    return Effect.matchCauseEffect(Effect.suspend(() => this.store(records)), {
      onSuccess: (answers) => {
        if (some.length > 1 && !answers.every(isStored)) return this.sendApart(some, answers)
        let at = 0
        this.answerAll(
          some,
          ({ records: { length } }) => Effect.succeed(some.length === 1 ? answers : answers.slice(at, at += length))
        )
        return Effect.void
      },
      onFailure: (cause) => {
        const refused = some.length > 1 &&
          cause.reasons.some((reason) => reason._tag === "Fail" && !reason.error.isTransient)
        // The server refused one of them and stored none: now each for itself.
        if (refused) return Effect.forEach(some, (one) => this.send([one]), { discard: true })
        this.answerAll(some, () => Effect.failCause(cause))
        return Effect.void
      }
    })
  }

  // The store refused one of them and stored none, as it answers by outcomes: who is to blame goes alone, the others together
  // once more. Each for itself would cost a call for every caller, as long as somebody enqueues what is refused.
  private sendApart(some: ReadonlyArray<Waiting>, answers: ReadonlyArray<Enqueued>): Effect.Effect<void> {
    let at = 0
    const blamed = new Set(some.filter(({ records: { length } }) => answers.slice(at, at += length).some(isToBlame)))
    const others = some.filter((one) => !blamed.has(one))
    const calls = blamed.size === 0 ? some.map((one) => [one]) : [others, ...Array.from(blamed, (one) => [one])]
    return Effect.forEach(calls, (call) => call.length === 0 ? Effect.void : this.send(call), { discard: true })
  }
}

/** Why a batch is refused. */
const isToBlame = ({ outcome }: Enqueued): boolean => outcome === "UniqueConflict" || outcome === "Begun"
