/**
 * The end of one attempt.
 *
 * Guarantee: only the attempt that holds the fence ends the record (P3), and a settlement that is sent again is answered
 * as done (P13). The settlement, its children and the slot of its key move together.
 */
import type { Attempt, Decision, Failure } from "../../JobRecord.ts"
import type { NewFailure, Outcome, Settled, Settlement } from "../../JobStore.ts"
import { connect, Edge, forgetOpenChildren, keepOthers } from "./edges.ts"
import { enqueueAnyway } from "./enqueue.ts"
import { close, closes, ended } from "./limits.ts"
import type { Row } from "./row.ts"
import type { MemoryState, WorkerState } from "./state.ts"
import { isKept, mustUndo } from "./write.ts"

/** The failures that travel with a record; what is older only counts as an attempt. */
export const keptFailures = 32
/** The attempts that a history shows. */
export const keptAttempts = 100

export const settle = (state: MemoryState, by: WorkerState, settlement: Settlement, now: number): Settled => {
  const row = by.held.get(settlement.id) ?? state.rows.get(settlement.id)
  if (row === undefined) return state.gone.get(settlement.id)?.fence === settlement.fence ? "Done" : "LeaseLost"
  if (row.settledFence === settlement.fence) return "Done"
  if (row.state !== "running" || row.fence !== settlement.fence) return "LeaseLost"
  const { outcome } = settlement
  const endedAt = Math.min(now, row.at + Math.ceil(settlement.finishedAfter))
  const failure = "failure" in outcome && outcome.failure !== undefined
    ? toFailure(row, outcome.failure, endedAt)
    : undefined
  const asked = isOpen(outcome) ? row.more?.cancelReason : undefined
  const isUndoing = asked !== undefined && mustUndo(row, { _tag: "Cancel", reason: asked })
  const reason = isUndoing ? undefined : asked
  const decision = reason === undefined ? decisions[outcome._tag] : "cancelled"
  endAttempt(row, decision, endedAt, failure, settlement.trace)
  row.settledFence = settlement.fence
  if (settlement.children !== undefined) leaveChildren(state, row, settlement, now)
  if (row.admitted) ended(state, row, outcome, now)
  if (reason === undefined) conclude(state, row, outcome, now, isUndoing)
  else state.finish(row, "cancelled", "cancelled", now, reason)
  return "Done"
}

const decisions: Record<Outcome["_tag"], Decision> = {
  Complete: "completed",
  RetryAfter: "retried",
  SnoozeFor: "snoozed",
  WaitFor: "waiting",
  WaitForChildren: "waiting",
  Cancel: "cancelled",
  Dead: "dead",
  Release: "released",
  Park: "parked"
}

/** An outcome after which the record would run again: one whose cancellation was requested does not. */
const isOpen = (outcome: Outcome): boolean =>
  outcome._tag !== "Complete" && outcome._tag !== "Dead" && outcome._tag !== "Cancel"

const toFailure = (row: Row, failure: NewFailure, at: number): Failure => ({ ...failure, attempt: row.attempt, at })

/** Takes a running row from its worker: from here on, the fence refuses whatever the attempt still writes. */
export const endAttempt = (
  row: Row,
  decision: Decision,
  endedAt: number,
  failure?: Failure,
  trace?: string
): void => {
  const worker = row.worker!
  worker.held.delete(row.id)
  if (row.crashes > 0) worker.suspects--
  row.worker = undefined
  row.fence++
  // Nothing is known of one that never began: whether it crashes its worker least of all.
  if (decision === "released" || decision === "parked") return
  row.begun = true
  if (decision !== "crashed") row.crashes = 0
  if (decision === "completed" && row.more === undefined && trace === undefined) {
    row.ran(worker.id, row.at, endedAt)
    return
  }
  const more = row.grow()
  const attempt: Attempt = {
    attempt: row.attempt,
    worker: worker.id,
    startedAt: row.at,
    endedAt,
    decision,
    failure,
    trace
  }
  more.attempts = more.attempts.length === 0 ? [attempt] : [...more.attempts.slice(1 - keptAttempts), attempt]
  if (failure !== undefined) more.failures = keep(more.failures, failure)
}

/** A failure that gave its attempt back has the number of the next failure, which replaces it: it fills no place. */
const keep = (failures: ReadonlyArray<Failure>, failure: Failure): ReadonlyArray<Failure> => {
  const others = failures.at(-1)?.attempt === failure.attempt ? failures.slice(0, -1) : failures
  return [...others.slice(1 - keptFailures), failure]
}

