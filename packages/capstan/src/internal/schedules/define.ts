/**
 * From the options of a schedule to its specification, with everything that can be wrong found at once.
 */
import * as Cron from "effect/Cron"
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import { InvalidSchedule } from "../../JobError.ts"
import type { ScheduleOptions } from "../../JobSchedule.ts"
import type { Definition } from "../definition.ts"
import { shown, toMillis } from "../duration.ts"
import { parse, type Spec } from "./plan.ts"

/** Names appear in keys, tags and pages of every store. */
const names = /^[A-Za-z][\w./:-]{0,127}$/

export const define = (
  name: string,
  job: Definition,
  options: ScheduleOptions
): Result.Result<Spec, InvalidSchedule> => {
  const { cron, end, every, jitter, limit, missed = "runOnce", onDstOverlap, overlap = "allow", start, timeZone } =
    options
  const fail = (option: string, issue: string) => Result.fail(new InvalidSchedule({ name, option, issue }))
  if (!names.test(name)) {
    return fail("name", "the name must start with a letter and have at most 128 letters, digits, and . _ - / :")
  }
  if ((cron === undefined) === (every === undefined)) return fail("cron", "give either cron or every")
  if (cron !== undefined) {
    const zone = timeZone ?? "UTC"
    const parsed = parse(cron, zone, onDstOverlap)
    if (Result.isFailure(parsed)) {
      return fail("cron", `"${cron}" in ${zone} is no cron expression: ${parsed.failure.message}`)
    }
    if (!hasInstant(parsed.success)) return fail("cron", `"${cron}" in ${zone} has no instant`)
  } else if (timeZone !== undefined || onDstOverlap !== undefined) {
    return fail("timeZone", "timeZone and onDstOverlap are for cron; every counts milliseconds, in any zone")
  }
  const period = millisOf(every)
  if (period !== undefined && !(period >= 1 && period < Infinity)) {
    return fail("every", `every must be at least one millisecond and finite, it is ${shown(every!, period)}`)
  }
  const most = millisOf(jitter)
  if (most !== undefined && !(most >= 0 && most <= (period ?? day))) {
    return fail(
      "jitter",
      `jitter must be from 0 to ${period === undefined ? "a day" : "the period"}, it is ${shown(jitter!, most)}`
    )
  }
  const from = instantOf(start)
  const to = instantOf(end)
  if (from === null) return fail("start", `start is no valid instant: ${String(start)}`)
  if (to === null) return fail("end", `end is no valid instant: ${String(end)}`)
  if (from !== undefined && to !== undefined && to < from) return fail("end", "end is before start")
  if (limit !== undefined && !(Number.isInteger(limit) && limit >= 1)) {
    return fail("limit", `limit must be a whole number from 1, it is ${limit}`)
  }
  if (overlap === "queue" && job.concurrency !== undefined) {
    return fail(
      "overlap",
      `overlap "queue" gives the records a concurrency key, and job ${job.tag} declares one of its own: leave one of them out`
    )
  }
  return Result.succeed({
    cron,
    timeZone: cron === undefined ? undefined : timeZone ?? "UTC",
    onDstOverlap,
    every: period,
    start: from,
    end: to,
    limit,
    jitter: most === 0 ? undefined : most,
    missed,
    overlap
  })
}

const day = 24 * 60 * 60 * 1000

const hasInstant = (cron: Cron.Cron): boolean => {
  try {
    return Cron.next(cron, 0).getTime() > 0
  } catch {
    return false
  }
}

const millisOf = (input: Duration.Input | undefined): number | undefined =>
  input === undefined ? undefined : Math.ceil(toMillis(input))

/** `null` when it is none. */
const instantOf = (input: DateTime.DateTime.Input | undefined): number | undefined | null => {
  if (input === undefined) return undefined
  const made = DateTime.make(input)
  return made._tag === "None" ? null : DateTime.toEpochMillis(made.value)
}
