/** The verbs of schedules, over the functions of the schema. They take no part in a transaction of the caller's. */
import type { JobRecord, JobStore } from "capstan"
import * as Effect from "effect/Effect"
import { type Client, texts } from "./client.ts"
import * as Codec from "./codec.ts"

/** A row of the table, as JSON. */
interface Row {
  readonly name: string
  readonly revision: number
  readonly next_at: number | null
  readonly attend_at: number | null
  readonly counted: number
  readonly last_at: number | null
  readonly last_due_at: number
  readonly last_ticked_at: number
  readonly last_outcome: JobStore.TickOutcome["outcome"]
  readonly last_id: JobRecord.JobId | null
  readonly body: string
}

const toRow = (row: Row): JobStore.ScheduleRow => ({
  name: row.name,
  revision: row.revision,
  nextAt: row.next_at ?? undefined,
  attendAt: row.attend_at ?? undefined,
  body: row.body,
  count: row.counted,
  last: row.last_at === null ? undefined : {
    at: row.last_at,
    dueAt: row.last_due_at,
    tickedAt: row.last_ticked_at,
    outcome: row.last_outcome,
    id: row.last_id ?? undefined
  }
})

export const verbs = ({ call, schema: s }: Client): Pick<JobStore.Shape, "schedules" | "putSchedule" | "tick"> => ({
  schedules: ({ after, limit, names }) =>
    Effect.map(
      call<{ now: number; rows: ReadonlyArray<Row> }>(
        "schedules",
        `SELECT ${s}.clock()::float8 AS now, coalesce((SELECT json_agg(q) FROM (
           SELECT * FROM ${s}.schedule WHERE name ${names === undefined ? "> $1" : "= ANY ($1)"}
           ORDER BY name LIMIT $2::int) q), '[]') AS rows`,
        [names === undefined ? after ?? "" : texts(names), limit]
      ),
      ([found]) => ({ now: found!.now, rows: found!.rows.map(toRow) })
    ),

  putSchedule: ({ name, revision, row }) =>
    Effect.map(
      call<{ put: boolean }>(
        "putSchedule",
        `SELECT ${s}.put_schedule($1, $2::float8::bigint, $3, $4::float8::bigint, $5::float8::bigint, $6) AS put`,
        [name, revision, row === undefined, row?.nextAt ?? null, row?.attendAt ?? null, row?.body ?? null]
      ),
      ([answer]) => answer!.put
    ),

  tick: ({ at, isAsked, limit, name, next, overlap, revision, ticks }) =>
    Effect.map(
      call<{ reply: JobStore.TickReply | null }>(
        "tick",
        `SELECT ${s}.tick($1, $2::float8::bigint, $3::float8::bigint, $4, $5::text::json, $6::float8::bigint,
           $7::float8::bigint, $8, $9, $10::float8::bigint) AS reply`,
        [
          name,
          revision,
          at ?? null,
          overlap,
          JSON.stringify(ticks.map(({ record, ...tick }) => ({ ...tick, record: Codec.toJson(record) }))),
          next.nextAt ?? null,
          next.attendAt ?? null,
          next.body ?? null,
          isAsked === true,
          limit ?? null
        ]
      ),
      ([answer]) => answer!.reply ?? undefined
    )
})

export type Maintained = Omit<JobStore.MaintainReply, "maintainIn" | "schedules"> & {
  readonly maintainIn: number | null
  readonly now: number
  readonly schedules: ReadonlyArray<Row> | null
}

export const maintained = ({ maintainIn, now, schedules, ...counts }: Maintained): JobStore.MaintainReply => {
  const reply = { ...counts, maintainIn: maintainIn ?? undefined }
  return schedules === null ? reply : { ...reply, schedules: { now, rows: schedules.map(toRow) } }
}
