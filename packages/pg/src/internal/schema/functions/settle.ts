/** The ends of attempts: each fenced, in the write that moves the record on. */

/**
 * Completions that leave no children. Answers the positions, from 1, of those that were stale.
 *
 * A record whose retention keeps nothing goes without a trace but in \`spent\`, a row for all of a call.
 */
export const complete = (s: string, channel: string): string => `
CREATE OR REPLACE FUNCTION ${s}.complete(
  p_num int, p_worker text, p_ids uuid[], p_fences int[], p_afters bigint[], p_results text[], p_traces text[],
  p_now bigint, p_events boolean
) RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE
  v_done uuid[];
  v_keys text[];
  v_unique uuid[];
  v_detailed uuid[];
  v_awaited uuid[];
  v_forgotten uuid[];
  v_tags text[];
  v_specs text[];
  v_told json[];
  v_cancels boolean;
  v_id uuid;
BEGIN
  WITH gone AS (
    DELETE FROM ${s}.record r
    USING unnest(p_ids, p_fences, p_afters, p_results, p_traces) AS g(id, fence, after, result, trace)
    WHERE r.id = g.id AND r.fence = g.fence
    -- First what is read again: who reads a column walks over all before it.
    RETURNING r.retention IS NULL OR ${s}.keeps(r.retention, 4) AS keeps,
      CASE WHEN r.retention IS NULL THEN 86400000 WHEN ${s}.keeps(r.retention, 4) THEN ${s}.age(r.retention, 4) END AS age,
      r.flags, r.id, r.fence, r.queue, r.tag, r.key, r.spec, r.enqueued_at, r.at, least(p_now, r.at + g.after) AS ended,
      r.worker, r.attempt, r.version, r.key_limit, r.priority, r.retention, r.attempts, r.failures, r.payload, g.result,
      g.trace
  ), kept AS (
    INSERT INTO ${s}.history (
      id, enqueued_at, claimed_at, ended_at, finished_at, expires_at, fence, settled, attempt, version, key_limit, part,
      state, priority, crashes, flags, keep_count, queue, tag, key, worker, trace, retention, spec, attempts, failures,
      detail, result, payload)
    SELECT id, enqueued_at, at, ended, p_now, p_now + age, fence + 1, fence, attempt, version, key_limit,
      ${s}.part(age, p_now), 4, priority, 0, flags & 2081, ${s}.keep_count(retention, 4), queue, tag, key,
      CASE WHEN worker = p_num THEN p_worker ELSE (SELECT w.id FROM ${s}.worker w WHERE w.num = gone.worker) END,
      trace, retention, spec, attempts, failures,
      CASE WHEN flags & 2 = 2 THEN (
        SELECT jsonb_build_object('progress', d.progress, 'logs', d.logs) FROM ${s}.detail d WHERE d.id = gone.id) END,
      result, payload
    FROM gone WHERE keeps
  ), counted AS (
    INSERT INTO ${s}.delta (part, queue, running, completed)
    SELECT CASE WHEN keeps THEN ${s}.part(age, p_now) ELSE -1 END, queue, -count(*), count(*) FILTER (WHERE keeps)
    FROM gone GROUP BY 1, 2
  ), noted AS (
    INSERT INTO ${s}.spent (worker, at, ids, fences)
    SELECT p_num, p_now, array_agg(id), array_agg(fence) FROM gone WHERE NOT keeps HAVING count(*) > 0
  )
  SELECT array_agg(id), array_agg(key) FILTER (WHERE flags & 8 = 8), array_agg(id) FILTER (WHERE flags & 1 = 1),
    array_agg(id) FILTER (WHERE flags & 2 = 2), array_agg(id) FILTER (WHERE flags & 1024 = 1024),
    array_agg(id) FILTER ${forgotten}, array_agg(tag) FILTER ${forgotten}, array_agg(spec) FILTER ${forgotten},
    array_agg(json_build_object('type', 'completed', 'id', id, 'tag', tag, 'queue', queue, 'at', p_now, 'attempt', attempt))
      FILTER (WHERE p_events)
    INTO v_done, v_keys, v_unique, v_detailed, v_awaited, v_forgotten, v_tags, v_specs, v_told FROM gone;

  IF v_detailed IS NOT NULL THEN
    DELETE FROM ${s}.detail WHERE id = ANY (v_detailed);
    DELETE FROM ${s}.checkpoint WHERE id = ANY (v_detailed);
  END IF;
  IF v_keys IS NOT NULL THEN PERFORM ${s}.free_slots(v_keys, p_now, true); END IF;
  IF v_unique IS NOT NULL THEN
    FOREACH v_id IN ARRAY v_unique LOOP PERFORM ${s}.release_unique(v_id, p_now); END LOOP;
  END IF;
  SELECT EXISTS (SELECT FROM ${s}.cancel) INTO v_cancels;
  IF v_awaited IS NOT NULL THEN
    PERFORM ${s}.dependencies_ended(array_agg(g.id), 4, array_agg(g.result), p_now)
      FROM unnest(p_ids, p_results) AS g(id, result) WHERE g.id = ANY (v_awaited);
  END IF;
  IF v_cancels THEN DELETE FROM ${s}.cancel WHERE id = ANY (v_done); END IF;
  IF v_forgotten IS NOT NULL THEN
    DELETE FROM ${s}.dependency WHERE child = ANY (v_forgotten);
    PERFORM ${s}.forget_keys(v_forgotten, v_tags, v_specs);
  END IF;
  IF v_told IS NOT NULL THEN
    PERFORM pg_notify('${channel}', 'e' || told) FROM unnest(v_told) told;
  END IF;
  IF cardinality(v_done) = cardinality(p_ids) THEN RETURN '{}'; END IF;
  RETURN ARRAY(
    SELECT g.i::int FROM unnest(p_ids, p_fences) WITH ORDINALITY AS g(id, fence, i)
    WHERE NOT g.id = ANY (coalesce(v_done, '{}')) AND NOT ${s}.is_settled(g.id, g.fence)
      AND NOT EXISTS (SELECT FROM ${s}.spent p, unnest(p.ids, p.fences) AS u(id, fence)
        WHERE p.worker = p_num AND u.id = g.id AND u.fence = g.fence));
END $$`

