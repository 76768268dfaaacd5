/** A change: allowed or refused, done, and written down either way. */
import { type JobError, Jobs } from "capstan"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Option from "effect/Option"
import { BadRequest, Forbidden, StoreFailed, TooBusy } from "../ApiError.ts"
import type { Outcome } from "../AuditLog.ts"
import { Caller } from "../JobsApi.ts"
import { Audited } from "./audited.ts"
import { Figures } from "./figures.ts"
import type { Asked } from "./inside.ts"
import { named, placeOf } from "./payload.ts"
import { permit } from "./permit.ts"
import { cut } from "./view.ts"

/** What `Jobs` fails with, and what was found wrong before it was asked. */
export type FromJobs = JobError.JobStoreError | JobError.JobControlError | BadRequest

type FromStore = JobError.JobStoreError | JobError.JobControlError

/** The errors of `Jobs` as the API has them; those that it has already as they are. */
export const answered = <A, E extends FromJobs | Forbidden | TooBusy, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, Exclude<E, FromStore> | StoreFailed | BadRequest, R> =>
  Effect.mapError(effect, (error): Exclude<E, FromStore> | StoreFailed | BadRequest => {
    switch (error._tag) {
      case "JobStoreError":
        return new StoreFailed({ reason: error.reason._tag, detail: error.message })
      case "JobControlError":
        return new BadRequest({ detail: error.message })
      default:
        // A switch narrows no type parameter: both errors of the store are above.
        return error as Exclude<E, FromStore>
    }
  })

/** What is done to which records. */
export interface Change<A, E, R> {
  readonly where: Asked
  readonly options?: Readonly<Record<string, unknown>>
  /** What it reaches: `where` without ids of records that the caller may not see. */
  readonly run: (reached: Asked) => Effect.Effect<A, E, R>
  /** How many records that were. */
  readonly count: (answer: A) => Jobs.Counts
}

/** Makes the changes of one API: over its `Jobs`, written into its log. */
export const make = Effect.gen(function*() {
  const jobs = yield* Jobs.Jobs
  const { log } = yield* Audited
  const figures = yield* Figures
  return <A, E extends FromJobs | TooBusy, R>(change: Change<A, E, R>) =>
    Effect.gen(function*() {
      const caller = yield* Caller
      const { action, name } = caller
      const request = yield* HttpServerRequest.HttpServerRequest
      const write = (outcome: Outcome) =>
        Effect.flatMap(Clock.currentTimeMillis, (at) =>
          log.write({
            at,
            principal: name,
            address: Option.getOrUndefined(request.remoteAddress),
            action,
            where: change.where,
            options: change.options ?? {},
            outcome
          }))
      return yield* permit(caller, action, change.where, jobs).pipe(
        Effect.flatMap(change.run),
        answered,
        Effect.onExit((exit) => {
          const outcome = outcomeOf(exit, change.count)
          const written = write(outcome)
          return isNothing(exit, outcome) ? written : Effect.andThen(figures.changed, written)
        })
      )
    })
})

const outcomeOf = <A>(exit: Exit.Exit<A, unknown>, count: (answer: A) => Jobs.Counts): Outcome => {
  if (Exit.isSuccess(exit)) return { _tag: "Done", ...count(exit.value) }
  if (Cause.hasInterruptsOnly(exit.cause)) return { _tag: "Interrupted" }
  const error = Cause.squash(exit.cause)
  return { _tag: error instanceof Forbidden ? "Refused" : "Failed", detail: cut(detailOf(error), mostDetail) }
}

/**
 * Whether figures are as they were: it was not begun, or met no record. Whoever may only look can ask for such things, and would have the
 * store asked at will.
 */
const isNothing = (exit: Exit.Exit<unknown, unknown>, outcome: Outcome): boolean => {
  if (outcome._tag === "Done") return outcome.changed + outcome.requested + outcome.unchanged === 0
  if (Exit.isSuccess(exit)) return false
  const error = Cause.squash(exit.cause)
  return error instanceof Forbidden || error instanceof BadRequest || error instanceof TooBusy
}

/** Characters: what a store says may be long. */
const mostDetail = 1000

/** What is wrong with a payload is told to who wrote it. It may name a sensitive value, and others read the log. */
const detailOf = (error: unknown): string =>
  error instanceof BadRequest && error.issues !== undefined
    ? `the payload is not what its job takes, at ${named(error, placeOf)}`
    : error instanceof Error
    ? error.message
    : String(error)
