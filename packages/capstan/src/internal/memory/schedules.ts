/**
 * Ticks: a schedule moves on and its record is stored in one step, so a tick enqueues exactly once (P8).
 */
import type { TickRequest } from "../../JobStore.ts"
import { enqueueOne } from "./enqueue.ts"
import type { MemoryState } from "./state.ts"

export const tick = (state: MemoryState, request: TickRequest, now: number): boolean => {
  const schedule = state.schedules.get(request.name)
  if (schedule === undefined || schedule.nextAt !== request.at) return false
  state.schedules.set(request.name, { ...schedule, nextAt: request.nextAt })
  if (request.record !== undefined) enqueueOne(state, request.record, now)
  return true
}
