/** What operators do to records. */

/**
 * One action on one record.
 *
 * In a caller's transaction it locks none but waiting records, which claims pass over, and leaves freed slots on the
 * agenda, and what a record that is gone waited for. A record that runs is asked to be cancelled in a row of its own.
 */
export const controlOne = (s: string, channel: string): string => `
CREATE OR REPLACE FUNCTION ${s}.control_one(
  p_id uuid, p_action text, p_reason text, p_payload text, p_version int, p_sensitive jsonb, p_due bigint, p_priority int,
  p_now bigint, p_transaction boolean
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  r ${s}.record;
  v_awaited boolean;
  v_asked boolean;
BEGIN
  IF p_transaction THEN
    r := ${s}.lock_resting(p_id, false);
    IF r.id IS NULL THEN SELECT * INTO r FROM ${s}.record WHERE id = p_id; END IF;
  ELSE
    SELECT * INTO r FROM ${s}.record WHERE id = p_id FOR UPDATE;
  END IF;
  IF r.id IS NULL THEN
    RETURN ${s}.control_finished(p_id, p_action, p_payload, p_version, p_sensitive, p_now, p_transaction);
  END IF;

  IF r.state = 1 THEN
    IF p_action <> 'Cancel' THEN RETURN 'Unchanged'; END IF;
    IF ${s}.is_ending(r) THEN RETURN 'Requested'; END IF;
    v_asked := ${s}.ask_to_stop(r, p_reason);
    IF v_asked IS NULL THEN
      -- Somebody's transaction asks for the same, and may be rolled back.
      INSERT INTO ${s}.agenda (id, key, value, at) VALUES (r.id, '', p_reason, p_now + 200);
      PERFORM ${s}.wake(r.queue, CASE WHEN p_transaction THEN -1 ELSE p_now END, 1);
    ELSIF v_asked THEN
      -- It may not run any more when this commits.
      IF p_transaction THEN INSERT INTO ${s}.agenda (id) VALUES (r.id); END IF;
      PERFORM pg_notify('${channel}', 'k' || (SELECT id FROM ${s}.worker WHERE num = r.worker));
    END IF;
    RETURN 'Requested';
  END IF;

  IF p_action = 'Reschedule' AND (r.state = 2 AND r.at = p_due OR r.state = 0 AND p_due <= p_now)
    AND (r.expire_at IS NULL OR r.expire_at = p_due + coalesce((r.spec::json ->> 'startBefore')::bigint, 0)) THEN
    RETURN 'Unchanged';
  END IF;

  -- The slot is given back after the commit: its key's row is one that settlements wait for.
  IF p_transaction AND r.flags & 8 = 8 AND p_action IN ('Cancel', 'Delete', 'Reschedule') THEN
    INSERT INTO ${s}.agenda (key, frees) VALUES (r.key, true);
    r.flags := r.flags & ~8;
    UPDATE ${s}.record SET flags = r.flags WHERE id = r.id;
    PERFORM ${s}.wake(r.queue, -1, 1);
  END IF;

  CASE p_action
  WHEN 'Cancel' THEN
    IF ${s}.is_ending(r) THEN RETURN 'Requested'; END IF;
    IF ${s}.must_undo(r, 'Cancel', p_reason) THEN
      r.fence := r.fence + 1;
      PERFORM ${s}.let_run(r, p_now, p_now, false, p_transaction);
      RETURN 'Requested';
    END IF;
    r.fence := r.fence + 1;
    PERFORM ${s}.finish(r, 5, p_reason, NULL, p_now, p_transaction);
  WHEN 'Delete' THEN
    -- Whoever waits for it is told that it is gone, not how it ended.
    v_awaited := NOT p_transaction AND r.flags & 1024 = 1024;
    IF v_awaited THEN r.flags := r.flags & ~1024; END IF;
    IF NOT p_transaction THEN DELETE FROM ${s}.dependency WHERE child = p_id; END IF;
    -- Whatever its retention, it is kept until it is forgotten: else its end would be told in a transaction.
    r.retention := NULL;
    PERFORM ${s}.finish(r, 5, 'deleted', NULL, p_now, p_transaction);
    PERFORM ${s}.forget(p_id, p_now);
    IF v_awaited THEN PERFORM ${s}.dependencies_ended(ARRAY[p_id], 0, ARRAY[NULL::text], p_now); END IF;
    PERFORM ${s}.tell('deleted', r, NULL, p_now);
  WHEN 'Retry' THEN
    IF p_payload IS NULL AND r.state <> 2 THEN RETURN 'Unchanged'; END IF;
    r.fence := r.fence + 1;
    r.payload := coalesce(p_payload, r.payload);
    r.version := coalesce(p_version, r.version);
    r.spec := ${s}.masked(r.spec, p_sensitive);
    IF r.state = 2 THEN
      PERFORM ${s}.let_run(r, p_now, p_now, false, p_transaction);
    ELSE
      PERFORM ${s}.put(r);
    END IF;
  WHEN 'Promote' THEN
    IF r.state <> 2 THEN RETURN 'Unchanged'; END IF;
    PERFORM ${s}.let_run(r, p_now, p_now, false, p_transaction);
  WHEN 'Reschedule' THEN
    IF r.state NOT IN (0, 2) THEN RETURN 'Unchanged'; END IF;
    IF r.expire_at IS NOT NULL THEN
      r.expire_at := p_due + coalesce((r.spec::json ->> 'startBefore')::bigint, 0);
    END IF;
    r.fence := r.fence + 1;
    PERFORM ${s}.let_run(r, p_due, p_now, r.state = 0, p_transaction);
  WHEN 'Reprioritise' THEN
    IF r.priority = p_priority THEN RETURN 'Unchanged'; END IF;
    r.fence := r.fence + 1;
    r.priority := p_priority;
    IF r.state = 0 THEN r.flags := r.flags | 16; END IF;
    PERFORM ${s}.put(r);
    -- Claims have passed it over meanwhile.
    IF p_transaction AND r.state = 0 THEN PERFORM ${s}.wake(r.queue, -1, 1); END IF;
  END CASE;
  RETURN 'Changed';
END $$`

