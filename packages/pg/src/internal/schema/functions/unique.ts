/** Unique keys: who holds one, and what a new record does to the one that does. */

/** Until when the window of a new record keeps its key: from its enqueue, or where another may trail it from when it is due. */
const windowEnd = `CASE WHEN x ->> 'onConflict' = 'trailing'
    THEN greatest(p_now, coalesce((x ->> 'runAt')::bigint, p_now + (x ->> 'delay')::bigint)) ELSE p_now END
    + (x ->> 'window')::bigint`

/**
 * Takes the unique key of a new record, or does what its policy says of the record that has it: the table of unique
 * conflicts (docs/writing-a-store.md). The key's row names the last holder and its successor; both are believed only while
 * they live, so nothing but another enqueue of the same key ever waits for it.
 *
 * No lock but that row's holds the two where they are: the call that ends a holder lets its successor go on, and may claim it.
 * So they are looked at by one statement, and what has to wait for such a call looks again after it.
 */
export const takeUnique = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.take_unique(
  x json, r ${s}.record, p_due bigint, p_now bigint, p_transaction boolean,
  OUT o_id uuid, OUT o_outcome text, OUT o_after uuid, OUT o_due bigint
) LANGUAGE plpgsql AS $$
DECLARE
  v_policy text := x ->> 'onConflict';
  v_lasts bigint := (x ->> 'window')::bigint;
  v_until bigint := ${windowEnd};
  v_started boolean := coalesce((x ->> 'untilStarted')::boolean, false);
  u ${s}.uniq;
  v_state int;
  v_lives boolean;
  v_waits boolean;
  v_at bigint;
  v_next uuid;
  v_target uuid;
BEGIN
  o_id := r.id;
  o_outcome := 'Inserted';
  INSERT INTO ${s}.uniq AS q (tag, key, id, until, until_started, lasts)
    VALUES (r.tag, x ->> 'uniqueKey', r.id, v_until, v_started, v_lasts)
    ON CONFLICT (tag, key) DO UPDATE SET id = q.id RETURNING * INTO u;
  IF u.id = r.id THEN RETURN; END IF;
  LOOP
    SELECT ${s}.holds(u, p_now), h.id IS NOT NULL, h.state <> 1 AND h.attempt = 0 AND h.flags & 4 = 0, h.at, n.id
      INTO v_state, v_lives, v_waits, v_at, v_next
      FROM (SELECT) one
      LEFT JOIN ${s}.record h ON h.id = u.id
      LEFT JOIN ${s}.record n ON n.id = u.successor AND n.lane = 3 AND n.reason = 'Unique';
    EXIT WHEN v_lives OR u.successor IS NULL;
    -- The holder has ended and its successor has the key; a window counts from when that could begin.
    u.id := u.successor;
    u.successor := NULL;
    u.until := u.lasts + coalesce((SELECT ready_at FROM ${s}.record WHERE id = u.id), p_now);
  END LOOP;
  v_waits := coalesce(v_state <> 4 AND v_waits, false);

  -- One that was given back before it began may have a successor by now: the last contents belong into what runs last.
  IF v_state <> 4 AND (v_policy = 'replace' OR v_policy = 'runAfter' AND NOT v_waits) THEN
    v_target := v_next;
  END IF;
  IF v_target IS NULL AND v_state <> 4 AND v_waits AND v_policy IN ('replace', 'reschedule', 'trailing') THEN
    v_target := u.id;
  END IF;
  IF v_target IS NOT NULL THEN
    IF r.spec::json ->> 'flowId' IS NOT NULL
      OR (SELECT spec::json ->> 'flowId' FROM ${s}.record WHERE id = v_target) IS NOT NULL THEN
      o_id := v_target;
      o_outcome := 'UniqueConflict';
      RETURN;
    END IF;
    -- One that is put off again and again is due no later than it may wait in all; what trails stays where it is.
    IF ${s}.replace(v_target, r, v_policy <> 'reschedule', CASE WHEN v_policy = 'trailing' THEN v_at ELSE least(p_due,
      (SELECT enqueued_at FROM ${s}.record WHERE id = v_target) + (x ->> 'maxWait')::bigint) END, p_now, p_transaction) THEN
      UPDATE ${s}.uniq SET id = u.id, until = u.until, successor = u.successor WHERE tag = u.tag AND key = u.key;
      o_id := v_target;
      o_outcome := 'Replaced';
      RETURN;
    END IF;
    -- It was claimed while we looked, by a call that may have ended who held the key before. Each time takes another such call.
    SELECT t.o_id, t.o_outcome, t.o_after, t.o_due INTO o_id, o_outcome, o_after, o_due
      FROM ${s}.take_unique(x, r, p_due, p_now, p_transaction) t;
    RETURN;
  END IF;

  IF v_state IS NULL OR v_state = 4 AND v_policy = 'runAfter' THEN
    UPDATE ${s}.uniq SET id = r.id, successor = NULL, until = v_until, until_started = v_started, lasts = v_lasts
      WHERE tag = u.tag AND key = u.key;
  ELSIF v_policy = 'trailing' AND NOT v_waits THEN
    -- It waits for the window's end, and has the key from now on: the next one of this window finds it.
    o_due := greatest(u.until, p_due);
    UPDATE ${s}.uniq SET id = r.id, successor = NULL, until = o_due + v_lasts, lasts = v_lasts
      WHERE tag = u.tag AND key = u.key;
  ELSIF v_state <> 4 AND NOT v_waits AND v_policy IN ('replace', 'runAfter') THEN
    UPDATE ${s}.uniq SET id = u.id, until = u.until, successor = r.id WHERE tag = u.tag AND key = u.key;
    o_after := u.id;
  ELSE
    -- Who waits for a member of a flow would not wait for the holder.
    o_id := u.id;
    o_outcome := CASE WHEN r.spec::json ->> 'flowId' IS NULL THEN 'Existing' ELSE 'UniqueConflict' END;
  END IF;
