/**
 * What readers see: live and finished records as one, by id, which sorts by creation.
 *
 * Cost: a page walks the narrowest index that it has for what is selected, of live records and of finished ones, as far as it
 * takes to fill it: what runs by the claims, what waits and what has failed or was cancelled by indexes of their own, what is
 * ready by the order of claims while it is little; all else by the ids. Each walk looks at no more than `looked` records; a page
 * that stops there has a cursor although it is not full. Other conditions, among them those on what lies in `spec` (labels, flow,
 * parent), and the key, are checked on the way.
 */
import type { JobRecord, JobStore } from "capstan"
import { ints, uuids } from "./client.ts"
import { isHeld, isId, states } from "./codec.ts"

/** At how many records one call looks in each of the places where it finds some. */
const looked = 5000
/** Of so many ready ones all are found by the order of claims: where there are more, they are not rare. */
const gathered = 500

const codeOf = (state: JobRecord.State): number => states.indexOf(state)
const [blocked, running, completed, dead] = [codeOf("blocked"), codeOf("running"), codeOf("completed"), codeOf("dead")]

/** The tag of the last failure as its index has it: a part of a long one. */
export const errorOf = (failures: string): string => `left(${failures} -> -1 ->> 'tag', 64)`

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

/** Where records are found in the order of their ids, and where one call stops to look. */
interface Source {
  readonly name: string
  readonly of: "r" | "h"
  /** What is to be true of each, beside the conditions of the page. */
  readonly states: ReadonlyArray<number> | undefined
  /** In order, all columns. */
  readonly walk: string
  /** The last id that is looked at, where there are more. */
  readonly edge: string
}

