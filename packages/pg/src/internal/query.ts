/**
 * What readers see: live and finished records as one, by id, which sorts by creation.
 *
 * Cost: a page walks the narrowest index that it has for what is selected, of live records and of finished ones, as far as it
 * takes to fill it: what runs by the claims, what waits and what has failed or was cancelled by indexes of their own, what is
 * ready, or scheduled in a queue, or blocked for a reason, by the order of claims while it is little; all else by the ids. Each walk
 * looks at a thousand records, or at twenty for each that a larger page has, five thousand at most; a page that stops there has a
 * cursor although it is not full. Other conditions, among them those on what lies in `spec` (labels, flow, parent), and the key, are
 * checked on the way.
 */
import type { JobRecord, JobStore } from "capstan"
import { ints, uuids } from "./client.ts"
import { held, isHeld, isId, type ReadRow, states } from "./codec.ts"

/** At how many records one walk looks: by the size of the page, for who asks for fifty waits for them. */
const lookedFor = (limit: number): number => Math.max(1000, Math.min(20 * limit, 5000))

const codeOf = (state: JobRecord.State): number => states.indexOf(state)
const [blocked, running, completed, dead] = [codeOf("blocked"), codeOf("running"), codeOf("completed"), codeOf("dead")]

/** The tag of the last failure as its index has it: a part of a long one. */
export const errorOf = (failures: string): string => `left(${failures} -> -1 ->> 'tag', 64)`

/** Live records as readers have them. */
export const live = (s: string, from = `${s}.record`): string => `
  SELECT r.id, r.state::int AS state, r.at::float8 AS at, r.enqueued_at::float8 AS enqueued_at,
    CASE WHEN r.attempt = 0 AND r.flags & 4 = 0 THEN r.expire_at END::float8 AS expire_at, r.fence, r.attempt, r.version,
    r.priority::int AS priority, r.crashes::int AS crashes, r.flags::int AS flags, r.queue, r.tag, r.key,
    (SELECT w.id FROM ${s}.worker w WHERE w.num = r.worker) AS worker, r.reason, r.blocked_on,
    (SELECT c.reason FROM ${s}.cancel c WHERE c.id = r.id) AS cancel, r.spec, r.attempts::text AS attempts,
    r.failures::text AS failures, d.progress, d.logs::text AS logs, NULL::text AS result, r.payload
  FROM ${from} r LEFT JOIN LATERAL (SELECT progress, logs FROM ${s}.detail WHERE id = r.id LIMIT 1) d ON true`

