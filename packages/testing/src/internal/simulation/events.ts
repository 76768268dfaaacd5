/**
 * Which event of the transition table happened to a record, told from how it stood before a step of the store and after.
 */
import type { JobRecord, Lifecycle } from "capstan"

type Record_ = JobRecord.JobRecord

const isWaiting = (state: JobRecord.State): boolean => state === "blocked" || state === "scheduled" || state === "ready"

/** Whether an attempt begins. */
export const isStart = (was: Record_ | undefined, is: Record_): boolean =>
  is.state === "running" && (was?.state !== "running" || was.fence !== is.fence)

/** `undefined` when nothing happened to it, or more than one thing: a due record is claimed in the step that makes it ready. */
export const eventOf = (was: Record_, is: Record_): Lifecycle.Event | undefined => {
  const rises = is.fence - was.fence
  if (rises > 1) return undefined
  if (was.state === "running") return endOf(was, is)
  if (!isWaiting(was.state)) return isWaiting(is.state) ? "replay" : undefined
  switch (is.state) {
    case "running":
      return was.state === "ready" ? "claim" : undefined
    case "cancelled":
      return "cancel"
    case "dead":
      return is.deadReason === "Expired" ? "expire" : "dependencyFailed"
    case "completed":
      return undefined
    default:
      if (rises === 1) return "edit"
      if (was.state === is.state) return undefined
      return was.state === "blocked" ? "unblock" : was.state === "ready" ? "hold" : "due"
  }
}

const endOf = (was: Record_, is: Record_): Lifecycle.Event | undefined => {
  switch (is.state) {
    case "running":
      return undefined
    case "completed":
      return "complete"
    case "cancelled":
      return "cancelled"
    case "dead":
      return is.deadReason === "Crashed" ? "quarantine" : "bury"
    default:
      if (is.attempts.length === was.attempts.length) return unstarted(is)
      return wasHeld(is) ? undefined : events[is.attempts.at(-1)!.decision]
  }
}

/** It was rescued, and in the same step its limit had become too low for it: two events. */
const wasHeld = ({ attempts, blocked }: Record_): boolean =>
  attempts.at(-1)!.decision === "crashed" && blocked?.reason === "ConcurrencyKey"

/** What a history does not show: the attempt counts as never begun. */
const unstarted = ({ state }: Record_): Lifecycle.Event => state === "blocked" ? "park" : "release"

const events: Partial<Record<JobRecord.Decision, Lifecycle.Event>> = {
  retried: "retryAfter",
  snoozed: "snooze",
  waiting: "waitFor",
  crashed: "rescue"
}

/**
 * What the table's row does to the attempt counter, or what else may be: a failure that is not the job's is not charged, and
 * neither is an attempt that never reached its worker.
 */
export const chargesOf = (event: Lifecycle.Event, { attempt }: Lifecycle.Transition): ReadonlyArray<number> =>
  event === "retryAfter" || event === "cancelled" ? [attempt, -1] : [attempt]
