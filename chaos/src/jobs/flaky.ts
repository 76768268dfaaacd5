/** Fails once, and runs again after a while. */
import { Job, JobContext } from "capstan"
import { Effect, Schedule, Schema } from "effect"
import type { Write } from "../ledger.ts"
import { attempting, success, work } from "./attempt.ts"

class Unlucky extends Schema.TaggedError<Unlucky>()("Unlucky", {}) {}

/** Milliseconds. */
export const delay = 1000

export class Flaky
  extends Job.make("Flaky", { payload: work, success, error: Unlucky, retry: Schedule.spaced(delay) })
{}

export const FlakyLive = (write: Write) =>
  Flaky.toLayer((given) =>
    Effect.flatMap(
      JobContext.JobContext,
      ({ attempt }) => attempting(write)(given, attempt === 1 ? Effect.fail(new Unlucky()) : Effect.void)
    )
  )
