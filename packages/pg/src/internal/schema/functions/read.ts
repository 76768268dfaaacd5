/**
 * Reads that are asked for often. They are functions so that they are planned like the rest: a statement of a session keeps
 * the plan that it got while a partition of history was empty, and reads all of that when it has filled.
 */
import * as Query from "../../query.ts"

/** A record, NULL when there is none. */
export const readOne = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.read_one(p_id uuid) RETURNS json LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT row_to_json(f) FROM (
    SELECT o.*, CASE WHEN o.state > 4 THEN ${Query.keptOf(s, "p_id")}
      WHEN o.state < 4 AND o.flags & 2 = 2 THEN ${s}.checkpoints_of(p_id) END AS checkpoints
    FROM (${Query.one(s, "p_id")}) o) f);
END $$`

/** How awaited records stand: those that are there. */
export const results = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.results(p_ids uuid[])
RETURNS TABLE (id uuid, state int, reason text, result text, failure text, progress text) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY ${Query.results(s, "p_ids")};
END $$`

/**
 * Since when the record of a queue is ready that has been so for longest: of the first of each priority, by one index entry a
 * priority. The first of all is what was enqueued last, where it is urgent.
 */
export const oldestReady = (s: string): string => {
  const firstOf = (lane: 0 | 1) => `
  v_priority := -1000;
  LOOP
    SELECT priority, ready_at INTO v_priority, v_ready_at FROM ${s}.record
      WHERE queue = p_queue AND lane = ${lane} AND state = 0 AND priority > v_priority
      ORDER BY priority, turn, place LIMIT 1;
    EXIT WHEN NOT FOUND;
    v_oldest := least(v_oldest, v_ready_at);
  END LOOP;`
  return `
CREATE OR REPLACE FUNCTION ${s}.oldest_ready(p_queue text) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
  v_priority int;
  v_ready_at bigint;
  v_oldest bigint;
BEGIN${firstOf(0)}${firstOf(1)}
  RETURN v_oldest;
END $$`
}
