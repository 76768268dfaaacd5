/**
 * Writes of running attempts, refused when the fence is stale (P3), and signals from outside.
 */
import { isFinal } from "../../JobRecord.ts"
import type { AttemptRef, Settled, Signalled, SignalRequest, WriteEntry } from "../../JobStore.ts"
import { endMark, undoneMark } from "../steps/names.ts"
import type { More, Row } from "./row.ts"
import type { MemoryState } from "./state.ts"

/** The log lines that a record keeps: the newest. */
export const keptLines = 200

export const write = (state: MemoryState, entries: ReadonlyArray<WriteEntry>, now: number): ReadonlyArray<Settled> =>
  entries.map((entry) => {
    const row = fenced(state, entry.at)
    if (row === undefined) return "LeaseLost"
    const more = row.grow()
    switch (entry._tag) {
      case "Step":
        if (entry.replaces !== undefined) more.checkpoints = without(more.checkpoints, entry.replaces)
        keepFirst(more, entry.name, entry.value)
        if (entry.undo === true) more.undo = true
        break
      case "Progress":
        more.progress = entry.value
        state.tell("progress", row, now)
        break
      case "Log": {
        const lines = entry.lines.map((message) => ({ attempt: row.attempt, at: now, message }))
        more.logs = [...more.logs, ...lines].slice(-keptLines)
      }
    }
    return "Done"
  })

const fenced = (state: MemoryState, at: AttemptRef): Row | undefined => {
  const row = state.rows.get(at.id)
  return row !== undefined && row.state === "running" && row.fence === at.fence ? row : undefined
}

/** Not by what an object has besides: a step or a waitpoint may be called as that is. */
export const isKept = (checkpoints: More["checkpoints"], name: string): boolean =>
  checkpoints !== undefined && Object.hasOwn(checkpoints, name)

/** Copied with each write: a claim has handed out the one before. */
const keepFirst = (more: More, name: string, value: string): boolean => {
  if (isKept(more.checkpoints, name)) return false
  more.checkpoints = { ...more.checkpoints, [name]: value }
  return true
}

const without = (checkpoints: More["checkpoints"], name: string): More["checkpoints"] => {
  const { [name]: _, ...others } = checkpoints ?? {}
  return others
}

/**
 * Whether a record that is to end while no attempt of it decides must run once more, because a step of it can be undone. How
 * it is to end is kept for that attempt.
 */
export const mustUndo = (row: Row, end: { readonly _tag: "Cancel" | "Dead"; readonly reason: string }): boolean => {
  const { more } = row
  if (more?.undo !== true) return false
  keepFirst(more, endMark, JSON.stringify(end))
  more.cancelReason = undefined
  return true
}

/** It runs only to undo its steps. */
export const isEnding = (row: Row): boolean => row.more?.checkpoints?.[endMark] !== undefined

/** What a record that runs again by hand may not find: steps of a life that was completed, or undone. */
export const forgetSteps = (row: Row): void => {
  const { more } = row
  if (more === undefined || row.state !== "completed" && more.checkpoints?.[undoneMark] === undefined) return
  more.checkpoints = undefined
  more.undo = false
}

export const signal = (state: MemoryState, request: SignalRequest, now: number): Signalled => {
  const row = state.rows.get(request.id)
  return row === undefined || isFinal(row.state)
    ? "NotFound"
    : complete(state, row, request.waitpoint, request.value, now)
}

/** Of a record that has not ended. */
export const complete = (
  state: MemoryState,
  row: Row,
  waitpoint: string,
  value: string,
  now: number
): Exclude<Signalled, "NotFound"> => {
  const more = row.grow()
  if (!keepFirst(more, waitpoint, value)) return "Existing"
  if (row.state !== "blocked" || more.blocked !== "Waitpoint" || more.blockedOn !== waitpoint) return "Early"
  state.run(row, "unblock", now, now)
  return "Delivered"
}
