/** Storing records. */

const columns = `
        id, place, at, enqueued_at, ready_at, version, state, lane, priority, queue, tag, payload, spec, retention,
        expire_at, expires, due`

/**
 * Records without keys and dependencies, in one statement. An id that is there already is left alone. Answers the ids that
 * were stored, NULL for all of them.
 *
 * Cost: per record a heap row and two index entries; per call and queue one row of counts. Ids are new as a rule, so the
 * first try does without ON CONFLICT, whose speculative insertion costs a quarter more time and 48 bytes of log a record.
 */
export const enqueue = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.enqueue_plain(
  p_ids uuid[], p_tags text[], p_versions int[], p_queues text[], p_priorities int[], p_delays bigint[],
  p_run_ats bigint[], p_start_befores bigint[], p_retentions text[], p_specs text[], p_payloads text[],
  p_transaction boolean
) RETURNS uuid[] LANGUAGE plpgsql AS $$
DECLARE
  v_now bigint := ${s}.clock();
  v_stored uuid[] := p_ids;
  v_queues text[];
  v_many int[];
BEGIN
  BEGIN
    WITH ${storing(s, "")}
    SELECT array_agg(queue), array_agg(many) INTO v_queues, v_many FROM counted;
  EXCEPTION WHEN unique_violation THEN
    WITH ${storing(s, "ON CONFLICT (id) DO NOTHING")}
    SELECT (SELECT array_agg(id) FROM stored), array_agg(queue), array_agg(many) INTO v_stored, v_queues, v_many FROM counted;
  END;
  PERFORM ${s}.wake(queue, CASE WHEN p_transaction OR ${s}.clock() > v_now + 1000 THEN -1 ELSE v_now END, many)
    FROM unnest(v_queues, v_many) AS stored(queue, many);
  IF EXISTS (SELECT FROM ${s}.listener WHERE until > v_now) THEN
    PERFORM ${s}.tell('enqueued', r, NULL, v_now) FROM ${s}.record r WHERE r.id = ANY (v_stored);
  END IF;
  -- All of them as a rule, which takes no list.
  RETURN CASE WHEN cardinality(v_stored) = cardinality(p_ids) THEN NULL ELSE coalesce(v_stored, '{}') END;
END $$`

const storing = (s: string, onConflict: string): string =>
  `stored AS (
      INSERT INTO ${s}.record (${columns})
      SELECT id, nextval('${s}.place'), greatest(due, v_now), v_now, v_now, version,
        CASE WHEN due > v_now THEN 2 ELSE 0 END, CASE WHEN due > v_now THEN 2 ELSE 0 END, priority, queue, tag, payload,
        spec, retention, due + start_before, due + start_before, CASE WHEN due > v_now THEN due END
      FROM (
        SELECT g.*, coalesce(g.run_at, v_now + g.delay) AS due FROM unnest(
          p_ids, p_tags, p_versions, p_queues, p_priorities, p_delays, p_run_ats, p_start_befores, p_retentions, p_specs,
          p_payloads
        ) AS g(id, tag, version, queue, priority, delay, run_at, start_before, retention, spec, payload)
      ) given ${onConflict}
      RETURNING ${onConflict === "" ? "" : "id, "}queue, state
    ), counted AS (
      INSERT INTO ${s}.delta (queue, ready, scheduled)
      SELECT queue, count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 2) FROM stored GROUP BY queue
      RETURNING queue, ready + scheduled AS many
    )`

/**
 * The same for one record, by itself: to start the plan of a batch takes more than three times what its row does (callgrind:
 * 650,000 instructions a call for that of a batch of one). Says whether it was stored. p_transaction NULL: nobody is woken.
 */
export const enqueueLone = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.enqueue_lone(
  p_id uuid, p_tag text, p_version int, p_queue text, p_priority int, p_delay bigint, p_run_at bigint,
  p_start_before bigint, p_retention text, p_spec text, p_payload text, p_transaction boolean
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  v_now bigint := ${s}.clock();
  v_due bigint := coalesce(p_run_at, v_now + p_delay);
  v_waits boolean := v_due > v_now;
  v_wakes boolean;
  v_events boolean;
BEGIN
  INSERT INTO ${s}.record (${columns})
    VALUES (p_id, nextval('${s}.place'), greatest(v_due, v_now), v_now, v_now, p_version,
      CASE WHEN v_waits THEN 2 ELSE 0 END, CASE WHEN v_waits THEN 2 ELSE 0 END, p_priority, p_queue, p_tag, p_payload,
      p_spec, p_retention, v_due + p_start_before, v_due + p_start_before, CASE WHEN v_waits THEN v_due END)
    ON CONFLICT (id) DO NOTHING;
  IF NOT FOUND THEN RETURN false; END IF;
  INSERT INTO ${s}.delta (queue, ready, scheduled) VALUES (p_queue, (NOT v_waits)::int, v_waits::int);
  -- By itself, for a call of \`wake\` costs more than to see that nobody sleeps.
  SELECT EXISTS (SELECT FROM ${s}.listener WHERE until > v_now),
      p_transaction OR p_transaction IS NOT NULL
        AND EXISTS (SELECT FROM ${s}.worker WHERE wakes_until > v_now AND p_queue = ANY (queues))
    INTO v_events, v_wakes;
  IF v_wakes THEN PERFORM ${s}.wake(p_queue, CASE WHEN p_transaction THEN -1 ELSE v_now END, 1); END IF;
  IF v_events THEN PERFORM ${s}.tell('enqueued', r, NULL, v_now) FROM ${s}.record r WHERE r.id = p_id; END IF;
  RETURN true;
END $$`

