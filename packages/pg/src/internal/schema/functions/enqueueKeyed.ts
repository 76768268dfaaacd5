/** Storing a batch of records that have a concurrency key, and nothing else that another record could have too. */
import { locking, orderOf, standing } from "../slots.ts"

const given = `unnest(
        p_ids, p_tags, p_versions, p_queues, p_priorities, p_delays, p_run_ats, p_start_befores, p_retentions, p_specs,
        p_payloads, p_keys, p_key_limits
      ) WITH ORDINALITY AS g(id, tag, version, queue, priority, delay, run_at, start_before, retention, spec, payload, key,
        key_limit, n)`

/**
 * Records with and without keys, in some statements for all of them. An id that is there already is left alone. Answers the ids
 * that were stored, NULL for all of them.
 *
 * First its keys are locked, in the order of their names; then each record becomes ready or blocked as it is stored, by what is
 * free of its key and how many of the batch come before it; then the keys' rows are written. In a caller's transaction no key is
 * touched: the records are blocked, and on the agenda.
 */
export const enqueueKeyed = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.enqueue_keyed(
  p_ids uuid[], p_tags text[], p_versions int[], p_queues text[], p_priorities int[], p_delays bigint[],
  p_run_ats bigint[], p_start_befores bigint[], p_retentions text[], p_specs text[], p_payloads text[],
  p_transaction boolean, p_keys text[], p_key_limits int[]
) RETURNS uuid[] LANGUAGE plpgsql AS $$
DECLARE
  p_now bigint := ${s}.clock();
  v_keys text[] := '{}';
  v_limits jsonb;
  v_locked int;
  v_rooms jsonb;
  v_turns jsonb;
  v_stored uuid[];
  v_queues text[];
  v_many int[];
  v_took jsonb;
  v_waiting text[];
BEGIN
  IF NOT p_transaction THEN
    SELECT coalesce(array_agg(key), '{}'), jsonb_object_agg(key, key_limit) INTO v_keys, v_limits FROM (
      SELECT DISTINCT ON (g.key) g.key, g.key_limit FROM ${given}
      WHERE g.key IS NOT NULL AND coalesce(g.run_at, p_now + g.delay) <= p_now ORDER BY g.key, g.n DESC
    ) due;
    -- Mostly they are there, and say the same. New ones come before all locks, so that nobody waits for one who waits for them.
    LOOP
      INSERT INTO ${s}.key (name, lim, held) SELECT name, (v_limits ->> name)::int, 0 FROM unnest(v_keys) AS u(name)
        WHERE (SELECT true FROM ${s}.key k WHERE k.name = u.name) IS NULL ORDER BY name COLLATE "C" ON CONFLICT (name) DO NOTHING;
      ${locking(s, "v_keys")};
      GET DIAGNOSTICS v_locked = ROW_COUNT;
      -- One that nobody held may have been forgotten in between.
      EXIT WHEN v_locked = cardinality(v_keys);
    END LOOP;
    UPDATE ${s}.key SET lim = (v_limits ->> name)::int
      WHERE name = ANY (v_keys) AND lim IS DISTINCT FROM (v_limits ->> name)::int;
    SELECT jsonb_object_agg(name, room) INTO v_rooms FROM (${standing(s, "v_keys")}) k;
    IF EXISTS (SELECT FROM unnest(v_keys) AS u(name) WHERE name LIKE '@%') THEN
      v_turns := ${s}.next_turns(p_queues, p_keys, p_delays, p_run_ats, p_now);
    END IF;
  END IF;

  WITH ranked AS (
    SELECT g.*, due, CASE
        WHEN due > p_now THEN 2 WHEN g.key IS NULL THEN 0 WHEN p_transaction THEN 3
        WHEN row_number() OVER (PARTITION BY g.key, due <= p_now ORDER BY g.n) <= (v_rooms ->> g.key)::int THEN 0
        ELSE 3 END AS state,
      CASE WHEN due <= p_now AND v_turns IS NOT NULL THEN (v_turns -> g.queue ->> g.key)::bigint - 1
        + row_number() OVER (PARTITION BY g.queue, g.key, due <= p_now ORDER BY g.n) END AS turn
    FROM ${given} CROSS JOIN LATERAL (SELECT coalesce(g.run_at, p_now + g.delay) AS due) d
    WHERE (SELECT true FROM ${s}.record r WHERE r.id = g.id) IS NULL
  ), stored AS (
    INSERT INTO ${s}.record (
      id, place, turn, at, enqueued_at, ready_at, version, state, lane, priority, queue, tag, payload, spec, retention,
      expire_at, expires, due, key, key_limit, flags, reason, blocked_on)
    SELECT id, nextval('${s}.place'), coalesce(turn, 0), greatest(due, p_now), p_now, p_now, version, state,
      CASE WHEN state = 0 AND key LIKE '@%' THEN 1 ELSE state END, priority, queue, tag, payload, spec, retention,
      due + start_before, due + start_before, CASE WHEN state = 2 THEN due END, key, key_limit,
      CASE WHEN key LIKE '@%' THEN 512 ELSE 0 END | CASE WHEN key IS NOT NULL AND state = 0 THEN 8 ELSE 0 END,
      CASE WHEN state = 3 THEN 'ConcurrencyKey' END, CASE WHEN state = 3 THEN key END
    FROM (SELECT * FROM ranked ORDER BY n) o ON CONFLICT (id) DO NOTHING
    RETURNING id, place, queue, state, key
  ), counted AS (
    INSERT INTO ${s}.delta (queue, ready, scheduled, blocked)
    SELECT queue, count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 2), count(*) FILTER (WHERE state = 3)
    FROM stored GROUP BY queue RETURNING queue, ready + scheduled AS many
  ), left_for_later AS (
    INSERT INTO ${s}.agenda (id) SELECT id FROM stored WHERE p_transaction AND state = 3 ORDER BY place
  )
  SELECT (SELECT array_agg(id) FROM stored), (SELECT array_agg(queue) FROM counted), (SELECT array_agg(many) FROM counted),
      (SELECT jsonb_object_agg(key, n) FROM (
        SELECT key, count(*) AS n FROM stored WHERE state = 0 AND key IS NOT NULL GROUP BY key) t),
      (SELECT array_agg(DISTINCT key) FROM stored WHERE state = 3 AND key LIKE '@%')
    INTO v_stored, v_queues, v_many, v_took, v_waiting;
  IF v_took IS NOT NULL THEN
    UPDATE ${s}.key SET held = held + (v_took ->> name)::int WHERE name = ANY (v_keys) AND v_took ->> name IS NOT NULL;
  END IF;
  -- Each sees to it that it is looked at when its instant comes.
  IF v_waiting IS NOT NULL AND NOT p_transaction THEN PERFORM ${s}.admit_keys(v_waiting, p_now); END IF;
  PERFORM ${s}.wake(queue, CASE WHEN p_transaction OR ${s}.clock() > p_now + 1000 THEN -1 ELSE p_now END, many)
    FROM unnest(v_queues, v_many) AS stored(queue, many);
  IF EXISTS (SELECT FROM ${s}.listener WHERE until > p_now) THEN
    PERFORM ${s}.tell('enqueued', r, NULL, p_now) FROM ${s}.record r WHERE r.id = ANY (v_stored);
  END IF;
  RETURN CASE WHEN cardinality(v_stored) = cardinality(p_ids) THEN NULL ELSE coalesce(v_stored, '{}') END;