/** Of those of which nothing is kept: who has keys, or waited for others. */
const forgotten = "(WHERE NOT keeps AND flags & 2081 <> 0)"

/** Whether the attempt with this fence has settled before: its settlement was sent again. */
export const isSettled = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.is_settled(p_id uuid, p_fence int) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN EXISTS (SELECT FROM ${s}.record WHERE id = p_id AND settled = p_fence)
    OR EXISTS (SELECT FROM ${s}.history WHERE id = p_id AND settled = p_fence)
    OR EXISTS (SELECT FROM ${s}.gone WHERE id = p_id AND fence = p_fence);
END $$`

/** One settlement of any kind. */
export const settleOne = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.settle_one(x json, p_now bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  r ${s}.record;
  v_outcome text := x ->> 'outcome';
  v_ended bigint;
  v_cancel text;
  v_child uuid;
  v_waits boolean := false;
  -- What is to be undone waits for nothing: a request to cancel it is over, and nobody could ask for it again.
  v_undoes boolean := false;
  -- Their ends let no record run that waits for a signal. It finds them when that comes, which may be after they are gone.
  v_awaits boolean := v_outcome = 'WaitForChildren' OR v_outcome = 'WaitFor' AND x -> 'children' IS NOT NULL;
  v_attempt int;
  v_before jsonb;
  c json;
BEGIN
  SELECT * INTO r FROM ${s}.record WHERE id = (x ->> 'id')::uuid AND fence = (x ->> 'fence')::int FOR UPDATE;
  IF NOT FOUND THEN
    RETURN CASE WHEN ${s}.is_settled((x ->> 'id')::uuid, (x ->> 'fence')::int) THEN 'Done' ELSE 'LeaseLost' END;
  END IF;
  v_ended := least(p_now, r.at + (x ->> 'after')::bigint);
  v_attempt := r.attempt;
  IF v_outcome NOT IN ('Complete', 'Dead', 'Cancel') THEN
    SELECT reason INTO v_cancel FROM ${s}.cancel WHERE id = r.id;
    IF v_cancel IS NOT NULL AND ${s}.must_undo(r, 'Cancel', v_cancel) THEN
      v_cancel := NULL;
      v_undoes := true;
    END IF;
  END IF;
  r.settled := r.fence;
  r := ${s}.end_attempt(r,
    CASE WHEN v_cancel IS NOT NULL THEN 'cancelled' ELSE CASE v_outcome
      WHEN 'Complete' THEN 'completed' WHEN 'RetryAfter' THEN 'retried' WHEN 'SnoozeFor' THEN 'snoozed'
      WHEN 'WaitFor' THEN 'waiting' WHEN 'WaitForChildren' THEN 'waiting' WHEN 'Cancel' THEN 'cancelled'
      WHEN 'Dead' THEN 'dead' WHEN 'Release' THEN 'released' ELSE 'parked' END END,
    v_ended, (x -> 'failure')::jsonb, x ->> 'trace');

  IF v_awaits AND r.flags & 2048 = 2048 THEN
    -- Children of a life before, which somebody cut short, or that were waited for no longer than until an instant; and
    -- those of whom each has ended, and was let run again by somebody while this one ran.
    DELETE FROM ${s}.dependency d WHERE d.child = r.id AND d.on_failure >= 3 AND (d.state IS NULL OR d.parent IN (
      SELECT a.id FROM json_array_elements(x -> 'children') e JOIN ${s}.record a ON a.id = (e ->> 'id')::uuid));
    -- What waits for some children alone is done with the others.
    IF v_outcome = 'WaitForChildren' THEN
      UPDATE ${s}.dependency d SET on_failure = 7 - d.on_failure WHERE d.child = r.id AND d.on_failure >= 3
        AND (d.on_failure = 3) <> (d.parent IN (SELECT (e ->> 'id')::uuid FROM json_array_elements(x -> 'children') e));
    END IF;
  END IF;
  IF x -> 'children' IS NOT NULL THEN
    v_before := ${s}.stored_before(ARRAY(
      SELECT (e ->> 'id')::uuid FROM json_array_elements(x -> 'children') e WHERE e -> 'again' IS NOT NULL));
  END IF;
  FOR c IN SELECT e FROM json_array_elements(coalesce(x -> 'children', '[]')) e LOOP
    -- It has ended while this one ran, and may be gone: how is known.
    CONTINUE WHEN v_awaits AND r.flags & 2048 = 2048 AND EXISTS (
      SELECT FROM ${s}.dependency WHERE child = r.id AND parent = (c ->> 'id')::uuid AND on_failure >= 3 AND state IS NOT NULL);
    v_child := coalesce((v_before ->> (c ->> 'id')::uuid::text)::uuid, ${s}.enqueue_or_defer(c, p_now));
    IF v_awaits AND v_cancel IS NULL AND ${s}.wait_for(r.id, v_child, p_now) THEN
      v_waits := true;
      r.flags := r.flags | 2048;
    END IF;
  END LOOP;

  IF r.flags & 512 = 512 AND (x -> 'failure') IS NOT NULL
    AND (v_outcome = 'Dead' OR v_outcome = 'RetryAfter' AND (x ->> 'uncharged') IS NULL) THEN
    PERFORM ${s}.key_failed(r.key, p_now);
  END IF;
  IF v_cancel IS NOT NULL THEN
    PERFORM ${s}.finish(r, 5, v_cancel, NULL, p_now);
    RETURN 'Done';
  END IF;
  CASE v_outcome
  WHEN 'Complete' THEN
    PERFORM ${s}.finish(r, 4, NULL, x ->> 'result', p_now);
  WHEN 'RetryAfter' THEN
    IF (x ->> 'uncharged')::boolean THEN r.attempt := r.attempt - 1; END IF;
    PERFORM ${s}.let_run(r, CASE WHEN v_undoes THEN p_now ELSE p_now + (x ->> 'delay')::bigint END, p_now, false);
    r.attempt := v_attempt;
    PERFORM ${s}.tell('retried', r, x -> 'failure' ->> 'tag', p_now);
  WHEN 'SnoozeFor' THEN
    r.attempt := r.attempt - 1;
    IF x ->> 'closes' = 'queue' OR x ->> 'closes' = 'key' AND r.flags & 512 = 512 THEN
      PERFORM ${s}.close_limit(r, x ->> 'closes', p_now + (x ->> 'delay')::bigint, p_now);
      IF x ->> 'closes' = 'key' THEN r.flags := r.flags & ~8; END IF;
      PERFORM ${s}.let_run(r, p_now, p_now, true);
    ELSE
      PERFORM ${s}.let_run(r, CASE WHEN v_undoes THEN p_now ELSE p_now + (x ->> 'delay')::bigint END, p_now, false);
    END IF;
    PERFORM ${s}.tell('snoozed', r, x -> 'failure' ->> 'tag', p_now);
  WHEN 'WaitFor' THEN
    r.attempt := r.attempt - 1;
    IF v_undoes OR EXISTS (SELECT FROM ${s}.checkpoint WHERE id = r.id AND name = x ->> 'waitpoint') THEN
      PERFORM ${s}.let_run(r, p_now, p_now, false);
    ELSE
      PERFORM ${s}.block(r, 'Waitpoint', x ->> 'waitpoint', p_now, p_now + (x ->> 'delay')::bigint);
    END IF;
  WHEN 'WaitForChildren' THEN
    r.attempt := r.attempt - 1;
    r.at := p_now;
    IF v_undoes OR NOT v_waits THEN
      PERFORM ${s}.let_run(r, p_now, p_now, false);
    ELSE
      PERFORM ${s}.block(r, 'Children', NULL, p_now, p_now + (x ->> 'delay')::bigint);
    END IF;
  WHEN 'Cancel' THEN
    PERFORM ${s}.finish(r, 5, x ->> 'reason', NULL, p_now);
  WHEN 'Dead' THEN
    PERFORM ${s}.finish(r, 6, x ->> 'reason', NULL, p_now);
  WHEN 'Release' THEN
    r.attempt := r.attempt - 1;
    PERFORM ${s}.let_run(r, p_now, p_now, true);
  WHEN 'Park' THEN
    r.attempt := r.attempt - 1;
    PERFORM ${s}.block(r, x ->> 'reason', r.tag || '@' || r.version, p_now);
    -- Who has the handler is not known.
    PERFORM ${s}.wake(r.queue, p_now, NULL);
  END CASE;
  RETURN 'Done';
END $$`

