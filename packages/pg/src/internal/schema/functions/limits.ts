/**
 * Limits of queues and of keys that several jobs share: those whose names begin with `@`.
 *
 * A record of such a key is claimed from lane 1, where each start looks at its key: a claim alone takes a token, by the
 * store's clock (P7). No more of a key are ready than could start now; the others wait under their key, out of everybody's
 * way, until a slot is freed or the key's instant (`key.opens_at`) has come.
 *
 * A claim waits for no lock here: a key, or a queue's limit, that another one has locked is passed over and looked at again.
 */
import { nextAt, size, taken, tokens } from "../bucket.ts"

/** The limit of a key's space into `l`: all NULL while nobody has proposed or set one. */
const limitOf = (s: string, key: string): string =>
  `SELECT * INTO l FROM ${s}.limits
    WHERE name = split_part(${key}, '/', 1) AND (release >= 0 OR override IS NOT NULL)`

/** How many of key `k` may hold a slot, NULL for no bound. While its circuit is half open, one probes. */
const slots =
  `CASE WHEN l.name IS NULL THEN k.lim WHEN k.failed >= l.trips THEN least(1, l.concurrency) ELSE l.concurrency END`

const waits = (s: string, key: string): string =>
  `EXISTS (SELECT FROM ${s}.record WHERE key = ${key} AND lane = 3 AND reason = 'ConcurrencyKey')`

/** How many records of a key may start now and are not ready yet; and its slots, NULL for no bound. */
export const keyRoom = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.key_room(k ${s}.key, l ${s}.limits, p_now bigint, OUT o_slots int, OUT o_room int, OUT o_ready int)
LANGUAGE plpgsql AS $$
BEGIN
  o_slots := ${slots};
  o_room := CASE WHEN p_now < k.closed_until THEN 0 ELSE coalesce(o_slots - k.held, 1000) END;
  o_ready := 0;
  IF l.gap IS NOT NULL THEN
    SELECT count(*) INTO o_ready FROM ${s}.record
      WHERE key = k.name AND key >= '@' AND key < 'A' AND lane = 1 AND state = 0;
    o_room := least(o_room, ${tokens("k.full_at")} - o_ready);
  END IF;
END $$`

/**
 * Takes a slot of a shared key for a record that is to become ready, or says that it must wait. Either way it holds the key's
 * row, so that no freed slot is missed, and sees to it that the key is looked at when its instant comes.
 */
export const takeShared = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.take_shared(p_key text, p_limit int, p_now bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  k ${s}.key;
  l ${s}.limits;
  v record;
BEGIN
  ${limitOf(s, "p_key")};
  INSERT INTO ${s}.key AS q (name, lim, held) VALUES (p_key, p_limit, 0)
    ON CONFLICT (name) DO UPDATE SET lim = excluded.lim RETURNING * INTO k;
  v := ${s}.key_room(k, l, p_now);
  IF v.o_room > 0 THEN
    UPDATE ${s}.key SET held = held + 1 WHERE name = p_key;
    RETURN true;
  END IF;
  UPDATE ${s}.key SET opens_at = ${s}.opens(k, l, v.o_slots, v.o_ready, p_now) WHERE name = p_key;
  RETURN false;
END $$`

