/** Jobs of pg-boss 12, read from its tables. */
import { Effect } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { clampPriority, type Obstacle } from "./source.ts"
import { locked, sqlSource } from "./sql.ts"

export interface Options {
  /** @default "pgboss" */
  readonly schema?: string | undefined
  /**
   * Takes those that have failed for good as well, as if they were new.
   *
   * @default false
   */
  readonly failed?: boolean | undefined
  /** @default 500 */
  readonly batch?: number | undefined
}

interface Row {
  readonly id: string
  readonly name: string
  readonly data: unknown
  readonly priority: number
  readonly attempts: number
  readonly run_at: number | null
  readonly in_flow: boolean
  /** With all its digits, which a `Date` has not. */
  readonly created: string
  readonly edition: string
}

export const source = Effect.fnUntraced(function*({ batch = 500, failed = false, schema = "pgboss" }: Options = {}) {
  const sql = yield* SqlClient
  const table = (name: string) => sql(`${schema}.${name}`)
  const states = failed ? ["created", "retry", "failed"] : ["created", "retry"]
  const waits = sql`state::text IN ${sql.in(states)} AND name NOT LIKE '\\_\\_pgboss\\_\\_%'`
  return yield* sqlSource<Row>({
    name: `pg-boss/${schema}`,
    select: (after) =>
      sql<Row>`
        SELECT id::text AS id, name, data, priority, retry_count AS attempts, blocked OR blocking AS in_flow,
          created_on::text AS created, extract(epoch FROM created_on)::text AS edition,
          CASE WHEN start_after > now() THEN (extract(epoch FROM start_after) * 1000)::float8 END AS run_at
        FROM ${table("job")}
        WHERE ${waits} AND ${
        after === undefined
          ? sql`true`
          : sql`(-priority, created_on, id, name) >
            (${-after.priority}, ${after.created}::timestamptz, ${after.id}::uuid, ${after.name})`
      }
        ORDER BY -priority, created_on, id, name
        LIMIT ${batch}
        FOR UPDATE SKIP LOCKED`,
    toJob: ({ attempts, data, edition, id, in_flow, name, priority, run_at }) => ({
      // Queues may have jobs with the same id, and one of one's own may come again.
      id: `${name}/${id}`,
      edition,
      name,
      payload: data,
      runAt: run_at ?? undefined,
      priority: clampPriority(priority),
      attempts,
      obstacle: in_flow ? { reason: "PartOfFlow", detail: "jobs of pg-boss depend on it, or it on them" } : undefined
    }),
    remove: (ids) =>
      sql`DELETE FROM ${table("job")} WHERE (name, id) IN (
        SELECT left(value, -37), right(value, 36)::uuid FROM json_array_elements_text(${
        JSON.stringify(ids)
      }::text::json))`,
    others: sql<
      { readonly id: string; readonly name: string; readonly reason: Obstacle["reason"]; readonly detail: string }
    >`
      WITH free AS MATERIALIZED (SELECT name, id FROM ${table("job")} WHERE ${waits} FOR UPDATE SKIP LOCKED)
      SELECT name || '/' || id AS id, name, 'Running' AS reason, 'a worker has it' AS detail
      FROM ${table("job")} WHERE state = 'active' AND name NOT LIKE '\\_\\_pgboss\\_\\_%'
      UNION ALL SELECT name || '/' || id, name, 'Running', ${locked}::text
      FROM ${table("job")} AS job WHERE ${waits} AND NOT EXISTS (
        SELECT FROM free WHERE free.name = job.name AND free.id = job.id)
      UNION ALL SELECT key, name, 'Schedule', cron || ' ' || timezone FROM ${table("schedule")}`
  })
})
