/** Schedules: every write names the revision that it has read, so that of those who come at the same time one succeeds. */

/** Adds, changes or removes a schedule, if it is still of this revision; 0 is none. */
export const putSchedule = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.put_schedule(
  p_name text, p_revision bigint, p_removed boolean, p_next bigint, p_attend bigint, p_body text
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF p_removed THEN
    DELETE FROM ${s}.schedule WHERE name = p_name AND revision = p_revision;
  ELSIF p_revision = 0 THEN
    INSERT INTO ${s}.schedule (name, revision, next_at, attend_at, body) VALUES (p_name, 1, p_next, p_attend, p_body)
      ON CONFLICT (name) DO NOTHING;
  ELSE
    UPDATE ${s}.schedule SET revision = revision + 1, next_at = p_next, attend_at = p_attend, body = p_body
      WHERE name = p_name AND revision = p_revision;
  END IF;
  RETURN FOUND;
END $$`

/**
 * The records of planned instants are stored in the write that moves the schedule on, so that a tick enqueues exactly once
 * (P8). Answers when, and for each tick what it did and the record that stands for it; NULL when the schedule is not as it
 * was read any more.
 */
export const tick = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.tick(
  p_name text, p_revision bigint, p_at bigint, p_overlap text, p_ticks json, p_next bigint, p_attend bigint, p_body text,
  p_asked boolean, p_limit bigint
) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
  v_now bigint;
  q ${s}.schedule;
  t json;
  v_outcomes json[] := '{}';
  v_id uuid;
BEGIN
  SELECT * INTO q FROM ${s}.schedule
    WHERE name = p_name AND revision = p_revision AND next_at IS NOT DISTINCT FROM p_at FOR UPDATE;
  IF NOT FOUND THEN RETURN NULL; END IF;
  v_now := ${s}.clock();
  FOR t IN SELECT e FROM json_array_elements(p_ticks) e LOOP
    EXIT WHEN q.counted >= p_limit;
    q.last_outcome := 'Enqueued';
    v_id := NULL;
    IF p_overlap <> 'allow' AND q.last_id IS NOT NULL AND ${s}.is_expected(q.last_id) THEN
      IF p_overlap = 'skip' THEN
        q.last_outcome := 'Skipped';
      ELSE
        PERFORM ${s}.cancel_or_defer(q.last_id, 'schedule ' || p_name || ': its next tick came', v_now);
      END IF;
    END IF;
    IF q.last_outcome = 'Enqueued' THEN
      v_id := ${s}.enqueue_or_defer(t -> 'record', v_now);
      -- One that was there is none of the schedule's, for the next tick to cancel or to wait for; unless it has its contents now.
      IF v_id = (t -> 'record' ->> 'id')::uuid OR EXISTS (
        SELECT FROM ${s}.spent WHERE worker = -1 AND ids = ARRAY[(t -> 'record' ->> 'id')::uuid, v_id]) THEN
        q.last_id := v_id;
      END IF;
      q.counted := q.counted + (NOT p_asked)::int;
    END IF;
    q.last_at := (t ->> 'at')::bigint;
    q.last_due_at := (t ->> 'dueAt')::bigint;
    q.last_ticked_at := v_now;
    v_outcomes := v_outcomes || json_build_object('outcome', q.last_outcome, 'id', coalesce(v_id, q.last_id));
  END LOOP;
  IF q.counted >= p_limit THEN
    p_next := NULL;
    p_attend := NULL;
  END IF;
  UPDATE ${s}.schedule SET revision = q.revision + 1, next_at = p_next, attend_at = p_attend,
      body = coalesce(p_body, q.body), counted = q.counted, last_at = q.last_at, last_due_at = q.last_due_at,
      last_ticked_at = q.last_ticked_at, last_outcome = q.last_outcome, last_id = q.last_id
    WHERE name = p_name;
  RETURN json_build_object('now', v_now, 'outcomes', to_json(v_outcomes));
END $$`

/** Schedules that need to be seen to: whoever is given one has five seconds for it before somebody else is. */
export const attendSchedules = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.attend_schedules(p_now bigint) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
  v_rows json;
BEGIN
  IF NOT EXISTS (SELECT FROM ${s}.schedule WHERE attend_at <= p_now) THEN RETURN NULL; END IF;
  WITH due AS MATERIALIZED (
    SELECT name, attend_at FROM ${s}.schedule WHERE attend_at <= p_now ORDER BY attend_at LIMIT 100 FOR UPDATE SKIP LOCKED
  ), given AS (
    UPDATE ${s}.schedule q SET attend_at = p_now + 5000 FROM due WHERE q.name = due.name RETURNING q.*, due.attend_at AS was
  )
  SELECT json_agg(to_jsonb(given) ORDER BY given.was) INTO v_rows FROM given;
  RETURN v_rows;
END $$`
