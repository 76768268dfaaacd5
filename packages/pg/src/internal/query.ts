/**
 * What readers see: live and finished records as one, by id, which sorts by creation.
 *
 * Cost: a page walks the index of live ids and that of finished ones, as far as it takes to fill it, and looks at no more
 * than `looked` records of each; a page that stops there has a cursor although it is not full. Conditions on what lies in
 * `spec` (labels, flow, parent) and payloads are checked on the way.
 */
import type { JobRecord, JobStore } from "capstan"
import { ints, uuids } from "./client.ts"
import { states } from "./codec.ts"

/** How many live and how many finished records one call looks at. */
const looked = 10_000

const live = (s: string, from = `${s}.record`): string => `
  SELECT r.id, r.state::int AS state, r.at::float8 AS at, r.enqueued_at::float8 AS enqueued_at,
    CASE WHEN r.attempt = 0 AND r.flags & 4 = 0 THEN r.expire_at END::float8 AS expire_at, r.fence, r.attempt, r.version,
    r.priority::int AS priority, r.crashes::int AS crashes, r.flags::int AS flags, r.queue, r.tag, r.key,
    (SELECT w.id FROM ${s}.worker w WHERE w.num = r.worker) AS worker, r.reason, r.blocked_on,
    (SELECT c.reason FROM ${s}.cancel c WHERE c.id = r.id) AS cancel, r.spec, r.attempts::text AS attempts,
    r.failures::text AS failures, d.progress, d.logs::text AS logs, NULL::text AS result, r.payload
  FROM ${from} r LEFT JOIN ${s}.detail d ON d.id = r.id`

const finished = (s: string, from = `${s}.history`, whole = "h"): string => `
  SELECT h.id, h.state::int AS state, h.finished_at::float8 AS at, h.enqueued_at::float8 AS enqueued_at,
    NULL::float8 AS expire_at, h.fence, h.attempt, h.version,
    h.priority::int AS priority, h.crashes::int AS crashes, h.flags::int AS flags, h.queue, h.tag, h.key,
    NULL::text AS worker, h.reason, NULL::text AS blocked_on, NULL::text AS cancel, h.spec,
    ${s}.attempts_of(${whole})::text AS attempts, h.failures::text AS failures, h.detail ->> 'progress' AS progress,
    (h.detail -> 'logs')::text AS logs, h.result, h.payload
  FROM ${from} h`

const visible = (s: string): string => `(h.expires_at IS NULL OR h.expires_at > ${s}.clock())`

/** One record, by an expression for its id. */
export const one = (s: string, id: string): string =>
  `${live(s)} WHERE r.id = ${id} UNION ALL ${finished(s)} WHERE h.id = ${id} AND ${visible(s)} LIMIT 1`

/** The checkpoints of a dead or cancelled record, by an expression for its id. */
export const keptOf = (s: string, id: string): string =>
  `(SELECT h.detail -> 'checkpoints' FROM ${s}.history h WHERE h.id = ${id} AND ${visible(s)} LIMIT 1)`

/** How awaited records stand, by an expression for their ids. */
export const results = (s: string, ids: string): string => `
  SELECT r.id, r.state::int AS state, NULL::text AS reason, NULL::text AS result, NULL::text AS failure,
    (SELECT d.progress FROM ${s}.detail d WHERE d.id = r.id) AS progress
  FROM ${s}.record r WHERE r.id = ANY (${ids})
  UNION ALL
  SELECT h.id, h.state::int, h.reason, h.result, (h.failures -> -1)::text, h.detail ->> 'progress'
  FROM ${s}.history h WHERE h.id = ANY (${ids}) AND ${visible(s)}`

/** What a record waits for, or has waited for, a page at a time. */
export const dependencies = (s: string): string => `
  SELECT parent AS id, name, state::int AS state, value FROM ${s}.dependency
  WHERE child = $1::uuid AND (parent, name) > ($2::uuid, $3) ORDER BY parent, name LIMIT $4::text::int`

export interface Conditions {
  readonly text: string
  readonly params: ReadonlyArray<unknown>
}

