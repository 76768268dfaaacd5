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
 * records: these are looked up.
 */
export const permit = (
  caller: Asking,
  action: Action,
  where: JobStore.Selection,
  jobs: Jobs.Shape
): Effect.Effect<void, Forbidden | JobError.JobStoreError | JobError.JobControlError> => {
  if (caller.may(action)) return Effect.void
  if (where.queue !== undefined) return permitQueue(caller, action, where.queue)
  const { ids } = where
  if (ids === undefined) {
    return refuse(`${caller.name} may not ${action} on every queue: name a queue, or records by their ids`)
  }
  return Effect.gen(function*() {
    let cursor: string | undefined
    do {
      const page = yield* jobs.query({ ids, limit: ids.length, cursor })
      for (const { queue } of page.records) yield* permitQueue(caller, action, queue)
      cursor = page.cursor._tag === "Some" ? page.cursor.value : undefined
    } while (cursor !== undefined)
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