/**
 * One page as a statement. The text depends on which conditions there are, never on their values.
 *
 * Each walk is to go by one index, whatever the statistics say, for a bound on what matches is none on what is looked at. So the
 * column that leads an index stands in the order, and in a range of one value: were it said to be equal, the order by the id alone
 * would do, which other indexes have too.
 */
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

  const wanted = isImpossible(where, cursor)
    ? []
    : where.deadReason !== undefined
    ? [dead]
    : where.blockedReason !== undefined
    ? [blocked]
    : where.worker !== undefined
    ? [running]
    : where.states?.map((state) => states.indexOf(state))

  const numOf = (worker: string): string => `(SELECT w.num FROM ${s}.worker w WHERE w.id = ${bind(worker)})`

  const conditions = ({ of, states }: Source): string => {
    const list: Array<string> = of === "h" ? [visible(s)] : []
    if (states !== undefined) list.push(`${of}.state = ANY (${bind(ints(states))}::int[])`)
    // The states of the page hold beside a reason, which has one of its own.
    if (where.states !== undefined && (where.deadReason ?? where.blockedReason ?? where.worker) !== undefined) {
      list.push(`${of}.state = ANY (${bind(ints(where.states.map((state) => codeOf(state))))}::int[])`)
    }
    if (where.tag !== undefined) list.push(`${of}.tag = ${bind(where.tag)}`)
    if (where.queue !== undefined) list.push(`${of}.queue = ${bind(where.queue)}`)
    if (where.deadReason !== undefined) list.push(`h.reason = ${bind(where.deadReason)}`)
    if (where.blockedReason !== undefined) list.push(`r.reason = ${bind(where.blockedReason)}`)
    if (where.errorTag !== undefined) list.push(`${of}.failures -> -1 ->> 'tag' = ${bind(where.errorTag)}`)
    if (where.label !== undefined) list.push(`${of}.spec::jsonb -> 'tags' ? ${bind(where.label)}`)
    if (where.flowId !== undefined) list.push(`${of}.spec::json ->> 'flowId' = ${bind(where.flowId)}`)
    if (where.parent !== undefined) list.push(`${of}.spec::json ->> 'parent' = ${bind(where.parent)}`)
    if (where.concurrencyKey !== undefined) list.push(`${of}.key = ${bind(where.concurrencyKey)}`)
    if (where.worker !== undefined) list.push(of === "h" ? "false" : `r.worker = ${numOf(where.worker)}`)
    if (where.enqueuedFrom !== undefined) {
      list.push(`${of}.enqueued_at >= ${bind(instantOf(where.enqueuedFrom))}::float8::bigint`)
    }
    if (where.enqueuedBefore !== undefined) {
      list.push(`${of}.enqueued_at < ${bind(instantOf(where.enqueuedBefore))}::float8::bigint`)
    }
    return list.length === 0 ? "true" : list.join(" AND ")
  }

  const ids = where.ids
  const whole = ids === undefined && where.flowId !== undefined ? membersOf(where.flowId, bind) : "true"
  const range = ids !== undefined
    ? `id = ANY (${bind(uuids(ids.filter(isId)))})`
    : cursor === undefined
    ? whole
    : `id ${after} ${bind(cursor)}::uuid AND ${whole}`
  const size = `${bind(limit)}::int`

  const walked = (
    name: string,
    of: "r" | "h",
    states: ReadonlyArray<number> | undefined,
    { by, rest = "true" }: { readonly by?: string; readonly rest?: string } = {}
  ): Source => {
    const walk = (columns: string) =>
      `SELECT ${columns} FROM ${s}.${of === "r" ? "record" : "history"} x WHERE ${range} AND ${rest}
        ORDER BY ${by === undefined ? "" : `${by} ${direction}, `}id ${direction}`
    return {
      name,
      of,
      states,
      walk: `${walk(of === "r" ? "*" : "x.*, x AS whole")} ${ids === undefined ? `LIMIT ${looked}` : ""}`,
      edge: `${walk("id")} OFFSET ${looked - 1} LIMIT 1`
    }
  }
  const only = (column: string, value: string) => ({ by: column, rest: `${column} BETWEEN ${value} AND ${value}` })

  /** What workers hold, by their claims. */
  const held = (): Source => {
    const of = where.worker === undefined ? "" : `c.worker = ${numOf(where.worker)} AND`
    const claimed = (rest: string) =>
      `SELECT DISTINCT u.id FROM ${s}.claimed c, unnest(c.ids) AS u (id) WHERE ${of} ${range}
        ORDER BY u.id ${direction} ${rest}`
    return {
      name: "running",
      of: "r",
      states: [1],
      walk: `SELECT x.* FROM (${claimed(`LIMIT ${looked}`)}) c
        CROSS JOIN LATERAL (SELECT * FROM ${s}.record o WHERE o.id = c.id LIMIT 1) x ORDER BY c.id ${direction}`,
      edge: claimed(`OFFSET ${looked - 1} LIMIT 1`)
    }
  }

  /** What is ready, by the order of claims where it is few. */
  const few: Array<string> = []
  const ready = (): ReadonlyArray<Source> => {
    const { rest } = where.queue === undefined ? { rest: "true" } : only("queue", bind(where.queue))
    const lane = (n: number) =>
      `(SELECT id FROM ${s}.record WHERE lane = ${n} AND ${rest} ORDER BY queue, priority, turn, place LIMIT ${
        gathered + 1
      })`
    few.push(`few AS MATERIALIZED (${lane(0)} UNION ALL ${lane(1)}),
      many AS MATERIALIZED (SELECT count(*) > ${gathered} AS are FROM few),`)
    return [
      {
        ...walked("ready", "r", [0], {
          rest: "id = ANY (ARRAY(SELECT id FROM few)) AND (SELECT NOT are FROM many)"
        }),
        edge: "NULL"
      },
      walked("all_ready", "r", [0], { rest: "(SELECT are FROM many)" })
    ]
  }

  const lives = (wanted ?? [0, 1, 2, 3]).filter((state) => state < 4)
  const lively = (): ReadonlyArray<Source> => {
    if (new Set(lives).size === 4 || ids !== undefined) return [walked("live", "r", wanted)]
    return [
      ...lives.includes(0) ? ready() : [],
      ...lives.includes(1) ? [held()] : [],
      ...lives.includes(2) ? [walked("scheduled", "r", [2], only("lane", "2"))] : [],
      ...lives.includes(3)
        ? [
          walked("blocked", "r", [blocked], only("lane", "3")),
          walked("blocked_until", "r", [blocked], {
            by: "(lane + 0)",
            rest: "lane = 2 AND reason IS NOT NULL AND (lane + 0) BETWEEN 2 AND 2"
          })
        ]
        : []
    ]
  }

  // The dead and the cancelled are few, and have indexes of their own; so has what has failed.
  const past = (): Source => {
    const name = "finished"
    if (ids !== undefined) return walked(name, "h", wanted)
    const { errorTag, queue, tag } = where
    if (errorTag !== undefined) {
      const { by, rest } = only(errorOf("failures"), `left(${bind(errorTag)}, 64)`)
      return walked(name, "h", wanted, { by, rest: `failures IS NOT NULL AND ${rest}` })
    }
    if (wanted === undefined || wanted.includes(completed)) return walked(name, "h", wanted)
    const column = queue !== undefined ? only("queue", bind(queue)) : tag !== undefined ? only("tag", bind(tag)) : {}
    return walked(name, "h", wanted, { ...column, rest: `state > 4 AND ${"rest" in column ? column.rest : "true"}` })
  }

  const sources: ReadonlyArray<Source> = [
    ...lives.length > 0 && where.deadReason === undefined ? lively() : [],
    ...wanted === undefined || wanted.some((state) => state > 3) ? [past()] : []
  ]
  if (sources.length === 0) return { text: `SELECT NULL::uuid AS id, NULL::uuid AS last, 0 AS stops`, params: [] }
  // Where a walk has stopped before it found enough: what lies behind that was not looked at, of the other ones neither.
  const edge = ({ edge, name }: Source): string =>
    ids !== undefined ? "NULL::uuid" : `(CASE WHEN (SELECT count(*) FROM ${name}) < ${size} THEN (${edge}) END)::uuid`
  const text = `
    WITH ${few.join("")} ${
    sources.map((source) =>
      `${source.name} AS MATERIALIZED (
        SELECT * FROM (${source.walk}) ${source.of} WHERE ${conditions(source)} LIMIT ${size}
      )`
    ).join(", ")
  }, edge AS MATERIALIZED (
      SELECT ${order === "newest" ? "max" : "min"}(e.id::text)::uuid AS last, count(e.id)::int AS stops
      FROM (VALUES ${sources.map((source) => `(${edge(source)})`).join(", ")}) e (id)
    )
    SELECT f.*, e.last, e.stops FROM edge e LEFT JOIN (
      ${sources.map(({ name, of }) => of === "r" ? live(s, name) : finished(s, name, "h.whole")).join(" UNION ALL ")}
    ) f ON e.last IS NULL OR f.id ${order === "newest" ? ">=" : "<="} e.last
    ORDER BY f.id ${direction} LIMIT ${size}`
  return { text, params }
}