/** Finished ones alike. */
export const finished = (s: string, from = `${s}.history`, whole = "h"): string => `
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

/**
 * One page: what each walk finds, as far as all of them have looked. Where one has stopped before it found enough, what lies behind
 * that was not looked at, of the other ones neither. The walks are functions: see `pages.ts`.
 */
export const page = (
  s: string,
  where: JobStore.Selection,
  order: "newest" | "oldest",
  limit: number,
  cursor: string | undefined
): Conditions => {
  const isNewest = order === "newest"
  const walks = isImpossible(where, cursor) ? [] : walksOf(where)
  if (walks.length === 0) return { text: nothing, params: [] }
  const [low, high] = rangeOf(where, order, cursor)
  const call = ({ by, of }: Walk, i: number) =>
    `SELECT * FROM ${s}.${of}_page('${by}', $1, $2, $3, $4, $5, $6, $${
      shared + 1 + i
    }, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
      $17::float8::bigint, $18::float8::bigint)`
  return {
    text: `
    WITH found AS MATERIALIZED (
      ${walks.map(call).join(" UNION ALL ")}
    ), edge AS MATERIALIZED (
      SELECT ${isNewest ? "max" : "min"}(last::text)::uuid AS last, count(last)::int AS stops FROM found
    )
    SELECT f.id, f.found, e.last, e.stops FROM edge e
      LEFT JOIN found f ON f.id IS NOT NULL AND (e.last IS NULL OR f.id ${isNewest ? ">=" : "<="} e.last)
    ORDER BY f.id ${isNewest ? "DESC" : "ASC"} LIMIT $2::int`,
    params: [
      isNewest,
      limit,
      lookedFor(limit),
      low,
      high,
      where.ids === undefined ? null : uuids(where.ids.filter(isId)),
      where.tag ?? null,
      where.queue ?? null,
      where.deadReason ?? null,
      where.blockedReason ?? null,
      where.errorTag ?? null,
      where.label === undefined ? null : held(where.label),
      where.flowId === undefined ? null : held(where.flowId),
      where.parent ?? null,
      where.concurrencyKey === undefined ? null : held(where.concurrencyKey),
      where.worker ?? null,
      where.enqueuedFrom === undefined ? null : instantOf(where.enqueuedFrom),
      where.enqueuedBefore === undefined ? null : instantOf(where.enqueuedBefore),
      ...walks.map(({ states }) => states === undefined ? null : ints(states))
    ]
  }
}

/** How many parameters all walks have in common. */
const shared = 18
const nothing = "SELECT NULL::uuid AS id, NULL::json AS found, NULL::uuid AS last, 0 AS stops"

/** By which index of which records a page is found, and in which states. */
interface Walk {
  readonly of: "live" | "past"
  readonly by: string
  readonly states: ReadonlyArray<number> | undefined
}

/** The narrowest that there are for what is selected. */
const walksOf = (where: JobStore.Selection): ReadonlyArray<Walk> => {
  // A reason, and a worker, says of which state it is: no record is in two. The states hold beside it.
  const told = [
    ...where.deadReason === undefined ? [] : [dead],
    ...where.blockedReason === undefined ? [] : [blocked],
    ...where.worker === undefined ? [] : [running]
  ]
  const given = where.states?.map(codeOf)
  const wanted = told.length === 0 ? given : told.length === 1 && (given ?? told).includes(told[0]!) ? told : []
  const lives = (wanted ?? [0, 1, 2, 3]).filter((state) => state < completed)
  return [
    ...lives.length === 0
      ? []
      : new Set(lives).size === 4 || where.ids !== undefined
      ? [{ of: "live" as const, by: "all", states: wanted }]
      : lives.flatMap(liveWalks),
    ...wanted === undefined || wanted.some((state) => state >= completed)
      ? [{ of: "past" as const, by: pastWalk(where, wanted), states: wanted }]
      : []
  ]
}

const liveWalks = (state: number): ReadonlyArray<Walk> =>
  (state === blocked ? ["blocked", "blocked_until"] : [states[state]!])
    .map((by) => ({ of: "live", by, states: [state] }))

/** The dead and the cancelled are few, and have indexes of their own; so has what has failed. */
const pastWalk = (where: JobStore.Selection, wanted: ReadonlyArray<number> | undefined): string => {
  if (where.errorTag !== undefined) return "failed"
  if (wanted === undefined || wanted.includes(completed)) return "all"
  if (where.queue !== undefined) return "ended_queue"
  if (where.tag !== undefined) return "ended_tag"
  return where.deadReason !== undefined ? "dead_reason" : "ended"
}

/** Between which ids a page lies, these included: behind its cursor, and within its flow, whose ids begin with the instant of its own. */
const rangeOf = (
  { flowId, ids }: JobStore.Selection,
  order: "newest" | "oldest",
  cursor: string | undefined
): readonly [low: string, high: string] => {
  const instant = ids === undefined && flowId !== undefined
    ? /^([0-9a-f]{8}-[0-9a-f]{4})(-[0-9a-f]{4}){2}-[0-9a-f]{12}$/.exec(flowId)?.[1]
    : undefined
  const low = instant === undefined ? lowest : `${instant}${lowest.slice(13)}`
  const high = instant === undefined ? highest : `${instant}${highest.slice(13)}`
  if (cursor === undefined) return [low, high]
  const next = beside(cursor, order === "newest" ? -1n : 1n)
  // Behind the last of all there is none.
  if (next === undefined) return [highest, lowest]
  return order === "newest" ? [low, next < high ? next : high] : [next > low ? next : low, high]
}

const lowest = "00000000-0000-0000-0000-000000000000"
const highest = "ffffffff-ffff-ffff-ffff-ffffffffffff"

/** The id before another, or after it. */
const beside = (id: string, by: bigint): string | undefined => {
  const number = BigInt(`0x${id.replaceAll("-", "")}`) + by
  if (number < 0n || number >= 1n << 128n) return undefined
  const digits = number.toString(16).padStart(32, "0")
  return [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), digits.slice(20)].join(
    "-"
  )
}

/** Whether nothing can match: texts that no record holds, a cursor that no page gave. */
const isImpossible = (where: JobStore.Selection, cursor: string | undefined): boolean =>
  cursor !== undefined && !isId(cursor) ||
  [
    where.tag,
    where.queue,
    where.errorTag,
    where.deadReason,
    where.blockedReason,
    where.parent
  ]
    .some((text) => text !== undefined && !isHeld(text))

/** Of any number an instant that a column can be compared with. */
const instantOf = (millis: number): number => Math.max(-1e15, Math.min(1e15, millis))

export interface PageRow {
  readonly id: JobRecord.JobId | null
  readonly found: ReadRow | null
  readonly last: string | null
  /** How many of the walks have stopped. */
  readonly stops: number
}

/** At how many records it has looked, where it has stopped: each walk tells when it has gone as far as it may. */
export const lookedAt = ([row]: ReadonlyArray<PageRow>, limit: number): number | undefined =>
  row === undefined || row.stops === 0 ? undefined : row.stops * lookedFor(limit)

/** Where the next page starts, when there may be one. */
export const cursorOf = (rows: ReadonlyArray<PageRow>, limit: number): string | undefined => {
  const records = rows.filter(({ id }) => id !== null)
  return records.length === limit ? records.at(-1)!.id! : rows[0]?.last ?? undefined
}

export const stats = (s: string): string => `
  WITH counts AS (
    SELECT queue, sum(blocked) AS blocked, sum(scheduled) AS scheduled, sum(ready) AS ready, sum(running) AS running,
      sum(completed) AS completed, sum(cancelled) AS cancelled, sum(dead) AS dead, sum(parked) AS parked, sum(deltas) AS deltas
    FROM (SELECT *, 0 AS deltas FROM ${s}.counter UNION ALL SELECT part, queue, blocked, scheduled, ready, running, completed,
      cancelled, dead, parked, 1 FROM ${s}.delta) all_of_them GROUP BY queue
  )
  SELECT coalesce(c.queue, q.name) AS queue, coalesce(q.paused, false) AS paused, ${s}.clock()::float8 AS now,
    coalesce(c.blocked, 0)::float8 AS blocked, coalesce(c.scheduled, 0)::float8 AS scheduled,
    coalesce(c.ready, 0)::float8 AS ready, coalesce(c.running, 0)::float8 AS running,
    coalesce(c.completed, 0)::float8 AS completed, coalesce(c.cancelled, 0)::float8 AS cancelled,
    coalesce(c.dead, 0)::float8 AS dead, coalesce(c.parked, 0)::float8 AS parked, coalesce(c.deltas, 0)::float8 AS deltas,
    ${s}.oldest_ready(c.queue)::float8 AS oldest
  FROM counts c FULL JOIN ${s}.queue q ON q.name = c.queue ORDER BY 1`

export const clock = (s: string): string => `SELECT ${s}.clock()::float8 AS now`

export const workers = (s: string): string => `
  SELECT w.id, w.queues, (SELECT p.told FROM ${s}.process p WHERE p.worker = w.num) AS process, (w.lease_until - ${s}.clock())::float8 AS lease_left,
    (SELECT count(DISTINCT r.id) FROM ${s}.claimed c, unnest(c.ids) AS u(id) JOIN ${s}.record r ON r.id = u.id
      WHERE c.worker = w.num AND r.worker = w.num)::int AS holds, ${s}.clock()::float8 AS now
  FROM ${s}.worker w ORDER BY w.num`
