/** The jobs, and handlers that write into the ledger. They answer the fence that they ran with. */
import { Job, JobContext, JobGroup } from "capstan"
import { Effect, Layer, Schema } from "effect"
import { freeze } from "./freeze.ts"
import { attempting, type Given, success, work } from "./jobs/attempt.ts"
import { Transfer, TransferLive } from "./jobs/bank.ts"
import { Batched, BatchedLive } from "./jobs/batches.ts"
import { Flaky, FlakyLive } from "./jobs/flaky.ts"
import { Deaf, DeafLive, Hanging, HangingLive } from "./jobs/hangs.ts"
import { Level, LevelLive } from "./jobs/levels.ts"
import { Soak, SoakLive } from "./jobs/soak.ts"
import { Tick, TickLive } from "./jobs/ticks.ts"
import type { Write } from "./ledger.ts"
import type { Safeguard } from "./store.ts"

const keyed = { ...work, key: Schema.String }

export class Work extends Job.make("Work", { payload: work, success }) {}

/** Goes on when it is interrupted, as a region that must not be cut does, and writes in every way that there is. */
export class Stubborn extends Job.make("Stubborn", { payload: work, success, progress: Schema.Int }) {}

/** Is frozen for so long at the one instant at which no timer can warn it: between its handler's end and its settlement. */
export class Late extends Job.make("Late", { payload: { ...work, frozen: Schema.Number }, success }) {}

export class Child extends Job.make("Child", { payload: { n: Schema.Int, fence: Schema.Int } }) {}

/** Kills its process. */
export class Poison extends Job.make("Poison", { payload: work, success }) {}

export const limits = { Narrow: 1, Wide: 10 } as const

export class Narrow extends Job.make("Narrow", {
  payload: keyed,
  success,
  concurrency: { key: ({ key }) => key, limit: limits.Narrow }
}) {}

export class Wide extends Job.make("Wide", {
  payload: keyed,
  success,
  concurrency: { key: ({ key }) => key, limit: limits.Wide }
}) {}

/** One after the other, in the order of their enqueues. */
export class Chain extends Job.make("Chain", {
  payload: keyed,
  success,
  concurrency: { key: ({ key }) => key, limit: 1 }
}) {}

/** Takes its time at its first attempt, and none at those after it. */
export class Held extends Job.make("Held", { payload: work, success }) {}

class Simple extends JobGroup.make(Work, Stubborn, Late, Child, Poison, Narrow, Wide, Chain, Held) {}

export class Jobs extends Simple.merge(JobGroup.make(Transfer, Batched, Hanging, Deaf, Flaky, Level, Tick, Soak)) {}

/** Those that are no producer's. */
export const unsent: ReadonlySet<string> = new Set([Child._tag, Tick._tag])

/** Those that are to be dead in the end. */
export const doomed: ReadonlySet<string> = new Set([Poison._tag, Hanging._tag, Deaf._tag])

export const handlers = (write: Write, name: string, without?: Safeguard) =>
  Layer.mergeAll(
    simple(write, name),
    TransferLive(write),
    BatchedLive(write, name),
    HangingLive(write),
    DeafLive(write),
    FlakyLive(write),
    LevelLive(write),
    TickLive(write),
    SoakLive(write, without !== "tidiness")
  )

const simple = (write: Write, name: string) => {
  const attempt = attempting(write)
  const sleep = (given: Given) => attempt(given, Effect.sleep(given.millis))
  return Simple.toLayer({
    Work: sleep,
    Narrow: sleep,
    Wide: sleep,
    Chain: sleep,
    Held: (given) =>
      Effect.flatMap(JobContext.JobContext, ({ attempt }) => sleep(attempt === 1 ? given : { ...given, millis: 0 })),
    Child: () => Effect.void,
    Stubborn: (given) =>
      Effect.uninterruptible(Effect.gen(function*() {
        const { fence, log } = yield* JobContext.JobContext
        const settled = yield* sleep(given)
        yield* log("done")
        yield* Stubborn.progress(100)
        // A stale attempt is refused here; its own end is another write, and not refused by this one.
        yield* Effect.ignore(Child.enqueue({ n: given.n, fence }))
        return settled
      })),
    Late: (given) =>
      Effect.gen(function*() {
        const { attempt } = yield* JobContext.JobContext
        const settled = yield* sleep(given)
        if (attempt > 1) return settled
        write("fault", { id: name, word: "freeze" })
        yield* Effect.sync(() => freezeSelf(given.frozen))
        write("fault", { id: name, word: "thaw" })
        return settled
      }),
    Poison: (given) => attempt(given, Effect.sync(() => process.kill(process.pid, "SIGKILL")))
  })
}

/** Blocks until it has happened. */
const freezeSelf = (seconds: number): void => {
  const before = performance.now()
  freeze(process.pid, seconds)
  const nothing = new Int32Array(new SharedArrayBuffer(4))
  while (performance.now() - before < seconds * 1000) Atomics.wait(nothing, 0, 0, 10)
}
