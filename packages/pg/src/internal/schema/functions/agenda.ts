/**
 * What cannot be done now, because a caller's transaction is not over.
 *
 * Such a transaction takes no lock that a settlement or a claim needs: it writes here what it would have to look at, and the
 * first exchange after its commit looks. What a settlement finds locked by one it passes over and writes here too.
 */

/**
 * Locks a record that does not run, for a caller's transaction: NULL when it runs, is gone or, on request, is locked. One that was
 * claimed meanwhile is locked by Postgres before it is looked at once more: what is undone here gives that lock back, which its
 * settlement would have to wait for until the transaction ends.
 */
export const lockResting = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.lock_resting(p_id uuid, p_skips boolean) RETURNS ${s}.record LANGUAGE plpgsql AS $$
DECLARE
  r ${s}.record;
BEGIN
  IF p_skips THEN
    SELECT * INTO r FROM ${s}.record WHERE id = p_id AND state <> 1 FOR UPDATE SKIP LOCKED;
  ELSE
    SELECT * INTO r FROM ${s}.record WHERE id = p_id AND state <> 1 FOR UPDATE;
  END IF;
  IF NOT FOUND THEN RAISE EXCEPTION USING ERRCODE = 'CAP02'; END IF;
  RETURN r;
EXCEPTION WHEN SQLSTATE 'CAP02' THEN
  RETURN NULL;
END $$`

/**
 * Locks those of some records that do not run, in one order for everybody. A call that changes many waits here for callers'
 * transactions, while it holds nothing that a claim or a settlement needs; what it locks from then on it has for a moment.
 *
 * By one statement where all can be had; else one after the other, none out of its turn.
 */
export const lockAllResting = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.lock_all_resting(p_ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_ids uuid[] := ARRAY(SELECT id FROM ${s}.record WHERE id = ANY (p_ids) AND state <> 1 ORDER BY id);
  v_id uuid;
  v_locked int;
BEGIN
  BEGIN
    PERFORM FROM ${s}.record WHERE id = ANY (v_ids) AND state <> 1 FOR UPDATE SKIP LOCKED;
    GET DIAGNOSTICS v_locked = ROW_COUNT;
    IF v_locked = cardinality(v_ids) THEN RETURN; END IF;
    RAISE EXCEPTION USING ERRCODE = 'CAP02';
  EXCEPTION WHEN SQLSTATE 'CAP02' THEN NULL;
  END;
  FOREACH v_id IN ARRAY v_ids LOOP
    PERFORM ${s}.lock_resting(v_id, false);
  END LOOP;
END $$`

/** Leaves a record, or a key, to be looked at after a fifth of a second: whoever has it locked may be done by then. */
export const lookAgain = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.look_again(p_id uuid, p_key text, p_now bigint) RETURNS void LANGUAGE sql AS $$
  INSERT INTO ${s}.agenda (id, key, at) VALUES (p_id, p_key, p_now + 200)
$$`

/**
 * Locks a key, unless somebody else has: whoever tends the agenda holds keys already, and others may wait for those. One that is
 * not there yet nobody has.
 */
export const hasKey = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.has_key(p_key text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM ${s}.key WHERE name = p_key FOR UPDATE SKIP LOCKED;
  RETURN FOUND OR NOT EXISTS (SELECT FROM ${s}.key WHERE name = p_key);
END $$`

