/**
 * Enqueues from many fibers become one statement: while one is under way the next ones gather, so batches grow with load
 * and a lone enqueue waits for nobody. Each caller gets its own answer, and bad ones fail alone.
 */
import { JobError, type JobStore } from "capstan"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

type Answer = Effect.Effect<ReadonlyArray<JobStore.Enqueued>, JobError.JobStoreError>

interface Waiting {
  readonly records: ReadonlyArray<JobStore.NewRecord>
  readonly resume: (answer: Answer) => void
}

const closing = { operation: "enqueue", detail: "the store is closing" }
const notSent: Answer = Effect.fail(new JobError.JobStoreError({ reason: new JobError.Unavailable(closing) }))
const notAnswered: Answer = Effect.fail(new JobError.JobStoreError({ reason: new JobError.OutcomeUnknown(closing) }))

/** How many records one statement carries. */
const batch = 1000

export type Store = (records: ReadonlyArray<JobStore.NewRecord>) => Answer

export class Coalescer {
  private waiting: Array<Waiting> = []
  private readonly sent = new Set<Waiting>()
  private isRunning = false
  private readonly store: Store
  private readonly scope: Scope.Scope

  constructor(store: Store, scope: Scope.Scope) {
    this.store = store
    this.scope = scope
  }

  /** Stores records with whatever else is stored at this moment. */
  readonly enqueue = (records: ReadonlyArray<JobStore.NewRecord>): Answer =>
    Effect.callback<ReadonlyArray<JobStore.Enqueued>, JobError.JobStoreError>((resume) => {
      if (this.scope.state._tag === "Closed") return resume(notSent)
      const one: Waiting = { records, resume }
      this.waiting.push(one)
      if (!this.isRunning) {
        this.isRunning = true
        Effect.runFork(Effect.forkIn(this.run, this.scope, { startImmediately: true }))
      }
      // Whoever is interrupted before it was sent leaves nothing behind.
      return Effect.sync(() => {
        const at = this.waiting.indexOf(one)
        if (at >= 0) this.waiting.splice(at, 1)
      })
    })

  private readonly run: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    while (this.waiting.length > 0) yield* this.send(this.take())
  }).pipe(Effect.ensuring(Effect.sync(() => {
    this.isRunning = false
    // It ends with callers left over only when the store is closing.
    for (const one of this.sent) this.answer(one, notAnswered)
    for (const { resume } of this.waiting) resume(notSent)
    this.waiting = []
  })))

  private take(): ReadonlyArray<Waiting> {
    let count = 0
    let size = 0
    while (count < this.waiting.length && (count === 0 || size + this.waiting[count]!.records.length <= batch)) {
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

  private send(some: ReadonlyArray<Waiting>): Effect.Effect<void> {
    const records = some.length === 1 ? some[0]!.records : some.flatMap(({ records }) => records)
    return Effect.matchCauseEffect(Effect.suspend(() => this.store(records)), {
      onSuccess: (answers) =>
        Effect.sync(() => {
          let at = 0
          for (const one of some) this.answer(one, Effect.succeed(answers.slice(at, at += one.records.length)))
        }),
      onFailure: (cause) => {
        const refused = some.length > 1 &&
          cause.reasons.some((reason) => reason._tag === "Fail" && !reason.error.isTransient)
        // The server refused one of them and stored none: now each for itself.
        if (refused) return Effect.forEach(some, (one) => this.send([one]), { discard: true })
        return Effect.sync(() => {
          for (const one of some) this.answer(one, Effect.failCause(cause))
        })
      }
    })
  }
}