/** One page as a statement. The text depends on which conditions there are, never on their values. */
export const page = (
  s: string,
  where: JobStore.Selection,
  order: "newest" | "oldest",
  limit: number,
  cursor: string | undefined
): Conditions => {
  const params: Array<unknown> = []
  const bind = (value: unknown): string => `$${params.push(value)}`
  const after = order === "newest" ? "<" : ">"
  const direction = order === "newest" ? "DESC" : "ASC"

  const wanted = where.states?.map((state) => states.indexOf(state))
  const isWanted = {
    r: where.deadReason === undefined && (wanted === undefined || wanted.some((state) => state < 4)),
    h: where.blockedReason === undefined && (wanted === undefined || wanted.some((state) => state >= 4))
  }

  const conditions = (alias: "r" | "h"): string => {
    if (!isWanted[alias]) return "false"
    const list: Array<string> = alias === "h" ? [visible(s)] : []
    if (wanted !== undefined) list.push(`${alias}.state = ANY (${bind(ints(wanted))}::int[])`)
    if (where.tag !== undefined) list.push(`${alias}.tag = ${bind(where.tag)}`)
    if (where.queue !== undefined) list.push(`${alias}.queue = ${bind(where.queue)}`)
    if (where.deadReason !== undefined) list.push(`h.state = 6 AND h.reason = ${bind(where.deadReason)}`)
    if (where.blockedReason !== undefined) list.push(`r.state = 3 AND r.reason = ${bind(where.blockedReason)}`)
    if (where.errorTag !== undefined) list.push(`${alias}.failures -> -1 ->> 'tag' = ${bind(where.errorTag)}`)
    if (where.label !== undefined) list.push(`${alias}.spec::jsonb -> 'tags' ? ${bind(where.label)}`)
    if (where.flowId !== undefined) list.push(`${alias}.spec::json ->> 'flowId' = ${bind(where.flowId)}`)
    if (where.parent !== undefined) list.push(`${alias}.spec::json ->> 'parent' = ${bind(where.parent)}`)
    if (where.enqueuedFrom !== undefined) {
      list.push(`${alias}.enqueued_at >= ${bind(where.enqueuedFrom)}::float8::bigint`)
    }
    if (where.enqueuedBefore !== undefined) {
      list.push(`${alias}.enqueued_at < ${bind(where.enqueuedBefore)}::float8::bigint`)
    }
    return list.length === 0 ? "true" : list.join(" AND ")
  }

  const ids = where.ids
  const whole = ids === undefined && where.flowId !== undefined ? membersOf(where.flowId, bind) : "true"
  const range = ids !== undefined
    ? `id = ANY (${bind(uuids(ids))})`
    : cursor === undefined
    ? whole
    : `id ${after} ${bind(cursor)}::uuid AND ${whole}`
  const size = `${bind(limit)}::int`
  // The dead and the cancelled are few, and have an index of their own.
  const among = wanted !== undefined && wanted.length > 0 && wanted.every((state) => state > 4) ? " AND state > 4" : ""
  const walk = (table: string, rest: string): string =>
    `SELECT ${rest} FROM ${s}.${table} x WHERE ${range}${table === "history" ? among : ""} ORDER BY id ${direction}`
  const looking = ids === undefined ? `LIMIT ${looked}` : ""
  // Where a walk has stopped before it found enough: what lies behind that was not looked at, of the other kind neither.
  const edge = (found: string, table: string, alias: "r" | "h"): string =>
    ids !== undefined || !isWanted[alias] ?
      "NULL::uuid" :
      `CASE WHEN (SELECT count(*) FROM ${found}) < ${size} THEN (${walk(table, "id")} OFFSET ${looked - 1} LIMIT 1) END`
  const text = `
    WITH live AS MATERIALIZED (
      SELECT * FROM (${walk("record", "*")} ${looking}) r WHERE ${conditions("r")} LIMIT ${size}
    ), finished AS MATERIALIZED (
      SELECT * FROM (${walk("history", "x.*, x AS whole")} ${looking}) h WHERE ${conditions("h")} LIMIT ${size}
    ), edge AS MATERIALIZED (
      SELECT ${order === "newest" ? "greatest" : "least"}(
        ${edge("live", "record", "r")},
        ${edge("finished", "history", "h")}) AS last
    )
    SELECT f.*, e.last FROM edge e LEFT JOIN (
      ${live(s, "live")} UNION ALL ${finished(s, "finished", "h.whole")}
    ) f ON e.last IS NULL OR f.id ${order === "newest" ? ">=" : "<="} e.last
    ORDER BY f.id ${direction} LIMIT ${size}`
  return { text, params }
}

/** Ids of a flow's members begin with the instant of its own: what lies between is not looked at. */
const membersOf = (flowId: string, bind: (value: unknown) => string): string => {
  const instant = /^([0-9a-f]{8}-[0-9a-f]{4})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.exec(flowId)?.[1]
  if (instant === undefined) return "true"
  return `id BETWEEN ${bind(`${instant}-0000-0000-000000000000`)}::uuid AND ${
    bind(`${instant}-ffff-ffff-ffffffffffff`)
  }::uuid`
}

export interface PageRow {
  readonly id: JobRecord.JobId | null
  readonly last: string | null
}

/** Where the next page starts, when there may be one. */
export const cursorOf = (
  rows: ReadonlyArray<PageRow>,
  where: JobStore.Selection,
  limit: number
): string | undefined => {
  if (where.ids !== undefined) return undefined
  const records = rows.filter(({ id }) => id !== null)
  return records.length === limit ? records.at(-1)!.id! : rows[0]?.last ?? undefined
}

export const stats = (s: string): string => `
  WITH counts AS (
    SELECT queue, sum(blocked) AS blocked, sum(scheduled) AS scheduled, sum(ready) AS ready, sum(running) AS running,
      sum(completed) AS completed, sum(cancelled) AS cancelled, sum(dead) AS dead, sum(parked) AS parked
    FROM (SELECT * FROM ${s}.counter UNION ALL SELECT part, queue, blocked, scheduled, ready, running, completed,
      cancelled, dead, parked FROM ${s}.delta) all_of_them GROUP BY queue
  )
  SELECT coalesce(c.queue, q.name) AS queue, coalesce(q.paused, false) AS paused, ${s}.clock()::float8 AS now,
    coalesce(c.blocked, 0)::float8 AS blocked, coalesce(c.scheduled, 0)::float8 AS scheduled,
    coalesce(c.ready, 0)::float8 AS ready, coalesce(c.running, 0)::float8 AS running,
    coalesce(c.completed, 0)::float8 AS completed, coalesce(c.cancelled, 0)::float8 AS cancelled,
    coalesce(c.dead, 0)::float8 AS dead, coalesce(c.parked, 0)::float8 AS parked,
    ${s}.oldest_ready(c.queue)::float8 AS oldest
  FROM counts c FULL JOIN ${s}.queue q ON q.name = c.queue ORDER BY 1`

export const workers = (s: string): string => `
  SELECT w.id, w.queues, (w.lease_until - ${s}.clock())::float8 AS lease_left,
    (SELECT count(DISTINCT r.id) FROM ${s}.claimed c, unnest(c.ids) AS u(id) JOIN ${s}.record r ON r.id = u.id
      WHERE c.worker = w.num AND r.worker = w.num)::int AS holds, ${s}.clock()::float8 AS now
  FROM ${s}.worker w ORDER BY w.num`
