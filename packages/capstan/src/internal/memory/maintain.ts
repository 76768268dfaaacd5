/**
 * What nobody's request does: rescue from dead workers, expiry, retention. Bounded work, safe to race.
 */
import type { MaintainReply } from "../../JobStore.ts"
import { expire, maintainIn } from "./exchange.ts"
import { follow } from "./follow.ts"
import type { Row } from "./row.ts"
import { attend, nextAttention } from "./schedules.ts"
import { endAttempt } from "./settle.ts"
import type { MemoryState, WorkerState } from "./state.ts"
import { isEnding, mustUndo } from "./write.ts"

/** How many records one call rescues, expires and sweeps, each. */
const chunk = 1000
/** A worker that holds nothing is forgotten this long after its lease ended. */
const forgetAfter = 24 * 60 * 60 * 1000

export const maintain = (state: MemoryState, now: number): MaintainReply => {
  const rescue = rescueAll(state, now)
  const expired = expireAll(state, now)
  const swept = sweep(state, now)
  const schedules = attend(state, now)
  state.maintainAt = nextWork(state, now)
  const reply = { ...rescue, expired, swept, maintainIn: maintainIn(state, now) }
  return schedules === undefined ? reply : { ...reply, schedules }
}

const rescueAll = (state: MemoryState, now: number): { rescued: number; quarantined: number } => {
  let rescued = 0
  let quarantined = 0
  for (const worker of state.workers.values()) {
    if (state.leaseOf(worker, now) > now) continue
    if (worker.held.size === 0) {
      if (worker.leaseUntil + forgetAfter <= now) state.workers.delete(worker.id)
      continue
    }
    // All of a worker's records in one step: whom its death is charged to depends on all that it held.
    const charged = charge(worker)
    for (const row of [...worker.held.values()]) {
      if (rescue(state, row, charged.has(row), now)) quarantined++
      else rescued++
    }
  }
  return { rescued, quarantined }
}

/** When a worker dies with a record that had crashed before, that one is to blame; else all of them may be (P10). */
const charge = (worker: WorkerState): ReadonlySet<Row> => {
  for (const row of worker.held.values()) if (row.crashes > 0) return new Set([row])
  return new Set(worker.held.values())
}

const rescue = (state: MemoryState, row: Row, isCharged: boolean, now: number): boolean => {
  const blamed = isCharged && row.more?.cancelReason === undefined
  endAttempt(
    row,
    "crashed",
    now,
    isCharged ? { attempt: row.attempt, kind: "Crashed", at: now, message: "its worker's lease ended" } : undefined
  )
  if (blamed) row.crashes++
  const reason = row.more?.cancelReason
  if (reason !== undefined && !mustUndo(row, { _tag: "Cancel", reason })) {
    state.finish(row, "cancelled", "cancelled", now, reason)
    return false
  }
  if (row.crashes >= state.maxCrashes && (isEnding(row) || !mustUndo(row, { _tag: "Dead", reason: "Crashed" }))) {
    row.grow().deadReason = "Crashed"
    state.finish(row, "quarantine", "dead", now, "Crashed")
    follow(state, row, now)
    return true
  }
  state.admit(row, "rescue", now)
  return false
}

const expireAll = (state: MemoryState, now: number): number => {
  for (let expired = 0; expired < chunk; expired++) {
    const row = state.expiring.due(now)
    if (row === undefined) return expired
    expire(state, row, now)
  }
  return chunk
}

/** Removes finished records whose age or count has passed, oldest first. */
const sweep = (state: MemoryState, now: number): number => {
  let swept = 0
  for (const shelf of state.shelves) {
    while (swept < chunk) {
      const row = shelf.rows.peek()
      if (row === undefined) break
      if (shelf.rows.size <= shelf.count && row.at + shelf.age > now) break
      state.remove(row, now, "Retention")
      swept++
    }
  }
  while (swept < chunk && state.finished > state.maxFinished) {
    state.remove(oldestFinished(state)!, now, "Retention")
    swept++
  }
  return swept
}

const oldestFinished = (state: MemoryState): Row | undefined => {
  let oldest: Row | undefined
  for (const shelf of state.shelves) {
    const row = shelf.rows.peek()
    if (row !== undefined && (oldest === undefined || row.at < oldest.at)) oldest = row
  }
  return oldest
}

const nextWork = (state: MemoryState, now: number): number => {
  let next = state.finished > state.maxFinished ? now : state.expiring.nextAt
  for (const worker of state.workers.values()) if (worker.held.size > 0) next = Math.min(next, worker.leaseUntil)
  for (const shelf of state.shelves) {
    const row = shelf.rows.peek()
    if (row !== undefined) next = Math.min(next, shelf.rows.size > shelf.count ? now : row.at + shelf.age)
  }
  return state.schedules.size === 0 ? next : Math.min(next, nextAttention(state))
}
