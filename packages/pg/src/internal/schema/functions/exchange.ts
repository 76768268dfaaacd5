/**
 * The hot path: settle, let what is due become ready, claim, in one round trip.
 *
 * It answers one text: JSON, and behind it a part for each claim, of lines of columns. As rows the records would be formed and
 * read again at every step from the update to the wire (callgrind: a third of the instructions of a claim).
 */
import { locking, lockingFree } from "../slots.ts"
import { asked, namesOf } from "./asked.ts"
import { claiming, mayClaim } from "./claim.ts"

/**
 * Cost per settled record: one row deleted by primary key and fence alone, one row of history. Per claimed record: one
 * index entry read, one row locked and updated in its page; no index is written. Records with keys, dependants, logs or
 * another end than success take steps of their own, and nobody else pays for them.
 */
export const exchange = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.exchange(
  ${asked}, p_longest int
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_now bigint := ${s}.clock();
  v_worker int;
  v_lease_until bigint;
  v_wakes_until bigint;
  v_handles jsonb;
  v_events boolean;
  v_agenda boolean;
  v_expired boolean;
  v_cancels boolean;
  v_parked boolean;
  v_maintain bigint;
  v_claim bigint;
  v_last bigint[];
  v_back boolean;
  v_ready boolean;
  v_lost int[] := '{}';
  v_others text[] := '{}';
  v_other text;
  v_claimed int := 0;
  v_claims text := '';
  v_lines text;
  v_ids uuid[];
  v_taken int[];
  v_short boolean[];
  v_more text[] := '{}';
  v_promoted text[] := '{}';
  v_next bigint;
  v_due bigint;
  v_stops int;
  v_keys text[];
  v_owned text[];
  v_starts int;
  v_shared int;
  v_refused uuid[];
  v_turn bigint;
  v_rooms int[];
  v_opens bigint;
  v_better boolean;
  v_share boolean;
  v_wake boolean := false;
  x json;
  i int;
  n int;
BEGIN
  SELECT num, lease_until, wakes_until, handles, EXISTS (SELECT FROM ${s}.listener WHERE until > v_now),
      EXISTS (SELECT FROM ${s}.agenda), EXISTS (SELECT FROM ${s}.record WHERE expires <= v_now),
      EXISTS (SELECT FROM ${s}.cancel),
      handles <> '[]' AND EXISTS (SELECT FROM ${s}.record WHERE lane = 3 AND reason IN ('NoHandler', 'NewerPayload')),
      ${nextMaintenance(s)}
    INTO v_worker, v_lease_until, v_wakes_until, v_handles, v_events, v_agenda, v_expired, v_cancels, v_parked, v_maintain
    FROM ${s}.worker WHERE id = p_worker;
  IF NOT FOUND THEN
    INSERT INTO ${s}.worker AS k (id, lease_until, queues) VALUES (p_worker, v_now, p_queues)
      ON CONFLICT (id) DO UPDATE SET id = k.id
      RETURNING num, lease_until, wakes_until, handles INTO v_worker, v_lease_until, v_wakes_until, v_handles;
    v_events := true;
    v_agenda := true;
    v_expired := true;
    v_cancels := true;
    v_parked := v_handles <> '[]';
  END IF;
  -- One that somebody has locked is being made part of another.
  IF cardinality(p_done) > 0 THEN
    DELETE FROM ${s}.claimed WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM ${s}.claimed WHERE worker = v_worker AND num = ANY (p_done) FOR UPDATE SKIP LOCKED));
  END IF;

  -- What fails gives its slot back by itself, one after the other: all keys that this settles are locked before, in their order. Of
  -- a record that is not this worker's any more nothing is: a caller's transaction may have it locked.
  IF p_others IS NOT NULL THEN
    SELECT array_agg(DISTINCT key) INTO v_owned FROM (
      SELECT key FROM ${s}.record
      WHERE id = ANY (p_ids || ARRAY(SELECT (e ->> 'id')::uuid FROM json_array_elements(p_others) e))
        AND worker = v_worker AND key IS NOT NULL
      FOR UPDATE) r;
    IF v_owned IS NOT NULL THEN ${locking(s, "v_owned")}; END IF;
  END IF;
  IF cardinality(p_ids) > 0 THEN
    v_lost := ${s}.complete(v_worker, p_worker, p_ids, p_fences, p_afters, p_results, p_traces, v_now, v_events);
  END IF;
  IF p_others IS NOT NULL THEN
    FOR x IN SELECT e FROM json_array_elements(p_others) e LOOP
      v_other := ${s}.settle_one(x, v_now);
      -- Of a completion of which nothing is kept its worker knows alone, whatever it is sent again as.
      IF v_other = 'LeaseLost' AND EXISTS (SELECT FROM ${s}.spent p, unnest(p.ids, p.fences) AS u(id, fence)
        WHERE p.worker = v_worker AND u.id = (x ->> 'id')::uuid AND u.fence = (x ->> 'fence')::int) THEN
        v_other := 'Done';
      END IF;
      v_others := v_others || v_other;
    END LOOP;
    v_agenda := EXISTS (SELECT FROM ${s}.agenda);
  END IF;

  IF v_agenda THEN v_next := ${s}.tend_agenda(v_now); END IF;
  IF v_parked THEN PERFORM ${s}.unpark(v_handles, v_now); END IF;

  IF p_total > 0 THEN
    IF v_expired THEN v_expired := ${s}.expire(v_now, 1000) >= 1000; END IF;
    v_taken := array_fill(0, ARRAY[cardinality(p_queues)]);
    v_short := array_fill(false, ARRAY[cardinality(p_queues)]);
    FOR i IN 1 .. cardinality(p_queues) LOOP
      SELECT (SELECT CASE WHEN paused THEN 2 WHEN limited THEN 1 END FROM ${s}.queue WHERE name = p_queues[i]),
          (SELECT opens_at FROM ${s}.key WHERE opens_at IS NOT NULL ORDER BY opens_at LIMIT 1),
          (SELECT due FROM ${s}.record WHERE queue = p_queues[i] AND lane = 2 ORDER BY due, place LIMIT 1),
          EXISTS (SELECT FROM ${s}.record
            WHERE queue = p_queues[i] AND lane = 0 AND state = 0 AND priority < p_mark_priorities[i])
        INTO v_stops, v_opens, v_due, v_better;
      IF v_opens <= v_now THEN v_opens := ${s}.tend_keys(v_now); END IF;
      v_next := least(v_next, v_opens);
      IF v_stops = 2 THEN
        v_taken[i] := NULL;
        CONTINUE;
      END IF;
      IF v_due <= v_now THEN
        v_due := ${s}.promote(p_queues[i], v_now, greatest(200, 2 * p_total));
        v_promoted := v_promoted || p_queues[i];
        v_better := EXISTS (SELECT FROM ${s}.record
          WHERE queue = p_queues[i] AND lane = 0 AND state = 0 AND priority < p_mark_priorities[i]);
      END IF;
      v_next := least(v_next, v_due);
      -- A better priority than that of the mark is not behind it.
      IF v_better THEN p_mark_priorities[i] := -1000; END IF;
      IF v_stops = 1 THEN
        SELECT o_room, o_opens INTO n, v_opens FROM ${s}.queue_room(p_queues[i], v_now);
        v_rooms[i] := n;
        p_slots[i] := least(p_slots[i], n);
        p_shares[i] := least(p_shares[i], n);
        IF n = 0 THEN
          v_taken[i] := NULL;
          IF ${mayClaim(s)} THEN v_next := least(v_next, v_opens); END IF;
        END IF;
      END IF;
    END LOOP;
    -- The shares first; what they leave is given out in the order of the demands.
    FOREACH v_share IN ARRAY ARRAY[true, false] LOOP
      FOR i IN 1 .. cardinality(p_queues) LOOP
        n := least(CASE WHEN v_share THEN p_shares[i] ELSE p_slots[i] END - v_taken[i], p_total - v_claimed);
        CONTINUE WHEN v_taken[i] IS NULL OR NOT v_share AND p_shares[i] > 0 AND v_taken[i] < p_shares[i];
        WHILE n > 0 LOOP
          ${claiming(s)}
          IF v_ids IS NOT NULL THEN
            -- \`concat\` would copy the lines four times, which may be megabytes.
            v_claims := v_claims || E'\\x1d' || p_queues[i] || E'\\x1f' || v_claim || E'\\x1e' || v_lines;
            v_taken[i] := v_taken[i] + cardinality(v_ids);
            v_claimed := v_claimed + cardinality(v_ids);
            n := n - cardinality(v_ids);
            IF v_rooms[i] IS NOT NULL THEN PERFORM ${s}.queue_starts(p_queues[i], v_ids, v_now); END IF;
            IF v_events THEN
              PERFORM ${s}.tell('started', r, NULL, v_now) FROM ${s}.record r WHERE r.id = ANY (v_ids);
            END IF;
            -- What it has just claimed it need not pass again.
            IF v_last IS NOT NULL THEN
              p_mark_priorities[i] := v_last[1];
              p_mark_turns[i] := v_last[2];
              p_mark_places[i] := v_last[3];
            END IF;
          END IF;
          -- A key that others have locked; one that took its records back, whose places are free for others.
          IF v_starts = -1 THEN v_next := least(v_next, v_now + 20); END IF;
          IF v_starts = 0 THEN
            v_starts := NULL;
            CONTINUE;
          END IF;
          -- It came back short: once more from behind the mark.
          v_short[i] := n > 0;
          EXIT WHEN (p_mark_priorities[i], p_mark_turns[i], p_mark_places[i])
            <= (p_trail_priorities[i], p_trail_turns[i], p_trail_places[i]);
          IF n > 0 THEN
            p_mark_priorities[i] := p_trail_priorities[i];
            p_mark_turns[i] := p_trail_turns[i];
            p_mark_places[i] := p_trail_places[i];
          END IF;
        END LOOP;
      END LOOP;
    END LOOP;
    -- What is left in a queue of which a claim came back short in the end, others have locked: to ask for it at once again
    -- would go on for as long as they do.
    FOR i IN 1 .. cardinality(p_queues) LOOP
      CONTINUE WHEN v_taken[i] IS NULL OR v_short[i];
      -- By itself: an expression that has a subquery costs its start even where it is not come to.
      IF ${mayClaim(s)} THEN
        IF v_taken[i] >= v_rooms[i] THEN
          v_next := least(v_next, (SELECT o_opens FROM ${s}.queue_room(p_queues[i], v_now)));
        ELSE
          v_more := v_more || p_queues[i];
          -- Not everybody has a timer of its own for what has fallen due.
          IF p_queues[i] = ANY (v_promoted) THEN PERFORM ${s}.wake(p_queues[i], v_now, v_taken[i]); END IF;
        END IF;
      END IF;
    END LOOP;
    -- There is more that may not start any more, and what stands behind it may.
    IF v_expired THEN v_more := p_queues; END IF;
    -- So many others keep watch for what falls due, and call who is needed: without a timer of its own it polls.
    IF v_next IS NOT NULL AND v_claimed < p_total AND EXISTS (
      SELECT FROM ${s}.worker WHERE num < v_worker AND wakes_until > v_now AND queues && p_queues OFFSET ${watches - 1}
    ) THEN
      v_next := NULL;
    END IF;
    -- It is about to sleep: whoever enqueues from now on wakes it. What was stored before it could be seen is found by
    -- looking once more.
    IF v_claimed < p_total AND v_wakes_until < v_now + 5000 THEN
      v_wake := true;
      IF v_claimed = 0 THEN v_more := p_queues; END IF;
    END IF;
  ELSIF cardinality(p_ids) = 0 AND p_others IS NULL THEN
    PERFORM ${s}.pass_on(v_worker, v_now);
  END IF;

  IF v_wake OR v_claimed > 0 AND v_lease_until < v_now + p_lease - p_lease / 10 THEN
    UPDATE ${s}.worker AS k SET
      lease_until = CASE WHEN v_claimed > 0 THEN greatest(k.lease_until, v_now + p_lease) ELSE k.lease_until END,
      ended = k.ended AND v_claimed = 0,
      -- Until it renews: one that is idle by then is woken for as long as its lease holds.
      wakes_until = CASE WHEN v_wake THEN v_now + greatest(10000, p_lease / 3 + 1000) ELSE k.wakes_until END,
      queues = CASE WHEN k.queues @> p_queues THEN k.queues ELSE p_queues END
    -- Where it is not there any more it has left meanwhile: what this claims, housekeeping gives back.
    WHERE k.num = v_worker;
  END IF;

  -- As it was at first, unless more than claims and completions may have changed it.
  IF v_maintain IS NULL OR v_maintain <= v_now OR p_others IS NOT NULL OR v_agenda THEN
    v_maintain := v_now + ${s}.maintain_in(v_now);
  ELSIF v_claimed > 0 THEN
    v_maintain := least(v_maintain, v_now + p_lease);
  END IF;
  -- \`greatest\` alone takes NULL for less than 0: an idle worker would never sleep.
  RETURN concat(
    '{"now":', v_now, ',"lost":', to_json(v_lost), ',"others":', to_json(v_others), ',"more":', to_json(v_more),
    ',"nextDueIn":', CASE WHEN v_next IS NULL THEN 'null' ELSE greatest(0, v_next - v_now)::text END,
    ',"maintainIn":', v_maintain - v_now,
    ',"cancel":', CASE WHEN v_cancels OR p_others IS NOT NULL OR v_agenda THEN ${s}.take_cancels(v_worker) ELSE '[]' END,
    '}') || v_claims;
END $$`

