/** The hot path: settle, let what is due become ready, claim, in one round trip. */

/**
 * Cost per settled record: one row deleted by primary key and fence alone (a condition on the state would let the planner
 * take the index of running records, which a long transaction fills with dead entries: measured 30,000 to 925 jobs/s),
 * one row of history. Per claimed record: one index entry read, one row updated. Records with keys, dependants, logs or
 * another end than success take steps of their own, and nobody else pays for them.
 */
export const exchange = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.exchange(
  p_worker text, p_lease bigint,
  p_ids uuid[], p_fences int[], p_afters bigint[], p_results text[], p_traces text[],
  p_others json,
  p_queues text[], p_slots int[], p_shares int[], p_total int,
  p_mark_priorities int[], p_mark_turns bigint[], p_mark_places bigint[], p_tidies boolean
) RETURNS TABLE (
  id uuid, tag text, version int, queue text, priority int, payload text, attempt int, fence int, crashes int,
  enqueued_at float8, begun_at float8, ready_at float8, spec text, failures text, extra text, turn float8, place float8
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_now bigint := ${s}.clock();
  v_full boolean;
  v_share boolean;
  w ${s}.worker;
  v_lost int[] := '{}';
  v_others text[] := '{}';
  v_claimed int := 0;
  v_taken int[];
  v_short boolean[];
  v_more text[] := '{}';
  v_due bigint;
  v_next bigint;
  v_events boolean := EXISTS (SELECT FROM ${s}.listener WHERE until > v_now);
  x json;
  i int;
  n int;
  v_found int;
  v_wake boolean := false;
BEGIN
  SELECT * INTO w FROM ${s}.worker WHERE id = p_worker;
  IF NOT FOUND THEN
    INSERT INTO ${s}.worker AS k (id, lease_until, queues) VALUES (p_worker, v_now, p_queues)
      ON CONFLICT (id) DO UPDATE SET id = k.id RETURNING * INTO w;
  END IF;

  IF cardinality(p_ids) > 0 THEN
    v_lost := ${s}.complete(w.num, p_worker, p_ids, p_fences, p_afters, p_results, p_traces, v_now, v_events);
  END IF;
  IF p_others IS NOT NULL THEN
    FOR x IN SELECT e FROM json_array_elements(p_others) e LOOP
      v_others := v_others || ${s}.settle_one(x, v_now);
    END LOOP;
  END IF;

  IF EXISTS (SELECT FROM ${s}.agenda) THEN v_next := ${s}.tend_agenda(v_now); END IF;
  IF w.handles <> '[]' AND EXISTS (
    SELECT FROM ${s}.record WHERE lane = 3 AND reason IN ('NoHandler', 'NewerPayload')) THEN
    PERFORM ${s}.unpark(w, v_now);
  END IF;

  IF p_total > 0 THEN
    IF EXISTS (SELECT FROM ${s}.record WHERE expires <= v_now) THEN
      PERFORM ${s}.expire(v_now, 1000);
    END IF;
    v_taken := array_fill(0, ARRAY[cardinality(p_queues)]);
    v_short := array_fill(false, ARRAY[cardinality(p_queues)]);
    FOR i IN 1 .. cardinality(p_queues) LOOP
      IF EXISTS (SELECT FROM ${s}.queue WHERE name = p_queues[i] AND paused) THEN
        v_taken[i] := NULL;
        CONTINUE;
      END IF;
      SELECT due INTO v_due FROM ${s}.record WHERE queue = p_queues[i] AND lane = 2 ORDER BY due, place LIMIT 1;
      IF v_due <= v_now THEN
        PERFORM ${s}.promote(p_queues[i], v_now, 1000);
        SELECT due INTO v_due FROM ${s}.record WHERE queue = p_queues[i] AND lane = 2 ORDER BY due, place LIMIT 1;
      END IF;
      v_next := least(v_next, v_due);
      -- A better priority than that of the mark is not behind it.
      IF EXISTS (SELECT FROM ${s}.record WHERE queue = p_queues[i] AND lane = 0 AND state = 0
        AND priority < p_mark_priorities[i]) THEN
        p_mark_priorities[i] := -1000;
      END IF;
    END LOOP;
    -- The shares first; what they leave is given out in the order of the demands.
    FOREACH v_share IN ARRAY ARRAY[true, false] LOOP
      FOR i IN 1 .. cardinality(p_queues) LOOP
        n := least(CASE WHEN v_share THEN p_shares[i] ELSE p_slots[i] END - v_taken[i], p_total - v_claimed);
        v_full := v_taken[i] IS NOT NULL AND (v_share OR p_shares[i] = 0 OR v_taken[i] >= p_shares[i]);
        WHILE v_full AND n > 0 LOOP
          RETURN QUERY SELECT * FROM ${s}.claim(
            w.num, p_queues[i], n, v_now, p_mark_priorities[i], p_mark_turns[i], p_mark_places[i]);
          GET DIAGNOSTICS v_found = ROW_COUNT;
          v_taken[i] := v_taken[i] + v_found;
          v_claimed := v_claimed + v_found;
          n := n - v_found;
          -- It came back short: once more from the very front.
          v_full := n > 0 AND p_mark_priorities[i] > -1000;
          v_short[i] := n > 0;
          IF v_full THEN p_mark_priorities[i] := -1000; END IF;
        END LOOP;
      END LOOP;
    END LOOP;
    -- What is left in a queue from whose very front a claim came back short, others have locked: to ask for it at once again
    -- would go on for as long as they do.
    FOR i IN 1 .. cardinality(p_queues) LOOP
      IF v_taken[i] IS NOT NULL AND NOT v_short[i]
        AND ${s}.may_claim(w.num, p_queues[i], p_mark_priorities[i], p_mark_turns[i], p_mark_places[i]) THEN
        v_more := v_more || p_queues[i];
      END IF;
    END LOOP;
    -- It is about to sleep: whoever enqueues from now on wakes it. What was stored before it could be seen is found by
    -- looking once more.
    IF v_claimed < p_total AND w.wakes_until < v_now + 5000 THEN
      v_wake := true;
      IF v_claimed = 0 THEN v_more := p_queues; END IF;
    END IF;
  END IF;

  IF v_wake OR v_claimed > 0 AND w.lease_until < v_now + p_lease - p_lease / 10 THEN
    UPDATE ${s}.worker AS k SET
      lease_until = CASE WHEN v_claimed > 0 THEN greatest(k.lease_until, v_now + p_lease) ELSE k.lease_until END,
      ended = k.ended AND v_claimed = 0,
      wakes_until = CASE WHEN v_wake THEN v_now + 10000 ELSE k.wakes_until END,
      queues = CASE WHEN k.queues @> p_queues THEN k.queues ELSE p_queues END
    WHERE k.num = w.num;
    IF NOT FOUND THEN
      -- It was forgotten meanwhile: its claims must not be.
      INSERT INTO ${s}.worker (num, id, lease_until, queues) OVERRIDING SYSTEM VALUE
        VALUES (w.num, p_worker, v_now + p_lease, p_queues) ON CONFLICT DO NOTHING;
    END IF;
  END IF;

  IF v_events AND v_claimed > 0 THEN
    PERFORM ${s}.tell('started', r, NULL, v_now)
      FROM ${s}.claimed c, unnest(c.ids) AS u(id) JOIN ${s}.record r ON r.id = u.id
      WHERE c.worker = w.num AND c.at = v_now AND r.at = v_now;
  END IF;

  IF p_tidies THEN
    PERFORM FROM ${s}.worker k WHERE k.num = w.num FOR UPDATE SKIP LOCKED;
    IF FOUND THEN PERFORM ${s}.running(w.num, true); END IF;
  END IF;

  id := NULL;
  payload := json_build_object(
    'now', v_now, 'lost', v_lost, 'others', v_others,
    'nextDueIn', greatest(0, v_next - v_now),
    'maintainIn', ${s}.maintain_in(v_now),
    'cancel', CASE WHEN EXISTS (SELECT FROM ${s}.cancel) THEN ${s}.take_cancels(w.num) ELSE '[]' END,
    'more', v_more);
  RETURN NEXT;
END $$`

/** Completions that leave no children. Answers the positions, from 1, of those that were stale. */
export const complete = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.complete(
  p_num int, p_worker text, p_ids uuid[], p_fences int[], p_afters bigint[], p_results text[], p_traces text[],
  p_now bigint, p_events boolean
) RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE
  v_done uuid[];
  v_keys text[];
  v_unique uuid[];
  v_detailed uuid[];
  v_id uuid;
BEGIN
  WITH gone AS (
    DELETE FROM ${s}.record r
    USING unnest(p_ids, p_fences, p_afters, p_results, p_traces) AS g(id, fence, after, result, trace)
    WHERE r.id = g.id AND r.fence = g.fence
    RETURNING r.*, least(p_now, r.at + g.after) AS ended, g.result, g.trace,
      CASE WHEN r.retention IS NULL THEN 86400000 ELSE ${s}.age(r.retention, 4) END AS age
  ), kept AS (
    INSERT INTO ${s}.history (
      id, enqueued_at, claimed_at, ended_at, finished_at, expires_at, fence, settled, attempt, version, key_limit, part,
      state, priority, crashes, flags, keep_count, queue, tag, key, worker, trace, retention, spec, attempts, failures,
      detail, result, payload)
    SELECT id, enqueued_at, at, ended, p_now, p_now + age, fence + 1, fence, attempt, version, key_limit,
      ${s}.part(age, p_now), 4, priority, 0, flags & 33, ${s}.keep_count(retention, 4), queue, tag, key,
      CASE WHEN worker = p_num THEN p_worker ELSE (SELECT w.id FROM ${s}.worker w WHERE w.num = gone.worker) END,
      trace, retention, spec, attempts, failures,
      CASE WHEN flags & 2 = 2 THEN (
        SELECT jsonb_build_object('progress', d.progress, 'logs', d.logs) FROM ${s}.detail d WHERE d.id = gone.id) END,
      result, payload
    FROM gone
  ), counted AS (
    INSERT INTO ${s}.delta (part, queue, running, completed)
    SELECT ${s}.part(age, p_now), queue, -count(*), count(*) FROM gone GROUP BY 1, 2
  )
  SELECT array_agg(id), array_agg(key) FILTER (WHERE flags & 8 = 8), array_agg(id) FILTER (WHERE flags & 1 = 1),
    array_agg(id) FILTER (WHERE flags & 2 = 2)
    INTO v_done, v_keys, v_unique, v_detailed FROM gone;

  IF v_detailed IS NOT NULL THEN
    DELETE FROM ${s}.detail WHERE id = ANY (v_detailed);
    DELETE FROM ${s}.checkpoint WHERE id = ANY (v_detailed);
  END IF;
  IF v_keys IS NOT NULL THEN PERFORM ${s}.free_slots(v_keys, p_now); END IF;
  IF v_unique IS NOT NULL THEN
    FOREACH v_id IN ARRAY v_unique LOOP PERFORM ${s}.release_unique(v_id, p_now); END LOOP;
  END IF;
  IF EXISTS (SELECT FROM ${s}.dependency) THEN
    PERFORM ${s}.dependency_ended(g.id, 4, g.result, p_now)
      FROM unnest(p_ids, p_results) AS g(id, result) WHERE g.id = ANY (v_done);
  END IF;
  IF EXISTS (SELECT FROM ${s}.cancel) THEN DELETE FROM ${s}.cancel WHERE id = ANY (v_done); END IF;
  IF p_events THEN
    PERFORM ${s}.tell_ended(v_done, p_now);
  END IF;
  IF cardinality(v_done) = cardinality(p_ids) THEN RETURN '{}'; END IF;
  RETURN ARRAY(
    SELECT g.i::int FROM unnest(p_ids, p_fences) WITH ORDINALITY AS g(id, fence, i)
    WHERE NOT g.id = ANY (coalesce(v_done, '{}')) AND NOT ${s}.is_settled(g.id, g.fence));
END $$`

/** Whether the attempt with this fence has settled before: its settlement was sent again. */
export const isSettled = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.is_settled(p_id uuid, p_fence int) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN EXISTS (SELECT FROM ${s}.record WHERE id = p_id AND settled = p_fence)
    OR EXISTS (SELECT FROM ${s}.history WHERE id = p_id AND settled = p_fence)
    OR EXISTS (SELECT FROM ${s}.gone WHERE id = p_id AND fence = p_fence);
END $$`

export const tellEnded = (s: string, channel: string): string => `
CREATE OR REPLACE FUNCTION ${s}.tell_ended(p_ids uuid[], p_now bigint) RETURNS void LANGUAGE sql AS $$
  SELECT pg_notify('${channel}', 'e' || json_build_object(
    'type', 'completed', 'id', h.id, 'tag', h.tag, 'queue', h.queue, 'at', p_now, 'attempt', h.attempt))
  FROM ${s}.history h WHERE h.id = ANY (p_ids)
$$`

/** One settlement of any kind. */
export const settleOne = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.settle_one(x json, p_now bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  r ${s}.record;
  v_outcome text := x ->> 'outcome';
  v_ended bigint;
  v_cancel text;
  v_child record;
  v_attempt int;
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
  END IF;
  r.settled := r.fence;
  r := ${s}.end_attempt(r,
    CASE WHEN v_cancel IS NOT NULL THEN 'cancelled' ELSE CASE v_outcome
      WHEN 'Complete' THEN 'completed' WHEN 'RetryAfter' THEN 'retried' WHEN 'SnoozeFor' THEN 'snoozed'
      WHEN 'WaitFor' THEN 'waiting' WHEN 'WaitForChildren' THEN 'waiting' WHEN 'Cancel' THEN 'cancelled'
      WHEN 'Dead' THEN 'dead' WHEN 'Release' THEN 'released' ELSE 'parked' END END,
    v_ended, (x -> 'failure')::jsonb, x ->> 'trace');

  FOR c IN SELECT e FROM json_array_elements(coalesce(x -> 'children', '[]')) e LOOP
    SELECT * INTO v_child FROM ${s}.enqueue_one(c, p_now, false, false);
    IF v_outcome = 'WaitForChildren' AND v_cancel IS NULL
      AND EXISTS (SELECT FROM ${s}.record WHERE id = v_child.o_id) THEN
      INSERT INTO ${s}.dependency (parent, child, name) VALUES (v_child.o_id, r.id, v_child.o_id::text)
        ON CONFLICT DO NOTHING;
      IF FOUND THEN r.pending := r.pending + 1; END IF;
      -- One that was there before and is about to end does not know that it is waited for.
      PERFORM FROM ${s}.record WHERE id = v_child.o_id FOR KEY SHARE SKIP LOCKED;
      IF NOT FOUND THEN PERFORM ${s}.look_again(r.id, NULL, p_now); END IF;
    END IF;
  END LOOP;

  IF v_cancel IS NOT NULL THEN
    PERFORM ${s}.finish(r, 5, v_cancel, NULL, p_now);
    RETURN 'Done';
  END IF;
  CASE v_outcome
  WHEN 'Complete' THEN
    PERFORM ${s}.finish(r, 4, NULL, x ->> 'result', p_now);
  WHEN 'RetryAfter' THEN
    IF (x ->> 'uncharged')::boolean THEN r.attempt := r.attempt - 1; END IF;
    PERFORM ${s}.let_run(r, p_now + (x ->> 'delay')::bigint, p_now, false);
    r.attempt := v_attempt;
    PERFORM ${s}.tell('retried', r, x -> 'failure' ->> 'tag', p_now);
  WHEN 'SnoozeFor' THEN
    r.attempt := r.attempt - 1;
    PERFORM ${s}.let_run(r, p_now + (x ->> 'delay')::bigint, p_now, false);
    PERFORM ${s}.tell('retried', r, x -> 'failure' ->> 'tag', p_now);
  WHEN 'WaitFor' THEN
    r.attempt := r.attempt - 1;
    IF EXISTS (SELECT FROM ${s}.checkpoint WHERE id = r.id AND name = x ->> 'waitpoint') THEN
      PERFORM ${s}.let_run(r, p_now, p_now, false);
    ELSE
      PERFORM ${s}.block(r, 'Waitpoint', x ->> 'waitpoint', p_now);
    END IF;
  WHEN 'WaitForChildren' THEN
    r.attempt := r.attempt - 1;
    r.at := p_now;
    IF r.pending = 0 THEN
      PERFORM ${s}.let_run(r, p_now, p_now, false);
    ELSE
      PERFORM ${s}.block(r, 'Children', NULL, p_now);
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
    PERFORM ${s}.wake(r.queue, p_now);
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
  PERFORM FROM ${s}.record WHERE id = (x ->> 'id')::uuid AND fence = (x ->> 'fence')::int AND state = 1 FOR UPDATE;
  IF NOT FOUND THEN RETURN 'LeaseLost'; END IF;
  RETURN ${s}.settle_one(x, ${s}.clock());
END $$`

/** Blocks a record that leaves its worker, and gives its slot back. It keeps its place. */
export const block = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.block(r ${s}.record, p_reason text, p_on text, p_now bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_freed text := CASE WHEN r.flags & 8 = 8 THEN r.key END;
BEGIN
  r.worker := NULL;
  r.flags := r.flags & ~8;
  r.state := 3;
  r.reason := p_reason;
  r.blocked_on := p_on;
  r.at := p_now;
  PERFORM ${s}.put(r);
  PERFORM ${s}.tell('blocked', r, coalesce(CASE WHEN p_reason = 'Waitpoint' THEN p_on END, p_reason), p_now);
  IF v_freed IS NOT NULL THEN PERFORM ${s}.free_slots(ARRAY[v_freed], p_now); END IF;
END $$`

/**
 * Claims up to so many records of a queue, in their order.
 *
 * A claim goes on after the mark, the last record that this process claimed: under a transaction that is open for long, the
 * dead entries before it cannot be cleaned up, and a claim that reads them all slows down with every record (measured in
 * plain SQL over 30 s: from 13,800 to 2,400 jobs/s without a mark, none lost with it). Behind the mark can only lie a
 * record whose transaction committed late; it is found when a claim comes back short, and once a second.
 */
export const claim = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.claim(
  p_num int, p_queue text, p_count int, p_now bigint, p_mark_priority int, p_mark_turn bigint, p_mark_place bigint
) RETURNS TABLE (
  id uuid, tag text, version int, queue text, priority int, payload text, attempt int, fence int, crashes int,
  enqueued_at float8, begun_at float8, ready_at float8, spec text, failures text, extra text, turn float8, place float8
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  IF EXISTS (SELECT FROM ${s}.record WHERE queue = p_queue AND lane = 1 AND state = 0) THEN
    RETURN QUERY
      WITH back AS MATERIALIZED (
        SELECT r.ctid AS tid, r.priority, r.turn, r.place, r.crashes FROM ${s}.record r
        WHERE r.queue = p_queue AND r.lane = 1 AND r.state = 0
        ORDER BY r.priority, r.turn, r.place LIMIT p_count + 100 FOR UPDATE SKIP LOCKED
      ), ready AS MATERIALIZED (
        SELECT r.ctid AS tid, r.priority, r.turn, r.place FROM ${s}.record r
        WHERE r.queue = p_queue AND r.lane = 0 AND r.state = 0
          AND (r.priority, r.turn, r.place) > (p_mark_priority, p_mark_turn, p_mark_place)
        ORDER BY r.priority, r.turn, r.place LIMIT p_count FOR UPDATE SKIP LOCKED
      ), next AS MATERIALIZED (
        SELECT tid FROM (
          SELECT tid, priority, turn, place FROM ready
          UNION ALL SELECT tid, priority, turn, place FROM back WHERE crashes = 0
          -- A worker takes one at a time of those that crashed others (P10).
          UNION ALL (SELECT tid, priority, turn, place FROM back
            WHERE crashes > 0 AND NOT ${s}.has_suspect(p_num) LIMIT 1)
        ) r ORDER BY priority, turn, place LIMIT p_count
      )
      ${taking(s)}, suspected AS (
        UPDATE ${s}.worker SET suspect = c.id FROM claimed c WHERE num = p_num AND c.crashes > 0
      )
      ${taken(s)};
  ELSE
    RETURN QUERY
      WITH next AS MATERIALIZED (
        SELECT r.ctid AS tid FROM ${s}.record r
        WHERE r.queue = p_queue AND r.lane = 0 AND r.state = 0
          AND (r.priority, r.turn, r.place) > (p_mark_priority, p_mark_turn, p_mark_place)
        ORDER BY r.priority, r.turn, r.place LIMIT p_count FOR UPDATE SKIP LOCKED
      )
      ${taking(s)}
      ${taken(s)};
  END IF;
END $$`

/** The second half of a claim: what was found and locked begins to run. */
const taking = (s: string): string =>
  `, claimed AS (
        UPDATE ${s}.record r SET state = 1, fence = r.fence + 1, attempt = r.attempt + 1, worker = p_num, at = p_now,
          flags = r.flags & ~16, begun_at = coalesce(r.begun_at, p_now)
        FROM next WHERE r.ctid = next.tid RETURNING r.*
      ), counted AS (
        INSERT INTO ${s}.delta (queue, ready, running)
        SELECT p_queue, -count(*), count(*) FROM claimed HAVING count(*) > 0
      ), noted AS (
        INSERT INTO ${s}.claimed (worker, at, ids) SELECT p_num, p_now, array_agg(id) FROM claimed HAVING count(*) > 0
      )`

const taken = (s: string): string =>
  `SELECT c.id, c.tag, c.version, c.queue, c.priority::int, c.payload, c.attempt, c.fence, c.crashes::int,
        c.enqueued_at::float8, c.begun_at::float8, c.ready_at::float8, c.spec, c.failures::text,
        CASE WHEN c.flags & 2 = 2 THEN ${s}.extra_of(c.id) END, c.turn::float8, c.place::float8
      FROM claimed c ORDER BY c.priority, c.turn, c.place`

/** What an attempt finds of earlier ones and of what it waited for: checkpoints up to 64 KiB, results by name. */
export const extraOf = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.extra_of(p_id uuid) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN json_build_object(
    'checkpoints', (SELECT json_object_agg(name, value) FROM (
      SELECT name, value, sum(octet_length(value)) OVER (ORDER BY name) AS total
      FROM ${s}.checkpoint WHERE id = p_id) c WHERE total <= 65536),
    'results', (SELECT results FROM ${s}.detail WHERE id = p_id))::text;
END $$`

/** Whether this worker could claim another record of the queue after the mark. */
export const mayClaim = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.may_claim(
  p_num int, p_queue text, p_mark_priority int, p_mark_turn bigint, p_mark_place bigint
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM ${s}.record WHERE queue = p_queue AND lane = 0 AND state = 0
    AND (priority, turn, place) > (p_mark_priority, p_mark_turn, p_mark_place)) THEN
    RETURN true;
  END IF;
  IF EXISTS (SELECT FROM ${s}.record WHERE queue = p_queue AND lane = 1 AND state = 0
    AND crashes = 0) THEN
    RETURN true;
  END IF;
  RETURN EXISTS (SELECT FROM ${s}.record WHERE queue = p_queue AND lane = 1 AND state = 0)
    AND NOT ${s}.has_suspect(p_num);
END $$`

/** Whether a worker runs a record that has crashed others. */
export const hasSuspect = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.has_suspect(p_num int) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN EXISTS (SELECT FROM ${s}.worker w JOIN ${s}.record r ON r.id = w.suspect
    WHERE w.num = p_num AND r.worker = p_num AND r.crashes > 0);
END $$`

/** Due records become ready, in the order in which they fell due, in a bounded chunk. */
export const promote = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.promote(p_queue text, p_now bigint, p_count int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_keyed uuid[];
  v_id uuid;
  r ${s}.record;
BEGIN
  WITH due AS MATERIALIZED (
    SELECT id FROM ${s}.record WHERE queue = p_queue AND lane = 2 AND due <= p_now
    ORDER BY due, place LIMIT p_count FOR UPDATE SKIP LOCKED
  ), turns AS MATERIALIZED (SELECT id, nextval('${s}.place') AS place FROM due),
  moved AS (
    UPDATE ${s}.record q SET state = 0, place = t.place, ready_at = p_now, at = p_now
    FROM turns t WHERE q.id = t.id AND q.key IS NULL RETURNING q.id
  ), counted AS (
    INSERT INTO ${s}.delta (queue, scheduled, ready) SELECT p_queue, -count(*), count(*) FROM moved HAVING count(*) > 0
  )
  SELECT array_agg(t.id ORDER BY t.place) INTO v_keyed FROM turns t WHERE t.id NOT IN (SELECT id FROM moved);
  FOREACH v_id IN ARRAY coalesce(v_keyed, '{}') LOOP
    SELECT * INTO r FROM ${s}.record WHERE id = v_id;
    PERFORM ${s}.let_run(r, p_now, p_now, false);
  END LOOP;
END $$`

/** Releases parked records that this worker can run, at the place that they had. */
export const unpark = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.unpark(w ${s}.worker, p_now bigint) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  r ${s}.record;
  v_count int := 0;
BEGIN
  FOR r IN
    SELECT p.* FROM jsonb_to_recordset(w.handles) AS h(tag text, version int)
    JOIN ${s}.record p ON p.tag = h.tag AND p.version <= h.version AND p.lane = 3
      AND p.reason IN ('NoHandler', 'NewerPayload')
    ORDER BY p.place LIMIT 1000 FOR UPDATE OF p SKIP LOCKED
  LOOP
    PERFORM ${s}.let_run(r, p_now, p_now, true);
    v_count := v_count + 1;
  END LOOP;
  RETURN v_count;
END $$`

/** Cancel requests for what a worker runs, each told once per fence. */
export const takeCancels = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.take_cancels(p_num int) RETURNS json LANGUAGE sql AS $$
  WITH told AS (
    UPDATE ${s}.cancel c SET told = true FROM ${s}.record r
    WHERE r.id = c.id AND r.worker = p_num AND NOT c.told
    RETURNING r.id, r.fence, c.reason
  )
  SELECT coalesce(json_agg(told), '[]') FROM told
$$`

/** Milliseconds until maintain has something to do. */
export const maintainIn = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.maintain_in(p_now bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN greatest(0, least(
    (SELECT min(lease_until) FROM ${s}.worker WHERE NOT ended),
    (SELECT expires FROM ${s}.record WHERE expires IS NOT NULL ORDER BY expires LIMIT 1),
    (SELECT next_at FROM ${s}.housekeeping)) - p_now);
END $$`