/**
 * Waits for the transactions of callers that have locked some records, before the first of them is changed: see
 * `lock_all_resting`. Of those that have ended their rows too; where they run again, those of what lives again with them, and
 * all their unique keys.
 */
export const lockForControl = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.lock_for_control(p_ids uuid[], p_action text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_ended uuid[];
BEGIN
  IF p_action <> 'Retry' AND cardinality(p_ids) <= 1 THEN RETURN; END IF;
  PERFORM ${s}.lock_all_resting(p_ids);
  v_ended := ARRAY(
    SELECT g.id FROM unnest(p_ids) AS g(id) WHERE NOT EXISTS (SELECT FROM ${s}.record r WHERE r.id = g.id));
  IF v_ended = '{}' THEN RETURN; END IF;
  IF p_action = 'Retry' THEN
    v_ended := ARRAY(
      WITH RECURSIVE again AS (
        SELECT id FROM unnest(v_ended) AS g(id)
        UNION SELECT d.child FROM again a JOIN ${s}.dependency d ON d.parent = a.id JOIN ${s}.history h ON h.id = d.child
          WHERE d.state IS NOT NULL AND d.on_failure < 3 AND h.state = 6 AND h.reason = 'DependencyFailed'
      )
      SELECT id FROM again
      UNION SELECT d.child FROM again a JOIN ${s}.dependency d ON d.parent = a.id
        WHERE d.state IS NOT NULL AND d.on_failure < 4);
  END IF;
  PERFORM FROM ${s}.history WHERE id = ANY (v_ended) ORDER BY id FOR UPDATE;
  IF p_action <> 'Retry' THEN RETURN; END IF;
  -- Of one that was free it has the key from here on as little as before: it does not live.
  INSERT INTO ${s}.uniq AS q (tag, key, id)
    SELECT DISTINCT ON (1, 2) tag, spec::json ->> 'uniqueKey', id FROM ${s}.history
      WHERE id = ANY (v_ended) AND flags & 1 = 1 ORDER BY 1, 2
    ON CONFLICT (tag, key) DO UPDATE SET id = q.id;
END $$`

/**
 * Asks for a running record to be cancelled, and says whether nobody has before: NULL when a transaction that is not over has. That
 * one is waited for no longer than a moment, for whoever asks may have the record locked, which its settlement needs.
 */
export const askToStop = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.ask_to_stop(r ${s}.record, p_reason text) RETURNS boolean LANGUAGE plpgsql
SET lock_timeout TO '5ms' AS $$
BEGIN
  INSERT INTO ${s}.cancel (id, fence, reason) VALUES (r.id, r.fence, p_reason) ON CONFLICT (id) DO NOTHING;
  RETURN FOUND;
EXCEPTION WHEN lock_not_available THEN RETURN NULL;
END $$`

/** An action on a finished record: it runs again with a fresh budget of attempts, or is forgotten. */
export const controlFinished = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.control_finished(
  p_id uuid, p_action text, p_payload text, p_version int, p_sensitive jsonb, p_now bigint, p_transaction boolean
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  h ${s}.history;
BEGIN
  SELECT * INTO h FROM ${s}.history WHERE id = p_id AND (expires_at IS NULL OR expires_at > p_now) FOR UPDATE;
  IF NOT FOUND THEN RETURN 'NotFound'; END IF;
  IF p_action = 'Delete' THEN
    IF NOT p_transaction THEN DELETE FROM ${s}.dependency WHERE child = p_id; END IF;
    PERFORM ${s}.forget(p_id, p_now);
    RETURN 'Changed';
  END IF;
  IF p_action <> 'Retry' THEN RETURN 'Unchanged'; END IF;
  -- Without what it needs it would not run: that is to run again first, and brings it along.
  IF h.flags & 2048 = 2048 AND ${s}.is_broken(p_id) OR NOT ${s}.begin_again(h, p_payload, p_version, p_sensitive, p_now, p_transaction) THEN
    RETURN 'Unchanged';
  END IF;
  PERFORM ${s}.reopen(p_id, p_now, p_transaction);
  RETURN 'Changed';
END $$`

/**
 * A new life, with a fresh budget of attempts: it runs, or waits for what of its dependencies has not ended. False when another
 * record has its unique key.
 */
export const beginAgain = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.begin_again(
  h ${s}.history, p_payload text, p_version int, p_sensitive jsonb, p_now bigint, p_transaction boolean
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  r ${s}.record;
  u ${s}.uniq;
  v_key text := h.spec::json ->> 'uniqueKey';
BEGIN
  IF h.flags & 1 = 1 THEN
    SELECT * INTO u FROM ${s}.uniq WHERE tag = h.tag AND key = v_key FOR UPDATE;
    IF FOUND AND u.id <> h.id AND ${s}.holds(u, p_now) IS NOT NULL
      OR u.successor <> h.id AND EXISTS (SELECT FROM ${s}.record WHERE id = u.successor) THEN
      RETURN false;
    END IF;
    INSERT INTO ${s}.uniq AS q (tag, key, id) VALUES (h.tag, v_key, h.id)
      ON CONFLICT (tag, key) DO UPDATE SET id = h.id, until = p_now + q.lasts, successor = NULL;
  END IF;
  DELETE FROM ${s}.history WHERE id = h.id AND part = h.part;
  INSERT INTO ${s}.delta (part, queue, completed, cancelled, dead)
    VALUES (h.part, h.queue, -(h.state = 4)::int, -(h.state = 5)::int, -(h.state = 6)::int);
  r.id := h.id;
  r.place := nextval('${s}.place');
  r.turn := 0;
  r.at := p_now;
  r.enqueued_at := h.enqueued_at;
  r.ready_at := p_now;
  r.begun_at := 0;
  r.worker := 0;
  r.fence := h.fence + 1;
  r.settled := h.settled;
  r.attempt := 0;
  r.version := coalesce(p_version, h.version);
  r.key_limit := h.key_limit;
  r.state := 3;
  r.priority := h.priority;
  r.crashes := 0;
  r.flags := h.flags & 2081
    | CASE WHEN EXISTS (SELECT FROM ${s}.dependency WHERE parent = h.id) THEN 1024 ELSE 0 END;
  r.queue := h.queue;
  r.tag := h.tag;
  r.key := h.key;
  r.retention := h.retention;
  r.spec := ${s}.masked(h.spec, p_sensitive);
  r.payload := coalesce(p_payload, h.payload);
  IF position('"cancelOn":' IN h.spec) > 0 AND jsonb_typeof(h.spec::jsonb -> 'cancelOn') = 'array' THEN
    r.listens := ARRAY(SELECT jsonb_array_elements_text(h.spec::jsonb -> 'cancelOn'));
  END IF;
  r.attempts := ${s}.attempts_of(h);
  IF h.detail -> 'logs' IS NOT NULL AND h.detail -> 'logs' <> 'null' THEN
    INSERT INTO ${s}.detail (id, logs) VALUES (h.id, h.detail -> 'logs');
    r.flags := r.flags | 2;
  END IF;
  -- Steps that were undone are to run again.
  IF jsonb_typeof(h.detail -> 'checkpoints') = 'object' AND NOT h.detail -> 'checkpoints' ? '!undone' THEN
    INSERT INTO ${s}.checkpoint (id, name, value) SELECT h.id, key, value FROM jsonb_each_text(h.detail -> 'checkpoints');
    r.flags := r.flags | 2 | (h.detail ->> 'undo')::int;
  END IF;
  IF r.flags & 2048 = 2048 AND ${s}.is_waiting(h.id, false) THEN r.reason := 'Dependencies'; END IF;
  PERFORM ${s}.insert_record(r);
  PERFORM ${s}.count_move(r.queue, NULL, NULL, 3, r.reason);
  IF r.reason IS NULL THEN
    PERFORM ${s}.let_run(r, p_now, p_now, false, p_transaction);
  ELSIF p_transaction THEN
    INSERT INTO ${s}.agenda (id) VALUES (r.id);
    PERFORM ${s}.wake(r.queue, -1, 1);
  ELSE
    PERFORM ${s}.look_again(r.id, NULL, p_now);
    PERFORM ${s}.tend(r.id, p_now);
  END IF;
  RETURN true;
END $$`

/** What must stay masked of a payload that was edited; NULL leaves it. */
export const masked = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.masked(p_spec text, p_sensitive jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_sensitive IS NULL THEN p_spec
    ELSE (coalesce(p_spec, '{}')::jsonb || jsonb_build_object('sensitive', p_sensitive))::text END
$$`

/** The history of a record's attempts: plain columns for the last one when it completed, a list for the others. */
export const attemptsOf = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.attempts_of(h ${s}.history) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN h.claimed_at IS NULL THEN h.attempts ELSE
    CASE WHEN jsonb_array_length(h.attempts) >= 100 THEN h.attempts - 0 ELSE coalesce(h.attempts, '[]') END ||
    jsonb_strip_nulls(jsonb_build_object('attempt', h.attempt, 'worker', h.worker, 'startedAt', h.claimed_at,
      'endedAt', h.ended_at, 'decision', 'completed', 'trace', h.trace)) END
$$`

/** Removes a finished record, and remembers for an hour which settlement was its last. */
export const forget = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.forget(p_id uuid, p_now bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  h ${s}.history;
BEGIN
  DELETE FROM ${s}.history WHERE id = p_id RETURNING * INTO h;
  IF NOT FOUND THEN RETURN; END IF;
  INSERT INTO ${s}.delta (part, queue, completed, cancelled, dead)
    VALUES (h.part, h.queue, -(h.state = 4)::int, -(h.state = 5)::int, -(h.state = 6)::int);
  INSERT INTO ${s}.gone (id, fence, at) VALUES (p_id, h.settled, p_now)
    ON CONFLICT (id) DO UPDATE SET fence = excluded.fence, at = excluded.at;
  PERFORM ${s}.forget_keys(ARRAY[p_id], ARRAY[h.tag], ARRAY[h.spec]);
END $$`

/** Stops or resumes claims from a queue. Says whether it changed. */
export const pause = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.pause(p_queue text, p_paused boolean) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF NOT p_paused AND NOT EXISTS (SELECT FROM ${s}.queue WHERE name = p_queue) THEN RETURN false; END IF;
  INSERT INTO ${s}.queue AS q (name, paused) VALUES (p_queue, p_paused)
    ON CONFLICT (name) DO UPDATE SET paused = excluded.paused WHERE q.paused <> excluded.paused;
  IF NOT FOUND THEN RETURN false; END IF;
  IF NOT p_paused THEN PERFORM ${s}.wake(p_queue, ${s}.clock(), NULL); END IF;
  RETURN true;
END $$`
