/**
 * The moves that verbs are made of. None is called from outside the schema.
 *
 * A caller's open transaction may have locked a record that waits, and nothing else that a settlement or a claim needs. So
 * these never wait for a record other than their own: they pass it over and leave it to the agenda.
 */

import { JobStore } from "capstan"

const { endedHeader } = JobStore

/** The store's clock: the only one that decides. Epoch milliseconds. Simple enough for the planner to inline. */
export const clock = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.clock() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint
$$`

/**
 * From here on the server ends the transaction when nothing comes from its client for ten seconds. Who locks a record that runs, and
 * leaves the commit to the client, calls it: of a process that is frozen, or cut off from the server, the lock would stay for as long
 * as the server believes in the connection, and nobody could rescue the record. A shorter time that a user has set holds. It bounds
 * none of a user's own statements: those come before the lock.
 */
export const boundIdle = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.bound_idle() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_set interval := current_setting('idle_in_transaction_session_timeout');
BEGIN
  IF v_set = '0' OR v_set > '10s' THEN PERFORM set_config('idle_in_transaction_session_timeout', '10s', true); END IF;
END $$`

/** How long a record is kept that ended so: milliseconds, NULL for ever. A record without retention has the defaults. */
export const age = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.age(retention text, state int) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN retention IS NULL THEN CASE state WHEN 4 THEN 86400000 WHEN 5 THEN 604800000 ELSE 2592000000 END
    ELSE (retention::json -> (state - 4) ->> 0)::bigint
  END
$$`

/** How many of its job and outcome are kept; NULL does not count. */
export const keepCount = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.keep_count(retention text, state int) RETURNS int LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN retention IS NOT NULL THEN (retention::json -> (state - 4) ->> 1)::int END
$$`

/**
 * Whether anything is kept of a record that ended so: with an age of 0 it is gone at its end. Of completed ones by the text
 * alone: to read the JSON takes as long as the row of history that it saves.
 */
export const keeps = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.keeps(retention text, state int) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT retention IS NULL OR CASE state WHEN 4 THEN retention NOT LIKE '[[0,%'
    ELSE coalesce(${s}.age(retention, state), 1) > 0 END
$$`

/** The partition of a record that ends now: its class, and the slot of the present quarter of its class's age. */
export const part = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.part(age bigint, now bigint) RETURNS smallint LANGUAGE sql IMMUTABLE AS $$
  SELECT (CASE
    WHEN age IS NULL OR age > 31536000000 THEN 30
    WHEN age <= 3600000 THEN (now / 900000) % 6
    WHEN age <= 86400000 THEN 6 + (now / 21600000) % 6
    WHEN age <= 604800000 THEN 12 + (now / 151200000) % 6
    WHEN age <= 2592000000 THEN 18 + (now / 648000000) % 6
    ELSE 24 + (now / 7884000000) % 6
  END)::smallint
$$`

/** Tells those who listen, if anybody does. A hint: it is lost when nobody hears it. `snoozed` is told as a kind of `retried`. */
export const tell = (s: string, channel: string): string => `
CREATE OR REPLACE FUNCTION ${s}.tell(p_type text, r ${s}.record, p_reason text, p_now bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM ${s}.listener WHERE until > p_now) THEN RETURN; END IF;
  PERFORM pg_notify('${channel}', 'e' || json_strip_nulls(json_build_object(
    'type', CASE p_type WHEN 'snoozed' THEN 'retried' ELSE p_type END, 'id', r.id, 'tag', r.tag, 'queue', r.queue,
    'at', p_now, 'attempt', r.attempt, 'reason', left(p_reason, 1000),
    'snoozed', CASE p_type WHEN 'snoozed' THEN true END,
    'readyAt', CASE p_type WHEN 'started' THEN r.ready_at END)));
END $$`

/**
 * Calls as many of the workers that sleep beside a queue as there is work for; NULL calls all of them, where it is not known
 * who could do it. To wake everybody for one record costs an exchange for each that sleeps.
 *
 * At least three are called: one may have died, another been filled meanwhile. Who has no room passes the call on
 * (\`pass_on\`). If all of them are dead, the record waits for the next poll of any other.
 *
 * At -1, from what may commit long after it has stored its records, everybody is told that they may lie behind others; and
 * when few are known to sleep everybody is woken, since who decides to sleep meanwhile cannot be seen.
 */
