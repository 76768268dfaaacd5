/** What workers do beside the hot path: renew their lease, and the fenced writes of running attempts. */

/** Gives back, with no attempt charged, what a worker runs but for what it says that it runs. Answers how many these were. */
export const giveBack = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.give_back(
  p_num int, p_running uuid[], p_ids uuid[], p_fences int[], p_older bigint, p_now bigint
) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  r ${s}.record;
  v_cancel text;
  v_count int := 0;
BEGIN
  FOR r IN
    SELECT * FROM ${s}.record q WHERE q.id = ANY (p_running) AND q.worker = p_num AND q.at <= p_now - p_older
      AND (q.id, q.fence) NOT IN (SELECT g.id, g.fence FROM unnest(p_ids, p_fences) AS g(id, fence))
    ORDER BY q.place FOR UPDATE
  LOOP
    r := ${s}.end_attempt(r, 'released', p_now, NULL, NULL);
    SELECT reason INTO v_cancel FROM ${s}.cancel WHERE id = r.id;
    IF FOUND AND NOT ${s}.must_undo(r, 'Cancel', v_cancel) THEN
      PERFORM ${s}.finish(r, 5, v_cancel, NULL, p_now);
    ELSE
      r.attempt := r.attempt - 1;
      PERFORM ${s}.let_run(r, p_now, p_now, true);
    END IF;
    v_count := v_count + 1;
  END LOOP;
  RETURN v_count;
END $$`

/** Registers a worker, renews its lease, and compares what it holds with what the store says (P14). */
export const renew = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.renew(
  p_worker text, p_lease bigint, p_queues text[], p_handles jsonb, p_ids uuid[], p_fences int[], p_older bigint
) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
  v_now bigint := ${s}.clock();
  w ${s}.worker;
  v_reconciled int;
  v_unparked int := 0;
  v_running uuid[];
  v_lost json;
BEGIN
  INSERT INTO ${s}.worker AS k (id, lease_until, queues, handles, ended)
    VALUES (p_worker, v_now + p_lease, p_queues, p_handles, p_lease = 0)
    ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until, ended = false,
      queues = excluded.queues, handles = excluded.handles,
      wakes_until = CASE WHEN k.wakes_until > 0 AND cardinality(p_ids) = 0
        THEN greatest(k.wakes_until, v_now + p_lease) ELSE k.wakes_until END
    RETURNING * INTO w;
  SELECT json_agg(json_build_object('id', g.id, 'fence', g.fence)) INTO v_lost
    FROM unnest(p_ids, p_fences) AS g(id, fence)
    -- Who has this fence runs it. Another condition would let the planner read all that runs here for each of them.
    WHERE NOT EXISTS (SELECT FROM ${s}.record q WHERE q.id = g.id AND q.fence = g.fence);
  v_running := ${s}.running(w.num, true);
  v_reconciled := ${s}.give_back(w.num, v_running, p_ids, p_fences, p_older, v_now);
  IF w.handles <> '[]' THEN v_unparked := ${s}.unpark(w.handles, v_now); END IF;
  -- A worker that leaves renews with no lease and holds nothing.
  IF p_lease = 0 AND NOT EXISTS (
    SELECT FROM ${s}.record WHERE id = ANY (v_running) AND worker = w.num) THEN
    DELETE FROM ${s}.worker WHERE num = w.num;
  END IF;
  RETURN json_build_object(
    'now', v_now,
    'lost', coalesce(v_lost, '[]'),
    -- All of them, each time: a reply that told one may have been lost.
    'cancel', (SELECT coalesce(json_agg(json_build_object('id', q.id, 'fence', q.fence, 'reason', c.reason)), '[]')
      FROM ${s}.cancel c JOIN ${s}.record q ON q.id = c.id WHERE q.worker = w.num),
    'reconciled', v_reconciled,
    'unparked', v_unparked,
    'maintainIn', ${s}.maintain_in(v_now));
END $$`

/**
 * Renews, and notes what the worker says of itself: JSON that nobody here reads. What workers have said that are gone goes when another
 * one says something.
 */
export const register = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.register(
  p_worker text, p_lease bigint, p_queues text[], p_handles jsonb, p_ids uuid[], p_fences int[], p_older bigint, p_process text
) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
  v_reply json := ${s}.renew(p_worker, p_lease, p_queues, p_handles, p_ids, p_fences, p_older);
  v_num int := (SELECT num FROM ${s}.worker WHERE id = p_worker);
BEGIN
  IF v_num IS NULL OR p_process IS NOT DISTINCT FROM (SELECT told FROM ${s}.process WHERE worker = v_num) THEN
    RETURN v_reply;
  END IF;
  DELETE FROM ${s}.process WHERE worker IN (
    SELECT p.worker FROM ${s}.process p
    WHERE p.worker = v_num OR NOT EXISTS (SELECT FROM ${s}.worker k WHERE k.num = p.worker) FOR UPDATE SKIP LOCKED);
  IF p_process IS NOT NULL THEN INSERT INTO ${s}.process (worker, told) VALUES (v_num, p_process); END IF;
  RETURN v_reply;
