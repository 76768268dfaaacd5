/**
 * Pages of lists. They are functions so that they are planned like the rest: a statement of a session that says how a value is to
 * be compared is planned with a guess of how many there are, and where that is few, all that there are were read and sorted.
 *
 * A walk goes by one index in the order of ids, looks at a bounded number of records, and ends where the page is full. It answers
 * a row for each record, and where it has stopped before, the last id that it looked at. Each walk in each direction is a
 * statement of its own, whose plan is kept.
 */
import * as Query from "../../query.ts"

/** What a page is of: the arguments of both functions, in their order. Whatever is NULL is no condition. */
const parameters = [
  "p_newest boolean",
  "p_limit int",
  "p_looked int",
  "p_low uuid",
  "p_high uuid",
  "p_ids uuid[]",
  "p_states int[]",
  "p_tag text",
  "p_queue text",
  "p_dead text",
  "p_blocked text",
  "p_error text",
  "p_label text",
  "p_flow text",
  "p_parent text",
  "p_key text",
  "p_worker text",
  "p_from bigint",
  "p_before bigint"
]

interface Walk {
  /** What leads the index before the id. It stands in the order, and in a range of one value: were it said to be equal, any index would do. */
  readonly by?: string
  readonly value?: string
  readonly rest?: string
}

const everything: Walk = {}

/** Of history: what ended otherwise than well has indexes of its own. */
const past: Readonly<Record<string, Walk>> = {
  all: everything,
  ended: { rest: "state > 4" },
  ended_queue: { by: "queue", value: "p_queue", rest: "state > 4" },
  ended_tag: { by: "tag", value: "p_tag", rest: "state > 4" },
  failed: { by: Query.errorOf("failures"), value: "left(p_error, 64)", rest: "failures IS NOT NULL" },
  dead_reason: { by: "reason", value: "p_dead", rest: "state = 6" }
}

/** Of live records. */
const live: Readonly<Record<string, Walk>> = {
  all: everything,
  scheduled: { by: "lane", value: "2::smallint", rest: "lane > 1" },
  blocked: { by: "lane", value: "3::smallint", rest: "lane > 1" },
  blocked_until: { by: "(lane + 0)", value: "2", rest: "lane = 2 AND reason IS NOT NULL" }
}

const matches = (of: "h" | "r"): string =>
  `(p_states IS NULL OR ${of}.state = ANY (p_states))
        AND (p_tag IS NULL OR ${of}.tag = p_tag)
        AND (p_queue IS NULL OR ${of}.queue = p_queue)
        AND (p_error IS NULL OR ${of}.failures -> -1 ->> 'tag' = p_error)
        AND (p_label IS NULL OR ${of}.spec::jsonb -> 'tags' ? p_label)
        AND (p_flow IS NULL OR ${of}.spec::json ->> 'flowId' = p_flow)
        AND (p_parent IS NULL OR ${of}.spec::json ->> 'parent' = p_parent)
        AND (p_key IS NULL OR ${of}.key = p_key)
        AND (p_from IS NULL OR ${of}.enqueued_at >= p_from)
        AND (p_before IS NULL OR ${of}.enqueued_at < p_before)
        AND ${
    of === "h"
      ? "(p_dead IS NULL OR h.reason = p_dead) AND (h.expires_at IS NULL OR h.expires_at > v_now)"
      : "(p_blocked IS NULL OR r.reason = p_blocked) AND (v_worker IS NULL OR r.worker = v_worker)"
  }`

/** Answers the page that a walk finds; `v_found` is how many it has found. */
const answer = (s: string, of: "h" | "r", walk: string): string => `
    RETURN QUERY WITH page AS MATERIALIZED (
      SELECT * FROM (${walk}) ${of} WHERE ${matches(of)} LIMIT p_limit
    )
    SELECT f.id, NULL::uuid, row_to_json(f) FROM (${
  of === "r" ? Query.live(s, "page") : Query.finished(s, "page", "h.whole")
}) f;
    GET DIAGNOSTICS v_found = ROW_COUNT;`

const columns = { h: "x.*, x AS whole", r: "x.*" }
const tables = { h: "history", r: "record" }

const walked = (s: string, of: "h" | "r", { by, rest = "true", value }: Walk, direction: "ASC" | "DESC"): string => {
  const walk = (what: string) =>
    `SELECT ${what} FROM ${s}.${tables[of]} x WHERE id BETWEEN p_low AND p_high AND ${rest}
        ${by === undefined ? "" : `AND ${by} BETWEEN ${value} AND ${value}`}
        ORDER BY ${by === undefined ? "" : `${by} ${direction}, `}id ${direction}`
  return `${answer(s, of, `${walk(columns[of])} LIMIT p_looked`)}
    IF v_found < p_limit THEN
      RETURN QUERY SELECT NULL::uuid, e.id, NULL::json FROM (${walk("id")} OFFSET p_looked - 1 LIMIT 1) e;
    END IF;`
}

/** All that have one of these ids, the first of them first. */
const named = (s: string, of: "h" | "r", ids: string, direction: "ASC" | "DESC"): string =>
  answer(
    s,
    of,
    `SELECT ${columns[of]} FROM ${s}.${tables[of]} x WHERE id = ANY (${ids}) AND id BETWEEN p_low AND p_high
        ORDER BY id ${direction}`
  )

