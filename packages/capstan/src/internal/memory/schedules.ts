/**
 * Schedules: each write names the revision that it has read, and a tick stores its records in the step that moves the
 * schedule on, so that a planned instant enqueues exactly once (P8).
 */
import { isFinal } from "../../JobRecord.ts"
import type {
  OverlapRule,
  SchedulePut,
  ScheduleRow,
  SchedulesReply,
  SchedulesRequest,
  TickOutcome,
  TickReply,
  TickRequest
} from "../../JobStore.ts"
import { cancel } from "./control.ts"
import { enqueueAnyway } from "./enqueue.ts"
import type { MemoryState } from "./state.ts"

/** How many due schedules one call of `maintain` hands out, and for how long nobody else is given them. */
const chunk = 100
const attention = 5000

export const read = (state: MemoryState, { after, limit, names }: SchedulesRequest, now: number): SchedulesReply => {
  const rows = names === undefined
    ? [...state.schedules.values()].filter(({ name }) => after === undefined || name > after)
    : names.flatMap((name) => state.schedules.get(name) ?? [])
  return { now, rows: rows.toSorted((a, b) => (a.name < b.name ? -1 : 1)).slice(0, limit) }
}

export const put = (state: MemoryState, { name, revision, row }: SchedulePut): boolean => {
  const was = state.schedules.get(name)
  if ((was?.revision ?? 0) !== revision) return false
  if (row === undefined) state.schedules.delete(name)
  else {
    const { attendAt, body, nextAt } = row
    set(state, { name, revision: revision + 1, nextAt, attendAt, body, count: was?.count ?? 0, last: was?.last })
  }
  // Whoever sleeps until its next instant is to look again.
  state.hints.all()
  return true
}

const set = (state: MemoryState, row: ScheduleRow): void => {
  state.schedules.set(row.name, row)
  if (row.attendAt !== undefined) state.foresee(row.attendAt)
}

export const tick = (state: MemoryState, request: TickRequest, now: number): TickReply | undefined => {
  const was = state.schedules.get(request.name)
  if (was === undefined || was.revision !== request.revision || was.nextAt !== request.at) return undefined
  const limit = request.limit ?? Infinity
  const outcomes: Array<TickOutcome> = []
  let { count, last } = was
  for (const { at, dueAt, record } of request.ticks) {
    if (count >= limit) break
    let outcome = overlaps(state, request, last, now)
    let id = outcome?.id
    if (outcome === undefined) {
      const enqueued = enqueueAnyway(state, record, now)
      outcome = { outcome: "Enqueued", id: enqueued.id }
      // One that was there is none of the schedule's, for the next tick to cancel or to wait for.
      id = enqueued.outcome === "Existing" ? last?.id : enqueued.id
      if (request.isAsked !== true) count++
    }
    outcomes.push(outcome)
    last = { at, dueAt, tickedAt: now, outcome: outcome.outcome, id }
  }
  const { attendAt, body = was.body, nextAt } = count >= limit ? { body: request.next.body } : request.next
  set(state, { name: was.name, revision: was.revision + 1, nextAt, attendAt, body, count, last })
  return { now, outcomes }
}

/** The outcome of a tick that the record of the one before keeps from enqueuing. */
const overlaps = (
  state: MemoryState,
  { name, overlap }: { readonly name: string; readonly overlap: OverlapRule },
  last: ScheduleRow["last"],
  now: number
): TickOutcome | undefined => {
  const previous = overlap === "allow" || last?.id === undefined ? undefined : state.rows.get(last.id)
  if (previous === undefined || isFinal(previous.state)) return undefined
  if (overlap === "skip") return { outcome: "Skipped", id: previous.id }
  cancel(state, previous, `schedule ${name}: its next tick came`, now)
  return undefined
}

/** The schedules that a worker is to see to now. */
export const attend = (state: MemoryState, now: number): SchedulesReply | undefined => {
  if (state.schedules.size === 0) return undefined
  const due = [...state.schedules.values()].filter(({ attendAt }) => attendAt !== undefined && attendAt <= now)
    .toSorted((a, b) => a.attendAt! - b.attendAt!)
    .slice(0, chunk)
  for (const row of due) state.schedules.set(row.name, { ...row, attendAt: now + attention })
  return due.length === 0 ? undefined : { now, rows: due }
}

export const nextAttention = (state: MemoryState): number => {
  let next = Infinity
  for (const { attendAt } of state.schedules.values()) if (attendAt !== undefined && attendAt < next) next = attendAt
  return next
}
