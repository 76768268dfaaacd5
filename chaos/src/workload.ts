/** The jobs, and handlers that write into the ledger. They answer the fence that they ran with. */
import { Job, JobContext, JobGroup } from "capstan"
import { Effect, Schema } from "effect"
import type { Write } from "./ledger.ts"

const work = { n: Schema.Int, millis: Schema.Int }
const success = Schema.Struct({ fence: Schema.Int })
const keyed = { ...work, key: Schema.String }

export class Work extends Job.make("Work", { payload: work, success }) {}

/** Goes on when it is interrupted, as a region that must not be cut does, and writes in every way that there is. */
export class Stubborn extends Job.make("Stubborn", { payload: work, success, progress: Schema.Int }) {}

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

export class Jobs extends JobGroup.make(Work, Stubborn, Child, Poison, Narrow, Wide) {}

interface Given {
  readonly n: number
  readonly millis: number
  readonly key?: string
}

export const handlers = (write: Write) => {
  const attempt = (given: Given, work: Effect.Effect<void>) =>
    Effect.gen(function*() {
      const { fence, id, job } = yield* JobContext.JobContext
      const line = { n: given.n, id, fence, word: given.key === undefined ? "" : `${job}/${given.key}` }
      write("start", line)
      yield* Effect.onInterrupt(work, () => Effect.sync(() => write("cut", line)))
      write("end", line)
      return { fence }
    })
  const sleep = (given: Given) => attempt(given, Effect.sleep(given.millis))
  return Jobs.toLayer({
    Work: sleep,
    Narrow: sleep,
    Wide: sleep,
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
    Poison: (given) => attempt(given, Effect.sync(() => process.kill(process.pid, "SIGKILL")))
  })
}
