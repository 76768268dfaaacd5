/**
 * Claims up to so many records of a queue, in their order, inside the exchange.
 *
 * A claim goes on after the mark, the last record that this process claimed: under a transaction that is open for long, the
 * dead entries before it cannot be cleaned up, and a claim that reads them all slows down with every record (measured in
 * plain SQL over 30 s: from 13,800 to 2,400 jobs/s without a mark, none lost with it). What lies behind a mark is found
 * as `marks.ts` says.
 */

/** What is ready in turn, after the mark. Those that run lie in the same index until they settle. */
const afterMark = `queue = p_queues[i] AND lane = 0 AND state = 0
    AND (priority, turn, place) > (p_mark_priorities[i], p_mark_turns[i], p_mark_places[i])`

const inTurn = (s: string): string => `
  SELECT r.ctid AS tid, r.priority, r.turn, r.place FROM ${s}.record r
  WHERE ${afterMark}
  ORDER BY r.priority, r.turn, r.place LIMIT n FOR UPDATE SKIP LOCKED`

/** Where one of the next has crashed others, a hundred more are looked at: of those all but one are left. */
const spare = (s: string): string =>
  `CASE WHEN EXISTS (SELECT FROM (SELECT crashes FROM ${s}.record WHERE queue = p_queues[i] AND lane = 1 AND state = 0
        ORDER BY priority, turn, place LIMIT n) f WHERE crashes > 0) THEN 100 ELSE 0 END`

/**
 * The statements of one claim: into `v_ids`, NULL for none, and their lines into `v_lines`.
 *
 * To look whether there is anything costs 50 thousand instructions, to begin a claim that finds nothing 250 thousand
 * (callgrind): of 900 thousand of the exchange of an idle worker.
 */
export const claiming = (s: string): string => `
  SELECT EXISTS (SELECT FROM ${s}.record WHERE ${afterMark}),
    EXISTS (SELECT FROM ${s}.record WHERE queue = p_queues[i] AND lane = 1 AND state = 0)
    INTO v_ready, v_back;
  v_ids := NULL;
  v_starts := NULL;
  IF v_back THEN
    WITH ready AS MATERIALIZED (${inTurn(s)}), back AS MATERIALIZED (
      SELECT r.ctid AS tid, r.priority, r.turn, r.place, r.crashes, r.expires, r.id, CASE WHEN r.flags & 512 = 512 THEN r.key END AS key
      FROM ${s}.record r WHERE r.queue = p_queues[i] AND r.lane = 1 AND r.state = 0
      ORDER BY r.priority, r.turn, r.place LIMIT n + ${spare(s)} FOR UPDATE SKIP LOCKED
    ), both_of_them AS (
      SELECT tid, priority, turn, place, NULL::uuid AS id, NULL AS key FROM ready
      UNION ALL SELECT tid, priority, turn, place, id, key FROM back
        WHERE crashes = 0 AND (expires IS NULL OR expires > v_now)
      -- A worker takes one at a time of those that crashed others (P10).
      UNION ALL (SELECT tid, priority, turn, place, id, key FROM back
        WHERE crashes > 0 AND NOT ${s}.has_suspect(v_worker) LIMIT 1)
    ), few AS MATERIALIZED (
      SELECT *, row_number() OVER (PARTITION BY key ORDER BY priority, turn, place) AS nth
      FROM (SELECT * FROM both_of_them ORDER BY priority, turn, place LIMIT n) f
    ), rules AS MATERIALIZED (
      SELECT ${s}.start_keys(array_agg(key), array_agg(many), v_now) AS starts
      FROM (SELECT key, count(*)::int AS many FROM few WHERE key IS NOT NULL GROUP BY key) k HAVING count(*) > 0
    ), chosen AS MATERIALIZED (
      SELECT tid, id, key, turn, CASE WHEN most IS NULL OR nth <= most THEN 1 WHEN most < 0 THEN -1 ELSE 0 END AS starts, most
      FROM (SELECT *, ((SELECT starts FROM rules) ->> key)::int AS most FROM few) f
    ), ${taking(s, "SELECT tid FROM chosen WHERE starts > 0")}, suspected AS (
      UPDATE ${s}.worker SET suspect = c.id FROM claimed c WHERE num = v_worker AND c.crashes > 0
    ) SELECT ids, ${lines}, (SELECT num FROM noted),
        (SELECT array_agg(DISTINCT key) FROM chosen WHERE most >= 0),
        (SELECT min(starts) FROM chosen), (SELECT count(key) FROM chosen), (SELECT array_agg(id) FROM chosen WHERE starts = 0),
        (SELECT max(turn) FROM chosen WHERE starts > 0)
      INTO v_ids, v_lines, v_claim, v_keys, v_starts, v_shared, v_refused, v_turn FROM summed;
    IF v_shared > 0 THEN
      v_next := least(v_next, ${s}.claimed_shared(p_queues[i], v_turn, v_keys, v_refused, v_now));
    END IF;
    v_last := NULL;
  ELSIF v_ready THEN
    WITH ready AS MATERIALIZED (${inTurn(s)}), ${taking(s, "SELECT tid FROM ready")}
      SELECT ids, ${lines}, (SELECT num FROM noted), (SELECT ARRAY[priority, turn, place] FROM ready OFFSET n - 1)
      INTO v_ids, v_lines, v_claim, v_last FROM summed;
  END IF;`

