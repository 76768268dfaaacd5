/**
 * A record as a handler of batches sees it.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { JobContext, type Shape as JobContextShape } from "../../JobContext.ts"
import { restore } from "../propagate.ts"
import type { Attempt } from "./attempt.ts"

/** See `JobBatch.Member`. */
export interface Member {
  readonly payload: unknown
  readonly context: JobContextShape
  readonly isStopped: Effect.Effect<boolean>
  readonly within: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, Exclude<R, JobContext>>
}

export type MemberExits = Iterable<readonly [Member, Exit.Exit<unknown, unknown>]>

export const memberOf = (attempt: Attempt, payload: unknown): Member => ({
  payload,
  context: attempt,
  isStopped: Effect.sync(() => attempt.isStopped),
  within: (effect) => {
    const own = Effect.provideService(effect, JobContext, attempt)
    return attempt.runnable.definition.propagate.length === 0 ? own : withReferences(attempt, own)
  }
})

/** The values that travel with the record, where the effect runs. */
export const withReferences = <A, E, R>(attempt: Attempt, work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(
    restore(attempt.runnable.definition.propagate, attempt.headers),
    (values) =>
      Effect.updateContext(
        work,
        (context: Context.Context<R>) =>
          values.reduce((all, [reference, value]) => Context.add(all, reference, value) as Context.Context<R>, context)
      )
  )

/** The end of a record that the handler says nothing of: it is not known to be done, so it is not. */
export const omitted = (job: string): Exit.Exit<never> =>
  Exit.die(
    Object.assign(
      new Error(
        `the handler of ${job} answered without this record: give each member of a batch its exit (JobBatch.each does)`
      ),
      { name: "Omitted" }
    )
  )

/** A record that runs by itself: a batch of one. Its exit is that of the attempt. */
export const runAlone = (
  attempt: Attempt,
  payload: unknown,
  run: (members: ReadonlyArray<Member>) => Effect.Effect<unknown, unknown>
): Effect.Effect<unknown, unknown> => {
  const member = memberOf(attempt, payload)
  return Effect.flatMap(run([member]), (answers) => {
    let exit: Exit.Exit<unknown, unknown> = omitted(attempt.job)
    for (const [of, own] of answers as MemberExits) if (of === member) exit = own
    return exit
  })
}
