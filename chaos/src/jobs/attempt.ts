/** What every handler writes into the ledger: that its attempt began, and how it ended. */
import { JobContext } from "capstan"
import { Effect, Schema } from "effect"
import type { Write } from "../ledger.ts"

/** What every payload has: the producer's number, and how long the handler takes. */
export const work = { n: Schema.Int, millis: Schema.Int }

/** What every handler answers: the fence that it ran with. */
export const success = Schema.Struct({ fence: Schema.Int })

export interface Given {
  readonly n: number
  readonly millis: number
  readonly key?: string
}

export const attempting = (write: Write) => <E, R>(given: Given, work: Effect.Effect<void, E, R>) =>
  Effect.gen(function*() {
    const { fence, id, job } = yield* JobContext.JobContext
    const line = { n: given.n, id, fence, word: given.key === undefined ? "" : `${job}/${given.key}` }
    write("start", line)
    yield* Effect.onInterrupt(work, () => Effect.sync(() => write("cut", line)))
    write("end", line)
    return { fence }
  })