/**
 * By itself: three parts of the statement read the sum of a claim, and each would copy the lines of all its records. Of 10 KB, 4,000 were
 * worked off at 6.1 k/s with the lines in it, and at 7.2 without (medians in turns).
 */
const lines = `(SELECT string_agg(line, E'\\x1e') FROM claimed)`

/**
 * One that is longer than the caller takes in an answer is told by its length: JSON does not begin so. The line, the sum of the
 * lines, the answer and what goes out would each have a copy of it, on pages that are new each time.
 */
const payload = `CASE WHEN octet_length(r.payload) > p_longest THEN '=' || octet_length(r.payload) ELSE r.payload END`

/**
 * What was found and locked begins to run, but for what may not any more: of more than expire in one call the rest is still there.
 * It is left for the next one, and not looked for behind it, where there may be a million. A line has its columns in the order in which the codec reads them, behind each
 * other with a separator that no JSON has; what few records have comes last, where a record has any of it. As JSON of all
 * columns a line took 2.4 us of the 5.3 of a claimed record, so it takes 1.1 of 4.
 */
const taking = (s: string, found: string): string =>
  `claimed AS (
      UPDATE ${s}.record r SET state = 1, fence = r.fence + 1, attempt = r.attempt + 1, worker = v_worker, at = v_now,
        flags = r.flags & ~16, expires = NULL, begun_at = CASE WHEN r.flags & 4 = 0 THEN v_now ELSE r.begun_at END
      WHERE r.ctid = ANY (ARRAY(${found})) AND (r.expires IS NULL OR r.expires > v_now)
      RETURNING r.id, r.crashes, concat_ws(E'\\x1f', r.id, r.tag, r.version, r.priority, r.attempt, r.fence, r.enqueued_at,
        r.place, ${payload}, CASE WHEN r.crashes > 0 OR r.begun_at <> v_now OR r.ready_at <> r.enqueued_at OR r.turn > 0
            OR r.spec IS NOT NULL OR r.failures IS NOT NULL OR r.flags & 2050 <> 0 THEN
          concat('[', r.crashes, ',', r.begun_at, ',', r.ready_at, ',', r.turn, ',', coalesce(r.spec, 'null'), ',',
            coalesce(r.failures::text, 'null'), ',', CASE WHEN r.flags & 2050 <> 0 THEN ${s}.extra_of(r.id) ELSE 'null' END,
            ']') END) AS line
    ), summed AS MATERIALIZED (
      SELECT array_agg(id) AS ids, count(*) AS many FROM claimed
    ), counted AS (
      INSERT INTO ${s}.delta (queue, ready, running) SELECT p_queues[i], -many, many FROM summed WHERE many > 0
    ), noted AS (
      INSERT INTO ${s}.claimed (worker, ids) SELECT v_worker, ids FROM summed WHERE many > 0 RETURNING num
    )`

/** Whether this worker could claim another record of the queue after the mark. */
export const mayClaim = (s: string): string =>
  `EXISTS (SELECT FROM ${s}.record WHERE ${afterMark})
    OR EXISTS (SELECT FROM ${s}.record
      WHERE queue = p_queues[i] AND lane = 1 AND state = 0 AND (crashes = 0 OR NOT ${s}.has_suspect(v_worker)))`
