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
 *
 * So it ends spans and reaches logs of the program on its way. Payloads and errors that the job masks are in what it carries:
 * that is private, and the message says no more than the kind of the end.
 */
export class EndSignal {
  readonly _tag = "EndSignal"
  readonly message: string
  readonly #outcome: Outcome
  readonly #children: ReadonlyArray<NewRecord> | undefined

  constructor(outcome: Outcome, children?: ReadonlyArray<NewRecord>) {
    this.message = `the attempt ends with ${outcome._tag}`
    this.#outcome = outcome
    this.#children = children
  }

  get outcome(): Outcome {
    return this.#outcome
  }

  /** Records that are stored in the same write. */
  get children(): ReadonlyArray<NewRecord> | undefined {
    return this.#children
  }

  /** The record goes on later, and nothing of it has failed. */
  get isPause(): boolean {
    const outcome = this.#outcome
    return outcome._tag === "WaitFor" || outcome._tag === "WaitForChildren" ||
      outcome._tag === "SnoozeFor" && outcome.failure === undefined
  }
}
