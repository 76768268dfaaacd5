/**
 * What a schedule's row means: a store keeps it as text and never looks into it.
 */
import type { NewRecord, ScheduleRow } from "../../JobStore.ts"
import { type Plan, type Spec, toPlan } from "./plan.ts"

/** A record without what each tick gives it. */
export type Template = Omit<NewRecord, "id">

export interface Body {
  /** Who looks after it: the processes that declare it, or every worker. */
  readonly origin: "code" | "data"
  readonly job: string
  readonly queue: string
  readonly spec: Spec
  /** Absent where the payload is a function of the tick, which only the declaring processes have. */
  readonly template?: Template | undefined
  readonly paused?: Paused | undefined
  /** Since when a worker has seen that no process ticks it, though it is declared in code. */
  readonly unservedSince?: number | undefined
  /** A run by hand that waits for a process that declares it. */
  readonly askedAt?: number | undefined
}

export interface Paused {
  readonly reason: "Operator" | "Vanished"
  readonly at: number
  readonly detail: string
}

/** JSON has no Infinity, which ages and counts of a retention may be. */
export const encode = (body: Body): string =>
  JSON.stringify(body, (_, value: unknown) => value === Infinity ? "Infinity" : value)

export const decode = (text: string): Body =>
  JSON.parse(
    text,
    (key, value: unknown) => value === "Infinity" && (key === "age" || key === "count") ? Infinity : value
  )

/** What code declares, as text: while it is the same, two processes mean the same schedule. */
export const declared = ({ job, queue, spec, template }: Body): string =>
  encode({ origin: "code", job, queue, spec, template })

/** Whether two specifications have the same instants. */
export const isSameTime = (a: Spec, b: Spec): boolean => timeOf(a) === timeOf(b)

const timeOf = ({ cron, end, every, onDstOverlap, start, timeZone }: Spec): string =>
  JSON.stringify([cron, timeZone, onDstOverlap, every, start, end])

/** A schedule that no process ticks this long after it was due is looked at by workers, and after as long again is paused. */
export const unserved = 5 * 60_000

/** When a worker is to see to a schedule whose next tick is planned for this instant. */
export const attentionOf = (body: Body, plan: Plan, nextAt: number | undefined): number | undefined => {
  if (body.paused !== undefined || nextAt === undefined) return undefined
  return plan.dueAt(nextAt) + (body.origin === "data" ? 0 : unserved)
}

/** How a row stands that is planned anew from this instant on: never before an instant that has had its tick. */
export const anew = (name: string, body: Body, last: ScheduleRow["last"], now: number) => {
  const plan = toPlan(name, body.spec)
  return standing(body, plan, plan.after(Math.max(now, last?.at ?? -Infinity)))
}

export const standing = (body: Body, plan: Plan, nextAt: number | undefined) => ({
  nextAt,
  attendAt: attentionOf(body, plan, nextAt),
  body: encode(body)
})
