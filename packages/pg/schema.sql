-- The schema as it is after all migrations, diffed by a test: `npm test -- packages/pg/test/Migrations -u` writes it.

CREATE TABLE agenda (
  num bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  at bigint NOT NULL DEFAULT 0,
  id uuid,
  key text COLLATE "C",
  frees boolean NOT NULL DEFAULT false,
  waitpoint text COLLATE "C",
  value text,
  record text
);

ALTER TABLE agenda ADD CONSTRAINT agenda_pkey PRIMARY KEY (num);

CREATE INDEX agenda_record ON agenda USING btree (at, num) WHERE (record IS NOT NULL);

CREATE INDEX agenda_record_id ON agenda USING btree (id) WHERE (record IS NOT NULL);

CREATE TABLE cancel (
  id uuid NOT NULL,
  fence integer NOT NULL,
  reason text NOT NULL,
  told boolean NOT NULL DEFAULT false
);

ALTER TABLE cancel ADD CONSTRAINT cancel_pkey PRIMARY KEY (id);

CREATE TABLE checkpoint (
  id uuid NOT NULL,
  name text COLLATE "C" NOT NULL,
  value text NOT NULL
);

ALTER TABLE checkpoint ADD CONSTRAINT checkpoint_pkey PRIMARY KEY (id, name);

CREATE SEQUENCE claim;

CREATE TABLE claimed (
  worker integer NOT NULL,
  num bigint NOT NULL DEFAULT nextval('claim'::regclass),
  ids uuid[] NOT NULL
) WITH (toast_tuple_target=8160, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=5000);

CREATE INDEX claimed_worker ON claimed USING btree (worker, num);

CREATE TABLE counter (
  part smallint NOT NULL,
  queue text COLLATE "C" NOT NULL,
  blocked bigint NOT NULL,
  scheduled bigint NOT NULL,
  ready bigint NOT NULL,
  running bigint NOT NULL,
  completed bigint NOT NULL,
  cancelled bigint NOT NULL,
  dead bigint NOT NULL,
  parked bigint NOT NULL
) WITH (fillfactor=50);

ALTER TABLE counter ADD CONSTRAINT counter_pkey PRIMARY KEY (queue, part);

CREATE TABLE delta (
  part smallint NOT NULL DEFAULT '-1'::integer,
  queue text COLLATE "C" NOT NULL,
  blocked integer NOT NULL DEFAULT 0,
  scheduled integer NOT NULL DEFAULT 0,
  ready integer NOT NULL DEFAULT 0,
  running integer NOT NULL DEFAULT 0,
  completed integer NOT NULL DEFAULT 0,
  cancelled integer NOT NULL DEFAULT 0,
  dead integer NOT NULL DEFAULT 0,
  parked integer NOT NULL DEFAULT 0
);

CREATE TABLE dependency (
  child uuid NOT NULL,
  parent uuid NOT NULL,
  on_failure smallint NOT NULL,
  state smallint,
  name text COLLATE "C" NOT NULL,
  value text
) WITH (fillfactor=60);

ALTER TABLE dependency ADD CONSTRAINT dependency_pkey PRIMARY KEY (child, parent, name);

CREATE INDEX dependency_parent ON dependency USING btree (parent);

CREATE TABLE detail (
  id uuid NOT NULL,
  progress text,
  logs jsonb
);

ALTER TABLE detail ADD CONSTRAINT detail_pkey PRIMARY KEY (id);

CREATE TABLE gone (
  id uuid NOT NULL,
  fence integer NOT NULL,
  at bigint NOT NULL
);

ALTER TABLE gone ADD CONSTRAINT gone_pkey PRIMARY KEY (id);

CREATE TABLE history (
  id uuid NOT NULL,
  enqueued_at bigint NOT NULL,
  claimed_at bigint,
  ended_at bigint,
  finished_at bigint NOT NULL,
  expires_at bigint,
  fence integer NOT NULL,
  settled integer NOT NULL,
  attempt integer NOT NULL,
  version integer NOT NULL,
  key_limit integer,
  part smallint NOT NULL,
  state smallint NOT NULL,
  priority smallint NOT NULL,
  crashes smallint NOT NULL,
  flags smallint NOT NULL,
  keep_count integer,
  queue text COLLATE "C" NOT NULL,
  tag text COLLATE "C" NOT NULL,
  key text COLLATE "C",
  worker text COLLATE "C",
  trace text,
  reason text COLLATE "C",
  retention text,
  spec text,
  attempts jsonb,
  failures jsonb,
  detail jsonb,
  result text,
  payload text NOT NULL
) PARTITION BY LIST (part);

CREATE INDEX history_counted ON ONLY history USING btree (tag, state, keep_count, finished_at) WHERE (keep_count IS NOT NULL);

CREATE INDEX history_dead_reason ON ONLY history USING btree (reason, id) WHERE (state = 6);

CREATE INDEX history_ended ON ONLY history USING btree (id) WHERE (state > 4);

CREATE INDEX history_ended_queue ON ONLY history USING btree (queue, id) WHERE (state > 4);

CREATE INDEX history_ended_tag ON ONLY history USING btree (tag, id) WHERE (state > 4);

CREATE INDEX history_failed ON ONLY history USING btree ("left"(((failures -> '-1'::integer) ->> 'tag'::text), 64), id) WHERE (failures IS NOT NULL);

CREATE INDEX history_id ON ONLY history USING btree (id);

CREATE INDEX history_keyed ON ONLY history USING btree (id) WHERE (flags <> 0);

CREATE TABLE history_0 PARTITION OF history FOR VALUES IN ('0') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_1 PARTITION OF history FOR VALUES IN ('1') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_10 PARTITION OF history FOR VALUES IN ('10') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_11 PARTITION OF history FOR VALUES IN ('11') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_12 PARTITION OF history FOR VALUES IN ('12') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_13 PARTITION OF history FOR VALUES IN ('13') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_14 PARTITION OF history FOR VALUES IN ('14') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_15 PARTITION OF history FOR VALUES IN ('15') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_16 PARTITION OF history FOR VALUES IN ('16') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_17 PARTITION OF history FOR VALUES IN ('17') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_18 PARTITION OF history FOR VALUES IN ('18') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_19 PARTITION OF history FOR VALUES IN ('19') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_2 PARTITION OF history FOR VALUES IN ('2') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_20 PARTITION OF history FOR VALUES IN ('20') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_21 PARTITION OF history FOR VALUES IN ('21') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_22 PARTITION OF history FOR VALUES IN ('22') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_23 PARTITION OF history FOR VALUES IN ('23') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_24 PARTITION OF history FOR VALUES IN ('24') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_25 PARTITION OF history FOR VALUES IN ('25') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_26 PARTITION OF history FOR VALUES IN ('26') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_27 PARTITION OF history FOR VALUES IN ('27') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_28 PARTITION OF history FOR VALUES IN ('28') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_29 PARTITION OF history FOR VALUES IN ('29') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_3 PARTITION OF history FOR VALUES IN ('3') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_30 PARTITION OF history FOR VALUES IN ('30') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_4 PARTITION OF history FOR VALUES IN ('4') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_5 PARTITION OF history FOR VALUES IN ('5') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_6 PARTITION OF history FOR VALUES IN ('6') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_7 PARTITION OF history FOR VALUES IN ('7') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_8 PARTITION OF history FOR VALUES IN ('8') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE history_9 PARTITION OF history FOR VALUES IN ('9') WITH (autovacuum_vacuum_insert_scale_factor=0, autovacuum_vacuum_insert_threshold=1000000);

CREATE TABLE housekeeping (
  only_one boolean NOT NULL DEFAULT true,
  next_at bigint NOT NULL DEFAULT 0,
  mended text COLLATE "C" NOT NULL DEFAULT ''::text
) WITH (fillfactor=20);

ALTER TABLE housekeeping ADD CONSTRAINT housekeeping_only_one_check CHECK (only_one);

ALTER TABLE housekeeping ADD CONSTRAINT housekeeping_pkey PRIMARY KEY (only_one);

CREATE TABLE idem (
  tag text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  id uuid NOT NULL
);

ALTER TABLE idem ADD CONSTRAINT idem_pkey PRIMARY KEY (tag, key);

CREATE INDEX idem_id ON idem USING btree (id);

CREATE TABLE key (
  name text COLLATE "C" NOT NULL,
  lim integer NOT NULL,
  held integer NOT NULL,
  full_at double precision NOT NULL DEFAULT 0,
  closed_until bigint NOT NULL DEFAULT 0,
  opens_at bigint,
  failed integer NOT NULL DEFAULT 0,
  turns jsonb
) WITH (fillfactor=50);

ALTER TABLE key ADD CONSTRAINT key_pkey PRIMARY KEY (name);

CREATE INDEX key_opens ON key USING btree (opens_at) WHERE (opens_at IS NOT NULL);

CREATE TABLE limits (
  name text COLLATE "C" NOT NULL,
  release bigint NOT NULL DEFAULT '-1'::integer,
  proposed jsonb NOT NULL DEFAULT '{}'::jsonb,
  override jsonb,
  concurrency integer,
  gap double precision,
  burst integer,
  fair boolean,
  trips integer,
  open_for bigint,
  full_at double precision NOT NULL DEFAULT 0,
  closed_until bigint NOT NULL DEFAULT 0
) WITH (fillfactor=50);

ALTER TABLE limits ADD CONSTRAINT limits_pkey PRIMARY KEY (name);

CREATE TABLE listener (
  id text COLLATE "C" NOT NULL,
  until bigint NOT NULL
) WITH (fillfactor=50);

ALTER TABLE listener ADD CONSTRAINT listener_pkey PRIMARY KEY (id);

CREATE TABLE migration (
  version integer NOT NULL,
  name text NOT NULL,
  readable_by integer NOT NULL,
  applied_at timestamp with time zone NOT NULL DEFAULT now()
);

ALTER TABLE migration ADD CONSTRAINT migration_pkey PRIMARY KEY (version);

CREATE TABLE outbox (
  num bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  at bigint NOT NULL,
  taken_until bigint NOT NULL DEFAULT 0,
  id uuid NOT NULL,
  relay text COLLATE "C" NOT NULL,
  refused text,
  record text NOT NULL
) WITH (fillfactor=70, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=5000, autovacuum_vacuum_cost_delay=0);

ALTER TABLE outbox ADD CONSTRAINT outbox_pkey PRIMARY KEY (num);

CREATE INDEX outbox_refused ON outbox USING btree (relay, num) WHERE (refused IS NOT NULL);

CREATE INDEX outbox_waiting ON outbox USING btree (relay, num) WHERE (refused IS NULL);

CREATE SEQUENCE place;

CREATE TABLE process (
  worker integer NOT NULL,
  told text NOT NULL
);

ALTER TABLE process ADD CONSTRAINT process_pkey PRIMARY KEY (worker);

CREATE TABLE queue (
  name text COLLATE "C" NOT NULL,
  paused boolean NOT NULL DEFAULT false,
  limited boolean NOT NULL DEFAULT false,
  turn bigint NOT NULL DEFAULT 0
);

ALTER TABLE queue ADD CONSTRAINT queue_pkey PRIMARY KEY (name);

CREATE TABLE record (
  id uuid NOT NULL,
  place bigint NOT NULL,
  turn bigint NOT NULL DEFAULT 0,
  at bigint NOT NULL,
  enqueued_at bigint NOT NULL,
  ready_at bigint NOT NULL,
  begun_at bigint NOT NULL DEFAULT 0,
  worker integer NOT NULL DEFAULT 0,
  fence integer NOT NULL DEFAULT 0,
  settled integer NOT NULL DEFAULT 0,
  attempt integer NOT NULL DEFAULT 0,
  version integer NOT NULL,
  state smallint NOT NULL,
  priority smallint NOT NULL,
  crashes smallint NOT NULL DEFAULT 0,
  flags smallint NOT NULL DEFAULT 0,
  lane smallint NOT NULL,
  queue text COLLATE "C" NOT NULL,
  tag text COLLATE "C" NOT NULL,
  payload text NOT NULL,
  spec text,
  retention text,
  key text COLLATE "C",
  key_limit integer,
  reason text COLLATE "C",
  blocked_on text COLLATE "C",
  expire_at bigint,
  due bigint,
  expires bigint,
  attempts jsonb,
  failures jsonb,
  listens text[] COLLATE "C"
) WITH (fillfactor=50, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=5000, autovacuum_vacuum_cost_delay=0, autovacuum_analyze_scale_factor=0, autovacuum_analyze_threshold=50000);

ALTER TABLE record ADD CONSTRAINT record_pkey PRIMARY KEY (id);

CREATE INDEX record_after ON record USING btree (blocked_on) WHERE ((lane = 3) AND (reason = 'Unique'::text));

CREATE INDEX record_back ON record USING btree (queue, priority, turn, place) WHERE (lane = 1);

CREATE INDEX record_blocked_until ON record USING btree (((lane + 0)), id) WHERE ((lane = 2) AND (reason IS NOT NULL));

CREATE INDEX record_expiring ON record USING btree (expires) WHERE (expires IS NOT NULL);

CREATE INDEX record_key ON record USING btree (key, priority, turn, place) WHERE ((lane = 3) AND (reason = 'ConcurrencyKey'::text));

CREATE INDEX record_listens ON record USING gin (listens) WHERE (listens IS NOT NULL);

CREATE INDEX record_parked ON record USING btree (tag, version) WHERE ((lane = 3) AND (reason = ANY (ARRAY['NoHandler'::text, 'NewerPayload'::text])));

CREATE INDEX record_ready ON record USING btree (queue, priority, turn, place) WHERE (lane = 0);

CREATE INDEX record_scheduled ON record USING btree (queue, due, place) WHERE (lane = 2);

CREATE INDEX record_shared ON record USING btree (key) WHERE ((lane = 1) AND (key >= '@'::text) AND (key < 'A'::text));

CREATE INDEX record_waiting ON record USING btree (lane, id) WHERE (lane > 1);

CREATE TABLE schedule (
  name text COLLATE "C" NOT NULL,
  revision bigint NOT NULL,
  next_at bigint,
  attend_at bigint,
  counted bigint NOT NULL DEFAULT 0,
  last_at bigint,
  last_due_at bigint,
  last_ticked_at bigint,
  last_outcome text COLLATE "C",
  last_id uuid,
  body text NOT NULL
);

ALTER TABLE schedule ADD CONSTRAINT schedule_pkey PRIMARY KEY (name);

CREATE INDEX schedule_attend ON schedule USING btree (attend_at) WHERE (attend_at IS NOT NULL);

CREATE TABLE spent (
  worker integer NOT NULL,
  at bigint NOT NULL,
  ids uuid[] NOT NULL,
  fences integer[] NOT NULL
) WITH (toast_tuple_target=8160, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=5000);

CREATE INDEX spent_worker ON spent USING btree (worker, at);

CREATE TABLE started (
  queue text COLLATE "C" NOT NULL,
  id uuid NOT NULL
);

ALTER TABLE started ADD CONSTRAINT started_pkey PRIMARY KEY (queue, id);

CREATE TABLE uniq (
  tag text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  id uuid NOT NULL,
  until bigint,
  lasts bigint,
  until_started boolean NOT NULL DEFAULT false,
  successor uuid
) WITH (fillfactor=70);

ALTER TABLE uniq ADD CONSTRAINT uniq_pkey PRIMARY KEY (tag, key);

CREATE TABLE worker (
  num integer NOT NULL GENERATED ALWAYS AS IDENTITY,
  id text COLLATE "C" NOT NULL,
  lease_until bigint NOT NULL,
  wakes_until bigint NOT NULL DEFAULT 0,
  ended boolean NOT NULL DEFAULT true,
  suspect uuid,
  queues text[] NOT NULL DEFAULT '{}'::text[],
  handles jsonb NOT NULL DEFAULT '[]'::jsonb
) WITH (fillfactor=50);

ALTER TABLE worker ADD CONSTRAINT worker_id_key UNIQUE (id);

ALTER TABLE worker ADD CONSTRAINT worker_pkey PRIMARY KEY (num);

CREATE OR REPLACE FUNCTION admit_keys(p_keys text[], p_now bigint)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_queues text[];
  v_many int[];
  v_took jsonb;
  v_opens jsonb;
  v_again text[];
BEGIN
  PERFORM FROM (SELECT DISTINCT unnest(p_keys) COLLATE "C" AS name ORDER BY 1) g
    CROSS JOIN LATERAL (SELECT FROM key WHERE name = g.name FOR UPDATE) k;
  WITH k AS MATERIALIZED (
    SELECT k.name, k.held, (CASE WHEN p_now < k.closed_until THEN 0 ELSE least(1000, CASE WHEN l.name IS NULL THEN k.lim WHEN k.failed >= l.trips THEN least(1, l.concurrency) ELSE l.concurrency END - k.held,
        CASE WHEN l.gap IS NOT NULL THEN greatest(0, floor(l.burst + (p_now - greatest(least(k.full_at, p_now + l.burst * l.gap + 1000.9), p_now) + 0.901) / l.gap)) - k.ready END) END)::int AS room, (CASE WHEN k.held >= CASE WHEN l.name IS NULL THEN k.lim WHEN k.failed >= l.trips THEN least(1, l.concurrency) ELSE l.concurrency END OR l.gap IS NOT NULL AND k.ready >= floor(l.burst + 0.9 / l.gap) THEN NULL
        ELSE greatest(p_now, k.closed_until, CASE WHEN l.gap IS NOT NULL THEN ceil(least(k.full_at, p_now + l.burst * l.gap + 1000.9) - (l.burst - (k.ready + 1)) * l.gap - 0.9)::bigint END) END)::bigint AS opens
    FROM (SELECT DISTINCT unnest(p_keys) AS name) g
    CROSS JOIN LATERAL (SELECT * FROM key WHERE name = g.name LIMIT 1) q
    LEFT JOIN LATERAL (SELECT * FROM limits
      WHERE q.name >= '@' AND q.name < 'A' AND name = split_part(q.name, '/', 1) AND (release >= 0 OR override IS NOT NULL) LIMIT 1) l ON true
    CROSS JOIN LATERAL (SELECT q.name, q.lim, q.held + 0 AS held, q.full_at, q.closed_until, q.failed,
      CASE WHEN l.gap IS NULL THEN 0 ELSE (SELECT count(*) FROM record WHERE key = q.name AND key >= '@' AND key < 'A' AND lane = 1 AND state = 0) END AS ready) k
  ), c AS MATERIALIZED (
    SELECT r.id FROM k CROSS JOIN LATERAL (
      SELECT id FROM record WHERE key = k.name AND lane = 3 AND reason = 'ConcurrencyKey'
      ORDER BY priority, turn, place LIMIT k.room FOR UPDATE SKIP LOCKED
    ) r WHERE k.room > 0
  ), u AS (
    UPDATE record r SET state = 0, lane = 1, reason = NULL, blocked_on = NULL, flags = r.flags | 24, at = p_now
    WHERE r.id = ANY (ARRAY(SELECT id FROM c)) RETURNING r.queue, r.key
  ), counted AS (
    INSERT INTO delta (queue, blocked, ready) SELECT queue, -count(*), count(*) FROM u GROUP BY queue RETURNING queue, ready
  )
  SELECT (SELECT array_agg(queue) FROM counted), (SELECT array_agg(ready) FROM counted),
      (SELECT jsonb_object_agg(key, n) FROM (SELECT key, count(*) AS n FROM u GROUP BY key) t)
    INTO v_queues, v_many, v_took;
  -- Room is left where those that wait are locked, or more than are taken at a time.
  SELECT jsonb_object_agg(name, CASE WHEN room > 0 THEN p_now + 50 ELSE opens END) FILTER (WHERE name LIKE '@%'),
      array_agg(name) FILTER (WHERE name NOT LIKE '@%' AND room > 0)
    INTO v_opens, v_again
    FROM (SELECT k.name, k.held, (CASE WHEN p_now < k.closed_until THEN 0 ELSE least(1000, CASE WHEN l.name IS NULL THEN k.lim WHEN k.failed >= l.trips THEN least(1, l.concurrency) ELSE l.concurrency END - k.held,
        CASE WHEN l.gap IS NOT NULL THEN greatest(0, floor(l.burst + (p_now - greatest(least(k.full_at, p_now + l.burst * l.gap + 1000.9), p_now) + 0.901) / l.gap)) - k.ready END) END)::int AS room, (CASE WHEN k.held >= CASE WHEN l.name IS NULL THEN k.lim WHEN k.failed >= l.trips THEN least(1, l.concurrency) ELSE l.concurrency END OR l.gap IS NOT NULL AND k.ready >= floor(l.burst + 0.9 / l.gap) THEN NULL
        ELSE greatest(p_now, k.closed_until, CASE WHEN l.gap IS NOT NULL THEN ceil(least(k.full_at, p_now + l.burst * l.gap + 1000.9) - (l.burst - (k.ready + 1)) * l.gap - 0.9)::bigint END) END)::bigint AS opens
    FROM (SELECT DISTINCT unnest(p_keys) AS name) g
    CROSS JOIN LATERAL (SELECT * FROM key WHERE name = g.name LIMIT 1) q
    LEFT JOIN LATERAL (SELECT * FROM limits
      WHERE q.name >= '@' AND q.name < 'A' AND name = split_part(q.name, '/', 1) AND (release >= 0 OR override IS NOT NULL) LIMIT 1) l ON true
    CROSS JOIN LATERAL (SELECT q.name, q.lim, q.held + coalesce((v_took ->> q.name)::int, 0) AS held, q.full_at, q.closed_until, q.failed,
      CASE WHEN l.gap IS NULL THEN 0 ELSE (SELECT count(*) FROM record WHERE key = q.name AND key >= '@' AND key < 'A' AND lane = 1 AND state = 0) END AS ready) k) k WHERE (SELECT true FROM record WHERE key = k.name AND lane = 3 AND reason = 'ConcurrencyKey' LIMIT 1);
  UPDATE key SET held = held + coalesce((v_took ->> name)::int, 0), opens_at = (v_opens ->> name)::bigint
    WHERE name = ANY (p_keys) AND (v_took ->> name IS NOT NULL OR opens_at IS DISTINCT FROM (v_opens ->> name)::bigint);
  IF v_again IS NOT NULL THEN
    INSERT INTO agenda (key, at) SELECT name, p_now + 200 FROM unnest(v_again) AS u(name);
  END IF;
  PERFORM wake(queue, p_now, many) FROM unnest(v_queues, v_many) AS admitted(queue, many);
END $function$;

CREATE OR REPLACE FUNCTION advance(p_id uuid, p_now bigint, p_broken boolean)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
DECLARE
  c record;
  d dependency;
  v_reason text;
  v_free boolean;
BEGIN
  SELECT * INTO c FROM record WHERE id = p_id FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    SELECT * INTO c FROM record WHERE id = p_id;
    IF FOUND THEN
      INSERT INTO agenda (id, frees, value, at)
        VALUES (p_id, true, CASE WHEN p_broken THEN 'broken' END, p_now + 200);
      PERFORM wake(c.queue, p_now, 1);
    END IF;
    RETURN;
  END IF;
  IF c.state <> 3 OR c.reason NOT IN ('Dependencies', 'Unique', 'Children') THEN RETURN; END IF;
  v_free := c.reason <> 'Unique' AND NOT is_waiting(p_id, c.reason = 'Children');
  -- Children may end as they like: the attempt that left them behind decides. A dependency must complete. Whoever ended one
  -- otherwise may have found this record locked, and come back later: so what is free looks for itself.
  IF (p_broken OR v_free) AND c.reason <> 'Children' THEN
    SELECT * INTO d FROM dependency WHERE child = p_id AND on_failure < 2 AND state <> 4 ORDER BY parent LIMIT 1;
    IF FOUND THEN
      c.fence := c.fence + 1;
      c.failures := coalesce(c.failures, '[]') || jsonb_build_array(jsonb_build_object(
        'attempt', c.attempt, 'kind', 'Dependency', 'at', p_now, 'tag', 'DependencyFailed',
        'message', format('it waited for %s, record %s, which %s', d.name, d.parent,
          CASE d.state WHEN 6 THEN 'is dead' WHEN 5 THEN 'was cancelled' ELSE 'is gone' END)));
      IF d.on_failure = 1 THEN
        v_reason := format('%s, record %s, failed beside it', d.name, d.parent);
        IF keeps(c.retention, 6) THEN
          INSERT INTO agenda (id, value) VALUES (p_id, v_reason);
        ELSE
          -- It lives no more, and nobody could tell later for whom they are cancelled: its edges go with it.
          INSERT INTO agenda (id, key, value)
            SELECT DISTINCT parent, '', v_reason FROM dependency WHERE child = p_id AND state IS NULL;
        END IF;
      END IF;
      PERFORM bury(c, 'DependencyFailed', p_now, true);
      RETURN;
    END IF;
  END IF;
  IF v_free THEN
    -- What waits for children no longer than until an instant is due by then.
    PERFORM let_run(c, CASE WHEN c.reason = 'Children' THEN p_now ELSE c.at END, p_now, false);
  END IF;
END $function$;

CREATE OR REPLACE FUNCTION age(retention text, state integer)
 RETURNS bigint
 LANGUAGE sql
 IMMUTABLE
AS $function$
  SELECT CASE
    WHEN retention IS NULL THEN CASE state WHEN 4 THEN 86400000 WHEN 5 THEN 604800000 ELSE 2592000000 END
    ELSE (retention::json -> (state - 4) ->> 0)::bigint
  END
$function$;

CREATE OR REPLACE FUNCTION ask_to_stop(r record, p_reason text)
 RETURNS boolean
 LANGUAGE plpgsql
 SET lock_timeout TO '5ms'
AS $function$
BEGIN
  INSERT INTO cancel (id, fence, reason) VALUES (r.id, r.fence, p_reason) ON CONFLICT (id) DO NOTHING;
  RETURN FOUND;
EXCEPTION WHEN lock_not_available THEN RETURN NULL;
END $function$;

CREATE OR REPLACE FUNCTION attempts_of(h history)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
AS $function$
  SELECT CASE WHEN h.claimed_at IS NULL THEN h.attempts ELSE
    CASE WHEN jsonb_array_length(h.attempts) >= 100 THEN h.attempts - 0 ELSE coalesce(h.attempts, '[]') END ||
    jsonb_strip_nulls(jsonb_build_object('attempt', h.attempt, 'worker', h.worker, 'startedAt', h.claimed_at,
      'endedAt', h.ended_at, 'decision', 'completed', 'trace', h.trace)) END
$function$;

CREATE OR REPLACE FUNCTION attend_schedules(p_now bigint)
 RETURNS json
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_rows json;
BEGIN
  IF NOT EXISTS (SELECT FROM schedule WHERE attend_at <= p_now) THEN RETURN NULL; END IF;
  WITH due AS MATERIALIZED (
    SELECT name, attend_at FROM schedule WHERE attend_at <= p_now ORDER BY attend_at LIMIT 100 FOR UPDATE SKIP LOCKED
  ), given AS (
    UPDATE schedule q SET attend_at = p_now + 5000 FROM due WHERE q.name = due.name RETURNING q.*, due.attend_at AS was
  )
  SELECT json_agg(to_jsonb(given) ORDER BY given.was) INTO v_rows FROM given;
  RETURN v_rows;
END $function$;

CREATE OR REPLACE FUNCTION begin_again(h history, p_payload text, p_version integer, p_sensitive jsonb, p_now bigint, p_transaction boolean)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
DECLARE
  r record;
  u uniq;
  v_key text := h.spec::json ->> 'uniqueKey';
BEGIN
  IF h.flags & 1 = 1 THEN
    SELECT * INTO u FROM uniq WHERE tag = h.tag AND key = v_key FOR UPDATE;
    IF FOUND AND u.id <> h.id AND holds(u, p_now) IS NOT NULL
      OR u.successor <> h.id AND EXISTS (SELECT FROM record WHERE id = u.successor) THEN
      RETURN false;
    END IF;
    INSERT INTO uniq AS q (tag, key, id) VALUES (h.tag, v_key, h.id)
      ON CONFLICT (tag, key) DO UPDATE SET id = h.id, until = p_now + q.lasts, successor = NULL;
  END IF;
  DELETE FROM history WHERE id = h.id AND part = h.part;
  INSERT INTO delta (part, queue, completed, cancelled, dead)
    VALUES (h.part, h.queue, -(h.state = 4)::int, -(h.state = 5)::int, -(h.state = 6)::int);
  r.id := h.id;
  r.place := nextval('place');
  r.turn := 0;
  r.at := p_now;
  r.enqueued_at := h.enqueued_at;
  r.ready_at := p_now;
  r.begun_at := 0;
  r.worker := 0;
  r.fence := h.fence + 1;
  r.settled := h.settled;
  r.attempt := 0;
  r.version := coalesce(p_version, h.version);
  r.key_limit := h.key_limit;
  r.state := 3;
  r.priority := h.priority;
  r.crashes := 0;
  r.flags := h.flags & 2081
    | CASE WHEN EXISTS (SELECT FROM dependency WHERE parent = h.id) THEN 1024 ELSE 0 END;
  r.queue := h.queue;
  r.tag := h.tag;
  r.key := h.key;
  r.retention := h.retention;
  r.spec := masked(h.spec, p_sensitive);
  r.payload := coalesce(p_payload, h.payload);
  IF position('"cancelOn":' IN h.spec) > 0 AND jsonb_typeof(h.spec::jsonb -> 'cancelOn') = 'array' THEN
    r.listens := ARRAY(SELECT jsonb_array_elements_text(h.spec::jsonb -> 'cancelOn'));
  END IF;
  r.attempts := attempts_of(h);
  IF h.detail -> 'logs' IS NOT NULL AND h.detail -> 'logs' <> 'null' THEN
    INSERT INTO detail (id, logs) VALUES (h.id, h.detail -> 'logs');
    r.flags := r.flags | 2;
  END IF;
  -- Steps that were undone are to run again.
  IF jsonb_typeof(h.detail -> 'checkpoints') = 'object' AND NOT h.detail -> 'checkpoints' ? '!undone' THEN
    INSERT INTO checkpoint (id, name, value) SELECT h.id, key, value FROM jsonb_each_text(h.detail -> 'checkpoints');
    r.flags := r.flags | 2 | (h.detail ->> 'undo')::int;
  END IF;
  IF r.flags & 2048 = 2048 AND is_waiting(h.id, false) THEN r.reason := 'Dependencies'; END IF;
  PERFORM insert_record(r);
  PERFORM count_move(r.queue, NULL, NULL, 3, r.reason);
  IF r.reason IS NULL THEN
    PERFORM let_run(r, p_now, p_now, false, p_transaction);
  ELSIF p_transaction THEN
    INSERT INTO agenda (id) VALUES (r.id);
    PERFORM wake(r.queue, -1, 1);
  ELSE
    PERFORM look_again(r.id, NULL, p_now);
    PERFORM tend(r.id, p_now);
  END IF;
  RETURN true;
END $function$;

CREATE OR REPLACE FUNCTION begun_of(p_dependents json)
 RETURNS uuid
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_id uuid;
BEGIN
  FOR v_id IN SELECT DISTINCT (e ->> 'id')::uuid FROM json_array_elements(p_dependents) e ORDER BY 1 LOOP
    BEGIN
      PERFORM FROM record WHERE id = v_id AND state = 3 AND reason IN ('Dependencies', 'Unique') FOR UPDATE;
      IF NOT FOUND THEN RAISE EXCEPTION USING ERRCODE = 'CAP02'; END IF;
    -- Of one that has begun while this waited for it, the lock goes with it: see `lock_resting`.
    EXCEPTION WHEN SQLSTATE 'CAP02' THEN RETURN v_id;
    END;
    UPDATE record SET flags = flags | 2048 WHERE id = v_id AND flags & 2048 = 0;
  END LOOP;
  RETURN NULL;
END $function$;

CREATE OR REPLACE FUNCTION block(r record, p_reason text, p_on text, p_now bigint, p_until bigint DEFAULT NULL::bigint)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_freed text := CASE WHEN r.flags & 8 = 8 THEN r.key END;
BEGIN
  r.worker := 0;
  r.flags := r.flags & ~8;
  r.state := 3;
  r.reason := p_reason;
  r.blocked_on := p_on;
  r.at := coalesce(p_until, p_now);
  IF p_until IS NOT NULL THEN r.flags := r.flags | 64; END IF;
  PERFORM put(r);
  PERFORM tell('blocked', r, coalesce(CASE WHEN p_reason = 'Waitpoint' THEN p_on END, p_reason), p_now);
  IF v_freed IS NOT NULL THEN PERFORM free_slots(ARRAY[v_freed], p_now); END IF;
END $function$;

CREATE OR REPLACE FUNCTION bound_idle()
 RETURNS void
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_set interval := current_setting('idle_in_transaction_session_timeout');
BEGIN
  IF v_set = '0' OR v_set > '10s' THEN PERFORM set_config('idle_in_transaction_session_timeout', '10s', true); END IF;
END $function$;

CREATE OR REPLACE FUNCTION bury(r record, p_reason text, p_now bigint, p_transaction boolean DEFAULT false)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_spec jsonb;
  v_digest text;
BEGIN
  PERFORM finish(r, 6, p_reason, NULL, p_now, p_transaction);
  IF r.spec IS NULL OR position('"followed":' IN r.spec) = 0 THEN RETURN; END IF;
  v_spec := r.spec::jsonb;
  IF v_spec -> 'followed' IS DISTINCT FROM 'true' THEN RETURN; END IF;
  v_digest := md5(r.id || '/' || r.fence);
  PERFORM enqueue_one(json_build_object(
    -- Of another life another one.
    'id', left(r.id::text, 14) || '7' || substr(v_digest, 1, 3) || '-8' || substr(v_digest, 4, 3) || '-' || right(v_digest, 12),
    'tag', r.tag, 'version', r.version, 'queue', r.queue, 'priority', r.priority, 'payload', r.payload, 'delay', 0,
    'retention', r.retention, 'spec', (
      v_spec - ARRAY['followed', 'cancelOn', 'idempotencyKey', 'uniqueKey', 'startBefore', 'rateKey', 'batchKey', 'flowId']
      || jsonb_build_object('parent', r.id, 'headers', coalesce(v_spec -> 'headers', '{}') || jsonb_build_object(
        'capstan-ended', value_of(6, p_reason, NULL, r.failures))))::text
  ), p_now, false, p_transaction);
END $function$;

CREATE OR REPLACE FUNCTION cancel_or_defer(p_id uuid, p_reason text, p_now bigint)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_queue text;
BEGIN
  PERFORM FROM record WHERE id = p_id FOR UPDATE SKIP LOCKED;
  IF FOUND THEN
    PERFORM control_one(p_id, 'Cancel', p_reason, NULL, NULL, NULL, NULL, NULL, p_now, false);
    RETURN;
  END IF;
  SELECT queue INTO v_queue FROM record WHERE id = p_id;
  IF NOT FOUND THEN RETURN; END IF;
  INSERT INTO agenda (id, key, value, at) VALUES (p_id, '', p_reason, p_now + 200);
  PERFORM wake(v_queue, p_now, 1);
END $function$;

CREATE OR REPLACE FUNCTION cancel_siblings(p_id uuid, p_reason text, p_now bigint)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_parent uuid;
  v_count int := 0;
  v_more boolean := false;
