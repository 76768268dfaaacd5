/** What nobody's request does: rescue from dead workers, expiry, retention. Bounded work, safe to race. */

export const maintain = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.maintain(p_max_crashes int) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
  v_now bigint := ${s}.clock();
  v_rescued int := 0;
  v_quarantined int := 0;
  v_expired int;
  v_swept int := 0;
  v_mended int := 0;
  v_unclaimed int := 0;
  v_schedules json;
  w ${s}.worker;
  v_counts int[];
BEGIN
  FOR w IN SELECT * FROM ${s}.worker WHERE lease_until <= v_now AND NOT ended ORDER BY num FOR UPDATE SKIP LOCKED LOOP
    v_counts := ${s}.rescue_from(w, p_max_crashes, v_now);
    v_rescued := v_rescued + v_counts[1];
    v_quarantined := v_quarantined + v_counts[2];
    -- Those of many workers that died together would not fit into the time that a call has, and all of it would be undone.
    EXIT WHEN v_rescued + v_quarantined >= 1000;
  END LOOP;
  v_expired := ${s}.expire(v_now, 1000);
  -- One of those who come at the same time does it, and nobody waits for it.
  PERFORM FROM ${s}.housekeeping WHERE next_at <= v_now FOR UPDATE SKIP LOCKED;
  IF FOUND THEN
    UPDATE ${s}.housekeeping SET next_at = v_now + 10000 WHERE only_one;
    PERFORM ${s}.sum_counters();
    v_mended := ${s}.mend(v_now);
    v_unclaimed := ${s}.unclaim(p_max_crashes, v_now);
    v_rescued := v_rescued + v_unclaimed;
    IF EXISTS (SELECT FROM ${s}.queue WHERE limited) THEN PERFORM ${s}.count_started(); END IF;
    DELETE FROM ${s}.worker k WHERE k.ended AND k.lease_until <= v_now - 86400000
      AND NOT EXISTS (SELECT FROM ${s}.claimed c WHERE c.worker = k.num);
    DELETE FROM ${s}.listener WHERE until <= v_now;
    DELETE FROM ${s}.gone WHERE at <= v_now - 3600000;
    -- A worker sends again what it sent last, however long the store was away.
    DELETE FROM ${s}.spent p WHERE p.at <= v_now - 60000
      AND (p.at <= (SELECT max(q.at) FROM ${s}.spent q WHERE q.worker = p.worker) - 60000
        OR NOT EXISTS (SELECT FROM ${s}.worker k WHERE k.num = p.worker));
    -- Last: while it holds a slot that it has emptied, whoever reads history waits.
    v_swept := ${s}.sweep(v_now, 1000);
  END IF;
  IF v_swept >= 1000 OR v_mended >= 1000 OR v_unclaimed >= 1000 THEN
    UPDATE ${s}.housekeeping SET next_at = v_now WHERE only_one;
  END IF;
  -- Their ticks wait for the end of this: nothing may come between.
  v_now := ${s}.clock();
  v_schedules := ${s}.attend_schedules(v_now);
  RETURN json_build_object('rescued', v_rescued, 'quarantined', v_quarantined, 'expired', v_expired, 'swept', v_swept,
    'now', v_now, 'schedules', v_schedules,
    -- What is due and was not done, others have locked: it is not asked for without a pause.
    'maintainIn', CASE WHEN v_rescued + v_quarantined >= 1000 OR v_expired >= 1000 OR v_swept >= 1000 OR json_array_length(v_schedules) >= 100 THEN 0
      ELSE coalesce(nullif(${s}.maintain_in(v_now), 0), 200) END);
