/**
 * What a job does in a handler and for it, without its types.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { JobContext } from "../JobContext.ts"
import { AwaitInHandler, EnqueueError } from "../JobError.ts"
import { Transactional } from "../Transactional.ts"
import type * as D from "./definition.ts"
import { followCommit } from "./follow.ts"
import { keyOf, type Registered, SettledValue } from "./handler.ts"

/** Nobody runs the record while the handler waits for it. */
export const refuseInHandler = (job: D.Definition): Effect.Effect<void, EnqueueError> =>
  Effect.flatMap(Effect.context<never>(), (context) => {
    const attempt = Context.getOrUndefined(context, JobContext)
    return attempt === undefined
      ? Effect.void
      : Effect.fail(new EnqueueError({ reason: new AwaitInHandler({ job: job.tag, handler: attempt.job }) }))
  })

export const progress = (job: D.Definition, value: unknown): Effect.Effect<void, never, JobContext> =>
  Effect.flatMap(JobContext, (attempt) => {
    if (attempt.job !== job.tag) {
      return Effect.die(new Error(`${job.tag}.progress was called in an attempt of ${attempt.job}`))
    }
    return Effect.map(
      Effect.orDie(job.progress.encode(value)),
      (json) => attempt.write({ _tag: "Progress", at: { id: attempt.id, fence: attempt.fence }, value: json ?? "null" })
    )
  })

export const commit = (
  job: D.Definition,
  effect: Effect.Effect<unknown, unknown, unknown>
): Effect.Effect<SettledValue, unknown, unknown> =>
  Effect.gen(function*() {
    const attempt = yield* JobContext
    const transactional = yield* Transactional
    if (attempt.job !== job.tag) {
      return yield* Effect.die(new Error(`${job.tag}.commit was called in an attempt of ${attempt.job}`))
    }
    const value = yield* transactional.commit(
      { id: attempt.id, fence: attempt.fence },
      job.next === undefined ? effect : Effect.tap(effect, (value) => followCommit(job, attempt, value)),
      (value) =>
        Effect.map(Effect.orDie(job.success.encode(value)), (result) => ({
          result,
          finishedAfter: attempt.elapsed()
        }))
    )
    return new SettledValue(value)
  })

export const toLayer = (
  job: D.Definition,
  handler: Registered["run"] | Effect.Effect<Registered["run"], unknown, unknown>,
  middleware: Registered["middleware"]
): Layer.Layer<unknown, unknown, unknown> => {
  const key = keyOf(job.tag)
  return Layer.effect(
    key,
    Effect.gen(function*() {
      const run = Effect.isEffect(handler) ? yield* handler : handler
      return { run, middleware, context: (yield* Effect.context<unknown>()) as Context.Context<never> }
    })
  )
}