/** When the next record of a key may become ready; NULL while no instant lets it, but the next start or end does. */
export const opens = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.opens(k ${s}.key, l ${s}.limits, p_slots int, p_ready int, p_now bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
  IF k.held >= p_slots OR l.gap IS NOT NULL AND p_ready >= ${size} THEN RETURN NULL; END IF;
  RETURN greatest(p_now, k.closed_until, CASE WHEN l.gap IS NOT NULL THEN ${nextAt("k.full_at", "p_ready + 1")} END);
END $$`

/** Lets the next records of a shared key become ready, in their order. One that a transaction has locked is passed over. */
export const admitShared = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.admit_shared(p_key text, p_now bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  k ${s}.key;
  l ${s}.limits;
  v record;
  v_opens bigint;
  q text;
  n int;
BEGIN
  SELECT * INTO k FROM ${s}.key WHERE name = p_key FOR UPDATE;
  IF NOT FOUND OR k.opens_at IS NULL AND NOT ${waits(s, "p_key")} THEN RETURN; END IF;
  ${limitOf(s, "p_key")};
  v := ${s}.key_room(k, l, p_now);
  IF v.o_room > 0 THEN
    FOR q, n IN
      WITH c AS (
        SELECT id FROM ${s}.record WHERE key = p_key AND lane = 3 AND reason = 'ConcurrencyKey'
        ORDER BY priority, turn, place LIMIT least(v.o_room, 1000) FOR UPDATE SKIP LOCKED
      ), u AS (
        UPDATE ${s}.record r SET state = 0, lane = 1, reason = NULL, blocked_on = NULL, flags = r.flags | 24, at = p_now
        FROM c WHERE r.id = c.id RETURNING r.queue
      )
      SELECT queue, count(*)::int FROM u GROUP BY queue
    LOOP
      k.held := k.held + n;
      v.o_ready := v.o_ready + n;
      v.o_room := v.o_room - n;
      INSERT INTO ${s}.delta (queue, blocked, ready) VALUES (q, -n, n);
      PERFORM ${s}.wake(q, p_now);
    END LOOP;
  END IF;
  IF ${waits(s, "p_key")} THEN
    -- Room is left: those that wait are locked, or more than are taken at a time.
    v_opens := CASE WHEN v.o_room > 0 THEN p_now + 50 ELSE ${s}.opens(k, l, v.o_slots, v.o_ready, p_now) END;
  END IF;
  UPDATE ${s}.key SET held = k.held, opens_at = v_opens
    WHERE name = p_key AND (held <> k.held OR opens_at IS DISTINCT FROM v_opens);
END $$`

/** Looks at the keys whose instant has come, and says when the next one comes. */
export const tendKeys = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.tend_keys(p_now bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_key text;
BEGIN
  FOR v_key IN
    SELECT name FROM ${s}.key WHERE opens_at <= p_now ORDER BY opens_at LIMIT 200 FOR UPDATE SKIP LOCKED
  LOOP
    PERFORM ${s}.admit_shared(v_key, p_now);
  END LOOP;
  -- What others have locked is not asked for without a pause.
  RETURN (SELECT greatest(opens_at, p_now + 1) FROM ${s}.key WHERE opens_at IS NOT NULL ORDER BY opens_at LIMIT 1);
END $$`

/**
 * Whether a ready record of a shared key may start: 1, or 2 where its token is taken, and the key is to be looked at; 0, its
 * limit is lower than when it became ready, and it waits again; -1, somebody has the key locked.
 *
 * While no more hold slots than may, all that are ready may start, and the key is not locked.
 */
export const startShared = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.start_shared(p_id uuid, p_key text, p_now bigint) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  k ${s}.key;
  l ${s}.limits;
  v_slots int;
  v_queue text;
BEGIN
  ${limitOf(s, "p_key")};
  SELECT * INTO k FROM ${s}.key WHERE name = p_key;
  v_slots := ${slots};
  IF l.gap IS NULL AND p_now >= k.closed_until AND (v_slots IS NULL OR k.held <= v_slots) THEN RETURN 1; END IF;
  SELECT * INTO k FROM ${s}.key WHERE name = p_key FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN RETURN -1; END IF;
  IF p_now >= k.closed_until AND (l.gap IS NULL OR ${tokens("k.full_at")} > 0)
    AND (v_slots IS NULL OR k.held <= v_slots OR v_slots > (
      SELECT count(*) FROM ${s}.record WHERE key = p_key AND key >= '@' AND key < 'A' AND lane = 1 AND state = 1
    ) + k.starting) THEN
    UPDATE ${s}.key SET full_at = CASE WHEN l.gap IS NULL THEN k.full_at ELSE ${taken("k.full_at", "1")} END,
      starting = CASE WHEN k.held > v_slots THEN k.starting + 1 ELSE k.starting END
    WHERE name = p_key;
    RETURN 2;
  END IF;
  UPDATE ${s}.key SET held = held - 1 WHERE name = p_key;
  UPDATE ${s}.record SET state = 3, lane = 3, reason = 'ConcurrencyKey', blocked_on = p_key, flags = flags & ~24, at = p_now
    WHERE id = p_id RETURNING queue INTO v_queue;
  INSERT INTO ${s}.delta (queue, ready, blocked) VALUES (v_queue, -1, 1);
  RETURN 0;
END $$`

/** After a claim of records with shared keys: the next of each become ready, and the queue's turn goes on. Answers when to look. */
export const claimedShared = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.claimed_shared(p_queue text, p_ids uuid[], p_keys text[], p_now bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  v_key text;
  v_turn bigint := (SELECT max(turn) FROM ${s}.record WHERE id = ANY (p_ids));
BEGIN
  IF p_keys IS NOT NULL THEN
    UPDATE ${s}.key SET starting = 0 WHERE name = ANY (p_keys) AND starting > 0;
    FOR v_key IN SELECT DISTINCT name FROM unnest(p_keys) AS u(name) ORDER BY name LOOP
      PERFORM ${s}.admit_shared(v_key, p_now);
    END LOOP;
  END IF;
  IF v_turn > 0 THEN
    -- Who has it locked sets about the same.
    UPDATE ${s}.queue SET turn = v_turn WHERE name IN (
      SELECT name FROM ${s}.queue WHERE name = p_queue AND turn < v_turn FOR UPDATE SKIP LOCKED);
    INSERT INTO ${s}.queue (name, turn) SELECT p_queue, v_turn
      WHERE NOT EXISTS (SELECT FROM ${s}.queue WHERE name = p_queue) ON CONFLICT DO NOTHING;
  END IF;
  RETURN (SELECT opens_at FROM ${s}.key WHERE opens_at IS NOT NULL ORDER BY opens_at LIMIT 1);
END $$`

/**
 * The turn of a key's next record in a queue, 0 unless its limit is fair. Every key has a virtual time, which goes on by one
 * with each of its records and never lies behind that of the queue: a key that comes anew is next, whatever others have.
 * The caller has locked the key.
 */
export const nextTurn = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.next_turn(p_queue text, p_key text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  l ${s}.limits;
  v_turn bigint;
BEGIN
  ${limitOf(s, "p_key")};
  IF l.fair IS NOT TRUE THEN RETURN 0; END IF;
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
  ${limitOf(s, "p_key")};
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
  PERFORM ${s}.wake(q, v_now) FROM (SELECT DISTINCT unnest(queues) AS q FROM ${s}.worker WHERE wakes_until > v_now) w;
END $$`

/** One page of the keys of a space. */
export const limitKeys = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.limit_keys(p_name text, p_after text, p_limit int)
RETURNS TABLE (key text, waiting int, ready int, running int, until float8, failed int) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_now bigint := ${s}.clock();
BEGIN
  RETURN QUERY SELECT k.name, w.waiting, w.ready, w.running, CASE WHEN k.closed_until > v_now THEN k.closed_until::float8 END,
      k.failed
    FROM ${s}.key k CROSS JOIN LATERAL (
      SELECT
        (SELECT count(*)::int FROM (SELECT FROM ${s}.record r
          WHERE r.key = k.name AND r.lane = 3 AND r.reason = 'ConcurrencyKey' LIMIT 10000) few) AS waiting,
        (SELECT count(*)::int FROM ${s}.record r
          WHERE r.key = k.name AND r.key >= '@' AND r.key < 'A' AND r.lane = 1 AND r.state = 0) AS ready,
        (SELECT count(*)::int FROM ${s}.record r
          WHERE r.key = k.name AND r.key >= '@' AND r.key < 'A' AND r.lane = 1 AND r.state = 1) AS running
    ) w
    WHERE k.name > greatest(p_after, p_name || '/') AND k.name < p_name || '0'
      AND (w.waiting > 0 OR w.ready > 0 OR w.running > 0 OR k.closed_until > v_now)
    ORDER BY k.name LIMIT p_limit;
END $$`