/**
 * One record with whatever it has: an idempotency key first, then the unique key, then its dependencies, its own key last.
 *
 * In a caller's transaction it takes no lock that a settlement or a claim needs: what would be admitted by looking at such
 * a row is left blocked on the agenda, and the first exchange after the commit looks.
 */
export const enqueueOne = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.enqueue_one(
  x json, p_now bigint, p_again boolean, p_transaction boolean, OUT o_id uuid, OUT o_outcome text
) LANGUAGE plpgsql AS $$
DECLARE
  r ${s}.record;
  v_idem text := x ->> 'idempotencyKey';
  v_key text := x ->> 'uniqueKey';
  v_due bigint := coalesce((x ->> 'runAt')::bigint, p_now + (x ->> 'delay')::bigint);
  v_owner uuid;
  v_after uuid;
  -- What an attempt stores again, which runs again, may have ended meanwhile: the caller has passed over what \`stored_before\` knows.
  v_again boolean := p_again OR x -> 'again' IS NOT NULL;
  -- It is dead as soon as it is stored when one of them has failed.
  v_depends boolean := json_array_length(coalesce(x -> 'dependencies', '[]')) > 0;
BEGIN
  o_id := (x ->> 'id')::uuid;
  o_outcome := 'Inserted';
  IF ${s}.is_stored(o_id, v_again OR v_depends, p_now) THEN
    o_outcome := 'Existing';
    RETURN;
  END IF;
  IF x -> 'dependents' IS NOT NULL THEN
    v_owner := ${s}.begun_of(x -> 'dependents');
    IF v_owner IS NOT NULL THEN
      o_id := v_owner;
      o_outcome := 'Begun';
      RETURN;
    END IF;
  END IF;

  IF v_idem IS NOT NULL THEN
    INSERT INTO ${s}.idem AS i (tag, key, id) VALUES (x ->> 'tag', v_idem, o_id)
      ON CONFLICT (tag, key) DO UPDATE SET id = i.id RETURNING id INTO v_owner;
    IF v_owner <> o_id THEN
      IF ${s}.is_stored(v_owner, true, p_now) THEN
        o_id := v_owner;
        o_outcome := 'Existing';
        RETURN;
      END IF;
      UPDATE ${s}.idem SET id = o_id WHERE tag = x ->> 'tag' AND key = v_idem;
    END IF;
  END IF;

  r.id := o_id;
  r.place := nextval('${s}.place');
  r.turn := 0;
  r.at := greatest(v_due, p_now);
  r.enqueued_at := p_now;
  r.ready_at := p_now;
  r.expire_at := v_due + (x ->> 'startBefore')::bigint;
  r.begun_at := 0;
  r.worker := 0;
  r.fence := 0;
  r.settled := 0;
  r.attempt := 0;
  r.version := (x ->> 'version')::int;
  r.key_limit := (x ->> 'keyLimit')::int;
  r.state := 3;
  r.priority := (x ->> 'priority')::int;
  r.crashes := 0;
  r.flags := (v_key IS NOT NULL)::int | CASE WHEN v_idem IS NULL THEN 0 ELSE 32 END
    | CASE WHEN (x ->> 'awaited')::boolean THEN 1024 ELSE 0 END;
  r.queue := x ->> 'queue';
  r.tag := x ->> 'tag';
  r.key := x ->> 'key';
  r.retention := x ->> 'retention';
  r.spec := x ->> 'spec';
  r.payload := x ->> 'payload';
  IF x -> 'cancelOn' IS NOT NULL THEN r.listens := ARRAY(SELECT json_array_elements_text(x -> 'cancelOn')); END IF;

  IF v_key IS NOT NULL THEN
    SELECT u.o_id, u.o_outcome, u.o_after, coalesce(u.o_due, v_due) INTO o_id, o_outcome, v_after, v_due
      FROM ${s}.take_unique(x, r, v_due, p_now, p_transaction) u;
    IF o_outcome = 'Replaced' AND v_idem IS NOT NULL THEN
      UPDATE ${s}.idem SET id = o_id WHERE tag = r.tag AND key = v_idem;
    ELSIF o_outcome <> 'Inserted' AND v_idem IS NOT NULL THEN
      DELETE FROM ${s}.idem WHERE tag = r.tag AND key = v_idem AND id = r.id;
    END IF;
    IF o_outcome = 'Replaced' AND NOT p_transaction THEN
      -- For a call that is made again because its reply was lost.
      INSERT INTO ${s}.spent (worker, at, ids, fences) VALUES (-1, p_now, ARRAY[r.id, o_id], '{0,0}');
    END IF;
    IF o_outcome <> 'Inserted' THEN RETURN; END IF;
    r.at := greatest(v_due, p_now);
    r.expire_at := v_due + (x ->> 'startBefore')::bigint;
    IF v_after IS NOT NULL THEN
      r.reason := 'Unique';
      r.blocked_on := v_after::text;
    END IF;
  END IF;

  IF v_depends THEN
    r.reason := coalesce(r.reason, 'Dependencies');
    r.flags := r.flags | 2048;
  ELSIF r.reason IS NULL AND r.key IS NOT NULL AND p_transaction AND v_due <= p_now THEN
    r.reason := 'ConcurrencyKey';
    r.blocked_on := r.key;
  END IF;
  PERFORM ${s}.insert_record(r);
  PERFORM ${s}.count_move(r.queue, NULL, NULL, 3, r.reason);
  PERFORM ${s}.tell('enqueued', r, NULL, p_now);

  IF r.flags & 2048 = 2048 THEN
    INSERT INTO ${s}.dependency (child, parent, on_failure, name)
      SELECT r.id, (e ->> 'id')::uuid, (e ->> 'onFailure')::int, e ->> 'name'
      FROM json_array_elements(x -> 'dependencies') e ON CONFLICT DO NOTHING;
  END IF;
  IF x -> 'dependents' IS NOT NULL THEN
    INSERT INTO ${s}.dependency (child, parent, on_failure, name)
      SELECT (e ->> 'id')::uuid, r.id, (e ->> 'onFailure')::int, e ->> 'name'
      FROM json_array_elements(x -> 'dependents') e ON CONFLICT DO NOTHING;
  END IF;
  -- Of a batch that is one thing all others are stored already, and know that they are waited for.
  IF r.reason = 'Dependencies' AND (x ->> 'within')::boolean THEN RETURN; END IF;
  IF r.reason IS NULL THEN
    PERFORM ${s}.let_run(r, v_due, p_now, false, p_transaction);
  ELSIF p_transaction THEN
    INSERT INTO ${s}.agenda (id) VALUES (r.id);
    PERFORM ${s}.wake(r.queue, -1, 1);
  ELSE
    PERFORM ${s}.tend(r.id, p_now);
  END IF;
END $$`