/** What is to be undone (`atOnce`) waits for nothing: a request to cancel it is over, and nobody could ask for it again. */
const conclude = (state: MemoryState, row: Row, outcome: Outcome, now: number, atOnce: boolean): void => {
  switch (outcome._tag) {
    case "Complete":
      // Nobody asks for its steps again.
      if (row.more !== undefined) row.more.checkpoints = undefined
      if (outcome.result !== undefined) row.grow().result = outcome.result
      return state.finish(row, "complete", "completed", now)
    case "RetryAfter":
      if (outcome.uncharged === true) row.attempt--
      state.run(row, "retryAfter", now, atOnce ? now : now + Math.ceil(outcome.delay))
      return state.tell("retried", row, now, outcome.failure.tag)
    case "SnoozeFor":
      row.attempt--
      if (!closes(row, outcome.closes)) {
        state.run(row, "snooze", now, atOnce ? now : now + Math.ceil(outcome.delay))
      } else {
        close(state, row, outcome.closes!, outcome.delay, now)
        // It keeps its turn while its queue is closed: nothing of its key starts before it.
        if (outcome.closes === "key") state.freeSlot(row, now)
        state.admit(row, "snooze", now)
      }
      return state.tell("retried", row, now, outcome.failure?.tag, true)
    case "WaitFor":
      row.attempt--
      if (atOnce || isKept(row.more?.checkpoints, outcome.waitpoint)) return state.run(row, "waitFor", now, now)
      state.freeSlot(row, now)
      state.block(row, "waitFor", "Waitpoint", outcome.waitpoint)
      if (outcome.delay !== undefined) state.wakeAt(row, now + Math.ceil(outcome.delay))
      return state.tell("blocked", row, now, outcome.waitpoint)
    case "WaitForChildren":
      row.attempt--
      if (atOnce || row.grow().pending === 0) return state.run(row, "waitFor", now, now)
      state.freeSlot(row, now)
      state.block(row, "waitFor", "Children")
      if (outcome.delay !== undefined) state.wakeAt(row, now + Math.ceil(outcome.delay))
      return
    case "Cancel":
      row.grow().cancelReason = outcome.reason
      return state.finish(row, "cancelled", "cancelled", now, outcome.reason)
    case "Dead":
      row.grow().deadReason = outcome.reason
      return state.finish(row, "bury", "dead", now, outcome.failure?.tag ?? outcome.reason)
    case "Release":
      return release(state, row, now)
    case "Park":
      row.attempt--
      if (row.spec.startBefore !== undefined) state.watchExpiry(row)
      return park(state, row, outcome.reason, now)
  }
}

/** Puts a row whose attempt is given back where it was before the claim. */
export const release = (state: MemoryState, row: Row, now: number): void => {
  row.attempt--
  if (row.spec.startBefore !== undefined) state.watchExpiry(row)
  state.admit(row, "release", now)
}

/** Blocks a row until a worker that has its tag and version comes by. It keeps its place. */
const park = (state: MemoryState, row: Row, reason: "NoHandler" | "NewerPayload", now: number): void => {
  state.freeSlot(row, now)
  state.block(row, "park", reason, `${row.spec.tag}@${row.spec.version}`)
  row.queue.parked++
  let parked = state.parked.get(row.spec.tag)
  if (parked === undefined) state.parked.set(row.spec.tag, parked = new Set())
  parked.add(row)
  state.tell("blocked", row, now, reason)
  // A worker that has it may sleep: it releases the row in its next exchange.
  state.hints.work(row.queue.name)
}

const leaveChildren = (state: MemoryState, row: Row, settlement: Settlement, now: number): void => {
  const { _tag } = settlement.outcome
  // Their ends let no record run that waits for a signal. It finds them when that comes, which may be after they are gone.
  const waits = _tag === "WaitForChildren" || _tag === "WaitFor"
  const named = new Set(waits ? settlement.children!.map(({ id }) => id) : [])
  if (waits) forgetOpenChildren(state, row, named)
  if (_tag === "WaitForChildren") keepOthers(row, named)
  for (const spec of settlement.children!) {
    // It has ended while this one ran, and may be gone: how is known.
    if (waits && row.more?.waitsFor?.some((edge) => edge.isChild && edge.id === spec.id)) continue
    const { id } = enqueueAnyway(state, spec, now)
    const child = state.rows.get(id)!
    if (!waits || child.finished) continue
    connect(state, new Edge(row, child.id, child.id, "continue"))
  }
}