BEGIN
  -- It may live again by now, and wait for them.
  IF NOT EXISTS (SELECT FROM history WHERE id = p_id AND state = 6 AND reason = 'DependencyFailed') THEN
    RETURN false;
  END IF;
  FOR v_parent IN
    SELECT d.parent FROM dependency d WHERE d.child = p_id AND d.state IS NULL
      AND NOT EXISTS (SELECT FROM cancel q WHERE q.id = d.parent)
    ORDER BY d.parent LIMIT 500
  LOOP
    v_count := v_count + 1;
    PERFORM FROM record WHERE id = v_parent FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
      PERFORM control_one(v_parent, 'Cancel', p_reason, NULL, NULL, NULL, NULL, NULL, p_now, false);
    ELSE
      v_more := v_more OR EXISTS (SELECT FROM record WHERE id = v_parent);
    END IF;
  END LOOP;
  RETURN v_more OR v_count = 500;
END $function$;

CREATE OR REPLACE FUNCTION change_limit(x json)
 RETURNS void
 LANGUAGE plpgsql
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_material TO 'off'
 SET jit TO 'off'
AS $function$
DECLARE
  p_name text := x ->> 'name';
  v_now bigint := clock();
  v_holds jsonb;
BEGIN
  INSERT INTO limits (name) VALUES (p_name) ON CONFLICT DO NOTHING;
  IF x ->> '_tag' = 'Override' THEN
    UPDATE limits SET override = (x -> 'settings')::jsonb WHERE name = p_name;
  ELSE
    UPDATE limits SET release = (x ->> 'release')::bigint, proposed = (x -> 'settings')::jsonb
      WHERE name = p_name AND release <= (x ->> 'release')::bigint
        AND (release, proposed) IS DISTINCT FROM ((x ->> 'release')::bigint, (x -> 'settings')::jsonb);
    IF NOT FOUND THEN RETURN; END IF;
  END IF;
  SELECT proposed || coalesce(override, '{}') INTO v_holds FROM limits WHERE name = p_name;
  UPDATE limits SET
    concurrency = (v_holds ->> 'concurrency')::int,
    gap = (v_holds -> 'rate' ->> 'perMillis')::float8 / (v_holds -> 'rate' ->> 'limit')::float8,
    burst = (v_holds -> 'rate' ->> 'burst')::int,
    fair = v_holds ->> 'order' = 'fair',
    trips = (v_holds -> 'breaker' ->> 'consecutive')::int,
    open_for = (v_holds -> 'breaker' ->> 'openMillis')::bigint
  WHERE name = p_name;
  IF p_name LIKE '@%' THEN
    UPDATE key SET opens_at = v_now WHERE name IN (
      SELECT k.name FROM key k WHERE k.name > p_name || '/' AND k.name < p_name || '0'
        AND (SELECT true FROM record WHERE key = k.name AND lane = 3 AND reason = 'ConcurrencyKey' LIMIT 1)
      ORDER BY k.name FOR UPDATE);
  ELSE
    INSERT INTO queue AS q (name, limited) VALUES (p_name, true)
      ON CONFLICT (name) DO UPDATE SET limited = true WHERE NOT q.limited;
    PERFORM count_started();
  END IF;
  PERFORM wake(q, v_now, NULL) FROM (SELECT DISTINCT unnest(queues) AS q FROM worker WHERE wakes_until > v_now) w;
END $function$;

CREATE OR REPLACE FUNCTION changed_by(p_records json, p_events json)
 RETURNS uuid[]
 LANGUAGE plpgsql
AS $function$
BEGIN
  RETURN ARRAY(
    SELECT o.id FROM json_array_elements(p_records) x
      JOIN uniq u ON u.tag = x ->> 'tag' AND u.key = x ->> 'uniqueKey', 
        unnest(ARRAY[CASE WHEN x ->> 'onConflict' <> 'runAfter' THEN u.id END, u.successor]) AS o(id)
      WHERE x ->> 'onConflict' <> 'keep'
    UNION ALL SELECT (d ->> 'id')::uuid FROM json_array_elements(p_records) x, json_array_elements(x -> 'dependents') d
    UNION ALL SELECT r.id FROM json_to_recordset(p_events) AS e("on" text)
      JOIN record r ON r.listens @> ARRAY[e."on" COLLATE "C"]);
END $function$;

CREATE OR REPLACE FUNCTION checkpoints_of(p_id uuid)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
AS $function$
BEGIN
  RETURN (SELECT jsonb_object_agg(name, value) FROM checkpoint WHERE id = p_id);
END $function$;

CREATE OR REPLACE FUNCTION claim_keys(p_records json, p_now bigint)
 RETURNS void
 LANGUAGE sql
AS $function$
  INSERT INTO idem AS i (tag, key, id)
    SELECT DISTINCT ON (1, 2) x ->> 'tag', x ->> 'idempotencyKey', (x ->> 'id')::uuid
      FROM json_array_elements(p_records) WITH ORDINALITY AS e(x, n)
      WHERE x ->> 'idempotencyKey' IS NOT NULL ORDER BY 1, 2, n
    ON CONFLICT (tag, key) DO UPDATE SET id = i.id;
  INSERT INTO uniq AS q (tag, key, id, until, until_started, lasts)
    SELECT DISTINCT ON (1, 2) x ->> 'tag', x ->> 'uniqueKey', (x ->> 'id')::uuid, CASE WHEN x ->> 'onConflict' = 'trailing'
    THEN greatest(p_now, coalesce((x ->> 'runAt')::bigint, p_now + (x ->> 'delay')::bigint)) ELSE p_now END
    + (x ->> 'window')::bigint,
        coalesce((x ->> 'untilStarted')::boolean, false), (x ->> 'window')::bigint
      FROM json_array_elements(p_records) WITH ORDINALITY AS e(x, n)
      WHERE x ->> 'uniqueKey' IS NOT NULL ORDER BY 1, 2, n
    ON CONFLICT (tag, key) DO UPDATE SET id = q.id;
$function$;

CREATE OR REPLACE FUNCTION claimed_shared(p_queue text, p_turn bigint, p_keys text[], p_refused uuid[], p_now bigint)
 RETURNS bigint
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_waited text[];
  v_free text[];
  v_away text[] := '{}';
BEGIN
  IF p_refused IS NOT NULL THEN
    UPDATE record SET state = 3, lane = 3, reason = 'ConcurrencyKey', blocked_on = key, flags = flags & ~24, at = p_now
      WHERE id = ANY (p_refused);
    INSERT INTO delta (queue, ready, blocked) VALUES (p_queue, -cardinality(p_refused), cardinality(p_refused));
  END IF;
  IF p_keys IS NOT NULL THEN
    SELECT array_agg(name) INTO v_waited FROM unnest(p_keys) AS u(name)
      WHERE (SELECT true FROM record WHERE key = u.name AND lane = 3 AND reason = 'ConcurrencyKey' LIMIT 1) OR (SELECT opens_at FROM key k WHERE k.name = u.name) IS NOT NULL;
    IF v_waited IS NOT NULL THEN
      v_free := ARRAY(SELECT name FROM key WHERE name = ANY (v_waited) FOR UPDATE SKIP LOCKED);
  v_away := ARRAY(SELECT name FROM key WHERE name = ANY (v_waited) AND name <> ALL (v_free));
      IF v_free <> '{}' THEN PERFORM admit_keys(v_free, p_now); END IF;
      INSERT INTO agenda (key, at) SELECT name, p_now + 20 FROM unnest(v_away) AS u(name);
    END IF;
  END IF;
  IF p_turn > 0 THEN
    -- Who has it locked sets about the same.
    UPDATE queue SET turn = p_turn WHERE name IN (
      SELECT name FROM queue WHERE name = p_queue AND turn < p_turn FOR UPDATE SKIP LOCKED);
    INSERT INTO queue (name, turn) SELECT p_queue, p_turn
      WHERE NOT EXISTS (SELECT FROM queue WHERE name = p_queue) ON CONFLICT DO NOTHING;
  END IF;
  RETURN least(CASE WHEN v_away <> '{}' THEN p_now + 20 END,
    (SELECT opens_at FROM key WHERE opens_at IS NOT NULL ORDER BY opens_at LIMIT 1));
END $function$;

CREATE OR REPLACE FUNCTION clock()
 RETURNS bigint
 LANGUAGE sql
AS $function$
  SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint
$function$;

CREATE OR REPLACE FUNCTION close_limit(r record, p_what text, p_until bigint, p_now bigint)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
  IF p_what = 'queue' THEN
    INSERT INTO limits AS l (name, closed_until) VALUES (r.queue, p_until)
      ON CONFLICT (name) DO UPDATE SET closed_until = greatest(l.closed_until, p_until);
    INSERT INTO queue AS q (name, limited) VALUES (r.queue, true)
      ON CONFLICT (name) DO UPDATE SET limited = true WHERE NOT q.limited;
  ELSIF r.flags & 512 = 512 THEN
    UPDATE key SET held = held - (r.flags & 8 = 8)::int, closed_until = greatest(closed_until, p_until) WHERE name = r.key;
  END IF;
END $function$;

CREATE OR REPLACE FUNCTION commit_one(x json)
 RETURNS text
 LANGUAGE plpgsql
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_material TO 'off'
 SET jit TO 'off'
AS $function$
BEGIN
  PERFORM bound_idle();
  PERFORM FROM record WHERE id = (x ->> 'id')::uuid AND fence = (x ->> 'fence')::int AND state = 1 FOR UPDATE;
  IF NOT FOUND THEN RETURN 'LeaseLost'; END IF;
  RETURN settle_one(x, clock());
END $function$;

CREATE OR REPLACE FUNCTION complete(p_num integer, p_worker text, p_ids uuid[], p_fences integer[], p_afters bigint[], p_results text[], p_traces text[], p_now bigint, p_events boolean)
 RETURNS integer[]
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_done uuid[];
  v_keys text[];
  v_unique uuid[];
  v_detailed uuid[];
  v_awaited uuid[];
  v_forgotten uuid[];
  v_tags text[];
  v_specs text[];
  v_told json[];
  v_cancels boolean;
  v_id uuid;
BEGIN
  WITH gone AS (
    DELETE FROM record r
    USING unnest(p_ids, p_fences, p_afters, p_results, p_traces) AS g(id, fence, after, result, trace)
    WHERE r.id = g.id AND r.fence = g.fence
    -- First what is read again: who reads a column walks over all before it.
    RETURNING r.retention IS NULL OR keeps(r.retention, 4) AS keeps,
      CASE WHEN r.retention IS NULL THEN 86400000 WHEN keeps(r.retention, 4) THEN age(r.retention, 4) END AS age,
      r.flags, r.id, r.fence, r.queue, r.tag, r.key, r.spec, r.enqueued_at, r.at, least(p_now, r.at + g.after) AS ended,
      r.worker, r.attempt, r.version, r.key_limit, r.priority, r.retention, r.attempts, r.failures, r.payload, g.result,
      g.trace
  ), kept AS (
    INSERT INTO history (
      id, enqueued_at, claimed_at, ended_at, finished_at, expires_at, fence, settled, attempt, version, key_limit, part,
      state, priority, crashes, flags, keep_count, queue, tag, key, worker, trace, retention, spec, attempts, failures,
      detail, result, payload)
    SELECT id, enqueued_at, at, ended, p_now, p_now + age, fence + 1, fence, attempt, version, key_limit,
      part(age, p_now), 4, priority, 0, flags & 2081, keep_count(retention, 4), queue, tag, key,
      CASE WHEN worker = p_num THEN p_worker ELSE (SELECT w.id FROM worker w WHERE w.num = gone.worker) END,
      trace, retention, spec, attempts, failures,
      CASE WHEN flags & 2 = 2 THEN (
        SELECT jsonb_build_object('progress', d.progress, 'logs', d.logs) FROM detail d WHERE d.id = gone.id) END,
      result, payload
    FROM gone WHERE keeps
  ), counted AS (
    INSERT INTO delta (part, queue, running, completed)
    SELECT CASE WHEN keeps THEN part(age, p_now) ELSE -1 END, queue, -count(*), count(*) FILTER (WHERE keeps)
    FROM gone GROUP BY 1, 2
  ), noted AS (
    INSERT INTO spent (worker, at, ids, fences)
    SELECT p_num, p_now, array_agg(id), array_agg(fence) FROM gone WHERE NOT keeps HAVING count(*) > 0
  )
  SELECT array_agg(id), array_agg(key) FILTER (WHERE flags & 8 = 8), array_agg(id) FILTER (WHERE flags & 1 = 1),
    array_agg(id) FILTER (WHERE flags & 2 = 2), array_agg(id) FILTER (WHERE flags & 1024 = 1024),
    array_agg(id) FILTER (WHERE NOT keeps AND flags & 2081 <> 0), array_agg(tag) FILTER (WHERE NOT keeps AND flags & 2081 <> 0), array_agg(spec) FILTER (WHERE NOT keeps AND flags & 2081 <> 0),
    array_agg(json_build_object('type', 'completed', 'id', id, 'tag', tag, 'queue', queue, 'at', p_now, 'attempt', attempt))
      FILTER (WHERE p_events)
    INTO v_done, v_keys, v_unique, v_detailed, v_awaited, v_forgotten, v_tags, v_specs, v_told FROM gone;

  IF v_detailed IS NOT NULL THEN
    DELETE FROM detail WHERE id = ANY (v_detailed);
    DELETE FROM checkpoint WHERE id = ANY (v_detailed);
  END IF;
  IF v_keys IS NOT NULL THEN PERFORM free_slots(v_keys, p_now, true); END IF;
  IF v_unique IS NOT NULL THEN
    FOREACH v_id IN ARRAY v_unique LOOP PERFORM release_unique(v_id, p_now); END LOOP;
  END IF;
  SELECT EXISTS (SELECT FROM cancel) INTO v_cancels;
  IF v_awaited IS NOT NULL THEN
    PERFORM dependencies_ended(array_agg(g.id), 4, array_agg(g.result), p_now)
      FROM unnest(p_ids, p_results) AS g(id, result) WHERE g.id = ANY (v_awaited);
  END IF;
  IF v_cancels THEN DELETE FROM cancel WHERE id = ANY (v_done); END IF;
  IF v_forgotten IS NOT NULL THEN
    DELETE FROM dependency WHERE child = ANY (v_forgotten);
    PERFORM forget_keys(v_forgotten, v_tags, v_specs);
  END IF;
  IF v_told IS NOT NULL THEN
    PERFORM pg_notify('capstan', 'e' || told) FROM unnest(v_told) told;
  END IF;
  IF cardinality(v_done) = cardinality(p_ids) THEN RETURN '{}'; END IF;
  RETURN ARRAY(
    SELECT g.i::int FROM unnest(p_ids, p_fences) WITH ORDINALITY AS g(id, fence, i)
    WHERE NOT g.id = ANY (coalesce(v_done, '{}')) AND NOT is_settled(g.id, g.fence)
      AND NOT EXISTS (SELECT FROM spent p, unnest(p.ids, p.fences) AS u(id, fence)
        WHERE p.worker = p_num AND u.id = g.id AND u.fence = g.fence));
END $function$;

CREATE OR REPLACE FUNCTION control_finished(p_id uuid, p_action text, p_payload text, p_version integer, p_sensitive jsonb, p_now bigint, p_transaction boolean)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
DECLARE
  h history;
BEGIN
  SELECT * INTO h FROM history WHERE id = p_id AND (expires_at IS NULL OR expires_at > p_now) FOR UPDATE;
  IF NOT FOUND THEN RETURN 'NotFound'; END IF;
  IF p_action = 'Delete' THEN
    IF NOT p_transaction THEN DELETE FROM dependency WHERE child = p_id; END IF;
    PERFORM forget(p_id, p_now);
    RETURN 'Changed';
  END IF;
  IF p_action <> 'Retry' THEN RETURN 'Unchanged'; END IF;
  -- Without what it needs it would not run: that is to run again first, and brings it along.
  IF h.flags & 2048 = 2048 AND is_broken(p_id) OR NOT begin_again(h, p_payload, p_version, p_sensitive, p_now, p_transaction) THEN
    RETURN 'Unchanged';
  END IF;
  PERFORM reopen(p_id, p_now, p_transaction);
  RETURN 'Changed';
END $function$;

CREATE OR REPLACE FUNCTION control_one(p_id uuid, p_action text, p_reason text, p_payload text, p_version integer, p_sensitive jsonb, p_due bigint, p_priority integer, p_now bigint, p_transaction boolean)
 RETURNS text
 LANGUAGE plpgsql
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_material TO 'off'
 SET jit TO 'off'
AS $function$
DECLARE
  r record;
  v_awaited boolean;
  v_asked boolean;
BEGIN
  IF p_transaction THEN
    r := lock_resting(p_id, false);
    IF r.id IS NULL THEN SELECT * INTO r FROM record WHERE id = p_id; END IF;
  ELSE
    SELECT * INTO r FROM record WHERE id = p_id FOR UPDATE;
  END IF;
  IF r.id IS NULL THEN
    RETURN control_finished(p_id, p_action, p_payload, p_version, p_sensitive, p_now, p_transaction);
  END IF;

  IF r.state = 1 THEN
    IF p_action <> 'Cancel' THEN RETURN 'Unchanged'; END IF;
    IF is_ending(r) THEN RETURN 'Requested'; END IF;
    v_asked := ask_to_stop(r, p_reason);
    IF v_asked IS NULL THEN
      -- Somebody's transaction asks for the same, and may be rolled back.
      INSERT INTO agenda (id, key, value, at) VALUES (r.id, '', p_reason, p_now + 200);
      PERFORM wake(r.queue, CASE WHEN p_transaction THEN -1 ELSE p_now END, 1);
    ELSIF v_asked THEN
      -- It may not run any more when this commits.
      IF p_transaction THEN INSERT INTO agenda (id) VALUES (r.id); END IF;
      PERFORM pg_notify('capstan', 'k' || (SELECT id FROM worker WHERE num = r.worker));
    END IF;
    RETURN 'Requested';
  END IF;

  IF p_action = 'Reschedule' AND (r.state = 2 AND r.at = p_due OR r.state = 0 AND p_due <= p_now)
    AND (r.expire_at IS NULL OR r.expire_at = p_due + coalesce((r.spec::json ->> 'startBefore')::bigint, 0)) THEN
    RETURN 'Unchanged';
  END IF;

  -- The slot is given back after the commit: its key's row is one that settlements wait for.
  IF p_transaction AND r.flags & 8 = 8 AND p_action IN ('Cancel', 'Delete', 'Reschedule') THEN
    INSERT INTO agenda (key, frees) VALUES (r.key, true);
    r.flags := r.flags & ~8;
    UPDATE record SET flags = r.flags WHERE id = r.id;
    PERFORM wake(r.queue, -1, 1);
  END IF;

  CASE p_action
  WHEN 'Cancel' THEN
    IF is_ending(r) THEN RETURN 'Requested'; END IF;
    IF must_undo(r, 'Cancel', p_reason) THEN
      r.fence := r.fence + 1;
      PERFORM let_run(r, p_now, p_now, false, p_transaction);
      RETURN 'Requested';
    END IF;
    r.fence := r.fence + 1;
    PERFORM finish(r, 5, p_reason, NULL, p_now, p_transaction);
  WHEN 'Delete' THEN
    -- Whoever waits for it is told that it is gone, not how it ended.
    v_awaited := NOT p_transaction AND r.flags & 1024 = 1024;
    IF v_awaited THEN r.flags := r.flags & ~1024; END IF;
    IF NOT p_transaction THEN DELETE FROM dependency WHERE child = p_id; END IF;
    -- Whatever its retention, it is kept until it is forgotten: else its end would be told in a transaction.
    r.retention := NULL;
    PERFORM finish(r, 5, 'deleted', NULL, p_now, p_transaction);
    PERFORM forget(p_id, p_now);
    IF v_awaited THEN PERFORM dependencies_ended(ARRAY[p_id], 0, ARRAY[NULL::text], p_now); END IF;
    PERFORM tell('deleted', r, NULL, p_now);
  WHEN 'Retry' THEN
    IF p_payload IS NULL AND r.state <> 2 THEN RETURN 'Unchanged'; END IF;
    r.fence := r.fence + 1;
    r.payload := coalesce(p_payload, r.payload);
    r.version := coalesce(p_version, r.version);
    r.spec := masked(r.spec, p_sensitive);
    IF r.state = 2 THEN
      PERFORM let_run(r, p_now, p_now, false, p_transaction);
    ELSE
      PERFORM put(r);
    END IF;
  WHEN 'Promote' THEN
    IF r.state <> 2 THEN RETURN 'Unchanged'; END IF;
    PERFORM let_run(r, p_now, p_now, false, p_transaction);
  WHEN 'Reschedule' THEN
    IF r.state NOT IN (0, 2) THEN RETURN 'Unchanged'; END IF;
    IF r.expire_at IS NOT NULL THEN
      r.expire_at := p_due + coalesce((r.spec::json ->> 'startBefore')::bigint, 0);
    END IF;
    r.fence := r.fence + 1;
    PERFORM let_run(r, p_due, p_now, r.state = 0, p_transaction);
  WHEN 'Reprioritise' THEN
    IF r.priority = p_priority THEN RETURN 'Unchanged'; END IF;
    r.fence := r.fence + 1;
    r.priority := p_priority;
    IF r.state = 0 THEN r.flags := r.flags | 16; END IF;
    PERFORM put(r);
    -- Claims have passed it over meanwhile.
    IF p_transaction AND r.state = 0 THEN PERFORM wake(r.queue, -1, 1); END IF;
  END CASE;
  RETURN 'Changed';
END $function$;

CREATE OR REPLACE FUNCTION count_move(p_queue text, was integer, was_reason text, state integer, reason text)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
  INSERT INTO delta (queue, ready, running, scheduled, blocked, parked) VALUES (
    p_queue,
    coalesce((state = 0)::int, 0) - coalesce((was = 0)::int, 0),
    coalesce((state = 1)::int, 0) - coalesce((was = 1)::int, 0),
    coalesce((state = 2)::int, 0) - coalesce((was = 2)::int, 0),
    coalesce((state = 3)::int, 0) - coalesce((was = 3)::int, 0),
    coalesce((state = 3 AND reason IN ('NoHandler', 'NewerPayload'))::int, 0)
      - coalesce((was = 3 AND was_reason IN ('NoHandler', 'NewerPayload'))::int, 0));
END $function$;

CREATE OR REPLACE FUNCTION count_started()
 RETURNS void
 LANGUAGE sql
AS $function$
  INSERT INTO started (queue, id)
    SELECT r.queue, r.id FROM claimed c, unnest(c.ids) AS u(id) JOIN record r ON r.id = u.id
    WHERE r.state = 1 AND r.queue IN (SELECT name FROM limits WHERE name < '@' OR name >= 'A')
    ON CONFLICT DO NOTHING
$function$;

CREATE OR REPLACE FUNCTION dependencies_ended(p_ids uuid[], p_state integer, p_values text[], p_now bigint)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_children uuid[];
  v_broken boolean[];
  q text;
BEGIN
  WITH closed AS (
    UPDATE dependency d SET state = p_state, value = g.value
    FROM unnest(p_ids, p_values) AS g(id, value) WHERE d.parent = g.id
    RETURNING d.child, d.on_failure
  ), each AS (
    SELECT child, p_state <> 4 AND bool_or(on_failure < 2) AS broken FROM closed GROUP BY child
  )
  SELECT array_agg(child ORDER BY child), array_agg(broken ORDER BY child) INTO v_children, v_broken FROM each;
  FOR i IN 1 .. least(cardinality(v_children), 500) LOOP
    PERFORM advance(v_children[i], p_now, v_broken[i]);
  END LOOP;
  IF cardinality(v_children) > 500 THEN
    INSERT INTO agenda (id, frees, value)
      SELECT u.id, true, CASE WHEN u.broken THEN 'broken' END
      FROM unnest(v_children[501:], v_broken[501:]) AS u(id, broken);
    FOR q IN SELECT DISTINCT queue FROM record WHERE id = ANY (v_children[501:]) LOOP
      PERFORM wake(q, p_now, 1);
    END LOOP;
  END IF;
END $function$;

CREATE OR REPLACE FUNCTION end_attempt(r record, p_decision text, p_ended bigint, p_failure jsonb, p_trace text)
 RETURNS record
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_failure jsonb := p_failure || jsonb_build_object('attempt', r.attempt, 'at', p_ended);
BEGIN
  IF p_decision NOT IN ('released', 'parked') THEN
    r.attempts := coalesce(r.attempts, '[]') || jsonb_strip_nulls(jsonb_build_object(
      'attempt', r.attempt, 'worker', (SELECT id FROM worker WHERE num = r.worker), 'startedAt', r.at,
      'endedAt', p_ended, 'decision', p_decision, 'failure', v_failure, 'trace', p_trace));
    IF jsonb_array_length(r.attempts) > 100 THEN r.attempts := r.attempts - 0; END IF;
    IF v_failure IS NOT NULL THEN
      -- One that gave its attempt back makes room for the next.
      IF (r.failures -> -1 ->> 'attempt')::int = r.attempt THEN r.failures := r.failures - -1; END IF;
      r.failures := coalesce(r.failures, '[]') || jsonb_strip_nulls(v_failure);
      IF jsonb_array_length(r.failures) > 32 THEN r.failures := r.failures - 0; END IF;
    END IF;
    r.flags := r.flags | 4;
    r.expire_at := NULL;
  END IF;
  -- What is given back unstarted has shown nothing.
  IF p_decision NOT IN ('crashed', 'released', 'parked') THEN r.crashes := 0; END IF;
  r.fence := r.fence + 1;
  RETURN r;
END $function$;

CREATE OR REPLACE FUNCTION enqueue(tag text, payload jsonb, options jsonb DEFAULT '{}'::jsonb, OUT id uuid, OUT outcome text)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_material TO 'off'
 SET jit TO 'off'
AS $function$
#variable_conflict use_variable
DECLARE
  v_known text[] := '{queue,version,priority,delay,runAt,startBefore,idempotencyKey,uniqueKey,uniqueUntil,onConflict,concurrencyKey,concurrencyLimit,tags,headers,sensitive}';
  v_name text := '^[A-Za-z][A-Za-z0-9_./:-]{0,127}$';
  v_name_rule text := 'a letter and up to 127 letters, digits and . _ - / :';
  v_key_rule text := 'text of 1 to 512 characters';
  v_now bigint := clock();
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
    'idempotencyKey', text_of(options, 'idempotencyKey', '.', 512, v_key_rule),
    'uniqueKey', text_of(options, 'uniqueKey', '.', 512, v_key_rule),
    'startBefore', millis_of(options, 'startBefore')));
  -- A UUIDv7, as core makes them: the instant, then what is random.
  v_id := lpad(to_hex(v_now), 12, '0') || '7' || substr(md5(gen_random_uuid()::text), 14, 3)
    || substr('89ab', 1 + floor(random() * 4)::int, 1) || substr(md5(gen_random_uuid()::text), 18, 15);
  SELECT o_id, o_outcome INTO id, outcome FROM enqueue_one(
    jsonb_strip_nulls(jsonb_build_object(
      'id', v_id::uuid,
      'tag', tag,
      'version', v_version,
      'queue', coalesce(text_of(options, 'queue', v_name, 128, v_name_rule), 'default'),
      'priority', -v_priority,
      'delay', coalesce(millis_of(options, 'delay'), 0),
      'runAt', v_run_at,
      'startBefore', v_spec -> 'startBefore',
      'idempotencyKey', v_spec -> 'idempotencyKey',
      'uniqueKey', v_spec -> 'uniqueKey',
      'onConflict', coalesce(
        text_of(options, 'onConflict', '^(keep|replace|reschedule|runAfter)$', 10,
          '"keep", "replace", "reschedule" or "runAfter"'), 'keep'),
      'untilStarted', options -> 'uniqueUntil' = '"started"',
      'window', CASE v_until WHEN 'window' THEN millis_of(options, 'uniqueUntil') END,
      'key', tag || '/' || text_of(options, 'concurrencyKey', '.', 511 - length(tag),
        'text of 1 to 511 characters, less those of the tag'),
      'keyLimit', v_limit,
      'spec', CASE WHEN v_spec <> '{}' THEN v_spec::text END,
      'payload', payload::text))::json,
    v_now, false, true);
  IF outcome = 'UniqueConflict' THEN
    RAISE 'capstan.enqueue: the unique key % is held by %, a member of a flow', options -> 'uniqueKey', id
      USING ERRCODE = 'unique_violation';
  END IF;
END $function$;

CREATE OR REPLACE FUNCTION enqueue_at_once(x json, p_now bigint)
 RETURNS uuid
 LANGUAGE plpgsql
 SET lock_timeout TO '5ms'
AS $function$
DECLARE
  v_id uuid;
  v_outcome text;
BEGIN
  SELECT e.o_id, e.o_outcome INTO v_id, v_outcome FROM enqueue_one(x, p_now, false, false) e;
  IF v_outcome <> 'UniqueConflict' THEN RETURN v_id; END IF;
  RETURN (SELECT e.o_id FROM enqueue_one((x::jsonb - 'uniqueKey'
    || jsonb_build_object('spec', ((x ->> 'spec')::jsonb - 'uniqueKey')::text))::json, p_now, false, false) e);
EXCEPTION WHEN lock_not_available THEN
  RETURN NULL;
END $function$;

CREATE OR REPLACE FUNCTION enqueue_deferred(p_id uuid, x json, p_now bigint)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_waiter uuid;
  v_id uuid;
BEGIN
  FOR v_waiter IN SELECT child FROM dependency WHERE parent = p_id ORDER BY child LOOP
    PERFORM FROM record WHERE id = v_waiter FOR UPDATE SKIP LOCKED;
    IF NOT FOUND AND EXISTS (SELECT FROM record WHERE id = v_waiter) THEN RETURN false; END IF;
  END LOOP;
  -- It may be there twice.
  IF x -> 'again' IS NOT NULL THEN v_id := (stored_before(ARRAY[p_id]) ->> p_id::text)::uuid; END IF;
  v_id := coalesce(v_id, enqueue_at_once(x, p_now));
  IF v_id IS NULL OR v_id = p_id THEN RETURN v_id IS NOT NULL; END IF;
  INSERT INTO dependency (child, parent, on_failure, name)
    SELECT child, v_id, on_failure, CASE WHEN on_failure = 3 THEN v_id::text ELSE name END
    FROM dependency WHERE parent = p_id ON CONFLICT DO NOTHING;
  FOR v_waiter IN DELETE FROM dependency WHERE parent = p_id RETURNING child LOOP
    PERFORM tend(v_waiter, p_now);
  END LOOP;
  RETURN true;
END $function$;

CREATE OR REPLACE FUNCTION enqueue_each(p_records json, p_again boolean, p_transaction boolean, p_whole uuid DEFAULT NULL::uuid, p_events json DEFAULT NULL::json)
 RETURNS TABLE(id uuid, outcome text)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_material TO 'off'
 SET jit TO 'off'
AS $function$
DECLARE
  v_now bigint := clock();
  x json;
  v_ids uuid[] := '{}';
  v_outcomes text[] := '{}';
  v_owner uuid;
  v_rest json := p_records;
  v_before jsonb;
BEGIN
  BEGIN
    -- Of more than one thing whatever another transaction may hold comes first: see `claim_keys`.
    IF json_array_length(p_records) > 1 OR p_events IS NOT NULL THEN
      PERFORM claim_keys(p_records, v_now);
      IF NOT p_transaction THEN PERFORM lock_all_resting(changed_by(p_records, p_events)); END IF;
    END IF;
    IF p_whole IS NOT NULL THEN
      SELECT e INTO x FROM json_array_elements(p_records) e WHERE e ->> 'id' = p_whole::text;
      SELECT i.id INTO v_owner FROM idem i WHERE i.tag = x ->> 'tag' AND i.key = x ->> 'idempotencyKey';
      v_owner := coalesce(v_owner, p_whole);
      -- Also in history: it may have ended in the call that stored it, with a member that was dead as soon as it was stored.
      IF is_stored(v_owner, true, v_now) THEN RAISE EXCEPTION USING ERRCODE = 'CAP03'; END IF;
    END IF;
    IF p_events IS NOT NULL THEN PERFORM happen(p_events, p_records, v_now, p_transaction); END IF;
    -- After those that it waits for: what has keys stands behind its batch.
    IF p_whole IS NOT NULL THEN v_rest := enqueue_members(p_records, v_now, p_transaction); END IF;
    v_before := stored_before(ARRAY(
      SELECT (e ->> 'id')::uuid FROM json_array_elements(v_rest) e WHERE p_again OR e -> 'again' IS NOT NULL));
    FOR x IN SELECT e FROM json_array_elements(v_rest) e LOOP
      id := (v_before ->> (x ->> 'id')::uuid::text)::uuid;
      IF id IS NULL THEN
        SELECT o.o_id, o.o_outcome INTO id, outcome FROM enqueue_one(x, v_now, p_again, p_transaction) o;
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
END $function$;

CREATE OR REPLACE FUNCTION enqueue_for(p_id uuid, p_tag text, p_version integer, p_queue text, p_priority integer, p_retention text, p_spec text, p_payload text, p_start_before bigint, p_worker text, p_lease bigint, p_ids uuid[], p_fences integer[], p_afters bigint[], p_results text[], p_traces text[], p_others json, p_queues text[], p_slots integer[], p_shares integer[], p_total integer, p_mark_priorities integer[], p_mark_turns bigint[], p_mark_places bigint[], p_trail_priorities integer[], p_trail_turns bigint[], p_trail_places bigint[], p_done bigint[])
 RETURNS text
 LANGUAGE plpgsql
AS $function$
BEGIN
  RETURN enqueue_for(p_id, p_tag, p_version, p_queue, p_priority, p_retention, p_spec, p_payload, p_start_before, p_worker, p_lease, p_ids, p_fences, p_afters, p_results, p_traces, p_others, p_queues, p_slots, p_shares, p_total, p_mark_priorities, p_mark_turns, p_mark_places, p_trail_priorities, p_trail_turns, p_trail_places, p_done, NULL);
END $function$;

CREATE OR REPLACE FUNCTION enqueue_for(p_id uuid, p_tag text, p_version integer, p_queue text, p_priority integer, p_retention text, p_spec text, p_payload text, p_start_before bigint, p_worker text, p_lease bigint, p_ids uuid[], p_fences integer[], p_afters bigint[], p_results text[], p_traces text[], p_others json, p_queues text[], p_slots integer[], p_shares integer[], p_total integer, p_mark_priorities integer[], p_mark_turns bigint[], p_mark_places bigint[], p_trail_priorities integer[], p_trail_turns bigint[], p_trail_places bigint[], p_done bigint[], p_longest integer)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_reply text;
BEGIN
  IF NOT enqueue_lone(p_id, p_tag, p_version, p_queue, p_priority, 0, NULL, p_start_before, p_retention, p_spec, p_payload,
    NULL) THEN
    RETURN NULL;
  END IF;
  v_reply := exchange(p_worker, p_lease, p_ids, p_fences, p_afters, p_results, p_traces, p_others, p_queues, p_slots, p_shares, p_total, p_mark_priorities, p_mark_turns, p_mark_places, p_trail_priorities, p_trail_turns, p_trail_places, p_done, p_longest);
  IF EXISTS (SELECT FROM record WHERE id = p_id AND state = 0) THEN PERFORM wake(p_queue, clock(), 1); END IF;
  RETURN v_reply;