/** Whether nothing can match: texts that no record holds, two reasons of which a record has one, a cursor that no page gave. */
const isImpossible = (where: JobStore.Selection, cursor: string | undefined): boolean =>
  where.deadReason !== undefined && where.blockedReason !== undefined || cursor !== undefined && !isId(cursor) ||
  [
    where.tag,
    where.queue,
    where.errorTag,
    where.deadReason,
    where.blockedReason,
    where.label,
    where.flowId,
    where.parent
  ]
    .some((text) => text !== undefined && !isHeld(text))

/** Of any number an instant that a column can be compared with. */
const instantOf = (millis: number): number => Math.max(-1e15, Math.min(1e15, millis))

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
  /** How many of the walks have stopped. */
  readonly stops: number
}

/** At how many records it has looked, where it has stopped: each walk tells when it has gone as far as it may. */
export const lookedAt = ([row]: ReadonlyArray<PageRow>): number | undefined =>
  row === undefined || row.stops === 0 ? undefined : row.stops * looked

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

export const clock = (s: string): string => `SELECT ${s}.clock()::float8 AS now`

export const workers = (s: string): string => `
  SELECT w.id, w.queues, w.process, (w.lease_until - ${s}.clock())::float8 AS lease_left,
    (SELECT count(DISTINCT r.id) FROM ${s}.claimed c, unnest(c.ids) AS u(id) JOIN ${s}.record r ON r.id = u.id
      WHERE c.worker = w.num AND r.worker = w.num)::int AS holds, ${s}.clock()::float8 AS now
  FROM ${s}.worker w ORDER BY w.num`
