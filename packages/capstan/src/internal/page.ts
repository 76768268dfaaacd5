/** One page of records: what may be asked for, and what is shown of what the store answers. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { JobControlError, type JobStoreError } from "../JobError.ts"
import type { Page, Query } from "../Jobs.ts"
import type { JobStore } from "../JobStore.ts"
import * as Conditions from "./conditions.ts"
import * as Inside from "./inside.ts"
import { masked } from "./view.ts"

const maxLimit = 1000

export const pageOf = (
  store: JobStore["Service"],
  query: Query
): Effect.Effect<Page, JobStoreError | JobControlError> => {
  const { cursor, limit = 50, order = "newest", payload, ...where } = query
  if (!Number.isInteger(limit) || limit < 1 || limit > maxLimit) {
    return Effect.fail(
      new JobControlError({ option: "limit", issue: `must be an integer from 1 to ${maxLimit}, it is ${limit}` })
    )
  }
  if (cursor !== undefined && !store.isCursor(cursor)) {
    return Effect.fail(
      new JobControlError({
        option: "cursor",
        issue: "is none that this store gave: pass that of the page before as it is, or none to begin anew"
      })
    )
  }
  const unknown = Conditions.unknownOf(where)
  if (unknown !== undefined) return Effect.fail(unknown)
  const issue = payload &&
    (Inside.issueOf(payload) ?? (Conditions.isAll(where) ? "wants another condition beside it" : undefined))
  if (issue !== undefined) return Effect.fail(new JobControlError({ option: "payload", issue }))
  const request = { where, order, limit, cursor }
  return Effect.map(
    payload === undefined ? store.query(request) : Inside.queryInside(store, request, payload),
    (reply) => ({
      records: reply.records.map(masked),
      cursor: Option.fromUndefinedOr(reply.cursor),
      looked: reply.looked
    })
  )
}
