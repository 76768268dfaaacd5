/**
 * Counts of records, and actions on them, by what is inside of their payloads. No store has an index of it, so they are looked up
 * first, a bounded number, as `Jobs` masks them; an action meets all of them, or none where there are more to look at.
 */
import type { JobError, JobRecord, Jobs, JobStore } from "capstan"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { BadRequest } from "../ApiError.ts"

/** Which records: what the store selects by, and what is inside of their payloads. */
export interface Asked extends JobStore.Selection {
  readonly payload?: Jobs.Query["payload"]
}

/** At how many records one request looks. */
export const mostLooked = 100_000
const page = 1000
/** Records that one call of `Jobs` acts on. */
const chunk = 500

type Failure = JobError.JobStoreError | JobError.JobControlError

export interface Looked {
  readonly found: ReadonlyArray<Pick<JobRecord.JobRecord, "id" | "state">>
  readonly isCut: boolean
}

/** All that match, unless there are more to look at than may be. */
export const look = (jobs: Jobs.Shape, where: Asked): Effect.Effect<Looked, Failure> =>
  Effect.gen(function*() {
    const found: Array<Looked["found"][number]> = []
    let looked = 0
    let cursor: string | undefined
    do {
      const reply = yield* jobs.query({ ...where, order: "oldest", limit: page, cursor })
      for (const { id, state } of reply.records) found.push({ id, state })
      looked += reply.looked ?? reply.records.length
      cursor = Option.getOrUndefined(reply.cursor)
    } while (cursor !== undefined && looked < mostLooked)
    return { found, isCut: cursor !== undefined }
  })

/** An action on all that match. What ceased to match otherwise meanwhile is left alone; payloads are not looked at again. */
export const act = <E, R>(
  looked: Effect.Effect<Looked, E, R>,
  where: Asked,
  run: (where: JobStore.Selection) => Effect.Effect<Jobs.Counts, Failure>
): Effect.Effect<Jobs.Counts, E | Failure | BadRequest, R> =>
  Effect.gen(function*() {
    const { payload: _, ...rest } = where
    const { found, isCut } = yield* looked
    if (isCut) {
      return yield* new BadRequest({
        detail: `where.payload: the other conditions leave more than ${
          mostLooked.toLocaleString("en")
        } records to look into, and nothing was changed: name a queue, a job, a state or when they were enqueued, or records by ids`
      })
    }
    const counts = { changed: 0, requested: 0, unchanged: 0, notFound: 0 }
    for (let from = 0; from < found.length; from += chunk) {
      const ids = found.slice(from, from + chunk).map(({ id }) => id)
      const { changed, notFound, requested, unchanged } = yield* run({ ...rest, ids })
      counts.changed += changed
      counts.requested += requested
      counts.unchanged += unchanged
      counts.notFound += notFound
    }
    return counts
  })
