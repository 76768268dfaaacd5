/**
 * Keys, a whole batch of them at a time: whatever the number of keys and records, each of these takes a few statements.
 *
 * The lock order is records, then keys by their names, then the records that wait for them. Of those, one that a transaction
 * has locked is passed over and looked at again. Every key is locked by one statement before another one looks at how it stands,
 * so that nothing is decided by what was true before the lock.
 */
import { taken, tokens } from "../bucket.ts"
import { limitOf, locking, lockingFree, sharedIn, slots, standing, waits } from "../slots.ts"

/**
 * Gives slots back, as many of each key as it stands in the list, and lets those that wait for them become ready.
 *
 * The rows are locked in the order of their names, and written by another statement, where the locks have left them: what it sees of
 * those that wait for a key is no older than its lock. Found by name again, each with its count out of a JSON object, a key took 66
 * thousand instructions (callgrind, a hundred keys of a record each), so it takes 43.
 */
export const freeSlots = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.free_slots(p_keys text[], p_now bigint, p_completed boolean DEFAULT false) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_tids tid[];
  v_counts jsonb;
  v_waited text[];
BEGIN
  SELECT array_agg(k.tid), jsonb_object_agg(g.name, g.n) FILTER (WHERE g.n > 1) INTO v_tids, v_counts
    FROM (SELECT name COLLATE "C" AS name, count(*) AS n FROM unnest(p_keys) AS u(name) GROUP BY 1 ORDER BY 1) g
    CROSS JOIN LATERAL (SELECT ctid AS tid FROM ${s}.key WHERE name = g.name FOR UPDATE) k;
  WITH freed AS (
    UPDATE ${s}.key k SET held = held - coalesce((v_counts ->> name)::int, 1),
      failed = CASE WHEN p_completed AND closed_until <= p_now THEN 0 ELSE failed END
    WHERE ctid = ANY (v_tids)
    RETURNING name, opens_at IS NOT NULL OR ${waits(s, "k.name")} AS waited
  ) SELECT array_agg(name) INTO v_waited FROM freed WHERE waited;
  IF v_waited IS NOT NULL THEN PERFORM ${s}.admit_keys(v_waited, p_now); END IF;
END $$`

/**
 * Gives free slots of keys to the records that wait for them, in their order, and says when to look at a key again. Cost: of
 * each key as many index entries as it has free slots, however many wait.
 */
export const admitKeys = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.admit_keys(p_keys text[], p_now bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_queues text[];
  v_many int[];
  v_took jsonb;
  v_opens jsonb;
  v_again text[];
BEGIN
  ${locking(s, "p_keys")};
  WITH k AS MATERIALIZED (
    ${standing(s, "p_keys")}
  ), c AS MATERIALIZED (
    SELECT r.id FROM k CROSS JOIN LATERAL (
      SELECT id FROM ${s}.record WHERE key = k.name AND lane = 3 AND reason = 'ConcurrencyKey'
      ORDER BY priority, turn, place LIMIT k.room FOR UPDATE SKIP LOCKED
    ) r WHERE k.room > 0
  ), u AS (
    UPDATE ${s}.record r SET state = 0, lane = 1, reason = NULL, blocked_on = NULL, flags = r.flags | 24, at = p_now
    WHERE r.id = ANY (ARRAY(SELECT id FROM c)) RETURNING r.queue, r.key
  ), counted AS (
    INSERT INTO ${s}.delta (queue, blocked, ready) SELECT queue, -count(*), count(*) FROM u GROUP BY queue RETURNING queue, ready
  )
  SELECT (SELECT array_agg(queue) FROM counted), (SELECT array_agg(ready) FROM counted),
      (SELECT jsonb_object_agg(key, n) FROM (SELECT key, count(*) AS n FROM u GROUP BY key) t)
    INTO v_queues, v_many, v_took;
  -- Room is left where those that wait are locked, or more than are taken at a time.
  SELECT jsonb_object_agg(name, CASE WHEN room > 0 THEN p_now + 50 ELSE opens END) FILTER (WHERE name LIKE '@%'),
      array_agg(name) FILTER (WHERE name NOT LIKE '@%' AND room > 0)
    INTO v_opens, v_again
    FROM (${standing(s, "p_keys", "coalesce((v_took ->> q.name)::int, 0)")}) k WHERE ${waits(s, "k.name")};
  UPDATE ${s}.key SET held = held + coalesce((v_took ->> name)::int, 0), opens_at = (v_opens ->> name)::bigint
    WHERE name = ANY (p_keys) AND (v_took ->> name IS NOT NULL OR opens_at IS DISTINCT FROM (v_opens ->> name)::bigint);
  IF v_again IS NOT NULL THEN
    INSERT INTO ${s}.agenda (key, at) SELECT name, p_now + 200 FROM unnest(v_again) AS u(name);
  END IF;
  PERFORM ${s}.wake(queue, p_now, many) FROM unnest(v_queues, v_many) AS admitted(queue, many);
END $$`

/**
 * How many ready records of shared keys may start, of those that a claim has found: NULL when all may; else by key, and of a
 * key that is not named all. -1: somebody has the key locked. The starts take their tokens, and what may not start gives its
 * slot back: its limit is lower than when it became ready.
 *
 * While no more hold slots than may, and no rate counts starts, all that are ready may start, and no key is locked.
 */
export const startKeys = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.start_keys(p_keys text[], p_counts int[], p_now bigint) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_tight text[];
  v_locked text[];
  v_starts jsonb;
  v_counts jsonb;
  v_full jsonb;
  v_refused jsonb;