const eitherWay = (statement: (direction: "ASC" | "DESC") => string): string => `
  IF p_newest THEN ${statement("DESC")}
  ELSE ${statement("ASC")}
  END IF;`

const choice = (walks: Readonly<Record<string, Walk>>, statement: (walk: Walk) => string): string =>
  Object.entries(walks).map(([name, walk], i) => `${i === 0 ? "IF" : "ELSIF"} p_by = '${name}' THEN ${statement(walk)}`)
    .join("\n  ") + "\n  END IF;"

const answers = "TABLE (id uuid, last uuid, found json)"

/** A page of what has ended. */
export const pastPage = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.past_page(p_by text, ${parameters.join(", ")}) RETURNS ${answers}
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  v_now bigint := ${s}.clock();
  v_found int;
BEGIN
  IF p_ids IS NOT NULL THEN ${eitherWay((direction) => named(s, "h", "p_ids", direction))}
    RETURN;
  END IF;
  ${choice(past, (walk) => eitherWay((direction) => walked(s, "h", walk, direction)))}
END $$`

/**
 * A page of what may still run. What runs is found by the claims; what is ready, what is scheduled in a queue and what is
 * blocked for a reason by the indexes that they have for claims, where it is little; else by a walk.
 */
export const livePage = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.live_page(p_by text, ${parameters.join(", ")}) RETURNS ${answers}
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  v_ids uuid[] := p_ids;
  v_worker int;
  v_found int;
BEGIN
  IF p_worker IS NOT NULL THEN
    SELECT w.num INTO v_worker FROM ${s}.worker w WHERE w.id = p_worker;
    IF NOT FOUND THEN RETURN; END IF;
  END IF;
  IF v_ids IS NOT NULL THEN NULL;
  ELSIF p_by = 'running' THEN
    v_ids := ${s}.held_ids(v_worker, p_newest, p_low, p_high, p_looked);
  ELSIF p_by = 'ready' THEN
    v_ids := ${s}.ready_ids(p_queue, ${gathered});
    p_by := 'all';
  ELSIF p_by = 'scheduled' AND p_queue IS NOT NULL THEN
    v_ids := ARRAY(SELECT x.id FROM ${s}.record x WHERE lane = 2 AND queue BETWEEN p_queue AND p_queue
      ORDER BY queue, due, place LIMIT ${gathered + 1});
  ELSIF p_by = 'blocked' AND p_blocked IN ('NoHandler', 'NewerPayload') THEN
    v_ids := ARRAY(SELECT x.id FROM ${s}.record x WHERE lane = 3 AND reason IN ('NoHandler', 'NewerPayload')
      ORDER BY tag, version LIMIT ${gathered + 1});
  ELSIF p_by = 'blocked' AND p_blocked = 'Unique' THEN
    v_ids := ARRAY(SELECT x.id FROM ${s}.record x WHERE lane = 3 AND reason = 'Unique' ORDER BY blocked_on LIMIT ${
  gathered + 1
});
  ELSIF p_by = 'blocked' AND p_blocked = 'ConcurrencyKey' THEN
    v_ids := ARRAY(SELECT x.id FROM ${s}.record x WHERE lane = 3 AND reason = 'ConcurrencyKey'
      ORDER BY key, priority, turn, place LIMIT ${gathered + 1});
  END IF;
  IF p_by <> 'running' AND p_ids IS NULL AND cardinality(v_ids) > ${gathered} THEN v_ids := NULL; END IF;
  IF v_ids IS NOT NULL THEN ${eitherWay((direction) => named(s, "r", "v_ids", direction))}
    IF p_by = 'running' AND p_ids IS NULL AND v_found < p_limit AND cardinality(v_ids) = p_looked THEN
      RETURN QUERY SELECT NULL::uuid, v_ids[p_looked], NULL::json;
    END IF;
    RETURN;
  END IF;
  ${choice(live, (walk) => eitherWay((direction) => walked(s, "r", walk, direction)))}
END $$`

/** Of so many all are found by the order in which they are claimed: where there are more, they are not rare. */
const gathered = 200

/** What workers have claimed, in the order of the page. */
export const heldIds = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.held_ids(p_worker int, p_newest boolean, p_low uuid, p_high uuid, p_looked int) RETURNS uuid[]
LANGUAGE plpgsql STABLE AS $$
BEGIN${
  eitherWay((direction) => `
    RETURN ARRAY(SELECT DISTINCT u.id FROM ${s}.claimed c, unnest(c.ids) AS u (id)
      WHERE (p_worker IS NULL OR c.worker = p_worker) AND u.id BETWEEN p_low AND p_high ORDER BY u.id ${direction} LIMIT p_looked);`)
}
END $$`

/** What is ready, of a queue or of all; more than so many where there are more. */
export const readyIds = (s: string): string => {
  const lane = (n: 0 | 1, rest: string) =>
    `(SELECT x.id FROM ${s}.record x WHERE lane = ${n} AND ${rest} ORDER BY queue, priority, turn, place LIMIT p_many + 1)`
  const both = (rest: string) => `RETURN ARRAY(${lane(0, rest)} UNION ALL ${lane(1, rest)});`
  return `
CREATE OR REPLACE FUNCTION ${s}.ready_ids(p_queue text, p_many int) RETURNS uuid[] LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF p_queue IS NULL THEN ${both("true")} END IF;
  ${both("queue BETWEEN p_queue AND p_queue")}
END $$`
}
