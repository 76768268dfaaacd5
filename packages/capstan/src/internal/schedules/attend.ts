/**
 * What every worker does for schedules, when `maintain` hands it some: it ticks those that are data, and pauses those of
 * code that no process ticks any more. There is no leader: who comes second finds another revision.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { JobStoreError } from "../../JobError.ts"
import type { ScheduleRow, SchedulesReply, Shape } from "../../JobStore.ts"
import * as Log from "../log.ts"
import { attentionOf, type Body, decode, encode, unserved } from "./body.ts"
import { toPlan } from "./plan.ts"
import { concurrency, tickDue } from "./tick.ts"

/** Sees to each of them, whatever becomes of the others. Answers in how many milliseconds the first needs it again. */
export const attendAll = (store: Shape, { now, rows }: SchedulesReply): Effect.Effect<number | undefined> =>
  Effect.map(
    Effect.forEach(rows, (row) => Effect.catchCause(attend(store, row, now), failed(row)), { concurrency }),
    (all) => {
      const instants = all.filter((at) => at !== undefined)
      return instants.length === 0 ? undefined : Math.max(0, Math.min(...instants) - now)
    }
  )

const failed = ({ name }: ScheduleRow) => (cause: Cause.Cause<JobStoreError>): Effect.Effect<undefined> =>
  Cause.hasInterrupts(cause)
    ? Effect.succeed(undefined)
    : Effect.as(Log.warning(`schedule ${name} could not be seen to, it will be again`, cause), undefined)

/** Answers when it needs to be seen to again, where that has changed. */
const attend = (store: Shape, row: ScheduleRow, now: number): Effect.Effect<number | undefined, JobStoreError> =>
  Effect.suspend(() => {
    const body = decode(row.body)
    return body.origin === "data" ? serve(store, row, body, now) : miss(store, row, body, now)
  })

const serve = (store: Shape, row: ScheduleRow, body: Body, now: number) =>
  Effect.gen(function*() {
    const plan = toPlan(row.name, body.spec)
    if (row.nextAt === undefined || plan.dueAt(row.nextAt) > now) {
      return yield* leave(store, row, body, attentionOf(body, plan, row.nextAt))
    }
    const reply = yield* tickDue(store, row, body, plan, () => Effect.succeed(body.template!), now)
    return reply === undefined ? undefined : reply.attendAt
  })

/**
 * A schedule of code is ticked by the processes that declare it. One whose instant has passed unserved is declared by none
 * of those that run, or they are all just starting: so it is watched for as long again before it is paused.
 */
const miss = (store: Shape, row: ScheduleRow, body: Body, now: number) =>
  Effect.gen(function*() {
    if (body.unservedSince === undefined) {
      return yield* leave(store, row, { ...body, unservedSince: now }, now + unserved)
    }
    const at = body.unservedSince + unserved
    if (at > now) return yield* leave(store, row, body, at)
    const detail = `no process has declared it since it was due at ${new Date(row.nextAt ?? now).toISOString()}`
    const { unservedSince: _, ...rest } = body
    const isPaused = yield* store.putSchedule({
      name: row.name,
      revision: row.revision,
      row: { nextAt: row.nextAt, body: encode({ ...rest, paused: { reason: "Vanished", at: now, detail } }) }
    })
    if (isPaused) {
      yield* Log.warning(
        `schedule ${row.name} of job ${body.job} is paused: ${detail}. A process that declares it lifts the pause; if it is ` +
          "gone for good, remove it with JobSchedules.remove"
      )
    }
    return undefined
  })

const leave = (store: Shape, { name, nextAt, revision }: ScheduleRow, body: Body, attendAt: number | undefined) =>
  Effect.as(store.putSchedule({ name, revision, row: { nextAt, attendAt, body: encode(body) } }), attendAt)
