/**
 * Limits of queues and of keys that several jobs share: those whose names begin with `@`.
 *
 * A record of such a key is claimed from lane 1, where each start looks at its key: a claim alone takes a token, by the
 * store's clock (P7). No more of a key are ready than could start now; the others wait under their key, out of everybody's
 * way, until a slot is freed or the key's instant (`key.opens_at`) has come.
 *
 * A claim waits for no lock here: a key, or a queue's limit, that another one has locked is passed over and looked at again.
 */
import { nextAt, taken, tokens } from "../bucket.ts"
import { limitOf, orderOf, standing } from "../slots.ts"

/**
 * Takes a slot of a shared key for a record that is to become ready, or says that it must wait. Either way it holds the key's
 * row, so that no freed slot is missed, and sees to it that the key is looked at when its instant comes.
 */
export const takeShared = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.take_shared(p_key text, p_limit int, p_now bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  v record;
BEGIN
  INSERT INTO ${s}.key AS q (name, lim, held) VALUES (p_key, p_limit, 0)
    ON CONFLICT (name) DO UPDATE SET lim = excluded.lim;
  SELECT * INTO v FROM (${standing(s, "ARRAY[p_key]")}) k;
  IF v.room > 0 THEN
    UPDATE ${s}.key SET held = held + 1 WHERE name = p_key;
    RETURN true;
  END IF;
  UPDATE ${s}.key SET opens_at = v.opens WHERE name = p_key;
  RETURN false;
END $$`

/**
 * The turn of a key's next record in a queue, 0 unless its limit is fair. Every key has a virtual time, which goes on by one
 * with each of its records and never lies behind that of the queue: a key that comes anew is next, whatever others have.
 * The caller has locked the key.
 */
export const nextTurn = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.next_turn(p_queue text, p_key text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_turn bigint;
BEGIN
  IF (${orderOf(s, "p_key")}) IS NOT TRUE THEN RETURN 0; END IF;
  SELECT greatest(coalesce((k.turns ->> p_queue)::bigint, 0) + 1, 1, (SELECT turn FROM ${s}.queue WHERE name = p_queue))
    INTO v_turn FROM ${s}.key k WHERE k.name = p_key;
  UPDATE ${s}.key SET turns = coalesce(turns, '{}') || jsonb_build_object(p_queue, v_turn) WHERE name = p_key;
  RETURN v_turn;
END $$`

/**
 * How many records of a limited queue may start now, and when more may: by what of it runs, which is counted, never kept.
 * It locks the limit until the claim is over, so that claims of a limited queue come one after the other.
 */
export const queueRoom = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.queue_room(p_queue text, p_now bigint, OUT o_room int, OUT o_opens bigint) LANGUAGE plpgsql AS $$
DECLARE
  l ${s}.limits;
BEGIN
  o_room := 1000000;
  SELECT * INTO l FROM ${s}.limits WHERE name = p_queue FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    o_room := 0;
    o_opens := p_now + 20;
    RETURN;
  END IF;
  IF p_now < l.closed_until THEN
    o_room := 0;
    o_opens := l.closed_until;
    RETURN;
  END IF;
  IF l.concurrency IS NOT NULL THEN
    DELETE FROM ${s}.started t WHERE t.queue = p_queue AND (
      SELECT true FROM ${s}.record r WHERE r.id = t.id AND r.state = 1) IS NULL;
    o_room := greatest(0, l.concurrency - (SELECT count(*) FROM ${s}.started WHERE queue = p_queue));
    -- Whoever ends one of them looks for the next; this is for when that one does not.
    IF o_room = 0 THEN o_opens := p_now + 250; END IF;
  END IF;
  IF l.gap IS NOT NULL AND o_room > 0 THEN
    o_room := least(o_room, ${tokens("l.full_at")});
    IF o_room = 0 THEN o_opens := ${nextAt("l.full_at", "1")}; END IF;
  END IF;
END $$`

/** Notes what a claim has started of a limited queue. */
export const queueStarts = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.queue_starts(p_queue text, p_ids uuid[], p_now bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO ${s}.started (queue, id)
    SELECT p_queue, id FROM unnest(p_ids) AS u(id) WHERE (SELECT concurrency FROM ${s}.limits WHERE name = p_queue) IS NOT NULL
    ON CONFLICT DO NOTHING;
  UPDATE ${s}.limits l SET full_at = ${
  taken("l.full_at", "cardinality(p_ids)")
} WHERE l.name = p_queue AND l.gap IS NOT NULL;
END $$`

/** What runs of a queue when it becomes limited, and what claims that did not know of it yet have started since. */
export const countStarted = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.count_started() RETURNS void LANGUAGE sql AS $$
  INSERT INTO ${s}.started (queue, id)
    SELECT r.queue, r.id FROM ${s}.claimed c, unnest(c.ids) AS u(id) JOIN ${s}.record r ON r.id = u.id
    WHERE r.state = 1 AND r.queue IN (SELECT name FROM ${s}.limits WHERE name < '@' OR name >= 'A')
    ON CONFLICT DO NOTHING
$$`

/** A handler said that nothing more of its key, or of its queue, may start before an instant. */
export const closeLimit = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.close_limit(r ${s}.record, p_what text, p_until bigint, p_now bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF p_what = 'queue' THEN
    INSERT INTO ${s}.limits AS l (name, closed_until) VALUES (r.queue, p_until)
      ON CONFLICT (name) DO UPDATE SET closed_until = greatest(l.closed_until, p_until);
    INSERT INTO ${s}.queue AS q (name, limited) VALUES (r.queue, true)
      ON CONFLICT (name) DO UPDATE SET limited = true WHERE NOT q.limited;
  ELSIF r.flags & 512 = 512 THEN
    UPDATE ${s}.key SET held = held - (r.flags & 8 = 8)::int, closed_until = greatest(closed_until, p_until) WHERE name = r.key;
  END IF;
END $$`

/** An attempt of a shared key has failed: so many in a row open its circuit. What ends while it is open counts for nothing. */
export const keyFailed = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.key_failed(p_key text, p_now bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  l ${s}.limits;
BEGIN
  SELECT * INTO l FROM (${limitOf(s, "p_key")}) held;
  IF l.trips IS NULL THEN RETURN; END IF;
  UPDATE ${s}.key SET failed = failed + 1,
    closed_until = CASE WHEN failed + 1 >= l.trips THEN greatest(closed_until, p_now + l.open_for) ELSE closed_until END
  WHERE name = p_key AND closed_until <= p_now;
END $$`

/** Proposes a limit, or sets it by hand; see `JobStore.LimitChange`. */
export const changeLimit = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.change_limit(x json) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  p_name text := x ->> 'name';
  v_now bigint := ${s}.clock();
  v_holds jsonb;
BEGIN
  INSERT INTO ${s}.limits (name) VALUES (p_name) ON CONFLICT DO NOTHING;
  IF x ->> '_tag' = 'Override' THEN
    UPDATE ${s}.limits SET override = (x -> 'settings')::jsonb WHERE name = p_name;
  ELSE
    UPDATE ${s}.limits SET release = (x ->> 'release')::bigint, proposed = (x -> 'settings')::jsonb
      WHERE name = p_name AND release <= (x ->> 'release')::bigint
        AND (release, proposed) IS DISTINCT FROM ((x ->> 'release')::bigint, (x -> 'settings')::jsonb);
    IF NOT FOUND THEN RETURN; END IF;
  END IF;
  SELECT proposed || coalesce(override, '{}') INTO v_holds FROM ${s}.limits WHERE name = p_name;
  UPDATE ${s}.limits SET
    concurrency = (v_holds ->> 'concurrency')::int,
    gap = (v_holds -> 'rate' ->> 'perMillis')::float8 / (v_holds -> 'rate' ->> 'limit')::float8,
    burst = (v_holds -> 'rate' ->> 'burst')::int,
    fair = v_holds ->> 'order' = 'fair',
    trips = (v_holds -> 'breaker' ->> 'consecutive')::int,
    open_for = (v_holds -> 'breaker' ->> 'openMillis')::bigint
  WHERE name = p_name;
  IF p_name LIKE '@%' THEN
    UPDATE ${s}.key SET opens_at = v_now WHERE name IN (
      SELECT k.name FROM ${s}.key k WHERE k.name > p_name || '/' AND k.name < p_name || '0'
        AND (SELECT true FROM ${s}.record WHERE key = k.name AND lane = 3 AND reason = 'ConcurrencyKey' LIMIT 1)
      ORDER BY k.name FOR UPDATE);
  ELSE
    INSERT INTO ${s}.queue AS q (name, limited) VALUES (p_name, true)
      ON CONFLICT (name) DO UPDATE SET limited = true WHERE NOT q.limited;
    PERFORM ${s}.count_started();
  END IF;
  PERFORM ${s}.wake(q, v_now, NULL) FROM (SELECT DISTINCT unnest(queues) AS q FROM ${s}.worker WHERE wakes_until > v_now) w;
END $$`

/**
 * One page of the keys of a space. What waits for a key is counted by as many index entries: some two thousand of a page, and a
 * hundred of each key at least. That is done once for a key: without a LIMIT of its own the condition would count it again.
 */
export const limitKeys = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.limit_keys(p_name text, p_after text, p_limit int)
RETURNS TABLE (key text, waiting int, ready int, running int, until float8, failed int) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_now bigint := ${s}.clock();
  v_after text := greatest(p_after, p_name || '/');
  v_most bigint := (SELECT greatest(100, 2000 / greatest(1, count(*))) FROM (
    SELECT FROM ${s}.key k WHERE k.name > v_after AND k.name < p_name || '0' ORDER BY k.name LIMIT p_limit) few);
BEGIN
  RETURN QUERY SELECT k.name, w.waiting, w.ready, w.running, CASE WHEN k.closed_until > v_now THEN k.closed_until::float8 END,
      k.failed
    FROM ${s}.key k CROSS JOIN LATERAL (
      SELECT
        (SELECT count(*)::int FROM (SELECT FROM ${s}.record r
          WHERE r.key = k.name AND r.lane = 3 AND r.reason = 'ConcurrencyKey' LIMIT v_most) few) AS waiting,
        (SELECT count(*)::int FROM ${s}.record r
          WHERE r.key = k.name AND r.key >= '@' AND r.key < 'A' AND r.lane = 1 AND r.state = 0) AS ready,
        (SELECT count(*)::int FROM ${s}.record r
          WHERE r.key = k.name AND r.key >= '@' AND r.key < 'A' AND r.lane = 1 AND r.state = 1) AS running
      LIMIT 1
    ) w
    WHERE k.name > v_after AND k.name < p_name || '0'
      AND (w.waiting > 0 OR w.ready > 0 OR w.running > 0 OR k.closed_until > v_now)
    ORDER BY k.name LIMIT p_limit;
END $$`
