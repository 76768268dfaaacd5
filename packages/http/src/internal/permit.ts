/** Whether a caller may do something to every record that a selection can reach. */
import type { JobError, JobStore } from "capstan"
import { Jobs } from "capstan"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Forbidden } from "../ApiError.ts"
import type { Caller } from "../JobsApi.ts"
import type { Action } from "../Permission.ts"

type Asking = Caller["Service"]

/**
 * A rule may be about queues, and a record keeps its queue, so who may not act on all of them names one, or names the records: these
 * are looked up, also where their queue is named. Answers what is reached: ids of records that may not be seen are left out, as if nobody
 * had them.
 */
export const permit = <Where extends JobStore.Selection>(
  caller: Asking,
  action: Action,
  where: Where,
  jobs: Jobs.Shape
): Effect.Effect<Where, Forbidden | JobError.JobStoreError | JobError.JobControlError> =>
  Effect.gen(function*() {
    if (caller.may(action)) return where
    const { ids, queue } = where
    if (queue !== undefined) yield* permitQueue(caller, action, queue)
    if (ids !== undefined) return yield* withoutHidden(caller, action, where, ids, jobs)
    return queue !== undefined
      ? where
      : yield* refuse(`${caller.name} may not ${action} on every queue: name a queue, or records by their ids`)
  })

/** Refuses records that the action would reach and may not. */
const withoutHidden = Effect.fnUntraced(function*<Where extends JobStore.Selection>(
  caller: Asking,
  action: Action,
  where: Where,
  ids: NonNullable<Where["ids"]>,
  jobs: Jobs.Shape
) {
  const hidden = new Set<string>()
  let cursor: string | undefined
  do {
    const page = yield* jobs.query({ ids, limit: ids.length, cursor })
    for (const { id, queue } of page.records) {
      if (!caller.may("view", queue) && !caller.may(action, queue)) hidden.add(id)
      // Where a queue is named, those of others are not reached.
      else if (where.queue === undefined) yield* permitQueue(caller, action, queue)
    }
    cursor = Option.getOrUndefined(page.cursor)
  } while (cursor !== undefined)
  return hidden.size === 0 ? where : { ...where, ids: ids.filter((id) => !hidden.has(id.toLowerCase())) }
})

export const permitQueue = (caller: Asking, action: Action, queue: string): Effect.Effect<void, Forbidden> =>
  caller.may(action, queue)
    ? Effect.void
    : refuse(
      caller.may("view", queue)
        ? `${caller.name} may not ${action} on the queue ${queue}`
        : `${caller.name} may not ${action} on a queue of these records`
    )

export const refuse = (detail: string) => Effect.fail(new Forbidden({ reason: "NotAllowed", detail }))