/** Whether a record has this id: among the live ones, and on request in history. */
export const isStored = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.is_stored(p_id uuid, p_history boolean, p_now bigint) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN EXISTS (SELECT FROM ${s}.record WHERE id = p_id)
    OR p_history AND EXISTS (
      SELECT FROM ${s}.history WHERE id = p_id AND (expires_at IS NULL OR expires_at > p_now));
END $$`

/**
 * Of records that may have been stored before, those that were, but for what history has: by id the record itself, or another one that
 * got its contents, and has perhaps run with them meanwhile. NULL where there is none.
 *
 * What has run, and of which nothing is kept, is found by one look at all of the last minute: so for many at once, and only where
 * some of them do not live. What lives at that instant may have ended a moment later, so the caller passes it over as well.
 */
export const storedBefore = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.stored_before(p_ids uuid[]) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v_live jsonb;
  v_rest uuid[];
BEGIN
  IF p_ids = '{}' THEN RETURN NULL; END IF;
  SELECT jsonb_object_agg(id, id) INTO v_live FROM ${s}.record WHERE id = ANY (p_ids);
  v_rest := ARRAY(SELECT id FROM unnest(p_ids) AS g(id) WHERE v_live IS NULL OR NOT v_live ? id::text);
  IF v_rest = '{}' THEN RETURN v_live; END IF;
  RETURN nullif(coalesce(v_live, '{}') || (
    SELECT coalesce(jsonb_object_agg(id, owner), '{}') FROM (
      SELECT id, id AS owner FROM ${s}.gone WHERE id = ANY (v_rest)
      -- In these words a lookup in a table of them, which the planner would turn into a join.
      UNION ALL SELECT u.id, CASE WHEN p.worker = -1 THEN p.ids[2] ELSE u.id END
        FROM ${s}.spent p, unnest(p.ids) AS u(id) WHERE (u.id IN (SELECT unnest(v_rest))) IS TRUE) f), '{}');
END $$`