BEGIN
  SELECT array_agg(k.name) INTO v_tight FROM unnest(p_keys) AS g(name)
    CROSS JOIN LATERAL (SELECT * FROM ${s}.key WHERE name = g.name LIMIT 1) k
    LEFT JOIN LATERAL (${limitOf(s, "k.name")} LIMIT 1) l ON true
    WHERE l.gap IS NOT NULL OR p_now < k.closed_until OR k.held > ${slots};
  IF v_tight IS NULL THEN RETURN NULL; END IF;
  v_locked := ARRAY(SELECT name FROM ${s}.key WHERE name = ANY (v_tight) FOR UPDATE SKIP LOCKED);
  SELECT jsonb_object_agg(name, n) INTO v_counts FROM unnest(p_keys, p_counts) AS u(name, n);
  SELECT jsonb_object_agg(name, starts), jsonb_object_agg(name, full_at) FILTER (WHERE full_at IS NOT NULL),
      jsonb_object_agg(name, n - starts) FILTER (WHERE n > starts)
    INTO v_starts, v_full, v_refused
    FROM (
      SELECT k.name, g.n, m.starts, CASE WHEN l.gap IS NOT NULL THEN ${taken("k.full_at", "m.starts")} END AS full_at
      FROM (SELECT name, (v_counts ->> name)::int AS n FROM unnest(v_locked) AS u(name)) g
      CROSS JOIN LATERAL (SELECT * FROM ${s}.key WHERE name = g.name LIMIT 1) k
      LEFT JOIN LATERAL (${limitOf(s, "k.name")} LIMIT 1) l ON true
      CROSS JOIN LATERAL (SELECT CASE WHEN p_now < k.closed_until THEN 0 ELSE greatest(0, least(g.n,
        CASE WHEN l.gap IS NOT NULL THEN ${tokens("k.full_at")} END,
        CASE WHEN k.held > ${slots} THEN ${slots} - ${sharedIn(s, "k.name", 1)} END)) END::int AS starts) m
    ) t;
  IF v_full IS NOT NULL OR v_refused IS NOT NULL THEN
    UPDATE ${s}.key SET full_at = coalesce((v_full ->> name)::float8, full_at),
      held = held - coalesce((v_refused ->> name)::int, 0)
      WHERE name = ANY (v_locked);
  END IF;
  v_starts := coalesce(v_starts, '{}');
  IF cardinality(v_locked) < cardinality(v_tight) THEN
    v_starts := v_starts || (SELECT jsonb_object_agg(name, -1) FROM unnest(v_tight) AS u(name) WHERE NOT v_starts ? name);
  END IF;
  RETURN v_starts;
END $$`

/**
 * After a claim of records with shared keys: those that may not start wait again, the next of each key that was looked at become
 * ready, and the queue's turn goes on. Answers when to look.
 */
export const claimedShared = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.claimed_shared(p_queue text, p_turn bigint, p_keys text[], p_refused uuid[], p_now bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  v_waited text[];
  v_free text[];
  v_away text[] := '{}';
BEGIN
  IF p_refused IS NOT NULL THEN
    UPDATE ${s}.record SET state = 3, lane = 3, reason = 'ConcurrencyKey', blocked_on = key, flags = flags & ~24, at = p_now
      WHERE id = ANY (p_refused);
    INSERT INTO ${s}.delta (queue, ready, blocked) VALUES (p_queue, -cardinality(p_refused), cardinality(p_refused));
  END IF;
  IF p_keys IS NOT NULL THEN
    SELECT array_agg(name) INTO v_waited FROM unnest(p_keys) AS u(name)
      WHERE ${waits(s, "u.name")} OR (SELECT opens_at FROM ${s}.key k WHERE k.name = u.name) IS NOT NULL;
    IF v_waited IS NOT NULL THEN
      ${lockingFree(s, "v_waited", "v_free", "v_away")};
      IF v_free <> '{}' THEN PERFORM ${s}.admit_keys(v_free, p_now); END IF;
      INSERT INTO ${s}.agenda (key, at) SELECT name, p_now + 20 FROM unnest(v_away) AS u(name);
    END IF;
  END IF;
  IF p_turn > 0 THEN
    -- Who has it locked sets about the same.
    UPDATE ${s}.queue SET turn = p_turn WHERE name IN (
      SELECT name FROM ${s}.queue WHERE name = p_queue AND turn < p_turn FOR UPDATE SKIP LOCKED);
    INSERT INTO ${s}.queue (name, turn) SELECT p_queue, p_turn
      WHERE NOT EXISTS (SELECT FROM ${s}.queue WHERE name = p_queue) ON CONFLICT DO NOTHING;
  END IF;
  RETURN least(CASE WHEN v_away <> '{}' THEN p_now + 20 END,
    (SELECT opens_at FROM ${s}.key WHERE opens_at IS NOT NULL ORDER BY opens_at LIMIT 1));
END $$`

/** Looks at the keys whose instant has come, and says when the next one comes. */
export const tendKeys = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.tend_keys(p_now bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_keys text[] := ARRAY(
    SELECT name FROM ${s}.key WHERE opens_at <= p_now ORDER BY opens_at LIMIT 200 FOR UPDATE SKIP LOCKED);
BEGIN
  IF v_keys <> '{}' THEN PERFORM ${s}.admit_keys(v_keys, p_now); END IF;
  -- What others have locked is not asked for without a pause.
  RETURN (SELECT greatest(opens_at, p_now + 1) FROM ${s}.key WHERE opens_at IS NOT NULL ORDER BY opens_at LIMIT 1);
END $$`
