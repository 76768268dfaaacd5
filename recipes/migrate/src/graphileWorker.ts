/** Jobs of graphile-worker 0.18, read from its tables and removed by its own function. */
import { Effect } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { clampPriority, type Obstacle } from "./source.ts"
import { locked, sqlSource } from "./sql.ts"

export interface Options {
  /** @default "graphile_worker" */
  readonly schema?: string | undefined
  /**
   * Takes those that have no attempt left as well, as if they were new.
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
  readonly payload: unknown
  readonly priority: number
  readonly attempts: number
  readonly revision: number
  readonly run_at: number | null
  readonly busy: string | null
  /** With all its digits, which a `Date` has not. */
  readonly due: string
}

export const source = Effect.fnUntraced(
  function*({ batch = 500, failed = false, schema = "graphile_worker" }: Options = {}) {
    const sql = yield* SqlClient
    const table = (name: string) => sql(`${schema}._private_${name}`)
    const waits = sql`job.locked_at IS NULL AND ${failed ? sql`true` : sql`job.attempts < job.max_attempts`}`
    return yield* sqlSource<Row>({
      name: `graphile-worker/${schema}`,
      select: (after) =>
        sql<Row>`
          SELECT job.id::text AS id, task.identifier AS name, job.payload, job.priority, job.attempts, job.revision,
            job.run_at::text AS due,
            CASE WHEN job.run_at > now() THEN (extract(epoch FROM job.run_at) * 1000)::float8 END AS run_at,
            CASE WHEN queue.locked_at IS NOT NULL THEN queue.queue_name END AS busy
          FROM ${table("jobs")} AS job
          JOIN ${table("tasks")} AS task ON task.id = job.task_id
          LEFT JOIN ${table("job_queues")} AS queue ON queue.id = job.job_queue_id
          WHERE ${waits} AND ${
          after === undefined
            ? sql`true`
            : sql`(job.priority, job.run_at, job.id) > (${after.priority}, ${after.due}::timestamptz, ${after.id}::bigint)`
        }
          ORDER BY job.priority, job.run_at, job.id
          LIMIT ${batch}
          FOR UPDATE OF job SKIP LOCKED`,
      toJob: ({ attempts, busy, id, name, payload, priority, revision, run_at }) => ({
        id,
        // A producer that names its key again changes the job that waits.
        edition: String(revision),
        name,
        payload,
        runAt: run_at ?? undefined,
        // Lower goes first there.
        priority: clampPriority(-priority),
        attempts,
        obstacle: busy === null ? undefined : { reason: "Running", detail: `the queue ${busy} is at work` }
      }),
      remove: (ids) =>
        sql`SELECT count(*) FROM ${sql(`${schema}.complete_jobs`)}(ARRAY(
          SELECT value::bigint FROM json_array_elements_text(${JSON.stringify(ids)}::text::json)))`,
      others: sql<
        { readonly id: string; readonly name: string; readonly reason: Obstacle["reason"]; readonly detail: string }
      >`
        WITH free AS MATERIALIZED (SELECT id FROM ${table("jobs")} AS job WHERE ${waits} FOR UPDATE SKIP LOCKED)
        SELECT job.id::text AS id, task.identifier AS name, 'Running' AS reason, 'worker ' || job.locked_by AS detail
        FROM ${table("jobs")} AS job JOIN ${table("tasks")} AS task ON task.id = job.task_id
        WHERE job.locked_at IS NOT NULL
        UNION ALL SELECT job.id::text, task.identifier, 'Running', ${locked}::text
        FROM ${table("jobs")} AS job JOIN ${table("tasks")} AS task ON task.id = job.task_id
        WHERE ${waits} AND NOT EXISTS (SELECT FROM free WHERE free.id = job.id)
        UNION ALL SELECT identifier, identifier, 'Schedule', 'a line of the crontab' FROM ${table("known_crontabs")}`
    })
  }
)