/** As release 0.1.0 asks, which takes all payloads in the answer. */
export const exchangeWhole = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.exchange(
  ${asked}
) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RETURN ${s}.exchange(${namesOf(asked)}, NULL);
END $$`

/** Workers of a queue that have a timer for what falls due next. With one each, all that sleep would ask at that instant. */
const watches = 16

/**
 * Due records become ready, in the order in which they fell due, in a bounded chunk; and those that waited for a signal no
 * longer than until now. Answers when to look again: what a
 * transaction has locked is not asked for without a pause, nor are those of a key that somebody has.
 */
export const promote = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.promote(p_queue text, p_now bigint, p_count int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_count int;
  v_keyed uuid[];
  v_names text[];
  v_free text[];
  v_away text[] := '{}';
  v_id uuid;
  r ${s}.record;
BEGIN
  WITH due AS MATERIALIZED (
    SELECT id FROM ${s}.record WHERE queue = p_queue AND lane = 2 AND due <= p_now
    ORDER BY due, place LIMIT p_count FOR UPDATE SKIP LOCKED
  ), turns AS MATERIALIZED (SELECT id, nextval('${s}.place') AS place FROM due),
  moved AS (
    UPDATE ${s}.record q SET state = 0, lane = CASE WHEN q.crashes > 0 OR q.flags & 16 = 16 THEN 1 ELSE 0 END, due = NULL,
      place = t.place, ready_at = q.due, at = p_now
    FROM turns t WHERE q.id = t.id AND q.key IS NULL AND q.state = 2 RETURNING q.id
  ), counted AS (
    INSERT INTO ${s}.delta (queue, scheduled, ready) SELECT p_queue, -count(*), count(*) FROM moved HAVING count(*) > 0
  )
  SELECT count(*), array_agg(t.id ORDER BY t.place) FILTER (WHERE t.id NOT IN (SELECT id FROM moved))
    INTO v_count, v_keyed FROM turns t;
  v_names := ARRAY(SELECT DISTINCT key FROM ${s}.record WHERE id = ANY (v_keyed) AND key IS NOT NULL);
  IF v_names <> '{}' THEN
    ${lockingFree(s, "v_names", "v_free", "v_away")};
  END IF;
  FOREACH v_id IN ARRAY coalesce(v_keyed, '{}') LOOP
    SELECT * INTO r FROM ${s}.record WHERE id = v_id;
    CONTINUE WHEN r.key = ANY (v_away);
    PERFORM ${s}.let_run(r, p_now, p_now, false);
  END LOOP;
  RETURN least(
    CASE WHEN EXISTS (SELECT FROM ${s}.record WHERE queue = p_queue AND lane = 2 AND due <= p_now) THEN
      p_now + CASE WHEN v_away <> '{}' THEN 20 WHEN v_count < p_count THEN 200 ELSE 0 END END,
    (SELECT due FROM ${s}.record WHERE queue = p_queue AND lane = 2 AND due > p_now ORDER BY due, place LIMIT 1));
END $$`

