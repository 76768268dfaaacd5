/** A producer process: enqueues at a rate, whatever happens to the store, and writes down what it was told. */
import type { JobError, JobHandle, JobStore } from "capstan"
import { Cause, Effect, FiberSet, Latch, Schedule } from "effect"
import { Choices } from "./choices.ts"
import * as Ledger from "./ledger.ts"
import { type Load, type ProducerTask, serve } from "./processes.ts"
import { loadStore } from "./store.ts"
import { Late, Narrow, Poison, Stubborn, Wide, Work } from "./workload.ts"

const [name] = process.argv.slice(2)
const store = await loadStore(name!)

type Enqueue = Effect.Effect<
  Pick<JobHandle.JobHandle<unknown, unknown, unknown, unknown, unknown>, "id">,
  JobError.EnqueueError | JobError.JobStoreError,
  JobStore.JobStore
>

const make = (load: Load, choices: Choices) => (n: number, count: number): Enqueue => {
  const millis = choices.between(...load.millis)
  const key = `key-${choices.between(1, load.keys ?? 1)}`
  if (load.poisonEvery !== undefined && count % load.poisonEvery === 100) {
    return Poison.enqueue({ n, millis })
  }
  if (load.late !== undefined && count % load.late.every === 3) {
    return Late.enqueue({ n, millis, frozen: load.late.seconds })
  }
  switch (load.kinds[count % load.kinds.length]!) {
    case "Work":
      return Work.enqueue({ n, millis })
    case "Stubborn":
      return Stubborn.enqueue({ n, millis })
    case "Narrow":
      return Narrow.enqueue({ n, millis, key })
    case "Wide":
      return Wide.enqueue({ n, millis, key })
  }
}

serve<ProducerTask>((task, tell) => {
  const write = Ledger.open(task.folder, task.name)
  const enqueue = make(task.load, new Choices(task.seed, task.name))
  const stopped = Latch.makeUnsafe(false)

  const produce = (count: number) =>
    Effect.suspend(() => {
      const n = task.first + count * task.step
      const stored = enqueue(n, count)
      write("sent", { n })
      return Effect.matchCause(stored, {
        onSuccess: ({ id }) => write("acknowledged", { n, id }),
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
    while (!stopped.isOpen()) {
      const now = Ledger.now()
      owed = Math.min(owed + (now - last) * task.load.rate / 1000, task.load.inFlight)
      last = now
      const room = task.load.inFlight - (yield* FiberSet.size(inFlight))
      for (let i = 0; i < Math.min(Math.floor(owed), room); i++) yield* FiberSet.run(inFlight, produce(count++))
      owed -= Math.min(Math.floor(owed), Math.max(0, room))
      yield* Effect.sleep(10)
    }
    yield* FiberSet.awaitEmpty(inFlight)
    tell({ _tag: "stopped" })
  }))
  Effect.runFork(
    program.pipe(Effect.provide(store.layer(task)), Effect.retry(Schedule.spaced("250 millis")))
  )
  return { stop: () => void stopped.openUnsafe() }
})

/** Nothing was stored, says the error: what runs all the same was not expected. */
const isRefused = (cause: Cause.Cause<JobError.EnqueueError | JobError.JobStoreError>): boolean => {
  const error = cause.reasons.find(Cause.isFailReason)?.error
  return error !== undefined && error.reason._tag !== "OutcomeUnknown"
}

const reasonOf = (cause: Cause.Cause<JobError.EnqueueError | JobError.JobStoreError>): string => {
  const error = cause.reasons.find(Cause.isFailReason)?.error
  return error === undefined ? Cause.pretty(cause).slice(0, 200) : `${error.reason._tag}: ${error.message}`
}