/**
 * The settlement that a handler's own transaction ends with. One that is sent again is refused: what the handler wrote
 * before it would be written twice.
 */
export const commitOne = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.commit_one(x json) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ${s}.bound_idle();
  PERFORM FROM ${s}.record WHERE id = (x ->> 'id')::uuid AND fence = (x ->> 'fence')::int AND state = 1 FOR UPDATE;
  IF NOT FOUND THEN RETURN 'LeaseLost'; END IF;
  RETURN ${s}.settle_one(x, ${s}.clock());
END $$`

/** Blocks a record that leaves its worker, and gives its slot back. It keeps its place. At `p_until` it goes on by itself. */
export const block = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.block(
  r ${s}.record, p_reason text, p_on text, p_now bigint, p_until bigint DEFAULT NULL
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_freed text := CASE WHEN r.flags & 8 = 8 THEN r.key END;
BEGIN
  r.worker := 0;
  r.flags := r.flags & ~8;
  r.state := 3;
  r.reason := p_reason;
  r.blocked_on := p_on;
  r.at := coalesce(p_until, p_now);
  IF p_until IS NOT NULL THEN r.flags := r.flags | 64; END IF;
  PERFORM ${s}.put(r);
  PERFORM ${s}.tell('blocked', r, coalesce(CASE WHEN p_reason = 'Waitpoint' THEN p_on END, p_reason), p_now);
  IF v_freed IS NOT NULL THEN PERFORM ${s}.free_slots(ARRAY[v_freed], p_now); END IF;
END $$`