/** Does what is due on the agenda, in the order in which it was left, and says when there is more: NULL for nothing. */
export const tendAgenda = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.tend_agenda(p_now bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  a ${s}.agenda;
  v_seen uuid[] := '{}';
  v_tries int := 3;
BEGIN
  FOR a IN
    WITH few AS (
      SELECT num FROM ${s}.agenda WHERE at <= p_now AND record IS NULL ORDER BY num LIMIT 500 FOR UPDATE SKIP LOCKED
    ), taken AS (
      DELETE FROM ${s}.agenda g USING few WHERE g.num = few.num RETURNING g.*
    )
    SELECT * FROM taken ORDER BY num
  LOOP
    IF a.waitpoint IS NOT NULL THEN
      PERFORM FROM ${s}.record WHERE id = a.id FOR UPDATE SKIP LOCKED;
      IF FOUND THEN
        PERFORM ${s}.signal(a.id, a.waitpoint, a.value, false);
      ELSIF EXISTS (SELECT FROM ${s}.record WHERE id = a.id) THEN
        INSERT INTO ${s}.agenda (id, waitpoint, value, at) VALUES (a.id, a.waitpoint, a.value, p_now + 200);
      END IF;
    ELSIF a.id IS NOT NULL AND a.frees AND a.key IS NOT NULL THEN
      PERFORM ${s}.dependencies_ended(ARRAY[a.id], a.key::int, ARRAY[a.value], p_now);
    ELSIF a.id IS NOT NULL AND a.frees THEN
      -- Whoever found it locked left one of these.
      CONTINUE WHEN a.id = ANY (v_seen) AND a.value IS NULL;
      v_seen := v_seen || a.id;
      PERFORM ${s}.advance(a.id, p_now, a.value IS NOT NULL);
    ELSIF a.id IS NOT NULL AND a.key IS NOT NULL THEN
      PERFORM ${s}.cancel_or_defer(a.id, a.value, p_now);
    ELSIF a.value IS NOT NULL THEN
      IF ${s}.cancel_siblings(a.id, a.value, p_now) THEN
        INSERT INTO ${s}.agenda (id, value, at) VALUES (a.id, a.value, p_now + 200);
      END IF;
    ELSIF a.id IS NOT NULL THEN
      PERFORM ${s}.tend(a.id, p_now);
    ELSIF NOT ${s}.has_key(a.key) THEN
      INSERT INTO ${s}.agenda (key, frees, at) VALUES (a.key, a.frees, p_now + 20);
    ELSIF a.frees THEN
      PERFORM ${s}.free_slots(ARRAY[a.key], p_now);
    ELSE
      PERFORM ${s}.admit_keys(ARRAY[a.key], p_now);
    END IF;
  END LOOP;
  -- Each that fails may have waited for a moment, so few may; those that are left come first the next time.
  FOR a IN SELECT * FROM ${s}.agenda WHERE at <= p_now AND record IS NOT NULL
    ORDER BY at, num LIMIT 500 FOR UPDATE SKIP LOCKED
  LOOP
    IF ${s}.enqueue_deferred(a.id, a.record::json, p_now) THEN
      DELETE FROM ${s}.agenda WHERE num = a.num;
    ELSE
      UPDATE ${s}.agenda SET at = p_now + 200 WHERE num = a.num;
      v_tries := v_tries - 1;
    END IF;
    EXIT WHEN v_tries = 0;
  END LOOP;
  RETURN (SELECT greatest(at, p_now + 50) FROM ${s}.agenda ORDER BY num LIMIT 1);
END $$`

/**
 * Looks at one record: whether somebody asked to cancel it, or what it waits for has come already. It locks what it waits
 * for, where that lives, so that its end is told to the record from then on. What is locked is looked at again. Of one that is gone
 * it takes away what is left.
 */
export const tend = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.tend(p_id uuid, p_now bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  r ${s}.record;
  v_reason text;
  v_again boolean := false;
BEGIN
  SELECT * INTO r FROM ${s}.record WHERE id = p_id FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    IF EXISTS (SELECT FROM ${s}.record WHERE id = p_id) THEN
      PERFORM ${s}.look_again(p_id, NULL, p_now);
    ELSE
      DELETE FROM ${s}.cancel WHERE id = p_id;
      -- What nothing is known of any more waits for nobody: by one look, for what has ended may begin again.
      DELETE FROM ${s}.dependency d WHERE d.child = p_id AND NOT EXISTS (SELECT FROM ${s}.record l WHERE l.id = d.child)
        AND NOT EXISTS (SELECT FROM ${s}.history h WHERE h.id = d.child);
    END IF;
    RETURN;
  END IF;
  IF r.state = 1 THEN RETURN; END IF;
  SELECT reason INTO v_reason FROM ${s}.cancel WHERE id = p_id;
  IF FOUND THEN
    r.fence := r.fence + 1;
    IF ${s}.must_undo(r, 'Cancel', v_reason) THEN
      PERFORM ${s}.let_run(r, p_now, p_now, false);
    ELSE
      PERFORM ${s}.finish(r, 5, v_reason, NULL, p_now);
    END IF;
    RETURN;
  END IF;
  IF r.state <> 3 THEN RETURN; END IF;
  CASE r.reason
  WHEN 'Waitpoint' THEN
    IF EXISTS (SELECT FROM ${s}.checkpoint WHERE id = p_id AND name = r.blocked_on) THEN
      PERFORM ${s}.let_run(r, p_now, p_now, false);
    END IF;
  WHEN 'ConcurrencyKey' THEN
    IF ${s}.has_key(r.key) THEN
      PERFORM ${s}.let_run(r, p_now, p_now, true);
    ELSE
      INSERT INTO ${s}.agenda (id, at) VALUES (p_id, p_now + 20);
    END IF;
  WHEN 'Unique' THEN
    PERFORM FROM ${s}.record WHERE id = r.blocked_on::uuid FOR KEY SHARE SKIP LOCKED;
    IF NOT FOUND THEN
      v_again := EXISTS (SELECT FROM ${s}.record WHERE id = r.blocked_on::uuid);
      IF NOT v_again THEN PERFORM ${s}.release_unique(r.blocked_on::uuid, p_now); END IF;
    END IF;
  ELSE
  END CASE;
  IF r.flags & 2048 = 2048 THEN v_again := ${s}.tend_dependencies(p_id, p_now) OR v_again; END IF;
  IF v_again THEN
    PERFORM ${s}.look_again(p_id, NULL, p_now);
    PERFORM ${s}.wake(r.queue, p_now, 1);
  END IF;
END $$`

/** Cancels a record, or leaves it to the agenda while a transaction has it locked. */
export const cancelOrDefer = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.cancel_or_defer(p_id uuid, p_reason text, p_now bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_queue text;
BEGIN
  PERFORM FROM ${s}.record WHERE id = p_id FOR UPDATE SKIP LOCKED;
  IF FOUND THEN
    PERFORM ${s}.control_one(p_id, 'Cancel', p_reason, NULL, NULL, NULL, NULL, NULL, p_now, false);
    RETURN;
  END IF;
  SELECT queue INTO v_queue FROM ${s}.record WHERE id = p_id;
  IF NOT FOUND THEN RETURN; END IF;
  INSERT INTO ${s}.agenda (id, key, value, at) VALUES (p_id, '', p_reason, p_now + 200);
  PERFORM ${s}.wake(v_queue, p_now, 1);
END $$`

/** Whether a record of this id lives, or will once it has been stored. */
export const isExpected = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.is_expected(p_id uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  RETURN EXISTS (SELECT FROM ${s}.record WHERE id = p_id)
    OR EXISTS (SELECT FROM ${s}.agenda WHERE id = p_id AND record IS NOT NULL);
END $$`

/**
 * Stores a record that a settlement or a tick brings, and answers the id of whoever has its keys. A key that a transaction
 * holds is not waited for: the record goes on the agenda, and its own id is the answer, until it is known whose the key is.
 */
export const enqueueOrDefer = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.enqueue_or_defer(x json, p_now bigint) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
  v_id uuid;
BEGIN
  IF x ->> 'uniqueKey' IS NULL AND x ->> 'idempotencyKey' IS NULL THEN
    RETURN (SELECT e.o_id FROM ${s}.enqueue_one(x, p_now, false, false) e);
  END IF;
  -- Behind those that wait already: it may want the same key, and each try that fails has cost its moment.
  IF NOT EXISTS (SELECT FROM ${s}.agenda WHERE record IS NOT NULL) THEN
    v_id := ${s}.enqueue_at_once(x, p_now);
  END IF;
  IF v_id IS NOT NULL THEN RETURN v_id; END IF;
  v_id := (x ->> 'id')::uuid;
  -- It is due when it would have been.
  INSERT INTO ${s}.agenda (id, at, record) VALUES (v_id, p_now + 200, (x::jsonb || jsonb_build_object(
    'runAt', coalesce((x ->> 'runAt')::bigint, p_now + (x ->> 'delay')::bigint)))::text);
  RETURN v_id;
END $$`

/**
 * Stores a record unless somebody's transaction holds its keys, or has locked the record that it would replace; then the
 * answer is NULL. Nobody can see whether such a key is held without asking for it: it asks for as short as a lock may be
 * waited for and be had from another exchange.
 *
 * Nobody is there to be told that it is refused: where its unique key would change a member of a flow it is stored without that.
 * Once too often is better than never.
 */
export const enqueueAtOnce = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.enqueue_at_once(x json, p_now bigint) RETURNS uuid LANGUAGE plpgsql
SET lock_timeout = '5ms' AS $$
DECLARE
  v_id uuid;
  v_outcome text;
BEGIN
  SELECT e.o_id, e.o_outcome INTO v_id, v_outcome FROM ${s}.enqueue_one(x, p_now, false, false) e;
  IF v_outcome <> 'UniqueConflict' THEN RETURN v_id; END IF;
  RETURN (SELECT e.o_id FROM ${s}.enqueue_one((x::jsonb - 'uniqueKey'
    || jsonb_build_object('spec', ((x ->> 'spec')::jsonb - 'uniqueKey')::text))::json, p_now, false, false) e);
EXCEPTION WHEN lock_not_available THEN
  RETURN NULL;
END $$`

/**
 * Stores a record of the agenda. Who waits for it is locked first, and waits for whoever has its keys instead, if another
 * one does. False when anything of it is locked.
 */
export const enqueueDeferred = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.enqueue_deferred(p_id uuid, x json, p_now bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  v_waiter uuid;
  v_id uuid;
BEGIN
  FOR v_waiter IN SELECT child FROM ${s}.dependency WHERE parent = p_id ORDER BY child LOOP
    PERFORM FROM ${s}.record WHERE id = v_waiter FOR UPDATE SKIP LOCKED;
    IF NOT FOUND AND EXISTS (SELECT FROM ${s}.record WHERE id = v_waiter) THEN RETURN false; END IF;
  END LOOP;
  -- It may be there twice.
  IF x -> 'again' IS NOT NULL THEN v_id := (${s}.stored_before(ARRAY[p_id]) ->> p_id::text)::uuid; END IF;
  v_id := coalesce(v_id, ${s}.enqueue_at_once(x, p_now));
  IF v_id IS NULL OR v_id = p_id THEN RETURN v_id IS NOT NULL; END IF;
  INSERT INTO ${s}.dependency (child, parent, on_failure, name)
    SELECT child, v_id, on_failure, CASE WHEN on_failure = 3 THEN v_id::text ELSE name END
    FROM ${s}.dependency WHERE parent = p_id ON CONFLICT DO NOTHING;
  FOR v_waiter IN DELETE FROM ${s}.dependency WHERE parent = p_id RETURNING child LOOP
    PERFORM ${s}.tend(v_waiter, p_now);
  END LOOP;
  RETURN true;
END $$`

/** Lets a record wait for the end of one that it has left behind. False when that one is over, or is waited for already. */
export const waitFor = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.wait_for(p_id uuid, p_child uuid, p_now bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF NOT ${s}.is_expected(p_child) THEN RETURN false; END IF;
  INSERT INTO ${s}.dependency (child, parent, on_failure, name) VALUES (p_id, p_child, 3, p_child::text)
    ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN RETURN false; END IF;
  -- One that was there before and is about to end does not know that it is waited for.
  IF NOT ${s}.mark_awaited(p_child) THEN PERFORM ${s}.look_again(p_id, NULL, p_now); END IF;
  RETURN true;
END $$`
