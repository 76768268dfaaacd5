/** What others call: triggers, other languages, and drivers that are not Effect's. */

/** Milliseconds of an option: a number of them, or an interval as Postgres writes it. NULL when it is not given. */
export const millisOf = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.millis_of(options jsonb, name text) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  v_millis numeric;
BEGIN
  IF NOT options ? name THEN RETURN NULL; END IF;
  BEGIN
    v_millis := CASE jsonb_typeof(options -> name)
      WHEN 'number' THEN (options ->> name)::numeric
      WHEN 'string' THEN extract(epoch FROM (options ->> name)::interval) * 1000 END;
  EXCEPTION WHEN OTHERS THEN v_millis := NULL;
  END;
  IF v_millis IS NULL OR v_millis < 0 OR v_millis > 8640000000000000 THEN
    RAISE 'capstan.enqueue, option %: must be milliseconds from 0, or an interval as "5 minutes", it is %',
      name, options -> name USING ERRCODE = 'invalid_parameter_value';
  END IF;
  RETURN ceil(v_millis);
END $$`

/** Text of an option, with what it must look like. NULL when it is not given. */
export const textOf = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.text_of(options jsonb, name text, pattern text, longest int, rule text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF NOT options ? name THEN RETURN NULL; END IF;
  IF jsonb_typeof(options -> name) = 'string' AND options ->> name ~ pattern AND length(options ->> name) <= longest THEN
    RETURN options ->> name;
  END IF;
  RAISE 'capstan.enqueue, option %: must be %, it is %', name, rule, left((options -> name)::text, 200)
    USING ERRCODE = 'invalid_parameter_value';
END $$`

/**
 * Enqueues one record in the caller's transaction, from anything that speaks SQL: `docs/postgres.md` has the options.
 *
 * It runs with the rights of its owner, so that a role that may only enqueue needs no right on any table.
 */
