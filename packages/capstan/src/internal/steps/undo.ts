/**
 * How a record ends that has steps to undo (a saga).
 *
 * Its outcome is kept, and the record runs once more: the handler from the top, over what is kept, to learn how each step is
 * undone; then those, the last one first. Each that is through is kept, so a crash in between loses none and repeats one at
 * most. Only then it ends as it was to.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { type JobStoreError, MissingCompensation, StepError } from "../../JobError.ts"
import type { NewFailure, Outcome } from "../../JobStore.ts"
import { EndSignal } from "../handler.ts"
import { endMark, undoneMark } from "./names.ts"
import { type Steps, undoneOf } from "./steps.ts"
import { undoing } from "./telemetry.ts"

/** How often a record is tried whose steps cannot be undone, before it is dead. */
const maxFailures = 25
const failedTag = "CompensationFailed"

/** Runs a handler for what it says of undoing, undoes, and ends as the record was to end. It never succeeds. */
export const undoSteps = (
  steps: Steps,
  handler: Effect.Effect<unknown, unknown>
): Effect.Effect<never, JobStoreError> =>
  Effect.gen(function*() {
    const { checkpoints } = steps.record.claimed
    if (checkpoints[undoneMark] === undefined) {
      if (steps.record.claimed.isCut === true) yield* steps.readAll
      steps.isEnding = true
      // It is run as far as it has something to say.
      const asFar = Effect.exit(Effect.raceFirst(steps.undosKnown, handler))
      const exit = yield* asFar
      while (steps.takeOtherWay()) yield* asFar
      steps.isEnding = false
      const { missing } = steps
      if (missing.length > 0) return yield* missed(steps.record.job, missing, exit)
      for (const { effect, name } of steps.undos.toReversed()) {
        if ((yield* steps.find(undoneOf(name))) !== undefined) continue
        yield* undoing(steps.record, Effect.orDie(effect))
        yield* steps.keep(undoneOf(name), { kind: "undone" })
      }
      yield* steps.keep(undoneMark, { kind: "undone" })
    }
    steps.isOver = true
    return yield* Effect.die(new EndSignal(JSON.parse(checkpoints[endMark]!)))
  })

const missed = (
  job: string,
  steps: ReadonlyArray<string>,
  exit: Exit.Exit<unknown, unknown>
): Effect.Effect<never> => {
  const reason = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  const ended = reason === undefined || reason instanceof EndSignal ? undefined : String(reason)
  return Effect.die(new StepError({ reason: new MissingCompensation({ job, steps, ended }) }))
}

/** What the end of an attempt leads to, where its job has steps. */
export const withSteps = (
  steps: Steps,
  decided: Outcome | undefined | Effect.Effect<Outcome | undefined>
): Outcome | undefined | Effect.Effect<Outcome | undefined> => {
  if (!Effect.isEffect(decided)) return concluded(steps, decided)
  return Effect.flatMap(decided, (outcome) => {
    const next = concluded(steps, outcome)
    return Effect.isEffect(next) ? next : Effect.succeed(next)
  })
}

const concluded = (
  steps: Steps,
  outcome: Outcome | undefined
): Outcome | undefined | Effect.Effect<Outcome | undefined> => {
  if (outcome === undefined || steps.isOver) return outcome
  if (outcome._tag !== "Dead" && outcome._tag !== "Cancel" && outcome._tag !== "RetryAfter") return outcome
  if (steps.record.claimed.checkpoints[endMark] !== undefined) return againOrDead(steps, outcome)
  if (outcome._tag === "RetryAfter" || !steps.mayHaveToUndo) return outcome
  // Without a payload the handler cannot run.
  if (outcome._tag === "Dead" && outcome.reason === "InvalidPayload") return outcome
  const again: Outcome = { _tag: "SnoozeFor", delay: 0 }
  // A cancel that was asked for becomes the end of the record in the store itself.
  if (outcome._tag === "Cancel") return again
  // What is only cut off is looked up: a record that has nothing to undo keeps its steps for a retry by hand.
  const end = Effect.suspend((): Effect.Effect<Outcome, JobStoreError> =>
    steps.mayHaveToUndo ? Effect.as(steps.keepEnd(outcome), again) : Effect.succeed(outcome)
  )
  return Effect.match(steps.isWhole ? end : Effect.andThen(Effect.ignore(steps.readAll), end), {
    onSuccess: (next) => next,
    // A stale attempt ends nothing; one whose store does not take its end does not undo.
    onFailure: (error) => error.reason._tag === "LeaseLost" || steps.record.isLost ? undefined : outcome
  })
}

/** An attempt that was to undo, and did not get through. */
const againOrDead = (steps: Steps, outcome: Outcome & { readonly _tag: "Dead" | "Cancel" | "RetryAfter" }): Outcome => {
  const { claimed } = steps.record
  if (outcome._tag === "Dead" && outcome.reason === "InvalidPayload") return outcome
  if (outcome._tag === "RetryAfter" && outcome.uncharged === true) return outcome
  const before = claimed.failures.filter(({ tag }) => tag === failedTag).length
  const failure: NewFailure = {
    kind: "Defect",
    tag: failedTag,
    message: outcome._tag === "Cancel" ? "it was interrupted" : outcome.failure?.message ?? "no reason was given"
  }
  return before + 1 < maxFailures
    ? { _tag: "RetryAfter", delay: Math.min(300_000, 1000 * 2 ** before), failure }
    : { _tag: "Dead", reason: "Defect", failure }
}