export const wake = (s: string, channel: string): string => `
CREATE OR REPLACE FUNCTION ${s}.wake(p_queue text, p_now bigint, p_many bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_now bigint := CASE WHEN p_now < 0 THEN ${s}.clock() ELSE p_now END;
  v_many bigint := greatest(3, p_many);
  v_ids text[];
  v_id text;
BEGIN
  -- More than it calls, so that ten calls of a transaction do not name the same; where there are thousands, not all are read.
  v_ids := ARRAY(SELECT id FROM ${s}.worker WHERE wakes_until > v_now AND p_queue = ANY (queues)
    LIMIT CASE WHEN p_many IS NULL OR v_many > ${mostNamed} THEN 1 ELSE v_many + 30 END);
  IF p_many IS NULL OR v_many > ${mostNamed} OR p_now < 0 AND cardinality(v_ids) < v_many THEN
    IF p_now < 0 OR cardinality(v_ids) > 0 THEN
      PERFORM pg_notify('${channel}', CASE WHEN p_now < 0 THEN 'l' ELSE 'w' END || p_queue);
    END IF;
    RETURN;
  END IF;
  -- No queue has such a name: nobody is woken by it.
  IF p_now < 0 THEN PERFORM pg_notify('${channel}', E'l\\x1f'); END IF;
  FOR v_id IN SELECT id FROM unnest(v_ids) AS u(id) ORDER BY random() LIMIT v_many LOOP
    PERFORM pg_notify('${channel}', 'k' || v_id);
  END LOOP;
END $$`

/** A message to everybody is cheaper than so many to one each. */
const mostNamed = 100

/**
 * A worker without room was called: it is not called again before it has asked for records and found none, and others are
 * called in its place. Each call ends with one that has room, or with nobody left to call.
 */