export const enqueueFromSql = (s: string): string =>
  `
CREATE OR REPLACE FUNCTION ${s}.enqueue(
  tag text, payload jsonb, options jsonb DEFAULT '{}', OUT id uuid, OUT outcome text
) LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
  v_known text[] := '{queue,version,priority,delay,runAt,startBefore,idempotencyKey,uniqueKey,uniqueUntil,onConflict,`
  + `concurrencyKey,concurrencyLimit,tags,headers,sensitive}';
  v_name text := '^[A-Za-z][A-Za-z0-9_./:-]{0,127}$';
  v_name_rule text := 'a letter and up to 127 letters, digits and . _ - / :';
  v_key_rule text := 'text of 1 to 512 characters';
  v_now bigint := ${s}.clock();
  v_id text;
  v_unknown text;
  v_priority int := 0;
  v_version int := 1;
  v_limit int;
  v_run_at bigint;
  v_until text;
  v_sensitive jsonb;
  v_spec jsonb;
BEGIN
  IF tag IS NULL OR tag !~ v_name THEN
    RAISE 'capstan.enqueue: tag must be %, it is %', v_name_rule, coalesce(quote_literal(left(tag, 200)), 'NULL')
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF payload IS NULL THEN
    RAISE 'capstan.enqueue: payload is NULL; JSON''s own null is ''null''' USING ERRCODE = 'null_value_not_allowed';
  END IF;
  IF octet_length(payload::text) > 262144 THEN
    RAISE 'capstan.enqueue: payload has % bytes, at most 262144 are allowed', octet_length(payload::text)
      USING ERRCODE = 'program_limit_exceeded', HINT = 'Keep what is large elsewhere, and enqueue where it is.';
  END IF;
  options := coalesce(options, '{}');
  IF jsonb_typeof(options) <> 'object' THEN
    RAISE 'capstan.enqueue: options must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  SELECT string_agg(k, ', ' ORDER BY k) INTO v_unknown FROM jsonb_object_keys(options) k WHERE k <> ALL (v_known);
  IF v_unknown IS NOT NULL THEN
    RAISE 'capstan.enqueue: unknown option %', v_unknown
      USING ERRCODE = 'invalid_parameter_value', HINT = 'There are ' || array_to_string(v_known, ', ') || '.';
  END IF;

  CASE
  WHEN NOT options ? 'priority' THEN NULL;
  WHEN options -> 'priority' IN ('"low"', '"normal"', '"high"') THEN
    v_priority := CASE options ->> 'priority' WHEN 'low' THEN -10 WHEN 'high' THEN 10 ELSE 0 END;
  WHEN (options -> 'priority')::text ~ '^-?[0-9]{1,3}$' AND abs((options -> 'priority')::int) <= 100 THEN
    v_priority := (options -> 'priority')::int;
  ELSE
    RAISE 'capstan.enqueue, option priority: must be "low", "normal", "high" or an integer from -100 to 100, it is %',
      options -> 'priority' USING ERRCODE = 'invalid_parameter_value';
  END CASE;
  IF options ? 'version' THEN
    IF (options -> 'version')::text !~ '^[1-9][0-9]{0,8}$' THEN
      RAISE 'capstan.enqueue, option version: must be an integer from 1, it is %', options -> 'version'
        USING ERRCODE = 'invalid_parameter_value';
    END IF;
    v_version := (options -> 'version')::int;
  END IF;
  IF options ? 'delay' AND options ? 'runAt' THEN
    RAISE 'capstan.enqueue, option runAt: give either delay or runAt, not both'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF options ? 'runAt' THEN
    BEGIN
      v_run_at := ceil(extract(epoch FROM (options ->> 'runAt')::timestamptz) * 1000);
    EXCEPTION WHEN OTHERS THEN
      RAISE 'capstan.enqueue, option runAt: must be an instant as "2030-01-01T00:00:00Z", it is %', options -> 'runAt'
        USING ERRCODE = 'invalid_parameter_value';
    END;
  END IF;
  IF options ? 'concurrencyKey' <> options ? 'concurrencyLimit'
    OR options ? 'concurrencyLimit' AND (options -> 'concurrencyLimit')::text !~ '^[1-9][0-9]{0,8}$' THEN
    RAISE 'capstan.enqueue, option concurrencyLimit: give both concurrencyKey and its limit, an integer from 1'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  v_limit := (options -> 'concurrencyLimit')::int;
  IF (options ? 'uniqueUntil' OR options ? 'onConflict') AND NOT options ? 'uniqueKey' THEN
    RAISE 'capstan.enqueue, option uniqueKey: it is missing beside uniqueUntil or onConflict'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF options -> 'uniqueUntil' NOT IN ('"started"', '"finished"') THEN v_until := 'window'; END IF;
  IF options ? 'tags' AND (jsonb_typeof(options -> 'tags') <> 'array'
    OR jsonb_path_exists(options -> 'tags', 'strict $[*] ? (@.type() != "string")')) THEN
    RAISE 'capstan.enqueue, option tags: must be an array of strings' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF options ? 'headers' AND (jsonb_typeof(options -> 'headers') <> 'object'
    OR jsonb_path_exists(options -> 'headers', 'strict $.* ? (@.type() != "string")')) THEN
    RAISE 'capstan.enqueue, option headers: must be an object of strings' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  v_sensitive := options -> 'sensitive';
  IF jsonb_typeof(v_sensitive) = 'array' THEN v_sensitive := jsonb_build_object('payload', v_sensitive); END IF;
  IF jsonb_typeof(v_sensitive) <> 'object' OR EXISTS (SELECT FROM jsonb_each(v_sensitive) AS e(part, pointers)
    WHERE part NOT IN ('payload', 'result', 'error', 'progress') OR jsonb_typeof(pointers) <> 'array'
      OR jsonb_path_exists(pointers, 'strict $[*] ? (@.type() != "string")')) THEN
    RAISE 'capstan.enqueue, option sensitive: must be an array of JSON pointers into the payload, or an object of such arrays'
      USING ERRCODE = 'invalid_parameter_value',
        HINT = 'There are payload, result, error and progress, as {"payload": ["/card"], "result": ["/token"]}.';
  END IF;

  v_spec := jsonb_strip_nulls(jsonb_build_object(
    'tags', options -> 'tags',
    'headers', options -> 'headers',
    'sensitive', '{"payload": [], "result": [], "error": [], "progress": []}' || v_sensitive,
    'idempotencyKey', ${s}.text_of(options, 'idempotencyKey', '.', 512, v_key_rule),
    'uniqueKey', ${s}.text_of(options, 'uniqueKey', '.', 512, v_key_rule),
    'startBefore', ${s}.millis_of(options, 'startBefore')));
  -- A UUIDv7, as core makes them: the instant, then what is random.
  v_id := lpad(to_hex(v_now), 12, '0') || '7' || substr(md5(gen_random_uuid()::text), 14, 3)
    || substr('89ab', 1 + floor(random() * 4)::int, 1) || substr(md5(gen_random_uuid()::text), 18, 15);
  SELECT o_id, o_outcome INTO id, outcome FROM ${s}.enqueue_one(
    jsonb_strip_nulls(jsonb_build_object(
      'id', v_id::uuid,
      'tag', tag,
      'version', v_version,
      'queue', coalesce(${s}.text_of(options, 'queue', v_name, 128, v_name_rule), 'default'),
      'priority', -v_priority,
      'delay', coalesce(${s}.millis_of(options, 'delay'), 0),
      'runAt', v_run_at,
      'startBefore', v_spec -> 'startBefore',
      'idempotencyKey', v_spec -> 'idempotencyKey',
      'uniqueKey', v_spec -> 'uniqueKey',
      'onConflict', coalesce(
        ${s}.text_of(options, 'onConflict', '^(keep|replace|reschedule|runAfter)$', 10,
          '"keep", "replace", "reschedule" or "runAfter"'), 'keep'),
      'untilStarted', options -> 'uniqueUntil' = '"started"',
      'window', CASE v_until WHEN 'window' THEN ${s}.millis_of(options, 'uniqueUntil') END,
      'key', tag || '/' || ${s}.text_of(options, 'concurrencyKey', '.', 511 - length(tag),
        'text of 1 to 511 characters, less those of the tag'),
      'keyLimit', v_limit,
      'spec', CASE WHEN v_spec <> '{}' THEN v_spec::text END,
      'payload', payload::text))::json,
    v_now, false, true);
  IF outcome = 'UniqueConflict' THEN
    RAISE 'capstan.enqueue: the unique key % is held by %, a member of a flow', options -> 'uniqueKey', id
      USING ERRCODE = 'unique_violation';
  END IF;
END $$`

/**
 * Who may only enqueue gets these functions and no table: they run as their owner, and nobody may call them who was not
 * told so.
 */
export const rightsToEnqueue = (s: string): string => `
DO $do$
DECLARE f regprocedure;
BEGIN
  FOR f IN SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = '${s}'::regnamespace
    AND p.proname IN ('enqueue', 'enqueue_lone', 'enqueue_plain', 'enqueue_keyed', 'enqueue_each')
  LOOP
    EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = pg_catalog, pg_temp', f);
    EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f);
  END LOOP;
END $do$`
