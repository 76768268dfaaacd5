/**
 * A step that another job runs.
 *
 * The child's id is kept before the child is stored, so that it is stored once, in the write that lets this record wait for
 * it; its end is kept too, so that it is the same in every attempt, also when the child's record is gone by then.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { JobContext } from "../../JobContext.ts"
import { type EnqueueError, InvokeTimedOut, type JobStoreError } from "../../JobError.ts"
import { type Ended, readFinal } from "../../JobHandle.ts"
import type { JobId } from "../../JobRecord.ts"
import type { NewRecord } from "../../JobStore.ts"
import type { Final } from "../awaiter.ts"
import type { Definition } from "../definition.ts"
import { type Options, prepareOne } from "../enqueue.ts"
import { checked, takeUndo } from "./run.ts"
import type { Steps } from "./steps.ts"
import * as Telemetry from "./telemetry.ts"
import { deadline } from "./timer.ts"

export interface InvokeOptions extends Options {
  readonly timeout?: Duration.Input | undefined
}

export const invoke = (
  given: string,
  job: Definition,
  payload: unknown,
  { timeout, ...options }: InvokeOptions
): Effect.Effect<never, EnqueueError | JobStoreError | Ended | InvokeTimedOut, JobContext> => {
  const name = checked(given)
  return Effect.gen(function*() {
    const { steps } = yield* JobContext
    const undo = yield* takeUndo(steps, name)
    const found = yield* steps.ask(name, "answer", "timeout")
    const failed = undo ? steps.failedSoFar : undefined
    const timedOut = (child: string) => new InvokeTimedOut({ id: steps.record.id, step: name, child })
    if (found?.kind === "timeout") return yield* timedOut(JSON.parse(found.value!))
    if (found !== undefined) return yield* readFinal(job, JSON.parse(found.value!))
    // A unique key could make it another record, for which nobody could wait.
    const prepared = prepareOne(job, payload, { ...options, unique: false })
    const child = yield* steps.find(childOf(name))
    if (child === undefined) {
      yield* steps.stopHere
      const record = yield* prepared
      yield* steps.keep(childOf(name), { kind: "child", value: record.id })
      const until = timeout === undefined ? undefined : yield* deadline(steps, name, timeout)
      return yield* steps.wait(name, { _tag: "Child", record, until })
    }
    const id = child.value! as JobId
    const answer = yield* steps.result(id)
    const final = answer === undefined || answer._tag === "Pending" ? undefined : yield* ended(steps, answer)
    // It has not ended, or its attempt did before it was stored.
    if (final === undefined) {
      const until = timeout === undefined ? undefined : yield* deadline(steps, name, timeout)
      if (until !== undefined && steps.record.storeNow >= until) {
        yield* steps.keep(name, { kind: "timeout", value: JSON.stringify(id) }, childOf(name))
        yield* Telemetry.timedOut(steps.record, "invoke")
        return yield* timedOut(id)
      }
      const record: NewRecord = { ...yield* prepared, id }
      return yield* steps.wait(name, { _tag: "Child", record, until })
    }
    const isUndone = undo && final._tag === "Completed"
    const value = JSON.stringify(final)
    const kept = { kind: "answer", undo: isUndone, failed: isUndone ? failed : undefined, value } as const
    yield* steps.keep(name, kept, childOf(name))
    return yield* readFinal(job, final)
  })
}

const childOf = (name: string): string => `${name}~child`

/** A child that ended and is removed has left with this record how it did; one that never was has left nothing. */
const ended = (steps: Steps, answer: Final): Effect.Effect<Final | undefined, JobStoreError> =>
  answer._tag !== "NotFound"
    ? Effect.succeed(answer)
    // Of one that was removed before it ended, who did that is known only while the store remembers.
    : Effect.map(steps.endOf(answer.id), (end) => end?._tag === "NotFound" ? answer : end)