END $function$;

CREATE OR REPLACE FUNCTION enqueue_keyed(p_ids uuid[], p_tags text[], p_versions integer[], p_queues text[], p_priorities integer[], p_delays bigint[], p_run_ats bigint[], p_start_befores bigint[], p_retentions text[], p_specs text[], p_payloads text[], p_transaction boolean, p_keys text[], p_key_limits integer[])
 RETURNS uuid[]
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_material TO 'off'
 SET jit TO 'off'
AS $function$
DECLARE
  p_now bigint := clock();
  v_keys text[] := '{}';
  v_limits jsonb;
  v_locked int;
  v_rooms jsonb;
  v_turns jsonb;
  v_stored uuid[];
  v_queues text[];
  v_many int[];
  v_took jsonb;
  v_waiting text[];
BEGIN
  IF NOT p_transaction THEN
    SELECT coalesce(array_agg(key), '{}'), jsonb_object_agg(key, key_limit) INTO v_keys, v_limits FROM (
      SELECT DISTINCT ON (g.key) g.key, g.key_limit FROM unnest(
        p_ids, p_tags, p_versions, p_queues, p_priorities, p_delays, p_run_ats, p_start_befores, p_retentions, p_specs,
        p_payloads, p_keys, p_key_limits
      ) WITH ORDINALITY AS g(id, tag, version, queue, priority, delay, run_at, start_before, retention, spec, payload, key,
        key_limit, n)
      WHERE g.key IS NOT NULL AND coalesce(g.run_at, p_now + g.delay) <= p_now ORDER BY g.key, g.n DESC
    ) due;
    -- Mostly they are there, and say the same. New ones come before all locks, so that nobody waits for one who waits for them.
    LOOP
      INSERT INTO key (name, lim, held) SELECT name, (v_limits ->> name)::int, 0 FROM unnest(v_keys) AS u(name)
        WHERE (SELECT true FROM key k WHERE k.name = u.name) IS NULL ORDER BY name COLLATE "C" ON CONFLICT (name) DO NOTHING;
      PERFORM FROM (SELECT DISTINCT unnest(v_keys) COLLATE "C" AS name ORDER BY 1) g
    CROSS JOIN LATERAL (SELECT FROM key WHERE name = g.name FOR UPDATE) k;
      GET DIAGNOSTICS v_locked = ROW_COUNT;
      -- One that nobody held may have been forgotten in between.
      EXIT WHEN v_locked = cardinality(v_keys);
    END LOOP;
    UPDATE key SET lim = (v_limits ->> name)::int
      WHERE name = ANY (v_keys) AND lim IS DISTINCT FROM (v_limits ->> name)::int;
    SELECT jsonb_object_agg(name, room) INTO v_rooms FROM (SELECT k.name, k.held, (CASE WHEN p_now < k.closed_until THEN 0 ELSE least(1000, CASE WHEN l.name IS NULL THEN k.lim WHEN k.failed >= l.trips THEN least(1, l.concurrency) ELSE l.concurrency END - k.held,
        CASE WHEN l.gap IS NOT NULL THEN greatest(0, floor(l.burst + (p_now - greatest(least(k.full_at, p_now + l.burst * l.gap + 1000.9), p_now) + 0.901) / l.gap)) - k.ready END) END)::int AS room, (CASE WHEN k.held >= CASE WHEN l.name IS NULL THEN k.lim WHEN k.failed >= l.trips THEN least(1, l.concurrency) ELSE l.concurrency END OR l.gap IS NOT NULL AND k.ready >= floor(l.burst + 0.9 / l.gap) THEN NULL
        ELSE greatest(p_now, k.closed_until, CASE WHEN l.gap IS NOT NULL THEN ceil(least(k.full_at, p_now + l.burst * l.gap + 1000.9) - (l.burst - (k.ready + 1)) * l.gap - 0.9)::bigint END) END)::bigint AS opens
    FROM (SELECT DISTINCT unnest(v_keys) AS name) g
    CROSS JOIN LATERAL (SELECT * FROM key WHERE name = g.name LIMIT 1) q
    LEFT JOIN LATERAL (SELECT * FROM limits
      WHERE q.name >= '@' AND q.name < 'A' AND name = split_part(q.name, '/', 1) AND (release >= 0 OR override IS NOT NULL) LIMIT 1) l ON true
    CROSS JOIN LATERAL (SELECT q.name, q.lim, q.held + 0 AS held, q.full_at, q.closed_until, q.failed,
      CASE WHEN l.gap IS NULL THEN 0 ELSE (SELECT count(*) FROM record WHERE key = q.name AND key >= '@' AND key < 'A' AND lane = 1 AND state = 0) END AS ready) k) k;
    IF EXISTS (SELECT FROM unnest(v_keys) AS u(name) WHERE name LIKE '@%') THEN
      v_turns := next_turns(p_queues, p_keys, p_delays, p_run_ats, p_now);
    END IF;
  END IF;

  WITH ranked AS (
    SELECT g.*, due, CASE
        WHEN due > p_now THEN 2 WHEN g.key IS NULL THEN 0 WHEN p_transaction THEN 3
        WHEN row_number() OVER (PARTITION BY g.key, due <= p_now ORDER BY g.n) <= (v_rooms ->> g.key)::int THEN 0
        ELSE 3 END AS state,
      CASE WHEN due <= p_now AND v_turns IS NOT NULL THEN (v_turns -> g.queue ->> g.key)::bigint - 1
        + row_number() OVER (PARTITION BY g.queue, g.key, due <= p_now ORDER BY g.n) END AS turn
    FROM unnest(
        p_ids, p_tags, p_versions, p_queues, p_priorities, p_delays, p_run_ats, p_start_befores, p_retentions, p_specs,
        p_payloads, p_keys, p_key_limits
      ) WITH ORDINALITY AS g(id, tag, version, queue, priority, delay, run_at, start_before, retention, spec, payload, key,
        key_limit, n) CROSS JOIN LATERAL (SELECT coalesce(g.run_at, p_now + g.delay) AS due) d
    WHERE (SELECT true FROM record r WHERE r.id = g.id) IS NULL
  ), stored AS (
    INSERT INTO record (
      id, place, turn, at, enqueued_at, ready_at, version, state, lane, priority, queue, tag, payload, spec, retention,
      expire_at, expires, due, key, key_limit, flags, reason, blocked_on)
    SELECT id, nextval('place'), coalesce(turn, 0), greatest(due, p_now), p_now, p_now, version, state,
      CASE WHEN state = 0 AND key LIKE '@%' THEN 1 ELSE state END, priority, queue, tag, payload, spec, retention,
      due + start_before, due + start_before, CASE WHEN state = 2 THEN due END, key, key_limit,
      CASE WHEN key LIKE '@%' THEN 512 ELSE 0 END | CASE WHEN key IS NOT NULL AND state = 0 THEN 8 ELSE 0 END,
      CASE WHEN state = 3 THEN 'ConcurrencyKey' END, CASE WHEN state = 3 THEN key END
    FROM (SELECT * FROM ranked ORDER BY n) o ON CONFLICT (id) DO NOTHING
    RETURNING id, place, queue, state, key
  ), counted AS (
    INSERT INTO delta (queue, ready, scheduled, blocked)
    SELECT queue, count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 2), count(*) FILTER (WHERE state = 3)
    FROM stored GROUP BY queue RETURNING queue, ready + scheduled AS many
  ), left_for_later AS (
    INSERT INTO agenda (id) SELECT id FROM stored WHERE p_transaction AND state = 3 ORDER BY place
  )
  SELECT (SELECT array_agg(id) FROM stored), (SELECT array_agg(queue) FROM counted), (SELECT array_agg(many) FROM counted),
      (SELECT jsonb_object_agg(key, n) FROM (
        SELECT key, count(*) AS n FROM stored WHERE state = 0 AND key IS NOT NULL GROUP BY key) t),
      (SELECT array_agg(DISTINCT key) FROM stored WHERE state = 3 AND key LIKE '@%')
    INTO v_stored, v_queues, v_many, v_took, v_waiting;
  IF v_took IS NOT NULL THEN
    UPDATE key SET held = held + (v_took ->> name)::int WHERE name = ANY (v_keys) AND v_took ->> name IS NOT NULL;
  END IF;
  -- Each sees to it that it is looked at when its instant comes.
  IF v_waiting IS NOT NULL AND NOT p_transaction THEN PERFORM admit_keys(v_waiting, p_now); END IF;
  PERFORM wake(queue, CASE WHEN p_transaction OR clock() > p_now + 1000 THEN -1 ELSE p_now END, many)
    FROM unnest(v_queues, v_many) AS stored(queue, many);
  IF EXISTS (SELECT FROM listener WHERE until > p_now) THEN
    PERFORM tell('enqueued', r, NULL, p_now) FROM record r WHERE r.id = ANY (v_stored);
  END IF;
  RETURN CASE WHEN cardinality(v_stored) = cardinality(p_ids) THEN NULL ELSE coalesce(v_stored, '{}') END;
END $function$;

CREATE OR REPLACE FUNCTION enqueue_lone(p_id uuid, p_tag text, p_version integer, p_queue text, p_priority integer, p_delay bigint, p_run_at bigint, p_start_before bigint, p_retention text, p_spec text, p_payload text, p_transaction boolean)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
  v_now bigint := clock();
  v_due bigint := coalesce(p_run_at, v_now + p_delay);
  v_waits boolean := v_due > v_now;
  v_wakes boolean;
  v_events boolean;
BEGIN
  INSERT INTO record (
        id, place, at, enqueued_at, ready_at, version, state, lane, priority, queue, tag, payload, spec, retention,
        expire_at, expires, due)
    VALUES (p_id, nextval('place'), greatest(v_due, v_now), v_now, v_now, p_version,
      CASE WHEN v_waits THEN 2 ELSE 0 END, CASE WHEN v_waits THEN 2 ELSE 0 END, p_priority, p_queue, p_tag, p_payload,
      p_spec, p_retention, v_due + p_start_before, v_due + p_start_before, CASE WHEN v_waits THEN v_due END)
    ON CONFLICT (id) DO NOTHING;
  IF NOT FOUND THEN RETURN false; END IF;
  INSERT INTO delta (queue, ready, scheduled) VALUES (p_queue, (NOT v_waits)::int, v_waits::int);
  -- By itself, for a call of `wake` costs more than to see that nobody sleeps.
  SELECT EXISTS (SELECT FROM listener WHERE until > v_now),
      p_transaction OR p_transaction IS NOT NULL
        AND EXISTS (SELECT FROM worker WHERE wakes_until > v_now AND p_queue = ANY (queues))
    INTO v_events, v_wakes;
  IF v_wakes THEN PERFORM wake(p_queue, CASE WHEN p_transaction THEN -1 ELSE v_now END, 1); END IF;
  IF v_events THEN PERFORM tell('enqueued', r, NULL, v_now) FROM record r WHERE r.id = p_id; END IF;
  RETURN true;
END $function$;

CREATE OR REPLACE FUNCTION enqueue_members(p_records json, p_now bigint, p_transaction boolean)
 RETURNS json
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_queues text[];
  v_many int[];
  v_rest json;
BEGIN
  WITH given AS (
    SELECT g.*, coalesce(g."runAt", p_now + g.delay) AS goes FROM json_to_recordset(p_records) AS g(
      id uuid, tag text, version int, queue text, priority int, delay bigint, "runAt" bigint, "startBefore" bigint,
      retention text, spec text, payload text, awaited boolean, dependencies json, "idempotencyKey" text, "uniqueKey" text, key text, dependents json, "cancelOn" json, "within" boolean)
    WHERE g."idempotencyKey" IS NULL AND g."uniqueKey" IS NULL AND g.key IS NULL AND g.dependents IS NULL AND g."cancelOn" IS NULL
      AND (g.dependencies IS NULL OR coalesce(g."within", false))
  ), stored AS (
    INSERT INTO record (
        id, place, at, enqueued_at, ready_at, version, state, lane, priority, queue, tag, payload, spec, retention,
        expire_at, expires, due, flags, reason)
    SELECT id, nextval('place'), greatest(goes, p_now), p_now, p_now, version, CASE WHEN dependencies IS NOT NULL THEN 3 WHEN goes > p_now THEN 2 ELSE 0 END, CASE WHEN dependencies IS NOT NULL THEN 3 WHEN goes > p_now THEN 2 ELSE 0 END, priority,
      queue, tag, payload, spec, retention, goes + "startBefore", goes + "startBefore",
      CASE WHEN CASE WHEN dependencies IS NOT NULL THEN 3 WHEN goes > p_now THEN 2 ELSE 0 END = 2 THEN goes END,
      CASE WHEN awaited THEN 1024 ELSE 0 END | CASE WHEN dependencies IS NULL THEN 0 ELSE 2048 END,
      CASE WHEN dependencies IS NOT NULL THEN 'Dependencies' END
    FROM given RETURNING id, queue, state
  ), counted AS (
    INSERT INTO delta (queue, ready, scheduled, blocked)
    SELECT queue, count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 2), count(*) FILTER (WHERE state = 3)
    FROM stored GROUP BY queue RETURNING queue, ready + scheduled AS many
  ), edges AS (
    INSERT INTO dependency (child, parent, on_failure, name)
    SELECT g.id, d.id, d."onFailure", d.name
    FROM given g, json_to_recordset(g.dependencies) AS d(id uuid, "onFailure" int, name text) ON CONFLICT DO NOTHING
  )
  SELECT array_agg(queue), array_agg(many) INTO v_queues, v_many FROM counted;
  PERFORM wake(queue, CASE WHEN p_transaction OR clock() > p_now + 1000 THEN -1 ELSE p_now END, many)
    FROM unnest(v_queues, v_many) AS stored(queue, many);
  IF EXISTS (SELECT FROM listener WHERE until > p_now) THEN
    PERFORM tell('enqueued', r, NULL, p_now) FROM json_array_elements(p_records) e
      JOIN record r ON r.id = (e ->> 'id')::uuid;
  END IF;
  SELECT coalesce(json_agg(r.e ORDER BY r.n), '[]') INTO v_rest
    FROM json_array_elements(p_records) WITH ORDINALITY AS r(e, n), json_to_record(r.e) AS g("idempotencyKey" text, "uniqueKey" text, key text, dependents json, "cancelOn" json, "within" boolean, dependencies json)
    WHERE NOT (g."idempotencyKey" IS NULL AND g."uniqueKey" IS NULL AND g.key IS NULL AND g.dependents IS NULL AND g."cancelOn" IS NULL
      AND (g.dependencies IS NULL OR coalesce(g."within", false)));
  RETURN v_rest;
END $function$;

CREATE OR REPLACE FUNCTION enqueue_one(x json, p_now bigint, p_again boolean, p_transaction boolean, OUT o_id uuid, OUT o_outcome text)
 RETURNS record
 LANGUAGE plpgsql
AS $function$
DECLARE
  r record;
  v_idem text := x ->> 'idempotencyKey';
  v_key text := x ->> 'uniqueKey';
  v_due bigint := coalesce((x ->> 'runAt')::bigint, p_now + (x ->> 'delay')::bigint);
  v_owner uuid;
  v_after uuid;
  -- What an attempt stores again, which runs again, may have ended meanwhile: the caller has passed over what `stored_before` knows.
  v_again boolean := p_again OR x -> 'again' IS NOT NULL;
  -- It is dead as soon as it is stored when one of them has failed.
  v_depends boolean := json_array_length(coalesce(x -> 'dependencies', '[]')) > 0;
BEGIN
  o_id := (x ->> 'id')::uuid;
  o_outcome := 'Inserted';
  IF is_stored(o_id, v_again OR v_depends, p_now) THEN
    o_outcome := 'Existing';
    RETURN;
  END IF;
  IF x -> 'dependents' IS NOT NULL THEN
    v_owner := begun_of(x -> 'dependents');
    IF v_owner IS NOT NULL THEN
      o_id := v_owner;
      o_outcome := 'Begun';
      RETURN;
    END IF;
  END IF;

  IF v_idem IS NOT NULL THEN
    INSERT INTO idem AS i (tag, key, id) VALUES (x ->> 'tag', v_idem, o_id)
      ON CONFLICT (tag, key) DO UPDATE SET id = i.id RETURNING id INTO v_owner;
    IF v_owner <> o_id THEN
      IF is_stored(v_owner, true, p_now) THEN
        o_id := v_owner;
        o_outcome := 'Existing';
        RETURN;
      END IF;
      UPDATE idem SET id = o_id WHERE tag = x ->> 'tag' AND key = v_idem;
    END IF;
  END IF;

  r.id := o_id;
  r.place := nextval('place');
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
      FROM take_unique(x, r, v_due, p_now, p_transaction) u;
    IF o_outcome = 'Replaced' AND v_idem IS NOT NULL THEN
      UPDATE idem SET id = o_id WHERE tag = r.tag AND key = v_idem;
    ELSIF o_outcome <> 'Inserted' AND v_idem IS NOT NULL THEN
      DELETE FROM idem WHERE tag = r.tag AND key = v_idem AND id = r.id;
    END IF;
    IF o_outcome = 'Replaced' AND NOT p_transaction THEN
      -- For a call that is made again because its reply was lost.
      INSERT INTO spent (worker, at, ids, fences) VALUES (-1, p_now, ARRAY[r.id, o_id], '{0,0}');
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
  PERFORM insert_record(r);
  PERFORM count_move(r.queue, NULL, NULL, 3, r.reason);
  PERFORM tell('enqueued', r, NULL, p_now);

  IF r.flags & 2048 = 2048 THEN
    INSERT INTO dependency (child, parent, on_failure, name)
      SELECT r.id, (e ->> 'id')::uuid, (e ->> 'onFailure')::int, e ->> 'name'
      FROM json_array_elements(x -> 'dependencies') e ON CONFLICT DO NOTHING;
  END IF;
  IF x -> 'dependents' IS NOT NULL THEN
    INSERT INTO dependency (child, parent, on_failure, name)
      SELECT (e ->> 'id')::uuid, r.id, (e ->> 'onFailure')::int, e ->> 'name'
      FROM json_array_elements(x -> 'dependents') e ON CONFLICT DO NOTHING;
  END IF;
  -- Of a batch that is one thing all others are stored already, and know that they are waited for.
  IF r.reason = 'Dependencies' AND (x ->> 'within')::boolean THEN RETURN; END IF;
  IF r.reason IS NULL THEN
    PERFORM let_run(r, v_due, p_now, false, p_transaction);
  ELSIF p_transaction THEN
    INSERT INTO agenda (id) VALUES (r.id);
    PERFORM wake(r.queue, -1, 1);
  ELSE
    PERFORM tend(r.id, p_now);
  END IF;
END $function$;

CREATE OR REPLACE FUNCTION enqueue_or_defer(x json, p_now bigint)
 RETURNS uuid
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_id uuid;
BEGIN
  IF x ->> 'uniqueKey' IS NULL AND x ->> 'idempotencyKey' IS NULL THEN
    RETURN (SELECT e.o_id FROM enqueue_one(x, p_now, false, false) e);
  END IF;
  -- Behind those that wait already: it may want the same key, and each try that fails has cost its moment.
  IF NOT EXISTS (SELECT FROM agenda WHERE record IS NOT NULL) THEN
    v_id := enqueue_at_once(x, p_now);
  END IF;
  IF v_id IS NOT NULL THEN RETURN v_id; END IF;
  v_id := (x ->> 'id')::uuid;
  -- It is due when it would have been.
  INSERT INTO agenda (id, at, record) VALUES (v_id, p_now + 200, (x::jsonb || jsonb_build_object(
    'runAt', coalesce((x ->> 'runAt')::bigint, p_now + (x ->> 'delay')::bigint)))::text);
  RETURN v_id;
END $function$;

CREATE OR REPLACE FUNCTION enqueue_plain(p_ids uuid[], p_tags text[], p_versions integer[], p_queues text[], p_priorities integer[], p_delays bigint[], p_run_ats bigint[], p_start_befores bigint[], p_retentions text[], p_specs text[], p_payloads text[], p_transaction boolean)
 RETURNS uuid[]
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_material TO 'off'
 SET jit TO 'off'
AS $function$
DECLARE
  v_now bigint := clock();
  v_stored uuid[] := p_ids;
  v_queues text[];
  v_many int[];
BEGIN
  BEGIN
    WITH stored AS (
      INSERT INTO record (
        id, place, at, enqueued_at, ready_at, version, state, lane, priority, queue, tag, payload, spec, retention,
        expire_at, expires, due)
      SELECT id, nextval('place'), greatest(due, v_now), v_now, v_now, version,
        CASE WHEN due > v_now THEN 2 ELSE 0 END, CASE WHEN due > v_now THEN 2 ELSE 0 END, priority, queue, tag, payload,
        spec, retention, due + start_before, due + start_before, CASE WHEN due > v_now THEN due END
      FROM (
        SELECT g.*, coalesce(g.run_at, v_now + g.delay) AS due FROM unnest(
          p_ids, p_tags, p_versions, p_queues, p_priorities, p_delays, p_run_ats, p_start_befores, p_retentions, p_specs,
          p_payloads
        ) AS g(id, tag, version, queue, priority, delay, run_at, start_before, retention, spec, payload)
      ) given 
      RETURNING queue, state
    ), counted AS (
      INSERT INTO delta (queue, ready, scheduled)
      SELECT queue, count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 2) FROM stored GROUP BY queue
      RETURNING queue, ready + scheduled AS many
    )
    SELECT array_agg(queue), array_agg(many) INTO v_queues, v_many FROM counted;
  EXCEPTION WHEN unique_violation THEN
    WITH stored AS (
      INSERT INTO record (
        id, place, at, enqueued_at, ready_at, version, state, lane, priority, queue, tag, payload, spec, retention,
        expire_at, expires, due)
      SELECT id, nextval('place'), greatest(due, v_now), v_now, v_now, version,
        CASE WHEN due > v_now THEN 2 ELSE 0 END, CASE WHEN due > v_now THEN 2 ELSE 0 END, priority, queue, tag, payload,
        spec, retention, due + start_before, due + start_before, CASE WHEN due > v_now THEN due END
      FROM (
        SELECT g.*, coalesce(g.run_at, v_now + g.delay) AS due FROM unnest(
          p_ids, p_tags, p_versions, p_queues, p_priorities, p_delays, p_run_ats, p_start_befores, p_retentions, p_specs,
          p_payloads
        ) AS g(id, tag, version, queue, priority, delay, run_at, start_before, retention, spec, payload)
      ) given ON CONFLICT (id) DO NOTHING
      RETURNING id, queue, state
    ), counted AS (
      INSERT INTO delta (queue, ready, scheduled)
      SELECT queue, count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 2) FROM stored GROUP BY queue
      RETURNING queue, ready + scheduled AS many
    )
    SELECT (SELECT array_agg(id) FROM stored), array_agg(queue), array_agg(many) INTO v_stored, v_queues, v_many FROM counted;
  END;
  PERFORM wake(queue, CASE WHEN p_transaction OR clock() > v_now + 1000 THEN -1 ELSE v_now END, many)
    FROM unnest(v_queues, v_many) AS stored(queue, many);
  IF EXISTS (SELECT FROM listener WHERE until > v_now) THEN
    PERFORM tell('enqueued', r, NULL, v_now) FROM record r WHERE r.id = ANY (v_stored);
  END IF;
  -- All of them as a rule, which takes no list.
  RETURN CASE WHEN cardinality(v_stored) = cardinality(p_ids) THEN NULL ELSE coalesce(v_stored, '{}') END;
END $function$;

CREATE OR REPLACE FUNCTION exchange(p_worker text, p_lease bigint, p_ids uuid[], p_fences integer[], p_afters bigint[], p_results text[], p_traces text[], p_others json, p_queues text[], p_slots integer[], p_shares integer[], p_total integer, p_mark_priorities integer[], p_mark_turns bigint[], p_mark_places bigint[], p_trail_priorities integer[], p_trail_turns bigint[], p_trail_places bigint[], p_done bigint[])
 RETURNS text
 LANGUAGE plpgsql
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_material TO 'off'
 SET jit TO 'off'
AS $function$
BEGIN
  RETURN exchange(p_worker, p_lease, p_ids, p_fences, p_afters, p_results, p_traces, p_others, p_queues, p_slots, p_shares, p_total, p_mark_priorities, p_mark_turns, p_mark_places, p_trail_priorities, p_trail_turns, p_trail_places, p_done, NULL);
END $function$;

CREATE OR REPLACE FUNCTION exchange(p_worker text, p_lease bigint, p_ids uuid[], p_fences integer[], p_afters bigint[], p_results text[], p_traces text[], p_others json, p_queues text[], p_slots integer[], p_shares integer[], p_total integer, p_mark_priorities integer[], p_mark_turns bigint[], p_mark_places bigint[], p_trail_priorities integer[], p_trail_turns bigint[], p_trail_places bigint[], p_done bigint[], p_longest integer)
 RETURNS text
 LANGUAGE plpgsql
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_material TO 'off'
 SET jit TO 'off'