END $$`

/**
 * What a worker runs, from its claims, of which one row is left that names just that; on request none. The caller holds the
 * worker's row: a row of claims that commits meanwhile is left for the next call, and none is rewritten by two at once.
 */
export const running = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.running(p_num int, p_keeps boolean) RETURNS uuid[] LANGUAGE plpgsql AS $$
DECLARE
  v_ids uuid[];
BEGIN
  WITH gone AS (
    DELETE FROM ${s}.claimed WHERE worker = p_num RETURNING ids
  )
  SELECT array_agg(DISTINCT r.id) INTO v_ids
    FROM gone, unnest(gone.ids) AS u(id) JOIN ${s}.record r ON r.id = u.id AND r.worker = p_num;
  IF p_keeps AND v_ids IS NOT NULL THEN
    INSERT INTO ${s}.claimed (worker, num, ids) VALUES (p_num, 0, v_ids);
  END IF;
  RETURN coalesce(v_ids, '{}');
END $$`

/** Progress, logs and steps of running attempts, each refused by a stale fence. Answers one word per entry. */
export const write = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.write_entries(p_entries json) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  v_now bigint := ${s}.clock();
  v_answers text[] := '{}';
  x json;
  r ${s}.record;
  v_flags int;
  v_lines jsonb;
BEGIN
  -- A step of a handler's transaction goes on to its commit.
  PERFORM ${s}.bound_idle();
  FOR x IN SELECT e FROM json_array_elements(p_entries) e LOOP
    -- The lock keeps the fence where it is until the write is committed.
    SELECT * INTO r FROM ${s}.record
      WHERE id = (x ->> 'id')::uuid AND fence = (x ->> 'fence')::int AND state = 1 FOR NO KEY UPDATE;
    IF NOT FOUND THEN
      v_answers := v_answers || 'LeaseLost'::text;
      CONTINUE;
    END IF;
    v_flags := CASE WHEN x ->> 'undo' = 'true' THEN 130 ELSE 2 END;
    IF r.flags & v_flags <> v_flags THEN UPDATE ${s}.record SET flags = flags | v_flags WHERE id = r.id; END IF;
    CASE x ->> 'kind'
    WHEN 'Step' THEN
      DELETE FROM ${s}.checkpoint WHERE id = r.id AND name = x ->> 'replaces';
      INSERT INTO ${s}.checkpoint (id, name, value) VALUES (r.id, x ->> 'name', x ->> 'value')
        ON CONFLICT (id, name) DO NOTHING;
    WHEN 'Progress' THEN
      INSERT INTO ${s}.detail (id, progress) VALUES (r.id, x ->> 'value')
        ON CONFLICT (id) DO UPDATE SET progress = excluded.progress;
      PERFORM ${s}.tell('progress', r, NULL, v_now);
    ELSE
      SELECT jsonb_agg(jsonb_build_object('attempt', r.attempt, 'at', v_now, 'message', line)) INTO v_lines
        FROM json_array_elements_text(x -> 'lines') line;
      -- The newest 200 lines are kept.
      INSERT INTO ${s}.detail AS d (id, logs) VALUES (r.id, v_lines)
        ON CONFLICT (id) DO UPDATE SET logs = (
          SELECT jsonb_agg(line ORDER BY n) FROM (
            SELECT line, n FROM jsonb_array_elements(coalesce(d.logs, '[]') || excluded.logs)
              WITH ORDINALITY AS l(line, n) ORDER BY n DESC LIMIT 200) newest);
    END CASE;
    v_answers := v_answers || 'Done'::text;
  END LOOP;
  RETURN v_answers;
END $$`

/** Completes a waitpoint, also before anybody waits for it. In a caller's transaction the first exchange after it does so. */
export const signal = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.signal(p_id uuid, p_waitpoint text, p_value text, p_transaction boolean)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_now bigint := ${s}.clock();
  r ${s}.record;
  v_waits boolean;
BEGIN
  IF p_transaction THEN
    SELECT * INTO r FROM ${s}.record WHERE id = p_id;
  ELSE
    SELECT * INTO r FROM ${s}.record WHERE id = p_id FOR UPDATE;
  END IF;
  IF NOT FOUND THEN RETURN 'NotFound'; END IF;
  v_waits := r.state = 3 AND r.reason = 'Waitpoint' AND r.blocked_on = p_waitpoint;
  IF p_transaction THEN
    -- Its attempt may be about to settle, and must not wait for a row that this transaction writes.
    IF EXISTS (SELECT FROM ${s}.checkpoint WHERE id = p_id AND name = p_waitpoint) THEN RETURN 'Existing'; END IF;
    INSERT INTO ${s}.agenda (id, waitpoint, value) VALUES (p_id, p_waitpoint, p_value);
    PERFORM ${s}.wake(r.queue, -1, 1);
    RETURN CASE WHEN v_waits THEN 'Delivered' ELSE 'Early' END;
  END IF;
  INSERT INTO ${s}.checkpoint (id, name, value) VALUES (p_id, p_waitpoint, p_value)
    ON CONFLICT (id, name) DO NOTHING;
  IF NOT FOUND THEN RETURN 'Existing'; END IF;
  r.flags := r.flags | 2;
  IF v_waits THEN
    PERFORM ${s}.let_run(r, v_now, v_now, false);
    RETURN 'Delivered';
  END IF;
  PERFORM ${s}.put(r);
  RETURN 'Early';
END $$`
