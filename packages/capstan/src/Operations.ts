/**
 * What each operation of a store does to a record, whatever state it is in.
 *
 * `Lifecycle.table` says which steps there are. This table says which of them an operation takes, and what it answers: one
 * entry for every pair of an operation and a situation, so that a new state, outcome or action without one does not
 * compile. `JobStoreSuite` asks every pair of every store.
 *
 * @since 0.1.0
 */
import type { BlockedReason, State } from "./JobRecord.ts"
import type { Event } from "./Lifecycle.ts"
import type { ControlAction, ControlOutcome } from "./StoreControl.ts"
import type { Enqueued, Outcome, ResultAnswer, Settled, Signalled, WriteEntry } from "./StoreWork.ts"

/**
 * A state as far as operations tell it apart: with what a blocked record waits for, and whether a running one was asked to
 * end. `absent`: there is no such record.
 *
 * @category models
 * @since 0.1.0
 */
export type Situation = Exclude<State, "blocked"> | `blocked: ${BlockedReason}` | "running, cancel asked" | "absent"

/**
 * What a caller may do with a record, and what time and other records may do to it.
 *
 * - `enqueue`: of another record with the same idempotency key
 * - `settle …`, `write …`, `renew held`: by the last attempt that the record had, or by none
 * - `control edit`: `Retry` with another payload
 * - `claim due`: a claim after the due instant of what is scheduled
 * - `renew forgotten`: a renewal that does not name what the worker holds; `renew able`: by a worker that has every job
 * - `maintain expired`: after the instant of `startBefore`; `maintain lease ended`: after that of the worker's lease
 * - `others completed`, `others died`: what holds the record up has ended so
 *
 * @category models
 * @since 0.1.0
 */
export type Operation =
  | "enqueue"
  | "claim"
  | "claim due"
  | `settle ${Outcome["_tag"]}`
  | `write ${WriteEntry["_tag"]}`
  | "renew held"
  | "renew forgotten"
  | "renew able"
  | "signal"
  | "results"
  | `control ${ControlAction["_tag"]}`
  | "control edit"
  | "maintain expired"
  | "maintain lease ended"
  | "others completed"
  | "others died"

/**
 * What a store answers for one record. `Given` and `Taken`: a claim has it, a renewal says that the worker no longer holds
 * it; `Silent`: the reply has nothing of this record.
 *
 * @category models
 * @since 0.1.0
 */
export type Answer =
  | Enqueued["outcome"]
  | Settled
  | Signalled
  | ControlOutcome
  | ResultAnswer["_tag"]
  | "Given"
  | "Taken"
  | "Silent"

/**
 * What an operation does to a record: fence and attempt change as `Lifecycle.table` says of the events, one after the other.
 *
 * @category models
 * @since 0.1.0
 */
export interface Effects {
  readonly answer: Answer
  /** None: the record is as it was, but for what `to` says. */
  readonly events: ReadonlyArray<Event>
  /** Left out: the situation stays. */
  readonly to?: Situation | undefined
}

const stays = (answer: Answer): Effects => ({ answer, events: [] })

const goes = (answer: Answer, to: Situation | undefined, ...events: ReadonlyArray<Event>): Effects => ({
  answer,
  events,
  to
})

type Ended = "completed" | "cancelled" | "dead"
type Blocked = `blocked: ${BlockedReason}`
type Running = "running" | "running, cancel asked"

const ended = (effects: Effects): Record<Ended, Effects> => ({ completed: effects, cancelled: effects, dead: effects })

const running = (effects: Effects): Record<Running, Effects> => ({
  "running": effects,
  "running, cancel asked": effects
})

const blocked = (effects: Effects): Record<Blocked, Effects> => ({
  "blocked: Dependencies": effects,
  "blocked: ConcurrencyKey": effects,
  "blocked: Unique": effects,
  "blocked: Waitpoint": effects,
  "blocked: Children": effects,
  "blocked: NoHandler": effects,
  "blocked: NewerPayload": effects
})

const waiting = (effects: Effects): Record<"scheduled" | "ready" | Blocked, Effects> => ({
  scheduled: effects,
  ready: effects,
  ...blocked(effects)
})

/** What only an attempt that holds the fence may do. */
const notRunning = (answer: Answer): Record<Exclude<Situation, Running>, Effects> => ({
  ...waiting(stays(answer)),
  ...ended(stays(answer)),
  absent: stays(answer)
})

/**
 * The end of an attempt: the same whether or not a cancel was asked for. One that ended the attempt before is sent again, and
 * changes nothing.
 */
const settles = (to: Situation, event: Event): Record<Situation, Effects> => ({
  ...waiting(stays("LeaseLost")),
  ...running(goes("Done", to, event)),
  ...ended(stays("Done")),
  "blocked: Waitpoint": stays("Done"),
  "blocked: Children": stays("Done"),
  "blocked: NoHandler": stays("Done"),
  "blocked: NewerPayload": stays("Done"),
  absent: stays("LeaseLost")
})

