/** Whether a caller may do something to every record that a selection can reach. */
import type { JobError, JobStore } from "capstan"
import { Jobs } from "capstan"
import * as Effect from "effect/Effect"
import { Forbidden } from "../ApiError.ts"
import type { Caller } from "../JobsApi.ts"
import type { Action } from "../Permission.ts"

type Asking = Caller["Service"]

/**
 * A rule may be about queues, and a record keeps its queue, so who may not act on all of them names one, or names the
 * records: these are looked up. Answers what is reached: ids of records that may not be seen are left out, as if nobody had them.
 */
export const permit = <Where extends JobStore.Selection>(
  caller: Asking,
  action: Action,
  where: Where,
  jobs: Jobs.Shape
): Effect.Effect<Where, Forbidden | JobError.JobStoreError | JobError.JobControlError> => {
  if (caller.may(action)) return Effect.succeed(where)
  if (where.queue !== undefined) return Effect.as(permitQueue(caller, action, where.queue), where)
  const { ids } = where
  if (ids === undefined) {
    return refuse(`${caller.name} may not ${action} on every queue: name a queue, or records by their ids`)
  }
  return Effect.gen(function*() {
    const hidden = new Set<string>()
    let cursor: string | undefined
    do {
      const page = yield* jobs.query({ ids, limit: ids.length, cursor })
      for (const { id, queue } of page.records) {
        if (caller.may(action, queue)) continue
        if (caller.may("view", queue)) yield* permitQueue(caller, action, queue)
        else hidden.add(id)
      }
      cursor = page.cursor._tag === "Some" ? page.cursor.value : undefined
    } while (cursor !== undefined)
    return hidden.size === 0 ? where : { ...where, ids: ids.filter((id) => !hidden.has(id.toLowerCase())) }
  })
}

export const permitQueue = (caller: Asking, action: Action, queue: string): Effect.Effect<void, Forbidden> =>
  caller.may(action, queue)
    ? Effect.void
    : refuse(
      caller.may("view", queue)
        ? `${caller.name} may not ${action} on the queue ${queue}`
        : `${caller.name} may not ${action} on a queue of these records`
    )

export const refuse = (detail: string) => Effect.fail(new Forbidden({ reason: "NotAllowed", detail }))