AS $function$
DECLARE
  v_now bigint := clock();
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
  SELECT num, lease_until, wakes_until, handles, EXISTS (SELECT FROM listener WHERE until > v_now),
      EXISTS (SELECT FROM agenda), EXISTS (SELECT FROM record WHERE expires <= v_now),
      EXISTS (SELECT FROM cancel),
      handles <> '[]' AND EXISTS (SELECT FROM record WHERE lane = 3 AND reason IN ('NoHandler', 'NewerPayload')),
      least(
      (SELECT min(lease_until) FROM worker WHERE NOT ended),
      (SELECT expires FROM record WHERE expires IS NOT NULL ORDER BY expires LIMIT 1),
      (SELECT attend_at FROM schedule WHERE attend_at IS NOT NULL ORDER BY attend_at LIMIT 1),
      (SELECT next_at FROM housekeeping))
    INTO v_worker, v_lease_until, v_wakes_until, v_handles, v_events, v_agenda, v_expired, v_cancels, v_parked, v_maintain
    FROM worker WHERE id = p_worker;
  IF NOT FOUND THEN
    INSERT INTO worker AS k (id, lease_until, queues) VALUES (p_worker, v_now, p_queues)
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
    DELETE FROM claimed WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM claimed WHERE worker = v_worker AND num = ANY (p_done) FOR UPDATE SKIP LOCKED));
  END IF;

  -- What fails gives its slot back by itself, one after the other: all keys that this settles are locked before, in their order. Of
  -- a record that is not this worker's any more nothing is: a caller's transaction may have it locked.
  IF p_others IS NOT NULL THEN
    SELECT array_agg(DISTINCT key) INTO v_owned FROM (
      SELECT key FROM record
      WHERE id = ANY (p_ids || ARRAY(SELECT (e ->> 'id')::uuid FROM json_array_elements(p_others) e))
        AND worker = v_worker AND key IS NOT NULL
      FOR UPDATE) r;
    IF v_owned IS NOT NULL THEN PERFORM FROM (SELECT DISTINCT unnest(v_owned) COLLATE "C" AS name ORDER BY 1) g
    CROSS JOIN LATERAL (SELECT FROM key WHERE name = g.name FOR UPDATE) k; END IF;
  END IF;
  IF cardinality(p_ids) > 0 THEN
    v_lost := complete(v_worker, p_worker, p_ids, p_fences, p_afters, p_results, p_traces, v_now, v_events);
  END IF;
  IF p_others IS NOT NULL THEN
    FOR x IN SELECT e FROM json_array_elements(p_others) e LOOP
      v_other := settle_one(x, v_now);
      -- Of a completion of which nothing is kept its worker knows alone, whatever it is sent again as.
      IF v_other = 'LeaseLost' AND EXISTS (SELECT FROM spent p, unnest(p.ids, p.fences) AS u(id, fence)
        WHERE p.worker = v_worker AND u.id = (x ->> 'id')::uuid AND u.fence = (x ->> 'fence')::int) THEN
        v_other := 'Done';
      END IF;
      v_others := v_others || v_other;
    END LOOP;
    v_agenda := EXISTS (SELECT FROM agenda);
  END IF;

  IF v_agenda THEN v_next := tend_agenda(v_now); END IF;
  IF v_parked THEN PERFORM unpark(v_handles, v_now); END IF;

  IF p_total > 0 THEN
    IF v_expired THEN v_expired := expire(v_now, 1000) >= 1000; END IF;
    v_taken := array_fill(0, ARRAY[cardinality(p_queues)]);
    v_short := array_fill(false, ARRAY[cardinality(p_queues)]);
    FOR i IN 1 .. cardinality(p_queues) LOOP
      SELECT (SELECT CASE WHEN paused THEN 2 WHEN limited THEN 1 END FROM queue WHERE name = p_queues[i]),
          (SELECT opens_at FROM key WHERE opens_at IS NOT NULL ORDER BY opens_at LIMIT 1),
          (SELECT due FROM record WHERE queue = p_queues[i] AND lane = 2 ORDER BY due, place LIMIT 1),
          EXISTS (SELECT FROM record
            WHERE queue = p_queues[i] AND lane = 0 AND state = 0 AND priority < p_mark_priorities[i])
        INTO v_stops, v_opens, v_due, v_better;
      IF v_opens <= v_now THEN v_opens := tend_keys(v_now); END IF;
      v_next := least(v_next, v_opens);
      IF v_stops = 2 THEN
        v_taken[i] := NULL;
        CONTINUE;
      END IF;
      IF v_due <= v_now THEN
        v_due := promote(p_queues[i], v_now, greatest(200, 2 * p_total));
        v_promoted := v_promoted || p_queues[i];
        v_better := EXISTS (SELECT FROM record
          WHERE queue = p_queues[i] AND lane = 0 AND state = 0 AND priority < p_mark_priorities[i]);
      END IF;
      v_next := least(v_next, v_due);
      -- A better priority than that of the mark is not behind it.
      IF v_better THEN p_mark_priorities[i] := -1000; END IF;
      IF v_stops = 1 THEN
        SELECT o_room, o_opens INTO n, v_opens FROM queue_room(p_queues[i], v_now);
        v_rooms[i] := n;
        p_slots[i] := least(p_slots[i], n);
        p_shares[i] := least(p_shares[i], n);
        IF n = 0 THEN
          v_taken[i] := NULL;
          IF EXISTS (SELECT FROM record WHERE queue = p_queues[i] AND lane = 0 AND state = 0
    AND (priority, turn, place) > (p_mark_priorities[i], p_mark_turns[i], p_mark_places[i]))
    OR EXISTS (SELECT FROM record
      WHERE queue = p_queues[i] AND lane = 1 AND state = 0 AND (crashes = 0 OR NOT has_suspect(v_worker))) THEN v_next := least(v_next, v_opens); END IF;
        END IF;
      END IF;
    END LOOP;
    -- The shares first; what they leave is given out in the order of the demands.
    FOREACH v_share IN ARRAY ARRAY[true, false] LOOP
      FOR i IN 1 .. cardinality(p_queues) LOOP
        n := least(CASE WHEN v_share THEN p_shares[i] ELSE p_slots[i] END - v_taken[i], p_total - v_claimed);
        CONTINUE WHEN v_taken[i] IS NULL OR NOT v_share AND p_shares[i] > 0 AND v_taken[i] < p_shares[i];
        WHILE n > 0 LOOP
          
  SELECT EXISTS (SELECT FROM record WHERE queue = p_queues[i] AND lane = 0 AND state = 0
    AND (priority, turn, place) > (p_mark_priorities[i], p_mark_turns[i], p_mark_places[i])),
    EXISTS (SELECT FROM record WHERE queue = p_queues[i] AND lane = 1 AND state = 0)
    INTO v_ready, v_back;
  v_ids := NULL;
  v_starts := NULL;
  IF v_back THEN
    WITH ready AS MATERIALIZED (
  SELECT r.ctid AS tid, r.priority, r.turn, r.place FROM record r
  WHERE queue = p_queues[i] AND lane = 0 AND state = 0
    AND (priority, turn, place) > (p_mark_priorities[i], p_mark_turns[i], p_mark_places[i])
  ORDER BY r.priority, r.turn, r.place LIMIT n FOR UPDATE SKIP LOCKED), back AS MATERIALIZED (
      SELECT r.ctid AS tid, r.priority, r.turn, r.place, r.crashes, r.expires, r.id, CASE WHEN r.flags & 512 = 512 THEN r.key END AS key
      FROM record r WHERE r.queue = p_queues[i] AND r.lane = 1 AND r.state = 0
      ORDER BY r.priority, r.turn, r.place LIMIT n + CASE WHEN EXISTS (SELECT FROM (SELECT crashes FROM record WHERE queue = p_queues[i] AND lane = 1 AND state = 0
        ORDER BY priority, turn, place LIMIT n) f WHERE crashes > 0) THEN 100 ELSE 0 END FOR UPDATE SKIP LOCKED
    ), both_of_them AS (
      SELECT tid, priority, turn, place, NULL::uuid AS id, NULL AS key FROM ready
      UNION ALL SELECT tid, priority, turn, place, id, key FROM back
        WHERE crashes = 0 AND (expires IS NULL OR expires > v_now)
      -- A worker takes one at a time of those that crashed others (P10).
      UNION ALL (SELECT tid, priority, turn, place, id, key FROM back
        WHERE crashes > 0 AND NOT has_suspect(v_worker) LIMIT 1)
    ), few AS MATERIALIZED (
      SELECT *, row_number() OVER (PARTITION BY key ORDER BY priority, turn, place) AS nth
      FROM (SELECT * FROM both_of_them ORDER BY priority, turn, place LIMIT n) f
    ), rules AS MATERIALIZED (
      SELECT start_keys(array_agg(key), array_agg(many), v_now) AS starts
      FROM (SELECT key, count(*)::int AS many FROM few WHERE key IS NOT NULL GROUP BY key) k HAVING count(*) > 0
    ), chosen AS MATERIALIZED (
      SELECT tid, id, key, turn, CASE WHEN most IS NULL OR nth <= most THEN 1 WHEN most < 0 THEN -1 ELSE 0 END AS starts, most
      FROM (SELECT *, ((SELECT starts FROM rules) ->> key)::int AS most FROM few) f
    ), claimed AS (
      UPDATE record r SET state = 1, fence = r.fence + 1, attempt = r.attempt + 1, worker = v_worker, at = v_now,
        flags = r.flags & ~16, expires = NULL, begun_at = CASE WHEN r.flags & 4 = 0 THEN v_now ELSE r.begun_at END
      WHERE r.ctid = ANY (ARRAY(SELECT tid FROM chosen WHERE starts > 0)) AND (r.expires IS NULL OR r.expires > v_now)
      RETURNING r.id, r.crashes, concat_ws(E'\x1f', r.id, r.tag, r.version, r.priority, r.attempt, r.fence, r.enqueued_at,
        r.place, CASE WHEN octet_length(r.payload) > p_longest THEN '=' || octet_length(r.payload) ELSE r.payload END, CASE WHEN r.crashes > 0 OR r.begun_at <> v_now OR r.ready_at <> r.enqueued_at OR r.turn > 0
            OR r.spec IS NOT NULL OR r.failures IS NOT NULL OR r.flags & 2050 <> 0 THEN
          concat('[', r.crashes, ',', r.begun_at, ',', r.ready_at, ',', r.turn, ',', coalesce(r.spec, 'null'), ',',
            coalesce(r.failures::text, 'null'), ',', CASE WHEN r.flags & 2050 <> 0 THEN extra_of(r.id) ELSE 'null' END,
            ']') END) AS line
    ), summed AS MATERIALIZED (
      SELECT array_agg(id) AS ids, count(*) AS many FROM claimed
    ), counted AS (
      INSERT INTO delta (queue, ready, running) SELECT p_queues[i], -many, many FROM summed WHERE many > 0
    ), noted AS (
      INSERT INTO claimed (worker, ids) SELECT v_worker, ids FROM summed WHERE many > 0 RETURNING num
    ), suspected AS (
      UPDATE worker SET suspect = c.id FROM claimed c WHERE num = v_worker AND c.crashes > 0
    ) SELECT ids, (SELECT string_agg(line, E'\x1e') FROM claimed), (SELECT num FROM noted),
        (SELECT array_agg(DISTINCT key) FROM chosen WHERE most >= 0),
        (SELECT min(starts) FROM chosen), (SELECT count(key) FROM chosen), (SELECT array_agg(id) FROM chosen WHERE starts = 0),
        (SELECT max(turn) FROM chosen WHERE starts > 0)
      INTO v_ids, v_lines, v_claim, v_keys, v_starts, v_shared, v_refused, v_turn FROM summed;
    IF v_shared > 0 THEN
      v_next := least(v_next, claimed_shared(p_queues[i], v_turn, v_keys, v_refused, v_now));
    END IF;
    v_last := NULL;
  ELSIF v_ready THEN
    WITH ready AS MATERIALIZED (
  SELECT r.ctid AS tid, r.priority, r.turn, r.place FROM record r
  WHERE queue = p_queues[i] AND lane = 0 AND state = 0
    AND (priority, turn, place) > (p_mark_priorities[i], p_mark_turns[i], p_mark_places[i])
  ORDER BY r.priority, r.turn, r.place LIMIT n FOR UPDATE SKIP LOCKED), claimed AS (
      UPDATE record r SET state = 1, fence = r.fence + 1, attempt = r.attempt + 1, worker = v_worker, at = v_now,
        flags = r.flags & ~16, expires = NULL, begun_at = CASE WHEN r.flags & 4 = 0 THEN v_now ELSE r.begun_at END
      WHERE r.ctid = ANY (ARRAY(SELECT tid FROM ready)) AND (r.expires IS NULL OR r.expires > v_now)
      RETURNING r.id, r.crashes, concat_ws(E'\x1f', r.id, r.tag, r.version, r.priority, r.attempt, r.fence, r.enqueued_at,
        r.place, CASE WHEN octet_length(r.payload) > p_longest THEN '=' || octet_length(r.payload) ELSE r.payload END, CASE WHEN r.crashes > 0 OR r.begun_at <> v_now OR r.ready_at <> r.enqueued_at OR r.turn > 0
            OR r.spec IS NOT NULL OR r.failures IS NOT NULL OR r.flags & 2050 <> 0 THEN
          concat('[', r.crashes, ',', r.begun_at, ',', r.ready_at, ',', r.turn, ',', coalesce(r.spec, 'null'), ',',
            coalesce(r.failures::text, 'null'), ',', CASE WHEN r.flags & 2050 <> 0 THEN extra_of(r.id) ELSE 'null' END,
            ']') END) AS line
    ), summed AS MATERIALIZED (
      SELECT array_agg(id) AS ids, count(*) AS many FROM claimed
    ), counted AS (
      INSERT INTO delta (queue, ready, running) SELECT p_queues[i], -many, many FROM summed WHERE many > 0
    ), noted AS (
      INSERT INTO claimed (worker, ids) SELECT v_worker, ids FROM summed WHERE many > 0 RETURNING num
    )
      SELECT ids, (SELECT string_agg(line, E'\x1e') FROM claimed), (SELECT num FROM noted), (SELECT ARRAY[priority, turn, place] FROM ready OFFSET n - 1)
      INTO v_ids, v_lines, v_claim, v_last FROM summed;
  END IF;
          IF v_ids IS NOT NULL THEN
            -- `concat` would copy the lines four times, which may be megabytes.
            v_claims := v_claims || E'\x1d' || p_queues[i] || E'\x1f' || v_claim || E'\x1e' || v_lines;
            v_taken[i] := v_taken[i] + cardinality(v_ids);
            v_claimed := v_claimed + cardinality(v_ids);
            n := n - cardinality(v_ids);
            IF v_rooms[i] IS NOT NULL THEN PERFORM queue_starts(p_queues[i], v_ids, v_now); END IF;
            IF v_events THEN
              PERFORM tell('started', r, NULL, v_now) FROM record r WHERE r.id = ANY (v_ids);
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
      IF EXISTS (SELECT FROM record WHERE queue = p_queues[i] AND lane = 0 AND state = 0
    AND (priority, turn, place) > (p_mark_priorities[i], p_mark_turns[i], p_mark_places[i]))
    OR EXISTS (SELECT FROM record
      WHERE queue = p_queues[i] AND lane = 1 AND state = 0 AND (crashes = 0 OR NOT has_suspect(v_worker))) THEN
        IF v_taken[i] >= v_rooms[i] THEN
          v_next := least(v_next, (SELECT o_opens FROM queue_room(p_queues[i], v_now)));
        ELSE
          v_more := v_more || p_queues[i];
          -- Not everybody has a timer of its own for what has fallen due.
          IF p_queues[i] = ANY (v_promoted) THEN PERFORM wake(p_queues[i], v_now, v_taken[i]); END IF;
        END IF;
      END IF;
    END LOOP;
    -- There is more that may not start any more, and what stands behind it may.
    IF v_expired THEN v_more := p_queues; END IF;
    -- So many others keep watch for what falls due, and call who is needed: without a timer of its own it polls.
    IF v_next IS NOT NULL AND v_claimed < p_total AND EXISTS (
      SELECT FROM worker WHERE num < v_worker AND wakes_until > v_now AND queues && p_queues OFFSET 15
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
    PERFORM pass_on(v_worker, v_now);
  END IF;

  IF v_wake OR v_claimed > 0 AND v_lease_until < v_now + p_lease - p_lease / 10 THEN
    UPDATE worker AS k SET
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
    v_maintain := v_now + maintain_in(v_now);
  ELSIF v_claimed > 0 THEN
    v_maintain := least(v_maintain, v_now + p_lease);
  END IF;
  -- `greatest` alone takes NULL for less than 0: an idle worker would never sleep.
  RETURN concat(
    '{"now":', v_now, ',"lost":', to_json(v_lost), ',"others":', to_json(v_others), ',"more":', to_json(v_more),
    ',"nextDueIn":', CASE WHEN v_next IS NULL THEN 'null' ELSE greatest(0, v_next - v_now)::text END,
    ',"maintainIn":', v_maintain - v_now,
    ',"cancel":', CASE WHEN v_cancels OR p_others IS NOT NULL OR v_agenda THEN take_cancels(v_worker) ELSE '[]' END,
    '}') || v_claims;
END $function$;

CREATE OR REPLACE FUNCTION expire(p_now bigint, p_count integer)
 RETURNS integer
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_id uuid;
  r record;
  v_count int := 0;
BEGIN
  FOR v_id IN SELECT id FROM record WHERE expires <= p_now
    ORDER BY expires LIMIT p_count FOR UPDATE SKIP LOCKED
  LOOP
    SELECT * INTO r FROM record WHERE id = v_id AND expires <= p_now;
    CONTINUE WHEN NOT FOUND;
    -- A key that somebody has locked is waited for by the next call: others may wait for those that are locked here.
    IF r.flags & 8 = 8 THEN
      PERFORM FROM key WHERE name = r.key FOR UPDATE SKIP LOCKED;
      CONTINUE WHEN NOT FOUND;
    END IF;
    r.fence := r.fence + 1;
    PERFORM bury(r, 'Expired', p_now);
    v_count := v_count + 1;
  END LOOP;
  RETURN v_count;
END $function$;

CREATE OR REPLACE FUNCTION extra_of(p_id uuid)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
AS $function$
BEGIN
  RETURN (
    SELECT json_build_object('checkpoints', kept, 'isCut', is_cut,
      'results', (SELECT CASE WHEN count(*) <= 100 THEN json_object_agg(name, CASE WHEN state = 4 THEN value END) END
        FROM (SELECT * FROM dependency WHERE child = p_id AND state IS NOT NULL LIMIT 101) d))::text
    FROM (
      SELECT json_object_agg(name, value) FILTER (WHERE total <= 65536 OR name LIKE '!%') AS kept,
        bool_or(total > 65536) AS is_cut
      FROM (SELECT name, value, sum(octet_length(value)) OVER (ORDER BY name) AS total
        FROM checkpoint WHERE id = p_id) c) kept_ones);
END $function$;

CREATE OR REPLACE FUNCTION finish(r record, p_state integer, p_reason text, p_result text, p_now bigint, p_transaction boolean DEFAULT false)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_age bigint := age(r.retention, p_state);
  v_part smallint := part(v_age, p_now);
  v_keeps boolean := keeps(r.retention, p_state);
  v_was record;
BEGIN
  DELETE FROM record WHERE id = r.id RETURNING * INTO v_was;
  IF NOT v_keeps THEN
    INSERT INTO gone (id, fence, at) VALUES (r.id, r.settled, p_now)
      ON CONFLICT (id) DO UPDATE SET fence = excluded.fence, at = excluded.at;
    PERFORM forget_keys(ARRAY[r.id], ARRAY[r.tag], ARRAY[r.spec]);
  END IF;
  INSERT INTO history (
    id, enqueued_at, finished_at, expires_at, fence, settled, attempt, version, key_limit, part, state, priority,
    crashes, flags, keep_count, queue, tag, key, reason, retention, spec, attempts, failures, detail, result, payload)
  SELECT
    r.id, r.enqueued_at, p_now, p_now + v_age, r.fence, r.settled, r.attempt, r.version, r.key_limit, v_part, p_state,
    r.priority, r.crashes, r.flags & 2081, keep_count(r.retention, p_state), r.queue, r.tag, r.key, p_reason,
    r.retention, r.spec, r.attempts, r.failures,
    CASE WHEN r.flags & 2 = 2 THEN (
      SELECT jsonb_build_object('progress', d.progress, 'logs', d.logs,
        'checkpoints', CASE WHEN p_state > 4 THEN checkpoints_of(r.id) END, 'undo', r.flags & 128)
      FROM (SELECT r.id) one LEFT JOIN detail d ON d.id = one.id) END,
    p_result, r.payload
  WHERE v_keeps;
  PERFORM count_move(r.queue, v_was.state, v_was.reason, NULL, NULL);
  INSERT INTO delta (part, queue, completed, cancelled, dead)
    SELECT v_part, r.queue, (p_state = 4)::int, (p_state = 5)::int, (p_state = 6)::int WHERE v_keeps;
  DELETE FROM cancel WHERE id = r.id;
  IF r.flags & 2 = 2 THEN
    DELETE FROM detail WHERE id = r.id;
    DELETE FROM checkpoint WHERE id = r.id;
  END IF;
  IF p_transaction THEN
    IF r.flags & 8 = 8 THEN INSERT INTO agenda (key, frees) VALUES (r.key, true); END IF;
    IF NOT v_keeps THEN
      -- How it ended is to be read nowhere else.
      INSERT INTO agenda (id, key, frees, value)
        SELECT r.id, p_state, true, value_of(p_state, p_reason, p_result, r.failures)
        WHERE EXISTS (SELECT FROM dependency WHERE parent = r.id AND state IS NULL);
    END IF;
    INSERT INTO agenda (id)
      SELECT id FROM record WHERE blocked_on = r.id::text AND lane = 3 AND reason = 'Unique'
      UNION SELECT child FROM dependency WHERE v_keeps AND parent = r.id AND state IS NULL;
    PERFORM wake(r.queue, -1, 1);
  ELSE
    IF r.flags & 8 = 8 THEN PERFORM free_slots(ARRAY[r.key], p_now, p_state = 4); END IF;
    IF r.flags & 1 = 1 THEN PERFORM release_unique(r.id, p_now); END IF;
    IF r.flags & 1024 = 1024 THEN
      PERFORM dependencies_ended(
        ARRAY[r.id], p_state, ARRAY[value_of(p_state, p_reason, p_result, r.failures)], p_now);
    END IF;
  END IF;
  PERFORM tell(
    CASE p_state WHEN 4 THEN 'completed' WHEN 5 THEN 'cancelled' ELSE 'dead' END, r,
    coalesce(CASE WHEN p_state = 6 THEN r.failures -> -1 ->> 'tag' END, p_reason), p_now);
END $function$;

CREATE OR REPLACE FUNCTION forget(p_id uuid, p_now bigint)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
DECLARE
  h history;
BEGIN
  DELETE FROM history WHERE id = p_id RETURNING * INTO h;
  IF NOT FOUND THEN RETURN; END IF;
  INSERT INTO delta (part, queue, completed, cancelled, dead)
    VALUES (h.part, h.queue, -(h.state = 4)::int, -(h.state = 5)::int, -(h.state = 6)::int);
  INSERT INTO gone (id, fence, at) VALUES (p_id, h.settled, p_now)
    ON CONFLICT (id) DO UPDATE SET fence = excluded.fence, at = excluded.at;
  PERFORM forget_keys(ARRAY[p_id], ARRAY[h.tag], ARRAY[h.spec]);
END $function$;

CREATE OR REPLACE FUNCTION forget_keys(p_ids uuid[], p_tags text[], p_specs text[])
 RETURNS void
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_tags text[];
  v_keys text[];
BEGIN
  INSERT INTO agenda (id) SELECT DISTINCT child FROM dependency WHERE child = ANY (p_ids);
  DELETE FROM idem WHERE (tag, key) IN (
    SELECT i.tag, i.key FROM idem i WHERE i.id = ANY (p_ids) FOR UPDATE SKIP LOCKED);
  SELECT array_agg(l.tag), array_agg(l.key) INTO v_tags, v_keys FROM (
    SELECT u.tag, u.key FROM unnest(p_ids, p_tags, p_specs) AS f(id, tag, spec)
    JOIN uniq u ON u.tag = f.tag AND u.key = f.spec::json ->> 'uniqueKey' AND f.id IN (u.id, u.successor)
    FOR UPDATE OF u SKIP LOCKED) l;
  IF v_tags IS NULL THEN RETURN; END IF;
  DELETE FROM uniq u USING unnest(v_tags, v_keys) AS l(tag, key) WHERE u.tag = l.tag AND u.key = l.key
    -- The other one of the two lives, or may still have the key.
    AND NOT EXISTS (SELECT FROM unnest(ARRAY[u.id, u.successor]) AS o(id) WHERE o.id <> ALL (p_ids) AND (
      EXISTS (SELECT FROM record r WHERE r.id = o.id)
      OR EXISTS (SELECT FROM history h WHERE h.id = o.id AND h.flags & 1 = 1)));
END $function$;

CREATE OR REPLACE FUNCTION free_slots(p_keys text[], p_now bigint, p_completed boolean DEFAULT false)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_tids tid[];
  v_counts jsonb;
  v_waited text[];
BEGIN
  SELECT array_agg(k.tid), jsonb_object_agg(g.name, g.n) FILTER (WHERE g.n > 1) INTO v_tids, v_counts
    FROM (SELECT name COLLATE "C" AS name, count(*) AS n FROM unnest(p_keys) AS u(name) GROUP BY 1 ORDER BY 1) g
    CROSS JOIN LATERAL (SELECT ctid AS tid FROM key WHERE name = g.name FOR UPDATE) k;
  WITH freed AS (
    UPDATE key k SET held = held - coalesce((v_counts ->> name)::int, 1),
      failed = CASE WHEN p_completed AND closed_until <= p_now THEN 0 ELSE failed END
    WHERE ctid = ANY (v_tids)
    RETURNING name, opens_at IS NOT NULL OR (SELECT true FROM record WHERE key = k.name AND lane = 3 AND reason = 'ConcurrencyKey' LIMIT 1) AS waited
  ) SELECT array_agg(name) INTO v_waited FROM freed WHERE waited;
  IF v_waited IS NOT NULL THEN PERFORM admit_keys(v_waited, p_now); END IF;
END $function$;

CREATE OR REPLACE FUNCTION give_back(p_num integer, p_running uuid[], p_ids uuid[], p_fences integer[], p_older bigint, p_now bigint)
 RETURNS integer
 LANGUAGE plpgsql
AS $function$
DECLARE
  r record;
  v_cancel text;
  v_count int := 0;
BEGIN
  FOR r IN
    SELECT * FROM record q WHERE q.id = ANY (p_running) AND q.worker = p_num AND q.at <= p_now - p_older
      AND (q.id, q.fence) NOT IN (SELECT g.id, g.fence FROM unnest(p_ids, p_fences) AS g(id, fence))
    ORDER BY q.place FOR UPDATE
  LOOP
    r := end_attempt(r, 'released', p_now, NULL, NULL);
    SELECT reason INTO v_cancel FROM cancel WHERE id = r.id;
    IF FOUND AND NOT must_undo(r, 'Cancel', v_cancel) THEN
      PERFORM finish(r, 5, v_cancel, NULL, p_now);
    ELSE
      r.attempt := r.attempt - 1;
      PERFORM let_run(r, p_now, p_now, true);
    END IF;
    v_count := v_count + 1;
  END LOOP;
  RETURN v_count;
END $function$;

CREATE OR REPLACE FUNCTION happen(p_events json, p_records json, p_now bigint, p_transaction boolean)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
DECLARE
  e record;
  v_own uuid[] := ARRAY(
    SELECT (o ->> 'id')::uuid FROM json_array_elements(p_records) o
    UNION ALL SELECT i.id FROM json_array_elements(p_records) o
      JOIN idem i ON i.tag = o ->> 'tag' AND i.key = o ->> 'idempotencyKey');
BEGIN
  FOR e IN
    SELECT r.id, c.reason, c.waitpoint, c.value
    FROM ROWS FROM (json_to_recordset(p_events) AS ("on" text, reason text, waitpoint text, value text))
      WITH ORDINALITY AS c("on", reason, waitpoint, value, n)
      JOIN record r ON r.listens @> ARRAY[c."on" COLLATE "C"] WHERE r.id <> ALL (v_own)
      ORDER BY r.id, c.n
  LOOP
    IF e.waitpoint IS NULL THEN
      PERFORM control_one(e.id, 'Cancel', e.reason, NULL, NULL, NULL, NULL, NULL, p_now, p_transaction);
    ELSE
      PERFORM signal(e.id, e.waitpoint, e.value, p_transaction);
    END IF;
  END LOOP;
END $function$;

CREATE OR REPLACE FUNCTION has_key(p_key text)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
BEGIN
  PERFORM FROM key WHERE name = p_key FOR UPDATE SKIP LOCKED;
  RETURN FOUND OR NOT EXISTS (SELECT FROM key WHERE name = p_key);
END $function$;

CREATE OR REPLACE FUNCTION has_suspect(p_num integer)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
AS $function$
BEGIN
  RETURN EXISTS (SELECT FROM worker w JOIN record r ON r.id = w.suspect
    WHERE w.num = p_num AND r.worker = p_num AND r.crashes > 0);
END $function$;

CREATE OR REPLACE FUNCTION held_ids(p_worker integer, p_newest boolean, p_low uuid, p_high uuid, p_looked integer)
 RETURNS uuid[]
 LANGUAGE plpgsql
 STABLE
AS $function$
BEGIN
  IF p_newest THEN 
    RETURN ARRAY(SELECT DISTINCT u.id FROM claimed c, unnest(c.ids) AS u (id)
      WHERE (p_worker IS NULL OR c.worker = p_worker) AND u.id BETWEEN p_low AND p_high ORDER BY u.id DESC LIMIT p_looked);
  ELSE 
    RETURN ARRAY(SELECT DISTINCT u.id FROM claimed c, unnest(c.ids) AS u (id)
      WHERE (p_worker IS NULL OR c.worker = p_worker) AND u.id BETWEEN p_low AND p_high ORDER BY u.id ASC LIMIT p_looked);
  END IF;
END $function$;

CREATE OR REPLACE FUNCTION holds(u uniq, p_now bigint)
 RETURNS integer
 LANGUAGE plpgsql
 STABLE
AS $function$
DECLARE
  r record;
  v_state int;
BEGIN
  IF u.until IS NOT NULL AND u.until <= p_now THEN RETURN NULL; END IF;
  SELECT * INTO r FROM record WHERE id = u.id;
  IF FOUND THEN
    -- Until started: one that is given back unstarted holds it again, unless another took it meanwhile.
    RETURN CASE WHEN u.until_started AND (r.state = 1 OR r.attempt > 0 OR r.flags & 4 = 4) THEN NULL ELSE r.state END;
  END IF;
  -- A window outlives a completed record.
  IF u.until IS NULL THEN RETURN NULL; END IF;
  SELECT h.state INTO v_state FROM history h
    WHERE h.id = u.id AND h.state = 4 AND (h.expires_at IS NULL OR h.expires_at > p_now) LIMIT 1;
  RETURN v_state;
END $function$;

CREATE OR REPLACE FUNCTION holds_fence(p_id uuid, p_fence integer, p_transaction boolean)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
BEGIN
  IF p_transaction THEN
    PERFORM FROM record WHERE id = p_id AND fence = p_fence AND state = 1;
  ELSE
    PERFORM bound_idle();
    PERFORM FROM record WHERE id = p_id AND fence = p_fence AND state = 1 FOR SHARE;
  END IF;
  RETURN FOUND;
END $function$;

CREATE OR REPLACE FUNCTION insert_record(r record)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
  INSERT INTO record (id, place, turn, at, enqueued_at, ready_at, begun_at, expire_at, worker, fence, settled, attempt, version, key_limit, state, priority, crashes, flags, queue, tag, key, reason, blocked_on, retention, spec, attempts, failures, payload, listens, lane, due, expires)
    VALUES (r.id, r.place, r.turn, r.at, r.enqueued_at, r.ready_at, r.begun_at, r.expire_at, r.worker, r.fence, r.settled, r.attempt, r.version, r.key_limit, r.state, r.priority, r.crashes, r.flags, r.queue, r.tag, r.key, r.reason, r.blocked_on, r.retention, r.spec, r.attempts, r.failures, r.payload, r.listens, CASE WHEN r.state = 3 AND r.flags & 64 = 64 THEN 2 WHEN r.state >= 2 THEN r.state WHEN r.crashes > 0 OR r.flags & 528 <> 0 THEN 1 ELSE 0 END, CASE WHEN r.state = 2 OR r.state = 3 AND r.flags & 64 = 64 THEN r.at END, CASE WHEN r.state <> 1 THEN r.expire_at END);
END $function$;

CREATE OR REPLACE FUNCTION is_broken(p_id uuid)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
BEGIN
  RETURN EXISTS (SELECT FROM dependency WHERE child = p_id AND on_failure < 2 AND state <> 4);
END $function$;

CREATE OR REPLACE FUNCTION is_ending(r record)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
BEGIN
  RETURN r.flags & 128 = 128 AND EXISTS (SELECT FROM checkpoint WHERE id = r.id AND name = '!end');
END $function$;

CREATE OR REPLACE FUNCTION is_expected(p_id uuid)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
BEGIN
  RETURN EXISTS (SELECT FROM record WHERE id = p_id)
    OR EXISTS (SELECT FROM agenda WHERE id = p_id AND record IS NOT NULL);
END $function$;

CREATE OR REPLACE FUNCTION is_settled(p_id uuid, p_fence integer)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
AS $function$
BEGIN
  RETURN EXISTS (SELECT FROM record WHERE id = p_id AND settled = p_fence)
    OR EXISTS (SELECT FROM history WHERE id = p_id AND settled = p_fence)
    OR EXISTS (SELECT FROM gone WHERE id = p_id AND fence = p_fence);
END $function$;

CREATE OR REPLACE FUNCTION is_stored(p_id uuid, p_history boolean, p_now bigint)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
AS $function$
BEGIN
  RETURN EXISTS (SELECT FROM record WHERE id = p_id)
    OR p_history AND EXISTS (
      SELECT FROM history WHERE id = p_id AND (expires_at IS NULL OR expires_at > p_now));
END $function$;

CREATE OR REPLACE FUNCTION is_waiting(p_id uuid, p_children boolean)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
BEGIN
  PERFORM FROM dependency WHERE child = p_id AND state IS NULL AND (on_failure = 3) = p_children
    ORDER BY child DESC, parent DESC LIMIT 1;
  RETURN FOUND;
END $function$;

CREATE OR REPLACE FUNCTION keep_count(retention text, state integer)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE
AS $function$
  SELECT CASE WHEN retention IS NOT NULL THEN (retention::json -> (state - 4) ->> 1)::int END
$function$;

CREATE OR REPLACE FUNCTION keeps(retention text, state integer)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE
AS $function$
  SELECT retention IS NULL OR CASE state WHEN 4 THEN retention NOT LIKE '[[0,%'
    ELSE coalesce(age(retention, state), 1) > 0 END
$function$;

CREATE OR REPLACE FUNCTION key_failed(p_key text, p_now bigint)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
DECLARE
  l limits;
BEGIN
  SELECT * INTO l FROM (SELECT * FROM limits
      WHERE p_key >= '@' AND p_key < 'A' AND name = split_part(p_key, '/', 1) AND (release >= 0 OR override IS NOT NULL)) held;
  IF l.trips IS NULL THEN RETURN; END IF;
  UPDATE key SET failed = failed + 1,
    closed_until = CASE WHEN failed + 1 >= l.trips THEN greatest(closed_until, p_now + l.open_for) ELSE closed_until END
  WHERE name = p_key AND closed_until <= p_now;
END $function$;

CREATE OR REPLACE FUNCTION let_run(r record, p_due bigint, p_now bigint, p_keeps boolean, p_transaction boolean DEFAULT false)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_freed text;
BEGIN
  r.worker := 0;
  r.reason := NULL;
  r.blocked_on := NULL;
  r.flags := CASE WHEN r.key LIKE '@%' THEN r.flags & ~64 | 512 ELSE r.flags & ~576 END;
  IF p_due > p_now THEN
    IF r.flags & 8 = 8 THEN v_freed := r.key; END IF;
    r.flags := r.flags & ~8;
    r.state := 2;
    r.at := p_due;
  ELSE
    IF p_keeps THEN
      r.flags := r.flags | 16;
    ELSE
      r.flags := r.flags & ~16;
      r.place := nextval('place');
      r.ready_at := CASE WHEN r.state = 2 THEN least(r.at, p_now) ELSE p_now END;
    END IF;
    r.at := p_now;
    IF r.key IS NULL OR r.flags & 8 = 8 THEN
      r.state := 0;
    ELSIF NOT p_transaction AND take_slot(r.key, r.key_limit, p_now) THEN
      r.state := 0;
      r.flags := r.flags | 8;
    ELSE
      r.state := 3;
      r.reason := 'ConcurrencyKey';
      r.blocked_on := r.key;
    END IF;
    IF r.flags & 512 = 512 AND NOT p_transaction AND (NOT p_keeps OR r.turn = 0) THEN
      r.turn := next_turn(r.queue, r.key);
    END IF;
  END IF;
  PERFORM put(r);
  IF p_transaction THEN
    IF v_freed IS NOT NULL THEN INSERT INTO agenda (key, frees) VALUES (v_freed, true); END IF;
    IF r.state = 3 THEN INSERT INTO agenda (id) VALUES (r.id); END IF;
    PERFORM wake(r.queue, -1, 1);
    RETURN;
  END IF;
  -- One that waits for an instant of its key may be the first: somebody has to know of it. One that has crashed others is not
  -- for a worker that runs such a one.
  IF r.state = 0 OR r.flags & 512 = 512 THEN
    PERFORM wake(r.queue, p_now, CASE WHEN r.crashes = 0 THEN 1 END);
  END IF;
  IF v_freed IS NOT NULL THEN PERFORM free_slots(ARRAY[v_freed], p_now); END IF;
END $function$;

CREATE OR REPLACE FUNCTION limit_keys(p_name text, p_after text, p_limit integer)
 RETURNS TABLE(key text, waiting integer, ready integer, running integer, until double precision, failed integer)
 LANGUAGE plpgsql
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_material TO 'off'
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
DECLARE
  v_now bigint := clock();
  v_after text := greatest(p_after, p_name || '/');
  v_most bigint := (SELECT greatest(100, 2000 / greatest(1, count(*))) FROM (
    SELECT FROM key k WHERE k.name > v_after AND k.name < p_name || '0' ORDER BY k.name LIMIT p_limit) few);
BEGIN
  RETURN QUERY SELECT k.name, w.waiting, w.ready, w.running, CASE WHEN k.closed_until > v_now THEN k.closed_until::float8 END,
      k.failed
    FROM key k CROSS JOIN LATERAL (
      SELECT
        (SELECT count(*)::int FROM (SELECT FROM record r
          WHERE r.key = k.name AND r.lane = 3 AND r.reason = 'ConcurrencyKey' LIMIT v_most) few) AS waiting,
        (SELECT count(*)::int FROM record r
          WHERE r.key = k.name AND r.key >= '@' AND r.key < 'A' AND r.lane = 1 AND r.state = 0) AS ready,
        (SELECT count(*)::int FROM record r
          WHERE r.key = k.name AND r.key >= '@' AND r.key < 'A' AND r.lane = 1 AND r.state = 1) AS running
      LIMIT 1
    ) w
    WHERE k.name > v_after AND k.name < p_name || '0'
      AND (w.waiting > 0 OR w.ready > 0 OR w.running > 0 OR k.closed_until > v_now)
    ORDER BY k.name LIMIT p_limit;
END $function$;

CREATE OR REPLACE FUNCTION live_page(p_by text, p_newest boolean, p_limit integer, p_looked integer, p_low uuid, p_high uuid, p_ids uuid[], p_states integer[], p_tag text, p_queue text, p_dead text, p_blocked text, p_error text, p_label text, p_flow text, p_parent text, p_key text, p_worker text, p_from bigint, p_before bigint)
 RETURNS TABLE(id uuid, last uuid, found json)
 LANGUAGE plpgsql
 STABLE
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_material TO 'off'
 SET jit TO 'off'
 SET enable_sort TO 'off'
 SET enable_bitmapscan TO 'off'
AS $function$
#variable_conflict use_column
DECLARE
  v_ids uuid[] := p_ids;
  v_worker int;
  v_found int;
BEGIN
  IF p_worker IS NOT NULL THEN
    SELECT w.num INTO v_worker FROM worker w WHERE w.id = p_worker;
    IF NOT FOUND THEN RETURN; END IF;
  END IF;
  IF v_ids IS NOT NULL THEN NULL;
  ELSIF p_by = 'running' THEN
    v_ids := held_ids(v_worker, p_newest, p_low, p_high, p_looked);
  ELSIF p_by = 'ready' THEN
    v_ids := ready_ids(p_queue, 200);
    p_by := 'all';
  ELSIF p_by = 'scheduled' AND p_queue IS NOT NULL THEN
    v_ids := ARRAY(SELECT x.id FROM record x WHERE lane = 2 AND queue BETWEEN p_queue AND p_queue
      ORDER BY queue, due, place LIMIT 201);
  ELSIF p_by = 'blocked' AND p_blocked IN ('NoHandler', 'NewerPayload') THEN
    v_ids := ARRAY(SELECT x.id FROM record x WHERE lane = 3 AND reason IN ('NoHandler', 'NewerPayload')
      ORDER BY tag, version LIMIT 201);
  ELSIF p_by = 'blocked' AND p_blocked = 'Unique' THEN
    v_ids := ARRAY(SELECT x.id FROM record x WHERE lane = 3 AND reason = 'Unique' ORDER BY blocked_on LIMIT 201);
  ELSIF p_by = 'blocked' AND p_blocked = 'ConcurrencyKey' THEN
    v_ids := ARRAY(SELECT x.id FROM record x WHERE lane = 3 AND reason = 'ConcurrencyKey'
      ORDER BY key, priority, turn, place LIMIT 201);
  END IF;
  IF p_by <> 'running' AND p_ids IS NULL AND cardinality(v_ids) > 200 THEN v_ids := NULL; END IF;
  IF v_ids IS NOT NULL THEN 
  IF p_newest THEN 
    RETURN QUERY WITH page AS MATERIALIZED (
      SELECT * FROM (SELECT x.* FROM record x WHERE id = ANY (v_ids) AND id BETWEEN p_low AND p_high
        ORDER BY id DESC) r WHERE (p_states IS NULL OR r.state = ANY (p_states))
        AND (p_tag IS NULL OR r.tag = p_tag)
        AND (p_queue IS NULL OR r.queue = p_queue)
        AND (p_error IS NULL OR r.failures -> -1 ->> 'tag' = p_error)
        AND (p_label IS NULL OR r.spec::jsonb -> 'tags' ? p_label)
        AND (p_flow IS NULL OR r.spec::json ->> 'flowId' = p_flow)
        AND (p_parent IS NULL OR r.spec::json ->> 'parent' = p_parent)
        AND (p_key IS NULL OR r.key = p_key)
        AND (p_from IS NULL OR r.enqueued_at >= p_from)
        AND (p_before IS NULL OR r.enqueued_at < p_before)
        AND (p_blocked IS NULL OR r.reason = p_blocked) AND (v_worker IS NULL OR r.worker = v_worker) LIMIT p_limit
    )
    SELECT f.id, NULL::uuid, row_to_json(f) FROM (
  SELECT r.id, r.state::int AS state, r.at::float8 AS at, r.enqueued_at::float8 AS enqueued_at,
    CASE WHEN r.attempt = 0 AND r.flags & 4 = 0 THEN r.expire_at END::float8 AS expire_at, r.fence, r.attempt, r.version,
    r.priority::int AS priority, r.crashes::int AS crashes, r.flags::int AS flags, r.queue, r.tag, r.key,
    (SELECT w.id FROM worker w WHERE w.num = r.worker) AS worker, r.reason, r.blocked_on,
    (SELECT c.reason FROM cancel c WHERE c.id = r.id) AS cancel, r.spec, r.attempts::text AS attempts,
    r.failures::text AS failures, d.progress, d.logs::text AS logs, NULL::text AS result, r.payload
  FROM page r LEFT JOIN LATERAL (SELECT progress, logs FROM detail WHERE id = r.id LIMIT 1) d ON true) f;
    GET DIAGNOSTICS v_found = ROW_COUNT;
  ELSE 
    RETURN QUERY WITH page AS MATERIALIZED (
      SELECT * FROM (SELECT x.* FROM record x WHERE id = ANY (v_ids) AND id BETWEEN p_low AND p_high
        ORDER BY id ASC) r WHERE (p_states IS NULL OR r.state = ANY (p_states))
        AND (p_tag IS NULL OR r.tag = p_tag)
        AND (p_queue IS NULL OR r.queue = p_queue)
        AND (p_error IS NULL OR r.failures -> -1 ->> 'tag' = p_error)
        AND (p_label IS NULL OR r.spec::jsonb -> 'tags' ? p_label)
        AND (p_flow IS NULL OR r.spec::json ->> 'flowId' = p_flow)
        AND (p_parent IS NULL OR r.spec::json ->> 'parent' = p_parent)
        AND (p_key IS NULL OR r.key = p_key)
        AND (p_from IS NULL OR r.enqueued_at >= p_from)
        AND (p_before IS NULL OR r.enqueued_at < p_before)
        AND (p_blocked IS NULL OR r.reason = p_blocked) AND (v_worker IS NULL OR r.worker = v_worker) LIMIT p_limit
    )
    SELECT f.id, NULL::uuid, row_to_json(f) FROM (
  SELECT r.id, r.state::int AS state, r.at::float8 AS at, r.enqueued_at::float8 AS enqueued_at,
    CASE WHEN r.attempt = 0 AND r.flags & 4 = 0 THEN r.expire_at END::float8 AS expire_at, r.fence, r.attempt, r.version,
    r.priority::int AS priority, r.crashes::int AS crashes, r.flags::int AS flags, r.queue, r.tag, r.key,
    (SELECT w.id FROM worker w WHERE w.num = r.worker) AS worker, r.reason, r.blocked_on,
    (SELECT c.reason FROM cancel c WHERE c.id = r.id) AS cancel, r.spec, r.attempts::text AS attempts,
    r.failures::text AS failures, d.progress, d.logs::text AS logs, NULL::text AS result, r.payload
  FROM page r LEFT JOIN LATERAL (SELECT progress, logs FROM detail WHERE id = r.id LIMIT 1) d ON true) f;
    GET DIAGNOSTICS v_found = ROW_COUNT;
  END IF;
    IF p_by = 'running' AND p_ids IS NULL AND v_found < p_limit AND cardinality(v_ids) = p_looked THEN
      RETURN QUERY SELECT NULL::uuid, v_ids[p_looked], NULL::json;
    END IF;
    RETURN;
  END IF;
  IF p_by = 'all' THEN 
  IF p_newest THEN 
    RETURN QUERY WITH page AS MATERIALIZED (
      SELECT * FROM (SELECT x.* FROM record x WHERE id BETWEEN p_low AND p_high AND true
        
        ORDER BY id DESC LIMIT p_looked) r WHERE (p_states IS NULL OR r.state = ANY (p_states))
        AND (p_tag IS NULL OR r.tag = p_tag)
        AND (p_queue IS NULL OR r.queue = p_queue)
        AND (p_error IS NULL OR r.failures -> -1 ->> 'tag' = p_error)
        AND (p_label IS NULL OR r.spec::jsonb -> 'tags' ? p_label)
        AND (p_flow IS NULL OR r.spec::json ->> 'flowId' = p_flow)
        AND (p_parent IS NULL OR r.spec::json ->> 'parent' = p_parent)
        AND (p_key IS NULL OR r.key = p_key)
        AND (p_from IS NULL OR r.enqueued_at >= p_from)
        AND (p_before IS NULL OR r.enqueued_at < p_before)
        AND (p_blocked IS NULL OR r.reason = p_blocked) AND (v_worker IS NULL OR r.worker = v_worker) LIMIT p_limit
    )
    SELECT f.id, NULL::uuid, row_to_json(f) FROM (
  SELECT r.id, r.state::int AS state, r.at::float8 AS at, r.enqueued_at::float8 AS enqueued_at,
    CASE WHEN r.attempt = 0 AND r.flags & 4 = 0 THEN r.expire_at END::float8 AS expire_at, r.fence, r.attempt, r.version,
    r.priority::int AS priority, r.crashes::int AS crashes, r.flags::int AS flags, r.queue, r.tag, r.key,
    (SELECT w.id FROM worker w WHERE w.num = r.worker) AS worker, r.reason, r.blocked_on,
    (SELECT c.reason FROM cancel c WHERE c.id = r.id) AS cancel, r.spec, r.attempts::text AS attempts,
    r.failures::text AS failures, d.progress, d.logs::text AS logs, NULL::text AS result, r.payload
  FROM page r LEFT JOIN LATERAL (SELECT progress, logs FROM detail WHERE id = r.id LIMIT 1) d ON true) f;
    GET DIAGNOSTICS v_found = ROW_COUNT;
    IF v_found < p_limit THEN
      RETURN QUERY SELECT NULL::uuid, e.id, NULL::json FROM (SELECT id FROM record x WHERE id BETWEEN p_low AND p_high AND true
        
        ORDER BY id DESC OFFSET p_looked - 1 LIMIT 1) e;
    END IF;
  ELSE 
    RETURN QUERY WITH page AS MATERIALIZED (
      SELECT * FROM (SELECT x.* FROM record x WHERE id BETWEEN p_low AND p_high AND true
        
        ORDER BY id ASC LIMIT p_looked) r WHERE (p_states IS NULL OR r.state = ANY (p_states))
        AND (p_tag IS NULL OR r.tag = p_tag)
        AND (p_queue IS NULL OR r.queue = p_queue)
        AND (p_error IS NULL OR r.failures -> -1 ->> 'tag' = p_error)
        AND (p_label IS NULL OR r.spec::jsonb -> 'tags' ? p_label)
        AND (p_flow IS NULL OR r.spec::json ->> 'flowId' = p_flow)
        AND (p_parent IS NULL OR r.spec::json ->> 'parent' = p_parent)
        AND (p_key IS NULL OR r.key = p_key)
        AND (p_from IS NULL OR r.enqueued_at >= p_from)
        AND (p_before IS NULL OR r.enqueued_at < p_before)
        AND (p_blocked IS NULL OR r.reason = p_blocked) AND (v_worker IS NULL OR r.worker = v_worker) LIMIT p_limit
    )
    SELECT f.id, NULL::uuid, row_to_json(f) FROM (
  SELECT r.id, r.state::int AS state, r.at::float8 AS at, r.enqueued_at::float8 AS enqueued_at,
    CASE WHEN r.attempt = 0 AND r.flags & 4 = 0 THEN r.expire_at END::float8 AS expire_at, r.fence, r.attempt, r.version,
    r.priority::int AS priority, r.crashes::int AS crashes, r.flags::int AS flags, r.queue, r.tag, r.key,
    (SELECT w.id FROM worker w WHERE w.num = r.worker) AS worker, r.reason, r.blocked_on,
    (SELECT c.reason FROM cancel c WHERE c.id = r.id) AS cancel, r.spec, r.attempts::text AS attempts,
    r.failures::text AS failures, d.progress, d.logs::text AS logs, NULL::text AS result, r.payload
  FROM page r LEFT JOIN LATERAL (SELECT progress, logs FROM detail WHERE id = r.id LIMIT 1) d ON true) f;
    GET DIAGNOSTICS v_found = ROW_COUNT;
    IF v_found < p_limit THEN
      RETURN QUERY SELECT NULL::uuid, e.id, NULL::json FROM (SELECT id FROM record x WHERE id BETWEEN p_low AND p_high AND true
        
        ORDER BY id ASC OFFSET p_looked - 1 LIMIT 1) e;
    END IF;
  END IF;
  ELSIF p_by = 'scheduled' THEN 
  IF p_newest THEN 
    RETURN QUERY WITH page AS MATERIALIZED (
      SELECT * FROM (SELECT x.* FROM record x WHERE id BETWEEN p_low AND p_high AND lane > 1
        AND lane BETWEEN 2::smallint AND 2::smallint
        ORDER BY lane DESC, id DESC LIMIT p_looked) r WHERE (p_states IS NULL OR r.state = ANY (p_states))
        AND (p_tag IS NULL OR r.tag = p_tag)
        AND (p_queue IS NULL OR r.queue = p_queue)
        AND (p_error IS NULL OR r.failures -> -1 ->> 'tag' = p_error)
        AND (p_label IS NULL OR r.spec::jsonb -> 'tags' ? p_label)
        AND (p_flow IS NULL OR r.spec::json ->> 'flowId' = p_flow)
        AND (p_parent IS NULL OR r.spec::json ->> 'parent' = p_parent)
        AND (p_key IS NULL OR r.key = p_key)
        AND (p_from IS NULL OR r.enqueued_at >= p_from)
        AND (p_before IS NULL OR r.enqueued_at < p_before)
        AND (p_blocked IS NULL OR r.reason = p_blocked) AND (v_worker IS NULL OR r.worker = v_worker) LIMIT p_limit
    )
    SELECT f.id, NULL::uuid, row_to_json(f) FROM (
  SELECT r.id, r.state::int AS state, r.at::float8 AS at, r.enqueued_at::float8 AS enqueued_at,
    CASE WHEN r.attempt = 0 AND r.flags & 4 = 0 THEN r.expire_at END::float8 AS expire_at, r.fence, r.attempt, r.version,
    r.priority::int AS priority, r.crashes::int AS crashes, r.flags::int AS flags, r.queue, r.tag, r.key,
    (SELECT w.id FROM worker w WHERE w.num = r.worker) AS worker, r.reason, r.blocked_on,
    (SELECT c.reason FROM cancel c WHERE c.id = r.id) AS cancel, r.spec, r.attempts::text AS attempts,
    r.failures::text AS failures, d.progress, d.logs::text AS logs, NULL::text AS result, r.payload
  FROM page r LEFT JOIN LATERAL (SELECT progress, logs FROM detail WHERE id = r.id LIMIT 1) d ON true) f;
    GET DIAGNOSTICS v_found = ROW_COUNT;
    IF v_found < p_limit THEN
      RETURN QUERY SELECT NULL::uuid, e.id, NULL::json FROM (SELECT id FROM record x WHERE id BETWEEN p_low AND p_high AND lane > 1
        AND lane BETWEEN 2::smallint AND 2::smallint
        ORDER BY lane DESC, id DESC OFFSET p_looked - 1 LIMIT 1) e;
    END IF;
  ELSE 
    RETURN QUERY WITH page AS MATERIALIZED (
      SELECT * FROM (SELECT x.* FROM record x WHERE id BETWEEN p_low AND p_high AND lane > 1
        AND lane BETWEEN 2::smallint AND 2::smallint
        ORDER BY lane ASC, id ASC LIMIT p_looked) r WHERE (p_states IS NULL OR r.state = ANY (p_states))
        AND (p_tag IS NULL OR r.tag = p_tag)
        AND (p_queue IS NULL OR r.queue = p_queue)
        AND (p_error IS NULL OR r.failures -> -1 ->> 'tag' = p_error)
        AND (p_label IS NULL OR r.spec::jsonb -> 'tags' ? p_label)
        AND (p_flow IS NULL OR r.spec::json ->> 'flowId' = p_flow)
        AND (p_parent IS NULL OR r.spec::json ->> 'parent' = p_parent)
        AND (p_key IS NULL OR r.key = p_key)
        AND (p_from IS NULL OR r.enqueued_at >= p_from)
        AND (p_before IS NULL OR r.enqueued_at < p_before)
        AND (p_blocked IS NULL OR r.reason = p_blocked) AND (v_worker IS NULL OR r.worker = v_worker) LIMIT p_limit
    )
    SELECT f.id, NULL::uuid, row_to_json(f) FROM (
  SELECT r.id, r.state::int AS state, r.at::float8 AS at, r.enqueued_at::float8 AS enqueued_at,
    CASE WHEN r.attempt = 0 AND r.flags & 4 = 0 THEN r.expire_at END::float8 AS expire_at, r.fence, r.attempt, r.version,
    r.priority::int AS priority, r.crashes::int AS crashes, r.flags::int AS flags, r.queue, r.tag, r.key,
    (SELECT w.id FROM worker w WHERE w.num = r.worker) AS worker, r.reason, r.blocked_on,
    (SELECT c.reason FROM cancel c WHERE c.id = r.id) AS cancel, r.spec, r.attempts::text AS attempts,
    r.failures::text AS failures, d.progress, d.logs::text AS logs, NULL::text AS result, r.payload
  FROM page r LEFT JOIN LATERAL (SELECT progress, logs FROM detail WHERE id = r.id LIMIT 1) d ON true) f;
    GET DIAGNOSTICS v_found = ROW_COUNT;
    IF v_found < p_limit THEN
      RETURN QUERY SELECT NULL::uuid, e.id, NULL::json FROM (SELECT id FROM record x WHERE id BETWEEN p_low AND p_high AND lane > 1
        AND lane BETWEEN 2::smallint AND 2::smallint
        ORDER BY lane ASC, id ASC OFFSET p_looked - 1 LIMIT 1) e;
    END IF;
  END IF;
  ELSIF p_by = 'blocked' THEN 
  IF p_newest THEN 
    RETURN QUERY WITH page AS MATERIALIZED (
      SELECT * FROM (SELECT x.* FROM record x WHERE id BETWEEN p_low AND p_high AND lane > 1
        AND lane BETWEEN 3::smallint AND 3::smallint
        ORDER BY lane DESC, id DESC LIMIT p_looked) r WHERE (p_states IS NULL OR r.state = ANY (p_states))
        AND (p_tag IS NULL OR r.tag = p_tag)
        AND (p_queue IS NULL OR r.queue = p_queue)
        AND (p_error IS NULL OR r.failures -> -1 ->> 'tag' = p_error)
        AND (p_label IS NULL OR r.spec::jsonb -> 'tags' ? p_label)
        AND (p_flow IS NULL OR r.spec::json ->> 'flowId' = p_flow)
        AND (p_parent IS NULL OR r.spec::json ->> 'parent' = p_parent)
        AND (p_key IS NULL OR r.key = p_key)
        AND (p_from IS NULL OR r.enqueued_at >= p_from)
        AND (p_before IS NULL OR r.enqueued_at < p_before)
        AND (p_blocked IS NULL OR r.reason = p_blocked) AND (v_worker IS NULL OR r.worker = v_worker) LIMIT p_limit
    )
    SELECT f.id, NULL::uuid, row_to_json(f) FROM (
  SELECT r.id, r.state::int AS state, r.at::float8 AS at, r.enqueued_at::float8 AS enqueued_at,
    CASE WHEN r.attempt = 0 AND r.flags & 4 = 0 THEN r.expire_at END::float8 AS expire_at, r.fence, r.attempt, r.version,
    r.priority::int AS priority, r.crashes::int AS crashes, r.flags::int AS flags, r.queue, r.tag, r.key,
    (SELECT w.id FROM worker w WHERE w.num = r.worker) AS worker, r.reason, r.blocked_on,
    (SELECT c.reason FROM cancel c WHERE c.id = r.id) AS cancel, r.spec, r.attempts::text AS attempts,
    r.failures::text AS failures, d.progress, d.logs::text AS logs, NULL::text AS result, r.payload
  FROM page r LEFT JOIN LATERAL (SELECT progress, logs FROM detail WHERE id = r.id LIMIT 1) d ON true) f;
    GET DIAGNOSTICS v_found = ROW_COUNT;
    IF v_found < p_limit THEN
      RETURN QUERY SELECT NULL::uuid, e.id, NULL::json FROM (SELECT id FROM record x WHERE id BETWEEN p_low AND p_high AND lane > 1
        AND lane BETWEEN 3::smallint AND 3::smallint
        ORDER BY lane DESC, id DESC OFFSET p_looked - 1 LIMIT 1) e;
    END IF;
  ELSE 
    RETURN QUERY WITH page AS MATERIALIZED (
      SELECT * FROM (SELECT x.* FROM record x WHERE id BETWEEN p_low AND p_high AND lane > 1
        AND lane BETWEEN 3::smallint AND 3::smallint
        ORDER BY lane ASC, id ASC LIMIT p_looked) r WHERE (p_states IS NULL OR r.state = ANY (p_states))
        AND (p_tag IS NULL OR r.tag = p_tag)
        AND (p_queue IS NULL OR r.queue = p_queue)
        AND (p_error IS NULL OR r.failures -> -1 ->> 'tag' = p_error)
        AND (p_label IS NULL OR r.spec::jsonb -> 'tags' ? p_label)
        AND (p_flow IS NULL OR r.spec::json ->> 'flowId' = p_flow)
        AND (p_parent IS NULL OR r.spec::json ->> 'parent' = p_parent)
        AND (p_key IS NULL OR r.key = p_key)
        AND (p_from IS NULL OR r.enqueued_at >= p_from)
        AND (p_before IS NULL OR r.enqueued_at < p_before)
        AND (p_blocked IS NULL OR r.reason = p_blocked) AND (v_worker IS NULL OR r.worker = v_worker) LIMIT p_limit
    )
    SELECT f.id, NULL::uuid, row_to_json(f) FROM (
  SELECT r.id, r.state::int AS state, r.at::float8 AS at, r.enqueued_at::float8 AS enqueued_at,
    CASE WHEN r.attempt = 0 AND r.flags & 4 = 0 THEN r.expire_at END::float8 AS expire_at, r.fence, r.attempt, r.version,
    r.priority::int AS priority, r.crashes::int AS crashes, r.flags::int AS flags, r.queue, r.tag, r.key,
    (SELECT w.id FROM worker w WHERE w.num = r.worker) AS worker, r.reason, r.blocked_on,
    (SELECT c.reason FROM cancel c WHERE c.id = r.id) AS cancel, r.spec, r.attempts::text AS attempts,
    r.failures::text AS failures, d.progress, d.logs::text AS logs, NULL::text AS result, r.payload
  FROM page r LEFT JOIN LATERAL (SELECT progress, logs FROM detail WHERE id = r.id LIMIT 1) d ON true) f;
    GET DIAGNOSTICS v_found = ROW_COUNT;
    IF v_found < p_limit THEN
      RETURN QUERY SELECT NULL::uuid, e.id, NULL::json FROM (SELECT id FROM record x WHERE id BETWEEN p_low AND p_high AND lane > 1
        AND lane BETWEEN 3::smallint AND 3::smallint
        ORDER BY lane ASC, id ASC OFFSET p_looked - 1 LIMIT 1) e;
    END IF;
  END IF;
  ELSIF p_by = 'blocked_until' THEN 
  IF p_newest THEN 
    RETURN QUERY WITH page AS MATERIALIZED (
      SELECT * FROM (SELECT x.* FROM record x WHERE id BETWEEN p_low AND p_high AND lane = 2 AND reason IS NOT NULL
        AND (lane + 0) BETWEEN 2 AND 2
        ORDER BY (lane + 0) DESC, id DESC LIMIT p_looked) r WHERE (p_states IS NULL OR r.state = ANY (p_states))
        AND (p_tag IS NULL OR r.tag = p_tag)
        AND (p_queue IS NULL OR r.queue = p_queue)
        AND (p_error IS NULL OR r.failures -> -1 ->> 'tag' = p_error)
        AND (p_label IS NULL OR r.spec::jsonb -> 'tags' ? p_label)
        AND (p_flow IS NULL OR r.spec::json ->> 'flowId' = p_flow)
        AND (p_parent IS NULL OR r.spec::json ->> 'parent' = p_parent)
        AND (p_key IS NULL OR r.key = p_key)
        AND (p_from IS NULL OR r.enqueued_at >= p_from)
        AND (p_before IS NULL OR r.enqueued_at < p_before)
        AND (p_blocked IS NULL OR r.reason = p_blocked) AND (v_worker IS NULL OR r.worker = v_worker) LIMIT p_limit
    )
    SELECT f.id, NULL::uuid, row_to_json(f) FROM (
  SELECT r.id, r.state::int AS state, r.at::float8 AS at, r.enqueued_at::float8 AS enqueued_at,
    CASE WHEN r.attempt = 0 AND r.flags & 4 = 0 THEN r.expire_at END::float8 AS expire_at, r.fence, r.attempt, r.version,
    r.priority::int AS priority, r.crashes::int AS crashes, r.flags::int AS flags, r.queue, r.tag, r.key,
    (SELECT w.id FROM worker w WHERE w.num = r.worker) AS worker, r.reason, r.blocked_on,
    (SELECT c.reason FROM cancel c WHERE c.id = r.id) AS cancel, r.spec, r.attempts::text AS attempts,
    r.failures::text AS failures, d.progress, d.logs::text AS logs, NULL::text AS result, r.payload
  FROM page r LEFT JOIN LATERAL (SELECT progress, logs FROM detail WHERE id = r.id LIMIT 1) d ON true) f;
    GET DIAGNOSTICS v_found = ROW_COUNT;
    IF v_found < p_limit THEN
      RETURN QUERY SELECT NULL::uuid, e.id, NULL::json FROM (SELECT id FROM record x WHERE id BETWEEN p_low AND p_high AND lane = 2 AND reason IS NOT NULL
        AND (lane + 0) BETWEEN 2 AND 2
        ORDER BY (lane + 0) DESC, id DESC OFFSET p_looked - 1 LIMIT 1) e;
    END IF;
  ELSE 
    RETURN QUERY WITH page AS MATERIALIZED (
      SELECT * FROM (SELECT x.* FROM record x WHERE id BETWEEN p_low AND p_high AND lane = 2 AND reason IS NOT NULL
        AND (lane + 0) BETWEEN 2 AND 2
        ORDER BY (lane + 0) ASC, id ASC LIMIT p_looked) r WHERE (p_states IS NULL OR r.state = ANY (p_states))
        AND (p_tag IS NULL OR r.tag = p_tag)
        AND (p_queue IS NULL OR r.queue = p_queue)
        AND (p_error IS NULL OR r.failures -> -1 ->> 'tag' = p_error)
        AND (p_label IS NULL OR r.spec::jsonb -> 'tags' ? p_label)
        AND (p_flow IS NULL OR r.spec::json ->> 'flowId' = p_flow)
        AND (p_parent IS NULL OR r.spec::json ->> 'parent' = p_parent)
        AND (p_key IS NULL OR r.key = p_key)
        AND (p_from IS NULL OR r.enqueued_at >= p_from)
        AND (p_before IS NULL OR r.enqueued_at < p_before)
        AND (p_blocked IS NULL OR r.reason = p_blocked) AND (v_worker IS NULL OR r.worker = v_worker) LIMIT p_limit
    )
    SELECT f.id, NULL::uuid, row_to_json(f) FROM (
  SELECT r.id, r.state::int AS state, r.at::float8 AS at, r.enqueued_at::float8 AS enqueued_at,
    CASE WHEN r.attempt = 0 AND r.flags & 4 = 0 THEN r.expire_at END::float8 AS expire_at, r.fence, r.attempt, r.version,
    r.priority::int AS priority, r.crashes::int AS crashes, r.flags::int AS flags, r.queue, r.tag, r.key,
    (SELECT w.id FROM worker w WHERE w.num = r.worker) AS worker, r.reason, r.blocked_on,
    (SELECT c.reason FROM cancel c WHERE c.id = r.id) AS cancel, r.spec, r.attempts::text AS attempts,
    r.failures::text AS failures, d.progress, d.logs::text AS logs, NULL::text AS result, r.payload
  FROM page r LEFT JOIN LATERAL (SELECT progress, logs FROM detail WHERE id = r.id LIMIT 1) d ON true) f;
    GET DIAGNOSTICS v_found = ROW_COUNT;
    IF v_found < p_limit THEN
      RETURN QUERY SELECT NULL::uuid, e.id, NULL::json FROM (SELECT id FROM record x WHERE id BETWEEN p_low AND p_high AND lane = 2 AND reason IS NOT NULL
        AND (lane + 0) BETWEEN 2 AND 2
        ORDER BY (lane + 0) ASC, id ASC OFFSET p_looked - 1 LIMIT 1) e;
    END IF;
  END IF;
  END IF;
END $function$;

CREATE OR REPLACE FUNCTION lock_all_resting(p_ids uuid[])
 RETURNS void
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_ids uuid[] := ARRAY(SELECT id FROM record WHERE id = ANY (p_ids) AND state <> 1 ORDER BY id);
  v_id uuid;
  v_locked int;
BEGIN
  BEGIN
    PERFORM FROM record WHERE id = ANY (v_ids) AND state <> 1 FOR UPDATE SKIP LOCKED;
    GET DIAGNOSTICS v_locked = ROW_COUNT;
    IF v_locked = cardinality(v_ids) THEN RETURN; END IF;
    RAISE EXCEPTION USING ERRCODE = 'CAP02';
  EXCEPTION WHEN SQLSTATE 'CAP02' THEN NULL;
  END;
  FOREACH v_id IN ARRAY v_ids LOOP
    PERFORM lock_resting(v_id, false);
  END LOOP;
END $function$;

CREATE OR REPLACE FUNCTION lock_for_control(p_ids uuid[], p_action text)
 RETURNS void
 LANGUAGE plpgsql
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_material TO 'off'
 SET jit TO 'off'
AS $function$
DECLARE
  v_ended uuid[];
BEGIN
  IF p_action <> 'Retry' AND cardinality(p_ids) <= 1 THEN RETURN; END IF;
  PERFORM lock_all_resting(p_ids);
  v_ended := ARRAY(
    SELECT g.id FROM unnest(p_ids) AS g(id) WHERE NOT EXISTS (SELECT FROM record r WHERE r.id = g.id));
  IF v_ended = '{}' THEN RETURN; END IF;
  IF p_action = 'Retry' THEN
    v_ended := ARRAY(
      WITH RECURSIVE again AS (
        SELECT id FROM unnest(v_ended) AS g(id)
        UNION SELECT d.child FROM again a JOIN dependency d ON d.parent = a.id JOIN history h ON h.id = d.child
          WHERE d.state IS NOT NULL AND d.on_failure < 3 AND h.state = 6 AND h.reason = 'DependencyFailed'
      )
      SELECT id FROM again
      UNION SELECT d.child FROM again a JOIN dependency d ON d.parent = a.id
        WHERE d.state IS NOT NULL AND d.on_failure < 4);
  END IF;
  PERFORM FROM history WHERE id = ANY (v_ended) ORDER BY id FOR UPDATE;
  IF p_action <> 'Retry' THEN RETURN; END IF;
  -- Of one that was free it has the key from here on as little as before: it does not live.
  INSERT INTO uniq AS q (tag, key, id)
    SELECT DISTINCT ON (1, 2) tag, spec::json ->> 'uniqueKey', id FROM history
      WHERE id = ANY (v_ended) AND flags & 1 = 1 ORDER BY 1, 2
    ON CONFLICT (tag, key) DO UPDATE SET id = q.id;
END $function$;

CREATE OR REPLACE FUNCTION lock_resting(p_id uuid, p_skips boolean)
 RETURNS record
 LANGUAGE plpgsql
AS $function$
DECLARE
  r record;
BEGIN
  IF p_skips THEN
    SELECT * INTO r FROM record WHERE id = p_id AND state <> 1 FOR UPDATE SKIP LOCKED;
  ELSE
    SELECT * INTO r FROM record WHERE id = p_id AND state <> 1 FOR UPDATE;
  END IF;
  IF NOT FOUND THEN RAISE EXCEPTION USING ERRCODE = 'CAP02'; END IF;
  RETURN r;
EXCEPTION WHEN SQLSTATE 'CAP02' THEN
  RETURN NULL;
END $function$;

CREATE OR REPLACE FUNCTION look_again(p_id uuid, p_key text, p_now bigint)
 RETURNS void
 LANGUAGE sql
AS $function$
  INSERT INTO agenda (id, key, at) VALUES (p_id, p_key, p_now + 200)
$function$;

CREATE OR REPLACE FUNCTION maintain(p_max_crashes integer)
 RETURNS json
 LANGUAGE plpgsql
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_material TO 'off'
 SET jit TO 'off'
AS $function$
DECLARE
  v_now bigint := clock();
  v_rescued int := 0;
  v_quarantined int := 0;
  v_expired int;
  v_swept int := 0;
  v_mended int := 0;
  v_unclaimed int := 0;
  v_schedules json;
  w worker;
  v_counts int[];
BEGIN
  FOR w IN SELECT * FROM worker WHERE lease_until <= v_now AND NOT ended ORDER BY num FOR UPDATE SKIP LOCKED LOOP
    v_counts := rescue_from(w, p_max_crashes, v_now);
    v_rescued := v_rescued + v_counts[1];
    v_quarantined := v_quarantined + v_counts[2];
    -- Those of many workers that died together would not fit into the time that a call has, and all of it would be undone.
    EXIT WHEN v_rescued + v_quarantined >= 1000;
  END LOOP;
  v_expired := expire(v_now, 1000);
  -- One of those who come at the same time does it, and nobody waits for it.
  PERFORM FROM housekeeping WHERE next_at <= v_now FOR UPDATE SKIP LOCKED;
  IF FOUND THEN
    UPDATE housekeeping SET next_at = v_now + 10000 WHERE only_one;
    PERFORM sum_counters();
    v_mended := mend(v_now);
    v_unclaimed := unclaim(p_max_crashes, v_now);
    v_rescued := v_rescued + v_unclaimed;
    IF EXISTS (SELECT FROM queue WHERE limited) THEN PERFORM count_started(); END IF;
    DELETE FROM worker k WHERE k.ended AND k.lease_until <= v_now - 86400000
      AND NOT EXISTS (SELECT FROM claimed c WHERE c.worker = k.num);
    DELETE FROM listener WHERE until <= v_now;
    DELETE FROM gone WHERE at <= v_now - 3600000;
    -- A worker sends again what it sent last, however long the store was away.
    DELETE FROM spent p WHERE p.at <= v_now - 60000
      AND (p.at <= (SELECT max(q.at) FROM spent q WHERE q.worker = p.worker) - 60000
        OR NOT EXISTS (SELECT FROM worker k WHERE k.num = p.worker));
    -- Last: while it holds a slot that it has emptied, whoever reads history waits.
    v_swept := sweep(v_now, 1000);
  END IF;
  IF v_swept >= 1000 OR v_mended >= 1000 OR v_unclaimed >= 1000 THEN
    UPDATE housekeeping SET next_at = v_now WHERE only_one;
  END IF;
  -- Their ticks wait for the end of this: nothing may come between.
  v_now := clock();
  v_schedules := attend_schedules(v_now);
  RETURN json_build_object('rescued', v_rescued, 'quarantined', v_quarantined, 'expired', v_expired, 'swept', v_swept,
    'now', v_now, 'schedules', v_schedules,
    -- What is due and was not done, others have locked: it is not asked for without a pause.
    'maintainIn', CASE WHEN v_rescued + v_quarantined >= 1000 OR v_expired >= 1000 OR v_swept >= 1000 OR json_array_length(v_schedules) >= 100 THEN 0
      ELSE coalesce(nullif(maintain_in(v_now), 0), 200) END);
END $function$;

CREATE OR REPLACE FUNCTION maintain_in(p_now bigint)
 RETURNS bigint
 LANGUAGE plpgsql
 STABLE
AS $function$
BEGIN
  RETURN greatest(0, least(
      (SELECT min(lease_until) FROM worker WHERE NOT ended),
      (SELECT expires FROM record WHERE expires IS NOT NULL ORDER BY expires LIMIT 1),
      (SELECT attend_at FROM schedule WHERE attend_at IS NOT NULL ORDER BY attend_at LIMIT 1),
      (SELECT next_at FROM housekeeping)) - p_now);
END $function$;

CREATE OR REPLACE FUNCTION mark_awaited(p_id uuid)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_flags int;
BEGIN
  SELECT flags INTO v_flags FROM record WHERE id = p_id FOR NO KEY UPDATE SKIP LOCKED;
  IF NOT FOUND THEN RETURN false; END IF;
  IF v_flags & 1024 = 0 THEN UPDATE record SET flags = flags | 1024 WHERE id = p_id; END IF;
  RETURN true;
END $function$;

CREATE OR REPLACE FUNCTION masked(p_spec text, p_sensitive jsonb)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
AS $function$
  SELECT CASE WHEN p_sensitive IS NULL THEN p_spec
    ELSE (coalesce(p_spec, '{}')::jsonb || jsonb_build_object('sensitive', p_sensitive))::text END
$function$;

CREATE OR REPLACE FUNCTION mend(p_now bigint)
 RETURNS integer
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_from text := (SELECT mended FROM housekeeping);
  v_to text;
  v_keys text[];
  v_count int;
BEGIN
  -- One part of the keys after the other, and then from the beginning.
  SELECT max(name), count(*) INTO v_to, v_count
    FROM (SELECT name FROM key WHERE name > v_from ORDER BY name LIMIT 5000) few;
  UPDATE housekeeping SET mended = CASE WHEN v_count = 5000 THEN v_to ELSE '' END WHERE only_one;
  -- One probe a key: as EXISTS the planner may turn it round and read all that waits.
  v_keys := ARRAY(SELECT k.name FROM key k WHERE k.name > v_from AND k.name <= v_to AND (k.held < k.lim OR k.name LIKE '@%') AND (
      SELECT true FROM record WHERE key = k.name AND lane = 3 AND reason = 'ConcurrencyKey' LIMIT 1));
  IF v_keys <> '{}' THEN PERFORM admit_keys(v_keys, p_now); END IF;
  PERFORM tend(few.id, p_now) FROM (
    SELECT q.id FROM cancel q
      WHERE NOT EXISTS (SELECT FROM record r WHERE r.id = q.id AND r.state = 1) LIMIT 100) few;
  DELETE FROM key k WHERE k.name IN (
      SELECT name FROM key WHERE name > v_from AND name <= v_to AND held = 0 AND failed = 0
        AND full_at <= p_now AND closed_until <= p_now FOR UPDATE SKIP LOCKED)
    AND (SELECT true FROM record WHERE key = k.name AND lane = 3 AND reason = 'ConcurrencyKey' LIMIT 1) IS NULL;
  GET DIAGNOSTICS v_count = ROW_COUNT;
  RETURN v_count;
END $function$;

CREATE OR REPLACE FUNCTION millis_of(options jsonb, name text)
 RETURNS bigint
 LANGUAGE plpgsql
 IMMUTABLE
AS $function$
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
END $function$;

CREATE OR REPLACE FUNCTION must_undo(r record, p_tag text, p_reason text)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
BEGIN
  IF r.flags & 128 = 0 THEN RETURN false; END IF;
  INSERT INTO checkpoint (id, name, value)
    VALUES (r.id, '!end', json_build_object('_tag', p_tag, 'reason', p_reason)::text) ON CONFLICT (id, name) DO NOTHING;
  DELETE FROM cancel WHERE id = r.id;
  RETURN true;
END $function$;

CREATE OR REPLACE FUNCTION next_turn(p_queue text, p_key text)
 RETURNS bigint
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_turn bigint;
BEGIN
  IF (SELECT fair FROM limits WHERE p_key >= '@' AND p_key < 'A' AND name = split_part(p_key, '/', 1)) IS NOT TRUE THEN RETURN 0; END IF;
  SELECT greatest(coalesce((k.turns ->> p_queue)::bigint, 0) + 1, 1, (SELECT turn FROM queue WHERE name = p_queue))
    INTO v_turn FROM key k WHERE k.name = p_key;
  UPDATE key SET turns = coalesce(turns, '{}') || jsonb_build_object(p_queue, v_turn) WHERE name = p_key;
  RETURN v_turn;
END $function$;

CREATE OR REPLACE FUNCTION next_turns(p_queues text[], p_keys text[], p_delays bigint[], p_run_ats bigint[], p_now bigint)
 RETURNS jsonb
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_lasts jsonb;
  v_firsts jsonb;
BEGIN
  WITH turns AS (
    SELECT g.queue, g.key, g.n, f.turn FROM (
      SELECT queue, key, count(*) AS n FROM unnest(p_queues, p_keys, p_delays, p_run_ats) AS g(queue, key, delay, run_at)
      WHERE key >= '@' AND key < 'A' AND coalesce(run_at, p_now + delay) <= p_now GROUP BY queue, key
    ) g
    CROSS JOIN LATERAL (SELECT fair FROM limits WHERE g.key >= '@' AND g.key < 'A' AND name = split_part(g.key, '/', 1) LIMIT 1) l
    CROSS JOIN LATERAL (
      SELECT greatest(coalesce((k.turns ->> g.queue)::bigint, 0) + 1, 1, (SELECT turn FROM queue WHERE name = g.queue)) AS turn
      FROM key k WHERE k.name = g.key LIMIT 1
    ) f WHERE l.fair
  )
  SELECT (SELECT jsonb_object_agg(queue, firsts) FROM (
      SELECT queue, jsonb_object_agg(key, turn) AS firsts FROM turns GROUP BY queue) q),
    (SELECT jsonb_object_agg(key, lasts) FROM (
      SELECT key, jsonb_object_agg(queue, turn + n - 1) AS lasts FROM turns GROUP BY key) k)
    INTO v_firsts, v_lasts;
  IF v_lasts IS NOT NULL THEN
    UPDATE key SET turns = coalesce(turns, '{}') || (v_lasts -> name)
      WHERE name = ANY (ARRAY(SELECT jsonb_object_keys(v_lasts)));
  END IF;
  RETURN v_firsts;
END $function$;

CREATE OR REPLACE FUNCTION oldest_ready(p_queue text)
 RETURNS bigint
 LANGUAGE plpgsql
 STABLE
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_material TO 'off'
 SET jit TO 'off'
AS $function$
DECLARE
  v_priority int;
  v_ready_at bigint;
  v_oldest bigint;
BEGIN
  v_priority := -1000;
  LOOP
    SELECT priority, ready_at INTO v_priority, v_ready_at FROM record
      WHERE queue = p_queue AND lane = 0 AND state = 0 AND priority > v_priority
      ORDER BY priority, turn, place LIMIT 1;
    EXIT WHEN NOT FOUND;
    v_oldest := least(v_oldest, v_ready_at);
  END LOOP;
  v_priority := -1000;
  LOOP
    SELECT priority, ready_at INTO v_priority, v_ready_at FROM record
      WHERE queue = p_queue AND lane = 1 AND state = 0 AND priority > v_priority
      ORDER BY priority, turn, place LIMIT 1;
    EXIT WHEN NOT FOUND;
    v_oldest := least(v_oldest, v_ready_at);
  END LOOP;
  RETURN v_oldest;
END $function$;

CREATE OR REPLACE FUNCTION part(age bigint, now bigint)
 RETURNS smallint
 LANGUAGE sql
 IMMUTABLE
AS $function$
  SELECT (CASE
    WHEN age IS NULL OR age > 31536000000 THEN 30
    WHEN age <= 3600000 THEN (now / 900000) % 6
    WHEN age <= 86400000 THEN 6 + (now / 21600000) % 6
    WHEN age <= 604800000 THEN 12 + (now / 151200000) % 6
    WHEN age <= 2592000000 THEN 18 + (now / 648000000) % 6
    ELSE 24 + (now / 7884000000) % 6
  END)::smallint
$function$;

CREATE OR REPLACE FUNCTION pass_on(p_worker integer, p_now bigint)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
  UPDATE worker SET wakes_until = 0 WHERE num = p_worker AND wakes_until > p_now;
  PERFORM wake(q, p_now, 1) FROM (SELECT unnest(queues) AS q FROM worker WHERE num = p_worker) w
    WHERE NOT EXISTS (SELECT FROM queue WHERE name = q AND paused)
      AND (EXISTS (SELECT FROM record WHERE queue = q AND lane = 0 AND state = 0)
        OR EXISTS (SELECT FROM record WHERE queue = q AND lane = 1 AND state = 0));
END $function$;

CREATE OR REPLACE FUNCTION past_page(p_by text, p_newest boolean, p_limit integer, p_looked integer, p_low uuid, p_high uuid, p_ids uuid[], p_states integer[], p_tag text, p_queue text, p_dead text, p_blocked text, p_error text, p_label text, p_flow text, p_parent text, p_key text, p_worker text, p_from bigint, p_before bigint)
 RETURNS TABLE(id uuid, last uuid, found json)
 LANGUAGE plpgsql
 STABLE
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_material TO 'off'
 SET jit TO 'off'
 SET enable_sort TO 'off'
 SET enable_bitmapscan TO 'off'
AS $function$
#variable_conflict use_column
DECLARE
  v_now bigint := clock();
  v_found int;
BEGIN
  IF p_ids IS NOT NULL THEN 
  IF p_newest THEN 
    RETURN QUERY WITH page AS MATERIALIZED (
      SELECT * FROM (SELECT x.*, x AS whole FROM history x WHERE id = ANY (p_ids) AND id BETWEEN p_low AND p_high
        ORDER BY id DESC) h WHERE (p_states IS NULL OR h.state = ANY (p_states))
        AND (p_tag IS NULL OR h.tag = p_tag)
        AND (p_queue IS NULL OR h.queue = p_queue)
        AND (p_error IS NULL OR h.failures -> -1 ->> 'tag' = p_error)
        AND (p_label IS NULL OR h.spec::jsonb -> 'tags' ? p_label)
        AND (p_flow IS NULL OR h.spec::json ->> 'flowId' = p_flow)
        AND (p_parent IS NULL OR h.spec::json ->> 'parent' = p_parent)
        AND (p_key IS NULL OR h.key = p_key)
        AND (p_from IS NULL OR h.enqueued_at >= p_from)
        AND (p_before IS NULL OR h.enqueued_at < p_before)
        AND (p_dead IS NULL OR h.reason = p_dead) AND (h.expires_at IS NULL OR h.expires_at > v_now) LIMIT p_limit
    )
    SELECT f.id, NULL::uuid, row_to_json(f) FROM (
  SELECT h.id, h.state::int AS state, h.finished_at::float8 AS at, h.enqueued_at::float8 AS enqueued_at,
    NULL::float8 AS expire_at, h.fence, h.attempt, h.version,
    h.priority::int AS priority, h.crashes::int AS crashes, h.flags::int AS flags, h.queue, h.tag, h.key,
    NULL::text AS worker, h.reason, NULL::text AS blocked_on, NULL::text AS cancel, h.spec,
    attempts_of(h.whole)::text AS attempts, h.failures::text AS failures, h.detail ->> 'progress' AS progress,
    (h.detail -> 'logs')::text AS logs, h.result, h.payload
  FROM page h) f;
    GET DIAGNOSTICS v_found = ROW_COUNT;
  ELSE 
    RETURN QUERY WITH page AS MATERIALIZED (
      SELECT * FROM (SELECT x.*, x AS whole FROM history x WHERE id = ANY (p_ids) AND id BETWEEN p_low AND p_high
        ORDER BY id ASC) h WHERE (p_states IS NULL OR h.state = ANY (p_states))
        AND (p_tag IS NULL OR h.tag = p_tag)
        AND (p_queue IS NULL OR h.queue = p_queue)
        AND (p_error IS NULL OR h.failures -> -1 ->> 'tag' = p_error)
        AND (p_label IS NULL OR h.spec::jsonb -> 'tags' ? p_label)
        AND (p_flow IS NULL OR h.spec::json ->> 'flowId' = p_flow)
        AND (p_parent IS NULL OR h.spec::json ->> 'parent' = p_parent)
        AND (p_key IS NULL OR h.key = p_key)
        AND (p_from IS NULL OR h.enqueued_at >= p_from)
        AND (p_before IS NULL OR h.enqueued_at < p_before)
        AND (p_dead IS NULL OR h.reason = p_dead) AND (h.expires_at IS NULL OR h.expires_at > v_now) LIMIT p_limit
    )
    SELECT f.id, NULL::uuid, row_to_json(f) FROM (
  SELECT h.id, h.state::int AS state, h.finished_at::float8 AS at, h.enqueued_at::float8 AS enqueued_at,
    NULL::float8 AS expire_at, h.fence, h.attempt, h.version,
    h.priority::int AS priority, h.crashes::int AS crashes, h.flags::int AS flags, h.queue, h.tag, h.key,
    NULL::text AS worker, h.reason, NULL::text AS blocked_on, NULL::text AS cancel, h.spec,
    attempts_of(h.whole)::text AS attempts, h.failures::text AS failures, h.detail ->> 'progress' AS progress,
    (h.detail -> 'logs')::text AS logs, h.result, h.payload
  FROM page h) f;
    GET DIAGNOSTICS v_found = ROW_COUNT;
  END IF;
    RETURN;
  END IF;
  IF p_by = 'all' THEN 
  IF p_newest THEN 
    RETURN QUERY WITH page AS MATERIALIZED (
      SELECT * FROM (SELECT x.*, x AS whole FROM history x WHERE id BETWEEN p_low AND p_high AND true
        
        ORDER BY id DESC LIMIT p_looked) h WHERE (p_states IS NULL OR h.state = ANY (p_states))
        AND (p_tag IS NULL OR h.tag = p_tag)
        AND (p_queue IS NULL OR h.queue = p_queue)
        AND (p_error IS NULL OR h.failures -> -1 ->> 'tag' = p_error)
        AND (p_label IS NULL OR h.spec::jsonb -> 'tags' ? p_label)
        AND (p_flow IS NULL OR h.spec::json ->> 'flowId' = p_flow)
        AND (p_parent IS NULL OR h.spec::json ->> 'parent' = p_parent)
        AND (p_key IS NULL OR h.key = p_key)
        AND (p_from IS NULL OR h.enqueued_at >= p_from)
        AND (p_before IS NULL OR h.enqueued_at < p_before)
        AND (p_dead IS NULL OR h.reason = p_dead) AND (h.expires_at IS NULL OR h.expires_at > v_now) LIMIT p_limit
    )
    SELECT f.id, NULL::uuid, row_to_json(f) FROM (
  SELECT h.id, h.state::int AS state, h.finished_at::float8 AS at, h.enqueued_at::float8 AS enqueued_at,
    NULL::float8 AS expire_at, h.fence, h.attempt, h.version,
    h.priority::int AS priority, h.crashes::int AS crashes, h.flags::int AS flags, h.queue, h.tag, h.key,
    NULL::text AS worker, h.reason, NULL::text AS blocked_on, NULL::text AS cancel, h.spec,
    attempts_of(h.whole)::text AS attempts, h.failures::text AS failures, h.detail ->> 'progress' AS progress,
    (h.detail -> 'logs')::text AS logs, h.result, h.payload
  FROM page h) f;
    GET DIAGNOSTICS v_found = ROW_COUNT;
    IF v_found < p_limit THEN
      RETURN QUERY SELECT NULL::uuid, e.id, NULL::json FROM (SELECT id FROM history x WHERE id BETWEEN p_low AND p_high AND true
        
        ORDER BY id DESC OFFSET p_looked - 1 LIMIT 1) e;
    END IF;
  ELSE 
    RETURN QUERY WITH page AS MATERIALIZED (
      SELECT * FROM (SELECT x.*, x AS whole FROM history x WHERE id BETWEEN p_low AND p_high AND true
        
        ORDER BY id ASC LIMIT p_looked) h WHERE (p_states IS NULL OR h.state = ANY (p_states))
        AND (p_tag IS NULL OR h.tag = p_tag)
        AND (p_queue IS NULL OR h.queue = p_queue)
        AND (p_error IS NULL OR h.failures -> -1 ->> 'tag' = p_error)
        AND (p_label IS NULL OR h.spec::jsonb -> 'tags' ? p_label)
        AND (p_flow IS NULL OR h.spec::json ->> 'flowId' = p_flow)
        AND (p_parent IS NULL OR h.spec::json ->> 'parent' = p_parent)
        AND (p_key IS NULL OR h.key = p_key)
        AND (p_from IS NULL OR h.enqueued_at >= p_from)
        AND (p_before IS NULL OR h.enqueued_at < p_before)
        AND (p_dead IS NULL OR h.reason = p_dead) AND (h.expires_at IS NULL OR h.expires_at > v_now) LIMIT p_limit
    )
    SELECT f.id, NULL::uuid, row_to_json(f) FROM (
  SELECT h.id, h.state::int AS state, h.finished_at::float8 AS at, h.enqueued_at::float8 AS enqueued_at,
    NULL::float8 AS expire_at, h.fence, h.attempt, h.version,
    h.priority::int AS priority, h.crashes::int AS crashes, h.flags::int AS flags, h.queue, h.tag, h.key,
    NULL::text AS worker, h.reason, NULL::text AS blocked_on, NULL::text AS cancel, h.spec,
    attempts_of(h.whole)::text AS attempts, h.failures::text AS failures, h.detail ->> 'progress' AS progress,
    (h.detail -> 'logs')::text AS logs, h.result, h.payload
  FROM page h) f;
    GET DIAGNOSTICS v_found = ROW_COUNT;
    IF v_found < p_limit THEN
      RETURN QUERY SELECT NULL::uuid, e.id, NULL::json FROM (SELECT id FROM history x WHERE id BETWEEN p_low AND p_high AND true
        
        ORDER BY id ASC OFFSET p_looked - 1 LIMIT 1) e;
    END IF;
  END IF;
  ELSIF p_by = 'ended' THEN 
  IF p_newest THEN 
    RETURN QUERY WITH page AS MATERIALIZED (
      SELECT * FROM (SELECT x.*, x AS whole FROM history x WHERE id BETWEEN p_low AND p_high AND state > 4
        
        ORDER BY id DESC LIMIT p_looked) h WHERE (p_states IS NULL OR h.state = ANY (p_states))
        AND (p_tag IS NULL OR h.tag = p_tag)
        AND (p_queue IS NULL OR h.queue = p_queue)
        AND (p_error IS NULL OR h.failures -> -1 ->> 'tag' = p_error)
        AND (p_label IS NULL OR h.spec::jsonb -> 'tags' ? p_label)
        AND (p_flow IS NULL OR h.spec::json ->> 'flowId' = p_flow)
        AND (p_parent IS NULL OR h.spec::json ->> 'parent' = p_parent)
        AND (p_key IS NULL OR h.key = p_key)
        AND (p_from IS NULL OR h.enqueued_at >= p_from)
        AND (p_before IS NULL OR h.enqueued_at < p_before)
        AND (p_dead IS NULL OR h.reason = p_dead) AND (h.expires_at IS NULL OR h.expires_at > v_now) LIMIT p_limit
    )
    SELECT f.id, NULL::uuid, row_to_json(f) FROM (
  SELECT h.id, h.state::int AS state, h.finished_at::float8 AS at, h.enqueued_at::float8 AS enqueued_at,
    NULL::float8 AS expire_at, h.fence, h.attempt, h.version,
    h.priority::int AS priority, h.crashes::int AS crashes, h.flags::int AS flags, h.queue, h.tag, h.key,
    NULL::text AS worker, h.reason, NULL::text AS blocked_on, NULL::text AS cancel, h.spec,
    attempts_of(h.whole)::text AS attempts, h.failures::text AS failures, h.detail ->> 'progress' AS progress,
    (h.detail -> 'logs')::text AS logs, h.result, h.payload
  FROM page h) f;
    GET DIAGNOSTICS v_found = ROW_COUNT;
    IF v_found < p_limit THEN
      RETURN QUERY SELECT NULL::uuid, e.id, NULL::json FROM (SELECT id FROM history x WHERE id BETWEEN p_low AND p_high AND state > 4
        
        ORDER BY id DESC OFFSET p_looked - 1 LIMIT 1) e;
    END IF;
  ELSE 
    RETURN QUERY WITH page AS MATERIALIZED (
      SELECT * FROM (SELECT x.*, x AS whole FROM history x WHERE id BETWEEN p_low AND p_high AND state > 4
        
        ORDER BY id ASC LIMIT p_looked) h WHERE (p_states IS NULL OR h.state = ANY (p_states))
        AND (p_tag IS NULL OR h.tag = p_tag)
        AND (p_queue IS NULL OR h.queue = p_queue)
        AND (p_error IS NULL OR h.failures -> -1 ->> 'tag' = p_error)
        AND (p_label IS NULL OR h.spec::jsonb -> 'tags' ? p_label)
        AND (p_flow IS NULL OR h.spec::json ->> 'flowId' = p_flow)
        AND (p_parent IS NULL OR h.spec::json ->> 'parent' = p_parent)
        AND (p_key IS NULL OR h.key = p_key)
        AND (p_from IS NULL OR h.enqueued_at >= p_from)
        AND (p_before IS NULL OR h.enqueued_at < p_before)
        AND (p_dead IS NULL OR h.reason = p_dead) AND (h.expires_at IS NULL OR h.expires_at > v_now) LIMIT p_limit
    )
    SELECT f.id, NULL::uuid, row_to_json(f) FROM (
  SELECT h.id, h.state::int AS state, h.finished_at::float8 AS at, h.enqueued_at::float8 AS enqueued_at,
    NULL::float8 AS expire_at, h.fence, h.attempt, h.version,
    h.priority::int AS priority, h.crashes::int AS crashes, h.flags::int AS flags, h.queue, h.tag, h.key,
    NULL::text AS worker, h.reason, NULL::text AS blocked_on, NULL::text AS cancel, h.spec,
    attempts_of(h.whole)::text AS attempts, h.failures::text AS failures, h.detail ->> 'progress' AS progress,
    (h.detail -> 'logs')::text AS logs, h.result, h.payload
  FROM page h) f;
    GET DIAGNOSTICS v_found = ROW_COUNT;
    IF v_found < p_limit THEN
      RETURN QUERY SELECT NULL::uuid, e.id, NULL::json FROM (SELECT id FROM history x WHERE id BETWEEN p_low AND p_high AND state > 4
        
        ORDER BY id ASC OFFSET p_looked - 1 LIMIT 1) e;
    END IF;
  END IF;
  ELSIF p_by = 'ended_queue' THEN 
  IF p_newest THEN 
    RETURN QUERY WITH page AS MATERIALIZED (
      SELECT * FROM (SELECT x.*, x AS whole FROM history x WHERE id BETWEEN p_low AND p_high AND state > 4
        AND queue BETWEEN p_queue AND p_queue
        ORDER BY queue DESC, id DESC LIMIT p_looked) h WHERE (p_states IS NULL OR h.state = ANY (p_states))
        AND (p_tag IS NULL OR h.tag = p_tag)
        AND (p_queue IS NULL OR h.queue = p_queue)
        AND (p_error IS NULL OR h.failures -> -1 ->> 'tag' = p_error)
        AND (p_label IS NULL OR h.spec::jsonb -> 'tags' ? p_label)
        AND (p_flow IS NULL OR h.spec::json ->> 'flowId' = p_flow)
        AND (p_parent IS NULL OR h.spec::json ->> 'parent' = p_parent)
        AND (p_key IS NULL OR h.key = p_key)
        AND (p_from IS NULL OR h.enqueued_at >= p_from)
        AND (p_before IS NULL OR h.enqueued_at < p_before)
        AND (p_dead IS NULL OR h.reason = p_dead) AND (h.expires_at IS NULL OR h.expires_at > v_now) LIMIT p_limit
    )
    SELECT f.id, NULL::uuid, row_to_json(f) FROM (
  SELECT h.id, h.state::int AS state, h.finished_at::float8 AS at, h.enqueued_at::float8 AS enqueued_at,
    NULL::float8 AS expire_at, h.fence, h.attempt, h.version,
    h.priority::int AS priority, h.crashes::int AS crashes, h.flags::int AS flags, h.queue, h.tag, h.key,
    NULL::text AS worker, h.reason, NULL::text AS blocked_on, NULL::text AS cancel, h.spec,
    attempts_of(h.whole)::text AS attempts, h.failures::text AS failures, h.detail ->> 'progress' AS progress,
    (h.detail -> 'logs')::text AS logs, h.result, h.payload
  FROM page h) f;
    GET DIAGNOSTICS v_found = ROW_COUNT;
    IF v_found < p_limit THEN
      RETURN QUERY SELECT NULL::uuid, e.id, NULL::json FROM (SELECT id FROM history x WHERE id BETWEEN p_low AND p_high AND state > 4
        AND queue BETWEEN p_queue AND p_queue
        ORDER BY queue DESC, id DESC OFFSET p_looked - 1 LIMIT 1) e;
    END IF;
  ELSE 
    RETURN QUERY WITH page AS MATERIALIZED (
      SELECT * FROM (SELECT x.*, x AS whole FROM history x WHERE id BETWEEN p_low AND p_high AND state > 4
        AND queue BETWEEN p_queue AND p_queue
        ORDER BY queue ASC, id ASC LIMIT p_looked) h WHERE (p_states IS NULL OR h.state = ANY (p_states))
        AND (p_tag IS NULL OR h.tag = p_tag)
        AND (p_queue IS NULL OR h.queue = p_queue)
        AND (p_error IS NULL OR h.failures -> -1 ->> 'tag' = p_error)
        AND (p_label IS NULL OR h.spec::jsonb -> 'tags' ? p_label)
        AND (p_flow IS NULL OR h.spec::json ->> 'flowId' = p_flow)
        AND (p_parent IS NULL OR h.spec::json ->> 'parent' = p_parent)
        AND (p_key IS NULL OR h.key = p_key)
        AND (p_from IS NULL OR h.enqueued_at >= p_from)
        AND (p_before IS NULL OR h.enqueued_at < p_before)
        AND (p_dead IS NULL OR h.reason = p_dead) AND (h.expires_at IS NULL OR h.expires_at > v_now) LIMIT p_limit
    )
    SELECT f.id, NULL::uuid, row_to_json(f) FROM (
  SELECT h.id, h.state::int AS state, h.finished_at::float8 AS at, h.enqueued_at::float8 AS enqueued_at,
    NULL::float8 AS expire_at, h.fence, h.attempt, h.version,
    h.priority::int AS priority, h.crashes::int AS crashes, h.flags::int AS flags, h.queue, h.tag, h.key,
    NULL::text AS worker, h.reason, NULL::text AS blocked_on, NULL::text AS cancel, h.spec,
    attempts_of(h.whole)::text AS attempts, h.failures::text AS failures, h.detail ->> 'progress' AS progress,
    (h.detail -> 'logs')::text AS logs, h.result, h.payload
  FROM page h) f;
    GET DIAGNOSTICS v_found = ROW_COUNT;
    IF v_found < p_limit THEN
      RETURN QUERY SELECT NULL::uuid, e.id, NULL::json FROM (SELECT id FROM history x WHERE id BETWEEN p_low AND p_high AND state > 4
        AND queue BETWEEN p_queue AND p_queue
        ORDER BY queue ASC, id ASC OFFSET p_looked - 1 LIMIT 1) e;
    END IF;
  END IF;
  ELSIF p_by = 'ended_tag' THEN 
  IF p_newest THEN 
    RETURN QUERY WITH page AS MATERIALIZED (
      SELECT * FROM (SELECT x.*, x AS whole FROM history x WHERE id BETWEEN p_low AND p_high AND state > 4
        AND tag BETWEEN p_tag AND p_tag
        ORDER BY tag DESC, id DESC LIMIT p_looked) h WHERE (p_states IS NULL OR h.state = ANY (p_states))
        AND (p_tag IS NULL OR h.tag = p_tag)
        AND (p_queue IS NULL OR h.queue = p_queue)
        AND (p_error IS NULL OR h.failures -> -1 ->> 'tag' = p_error)
        AND (p_label IS NULL OR h.spec::jsonb -> 'tags' ? p_label)
        AND (p_flow IS NULL OR h.spec::json ->> 'flowId' = p_flow)
        AND (p_parent IS NULL OR h.spec::json ->> 'parent' = p_parent)
        AND (p_key IS NULL OR h.key = p_key)
        AND (p_from IS NULL OR h.enqueued_at >= p_from)
        AND (p_before IS NULL OR h.enqueued_at < p_before)
        AND (p_dead IS NULL OR h.reason = p_dead) AND (h.expires_at IS NULL OR h.expires_at > v_now) LIMIT p_limit
    )
    SELECT f.id, NULL::uuid, row_to_json(f) FROM (
  SELECT h.id, h.state::int AS state, h.finished_at::float8 AS at, h.enqueued_at::float8 AS enqueued_at,
    NULL::float8 AS expire_at, h.fence, h.attempt, h.version,
    h.priority::int AS priority, h.crashes::int AS crashes, h.flags::int AS flags, h.queue, h.tag, h.key,
    NULL::text AS worker, h.reason, NULL::text AS blocked_on, NULL::text AS cancel, h.spec,
    attempts_of(h.whole)::text AS attempts, h.failures::text AS failures, h.detail ->> 'progress' AS progress,
    (h.detail -> 'logs')::text AS logs, h.result, h.payload
  FROM page h) f;
    GET DIAGNOSTICS v_found = ROW_COUNT;
    IF v_found < p_limit THEN
      RETURN QUERY SELECT NULL::uuid, e.id, NULL::json FROM (SELECT id FROM history x WHERE id BETWEEN p_low AND p_high AND state > 4
        AND tag BETWEEN p_tag AND p_tag
        ORDER BY tag DESC, id DESC OFFSET p_looked - 1 LIMIT 1) e;
    END IF;
  ELSE 
    RETURN QUERY WITH page AS MATERIALIZED (
      SELECT * FROM (SELECT x.*, x AS whole FROM history x WHERE id BETWEEN p_low AND p_high AND state > 4
        AND tag BETWEEN p_tag AND p_tag
        ORDER BY tag ASC, id ASC LIMIT p_looked) h WHERE (p_states IS NULL OR h.state = ANY (p_states))
        AND (p_tag IS NULL OR h.tag = p_tag)
        AND (p_queue IS NULL OR h.queue = p_queue)
        AND (p_error IS NULL OR h.failures -> -1 ->> 'tag' = p_error)
        AND (p_label IS NULL OR h.spec::jsonb -> 'tags' ? p_label)
        AND (p_flow IS NULL OR h.spec::json ->> 'flowId' = p_flow)
        AND (p_parent IS NULL OR h.spec::json ->> 'parent' = p_parent)
        AND (p_key IS NULL OR h.key = p_key)
        AND (p_from IS NULL OR h.enqueued_at >= p_from)
        AND (p_before IS NULL OR h.enqueued_at < p_before)
        AND (p_dead IS NULL OR h.reason = p_dead) AND (h.expires_at IS NULL OR h.expires_at > v_now) LIMIT p_limit
    )
    SELECT f.id, NULL::uuid, row_to_json(f) FROM (
  SELECT h.id, h.state::int AS state, h.finished_at::float8 AS at, h.enqueued_at::float8 AS enqueued_at,
    NULL::float8 AS expire_at, h.fence, h.attempt, h.version,
    h.priority::int AS priority, h.crashes::int AS crashes, h.flags::int AS flags, h.queue, h.tag, h.key,
    NULL::text AS worker, h.reason, NULL::text AS blocked_on, NULL::text AS cancel, h.spec,
    attempts_of(h.whole)::text AS attempts, h.failures::text AS failures, h.detail ->> 'progress' AS progress,
    (h.detail -> 'logs')::text AS logs, h.result, h.payload
  FROM page h) f;
    GET DIAGNOSTICS v_found = ROW_COUNT;
    IF v_found < p_limit THEN
      RETURN QUERY SELECT NULL::uuid, e.id, NULL::json FROM (SELECT id FROM history x WHERE id BETWEEN p_low AND p_high AND state > 4
        AND tag BETWEEN p_tag AND p_tag
        ORDER BY tag ASC, id ASC OFFSET p_looked - 1 LIMIT 1) e;
    END IF;
  END IF;
  ELSIF p_by = 'failed' THEN 
  IF p_newest THEN 
    RETURN QUERY WITH page AS MATERIALIZED (
      SELECT * FROM (SELECT x.*, x AS whole FROM history x WHERE id BETWEEN p_low AND p_high AND failures IS NOT NULL
        AND left(failures -> -1 ->> 'tag', 64) BETWEEN left(p_error, 64) AND left(p_error, 64)
        ORDER BY left(failures -> -1 ->> 'tag', 64) DESC, id DESC LIMIT p_looked) h WHERE (p_states IS NULL OR h.state = ANY (p_states))
        AND (p_tag IS NULL OR h.tag = p_tag)
        AND (p_queue IS NULL OR h.queue = p_queue)
        AND (p_error IS NULL OR h.failures -> -1 ->> 'tag' = p_error)
        AND (p_label IS NULL OR h.spec::jsonb -> 'tags' ? p_label)
        AND (p_flow IS NULL OR h.spec::json ->> 'flowId' = p_flow)
        AND (p_parent IS NULL OR h.spec::json ->> 'parent' = p_parent)
        AND (p_key IS NULL OR h.key = p_key)
        AND (p_from IS NULL OR h.enqueued_at >= p_from)
        AND (p_before IS NULL OR h.enqueued_at < p_before)
        AND (p_dead IS NULL OR h.reason = p_dead) AND (h.expires_at IS NULL OR h.expires_at > v_now) LIMIT p_limit
    )
    SELECT f.id, NULL::uuid, row_to_json(f) FROM (
  SELECT h.id, h.state::int AS state, h.finished_at::float8 AS at, h.enqueued_at::float8 AS enqueued_at,
    NULL::float8 AS expire_at, h.fence, h.attempt, h.version,
    h.priority::int AS priority, h.crashes::int AS crashes, h.flags::int AS flags, h.queue, h.tag, h.key,
    NULL::text AS worker, h.reason, NULL::text AS blocked_on, NULL::text AS cancel, h.spec,
    attempts_of(h.whole)::text AS attempts, h.failures::text AS failures, h.detail ->> 'progress' AS progress,
    (h.detail -> 'logs')::text AS logs, h.result, h.payload
  FROM page h) f;
    GET DIAGNOSTICS v_found = ROW_COUNT;
    IF v_found < p_limit THEN
      RETURN QUERY SELECT NULL::uuid, e.id, NULL::json FROM (SELECT id FROM history x WHERE id BETWEEN p_low AND p_high AND failures IS NOT NULL
        AND left(failures -> -1 ->> 'tag', 64) BETWEEN left(p_error, 64) AND left(p_error, 64)
        ORDER BY left(failures -> -1 ->> 'tag', 64) DESC, id DESC OFFSET p_looked - 1 LIMIT 1) e;
    END IF;
  ELSE 
    RETURN QUERY WITH page AS MATERIALIZED (
      SELECT * FROM (SELECT x.*, x AS whole FROM history x WHERE id BETWEEN p_low AND p_high AND failures IS NOT NULL
        AND left(failures -> -1 ->> 'tag', 64) BETWEEN left(p_error, 64) AND left(p_error, 64)
        ORDER BY left(failures -> -1 ->> 'tag', 64) ASC, id ASC LIMIT p_looked) h WHERE (p_states IS NULL OR h.state = ANY (p_states))
        AND (p_tag IS NULL OR h.tag = p_tag)
        AND (p_queue IS NULL OR h.queue = p_queue)
        AND (p_error IS NULL OR h.failures -> -1 ->> 'tag' = p_error)
        AND (p_label IS NULL OR h.spec::jsonb -> 'tags' ? p_label)
        AND (p_flow IS NULL OR h.spec::json ->> 'flowId' = p_flow)
        AND (p_parent IS NULL OR h.spec::json ->> 'parent' = p_parent)
        AND (p_key IS NULL OR h.key = p_key)
        AND (p_from IS NULL OR h.enqueued_at >= p_from)
        AND (p_before IS NULL OR h.enqueued_at < p_before)
        AND (p_dead IS NULL OR h.reason = p_dead) AND (h.expires_at IS NULL OR h.expires_at > v_now) LIMIT p_limit
    )
    SELECT f.id, NULL::uuid, row_to_json(f) FROM (
  SELECT h.id, h.state::int AS state, h.finished_at::float8 AS at, h.enqueued_at::float8 AS enqueued_at,
    NULL::float8 AS expire_at, h.fence, h.attempt, h.version,
    h.priority::int AS priority, h.crashes::int AS crashes, h.flags::int AS flags, h.queue, h.tag, h.key,
    NULL::text AS worker, h.reason, NULL::text AS blocked_on, NULL::text AS cancel, h.spec,
    attempts_of(h.whole)::text AS attempts, h.failures::text AS failures, h.detail ->> 'progress' AS progress,
    (h.detail -> 'logs')::text AS logs, h.result, h.payload
  FROM page h) f;
    GET DIAGNOSTICS v_found = ROW_COUNT;
    IF v_found < p_limit THEN
      RETURN QUERY SELECT NULL::uuid, e.id, NULL::json FROM (SELECT id FROM history x WHERE id BETWEEN p_low AND p_high AND failures IS NOT NULL
        AND left(failures -> -1 ->> 'tag', 64) BETWEEN left(p_error, 64) AND left(p_error, 64)
        ORDER BY left(failures -> -1 ->> 'tag', 64) ASC, id ASC OFFSET p_looked - 1 LIMIT 1) e;
    END IF;
  END IF;
  ELSIF p_by = 'dead_reason' THEN 
  IF p_newest THEN 
    RETURN QUERY WITH page AS MATERIALIZED (
      SELECT * FROM (SELECT x.*, x AS whole FROM history x WHERE id BETWEEN p_low AND p_high AND state = 6
        AND reason BETWEEN p_dead AND p_dead
        ORDER BY reason DESC, id DESC LIMIT p_looked) h WHERE (p_states IS NULL OR h.state = ANY (p_states))
        AND (p_tag IS NULL OR h.tag = p_tag)
        AND (p_queue IS NULL OR h.queue = p_queue)
        AND (p_error IS NULL OR h.failures -> -1 ->> 'tag' = p_error)
        AND (p_label IS NULL OR h.spec::jsonb -> 'tags' ? p_label)
        AND (p_flow IS NULL OR h.spec::json ->> 'flowId' = p_flow)
        AND (p_parent IS NULL OR h.spec::json ->> 'parent' = p_parent)
        AND (p_key IS NULL OR h.key = p_key)
        AND (p_from IS NULL OR h.enqueued_at >= p_from)
        AND (p_before IS NULL OR h.enqueued_at < p_before)
        AND (p_dead IS NULL OR h.reason = p_dead) AND (h.expires_at IS NULL OR h.expires_at > v_now) LIMIT p_limit
    )
    SELECT f.id, NULL::uuid, row_to_json(f) FROM (
  SELECT h.id, h.state::int AS state, h.finished_at::float8 AS at, h.enqueued_at::float8 AS enqueued_at,
    NULL::float8 AS expire_at, h.fence, h.attempt, h.version,
    h.priority::int AS priority, h.crashes::int AS crashes, h.flags::int AS flags, h.queue, h.tag, h.key,
    NULL::text AS worker, h.reason, NULL::text AS blocked_on, NULL::text AS cancel, h.spec,
    attempts_of(h.whole)::text AS attempts, h.failures::text AS failures, h.detail ->> 'progress' AS progress,
    (h.detail -> 'logs')::text AS logs, h.result, h.payload
  FROM page h) f;
    GET DIAGNOSTICS v_found = ROW_COUNT;
    IF v_found < p_limit THEN
      RETURN QUERY SELECT NULL::uuid, e.id, NULL::json FROM (SELECT id FROM history x WHERE id BETWEEN p_low AND p_high AND state = 6
        AND reason BETWEEN p_dead AND p_dead
        ORDER BY reason DESC, id DESC OFFSET p_looked - 1 LIMIT 1) e;
    END IF;
  ELSE 
    RETURN QUERY WITH page AS MATERIALIZED (
      SELECT * FROM (SELECT x.*, x AS whole FROM history x WHERE id BETWEEN p_low AND p_high AND state = 6
        AND reason BETWEEN p_dead AND p_dead
        ORDER BY reason ASC, id ASC LIMIT p_looked) h WHERE (p_states IS NULL OR h.state = ANY (p_states))
        AND (p_tag IS NULL OR h.tag = p_tag)
        AND (p_queue IS NULL OR h.queue = p_queue)
        AND (p_error IS NULL OR h.failures -> -1 ->> 'tag' = p_error)
        AND (p_label IS NULL OR h.spec::jsonb -> 'tags' ? p_label)
        AND (p_flow IS NULL OR h.spec::json ->> 'flowId' = p_flow)
        AND (p_parent IS NULL OR h.spec::json ->> 'parent' = p_parent)
        AND (p_key IS NULL OR h.key = p_key)
        AND (p_from IS NULL OR h.enqueued_at >= p_from)
        AND (p_before IS NULL OR h.enqueued_at < p_before)
        AND (p_dead IS NULL OR h.reason = p_dead) AND (h.expires_at IS NULL OR h.expires_at > v_now) LIMIT p_limit
    )
    SELECT f.id, NULL::uuid, row_to_json(f) FROM (
  SELECT h.id, h.state::int AS state, h.finished_at::float8 AS at, h.enqueued_at::float8 AS enqueued_at,
    NULL::float8 AS expire_at, h.fence, h.attempt, h.version,
    h.priority::int AS priority, h.crashes::int AS crashes, h.flags::int AS flags, h.queue, h.tag, h.key,
    NULL::text AS worker, h.reason, NULL::text AS blocked_on, NULL::text AS cancel, h.spec,
    attempts_of(h.whole)::text AS attempts, h.failures::text AS failures, h.detail ->> 'progress' AS progress,
    (h.detail -> 'logs')::text AS logs, h.result, h.payload
  FROM page h) f;
    GET DIAGNOSTICS v_found = ROW_COUNT;
    IF v_found < p_limit THEN
      RETURN QUERY SELECT NULL::uuid, e.id, NULL::json FROM (SELECT id FROM history x WHERE id BETWEEN p_low AND p_high AND state = 6
        AND reason BETWEEN p_dead AND p_dead
        ORDER BY reason ASC, id ASC OFFSET p_looked - 1 LIMIT 1) e;
    END IF;
  END IF;
  END IF;
END $function$;

CREATE OR REPLACE FUNCTION pause(p_queue text, p_paused boolean)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
BEGIN
  IF NOT p_paused AND NOT EXISTS (SELECT FROM queue WHERE name = p_queue) THEN RETURN false; END IF;
  INSERT INTO queue AS q (name, paused) VALUES (p_queue, p_paused)
    ON CONFLICT (name) DO UPDATE SET paused = excluded.paused WHERE q.paused <> excluded.paused;
  IF NOT FOUND THEN RETURN false; END IF;
  IF NOT p_paused THEN PERFORM wake(p_queue, clock(), NULL); END IF;
  RETURN true;
END $function$;

CREATE OR REPLACE FUNCTION promote(p_queue text, p_now bigint, p_count integer)
 RETURNS bigint
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_count int;
  v_keyed uuid[];
  v_names text[];
  v_free text[];
  v_away text[] := '{}';
  v_id uuid;
  r record;
BEGIN
  WITH due AS MATERIALIZED (
    SELECT id FROM record WHERE queue = p_queue AND lane = 2 AND due <= p_now
    ORDER BY due, place LIMIT p_count FOR UPDATE SKIP LOCKED
  ), turns AS MATERIALIZED (SELECT id, nextval('place') AS place FROM due),
  moved AS (
    UPDATE record q SET state = 0, lane = CASE WHEN q.crashes > 0 OR q.flags & 16 = 16 THEN 1 ELSE 0 END, due = NULL,
      place = t.place, ready_at = q.due, at = p_now
    FROM turns t WHERE q.id = t.id AND q.key IS NULL AND q.state = 2 RETURNING q.id
  ), counted AS (
    INSERT INTO delta (queue, scheduled, ready) SELECT p_queue, -count(*), count(*) FROM moved HAVING count(*) > 0
  )
  SELECT count(*), array_agg(t.id ORDER BY t.place) FILTER (WHERE t.id NOT IN (SELECT id FROM moved))
    INTO v_count, v_keyed FROM turns t;
  v_names := ARRAY(SELECT DISTINCT key FROM record WHERE id = ANY (v_keyed) AND key IS NOT NULL);
  IF v_names <> '{}' THEN
    v_free := ARRAY(SELECT name FROM key WHERE name = ANY (v_names) FOR UPDATE SKIP LOCKED);
  v_away := ARRAY(SELECT name FROM key WHERE name = ANY (v_names) AND name <> ALL (v_free));
  END IF;
  FOREACH v_id IN ARRAY coalesce(v_keyed, '{}') LOOP
    SELECT * INTO r FROM record WHERE id = v_id;
    CONTINUE WHEN r.key = ANY (v_away);
    PERFORM let_run(r, p_now, p_now, false);
  END LOOP;
  RETURN least(
    CASE WHEN EXISTS (SELECT FROM record WHERE queue = p_queue AND lane = 2 AND due <= p_now) THEN
      p_now + CASE WHEN v_away <> '{}' THEN 20 WHEN v_count < p_count THEN 200 ELSE 0 END END,
    (SELECT due FROM record WHERE queue = p_queue AND lane = 2 AND due > p_now ORDER BY due, place LIMIT 1));
END $function$;

CREATE OR REPLACE FUNCTION put(r record)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
DECLARE
  was record;
BEGIN
  SELECT * INTO was FROM record WHERE id = r.id;
  UPDATE record SET
    place = r.place, turn = r.turn, at = r.at, ready_at = r.ready_at, begun_at = r.begun_at, expire_at = r.expire_at,
    worker = r.worker, fence = r.fence, settled = r.settled, attempt = r.attempt, version = r.version,
    key_limit = r.key_limit, state = r.state, priority = r.priority, crashes = r.crashes,
    flags = r.flags, key = r.key, reason = r.reason, blocked_on = r.blocked_on, retention = r.retention, spec = r.spec,
    attempts = r.attempts, failures = r.failures, payload = r.payload,
    lane = CASE WHEN r.state = 3 AND r.flags & 64 = 64 THEN 2 WHEN r.state >= 2 THEN r.state WHEN r.crashes > 0 OR r.flags & 528 <> 0 THEN 1 ELSE 0 END, due = CASE WHEN r.state = 2 OR r.state = 3 AND r.flags & 64 = 64 THEN r.at END, expires = CASE WHEN r.state <> 1 THEN r.expire_at END
  WHERE id = r.id;
  IF was.state <> r.state OR was.reason IS DISTINCT FROM r.reason THEN
    PERFORM count_move(r.queue, was.state, was.reason, r.state, r.reason);
  END IF;
END $function$;

CREATE OR REPLACE FUNCTION put_schedule(p_name text, p_revision bigint, p_removed boolean, p_next bigint, p_attend bigint, p_body text)
 RETURNS boolean
 LANGUAGE plpgsql
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_material TO 'off'
 SET jit TO 'off'
AS $function$
BEGIN
  IF p_removed THEN
    DELETE FROM schedule WHERE name = p_name AND revision = p_revision;
  ELSIF p_revision = 0 THEN
    INSERT INTO schedule (name, revision, next_at, attend_at, body) VALUES (p_name, 1, p_next, p_attend, p_body)
      ON CONFLICT (name) DO NOTHING;
  ELSE
    UPDATE schedule SET revision = revision + 1, next_at = p_next, attend_at = p_attend, body = p_body
      WHERE name = p_name AND revision = p_revision;
  END IF;
  RETURN FOUND;
END $function$;

CREATE OR REPLACE FUNCTION queue_room(p_queue text, p_now bigint, OUT o_room integer, OUT o_opens bigint)
 RETURNS record
 LANGUAGE plpgsql
AS $function$
DECLARE
  l limits;
BEGIN
  o_room := 1000000;
  SELECT * INTO l FROM limits WHERE name = p_queue FOR UPDATE SKIP LOCKED;
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
    DELETE FROM started t WHERE t.queue = p_queue AND (
      SELECT true FROM record r WHERE r.id = t.id AND r.state = 1) IS NULL;
    o_room := greatest(0, l.concurrency - (SELECT count(*) FROM started WHERE queue = p_queue));
    -- Whoever ends one of them looks for the next; this is for when that one does not.
    IF o_room = 0 THEN o_opens := p_now + 250; END IF;
  END IF;
  IF l.gap IS NOT NULL AND o_room > 0 THEN
    o_room := least(o_room, greatest(0, floor(l.burst + (p_now - greatest(least(l.full_at, p_now + l.burst * l.gap + 1000.9), p_now) + 0.901) / l.gap)));
    IF o_room = 0 THEN o_opens := ceil(least(l.full_at, p_now + l.burst * l.gap + 1000.9) - (l.burst - (1)) * l.gap - 0.9)::bigint; END IF;
  END IF;
END $function$;

CREATE OR REPLACE FUNCTION queue_starts(p_queue text, p_ids uuid[], p_now bigint)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
  INSERT INTO started (queue, id)
    SELECT p_queue, id FROM unnest(p_ids) AS u(id) WHERE (SELECT concurrency FROM limits WHERE name = p_queue) IS NOT NULL
    ON CONFLICT DO NOTHING;
  UPDATE limits l SET full_at = greatest(least(l.full_at, p_now + l.burst * l.gap + 1000.9), p_now) + cardinality(p_ids) * l.gap WHERE l.name = p_queue AND l.gap IS NOT NULL;
END $function$;

CREATE OR REPLACE FUNCTION read_one(p_id uuid)
 RETURNS json
 LANGUAGE plpgsql
 STABLE
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_material TO 'off'
 SET jit TO 'off'
AS $function$
BEGIN
  RETURN (SELECT row_to_json(f) FROM (
    SELECT o.*, CASE WHEN o.state > 4 THEN (SELECT h.detail -> 'checkpoints' FROM history h WHERE h.id = p_id AND (h.expires_at IS NULL OR h.expires_at > clock()) LIMIT 1)
      WHEN o.state < 4 AND o.flags & 2 = 2 THEN checkpoints_of(p_id) END AS checkpoints
    FROM (
  SELECT r.id, r.state::int AS state, r.at::float8 AS at, r.enqueued_at::float8 AS enqueued_at,
    CASE WHEN r.attempt = 0 AND r.flags & 4 = 0 THEN r.expire_at END::float8 AS expire_at, r.fence, r.attempt, r.version,
    r.priority::int AS priority, r.crashes::int AS crashes, r.flags::int AS flags, r.queue, r.tag, r.key,
    (SELECT w.id FROM worker w WHERE w.num = r.worker) AS worker, r.reason, r.blocked_on,
    (SELECT c.reason FROM cancel c WHERE c.id = r.id) AS cancel, r.spec, r.attempts::text AS attempts,
    r.failures::text AS failures, d.progress, d.logs::text AS logs, NULL::text AS result, r.payload
  FROM record r LEFT JOIN LATERAL (SELECT progress, logs FROM detail WHERE id = r.id LIMIT 1) d ON true WHERE r.id = p_id UNION ALL 
  SELECT h.id, h.state::int AS state, h.finished_at::float8 AS at, h.enqueued_at::float8 AS enqueued_at,
    NULL::float8 AS expire_at, h.fence, h.attempt, h.version,
    h.priority::int AS priority, h.crashes::int AS crashes, h.flags::int AS flags, h.queue, h.tag, h.key,
    NULL::text AS worker, h.reason, NULL::text AS blocked_on, NULL::text AS cancel, h.spec,
    attempts_of(h)::text AS attempts, h.failures::text AS failures, h.detail ->> 'progress' AS progress,
    (h.detail -> 'logs')::text AS logs, h.result, h.payload
  FROM history h WHERE h.id = p_id AND (h.expires_at IS NULL OR h.expires_at > clock()) LIMIT 1) o) f);
END $function$;

CREATE OR REPLACE FUNCTION ready_ids(p_queue text, p_many integer)
 RETURNS uuid[]
 LANGUAGE plpgsql
 STABLE
AS $function$
BEGIN
  IF p_queue IS NULL THEN RETURN ARRAY((SELECT x.id FROM record x WHERE lane = 0 AND true ORDER BY queue, priority, turn, place LIMIT p_many + 1) UNION ALL (SELECT x.id FROM record x WHERE lane = 1 AND true ORDER BY queue, priority, turn, place LIMIT p_many + 1)); END IF;
  RETURN ARRAY((SELECT x.id FROM record x WHERE lane = 0 AND queue BETWEEN p_queue AND p_queue ORDER BY queue, priority, turn, place LIMIT p_many + 1) UNION ALL (SELECT x.id FROM record x WHERE lane = 1 AND queue BETWEEN p_queue AND p_queue ORDER BY queue, priority, turn, place LIMIT p_many + 1));
END $function$;

CREATE OR REPLACE FUNCTION register(p_worker text, p_lease bigint, p_queues text[], p_handles jsonb, p_ids uuid[], p_fences integer[], p_older bigint, p_process text)
 RETURNS json
 LANGUAGE plpgsql
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_material TO 'off'
 SET jit TO 'off'
AS $function$
DECLARE
  v_reply json := renew(p_worker, p_lease, p_queues, p_handles, p_ids, p_fences, p_older);
  v_num int := (SELECT num FROM worker WHERE id = p_worker);
BEGIN
  IF v_num IS NULL OR p_process IS NOT DISTINCT FROM (SELECT told FROM process WHERE worker = v_num) THEN
    RETURN v_reply;
  END IF;
  DELETE FROM process WHERE worker IN (
    SELECT p.worker FROM process p
    WHERE p.worker = v_num OR NOT EXISTS (SELECT FROM worker k WHERE k.num = p.worker) FOR UPDATE SKIP LOCKED);
  IF p_process IS NOT NULL THEN INSERT INTO process (worker, told) VALUES (v_num, p_process); END IF;
  RETURN v_reply;
END $function$;

CREATE OR REPLACE FUNCTION release_unique(p_id uuid, p_now bigint)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_id uuid;
  r record;
BEGIN
  FOR v_id IN SELECT id FROM record WHERE blocked_on = p_id::text AND lane = 3 AND reason = 'Unique' LOOP
    SELECT * INTO r FROM record WHERE id = v_id AND lane = 3 AND reason = 'Unique' FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
      PERFORM look_again(v_id, NULL, p_now);
    ELSIF r.flags & 2048 = 2048 THEN
      r.reason := 'Dependencies';
      r.blocked_on := NULL;
      PERFORM put(r);
      PERFORM advance(v_id, p_now, true);
    ELSE
      PERFORM let_run(r, r.at, p_now, false);
    END IF;
  END LOOP;
END $function$;

CREATE OR REPLACE FUNCTION renew(p_worker text, p_lease bigint, p_queues text[], p_handles jsonb, p_ids uuid[], p_fences integer[], p_older bigint)
 RETURNS json
 LANGUAGE plpgsql
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_material TO 'off'
 SET jit TO 'off'
AS $function$
DECLARE
  v_now bigint := clock();
  w worker;
  v_reconciled int;
  v_unparked int := 0;
  v_running uuid[];
  v_lost json;
BEGIN
  INSERT INTO worker AS k (id, lease_until, queues, handles, ended)
    VALUES (p_worker, v_now + p_lease, p_queues, p_handles, p_lease = 0)
    ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until, ended = false,
      queues = excluded.queues, handles = excluded.handles,
      wakes_until = CASE WHEN k.wakes_until > 0 AND cardinality(p_ids) = 0
        THEN greatest(k.wakes_until, v_now + p_lease) ELSE k.wakes_until END
    RETURNING * INTO w;
  SELECT json_agg(json_build_object('id', g.id, 'fence', g.fence)) INTO v_lost
    FROM unnest(p_ids, p_fences) AS g(id, fence)
    -- Who has this fence runs it. Another condition would let the planner read all that runs here for each of them.
    WHERE NOT EXISTS (SELECT FROM record q WHERE q.id = g.id AND q.fence = g.fence);
  v_running := running(w.num, true);
  v_reconciled := give_back(w.num, v_running, p_ids, p_fences, p_older, v_now);
  IF w.handles <> '[]' THEN v_unparked := unpark(w.handles, v_now); END IF;
  -- A worker that leaves renews with no lease and holds nothing.
  IF p_lease = 0 AND NOT EXISTS (
    SELECT FROM record WHERE id = ANY (v_running) AND worker = w.num) THEN
    DELETE FROM worker WHERE num = w.num;
  END IF;
  RETURN json_build_object(
    'now', v_now,
    'lost', coalesce(v_lost, '[]'),
    -- All of them, each time: a reply that told one may have been lost.
    'cancel', (SELECT coalesce(json_agg(json_build_object('id', q.id, 'fence', q.fence, 'reason', c.reason)), '[]')
      FROM cancel c JOIN record q ON q.id = c.id WHERE q.worker = w.num),
    'reconciled', v_reconciled,
    'unparked', v_unparked,
    'maintainIn', maintain_in(v_now));
END $function$;

CREATE OR REPLACE FUNCTION reopen(p_id uuid, p_now bigint, p_transaction boolean)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_again uuid[] := ARRAY[p_id];
  d dependency;
  r record;
  h history;
  i int := 1;
BEGIN
  WHILE i <= cardinality(v_again) LOOP
    FOR d IN SELECT * FROM dependency WHERE parent = v_again[i] AND state IS NOT NULL AND on_failure < 4
      ORDER BY child LOOP
      r := lock_resting(d.child, true);
      IF r.id IS NULL THEN
        -- It runs, or whoever has it locked claims it: then it has begun. Or it has ended.
        SELECT * INTO h FROM history WHERE id = d.child AND (expires_at IS NULL OR expires_at > p_now) FOR UPDATE;
        IF NOT FOUND OR d.on_failure = 3 THEN CONTINUE; END IF;
        UPDATE dependency SET state = NULL, value = NULL
          WHERE child = d.child AND parent = d.parent AND name = d.name;
        IF h.state = 6 AND h.reason = 'DependencyFailed' AND NOT is_broken(d.child)
          AND begin_again(h, NULL, NULL, NULL, p_now, p_transaction) THEN
          v_again := v_again || d.child;
        END IF;
        CONTINUE;
      END IF;
      IF d.on_failure = 3 AND r.state <> 1 THEN
        -- Who left it behind names it again where it still waits for it; whoever runs finds it live when it does.
        UPDATE dependency SET state = NULL, value = NULL
          WHERE child = d.child AND parent = d.parent AND name = d.name;
        CONTINUE;
      END IF;
      IF r.state = 1 OR r.state <> 3 AND (r.attempt > 0 OR r.flags & 4 = 4)
        OR r.state = 3 AND r.reason IN ('Waitpoint', 'NoHandler', 'NewerPayload')
        OR r.state = 3 AND r.reason = 'Children'
        OR r.state = 3 AND r.reason = 'ConcurrencyKey' AND (r.attempt > 0 OR r.flags & 4 = 4) THEN
        CONTINUE;
      END IF;
      UPDATE dependency SET state = NULL, value = NULL
        WHERE child = d.child AND parent = d.parent AND name = d.name;
      IF r.state = 3 AND r.reason <> 'ConcurrencyKey' THEN CONTINUE; END IF;
      r.fence := r.fence + 1;
      IF r.flags & 8 = 8 THEN INSERT INTO agenda (key, frees) VALUES (r.key, true); END IF;
      r.flags := r.flags & ~8;
      -- When it is due, from then on.
      IF r.state <> 2 THEN r.at := p_now; END IF;
      r.state := 3;
      r.reason := 'Dependencies';
      r.blocked_on := NULL;
      PERFORM put(r);
    END LOOP;
    i := i + 1;
  END LOOP;
END $function$;

CREATE OR REPLACE FUNCTION replace(p_id uuid, n record, p_contents boolean, p_due bigint, p_now bigint, p_transaction boolean)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
DECLARE
  r record;
BEGIN
  BEGIN
    SELECT * INTO r FROM record WHERE id = p_id AND state <> 1 AND attempt = 0 FOR UPDATE;
    IF NOT FOUND THEN RAISE EXCEPTION USING ERRCODE = 'CAP02'; END IF;
  -- Of one that was claimed meanwhile the lock goes with it: see `lock_resting`.
  EXCEPTION WHEN SQLSTATE 'CAP02' THEN RETURN false;
  END;
  r.fence := r.fence + 1;
  IF p_contents THEN
    IF r.key IS DISTINCT FROM n.key AND r.flags & 8 = 8 THEN
      IF p_transaction THEN
        INSERT INTO agenda (key, frees) VALUES (r.key, true);
      ELSE
        PERFORM free_slots(ARRAY[r.key], p_now);
      END IF;
      r.flags := r.flags & ~8;
    END IF;
    r.payload := n.payload;
    r.version := n.version;
    r.spec := n.spec;
    r.retention := n.retention;
    r.priority := n.priority;
    r.key := n.key;
    r.key_limit := n.key_limit;
  END IF;
  IF p_contents THEN UPDATE record SET listens = n.listens WHERE id = p_id AND listens IS DISTINCT FROM n.listens; END IF;
  r.flags := r.flags | (n.flags & 32);
  r.expire_at := p_due + (r.spec::json ->> 'startBefore')::bigint;
  IF r.state = 3 AND r.reason <> 'ConcurrencyKey' THEN
    r.at := greatest(p_due, p_now);
    PERFORM put(r);
  ELSE
    PERFORM let_run(r, p_due, p_now, r.state <> 2, p_transaction);
  END IF;
  RETURN true;
END $function$;

CREATE OR REPLACE FUNCTION rescue_from(w worker, p_max_crashes integer, p_now bigint)
 RETURNS integer[]
 LANGUAGE plpgsql
AS $function$
DECLARE
  r record;
  v_running uuid[] := running(w.num, false);
  v_suspect uuid;
  v_charged boolean;
  v_crashes int;
  v_cancel text;
  v_rescued int := 0;
  v_quarantined int := 0;
BEGIN
  SELECT id INTO v_suspect FROM record WHERE id = ANY (v_running) AND worker = w.num AND crashes > 0 LIMIT 1;
  -- Of what was left before, the one that was to blame is gone.
  IF v_suspect IS NULL AND w.ended THEN v_suspect := w.suspect; END IF;
  FOR r IN SELECT * FROM record WHERE id = ANY (v_running) AND worker = w.num ORDER BY place FOR UPDATE SKIP LOCKED LOOP
    v_charged := v_suspect IS NULL OR r.id = v_suspect;
    SELECT reason INTO v_cancel FROM cancel WHERE id = r.id;
    IF NOT FOUND THEN v_cancel := NULL; END IF;
    v_crashes := r.crashes + (v_charged AND v_cancel IS NULL)::int;
    r := end_attempt(r, 'crashed', p_now,
      CASE WHEN v_charged THEN '{"kind":"Crashed","message":"its worker''s lease ended"}'::jsonb END, NULL);
    r.crashes := v_crashes;
    IF v_cancel IS NOT NULL AND NOT must_undo(r, 'Cancel', v_cancel) THEN
      PERFORM finish(r, 5, v_cancel, NULL, p_now);
    ELSIF v_crashes >= p_max_crashes AND (is_ending(r) OR NOT must_undo(r, 'Dead', 'Crashed')) THEN
      PERFORM bury(r, 'Crashed', p_now);
      v_quarantined := v_quarantined + 1;
      CONTINUE;
    ELSE
      PERFORM let_run(r, p_now, p_now, true);
    END IF;
    v_rescued := v_rescued + 1;
  END LOOP;
  INSERT INTO claimed (worker, num, ids)
    SELECT w.num, 0, array_agg(id) FROM record WHERE id = ANY (v_running) AND worker = w.num HAVING count(*) > 0;
  UPDATE worker SET ended = true, suspect = v_suspect WHERE num = w.num;
  RETURN ARRAY[v_rescued, v_quarantined];
END $function$;

CREATE OR REPLACE FUNCTION results(p_ids uuid[])
 RETURNS TABLE(id uuid, state integer, reason text, result text, failure text, progress text)
 LANGUAGE plpgsql
 STABLE
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_material TO 'off'
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
BEGIN
  RETURN QUERY 
  SELECT r.id, r.state::int AS state, NULL::text AS reason, NULL::text AS result, NULL::text AS failure,
    (SELECT d.progress FROM detail d WHERE d.id = r.id) AS progress
  FROM record r WHERE r.id = ANY (p_ids)
  UNION ALL
  SELECT h.id, h.state::int, h.reason, h.result, (h.failures -> -1)::text, h.detail ->> 'progress'
  FROM history h WHERE h.id = ANY (p_ids) AND (h.expires_at IS NULL OR h.expires_at > clock());
END $function$;

CREATE OR REPLACE FUNCTION running(p_num integer, p_keeps boolean)
 RETURNS uuid[]
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_ids uuid[];
BEGIN
  WITH gone AS (
    DELETE FROM claimed WHERE worker = p_num RETURNING ids
  )
  SELECT array_agg(DISTINCT r.id) INTO v_ids
    FROM gone, unnest(gone.ids) AS u(id) JOIN record r ON r.id = u.id AND r.worker = p_num;
  IF p_keeps AND v_ids IS NOT NULL THEN
    INSERT INTO claimed (worker, num, ids) VALUES (p_num, 0, v_ids);
  END IF;
  RETURN coalesce(v_ids, '{}');
END $function$;

CREATE OR REPLACE FUNCTION settle_one(x json, p_now bigint)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
DECLARE
  r record;
  v_outcome text := x ->> 'outcome';
  v_ended bigint;
  v_cancel text;
  v_child uuid;
  v_waits boolean := false;
  -- What is to be undone waits for nothing: a request to cancel it is over, and nobody could ask for it again.
  v_undoes boolean := false;
  -- Their ends let no record run that waits for a signal. It finds them when that comes, which may be after they are gone.
  v_awaits boolean := v_outcome = 'WaitForChildren' OR v_outcome = 'WaitFor' AND x -> 'children' IS NOT NULL;
  v_attempt int;
  v_before jsonb;
  c json;
BEGIN
  SELECT * INTO r FROM record WHERE id = (x ->> 'id')::uuid AND fence = (x ->> 'fence')::int FOR UPDATE;
  IF NOT FOUND THEN
    RETURN CASE WHEN is_settled((x ->> 'id')::uuid, (x ->> 'fence')::int) THEN 'Done' ELSE 'LeaseLost' END;
  END IF;
  v_ended := least(p_now, r.at + (x ->> 'after')::bigint);
  v_attempt := r.attempt;
  IF v_outcome NOT IN ('Complete', 'Dead', 'Cancel') THEN
    SELECT reason INTO v_cancel FROM cancel WHERE id = r.id;
    IF v_cancel IS NOT NULL AND must_undo(r, 'Cancel', v_cancel) THEN
      v_cancel := NULL;
      v_undoes := true;
    END IF;
  END IF;
  r.settled := r.fence;
  r := end_attempt(r,
    CASE WHEN v_cancel IS NOT NULL THEN 'cancelled' ELSE CASE v_outcome
      WHEN 'Complete' THEN 'completed' WHEN 'RetryAfter' THEN 'retried' WHEN 'SnoozeFor' THEN 'snoozed'
      WHEN 'WaitFor' THEN 'waiting' WHEN 'WaitForChildren' THEN 'waiting' WHEN 'Cancel' THEN 'cancelled'
      WHEN 'Dead' THEN 'dead' WHEN 'Release' THEN 'released' ELSE 'parked' END END,
    v_ended, (x -> 'failure')::jsonb, x ->> 'trace');

  IF v_awaits AND r.flags & 2048 = 2048 THEN
    -- Children of a life before, which somebody cut short, or that were waited for no longer than until an instant; and
    -- those of whom each has ended, and was let run again by somebody while this one ran.
    DELETE FROM dependency d WHERE d.child = r.id AND d.on_failure >= 3 AND (d.state IS NULL OR d.parent IN (
      SELECT a.id FROM json_array_elements(x -> 'children') e JOIN record a ON a.id = (e ->> 'id')::uuid));
    -- What waits for some children alone is done with the others.
    IF v_outcome = 'WaitForChildren' THEN
      UPDATE dependency d SET on_failure = 7 - d.on_failure WHERE d.child = r.id AND d.on_failure >= 3
        AND (d.on_failure = 3) <> (d.parent IN (SELECT (e ->> 'id')::uuid FROM json_array_elements(x -> 'children') e));
    END IF;
  END IF;
  IF x -> 'children' IS NOT NULL THEN
    v_before := stored_before(ARRAY(
      SELECT (e ->> 'id')::uuid FROM json_array_elements(x -> 'children') e WHERE e -> 'again' IS NOT NULL));
  END IF;
  FOR c IN SELECT e FROM json_array_elements(coalesce(x -> 'children', '[]')) e LOOP
    -- It has ended while this one ran, and may be gone: how is known.
    CONTINUE WHEN v_awaits AND r.flags & 2048 = 2048 AND EXISTS (
      SELECT FROM dependency WHERE child = r.id AND parent = (c ->> 'id')::uuid AND on_failure >= 3 AND state IS NOT NULL);
    v_child := coalesce((v_before ->> (c ->> 'id')::uuid::text)::uuid, enqueue_or_defer(c, p_now));
    IF v_awaits AND v_cancel IS NULL AND wait_for(r.id, v_child, p_now) THEN
      v_waits := true;
      r.flags := r.flags | 2048;
    END IF;
  END LOOP;

  IF r.flags & 512 = 512 AND (x -> 'failure') IS NOT NULL
    AND (v_outcome = 'Dead' OR v_outcome = 'RetryAfter' AND (x ->> 'uncharged') IS NULL) THEN
    PERFORM key_failed(r.key, p_now);
  END IF;
  IF v_cancel IS NOT NULL THEN
    PERFORM finish(r, 5, v_cancel, NULL, p_now);
    RETURN 'Done';
  END IF;
  CASE v_outcome
  WHEN 'Complete' THEN
    PERFORM finish(r, 4, NULL, x ->> 'result', p_now);
  WHEN 'RetryAfter' THEN
    IF (x ->> 'uncharged')::boolean THEN r.attempt := r.attempt - 1; END IF;
    PERFORM let_run(r, CASE WHEN v_undoes THEN p_now ELSE p_now + (x ->> 'delay')::bigint END, p_now, false);
    r.attempt := v_attempt;
    PERFORM tell('retried', r, x -> 'failure' ->> 'tag', p_now);
  WHEN 'SnoozeFor' THEN
    r.attempt := r.attempt - 1;
    IF x ->> 'closes' = 'queue' OR x ->> 'closes' = 'key' AND r.flags & 512 = 512 THEN
      PERFORM close_limit(r, x ->> 'closes', p_now + (x ->> 'delay')::bigint, p_now);
      IF x ->> 'closes' = 'key' THEN r.flags := r.flags & ~8; END IF;
      PERFORM let_run(r, p_now, p_now, true);
    ELSE
      PERFORM let_run(r, CASE WHEN v_undoes THEN p_now ELSE p_now + (x ->> 'delay')::bigint END, p_now, false);
    END IF;
    PERFORM tell('snoozed', r, x -> 'failure' ->> 'tag', p_now);
  WHEN 'WaitFor' THEN
    r.attempt := r.attempt - 1;
    IF v_undoes OR EXISTS (SELECT FROM checkpoint WHERE id = r.id AND name = x ->> 'waitpoint') THEN
      PERFORM let_run(r, p_now, p_now, false);
    ELSE
      PERFORM block(r, 'Waitpoint', x ->> 'waitpoint', p_now, p_now + (x ->> 'delay')::bigint);
    END IF;
  WHEN 'WaitForChildren' THEN
    r.attempt := r.attempt - 1;
    r.at := p_now;
    IF v_undoes OR NOT v_waits THEN
      PERFORM let_run(r, p_now, p_now, false);
    ELSE
      PERFORM block(r, 'Children', NULL, p_now, p_now + (x ->> 'delay')::bigint);
    END IF;
  WHEN 'Cancel' THEN
    PERFORM finish(r, 5, x ->> 'reason', NULL, p_now);
  WHEN 'Dead' THEN
    PERFORM finish(r, 6, x ->> 'reason', NULL, p_now);
  WHEN 'Release' THEN
    r.attempt := r.attempt - 1;
    PERFORM let_run(r, p_now, p_now, true);
  WHEN 'Park' THEN
    r.attempt := r.attempt - 1;
    PERFORM block(r, x ->> 'reason', r.tag || '@' || r.version, p_now);
    -- Who has the handler is not known.
    PERFORM wake(r.queue, p_now, NULL);
  END CASE;
  RETURN 'Done';
END $function$;

CREATE OR REPLACE FUNCTION signal(p_id uuid, p_waitpoint text, p_value text, p_transaction boolean)
 RETURNS text
 LANGUAGE plpgsql
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_material TO 'off'
 SET jit TO 'off'
AS $function$
DECLARE
  v_now bigint := clock();
  r record;
  v_waits boolean;
BEGIN
  IF p_transaction THEN
    SELECT * INTO r FROM record WHERE id = p_id;
  ELSE
    SELECT * INTO r FROM record WHERE id = p_id FOR UPDATE;
  END IF;
  IF NOT FOUND THEN RETURN 'NotFound'; END IF;
  v_waits := r.state = 3 AND r.reason = 'Waitpoint' AND r.blocked_on = p_waitpoint;
  IF p_transaction THEN
    -- Its attempt may be about to settle, and must not wait for a row that this transaction writes.
    IF EXISTS (SELECT FROM checkpoint WHERE id = p_id AND name = p_waitpoint) THEN RETURN 'Existing'; END IF;
    INSERT INTO agenda (id, waitpoint, value) VALUES (p_id, p_waitpoint, p_value);
    PERFORM wake(r.queue, -1, 1);
    RETURN CASE WHEN v_waits THEN 'Delivered' ELSE 'Early' END;
  END IF;
  INSERT INTO checkpoint (id, name, value) VALUES (p_id, p_waitpoint, p_value)
    ON CONFLICT (id, name) DO NOTHING;
  IF NOT FOUND THEN RETURN 'Existing'; END IF;
  r.flags := r.flags | 2;
  IF v_waits THEN
    PERFORM let_run(r, v_now, v_now, false);
    RETURN 'Delivered';
  END IF;
  PERFORM put(r);
  RETURN 'Early';
END $function$;

CREATE OR REPLACE FUNCTION start_keys(p_keys text[], p_counts integer[], p_now bigint)
 RETURNS jsonb
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_tight text[];
  v_locked text[];
  v_starts jsonb;
  v_counts jsonb;
  v_full jsonb;
  v_refused jsonb;
BEGIN
  SELECT array_agg(k.name) INTO v_tight FROM unnest(p_keys) AS g(name)
    CROSS JOIN LATERAL (SELECT * FROM key WHERE name = g.name LIMIT 1) k
    LEFT JOIN LATERAL (SELECT * FROM limits
      WHERE k.name >= '@' AND k.name < 'A' AND name = split_part(k.name, '/', 1) AND (release >= 0 OR override IS NOT NULL) LIMIT 1) l ON true
    WHERE l.gap IS NOT NULL OR p_now < k.closed_until OR k.held > CASE WHEN l.name IS NULL THEN k.lim WHEN k.failed >= l.trips THEN least(1, l.concurrency) ELSE l.concurrency END;
  IF v_tight IS NULL THEN RETURN NULL; END IF;
  v_locked := ARRAY(SELECT name FROM key WHERE name = ANY (v_tight) FOR UPDATE SKIP LOCKED);
  SELECT jsonb_object_agg(name, n) INTO v_counts FROM unnest(p_keys, p_counts) AS u(name, n);
  SELECT jsonb_object_agg(name, starts), jsonb_object_agg(name, full_at) FILTER (WHERE full_at IS NOT NULL),
      jsonb_object_agg(name, n - starts) FILTER (WHERE n > starts)
    INTO v_starts, v_full, v_refused
    FROM (
      SELECT k.name, g.n, m.starts, CASE WHEN l.gap IS NOT NULL THEN greatest(least(k.full_at, p_now + l.burst * l.gap + 1000.9), p_now) + m.starts * l.gap END AS full_at
      FROM (SELECT name, (v_counts ->> name)::int AS n FROM unnest(v_locked) AS u(name)) g
      CROSS JOIN LATERAL (SELECT * FROM key WHERE name = g.name LIMIT 1) k
      LEFT JOIN LATERAL (SELECT * FROM limits
      WHERE k.name >= '@' AND k.name < 'A' AND name = split_part(k.name, '/', 1) AND (release >= 0 OR override IS NOT NULL) LIMIT 1) l ON true
      CROSS JOIN LATERAL (SELECT CASE WHEN p_now < k.closed_until THEN 0 ELSE greatest(0, least(g.n,
        CASE WHEN l.gap IS NOT NULL THEN greatest(0, floor(l.burst + (p_now - greatest(least(k.full_at, p_now + l.burst * l.gap + 1000.9), p_now) + 0.901) / l.gap)) END,
        CASE WHEN k.held > CASE WHEN l.name IS NULL THEN k.lim WHEN k.failed >= l.trips THEN least(1, l.concurrency) ELSE l.concurrency END THEN CASE WHEN l.name IS NULL THEN k.lim WHEN k.failed >= l.trips THEN least(1, l.concurrency) ELSE l.concurrency END - (SELECT count(*) FROM record WHERE key = k.name AND key >= '@' AND key < 'A' AND lane = 1 AND state = 1) END)) END::int AS starts) m
    ) t;
  IF v_full IS NOT NULL OR v_refused IS NOT NULL THEN
    UPDATE key SET full_at = coalesce((v_full ->> name)::float8, full_at),
      held = held - coalesce((v_refused ->> name)::int, 0)
      WHERE name = ANY (v_locked);
  END IF;
  v_starts := coalesce(v_starts, '{}');
  IF cardinality(v_locked) < cardinality(v_tight) THEN
    v_starts := v_starts || (SELECT jsonb_object_agg(name, -1) FROM unnest(v_tight) AS u(name) WHERE NOT v_starts ? name);
  END IF;
  RETURN v_starts;
END $function$;

CREATE OR REPLACE FUNCTION stored_before(p_ids uuid[])
 RETURNS jsonb
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_live jsonb;
  v_rest uuid[];
BEGIN
  IF p_ids = '{}' THEN RETURN NULL; END IF;
  SELECT jsonb_object_agg(id, id) INTO v_live FROM record WHERE id = ANY (p_ids);
  v_rest := ARRAY(SELECT id FROM unnest(p_ids) AS g(id) WHERE v_live IS NULL OR NOT v_live ? id::text);
  IF v_rest = '{}' THEN RETURN v_live; END IF;
  RETURN nullif(coalesce(v_live, '{}') || (
    SELECT coalesce(jsonb_object_agg(id, owner), '{}') FROM (
      SELECT id, id AS owner FROM gone WHERE id = ANY (v_rest)
      -- In these words a lookup in a table of them, which the planner would turn into a join.
      UNION ALL SELECT u.id, CASE WHEN p.worker = -1 THEN p.ids[2] ELSE u.id END
        FROM spent p, unnest(p.ids) AS u(id) WHERE (u.id IN (SELECT unnest(v_rest))) IS TRUE) f), '{}');
END $function$;

CREATE OR REPLACE FUNCTION sum_counters()
 RETURNS void
 LANGUAGE sql
AS $function$
  WITH few AS (
    SELECT ctid FROM delta LIMIT 200000 FOR UPDATE SKIP LOCKED
  ), taken AS (
    DELETE FROM delta d USING few WHERE d.ctid = few.ctid RETURNING d.*
  )
  INSERT INTO counter AS c (
    part, queue, blocked, scheduled, ready, running, completed, cancelled, dead, parked)
  SELECT part, queue, sum(blocked), sum(scheduled), sum(ready), sum(running), sum(completed), sum(cancelled), sum(dead),
    sum(parked) FROM taken GROUP BY part, queue ORDER BY part, queue
  ON CONFLICT (queue, part) DO UPDATE SET
    blocked = c.blocked + excluded.blocked, scheduled = c.scheduled + excluded.scheduled,
    ready = c.ready + excluded.ready, running = c.running + excluded.running,
    completed = c.completed + excluded.completed, cancelled = c.cancelled + excluded.cancelled,
    dead = c.dead + excluded.dead, parked = c.parked + excluded.parked
$function$;

CREATE OR REPLACE FUNCTION sweep(p_now bigint, p_count integer)
 RETURNS integer
 LANGUAGE plpgsql
AS $function$
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
    EXECUTE format('SELECT EXISTS (SELECT FROM history_%s)', v_slot) INTO v_any;
    IF v_any THEN
      EXECUTE format('WITH few AS (
          UPDATE history_%1$s SET flags = 0 WHERE id IN (
            SELECT id FROM history_%1$s WHERE flags <> 0 ORDER BY id LIMIT %2$s FOR UPDATE SKIP LOCKED)
          RETURNING id, tag, spec
        ) SELECT count(*), array_agg(id), array_agg(tag), array_agg(spec) FROM few', v_slot, p_count)
        INTO v_found, v_ids, v_tags, v_specs;
      DELETE FROM dependency WHERE child = ANY (v_ids);
      PERFORM forget_keys(v_ids, v_tags, v_specs);
      IF v_found >= p_count THEN
        v_swept := p_count;
        CONTINUE;
      END IF;
      BEGIN
        SET LOCAL lock_timeout = '100ms';
        EXECUTE format('TRUNCATE history_%s', v_slot);
        -- What was counted with the finished records' class of the live ones stays.
        WITH deltas AS (
          DELETE FROM delta WHERE part = v_slot RETURNING queue, blocked, scheduled, ready, running, parked
        ), counters AS (
          DELETE FROM counter WHERE part = v_slot RETURNING queue, blocked, scheduled, ready, running, parked
        )
        INSERT INTO counter AS c (
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
      (SELECT tag, state, keep_count FROM history WHERE keep_count IS NOT NULL
        ORDER BY tag, state, keep_count LIMIT 1)
      UNION ALL
      SELECT n.* FROM kept, LATERAL (SELECT h.tag, h.state, h.keep_count FROM history h
        WHERE h.keep_count IS NOT NULL AND (h.tag, h.state, h.keep_count) > (kept.tag, kept.state, kept.keep_count)
        ORDER BY h.tag, h.state, h.keep_count LIMIT 1) n
    ) SELECT * FROM kept
  LOOP
    WITH old AS (
      SELECT id, part FROM history
      WHERE keep_count = k.keep_count AND tag = k.tag AND state = k.state
      ORDER BY finished_at DESC, id DESC OFFSET k.keep_count LIMIT p_count - v_swept
    ), free AS (
      SELECT h.id, h.part FROM old JOIN history h ON h.id = old.id AND h.part = old.part FOR UPDATE OF h SKIP LOCKED
    ), removed AS (
      DELETE FROM history h USING free WHERE h.id = free.id AND h.part = free.part
      RETURNING h.id, h.part, h.queue, h.state, h.tag, h.flags, h.spec
    ), counted AS (
      INSERT INTO delta (part, queue, completed, cancelled, dead)
      SELECT part, queue, -count(*) FILTER (WHERE state = 4), -count(*) FILTER (WHERE state = 5),
        -count(*) FILTER (WHERE state = 6) FROM removed GROUP BY part, queue
    )
    SELECT count(*), array_agg(id) FILTER (WHERE flags <> 0), array_agg(tag) FILTER (WHERE flags <> 0),
      array_agg(spec) FILTER (WHERE flags <> 0) INTO v_found, v_ids, v_tags, v_specs FROM removed;
    DELETE FROM dependency WHERE child = ANY (v_ids);
    PERFORM forget_keys(v_ids, v_tags, v_specs);
    v_swept := v_swept + v_found;
    EXIT WHEN v_swept >= p_count;
  END LOOP;
  RETURN v_swept;
END $function$;

CREATE OR REPLACE FUNCTION take_cancels(p_num integer)
 RETURNS json
 LANGUAGE sql
AS $function$
  WITH told AS (
    UPDATE cancel c SET told = true FROM record r
    WHERE r.id = c.id AND r.worker = p_num AND NOT c.told
    RETURNING r.id, r.fence, c.reason
  )
  SELECT coalesce(json_agg(told), '[]') FROM told
$function$;

CREATE OR REPLACE FUNCTION take_shared(p_key text, p_limit integer, p_now bigint)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
DECLARE
  v record;
BEGIN
  INSERT INTO key AS q (name, lim, held) VALUES (p_key, p_limit, 0)
    ON CONFLICT (name) DO UPDATE SET lim = excluded.lim;
  SELECT * INTO v FROM (SELECT k.name, k.held, (CASE WHEN p_now < k.closed_until THEN 0 ELSE least(1000, CASE WHEN l.name IS NULL THEN k.lim WHEN k.failed >= l.trips THEN least(1, l.concurrency) ELSE l.concurrency END - k.held,
        CASE WHEN l.gap IS NOT NULL THEN greatest(0, floor(l.burst + (p_now - greatest(least(k.full_at, p_now + l.burst * l.gap + 1000.9), p_now) + 0.901) / l.gap)) - k.ready END) END)::int AS room, (CASE WHEN k.held >= CASE WHEN l.name IS NULL THEN k.lim WHEN k.failed >= l.trips THEN least(1, l.concurrency) ELSE l.concurrency END OR l.gap IS NOT NULL AND k.ready >= floor(l.burst + 0.9 / l.gap) THEN NULL
        ELSE greatest(p_now, k.closed_until, CASE WHEN l.gap IS NOT NULL THEN ceil(least(k.full_at, p_now + l.burst * l.gap + 1000.9) - (l.burst - (k.ready + 1)) * l.gap - 0.9)::bigint END) END)::bigint AS opens
    FROM (SELECT DISTINCT unnest(ARRAY[p_key]) AS name) g
    CROSS JOIN LATERAL (SELECT * FROM key WHERE name = g.name LIMIT 1) q
    LEFT JOIN LATERAL (SELECT * FROM limits
      WHERE q.name >= '@' AND q.name < 'A' AND name = split_part(q.name, '/', 1) AND (release >= 0 OR override IS NOT NULL) LIMIT 1) l ON true
    CROSS JOIN LATERAL (SELECT q.name, q.lim, q.held + 0 AS held, q.full_at, q.closed_until, q.failed,
      CASE WHEN l.gap IS NULL THEN 0 ELSE (SELECT count(*) FROM record WHERE key = q.name AND key >= '@' AND key < 'A' AND lane = 1 AND state = 0) END AS ready) k) k;
  IF v.room > 0 THEN
    UPDATE key SET held = held + 1 WHERE name = p_key;
    RETURN true;
  END IF;
  UPDATE key SET opens_at = v.opens WHERE name = p_key;
  RETURN false;
END $function$;

CREATE OR REPLACE FUNCTION take_slot(p_key text, p_limit integer, p_now bigint)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
BEGIN
  IF p_key LIKE '@%' THEN RETURN take_shared(p_key, p_limit, p_now); END IF;
  INSERT INTO key AS k (name, lim, held) VALUES (p_key, p_limit, 1)
    ON CONFLICT (name) DO UPDATE SET lim = excluded.lim, held = k.held + 1 WHERE k.held < excluded.lim;
  IF FOUND THEN RETURN true; END IF;
  -- A limit that is lower than what runs holds from now on, for whoever ends.
  UPDATE key SET lim = p_limit WHERE name = p_key AND lim <> p_limit;
  RETURN false;
END $function$;

CREATE OR REPLACE FUNCTION take_unique(x json, r record, p_due bigint, p_now bigint, p_transaction boolean, OUT o_id uuid, OUT o_outcome text, OUT o_after uuid, OUT o_due bigint)
 RETURNS record
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_policy text := x ->> 'onConflict';
  v_lasts bigint := (x ->> 'window')::bigint;
  v_until bigint := CASE WHEN x ->> 'onConflict' = 'trailing'
    THEN greatest(p_now, coalesce((x ->> 'runAt')::bigint, p_now + (x ->> 'delay')::bigint)) ELSE p_now END
    + (x ->> 'window')::bigint;
  v_started boolean := coalesce((x ->> 'untilStarted')::boolean, false);
  u uniq;
  v_state int;
  v_lives boolean;
  v_waits boolean;
  v_at bigint;
  v_next uuid;
  v_target uuid;
BEGIN
  o_id := r.id;
  o_outcome := 'Inserted';
  INSERT INTO uniq AS q (tag, key, id, until, until_started, lasts)
    VALUES (r.tag, x ->> 'uniqueKey', r.id, v_until, v_started, v_lasts)
    ON CONFLICT (tag, key) DO UPDATE SET id = q.id RETURNING * INTO u;
  IF u.id = r.id THEN RETURN; END IF;
  LOOP
    SELECT holds(u, p_now), h.id IS NOT NULL, h.state <> 1 AND h.attempt = 0 AND h.flags & 4 = 0, h.at, n.id
      INTO v_state, v_lives, v_waits, v_at, v_next
      FROM (SELECT) one
      LEFT JOIN record h ON h.id = u.id
      LEFT JOIN record n ON n.id = u.successor AND n.lane = 3 AND n.reason = 'Unique';
    EXIT WHEN v_lives OR u.successor IS NULL;
    -- The holder has ended and its successor has the key; a window counts from when that could begin.
    u.id := u.successor;
    u.successor := NULL;
    u.until := u.lasts + coalesce((SELECT ready_at FROM record WHERE id = u.id), p_now);
  END LOOP;
  v_waits := coalesce(v_state <> 4 AND v_waits, false);

  -- One that was given back before it began may have a successor by now: the last contents belong into what runs last.
  IF v_state <> 4 AND (v_policy = 'replace' OR v_policy = 'runAfter' AND NOT v_waits) THEN
    v_target := v_next;
  END IF;
  IF v_target IS NULL AND v_state <> 4 AND v_waits AND v_policy IN ('replace', 'reschedule', 'trailing') THEN
    v_target := u.id;
  END IF;
  IF v_target IS NOT NULL THEN
    IF r.spec::json ->> 'flowId' IS NOT NULL
      OR (SELECT spec::json ->> 'flowId' FROM record WHERE id = v_target) IS NOT NULL THEN
      o_id := v_target;
      o_outcome := 'UniqueConflict';
      RETURN;
    END IF;
    -- One that is put off again and again is due no later than it may wait in all; what trails stays where it is.
    IF replace(v_target, r, v_policy <> 'reschedule', CASE WHEN v_policy = 'trailing' THEN v_at ELSE least(p_due,
      (SELECT enqueued_at FROM record WHERE id = v_target) + (x ->> 'maxWait')::bigint) END, p_now, p_transaction) THEN
      UPDATE uniq SET id = u.id, until = u.until, successor = u.successor WHERE tag = u.tag AND key = u.key;
      o_id := v_target;
      o_outcome := 'Replaced';
      RETURN;
    END IF;
    -- It was claimed while we looked, by a call that may have ended who held the key before. Each time takes another such call.
    SELECT t.o_id, t.o_outcome, t.o_after, t.o_due INTO o_id, o_outcome, o_after, o_due
      FROM take_unique(x, r, p_due, p_now, p_transaction) t;
    RETURN;
  END IF;

  IF v_state IS NULL OR v_state = 4 AND v_policy = 'runAfter' THEN
    UPDATE uniq SET id = r.id, successor = NULL, until = v_until, until_started = v_started, lasts = v_lasts
      WHERE tag = u.tag AND key = u.key;
  ELSIF v_policy = 'trailing' AND NOT v_waits THEN
    -- It waits for the window's end, and has the key from now on: the next one of this window finds it.
    o_due := greatest(u.until, p_due);
    UPDATE uniq SET id = r.id, successor = NULL, until = o_due + v_lasts, lasts = v_lasts
      WHERE tag = u.tag AND key = u.key;
  ELSIF v_state <> 4 AND NOT v_waits AND v_policy IN ('replace', 'runAfter') THEN
    UPDATE uniq SET id = u.id, until = u.until, successor = r.id WHERE tag = u.tag AND key = u.key;
    o_after := u.id;
  ELSE
    -- Who waits for a member of a flow would not wait for the holder.
    o_id := u.id;
    o_outcome := CASE WHEN r.spec::json ->> 'flowId' IS NULL THEN 'Existing' ELSE 'UniqueConflict' END;
  END IF;
END $function$;

CREATE OR REPLACE FUNCTION tell(p_type text, r record, p_reason text, p_now bigint)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
  IF NOT EXISTS (SELECT FROM listener WHERE until > p_now) THEN RETURN; END IF;
  PERFORM pg_notify('capstan', 'e' || json_strip_nulls(json_build_object(
    'type', CASE p_type WHEN 'snoozed' THEN 'retried' ELSE p_type END, 'id', r.id, 'tag', r.tag, 'queue', r.queue,
    'at', p_now, 'attempt', r.attempt, 'reason', left(p_reason, 1000),
    'snoozed', CASE p_type WHEN 'snoozed' THEN true END,
    'readyAt', CASE p_type WHEN 'started' THEN r.ready_at END)));
END $function$;

CREATE OR REPLACE FUNCTION tend(p_id uuid, p_now bigint)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
DECLARE
  r record;
  v_reason text;
  v_again boolean := false;
BEGIN
  SELECT * INTO r FROM record WHERE id = p_id FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    IF EXISTS (SELECT FROM record WHERE id = p_id) THEN
      PERFORM look_again(p_id, NULL, p_now);
    ELSE
      DELETE FROM cancel WHERE id = p_id;
      -- What nothing is known of any more waits for nobody: by one look, for what has ended may begin again.
      DELETE FROM dependency d WHERE d.child = p_id AND NOT EXISTS (SELECT FROM record l WHERE l.id = d.child)
        AND NOT EXISTS (SELECT FROM history h WHERE h.id = d.child);
    END IF;
    RETURN;
  END IF;
  IF r.state = 1 THEN RETURN; END IF;
  SELECT reason INTO v_reason FROM cancel WHERE id = p_id;
  IF FOUND THEN
    r.fence := r.fence + 1;
    IF must_undo(r, 'Cancel', v_reason) THEN
      PERFORM let_run(r, p_now, p_now, false);
    ELSE
      PERFORM finish(r, 5, v_reason, NULL, p_now);
    END IF;
    RETURN;
  END IF;
  IF r.state <> 3 THEN RETURN; END IF;
  CASE r.reason
  WHEN 'Waitpoint' THEN
    IF EXISTS (SELECT FROM checkpoint WHERE id = p_id AND name = r.blocked_on) THEN
      PERFORM let_run(r, p_now, p_now, false);
    END IF;
  WHEN 'ConcurrencyKey' THEN
    IF has_key(r.key) THEN
      PERFORM let_run(r, p_now, p_now, true);
    ELSE
      INSERT INTO agenda (id, at) VALUES (p_id, p_now + 20);
    END IF;
  WHEN 'Unique' THEN
    PERFORM FROM record WHERE id = r.blocked_on::uuid FOR KEY SHARE SKIP LOCKED;
    IF NOT FOUND THEN
      v_again := EXISTS (SELECT FROM record WHERE id = r.blocked_on::uuid);
      IF NOT v_again THEN PERFORM release_unique(r.blocked_on::uuid, p_now); END IF;
    END IF;
  ELSE
  END CASE;
  IF r.flags & 2048 = 2048 THEN v_again := tend_dependencies(p_id, p_now) OR v_again; END IF;
  IF v_again THEN
    PERFORM look_again(p_id, NULL, p_now);
    PERFORM wake(r.queue, p_now, 1);
  END IF;
END $function$;

CREATE OR REPLACE FUNCTION tend_agenda(p_now bigint)
 RETURNS bigint
 LANGUAGE plpgsql
AS $function$
DECLARE
  a agenda;
  v_seen uuid[] := '{}';
  v_tries int := 3;
BEGIN
  FOR a IN
    WITH few AS (
      SELECT num FROM agenda WHERE at <= p_now AND record IS NULL ORDER BY num LIMIT 500 FOR UPDATE SKIP LOCKED
    ), taken AS (
      DELETE FROM agenda g USING few WHERE g.num = few.num RETURNING g.*
    )
    SELECT * FROM taken ORDER BY num
  LOOP
    IF a.waitpoint IS NOT NULL THEN
      PERFORM FROM record WHERE id = a.id FOR UPDATE SKIP LOCKED;
      IF FOUND THEN
        PERFORM signal(a.id, a.waitpoint, a.value, false);
      ELSIF EXISTS (SELECT FROM record WHERE id = a.id) THEN
        INSERT INTO agenda (id, waitpoint, value, at) VALUES (a.id, a.waitpoint, a.value, p_now + 200);
      END IF;
    ELSIF a.id IS NOT NULL AND a.frees AND a.key IS NOT NULL THEN
      PERFORM dependencies_ended(ARRAY[a.id], a.key::int, ARRAY[a.value], p_now);
    ELSIF a.id IS NOT NULL AND a.frees THEN
      -- Whoever found it locked left one of these.
      CONTINUE WHEN a.id = ANY (v_seen) AND a.value IS NULL;
      v_seen := v_seen || a.id;
      PERFORM advance(a.id, p_now, a.value IS NOT NULL);
    ELSIF a.id IS NOT NULL AND a.key IS NOT NULL THEN
      PERFORM cancel_or_defer(a.id, a.value, p_now);
    ELSIF a.value IS NOT NULL THEN
      IF cancel_siblings(a.id, a.value, p_now) THEN
        INSERT INTO agenda (id, value, at) VALUES (a.id, a.value, p_now + 200);
      END IF;
    ELSIF a.id IS NOT NULL THEN
      PERFORM tend(a.id, p_now);
    ELSIF NOT has_key(a.key) THEN
      INSERT INTO agenda (key, frees, at) VALUES (a.key, a.frees, p_now + 20);
    ELSIF a.frees THEN
      PERFORM free_slots(ARRAY[a.key], p_now);
    ELSE
      PERFORM admit_keys(ARRAY[a.key], p_now);
    END IF;
  END LOOP;
  -- Each that fails may have waited for a moment, so few may; those that are left come first the next time.
  FOR a IN SELECT * FROM agenda WHERE at <= p_now AND record IS NOT NULL
    ORDER BY at, num LIMIT 500 FOR UPDATE SKIP LOCKED
  LOOP
    IF enqueue_deferred(a.id, a.record::json, p_now) THEN
      DELETE FROM agenda WHERE num = a.num;
    ELSE
      UPDATE agenda SET at = p_now + 200 WHERE num = a.num;
      v_tries := v_tries - 1;
    END IF;
    EXIT WHEN v_tries = 0;
  END LOOP;
  RETURN (SELECT greatest(at, p_now + 50) FROM agenda ORDER BY num LIMIT 1);
END $function$;

CREATE OR REPLACE FUNCTION tend_dependencies(p_id uuid, p_now bigint)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_parent uuid;
  v_again boolean := false;
BEGIN
  FOR v_parent IN SELECT DISTINCT parent FROM dependency WHERE child = p_id AND state IS NULL ORDER BY parent LOOP
    IF mark_awaited(v_parent) THEN CONTINUE; END IF;
    IF is_expected(v_parent) THEN
      v_again := true;
      CONTINUE;
    END IF;
    UPDATE dependency d SET (state, value) = (
      SELECT coalesce(max(h.state), 0), max(value_of(h.state, h.reason, h.result, h.failures))
      FROM history h WHERE h.id = v_parent
    ) WHERE d.child = p_id AND d.parent = v_parent AND d.state IS NULL;
  END LOOP;
  PERFORM advance(p_id, p_now, true);
  RETURN v_again;
END $function$;

CREATE OR REPLACE FUNCTION tend_keys(p_now bigint)
 RETURNS bigint
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_keys text[] := ARRAY(
    SELECT name FROM key WHERE opens_at <= p_now ORDER BY opens_at LIMIT 200 FOR UPDATE SKIP LOCKED);
BEGIN
  IF v_keys <> '{}' THEN PERFORM admit_keys(v_keys, p_now); END IF;
  -- What others have locked is not asked for without a pause.
  RETURN (SELECT greatest(opens_at, p_now + 1) FROM key WHERE opens_at IS NOT NULL ORDER BY opens_at LIMIT 1);
END $function$;

CREATE OR REPLACE FUNCTION text_of(options jsonb, name text, pattern text, longest integer, rule text)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE
AS $function$
BEGIN
  IF NOT options ? name THEN RETURN NULL; END IF;
  IF jsonb_typeof(options -> name) = 'string' AND options ->> name ~ pattern AND length(options ->> name) <= longest THEN
    RETURN options ->> name;
  END IF;
  RAISE 'capstan.enqueue, option %: must be %, it is %', name, rule, left((options -> name)::text, 200)
    USING ERRCODE = 'invalid_parameter_value';
END $function$;

CREATE OR REPLACE FUNCTION tick(p_name text, p_revision bigint, p_at bigint, p_overlap text, p_ticks json, p_next bigint, p_attend bigint, p_body text, p_asked boolean, p_limit bigint)
 RETURNS json
 LANGUAGE plpgsql
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_material TO 'off'
 SET jit TO 'off'
AS $function$
DECLARE
  v_now bigint;
  q schedule;
  t json;
  v_outcomes json[] := '{}';
  v_id uuid;
BEGIN
  SELECT * INTO q FROM schedule
    WHERE name = p_name AND revision = p_revision AND next_at IS NOT DISTINCT FROM p_at FOR UPDATE;
  IF NOT FOUND THEN RETURN NULL; END IF;
  v_now := clock();
  FOR t IN SELECT e FROM json_array_elements(p_ticks) e LOOP
    EXIT WHEN q.counted >= p_limit;
    q.last_outcome := 'Enqueued';
    v_id := NULL;
    IF p_overlap <> 'allow' AND q.last_id IS NOT NULL AND is_expected(q.last_id) THEN
      IF p_overlap = 'skip' THEN
        q.last_outcome := 'Skipped';
      ELSE
        PERFORM cancel_or_defer(q.last_id, 'schedule ' || p_name || ': its next tick came', v_now);
      END IF;
    END IF;
    IF q.last_outcome = 'Enqueued' THEN
      v_id := enqueue_or_defer(t -> 'record', v_now);
      -- One that was there is none of the schedule's, for the next tick to cancel or to wait for; unless it has its contents now.
      IF v_id = (t -> 'record' ->> 'id')::uuid OR EXISTS (
        SELECT FROM spent WHERE worker = -1 AND ids = ARRAY[(t -> 'record' ->> 'id')::uuid, v_id]) THEN
        q.last_id := v_id;
      END IF;
      q.counted := q.counted + (NOT p_asked)::int;
    END IF;
    q.last_at := (t ->> 'at')::bigint;
    q.last_due_at := (t ->> 'dueAt')::bigint;
    q.last_ticked_at := v_now;
    v_outcomes := v_outcomes || json_build_object('outcome', q.last_outcome, 'id', coalesce(v_id, q.last_id));
  END LOOP;
  IF q.counted >= p_limit THEN
    p_next := NULL;
    p_attend := NULL;
  END IF;
  UPDATE schedule SET revision = q.revision + 1, next_at = p_next, attend_at = p_attend,
      body = coalesce(p_body, q.body), counted = q.counted, last_at = q.last_at, last_due_at = q.last_due_at,
      last_ticked_at = q.last_ticked_at, last_outcome = q.last_outcome, last_id = q.last_id
    WHERE name = p_name;
  RETURN json_build_object('now', v_now, 'outcomes', to_json(v_outcomes));
END $function$;

CREATE OR REPLACE FUNCTION unclaim(p_max_crashes integer, p_now bigint)
 RETURNS integer
 LANGUAGE plpgsql
AS $function$
DECLARE
  w worker;
  v_num int;
  v_counts int[];
  v_given int := 0;
BEGIN
  FOR v_num IN
    SELECT DISTINCT c.worker FROM claimed c WHERE NOT EXISTS (SELECT FROM worker k WHERE k.num = c.worker)
  LOOP
    EXIT WHEN v_given >= 1000;
    v_given := v_given + give_back(v_num, running(v_num, false), '{}', '{}', -1000000000000000, p_now);
  END LOOP;
  FOR w IN
    SELECT k.* FROM worker k WHERE k.ended AND k.lease_until <= p_now
      AND EXISTS (SELECT FROM claimed c WHERE c.worker = k.num) FOR UPDATE OF k SKIP LOCKED
  LOOP
    EXIT WHEN v_given >= 1000;
    v_counts := rescue_from(w, p_max_crashes, p_now);
    v_given := v_given + v_counts[1] + v_counts[2];
  END LOOP;
  RETURN v_given;
END $function$;

CREATE OR REPLACE FUNCTION unpark(p_handles jsonb, p_now bigint)
 RETURNS integer
 LANGUAGE plpgsql
AS $function$
DECLARE
  r record;
  v_count int := 0;
BEGIN
  FOR r IN
    SELECT p.* FROM jsonb_to_recordset(p_handles) AS h(tag text, version int)
    JOIN record p ON p.tag = h.tag AND p.version <= h.version AND p.lane = 3
      AND p.reason IN ('NoHandler', 'NewerPayload')
    ORDER BY p.place LIMIT 1000 FOR UPDATE OF p SKIP LOCKED
  LOOP
    PERFORM let_run(r, p_now, p_now, true);
    v_count := v_count + 1;
  END LOOP;
  RETURN v_count;
END $function$;

CREATE OR REPLACE FUNCTION value_of(p_state integer, p_reason text, p_result text, p_failures jsonb)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
AS $function$
  SELECT CASE p_state WHEN 4 THEN p_result WHEN 5 THEN p_reason
    ELSE json_build_object('reason', p_reason, 'failure', p_failures -> -1)::text END
$function$;

CREATE OR REPLACE FUNCTION wait_for(p_id uuid, p_child uuid, p_now bigint)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
BEGIN
  IF NOT is_expected(p_child) THEN RETURN false; END IF;
  INSERT INTO dependency (child, parent, on_failure, name) VALUES (p_id, p_child, 3, p_child::text)
    ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN RETURN false; END IF;
  -- One that was there before and is about to end does not know that it is waited for.
  IF NOT mark_awaited(p_child) THEN PERFORM look_again(p_id, NULL, p_now); END IF;
  RETURN true;
END $function$;

CREATE OR REPLACE FUNCTION wake(p_queue text, p_now bigint, p_many bigint)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_now bigint := CASE WHEN p_now < 0 THEN clock() ELSE p_now END;
  v_many bigint := greatest(3, p_many);
  v_ids text[];
  v_id text;
BEGIN
  -- More than it calls, so that ten calls of a transaction do not name the same; where there are thousands, not all are read.
  v_ids := ARRAY(SELECT id FROM worker WHERE wakes_until > v_now AND p_queue = ANY (queues)
    LIMIT CASE WHEN p_many IS NULL OR v_many > 100 THEN 1 ELSE v_many + 30 END);
  IF p_many IS NULL OR v_many > 100 OR p_now < 0 AND cardinality(v_ids) < v_many THEN
    IF p_now < 0 OR cardinality(v_ids) > 0 THEN
      PERFORM pg_notify('capstan', CASE WHEN p_now < 0 THEN 'l' ELSE 'w' END || p_queue);
    END IF;
    RETURN;
  END IF;
  -- No queue has such a name: nobody is woken by it.
  IF p_now < 0 THEN PERFORM pg_notify('capstan', E'l\x1f'); END IF;
  FOR v_id IN SELECT id FROM unnest(v_ids) AS u(id) ORDER BY random() LIMIT v_many LOOP
    PERFORM pg_notify('capstan', 'k' || v_id);
  END LOOP;
END $function$;

CREATE OR REPLACE FUNCTION write_entries(p_entries json)
 RETURNS text[]
 LANGUAGE plpgsql
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_material TO 'off'
 SET jit TO 'off'
AS $function$
DECLARE
  v_now bigint := clock();
  v_answers text[] := '{}';
  x json;
  r record;
  v_flags int;
  v_lines jsonb;
BEGIN
  -- A step of a handler's transaction goes on to its commit.
  PERFORM bound_idle();
  FOR x IN SELECT e FROM json_array_elements(p_entries) e LOOP
    -- The lock keeps the fence where it is until the write is committed.
    SELECT * INTO r FROM record
      WHERE id = (x ->> 'id')::uuid AND fence = (x ->> 'fence')::int AND state = 1 FOR NO KEY UPDATE;
    IF NOT FOUND THEN
      v_answers := v_answers || 'LeaseLost'::text;
      CONTINUE;
    END IF;
    v_flags := CASE WHEN x ->> 'undo' = 'true' THEN 130 ELSE 2 END;
    IF r.flags & v_flags <> v_flags THEN UPDATE record SET flags = flags | v_flags WHERE id = r.id; END IF;
    CASE x ->> 'kind'
    WHEN 'Step' THEN
      DELETE FROM checkpoint WHERE id = r.id AND name = x ->> 'replaces';
      INSERT INTO checkpoint (id, name, value) VALUES (r.id, x ->> 'name', x ->> 'value')
        ON CONFLICT (id, name) DO NOTHING;
    WHEN 'Progress' THEN
      INSERT INTO detail (id, progress) VALUES (r.id, x ->> 'value')
        ON CONFLICT (id) DO UPDATE SET progress = excluded.progress;
      PERFORM tell('progress', r, NULL, v_now);
    ELSE
      SELECT jsonb_agg(jsonb_build_object('attempt', r.attempt, 'at', v_now, 'message', line)) INTO v_lines
        FROM json_array_elements_text(x -> 'lines') line;
      -- The newest 200 lines are kept.
      INSERT INTO detail AS d (id, logs) VALUES (r.id, v_lines)
        ON CONFLICT (id) DO UPDATE SET logs = (
          SELECT jsonb_agg(line ORDER BY n) FROM (
            SELECT line, n FROM jsonb_array_elements(coalesce(d.logs, '[]') || excluded.logs)
              WITH ORDINALITY AS l(line, n) ORDER BY n DESC LIMIT 200) newest);
    END CASE;
    v_answers := v_answers || 'Done'::text;
  END LOOP;
  RETURN v_answers;
END $function$;