/**
 * Does what events do to all that has not ended and listens to them, in one order for everybody: cancels it, or completes a
 * waitpoint. Not to the records of the call itself: one that is sent again finds those that it has stored.
 */
export const happen = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.happen(p_events json, p_records json, p_now bigint, p_transaction boolean) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  e record;
  v_own uuid[] := ARRAY(
    SELECT (o ->> 'id')::uuid FROM json_array_elements(p_records) o
    UNION ALL SELECT i.id FROM json_array_elements(p_records) o
      JOIN ${s}.idem i ON i.tag = o ->> 'tag' AND i.key = o ->> 'idempotencyKey');
BEGIN
  FOR e IN
    SELECT r.id, c.reason, c.waitpoint, c.value
    FROM ROWS FROM (json_to_recordset(p_events) AS ("on" text, reason text, waitpoint text, value text))
      WITH ORDINALITY AS c("on", reason, waitpoint, value, n)
      JOIN ${s}.record r ON r.listens @> ARRAY[c."on" COLLATE "C"] WHERE r.id <> ALL (v_own)
      ORDER BY r.id, c.n
  LOOP
    IF e.waitpoint IS NULL THEN
      PERFORM ${s}.control_one(e.id, 'Cancel', e.reason, NULL, NULL, NULL, NULL, NULL, p_now, p_transaction);
    ELSE
      PERFORM ${s}.signal(e.id, e.waitpoint, e.value, p_transaction);
    END IF;
  END LOOP;
END $$`

/** What a batch may change beside what it stores: what it replaces, what is to wait for it, and what listens to its events. */
export const changedBy = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.changed_by(p_records json, p_events json) RETURNS uuid[] LANGUAGE plpgsql AS $$
BEGIN
  RETURN ARRAY(
    SELECT o.id FROM json_array_elements(p_records) x
      JOIN ${s}.uniq u ON u.tag = x ->> 'tag' AND u.key = x ->> 'uniqueKey', 
        unnest(ARRAY[CASE WHEN x ->> 'onConflict' <> 'runAfter' THEN u.id END, u.successor]) AS o(id)
      WHERE x ->> 'onConflict' <> 'keep'
    UNION ALL SELECT (d ->> 'id')::uuid FROM json_array_elements(p_records) x, json_array_elements(x -> 'dependents') d
    UNION ALL SELECT r.id FROM json_to_recordset(p_events) AS e("on" text)
      JOIN ${s}.record r ON r.listens @> ARRAY[e."on" COLLATE "C"]);
END $$`

/**
 * Records of any kind, each for itself, in the order in which they were given. A batch that would replace a member of a flow
 * is refused whole: the conflict with its holder's id, the others as such. One that is one thing is stored unless the record
 * that stands for it (p_whole) is known, and is refused when the unique key of another one is not to be had.
 */
export const enqueueEach = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.enqueue_each(
  p_records json, p_again boolean, p_transaction boolean, p_whole uuid DEFAULT NULL, p_events json DEFAULT NULL
) RETURNS TABLE (id uuid, outcome text) LANGUAGE plpgsql AS $$
DECLARE
  v_now bigint := ${s}.clock();
  x json;
  v_ids uuid[] := '{}';
  v_outcomes text[] := '{}';
  v_owner uuid;
  v_rest json := p_records;
  v_before jsonb;
