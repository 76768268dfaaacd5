/**
 * A handler as the worker finds it in its context, under a key per job.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Any as AnyJob } from "../Job.ts"
import type { Shape as JobContextShape } from "../JobContext.ts"
import type { NewRecord, Outcome } from "../JobStore.ts"

/** Wraps an attempt; see `JobMiddleware`. */
export type Middleware = (
  effect: Effect.Effect<unknown, unknown>,
  options: {
    readonly job: Pick<AnyJob, "_tag" | "queue">
    readonly payload: unknown
    readonly context: JobContextShape
  }
) => Effect.Effect<unknown, unknown>

export interface Registered {
  readonly run: (payload: never) => Effect.Effect<unknown, unknown>
  /** What the handler's layer was built with. */
  readonly context: Context.Context<never>
  readonly middleware: ReadonlyArray<Middleware>
}

export const keyOf = (tag: string): Context.Service<unknown, Registered> => Context.Service(`capstan/Job/${tag}`)

/** The value of `commit`: the attempt has ended already, inside the caller's transaction. */
export class SettledValue {
  readonly value: unknown

  constructor(value: unknown) {
    this.value = value
  }
}

/**
 * Ends the attempt as it says: a snooze, a wait. It unwinds the handler as a defect, so that no `catch` for errors of the job
 * holds it up.
 */
export class EndSignal {
  readonly _tag = "EndSignal"
  readonly outcome: Outcome
  /** Records that are stored in the same write. */
  readonly children: ReadonlyArray<NewRecord> | undefined

  constructor(outcome: Outcome, children?: ReadonlyArray<NewRecord>) {
    this.outcome = outcome
    this.children = children
  }
}