END $$`

/**
 * All of a dead worker's records in one step: whom its death is charged to depends on all that it held. When it died with
 * a record that had crashed others before, that one is to blame; else all of them may be (P10).
 *
 * A record that somebody has locked is left, as what its worker has claimed, for `unclaim` to find: one session that is stuck, in
 * its transaction or behind another's, would else stop the rescue of everybody.
 */
export const rescueFrom = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.rescue_from(w ${s}.worker, p_max_crashes int, p_now bigint) RETURNS int[]
LANGUAGE plpgsql AS $$
DECLARE
  r ${s}.record;
  v_running uuid[] := ${s}.running(w.num, false);
  v_suspect uuid;
  v_charged boolean;
  v_crashes int;
  v_cancel text;
  v_rescued int := 0;
  v_quarantined int := 0;
BEGIN
  SELECT id INTO v_suspect FROM ${s}.record WHERE id = ANY (v_running) AND worker = w.num AND crashes > 0 LIMIT 1;
  -- Of what was left before, the one that was to blame is gone.
  IF v_suspect IS NULL AND w.ended THEN v_suspect := w.suspect; END IF;
  FOR r IN SELECT * FROM ${s}.record WHERE id = ANY (v_running) AND worker = w.num ORDER BY place FOR UPDATE SKIP LOCKED LOOP
    v_charged := v_suspect IS NULL OR r.id = v_suspect;
    SELECT reason INTO v_cancel FROM ${s}.cancel WHERE id = r.id;
    IF NOT FOUND THEN v_cancel := NULL; END IF;
    v_crashes := r.crashes + (v_charged AND v_cancel IS NULL)::int;
    r := ${s}.end_attempt(r, 'crashed', p_now,
      CASE WHEN v_charged THEN '{"kind":"Crashed","message":"its worker''s lease ended"}'::jsonb END, NULL);
    r.crashes := v_crashes;
    IF v_cancel IS NOT NULL AND NOT ${s}.must_undo(r, 'Cancel', v_cancel) THEN
      PERFORM ${s}.finish(r, 5, v_cancel, NULL, p_now);
    ELSIF v_crashes >= p_max_crashes AND (${s}.is_ending(r) OR NOT ${s}.must_undo(r, 'Dead', 'Crashed')) THEN
      PERFORM ${s}.bury(r, 'Crashed', p_now);
      v_quarantined := v_quarantined + 1;
      CONTINUE;
    ELSE
      PERFORM ${s}.let_run(r, p_now, p_now, true);
    END IF;
    v_rescued := v_rescued + 1;
  END LOOP;
  INSERT INTO ${s}.claimed (worker, num, ids)
    SELECT w.num, 0, array_agg(id) FROM ${s}.record WHERE id = ANY (v_running) AND worker = w.num HAVING count(*) > 0;
  UPDATE ${s}.worker SET ended = true, suspect = v_suspect WHERE num = w.num;
  RETURN ARRAY[v_rescued, v_quarantined];
END $$`

/**
 * Claims that were committed after their worker had left, or had been taken for dead: a call of it was still under way, and could
 * not be seen. Who has left gives them back, whatever their age: such a claim may have begun after this call did, and no row of
 * claims names it from here on. Who is dead is rescued from once more. To have each claim lock its worker's row in place of this
 * would write that row with every exchange.
 */
export const unclaim = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.unclaim(p_max_crashes int, p_now bigint) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  w ${s}.worker;
  v_num int;
  v_counts int[];
  v_given int := 0;
BEGIN
  FOR v_num IN
    SELECT DISTINCT c.worker FROM ${s}.claimed c WHERE NOT EXISTS (SELECT FROM ${s}.worker k WHERE k.num = c.worker)
  LOOP
    EXIT WHEN v_given >= 1000;
    v_given := v_given + ${s}.give_back(v_num, ${s}.running(v_num, false), '{}', '{}', ${ofAnyAge}, p_now);
  END LOOP;
  FOR w IN
    SELECT k.* FROM ${s}.worker k WHERE k.ended AND k.lease_until <= p_now
      AND EXISTS (SELECT FROM ${s}.claimed c WHERE c.worker = k.num) FOR UPDATE OF k SKIP LOCKED
  LOOP
    EXIT WHEN v_given >= 1000;
    v_counts := ${s}.rescue_from(w, p_max_crashes, p_now);
    v_given := v_given + v_counts[1] + v_counts[2];
  END LOOP;
  RETURN v_given;