END $$`

/**
 * The turns of the next records of shared keys, as `next_turn` gives them one by one: by queue and key the first of as many as
 * the batch has of it. Without those whose limit is not fair. The caller has locked the keys.
 */
export const nextTurns = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.next_turns(p_queues text[], p_keys text[], p_delays bigint[], p_run_ats bigint[], p_now bigint)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_lasts jsonb;
  v_firsts jsonb;
BEGIN
  WITH turns AS (
    SELECT g.queue, g.key, g.n, f.turn FROM (
      SELECT queue, key, count(*) AS n FROM unnest(p_queues, p_keys, p_delays, p_run_ats) AS g(queue, key, delay, run_at)
      WHERE key >= '@' AND key < 'A' AND coalesce(run_at, p_now + delay) <= p_now GROUP BY queue, key
    ) g
    CROSS JOIN LATERAL (${orderOf(s, "g.key")} LIMIT 1) l
    CROSS JOIN LATERAL (
      SELECT greatest(coalesce((k.turns ->> g.queue)::bigint, 0) + 1, 1, (SELECT turn FROM ${s}.queue WHERE name = g.queue)) AS turn
      FROM ${s}.key k WHERE k.name = g.key LIMIT 1
    ) f WHERE l.fair
  )
  SELECT (SELECT jsonb_object_agg(queue, firsts) FROM (
      SELECT queue, jsonb_object_agg(key, turn) AS firsts FROM turns GROUP BY queue) q),
    (SELECT jsonb_object_agg(key, lasts) FROM (
      SELECT key, jsonb_object_agg(queue, turn + n - 1) AS lasts FROM turns GROUP BY key) k)
    INTO v_firsts, v_lasts;
  IF v_lasts IS NOT NULL THEN
    UPDATE ${s}.key SET turns = coalesce(turns, '{}') || (v_lasts -> name)
      WHERE name = ANY (ARRAY(SELECT jsonb_object_keys(v_lasts)));
  END IF;
  RETURN v_firsts;
END $$`
