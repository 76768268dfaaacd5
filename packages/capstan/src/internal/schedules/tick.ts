/**
 * Ticks: the records of the instants that are due, and how the schedule stands after them, in one write of the store.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import type { JobStoreError } from "../../JobError.ts"
import type { JobId } from "../../JobRecord.ts"
import type { NewRecord, ScheduleRow, Shape, TickReply, TickRequest } from "../../JobStore.ts"
import { metrics } from "../metrics.ts"
import * as Uuid from "../uuid.ts"
import { attentionOf, type Body, encode, type Template } from "./body.ts"
import { dueOf, type Plan } from "./plan.ts"

/** So many ticks of a process are under way at a time: of the connections of a store most are for others. */
export const concurrency = 4

/** Makes the template of the record of one planned instant. */
export type Templates<E> = (at: number) => Effect.Effect<Template, E>

/** So many characters of payload go in one write, or one record. */
const most = 1_000_000

/** Ticks what is due of a schedule, and answers when that needs to be seen to again: `undefined` when another was faster. */
export const tickDue = <E>(
  store: Shape,
  row: ScheduleRow,
  body: Body,
  plan: Plan,
  templates: Templates<E>,
  now: number
): Effect.Effect<{ readonly attendAt: number | undefined } | undefined, E | JobStoreError> =>
  Effect.gen(function*() {
    const due = dueOf(plan, body.spec, row.nextAt!, now)
    let { nextAt } = due
    let previous = row.last?.id
    const ticks: Array<TickRequest["ticks"][number]> = []
    let characters = 0
    for (const at of due.instants) {
      const record = behind(yield* recordOf(row.name, at, templates), body, previous)
      characters += record.payload.length
      if (characters > most && ticks.length > 0) {
        nextAt = at
        break
      }
      ticks.push({ at, dueAt: plan.dueAt(at), record })
      previous = record.id
    }
    const { unservedSince, ...rest } = body
    const attendAt = attentionOf(body, plan, nextAt)
    const next = unservedSince === undefined ? { nextAt, attendAt } : { nextAt, attendAt, body: encode(rest) }
    const reply = yield* store.tick({ ...request(row, body), ticks, next, limit: body.spec.limit })
    if (reply === undefined) return undefined
    yield* measure(row.name, body, ticks, reply)
    return { attendAt }
  })

/** Ticks by hand, besides the plan. */
export const tickAsked = <E>(
  store: Shape,
  row: ScheduleRow,
  body: Body,
  templates: Templates<E>,
  at: number
): Effect.Effect<TickReply | undefined, E | JobStoreError> =>
  Effect.gen(function*() {
    const record = behind(yield* recordOf(row.name, at, templates), body, row.last?.id)
    const { askedAt: _, ...rest } = body
    const next = { nextAt: row.nextAt, attendAt: row.attendAt, body: encode(rest) }
    return yield* store.tick({ ...request(row, body), ticks: [{ at, dueAt: at, record }], next, isAsked: true })
  })

const request = (
  { name, nextAt, revision }: ScheduleRow,
  { spec: { overlap } }: Body
): Pick<TickRequest, "name" | "revision" | "at" | "overlap"> => ({
  name,
  revision,
  at: nextAt,
  // Its records wait for each other, and have a concurrency key.
  overlap: overlap === "queue" ? "allow" : overlap
})

/**
 * With `queue` a record waits for the one before until that has ended, however it does: their concurrency key is free while
 * that one waits for its retry. What was last is in the row that the tick compares.
 */
const behind = (record: NewRecord, { spec: { overlap } }: Body, previous: JobId | undefined): NewRecord =>
  overlap === "queue" && previous !== undefined
    ? { ...record, dependencies: [{ name: "previous", id: previous, onFailure: "continue" }] }
    : record

/** The headers by which a handler finds the schedule and the planned instant of its record. */
export const headers = { schedule: "capstan-schedule", tick: "capstan-tick" } as const

const recordOf = <E>(name: string, at: number, templates: Templates<E>): Effect.Effect<NewRecord, E> =>
  Effect.withFiber((fiber: Fiber.Fiber<unknown, unknown>) =>
    Effect.map(templates(at), (template) => ({
      ...template,
      id: Uuid.make(fiber),
      headers: { ...template.headers, [headers.schedule]: name, [headers.tick]: String(at) }
    }))
  )

/** Schedules that are data may be as many as there are customers: they are one series a job. */
const measure = (
  name: string,
  { job, origin }: Body,
  ticks: TickRequest["ticks"],
  { now, outcomes }: TickReply
): Effect.Effect<void> =>
  Effect.forEach(
    outcomes,
    (_, i) =>
      Metric.update(
        metrics.lateness({ schedule: origin === "code" ? name : "data", job }),
        (now - ticks[i]!.dueAt) / 1000
      ),
    { discard: true }
  )