END $$`

/** Older than by so many milliseconds is all that runs, also what a clock that was set back since says is yet to begin. */
const ofAnyAge = -1_000_000_000_000_000

/**
 * What could not start in time is dead. What has begun has no such instant any more.
 *
 * Each is read when its turn comes: the end of one before may have ended it as well, or have given it the slot that it waited for.
 */
export const expire = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.expire(p_now bigint, p_count int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  v_id uuid;
  r ${s}.record;
  v_count int := 0;
BEGIN
  FOR v_id IN SELECT id FROM ${s}.record WHERE expires <= p_now
    ORDER BY expires LIMIT p_count FOR UPDATE SKIP LOCKED
  LOOP
    SELECT * INTO r FROM ${s}.record WHERE id = v_id AND expires <= p_now;
    CONTINUE WHEN NOT FOUND;
    -- A key that somebody has locked is waited for by the next call: others may wait for those that are locked here.
    IF r.flags & 8 = 8 THEN
      PERFORM FROM ${s}.key WHERE name = r.key FOR UPDATE SKIP LOCKED;
      CONTINUE WHEN NOT FOUND;
    END IF;
    r.fence := r.fence + 1;
    PERFORM ${s}.bury(r, 'Expired', p_now);
    v_count := v_count + 1;
  END LOOP;
  RETURN v_count;
END $$`

/**
 * Retention: empties the slots whose rows have all passed their class's age, once the keys that they had are forgotten,
 * and deletes in a bounded chunk what is kept by count. A slot that somebody reads at this moment is left for the next call.
 */
