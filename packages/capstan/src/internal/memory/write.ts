/**
 * Writes of running attempts, refused when the fence is stale (P3), and signals from outside.
 */
import type { AttemptRef, Settled, SignalRequest, WriteEntry } from "../../JobStore.ts"
import type { Row } from "./row.ts"
import type { MemoryState } from "./state.ts"

/** The log lines that a record keeps: the newest. */
const keptLines = 200

export const write = (state: MemoryState, entries: ReadonlyArray<WriteEntry>, now: number): ReadonlyArray<Settled> =>
  entries.map((entry) => {
    const row = fenced(state, entry.at)
    if (row === undefined) return "LeaseLost"
    const more = row.grow()
    switch (entry._tag) {
      case "Step":
        more.checkpoints = { ...more.checkpoints, [entry.name]: entry.value }
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

export const signal = (
  state: MemoryState,
  request: SignalRequest,
  now: number
): "Delivered" | "Early" | "NotFound" => {
  const row = state.rows.get(request.id)
  if (row === undefined || row.state === "completed" || row.state === "cancelled" || row.state === "dead") {
    return "NotFound"
  }
  const more = row.grow()
  more.checkpoints = { ...more.checkpoints, [request.waitpoint]: request.value }
  if (row.state !== "blocked" || more.blocked !== "Waitpoint" || more.blockedOn !== request.waitpoint) return "Early"
  state.run(row, "unblock", now, now)
  return "Delivered"
}
