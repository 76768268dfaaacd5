/** The states of a record, in the order of its life. */
import type { State } from "./api.ts"

export const states: ReadonlyArray<State> = [
  "blocked",
  "scheduled",
  "ready",
  "running",
  "completed",
  "cancelled",
  "dead"
]