BEGIN
  BEGIN
    -- Of more than one thing whatever another transaction may hold comes first: see \`claim_keys\`.
    IF json_array_length(p_records) > 1 OR p_events IS NOT NULL THEN
      PERFORM ${s}.claim_keys(p_records, v_now);
      IF NOT p_transaction THEN PERFORM ${s}.lock_all_resting(${s}.changed_by(p_records, p_events)); END IF;
    END IF;
    IF p_whole IS NOT NULL THEN
      SELECT e INTO x FROM json_array_elements(p_records) e WHERE e ->> 'id' = p_whole::text;
      SELECT i.id INTO v_owner FROM ${s}.idem i WHERE i.tag = x ->> 'tag' AND i.key = x ->> 'idempotencyKey';
      v_owner := coalesce(v_owner, p_whole);
      -- Also in history: it may have ended in the call that stored it, with a member that was dead as soon as it was stored.
      IF ${s}.is_stored(v_owner, true, v_now) THEN RAISE EXCEPTION USING ERRCODE = 'CAP03'; END IF;
    END IF;
    IF p_events IS NOT NULL THEN PERFORM ${s}.happen(p_events, p_records, v_now, p_transaction); END IF;
    -- After those that it waits for: what has keys stands behind its batch.
    IF p_whole IS NOT NULL THEN v_rest := ${s}.enqueue_members(p_records, v_now, p_transaction); END IF;
    v_before := ${s}.stored_before(ARRAY(
      SELECT (e ->> 'id')::uuid FROM json_array_elements(v_rest) e WHERE p_again OR e -> 'again' IS NOT NULL));
    FOR x IN SELECT e FROM json_array_elements(v_rest) e LOOP
      id := (v_before ->> (x ->> 'id')::uuid::text)::uuid;
      IF id IS NULL THEN
        SELECT o.o_id, o.o_outcome INTO id, outcome FROM ${s}.enqueue_one(x, v_now, p_again, p_transaction) o;
      ELSE
        outcome := CASE WHEN id = (x ->> 'id')::uuid THEN 'Existing' ELSE 'Replaced' END;
      END IF;
      IF p_whole IS NOT NULL AND outcome IN ('Existing', 'Replaced') THEN outcome := 'UniqueConflict'; END IF;
      v_ids := v_ids || id;
      v_outcomes := v_outcomes || outcome;
    END LOOP;
    IF v_outcomes && ARRAY['UniqueConflict', 'Begun'] AND (
      cardinality(v_outcomes) > 1 OR p_whole IS NOT NULL OR p_events IS NOT NULL) THEN
      RAISE EXCEPTION USING ERRCODE = 'CAP01';
    END IF;
    IF p_whole IS NOT NULL THEN
      RETURN QUERY SELECT (e ->> 'id')::uuid, 'Inserted' FROM json_array_elements(p_records) e;
      RETURN;
    END IF;
  -- What was claimed for it goes with it: nothing of it is stored.
  EXCEPTION WHEN SQLSTATE 'CAP03' THEN
    RETURN QUERY SELECT CASE WHEN e ->> 'id' = p_whole::text THEN v_owner ELSE (e ->> 'id')::uuid END, 'Existing'
      FROM json_array_elements(p_records) e;
    RETURN;
  WHEN SQLSTATE 'CAP01' THEN
    IF p_whole IS NOT NULL THEN
      RETURN QUERY SELECT coalesce(f.id, (r.e ->> 'id')::uuid), coalesce(f.outcome, 'Refused')
        FROM json_array_elements(p_records) WITH ORDINALITY AS r(e, n)
        LEFT JOIN (
          SELECT q.e ->> 'id' AS own, v_ids[q.n] AS id, v_outcomes[q.n] AS outcome
          FROM json_array_elements(v_rest) WITH ORDINALITY AS q(e, n)
          WHERE v_outcomes[q.n] IN ('UniqueConflict', 'Begun')
        ) f ON f.own = r.e ->> 'id' ORDER BY r.n;
      RETURN;
    END IF;
    FOR i IN 1 .. cardinality(v_ids) LOOP
      IF v_outcomes[i] NOT IN ('UniqueConflict', 'Begun') THEN
        v_ids[i] := (p_records -> (i - 1) ->> 'id')::uuid;
        v_outcomes[i] := 'Refused';
      END IF;
    END LOOP;
  END;
  RETURN QUERY SELECT * FROM unnest(v_ids, v_outcomes);
END $$`

