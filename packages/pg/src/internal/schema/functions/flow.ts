/**
 * Who waits for whom. An edge is open (`state` is NULL) until the record that is waited for has ended; then it keeps how, for as
 * long as the record that waits is there. It opens again when that one runs again.
 *
 * What is waited for has flag 1024, set with a lock on it, so that whoever ends it knows. Whether a record still waits is looked up
 * and never counted: no end writes the row of who waits, of which ten thousand ends would make as many versions. It is locked
 * for the look, which tells two ends at the same time from one another: the second one looks again.
 */

/** How many of those who waited for one record go on in the call that ended it; the others follow by the agenda. */
const chunk = 500

/** Some records have ended alike: whoever waits for one of them is told. Cost: an edge is written once, whoever has it. */
export const dependenciesEnded = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.dependencies_ended(p_ids uuid[], p_state int, p_values text[], p_now bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_children uuid[];
  v_broken boolean[];
  q text;
BEGIN
  WITH closed AS (
    UPDATE ${s}.dependency d SET state = p_state, value = g.value
    FROM unnest(p_ids, p_values) AS g(id, value) WHERE d.parent = g.id
    RETURNING d.child, d.on_failure
  ), each AS (
    SELECT child, p_state <> 4 AND bool_or(on_failure < 2) AS broken FROM closed GROUP BY child
  )
  SELECT array_agg(child ORDER BY child), array_agg(broken ORDER BY child) INTO v_children, v_broken FROM each;
  FOR i IN 1 .. least(cardinality(v_children), ${chunk}) LOOP
    PERFORM ${s}.advance(v_children[i], p_now, v_broken[i]);
  END LOOP;
  IF cardinality(v_children) > ${chunk} THEN
    INSERT INTO ${s}.agenda (id, frees, value)
      SELECT u.id, true, CASE WHEN u.broken THEN 'broken' END
      FROM unnest(v_children[${chunk + 1}:], v_broken[${chunk + 1}:]) AS u(id, broken);
    FOR q IN SELECT DISTINCT queue FROM ${s}.record WHERE id = ANY (v_children[${chunk + 1}:]) LOOP
      PERFORM ${s}.wake(q, p_now, 1);
    END LOOP;
  END IF;
END $$`

/**
 * Lets a record run that waits for nobody any more, or ends it when what it waits for has failed. One that a transaction has
 * locked is looked at again. What waits for it in turn is on the agenda: a chain is not gone down in one call.
 */
export const advance = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.advance(p_id uuid, p_now bigint, p_broken boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  c ${s}.record;
  d ${s}.dependency;
  v_reason text;
  v_free boolean;
BEGIN
  SELECT * INTO c FROM ${s}.record WHERE id = p_id FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    SELECT * INTO c FROM ${s}.record WHERE id = p_id;
    IF FOUND THEN
      INSERT INTO ${s}.agenda (id, frees, value, at)
        VALUES (p_id, true, CASE WHEN p_broken THEN 'broken' END, p_now + 200);
      PERFORM ${s}.wake(c.queue, p_now, 1);
    END IF;
    RETURN;
  END IF;
  IF c.state <> 3 OR c.reason NOT IN ('Dependencies', 'Unique', 'Children') THEN RETURN; END IF;
  v_free := c.reason <> 'Unique' AND NOT ${s}.is_waiting(p_id, c.reason = 'Children');
  -- Children may end as they like: the attempt that left them behind decides. A dependency must complete. Whoever ended one
  -- otherwise may have found this record locked, and come back later: so what is free looks for itself.
  IF (p_broken OR v_free) AND c.reason <> 'Children' THEN
    SELECT * INTO d FROM ${s}.dependency WHERE child = p_id AND on_failure < 2 AND state <> 4 ORDER BY parent LIMIT 1;
    IF FOUND THEN
      c.fence := c.fence + 1;
      c.failures := coalesce(c.failures, '[]') || jsonb_build_array(jsonb_build_object(
        'attempt', c.attempt, 'kind', 'Dependency', 'at', p_now, 'tag', 'DependencyFailed',
        'message', format('it waited for %s, record %s, which %s', d.name, d.parent,
          CASE d.state WHEN 6 THEN 'is dead' WHEN 5 THEN 'was cancelled' ELSE 'is gone' END)));
      IF d.on_failure = 1 THEN
        v_reason := format('%s, record %s, failed beside it', d.name, d.parent);
        IF ${s}.keeps(c.retention, 6) THEN
          INSERT INTO ${s}.agenda (id, value) VALUES (p_id, v_reason);
        ELSE
          -- It lives no more, and nobody could tell later for whom they are cancelled: its edges go with it.
          INSERT INTO ${s}.agenda (id, key, value)
            SELECT DISTINCT parent, '', v_reason FROM ${s}.dependency WHERE child = p_id AND state IS NULL;
        END IF;
      END IF;
      PERFORM ${s}.bury(c, 'DependencyFailed', p_now, true);
      RETURN;
    END IF;
  END IF;
  IF v_free THEN
    -- What waits for children no longer than until an instant is due by then.
    PERFORM ${s}.let_run(c, CASE WHEN c.reason = 'Children' THEN p_now ELSE c.at END, p_now, false);
  END IF;
END $$`

/** Whether a record still waits for a dependency, or for a child. From the end: the last ones of a list end last. */
export const isWaiting = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.is_waiting(p_id uuid, p_children boolean) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM ${s}.dependency WHERE child = p_id AND state IS NULL AND (on_failure = 3) = p_children
    ORDER BY child DESC, parent DESC LIMIT 1;
  RETURN FOUND;
END $$`

/** From here on whoever ends this record tells those that wait for it. False when it is locked, or over. */
export const markAwaited = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.mark_awaited(p_id uuid) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  v_flags int;
BEGIN
  SELECT flags INTO v_flags FROM ${s}.record WHERE id = p_id FOR NO KEY UPDATE SKIP LOCKED;
  IF NOT FOUND THEN RETURN false; END IF;
  IF v_flags & 1024 = 0 THEN UPDATE ${s}.record SET flags = flags | 1024 WHERE id = p_id; END IF;
  RETURN true;
END $$`

/**
 * Makes what a record waits for tell it, and looks at what has ended before it could. Answers whether something is locked, so
 * that it is to be looked at again.
 */
export const tendDependencies = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.tend_dependencies(p_id uuid, p_now bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  v_parent uuid;
  v_again boolean := false;
BEGIN
  FOR v_parent IN SELECT DISTINCT parent FROM ${s}.dependency WHERE child = p_id AND state IS NULL ORDER BY parent LOOP
    IF ${s}.mark_awaited(v_parent) THEN CONTINUE; END IF;
    IF ${s}.is_expected(v_parent) THEN
      v_again := true;
      CONTINUE;
    END IF;
    UPDATE ${s}.dependency d SET (state, value) = (
      SELECT coalesce(max(h.state), 0), max(${s}.value_of(h.state, h.reason, h.result, h.failures))
      FROM ${s}.history h WHERE h.id = v_parent
    ) WHERE d.child = p_id AND d.parent = v_parent AND d.state IS NULL;
  END LOOP;
  PERFORM ${s}.advance(p_id, p_now, true);
  RETURN v_again;
END $$`

/** What an edge keeps of an end: the result, why it was cancelled, or why it is dead with the last failure. */
export const valueOf = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.value_of(p_state int, p_reason text, p_result text, p_failures jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE p_state WHEN 4 THEN p_result WHEN 5 THEN p_reason
    ELSE json_build_object('reason', p_reason, 'failure', p_failures -> -1)::text END
$$`

/**
 * Cancels what a record that is dead still waited for, in a bounded chunk. Those that run are asked to stop. Answers whether
 * there are more, some of which may be locked.
 */
export const cancelSiblings = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.cancel_siblings(p_id uuid, p_reason text, p_now bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  v_parent uuid;
  v_count int := 0;
  v_more boolean := false;
BEGIN
  -- It may live again by now, and wait for them.
  IF NOT EXISTS (SELECT FROM ${s}.history WHERE id = p_id AND state = 6 AND reason = 'DependencyFailed') THEN
    RETURN false;
  END IF;
  FOR v_parent IN
    SELECT d.parent FROM ${s}.dependency d WHERE d.child = p_id AND d.state IS NULL
      AND NOT EXISTS (SELECT FROM ${s}.cancel q WHERE q.id = d.parent)
    ORDER BY d.parent LIMIT ${chunk}
  LOOP
    v_count := v_count + 1;
    PERFORM FROM ${s}.record WHERE id = v_parent FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
      PERFORM ${s}.control_one(v_parent, 'Cancel', p_reason, NULL, NULL, NULL, NULL, NULL, p_now, false);
    ELSE
      v_more := v_more OR EXISTS (SELECT FROM ${s}.record WHERE id = v_parent);
    END IF;
  END LOOP;
  RETURN v_more OR v_count = ${chunk};
END $$`

/**
 * A record runs again: what has not begun waits for it once more, and what is dead because of it lives again, unless another
 * record that it needs has failed too. Down a chain, one after the other.
 */
export const reopen = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.reopen(p_id uuid, p_now bigint, p_transaction boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_again uuid[] := ARRAY[p_id];
  d ${s}.dependency;
  r ${s}.record;
  h ${s}.history;
  i int := 1;
BEGIN
  WHILE i <= cardinality(v_again) LOOP
    FOR d IN SELECT * FROM ${s}.dependency WHERE parent = v_again[i] AND state IS NOT NULL AND on_failure < 4
      ORDER BY child LOOP
      r := ${s}.lock_resting(d.child, true);
      IF r.id IS NULL THEN
        -- It runs, or whoever has it locked claims it: then it has begun. Or it has ended.
        SELECT * INTO h FROM ${s}.history WHERE id = d.child AND (expires_at IS NULL OR expires_at > p_now) FOR UPDATE;
        IF NOT FOUND OR d.on_failure = 3 THEN CONTINUE; END IF;
        UPDATE ${s}.dependency SET state = NULL, value = NULL
          WHERE child = d.child AND parent = d.parent AND name = d.name;
        IF h.state = 6 AND h.reason = 'DependencyFailed' AND NOT ${s}.is_broken(d.child)
          AND ${s}.begin_again(h, NULL, NULL, NULL, p_now, p_transaction) THEN
          v_again := v_again || d.child;
        END IF;
        CONTINUE;
      END IF;
      IF d.on_failure = 3 AND r.state <> 1 THEN
        -- Who left it behind names it again where it still waits for it; whoever runs finds it live when it does.
        UPDATE ${s}.dependency SET state = NULL, value = NULL
          WHERE child = d.child AND parent = d.parent AND name = d.name;
        CONTINUE;
      END IF;
      IF r.state = 1 OR r.state <> 3 AND (r.attempt > 0 OR r.flags & 4 = 4)
        OR r.state = 3 AND r.reason IN ('Waitpoint', 'NoHandler', 'NewerPayload')
        OR r.state = 3 AND r.reason = 'Children'
        OR r.state = 3 AND r.reason = 'ConcurrencyKey' AND (r.attempt > 0 OR r.flags & 4 = 4) THEN
        CONTINUE;
      END IF;
      UPDATE ${s}.dependency SET state = NULL, value = NULL
        WHERE child = d.child AND parent = d.parent AND name = d.name;
      IF r.state = 3 AND r.reason <> 'ConcurrencyKey' THEN CONTINUE; END IF;
      r.fence := r.fence + 1;
      IF r.flags & 8 = 8 THEN INSERT INTO ${s}.agenda (key, frees) VALUES (r.key, true); END IF;
      r.flags := r.flags & ~8;
      -- When it is due, from then on.
      IF r.state <> 2 THEN r.at := p_now; END IF;
      r.state := 3;
      r.reason := 'Dependencies';
      r.blocked_on := NULL;
      PERFORM ${s}.put(r);
    END LOOP;
    i := i + 1;
  END LOOP;
END $$`

/** Whether a record that this one needs has failed, and not been tried again since. */
export const isBroken = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.is_broken(p_id uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  RETURN EXISTS (SELECT FROM ${s}.dependency WHERE child = p_id AND on_failure < 2 AND state <> 4);
END $$`

/**
 * The first of some records that are to wait for a new one and do not wait for anything, NULL when all do. They are locked, in
 * one order for everybody, so that they go on waiting.
 */
export const begunOf = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.begun_of(p_dependents json) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
  v_id uuid;
BEGIN
  FOR v_id IN SELECT DISTINCT (e ->> 'id')::uuid FROM json_array_elements(p_dependents) e ORDER BY 1 LOOP
    BEGIN
      PERFORM FROM ${s}.record WHERE id = v_id AND state = 3 AND reason IN ('Dependencies', 'Unique') FOR UPDATE;
      IF NOT FOUND THEN RAISE EXCEPTION USING ERRCODE = 'CAP02'; END IF;
    -- Of one that has begun while this waited for it, the lock goes with it: see \`lock_resting\`.
    EXCEPTION WHEN SQLSTATE 'CAP02' THEN RETURN v_id;
    END;
    UPDATE ${s}.record SET flags = flags | 2048 WHERE id = v_id AND flags & 2048 = 0;
  END LOOP;
  RETURN NULL;
END $$`