export const sweep = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.sweep(p_now bigint, p_count int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  v_widths bigint[] := '{900000,21600000,151200000,648000000,7884000000}';
  v_slot int;
  v_any boolean;
  v_swept int := 0;
  v_found int;
  v_ids uuid[];
  v_tags text[];
  v_specs text[];
  k record;
BEGIN
  FOR i IN 1 .. 5 LOOP
    v_slot := (i - 1) * 6 + ((p_now / v_widths[i] + 1) % 6)::int;
    EXECUTE format('SELECT EXISTS (SELECT FROM ${s}.history_%s)', v_slot) INTO v_any;
    IF v_any THEN
      EXECUTE format('WITH few AS (
          UPDATE ${s}.history_%1$s SET flags = 0 WHERE id IN (
            SELECT id FROM ${s}.history_%1$s WHERE flags <> 0 ORDER BY id LIMIT %2$s FOR UPDATE SKIP LOCKED)
          RETURNING id, tag, spec
        ) SELECT count(*), array_agg(id), array_agg(tag), array_agg(spec) FROM few', v_slot, p_count)
        INTO v_found, v_ids, v_tags, v_specs;
      DELETE FROM ${s}.dependency WHERE child = ANY (v_ids);
      PERFORM ${s}.forget_keys(v_ids, v_tags, v_specs);
      IF v_found >= p_count THEN
        v_swept := p_count;
        CONTINUE;
      END IF;
      BEGIN
        SET LOCAL lock_timeout = '100ms';
        EXECUTE format('TRUNCATE ${s}.history_%s', v_slot);
        -- What was counted with the finished records' class of the live ones stays.
        WITH deltas AS (
          DELETE FROM ${s}.delta WHERE part = v_slot RETURNING queue, blocked, scheduled, ready, running, parked
        ), counters AS (
          DELETE FROM ${s}.counter WHERE part = v_slot RETURNING queue, blocked, scheduled, ready, running, parked
        )
        INSERT INTO ${s}.counter AS c (
          part, queue, blocked, scheduled, ready, running, completed, cancelled, dead, parked)
        SELECT -1, queue, sum(blocked), sum(scheduled), sum(ready), sum(running), 0, 0, 0, sum(parked)
          FROM (SELECT * FROM deltas UNION ALL SELECT * FROM counters) gone GROUP BY queue ORDER BY queue
        ON CONFLICT (queue, part) DO UPDATE SET
          blocked = c.blocked + excluded.blocked, scheduled = c.scheduled + excluded.scheduled,
          ready = c.ready + excluded.ready, running = c.running + excluded.running, parked = c.parked + excluded.parked;
      EXCEPTION WHEN lock_not_available THEN NULL;
      END;
      SET LOCAL lock_timeout = DEFAULT;
    END IF;
  END LOOP;
  FOR k IN
    WITH RECURSIVE kept AS (
      (SELECT tag, state, keep_count FROM ${s}.history WHERE keep_count IS NOT NULL
        ORDER BY tag, state, keep_count LIMIT 1)
      UNION ALL
      SELECT n.* FROM kept, LATERAL (SELECT h.tag, h.state, h.keep_count FROM ${s}.history h
        WHERE h.keep_count IS NOT NULL AND (h.tag, h.state, h.keep_count) > (kept.tag, kept.state, kept.keep_count)
        ORDER BY h.tag, h.state, h.keep_count LIMIT 1) n
    ) SELECT * FROM kept
  LOOP
    WITH old AS (
      SELECT id, part FROM ${s}.history
      WHERE keep_count = k.keep_count AND tag = k.tag AND state = k.state
      ORDER BY finished_at DESC, id DESC OFFSET k.keep_count LIMIT p_count - v_swept
    ), free AS (
      SELECT h.id, h.part FROM old JOIN ${s}.history h ON h.id = old.id AND h.part = old.part FOR UPDATE OF h SKIP LOCKED
    ), removed AS (
      DELETE FROM ${s}.history h USING free WHERE h.id = free.id AND h.part = free.part
      RETURNING h.id, h.part, h.queue, h.state, h.tag, h.flags, h.spec
    ), counted AS (
      INSERT INTO ${s}.delta (part, queue, completed, cancelled, dead)
      SELECT part, queue, -count(*) FILTER (WHERE state = 4), -count(*) FILTER (WHERE state = 5),
        -count(*) FILTER (WHERE state = 6) FROM removed GROUP BY part, queue
    )
    SELECT count(*), array_agg(id) FILTER (WHERE flags <> 0), array_agg(tag) FILTER (WHERE flags <> 0),
      array_agg(spec) FILTER (WHERE flags <> 0) INTO v_found, v_ids, v_tags, v_specs FROM removed;
    DELETE FROM ${s}.dependency WHERE child = ANY (v_ids);
    PERFORM ${s}.forget_keys(v_ids, v_tags, v_specs);
    v_swept := v_swept + v_found;
    EXIT WHEN v_swept >= p_count;
  END LOOP;
  RETURN v_swept;
END $$`

/**
 * What records that are gone waited for, and their keys.
 *
 * What they waited for is left to the agenda: whoever ends it writes the edge, and must not wait for a caller's transaction, in which
 * records may go too. Who is in none takes the edges away before this.
 *
 * Keys that somebody's transaction is about to give to another record stay. Unique keys are locked by one statement, and forgotten by
 * another: what it sees of the other one of the two is no older than the lock.
 */
export const forgetKeys = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.forget_keys(p_ids uuid[], p_tags text[], p_specs text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  v_tags text[];
  v_keys text[];
BEGIN
  INSERT INTO ${s}.agenda (id) SELECT DISTINCT child FROM ${s}.dependency WHERE child = ANY (p_ids);
  DELETE FROM ${s}.idem WHERE (tag, key) IN (
    SELECT i.tag, i.key FROM ${s}.idem i WHERE i.id = ANY (p_ids) FOR UPDATE SKIP LOCKED);
  SELECT array_agg(l.tag), array_agg(l.key) INTO v_tags, v_keys FROM (
    SELECT u.tag, u.key FROM unnest(p_ids, p_tags, p_specs) AS f(id, tag, spec)
    JOIN ${s}.uniq u ON u.tag = f.tag AND u.key = f.spec::json ->> 'uniqueKey' AND f.id IN (u.id, u.successor)
    FOR UPDATE OF u SKIP LOCKED) l;
  IF v_tags IS NULL THEN RETURN; END IF;
  DELETE FROM ${s}.uniq u USING unnest(v_tags, v_keys) AS l(tag, key) WHERE u.tag = l.tag AND u.key = l.key
    -- The other one of the two lives, or may still have the key.
    AND NOT EXISTS (SELECT FROM unnest(ARRAY[u.id, u.successor]) AS o(id) WHERE o.id <> ALL (p_ids) AND (
      EXISTS (SELECT FROM ${s}.record r WHERE r.id = o.id)
      OR EXISTS (SELECT FROM ${s}.history h WHERE h.id = o.id AND h.flags & 1 = 1)));
END $$`

/** Adds the deltas up, in a bounded chunk. Nobody waits for it: writers only ever append. */
export const sumCounters = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.sum_counters() RETURNS void LANGUAGE sql AS $$
  WITH few AS (
    SELECT ctid FROM ${s}.delta LIMIT 200000 FOR UPDATE SKIP LOCKED
  ), taken AS (
    DELETE FROM ${s}.delta d USING few WHERE d.ctid = few.ctid RETURNING d.*
  )
  INSERT INTO ${s}.counter AS c (
    part, queue, blocked, scheduled, ready, running, completed, cancelled, dead, parked)
  SELECT part, queue, sum(blocked), sum(scheduled), sum(ready), sum(running), sum(completed), sum(cancelled), sum(dead),
    sum(parked) FROM taken GROUP BY part, queue ORDER BY part, queue
  ON CONFLICT (queue, part) DO UPDATE SET
    blocked = c.blocked + excluded.blocked, scheduled = c.scheduled + excluded.scheduled,
    ready = c.ready + excluded.ready, running = c.running + excluded.running,
    completed = c.completed + excluded.completed, cancelled = c.cancelled + excluded.cancelled,
    dead = c.dead + excluded.dead, parked = c.parked + excluded.parked
$$`

/**
 * Finds what a lost race or a rolled back transaction left: keys with a free slot that somebody waits for, requests to
 * cancel what no longer runs, keys that nobody holds or waits for. Answers how many of those have gone.
 */
export const mend = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.mend(p_now bigint) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  v_from text := (SELECT mended FROM ${s}.housekeeping);
  v_to text;
  v_keys text[];
  v_count int;
BEGIN
  -- One part of the keys after the other, and then from the beginning.
  SELECT max(name), count(*) INTO v_to, v_count
    FROM (SELECT name FROM ${s}.key WHERE name > v_from ORDER BY name LIMIT 5000) few;
  UPDATE ${s}.housekeeping SET mended = CASE WHEN v_count = 5000 THEN v_to ELSE '' END WHERE only_one;
  -- One probe a key: as EXISTS the planner may turn it round and read all that waits.
  v_keys := ARRAY(SELECT k.name FROM ${s}.key k WHERE k.name > v_from AND k.name <= v_to AND (k.held < k.lim OR k.name LIKE '@%') AND (
      SELECT true FROM ${s}.record WHERE key = k.name AND lane = 3 AND reason = 'ConcurrencyKey' LIMIT 1));
  IF v_keys <> '{}' THEN PERFORM ${s}.admit_keys(v_keys, p_now); END IF;
  PERFORM ${s}.tend(few.id, p_now) FROM (
    SELECT q.id FROM ${s}.cancel q
      WHERE NOT EXISTS (SELECT FROM ${s}.record r WHERE r.id = q.id AND r.state = 1) LIMIT 100) few;
  DELETE FROM ${s}.key k WHERE k.name IN (
      SELECT name FROM ${s}.key WHERE name > v_from AND name <= v_to AND held = 0 AND failed = 0
        AND full_at <= p_now AND closed_until <= p_now FOR UPDATE SKIP LOCKED)
    AND (SELECT true FROM ${s}.record WHERE key = k.name AND lane = 3 AND reason = 'ConcurrencyKey' LIMIT 1) IS NULL;
  GET DIAGNOSTICS v_count = ROW_COUNT;
  RETURN v_count;
END $$`