/** Releases parked records that this worker can run, at the place that they had. */
export const unpark = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.unpark(p_handles jsonb, p_now bigint) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  r ${s}.record;
  v_count int := 0;
BEGIN
  FOR r IN
    SELECT p.* FROM jsonb_to_recordset(p_handles) AS h(tag text, version int)
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
  RETURN greatest(0, ${nextMaintenance(s)} - p_now);
END $$`

const nextMaintenance = (s: string): string =>
  `least(
      (SELECT min(lease_until) FROM ${s}.worker WHERE NOT ended),
      (SELECT expires FROM ${s}.record WHERE expires IS NOT NULL ORDER BY expires LIMIT 1),
      (SELECT attend_at FROM ${s}.schedule WHERE attend_at IS NOT NULL ORDER BY attend_at LIMIT 1),
      (SELECT next_at FROM ${s}.housekeeping))`

/** What an attempt finds of earlier ones and of what it waited for: checkpoints up to 64 KiB, results by name of a hundred at most. */
export const extraOf = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.extra_of(p_id uuid) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (
    SELECT json_build_object('checkpoints', kept, 'isCut', is_cut,
      'results', (SELECT CASE WHEN count(*) <= 100 THEN json_object_agg(name, CASE WHEN state = 4 THEN value END) END
        FROM (SELECT * FROM ${s}.dependency WHERE child = p_id AND state IS NOT NULL LIMIT 101) d))::text
    FROM (
      SELECT json_object_agg(name, value) FILTER (WHERE total <= 65536 OR name LIKE '!%') AS kept,
        bool_or(total > 65536) AS is_cut
      FROM (SELECT name, value, sum(octet_length(value)) OVER (ORDER BY name) AS total
        FROM ${s}.checkpoint WHERE id = p_id) c) kept_ones);
END $$`

/** Whether a worker runs a record that has crashed others. */
export const hasSuspect = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.has_suspect(p_num int) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN EXISTS (SELECT FROM ${s}.worker w JOIN ${s}.record r ON r.id = w.suspect
    WHERE w.num = p_num AND r.worker = p_num AND r.crashes > 0);
END $$`