END $$`

/**
 * The state in which the named record holds its unique key, NULL when it does not any more. STABLE: it sees what the statement sees
 * that asks.
 */
export const holds = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.holds(u ${s}.uniq, p_now bigint) RETURNS int LANGUAGE plpgsql STABLE AS $$
DECLARE
  r ${s}.record;
  v_state int;
BEGIN
  IF u.until IS NOT NULL AND u.until <= p_now THEN RETURN NULL; END IF;
  SELECT * INTO r FROM ${s}.record WHERE id = u.id;
  IF FOUND THEN
    -- Until started: one that is given back unstarted holds it again, unless another took it meanwhile.
    RETURN CASE WHEN u.until_started AND (r.state = 1 OR r.attempt > 0 OR r.flags & 4 = 4) THEN NULL ELSE r.state END;
  END IF;
  -- A window outlives a completed record.
  IF u.until IS NULL THEN RETURN NULL; END IF;
  SELECT h.state INTO v_state FROM ${s}.history h
    WHERE h.id = u.id AND h.state = 4 AND (h.expires_at IS NULL OR h.expires_at > p_now) LIMIT 1;
  RETURN v_state;
END $$`

/** New contents, or a new due instant alone, for a record that waits. False when it has begun by now. */
export const replace = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.replace(
  p_id uuid, n ${s}.record, p_contents boolean, p_due bigint, p_now bigint, p_transaction boolean
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  r ${s}.record;
BEGIN
  BEGIN
    SELECT * INTO r FROM ${s}.record WHERE id = p_id AND state <> 1 AND attempt = 0 FOR UPDATE;
    IF NOT FOUND THEN RAISE EXCEPTION USING ERRCODE = 'CAP02'; END IF;
  -- Of one that was claimed meanwhile the lock goes with it: see \`lock_resting\`.
  EXCEPTION WHEN SQLSTATE 'CAP02' THEN RETURN false;
  END;
  r.fence := r.fence + 1;
  IF p_contents THEN
    IF r.key IS DISTINCT FROM n.key AND r.flags & 8 = 8 THEN
      IF p_transaction THEN
        INSERT INTO ${s}.agenda (key, frees) VALUES (r.key, true);
      ELSE
        PERFORM ${s}.free_slots(ARRAY[r.key], p_now);
      END IF;
      r.flags := r.flags & ~8;
    END IF;
    r.payload := n.payload;
    r.version := n.version;
    r.spec := n.spec;
    r.retention := n.retention;
    r.priority := n.priority;
    r.key := n.key;
    r.key_limit := n.key_limit;
  END IF;
  IF p_contents THEN UPDATE ${s}.record SET listens = n.listens WHERE id = p_id AND listens IS DISTINCT FROM n.listens; END IF;
  r.flags := r.flags | (n.flags & 32);
  r.expire_at := p_due + (r.spec::json ->> 'startBefore')::bigint;
  IF r.state = 3 AND r.reason <> 'ConcurrencyKey' THEN
    r.at := greatest(p_due, p_now);
    PERFORM ${s}.put(r);
  ELSE
    PERFORM ${s}.let_run(r, p_due, p_now, r.state <> 2, p_transaction);
  END IF;
  RETURN true;
END $$`

/**
 * Takes the idempotency and unique keys of a batch, where they are free, in one order for everybody. Whoever comes second
 * waits here for the first one's transaction, while it holds no lock that anybody else could want: of the records of a
 * batch one may have to wait, and the others' keys and parents must not wait with it.
 */
export const claimKeys = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.claim_keys(p_records json, p_now bigint) RETURNS void LANGUAGE sql AS $$
  INSERT INTO ${s}.idem AS i (tag, key, id)
    SELECT DISTINCT ON (1, 2) x ->> 'tag', x ->> 'idempotencyKey', (x ->> 'id')::uuid
      FROM json_array_elements(p_records) WITH ORDINALITY AS e(x, n)
      WHERE x ->> 'idempotencyKey' IS NOT NULL ORDER BY 1, 2, n
    ON CONFLICT (tag, key) DO UPDATE SET id = i.id;
  INSERT INTO ${s}.uniq AS q (tag, key, id, until, until_started, lasts)
    SELECT DISTINCT ON (1, 2) x ->> 'tag', x ->> 'uniqueKey', (x ->> 'id')::uuid, ${windowEnd},
        coalesce((x ->> 'untilStarted')::boolean, false), (x ->> 'window')::bigint
      FROM json_array_elements(p_records) WITH ORDINALITY AS e(x, n)
      WHERE x ->> 'uniqueKey' IS NOT NULL ORDER BY 1, 2, n
    ON CONFLICT (tag, key) DO UPDATE SET id = q.id;
$$`
