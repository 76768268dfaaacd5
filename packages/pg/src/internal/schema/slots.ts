/**
 * How a key stands: expressions over its row `k`, the limit `l` of its space (all NULL where it has none), and how many of its
 * records are `ready`. A key that several jobs share begins with `@`, and its space is what comes before the first `/`.
 */
import { nextAt, size, tokens } from "./bucket.ts"

/** The limit of a key's space: no row while nobody has proposed or set one. */
export const limitOf = (s: string, key: string): string =>
  `SELECT * FROM ${s}.limits
      WHERE ${key} >= '@' AND ${key} < 'A' AND name = split_part(${key}, '/', 1) AND (release >= 0 OR override IS NOT NULL)`

/** Whether the keys of a space take turns: what an enqueuer has proposed, before anybody else, says that and nothing else. */
export const orderOf = (s: string, key: string): string =>
  `SELECT fair FROM ${s}.limits WHERE ${key} >= '@' AND ${key} < 'A' AND name = split_part(${key}, '/', 1)`

/** How many may hold a slot, NULL for no bound. While its circuit is half open, one probes. */
export const slots =
  `CASE WHEN l.name IS NULL THEN k.lim WHEN k.failed >= l.trips THEN least(1, l.concurrency) ELSE l.concurrency END`

/** True when a record waits for the key, else NULL. One probe: as EXISTS the planner may turn it round and read all that waits. */
export const waits = (s: string, key: string): string =>
  `(SELECT true FROM ${s}.record WHERE key = ${key} AND lane = 3 AND reason = 'ConcurrencyKey' LIMIT 1)`

/** How many of a shared key's records are in a state. */
export const sharedIn = (s: string, key: string, state: number): string =>
  `(SELECT count(*) FROM ${s}.record WHERE key = ${key} AND key >= '@' AND key < 'A' AND lane = 1 AND state = ${state})`

/** How many records may become ready now, beside those that hold a slot: at most a thousand at a time. */
const room = `CASE WHEN p_now < k.closed_until THEN 0 ELSE least(1000, ${slots} - k.held,
        CASE WHEN l.gap IS NOT NULL THEN ${tokens("k.full_at")} - k.ready END) END`

/** When the next one may; NULL while no instant lets it, but the next start or end does. */
const opens = `CASE WHEN k.held >= ${slots} OR l.gap IS NOT NULL AND k.ready >= ${size} THEN NULL
        ELSE greatest(p_now, k.closed_until, CASE WHEN l.gap IS NOT NULL THEN ${
  nextAt("k.full_at", "k.ready + 1")
} END) END`

/**
 * How the keys of a list stand that the caller has locked: name, held, room, opens. `took`: how many have become ready of one in
 * this call, and are not in its row yet. Each row is asked for by name, whatever the planner thinks of the table's size.
 */
export const standing = (s: string, names: string, took = "0"): string =>
  `SELECT k.name, k.held, (${room})::int AS room, (${opens})::bigint AS opens
    FROM (SELECT DISTINCT unnest(${names}) AS name) g
    CROSS JOIN LATERAL (SELECT * FROM ${s}.key WHERE name = g.name LIMIT 1) q
    LEFT JOIN LATERAL (${limitOf(s, "q.name")} LIMIT 1) l ON true
    CROSS JOIN LATERAL (SELECT q.name, q.lim, q.held + ${took} AS held, q.full_at, q.closed_until, q.failed,
      CASE WHEN l.gap IS NULL THEN 0 ELSE ${sharedIn(s, "q.name", 0)} END AS ready) k`

/**
 * Locks of the keys of a list those that it can without waiting, into one variable, and puts into another the names of those that
 * somebody else has locked. For who holds keys already: whoever has these may wait for those.
 */
export const lockingFree = (s: string, names: string, free: string, away: string): string =>
  `${free} := ARRAY(SELECT name FROM ${s}.key WHERE name = ANY (${names}) FOR UPDATE SKIP LOCKED);
  ${away} := ARRAY(SELECT name FROM ${s}.key WHERE name = ANY (${names}) AND name <> ALL (${free}))`

/** Locks the keys of a list, in the order of their names: byte by byte, whatever the database sorts by. */
export const locking = (s: string, names: string): string =>
  `PERFORM FROM (SELECT DISTINCT unnest(${names}) COLLATE "C" AS name ORDER BY 1) g
    CROSS JOIN LATERAL (SELECT FROM ${s}.key WHERE name = g.name FOR UPDATE) k`
