/**
 * Schedules as readers see them: their rows, and how the last records of them stand.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { JobStoreError } from "../../JobError.ts"
import type { JobId } from "../../JobRecord.ts"
import type { Run, Schedule } from "../../JobSchedules.ts"
import type { ScheduleRow, Shape } from "../../JobStore.ts"
import { decode } from "./body.ts"
import { toPlan } from "./plan.ts"

/** With how the last records stand, in one read. */
export const viewAll = (
  store: Shape,
  rows: ReadonlyArray<ScheduleRow>
): Effect.Effect<ReadonlyArray<Schedule>, JobStoreError> =>
  Effect.gen(function*() {
    const ids = rows.flatMap(({ last }) => last?.id ?? [])
    const records = ids.length === 0
      ? []
      : (yield* store.query({ where: { ids }, order: "oldest", limit: ids.length })).records
    const runs = new Map(records.map(({ deadReason, finishedAt, id, state }): [JobId, Run] => [id, {
      id,
      state,
      deadReason,
      finishedAt
    }]))
    return rows.map((row) => viewOf(row, (id) => runs.get(id) ?? { id, state: "Gone" }))
  })

const viewOf = ({ body: text, count, last, name, nextAt }: ScheduleRow, runOf: (id: JobId) => Run): Schedule => {
  const { job, origin, paused, queue, spec } = decode(text)
  const isActive = paused === undefined && nextAt !== undefined
  return {
    name,
    job,
    queue,
    origin,
    cron: spec.cron,
    timeZone: spec.timeZone,
    every: spec.every,
    start: spec.start,
    end: spec.end,
    limit: spec.limit,
    jitter: spec.jitter,
    missed: spec.missed,
    overlap: spec.overlap,
    status: paused !== undefined ? "paused" : isActive ? "active" : "ended",
    paused: Option.fromUndefinedOr(paused),
    next: isActive ? Option.some({ at: nextAt, dueAt: toPlan(name, spec).dueAt(nextAt) }) : Option.none(),
    last: Option.map(Option.fromUndefinedOr(last), ({ at, dueAt, id, outcome, tickedAt }) => ({
      at,
      tickedAt,
      lateness: Math.max(0, tickedAt - dueAt),
      outcome,
      run: Option.map(Option.fromUndefinedOr(id), runOf)
    })),
    count
  }
}
