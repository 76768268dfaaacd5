/**
 * What operators do to records: each action on one row, and the bounded walk over a selection.
 */
import { isFinal } from "../../JobRecord.ts"
import type { ControlAction, ControlOutcome, ControlReply, ControlRequest, EditedPayload } from "../../JobStore.ts"
import { isBroken, mayBegin, reopen } from "./edges.ts"
import { select } from "./query.ts"
import { dueAt, type Row } from "./row.ts"
import type { MemoryState } from "./state.ts"
import { isEnding, mustUndo } from "./write.ts"

export const control = (state: MemoryState, request: ControlRequest, now: number): ControlReply => {
  const { cursor, rows } = select(state, request.where, "oldest", request.limit, request.cursor)
  // What is not there is told once, with the first chunk; later it may be gone by what that has done.
  const asked = request.cursor === undefined ? new Set(request.where.ids) : []
  const missing = [...asked].filter((id) => !state.rows.has(id))
  const outcomes: Array<ControlReply["outcomes"][number]> = []
  for (const row of rows) outcomes.push({ id: row.id, outcome: act(state, row, request.action, now) })
  for (const id of missing) outcomes.push({ id, outcome: "NotFound" })
  return { outcomes, cursor }
}

const act = (state: MemoryState, row: Row, action: ControlAction, now: number): ControlOutcome => {
  switch (action._tag) {
    case "Cancel":
      return cancel(state, row, action.reason, now)
    case "Retry":
      return retry(state, row, action.payload, now)
    case "Promote":
      if (row.state !== "scheduled") return "Unchanged"
      state.run(row, "due", now, now)
      return "Changed"
    case "Reschedule":
      return reschedule(state, row, action.runAt ?? now + action.delay, now)
    case "Reprioritise":
      return reprioritise(state, row, action.priority, now)
    case "Delete":
      if (row.state === "running") return "Unchanged"
      state.remove(row, now, "Operator")
      return "Changed"
  }
}

export const cancel = (state: MemoryState, row: Row, reason: string, now: number): ControlOutcome => {
  if (isFinal(row.state)) return "Unchanged"
  const more = row.grow()
  if (row.state === "running") {
    if (more.cancelReason !== undefined || isEnding(row)) return "Requested"
    more.cancelReason = reason
    row.worker!.cancel.push(row)
    state.hints.worker(row.worker!.id)
    return "Requested"
  }
  if (isEnding(row)) return "Requested"
  row.fence++
  if (mustUndo(row, { _tag: "Cancel", reason })) {
    state.run(row, "edit", now, now)
    return "Requested"
  }
  more.cancelReason = reason
  state.finish(row, "cancel", "cancelled", now, reason)
  return "Changed"
}

/** A final record runs again with a fresh budget of attempts; a waiting one gets the new payload, a scheduled one runs now. */
const retry = (state: MemoryState, row: Row, payload: EditedPayload | undefined, now: number): ControlOutcome => {
  if (row.state === "running") return "Unchanged"
  const wasFinal = isFinal(row.state)
  if (wasFinal && !mayBegin(state, row, now)) return "Unchanged"
  // Without what it needs it would not run: that is to run again first, and brings it along.
  if (wasFinal && isBroken(row)) return "Unchanged"
  if (!wasFinal && payload === undefined && row.state !== "scheduled") return "Unchanged"
  row.fence++
  if (payload !== undefined) {
    const { json, sensitive, version } = payload
    row.payload = json
    row.spec = { ...row.spec, version, sensitive }
  }
  if (!wasFinal) {
    if (row.state === "scheduled") state.run(row, "edit", now, now)
    // A worker that sleeps may have the version that a parked record has now.
    else state.hints.work(row.queue.name)
    return "Changed"
  }
  state.begin(row, now)
  reopen(state, row, now)
  return "Changed"
}

const reschedule = (state: MemoryState, row: Row, due: number, now: number): ControlOutcome => {
  if (row.state !== "scheduled" && row.state !== "ready") return "Unchanged"
  const isDueThen = row.state === "scheduled" ? row.at === due : due <= now
  const expiresElsewhere = row.untouched && row.spec.startBefore !== undefined && dueAt(row) !== due
  if (isDueThen && !expiresElsewhere) return "Unchanged"
  state.edit(row, row.spec, due, now)
  return "Changed"
}

const reprioritise = (state: MemoryState, row: Row, priority: number, now: number): ControlOutcome => {
  if (isFinal(row.state) || row.state === "running" || row.priority === priority) return "Unchanged"
  const home = row.home
  if (home !== undefined) home.remove(row)
  row.priority = priority
  row.fence++
  if (row.state === "ready" || row.more?.blocked === "ConcurrencyKey") state.admit(row, "edit", now)
  // Also one that is due: the next exchange lets it become ready, in the order of what is due.
  else if (home === row.queue.due) state.wakeAt(row, row.at)
  return "Changed"
}