/** An end after which the record would run again: it does not when a cancel was asked for. */
const pauses = (to: Situation, event: Event): Record<Situation, Effects> => ({
  ...settles(to, event),
  "running, cancel asked": goes("Done", "cancelled", "cancelled")
})

const writes: Record<Situation, Effects> = { ...notRunning("LeaseLost"), ...running(stays("Done")) }

const silent: Record<Situation, Effects> = { ...notRunning("Silent"), ...running(stays("Silent")) }

/** An operator's action that changes nothing by itself. */
const unchanged: Record<Situation, Effects> = {
  ...notRunning("Unchanged"),
  ...running(stays("Unchanged")),
  absent: stays("NotFound")
}

/**
 * What each operation does, by the situation that it finds the record in.
 *
 * @category models
 * @since 0.1.0
 */
export const table: Readonly<Record<Operation, Readonly<Record<Situation, Effects>>>> = {
  "enqueue": { ...notRunning("Existing"), ...running(stays("Existing")), absent: goes("Inserted", "ready") },

  "claim": { ...silent, ready: goes("Given", "running", "claim") },
  "claim due": {
    ...silent,
    ready: goes("Given", "running", "claim"),
    scheduled: goes("Given", "running", "due", "claim")
  },

  "settle Complete": settles("completed", "complete"),
  "settle Dead": settles("dead", "bury"),
  "settle Cancel": settles("cancelled", "cancelled"),
  "settle RetryAfter": pauses("scheduled", "retryAfter"),
  "settle SnoozeFor": pauses("scheduled", "snooze"),
  "settle WaitFor": pauses("blocked: Waitpoint", "waitFor"),
  "settle WaitForChildren": pauses("blocked: Children", "waitFor"),
  "settle Release": pauses("ready", "release"),
  "settle Park": pauses("blocked: NoHandler", "park"),

  "write Step": writes,
  "write Progress": writes,
  "write Log": writes,

  "renew held": { ...notRunning("Taken"), ...running(stays("Silent")) },
  "renew forgotten": {
    ...silent,
    "running": goes("Silent", "ready", "release"),
    "running, cancel asked": goes("Silent", "cancelled", "cancelled")
  },
  "renew able": {
    ...silent,
    "blocked: NoHandler": goes("Silent", "ready", "unblock"),
    "blocked: NewerPayload": goes("Silent", "ready", "unblock")
  },

  "signal": {
    ...waiting(stays("Early")),
    ...running(stays("Early")),
    "blocked: Waitpoint": goes("Delivered", "ready", "unblock"),
    ...ended(stays("NotFound")),
    absent: stays("NotFound")
  },

  "results": {
    ...waiting(stays("Pending")),
    ...running(stays("Pending")),
    completed: stays("Completed"),
    cancelled: stays("Cancelled"),
    dead: stays("Dead"),
    absent: stays("NotFound")
  },

  "control Cancel": {
    ...waiting(goes("Changed", "cancelled", "cancel")),
    "running": goes("Requested", "running, cancel asked"),
    "running, cancel asked": stays("Requested"),
    ...ended(stays("Unchanged")),
    absent: stays("NotFound")
  },
  "control Retry": {
    ...unchanged,
    ...ended(goes("Changed", "ready", "replay")),
    scheduled: goes("Changed", "ready", "edit")
  },
  "control edit": {
    ...unchanged,
    ...ended(goes("Changed", "ready", "replay")),
    ...waiting(goes("Changed", undefined, "edit")),
    scheduled: goes("Changed", "ready", "edit")
  },
  "control Promote": { ...unchanged, scheduled: goes("Changed", "ready", "due") },
  // To another instant that is still to come.
  "control Reschedule": {
    ...unchanged,
    scheduled: goes("Changed", "scheduled", "edit"),
    ready: goes("Changed", "scheduled", "edit")
  },
  "control Reprioritise": { ...unchanged, ...waiting(goes("Changed", undefined, "edit")) },
  "control Delete": {
    ...unchanged,
    ...waiting(goes("Changed", "absent")),
    ...ended(goes("Changed", "absent"))
  },

  // What has begun does not expire; what was parked has not begun.
  "maintain expired": {
    ...silent,
    ...waiting(goes("Silent", "dead", "expire")),
    "blocked: Waitpoint": stays("Silent"),
    "blocked: Children": stays("Silent")
  },
  "maintain lease ended": {
    ...silent,
    "running": goes("Silent", "ready", "rescue"),
    "running, cancel asked": goes("Silent", "cancelled", "cancelled")
  },

  "others completed": {
    ...silent,
    "blocked: Dependencies": goes("Silent", "ready", "unblock"),
    "blocked: ConcurrencyKey": goes("Silent", "ready", "unblock"),
    "blocked: Unique": goes("Silent", "ready", "unblock"),
    "blocked: Children": goes("Silent", "ready", "unblock")
  },
  "others died": {
    ...silent,
    "blocked: Dependencies": goes("Silent", "dead", "dependencyFailed"),
    "blocked: ConcurrencyKey": goes("Silent", "ready", "unblock"),
    "blocked: Unique": goes("Silent", "ready", "unblock"),
    "blocked: Children": goes("Silent", "ready", "unblock")
  }
}
