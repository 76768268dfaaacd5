/** A worker process, as a user writes one: the public API alone, with the ledger between worker and store. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { JobWorker } from "capstan"
import { Effect, Layer, Schedule } from "effect"
import { sampling } from "./jobs/soak.ts"
import { Ticks } from "./jobs/ticks.ts"
import * as Ledger from "./ledger.ts"
import { serve, type WorkerTask } from "./processes.ts"
import { shiftClock } from "./shiftClock.ts"
import { loadStore } from "./store.ts"
import * as Witness from "./witness.ts"
import { handlers, Jobs } from "./workload.ts"

const [name] = process.argv.slice(2)
const store = await loadStore(name!)

serve<WorkerTask>((task, tell) => {
  const write = Ledger.open(task.folder, task.name)
  if (task.samples === true) sampling(write)
  shiftClock(task.clockOff ?? 0)
  const Working = JobWorker.layer(Jobs, {
    concurrency: task.concurrency,
    lease: task.lease,
    shutdownGrace: task.shutdownGrace,
    interruptGrace: task.interruptGrace
  })
  const WorkerLive = (task.ticks === true ? Layer.merge(Working, Ticks) : Working).pipe(
    Layer.provide(handlers(write, task.name, task.without)),
    Layer.provide(Witness.layer(write)),
    Layer.provide(store.layer(task))
  )
  const program = Effect.gen(function*() {
    const worker = yield* JobWorker.JobWorker
    yield* worker.awaitReady
    tell({ _tag: "ready" })
    return yield* Effect.never
  }).pipe(
    Effect.provide(WorkerLive),
    Effect.tapError((error) => Effect.logError("the store is away, the start is tried again", error)),
    // What a supervisor does to a program that does not come up.
    Effect.retry(Schedule.spaced("250 millis"))
  )
  // Closes the worker at a SIGTERM.
  NodeRuntime.runMain(program)
  return { stop: () => process.exit(0) }
})