/**
 * Stores those of a batch that is one thing which have no keys, with what they wait for, and answers the others. Cost: a few
 * statements for all of them.
 */
export const enqueueMembers = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.enqueue_members(p_records json, p_now bigint, p_transaction boolean) RETURNS json
LANGUAGE plpgsql AS $$
DECLARE
  v_queues text[];
  v_many int[];
  v_rest json;
BEGIN
  WITH given AS (
    SELECT g.*, coalesce(g."runAt", p_now + g.delay) AS goes FROM json_to_recordset(p_records) AS g(
      id uuid, tag text, version int, queue text, priority int, delay bigint, "runAt" bigint, "startBefore" bigint,
      retention text, spec text, payload text, awaited boolean, dependencies json, ${keys})
    WHERE ${isPlain}
  ), stored AS (
    INSERT INTO ${s}.record (${columns}, flags, reason)
    SELECT id, nextval('${s}.place'), greatest(goes, p_now), p_now, p_now, version, ${membersState}, ${membersState}, priority,
      queue, tag, payload, spec, retention, goes + "startBefore", goes + "startBefore",
      CASE WHEN ${membersState} = 2 THEN goes END,
      CASE WHEN awaited THEN 1024 ELSE 0 END | CASE WHEN dependencies IS NULL THEN 0 ELSE 2048 END,
      CASE WHEN dependencies IS NOT NULL THEN 'Dependencies' END
    FROM given RETURNING id, queue, state
  ), counted AS (
    INSERT INTO ${s}.delta (queue, ready, scheduled, blocked)
    SELECT queue, count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 2), count(*) FILTER (WHERE state = 3)
    FROM stored GROUP BY queue RETURNING queue, ready + scheduled AS many
  ), edges AS (
    INSERT INTO ${s}.dependency (child, parent, on_failure, name)
    SELECT g.id, d.id, d."onFailure", d.name
    FROM given g, json_to_recordset(g.dependencies) AS d(id uuid, "onFailure" int, name text) ON CONFLICT DO NOTHING
  )
  SELECT array_agg(queue), array_agg(many) INTO v_queues, v_many FROM counted;
  PERFORM ${s}.wake(queue, CASE WHEN p_transaction OR ${s}.clock() > p_now + 1000 THEN -1 ELSE p_now END, many)
    FROM unnest(v_queues, v_many) AS stored(queue, many);
  IF EXISTS (SELECT FROM ${s}.listener WHERE until > p_now) THEN
    PERFORM ${s}.tell('enqueued', r, NULL, p_now) FROM json_array_elements(p_records) e
      JOIN ${s}.record r ON r.id = (e ->> 'id')::uuid;
  END IF;
  SELECT coalesce(json_agg(r.e ORDER BY r.n), '[]') INTO v_rest
    FROM json_array_elements(p_records) WITH ORDINALITY AS r(e, n), json_to_record(r.e) AS g(${keys}, dependencies json)
    WHERE NOT (${isPlain});
  RETURN v_rest;
END $$`

/** What a record has that is stored by itself. */
const keys = `"idempotencyKey" text, "uniqueKey" text, key text, dependents json, "cancelOn" json, "within" boolean`
const isPlain =
  `g."idempotencyKey" IS NULL AND g."uniqueKey" IS NULL AND g.key IS NULL AND g.dependents IS NULL AND g."cancelOn" IS NULL
      AND (g.dependencies IS NULL OR coalesce(g."within", false))`
const membersState = "CASE WHEN dependencies IS NOT NULL THEN 3 WHEN goes > p_now THEN 2 ELSE 0 END"

/** Whether the attempt still holds its record. Outside a caller's transaction it goes on holding it until the commit. */
export const holdsFence = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.holds_fence(p_id uuid, p_fence int, p_transaction boolean) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
  IF p_transaction THEN
    PERFORM FROM ${s}.record WHERE id = p_id AND fence = p_fence AND state = 1;
  ELSE
    PERFORM ${s}.bound_idle();
    PERFORM FROM ${s}.record WHERE id = p_id AND fence = p_fence AND state = 1 FOR SHARE;
  END IF;
  RETURN FOUND;
END $$`
