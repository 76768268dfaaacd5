/** A producer process: enqueues at a rate, whatever happens to the store, and writes down what it was told. */
import type { JobError, JobHandle, JobStore } from "capstan"
import { Cause, Effect, FiberSet, Latch, Schedule } from "effect"
import { Choices } from "./choices.ts"
import { accounts, Transfer } from "./jobs/bank.ts"
import { Batched } from "./jobs/batches.ts"
import { Flaky } from "./jobs/flaky.ts"
import { Deaf, Hanging } from "./jobs/hangs.ts"
import { startLevels } from "./jobs/levels.ts"
import { Soak } from "./jobs/soak.ts"
import * as Ledger from "./ledger.ts"
import { type Load, type ProducerTask, serve } from "./processes.ts"
import { loadStore } from "./store.ts"
import { Chain, Held, Late, Narrow, Poison, Stubborn, Wide, Work } from "./workload.ts"

const [name] = process.argv.slice(2)
const store = await loadStore(name!)

type Enqueue = Effect.Effect<
  Pick<JobHandle.JobHandle<unknown, unknown, unknown, unknown, unknown>, "id" | "outcome">,
  JobError.EnqueueError | JobError.JobStoreError,
  JobStore.JobStore
>

type Refusal = JobError.EnqueueError | JobError.JobStoreError | Cause.TimeoutError

/** Milliseconds after which a producer that is to be sure enqueues again, whatever becomes of the call before. */
const patience = 200

const make = (load: Load, choices: Choices) => (n: number, count: number): Enqueue => {
  const work = { n, millis: choices.between(...load.millis) }
  const key = `key-${choices.between(1, load.keys ?? 1)}`
  if (load.poisonEvery !== undefined && count % load.poisonEvery === 100) return Poison.enqueue(work)
  if (load.late !== undefined && count % load.late.every === 3) {
    return Late.enqueue({ ...work, frozen: load.late.seconds })
  }
  if (load.hangEvery !== undefined && count % load.hangEvery === 0) {
    return count % (2 * load.hangEvery) === 0 ? Hanging.enqueue(work) : Deaf.enqueue(work)
  }
  switch (load.kinds[count % load.kinds.length]!) {
    case "Work":
      return Work.enqueue(work, load.isSure === true ? { idempotencyKey: `job-${n}` } : {})
    case "Stubborn":
      return Stubborn.enqueue(work)
    case "Narrow":
      return Narrow.enqueue({ ...work, key })
    case "Wide":
      return Wide.enqueue({ ...work, key })
    case "Chain":
      return Chain.enqueue({ ...work, key })
    case "Flaky":
      return Flaky.enqueue(work)
    case "Soak":
      return Soak.enqueue(work)
    case "Held":
      return Held.enqueue(work)
    case "Batched":
      return Batched.enqueue(work)
    case "Transfer": {
      const from = choices.between(1, accounts)
      const to = 1 + (from - 1 + choices.between(1, accounts - 1)) % accounts
      return Transfer.enqueue({ ...work, from, to, amount: choices.between(1, 50) })
    }
  }
}

serve<ProducerTask>((task, tell) => {
  const write = Ledger.open(task.folder, task.name)
  const choices = new Choices(task.seed, task.name)
  const enqueue = make(task.load, choices)
  const stopped = Latch.makeUnsafe(false)

  const produce = (count: number) =>
    Effect.suspend(() => {
      const n = task.first + count * task.step
      if (task.load.isFlow === true) return startLevels(write, n, () => choices.between(...task.load.millis))
      const once = enqueue(n, count)
      const stored = task.load.isSure === true
        ? Effect.timeout(once, patience).pipe(
          Effect.tapError((error) => Effect.sync(() => isUnknown(error) && write("again", { n }))),
          Effect.retry({ while: isUnknown, schedule: Schedule.spaced("50 millis") })
        )
        : once
      write("sent", { n })
      return Effect.matchCause(stored, {
        onSuccess: ({ id, outcome }) => write("acknowledged", { n, id, word: outcome }),
        onFailure: (cause) => write(isRefused(cause) ? "refused" : "unknown", { n, word: reasonOf(cause) })
      })
    })

  /** What is not let out in time is not made up for: an outage makes no burst. */
  const program = Effect.scoped(Effect.gen(function*() {
    const inFlight = yield* FiberSet.make<void>()
    tell({ _tag: "ready" })
    let count = 0
    let owed = 0
    let last = Ledger.now()
    while (!stopped.isOpen() && count < (task.load.most ?? Infinity)) {
      const now = Ledger.now()
      owed = Math.min(owed + (now - last) * task.load.rate / 1000, task.load.inFlight)
      last = now
      const room = task.load.inFlight - (yield* FiberSet.size(inFlight))
      const left = (task.load.most ?? Infinity) - count
      for (let i = 0; i < Math.min(Math.floor(owed), room, left); i++) yield* FiberSet.run(inFlight, produce(count++))
      owed -= Math.min(Math.floor(owed), Math.max(0, room))
      yield* Effect.sleep(10)
    }
    yield* FiberSet.awaitEmpty(inFlight)
    tell({ _tag: "stopped" })
    return yield* Effect.never
  }))
  Effect.runFork(
    program.pipe(Effect.provide(store.layer(task)), Effect.retry(Schedule.spaced("250 millis")))
  )
  return { stop: () => void stopped.openUnsafe() }
})

/** Nothing was stored, says the error: what runs all the same was not expected. */
const isRefused = (cause: Cause.Cause<Refusal>): boolean => {
  const error = cause.reasons.find(Cause.isFailReason)?.error
  return error !== undefined && !isUnknown(error)
}

const isUnknown = (error: Refusal): boolean => error._tag === "TimeoutError" || error.reason._tag === "OutcomeUnknown"

const reasonOf = (cause: Cause.Cause<Refusal>): string => {
  const error = cause.reasons.find(Cause.isFailReason)?.error
  return error === undefined || error._tag === "TimeoutError"
    ? Cause.pretty(cause).slice(0, 200)
    : `${error.reason._tag}: ${error.message}`
}