export const passOn = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.pass_on(p_worker int, p_now bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE ${s}.worker SET wakes_until = 0 WHERE num = p_worker AND wakes_until > p_now;
  PERFORM ${s}.wake(q, p_now, 1) FROM (SELECT unnest(queues) AS q FROM ${s}.worker WHERE num = p_worker) w
    WHERE NOT EXISTS (SELECT FROM ${s}.queue WHERE name = q AND paused)
      AND (EXISTS (SELECT FROM ${s}.record WHERE queue = q AND lane = 0 AND state = 0)
        OR EXISTS (SELECT FROM ${s}.record WHERE queue = q AND lane = 1 AND state = 0));
END $$`

/** Notes in the counters that a live record went from one state to another; NULL is none. */
export const countMove = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.count_move(p_queue text, was int, was_reason text, state int, reason text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO ${s}.delta (queue, ready, running, scheduled, blocked, parked) VALUES (
    p_queue,
    coalesce((state = 0)::int, 0) - coalesce((was = 0)::int, 0),
    coalesce((state = 1)::int, 0) - coalesce((was = 1)::int, 0),
    coalesce((state = 2)::int, 0) - coalesce((was = 2)::int, 0),
    coalesce((state = 3)::int, 0) - coalesce((was = 3)::int, 0),
    coalesce((state = 3 AND reason IN ('NoHandler', 'NewerPayload'))::int, 0)
      - coalesce((was = 3 AND was_reason IN ('NoHandler', 'NewerPayload'))::int, 0));
END $$`

/** Takes a slot of a key, or says that there is none. Either way it holds the key's row, so that no freed slot is missed. */
export const takeSlot = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.take_slot(p_key text, p_limit int, p_now bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF p_key LIKE '@%' THEN RETURN ${s}.take_shared(p_key, p_limit, p_now); END IF;
  INSERT INTO ${s}.key AS k (name, lim, held) VALUES (p_key, p_limit, 1)
    ON CONFLICT (name) DO UPDATE SET lim = excluded.lim, held = k.held + 1 WHERE k.held < excluded.lim;
  IF FOUND THEN RETURN true; END IF;
  -- A limit that is lower than what runs holds from now on, for whoever ends.
  UPDATE ${s}.key SET lim = p_limit WHERE name = p_key AND lim <> p_limit;
  RETURN false;
END $$`

/** What the indexes go by: see `tables.ts`. */
const lane = (r: string): string =>
  `CASE WHEN ${r}.state = 3 AND ${r}.flags & 64 = 64 THEN 2 WHEN ${r}.state >= 2 THEN ${r}.state WHEN ${r}.crashes > 0 OR ${r}.flags & 528 <> 0 THEN 1 ELSE 0 END`
const due = "CASE WHEN r.state = 2 OR r.state = 3 AND r.flags & 64 = 64 THEN r.at END"
const expires = "CASE WHEN r.state <> 1 THEN r.expire_at END"

/** Stores a new record. */
export const insertRecord = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.insert_record(r ${s}.record) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO ${s}.record (${stored.join(", ")}, lane, due, expires)
    VALUES (${stored.map((column) => `r.${column}`).join(", ")}, ${lane("r")}, ${due}, ${expires});
END $$`

const stored = [
  "id",
  "place",
  "turn",
  "at",
  "enqueued_at",
  "ready_at",
  "begun_at",
  "expire_at",
  "worker",
  "fence",
  "settled",
  "attempt",
  "version",
  "key_limit",
  "state",
  "priority",
  "crashes",
  "flags",
  "queue",
  "tag",
  "key",
  "reason",
  "blocked_on",
  "retention",
  "spec",
  "attempts",
  "failures",
  "payload",
  "listens"
]

/** Writes what has changed of a live record, and counts its step. */
export const put = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.put(r ${s}.record) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  was ${s}.record;
BEGIN
  SELECT * INTO was FROM ${s}.record WHERE id = r.id;
  UPDATE ${s}.record SET
    place = r.place, turn = r.turn, at = r.at, ready_at = r.ready_at, begun_at = r.begun_at, expire_at = r.expire_at,
    worker = r.worker, fence = r.fence, settled = r.settled, attempt = r.attempt, version = r.version,
    key_limit = r.key_limit, state = r.state, priority = r.priority, crashes = r.crashes,
    flags = r.flags, key = r.key, reason = r.reason, blocked_on = r.blocked_on, retention = r.retention, spec = r.spec,
    attempts = r.attempts, failures = r.failures, payload = r.payload,
    lane = ${lane("r")}, due = ${due}, expires = ${expires}
  WHERE id = r.id;
  IF was.state <> r.state OR was.reason IS DISTINCT FROM r.reason THEN
    PERFORM ${s}.count_move(r.queue, was.state, was.reason, r.state, r.reason);
  END IF;
END $$`

/**
 * Lets a record run at an instant: scheduled when that is to come, else ready, or blocked while its key has no slot. It
 * gets a new place unless it keeps the one that it has. In a caller's transaction its key is left to the agenda.
 */
export const letRun = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.let_run(
  r ${s}.record, p_due bigint, p_now bigint, p_keeps boolean, p_transaction boolean DEFAULT false
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_freed text;
BEGIN
  r.worker := 0;
  r.reason := NULL;
  r.blocked_on := NULL;
  r.flags := CASE WHEN r.key LIKE '@%' THEN r.flags & ~64 | 512 ELSE r.flags & ~576 END;
  IF p_due > p_now THEN
    IF r.flags & 8 = 8 THEN v_freed := r.key; END IF;
    r.flags := r.flags & ~8;
    r.state := 2;
    r.at := p_due;
  ELSE
    IF p_keeps THEN
      r.flags := r.flags | 16;
    ELSE
      r.flags := r.flags & ~16;
      r.place := nextval('${s}.place');
      r.ready_at := CASE WHEN r.state = 2 THEN least(r.at, p_now) ELSE p_now END;
    END IF;
    r.at := p_now;
    IF r.key IS NULL OR r.flags & 8 = 8 THEN
      r.state := 0;
    ELSIF NOT p_transaction AND ${s}.take_slot(r.key, r.key_limit, p_now) THEN
      r.state := 0;
      r.flags := r.flags | 8;
    ELSE
      r.state := 3;
      r.reason := 'ConcurrencyKey';
      r.blocked_on := r.key;
    END IF;
    IF r.flags & 512 = 512 AND NOT p_transaction AND (NOT p_keeps OR r.turn = 0) THEN
      r.turn := ${s}.next_turn(r.queue, r.key);
    END IF;
  END IF;
  PERFORM ${s}.put(r);
  IF p_transaction THEN
    IF v_freed IS NOT NULL THEN INSERT INTO ${s}.agenda (key, frees) VALUES (v_freed, true); END IF;
    IF r.state = 3 THEN INSERT INTO ${s}.agenda (id) VALUES (r.id); END IF;
    PERFORM ${s}.wake(r.queue, -1, 1);
    RETURN;
  END IF;
  -- One that waits for an instant of its key may be the first: somebody has to know of it. One that has crashed others is not
  -- for a worker that runs such a one.
  IF r.state = 0 OR r.flags & 512 = 512 THEN
    PERFORM ${s}.wake(r.queue, p_now, CASE WHEN r.crashes = 0 THEN 1 END);
  END IF;
  IF v_freed IS NOT NULL THEN PERFORM ${s}.free_slots(ARRAY[v_freed], p_now); END IF;
END $$`

/** Ends an attempt: whatever it still writes is refused from here on. */
export const endAttempt = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.end_attempt(
  r ${s}.record, p_decision text, p_ended bigint, p_failure jsonb, p_trace text
) RETURNS ${s}.record LANGUAGE plpgsql AS $$
DECLARE
  v_failure jsonb := p_failure || jsonb_build_object('attempt', r.attempt, 'at', p_ended);
BEGIN
  IF p_decision NOT IN ('released', 'parked') THEN
    r.attempts := coalesce(r.attempts, '[]') || jsonb_strip_nulls(jsonb_build_object(
      'attempt', r.attempt, 'worker', (SELECT id FROM ${s}.worker WHERE num = r.worker), 'startedAt', r.at,
      'endedAt', p_ended, 'decision', p_decision, 'failure', v_failure, 'trace', p_trace));
    IF jsonb_array_length(r.attempts) > 100 THEN r.attempts := r.attempts - 0; END IF;
    IF v_failure IS NOT NULL THEN
      -- One that gave its attempt back makes room for the next.
      IF (r.failures -> -1 ->> 'attempt')::int = r.attempt THEN r.failures := r.failures - -1; END IF;
      r.failures := coalesce(r.failures, '[]') || jsonb_strip_nulls(v_failure);
      IF jsonb_array_length(r.failures) > 32 THEN r.failures := r.failures - 0; END IF;
    END IF;
    r.flags := r.flags | 4;
    r.expire_at := NULL;
  END IF;
  -- What is given back unstarted has shown nothing.
  IF p_decision NOT IN ('crashed', 'released', 'parked') THEN r.crashes := 0; END IF;
  r.fence := r.fence + 1;
  RETURN r;
END $$`

/** Lets the record go on that waits for the end of one that held its unique key, unless a transaction has it locked. */
export const releaseUnique = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.release_unique(p_id uuid, p_now bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_id uuid;
  r ${s}.record;
BEGIN
  FOR v_id IN SELECT id FROM ${s}.record WHERE blocked_on = p_id::text AND lane = 3 AND reason = 'Unique' LOOP
    SELECT * INTO r FROM ${s}.record WHERE id = v_id AND lane = 3 AND reason = 'Unique' FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
      PERFORM ${s}.look_again(v_id, NULL, p_now);
    ELSIF r.flags & 2048 = 2048 THEN
      r.reason := 'Dependencies';
      r.blocked_on := NULL;
      PERFORM ${s}.put(r);
      PERFORM ${s}.advance(v_id, p_now, true);
    ELSE
      PERFORM ${s}.let_run(r, r.at, p_now, false);
    END IF;
  END LOOP;
END $$`

/**
 * Ends a record's life as dead where no attempt has decided it. One that is followed leaves a record which tells of it: what its
 * worker settles leaves what follows by itself.
 */
export const bury = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.bury(
  r ${s}.record, p_reason text, p_now bigint, p_transaction boolean DEFAULT false
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_spec jsonb;
  v_digest text;
BEGIN
  PERFORM ${s}.finish(r, 6, p_reason, NULL, p_now, p_transaction);
  IF r.spec IS NULL OR position('"followed":' IN r.spec) = 0 THEN RETURN; END IF;
  v_spec := r.spec::jsonb;
  IF v_spec -> 'followed' IS DISTINCT FROM 'true' THEN RETURN; END IF;
  v_digest := md5(r.id || '/' || r.fence);
  PERFORM ${s}.enqueue_one(json_build_object(
    -- Of another life another one.
    'id', left(r.id::text, 14) || '7' || substr(v_digest, 1, 3) || '-8' || substr(v_digest, 4, 3) || '-' || right(v_digest, 12),
    'tag', r.tag, 'version', r.version, 'queue', r.queue, 'priority', r.priority, 'payload', r.payload, 'delay', 0,
    'retention', r.retention, 'spec', (
      v_spec - ARRAY['followed', 'cancelOn', 'idempotencyKey', 'uniqueKey', 'startBefore', 'rateKey', 'batchKey', 'flowId']
      || jsonb_build_object('parent', r.id, 'headers', coalesce(v_spec -> 'headers', '{}') || jsonb_build_object(
        '${endedHeader}', ${s}.value_of(6, p_reason, NULL, r.failures))))::text
  ), p_now, false, p_transaction);
END $$`

/**
 * Ends a record's life: into history, slots and keys given back, and whoever waited for it goes on; in a caller's
 * transaction by the agenda.
 */
export const finish = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.finish(
  r ${s}.record, p_state int, p_reason text, p_result text, p_now bigint, p_transaction boolean DEFAULT false
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_age bigint := ${s}.age(r.retention, p_state);
  v_part smallint := ${s}.part(v_age, p_now);
  v_keeps boolean := ${s}.keeps(r.retention, p_state);
  v_was ${s}.record;
BEGIN
  DELETE FROM ${s}.record WHERE id = r.id RETURNING * INTO v_was;
  IF NOT v_keeps THEN
    INSERT INTO ${s}.gone (id, fence, at) VALUES (r.id, r.settled, p_now)
      ON CONFLICT (id) DO UPDATE SET fence = excluded.fence, at = excluded.at;
    PERFORM ${s}.forget_keys(ARRAY[r.id], ARRAY[r.tag], ARRAY[r.spec]);
  END IF;
  INSERT INTO ${s}.history (
    id, enqueued_at, finished_at, expires_at, fence, settled, attempt, version, key_limit, part, state, priority,
    crashes, flags, keep_count, queue, tag, key, reason, retention, spec, attempts, failures, detail, result, payload)
  SELECT
    r.id, r.enqueued_at, p_now, p_now + v_age, r.fence, r.settled, r.attempt, r.version, r.key_limit, v_part, p_state,
    r.priority, r.crashes, r.flags & 2081, ${s}.keep_count(r.retention, p_state), r.queue, r.tag, r.key, p_reason,
    r.retention, r.spec, r.attempts, r.failures,
    CASE WHEN r.flags & 2 = 2 THEN (
      SELECT jsonb_build_object('progress', d.progress, 'logs', d.logs,
        'checkpoints', CASE WHEN p_state > 4 THEN ${s}.checkpoints_of(r.id) END, 'undo', r.flags & 128)
      FROM (SELECT r.id) one LEFT JOIN ${s}.detail d ON d.id = one.id) END,
    p_result, r.payload
  WHERE v_keeps;
  PERFORM ${s}.count_move(r.queue, v_was.state, v_was.reason, NULL, NULL);
  INSERT INTO ${s}.delta (part, queue, completed, cancelled, dead)
    SELECT v_part, r.queue, (p_state = 4)::int, (p_state = 5)::int, (p_state = 6)::int WHERE v_keeps;
  DELETE FROM ${s}.cancel WHERE id = r.id;
  IF r.flags & 2 = 2 THEN
    DELETE FROM ${s}.detail WHERE id = r.id;
    DELETE FROM ${s}.checkpoint WHERE id = r.id;
  END IF;
  IF p_transaction THEN
    IF r.flags & 8 = 8 THEN INSERT INTO ${s}.agenda (key, frees) VALUES (r.key, true); END IF;
    IF NOT v_keeps THEN
      -- How it ended is to be read nowhere else.
      INSERT INTO ${s}.agenda (id, key, frees, value)
        SELECT r.id, p_state, true, ${s}.value_of(p_state, p_reason, p_result, r.failures)
        WHERE EXISTS (SELECT FROM ${s}.dependency WHERE parent = r.id AND state IS NULL);
    END IF;
    INSERT INTO ${s}.agenda (id)
      SELECT id FROM ${s}.record WHERE blocked_on = r.id::text AND lane = 3 AND reason = 'Unique'
      UNION SELECT child FROM ${s}.dependency WHERE v_keeps AND parent = r.id AND state IS NULL;
    PERFORM ${s}.wake(r.queue, -1, 1);
  ELSE
    IF r.flags & 8 = 8 THEN PERFORM ${s}.free_slots(ARRAY[r.key], p_now, p_state = 4); END IF;
    IF r.flags & 1 = 1 THEN PERFORM ${s}.release_unique(r.id, p_now); END IF;
    IF r.flags & 1024 = 1024 THEN
      PERFORM ${s}.dependencies_ended(
        ARRAY[r.id], p_state, ARRAY[${s}.value_of(p_state, p_reason, p_result, r.failures)], p_now);
    END IF;
  END IF;
  PERFORM ${s}.tell(
    CASE p_state WHEN 4 THEN 'completed' WHEN 5 THEN 'cancelled' ELSE 'dead' END, r,
    coalesce(CASE WHEN p_state = 6 THEN r.failures -> -1 ->> 'tag' END, p_reason), p_now);
END $$`
