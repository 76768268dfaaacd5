/**
 * The tables: live records apart from their history, so that what workers look at stays as small as what waits.
 *
 * - `record` holds what may still run. Its partial indexes are exactly the orders in which records are claimed, become due
 *   and are found again; finished records are in none of them.
 * - `history` holds what is finished, in a ring of partitions per retention class. A class of age A has six slots of A/4:
 *   a row goes to the slot of the instant at which it ended, and the slot after the present one holds nothing that is
 *   younger than A, so it is truncated, never deleted row by row. No table is made or dropped while workers run, so no
 *   insert can miss its partition, and no lock is taken on more than the slot that is emptied.
 * - `delta` gets one row per write and queue; `counter` is their sum. No two writers meet on a counter.
 * - `uniq` and `idem` name the record that has a key. They are believed only while that record lives, so no settlement
 *   touches them, and a caller's open transaction that holds one holds up nobody but enqueues of the same key.
 */

/** All tables, indexes and sequences of a schema, in the order in which they are made. */
export const tables = (s: string): ReadonlyArray<string> => [
  `CREATE SEQUENCE ${s}.place`,
  `CREATE SEQUENCE ${s}.claim`,

  `CREATE TABLE ${s}.housekeeping (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    next_at bigint NOT NULL DEFAULT 0,
    mended text COLLATE "C" NOT NULL DEFAULT ''
  ) WITH (fillfactor = 20)`,
  `INSERT INTO ${s}.housekeeping DEFAULT VALUES`,

  `CREATE TABLE ${s}.queue (
    name text COLLATE "C" PRIMARY KEY,
    paused boolean NOT NULL DEFAULT false,
    limited boolean NOT NULL DEFAULT false,
    turn bigint NOT NULL DEFAULT 0
  )`,

  `CREATE TABLE ${s}.worker (
    num int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    lease_until bigint NOT NULL,
    wakes_until bigint NOT NULL DEFAULT 0,
    ended boolean NOT NULL DEFAULT true,
    suspect uuid,
    queues text[] NOT NULL DEFAULT '{}',
    handles jsonb NOT NULL DEFAULT '[]'
  ) WITH (fillfactor = 50)`,

  `CREATE TABLE ${s}.listener (
    id text COLLATE "C" PRIMARY KEY,
    until bigint NOT NULL
  ) WITH (fillfactor = 50)`,

  // What every record has comes first, and wide before narrow: a column that lies behind one that may be missing, or of
  // any length, is found by walking. worker and begun_at: 0 is none. state: 0 ready, 1 running, 2 scheduled, 3 blocked.
  // flags: 1 has a unique key, 2 has rows in detail or checkpoint, 4 an attempt has begun, 8 holds a slot of its key,
  // 16 came back to an earlier place, 32 has an idempotency key, 64 is blocked until `at` at the latest, 128 has a step that
  // can be undone, 512 has a key that several jobs share, 1024 others wait for it, 2048 it waits or has waited for others.
  //
  // Indexes name only what a claim leaves as it is, so that claims write no index: the new version of a row lies beside
  // the old one in its page, of which a half is kept free for that. Hence three columns that follow from others (generated
  // ones would cost a claim and an insert 7,700 instructions each). lane: 0 in turn, 1 came back, has crashed a worker or has a
  // shared key, 2 scheduled, or blocked until an instant, 3 blocked; a record that runs stays in its lane. due: `at` of lane 2. expires: `expire_at` of what
  // does not run.
  `CREATE TABLE ${s}.record (
    id uuid PRIMARY KEY,
    place bigint NOT NULL,
    turn bigint NOT NULL DEFAULT 0,
    at bigint NOT NULL,
    enqueued_at bigint NOT NULL,
    ready_at bigint NOT NULL,
    begun_at bigint NOT NULL DEFAULT 0,
    worker int NOT NULL DEFAULT 0,
    fence int NOT NULL DEFAULT 0,
    settled int NOT NULL DEFAULT 0,
    attempt int NOT NULL DEFAULT 0,
    version int NOT NULL,
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
    key_limit int,
    reason text COLLATE "C",
    blocked_on text COLLATE "C",
    expire_at bigint,
    due bigint,
    expires bigint,
    attempts jsonb,
    failures jsonb,
    listens text[] COLLATE "C"
  ) WITH (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000
  )`,
  // Those that came in turn, and apart the few that came back to an earlier place or have crashed a worker: claims go on
  // from where the last one ended, and what lies behind that is found in the small index.
  `CREATE INDEX record_ready ON ${s}.record (queue, priority, turn, place)
    WHERE lane = 0`,
  `CREATE INDEX record_back ON ${s}.record (queue, priority, turn, place)
    WHERE lane = 1`,
  `CREATE INDEX record_scheduled ON ${s}.record (queue, due, place) WHERE lane = 2`,
  `CREATE INDEX record_expiring ON ${s}.record (expires) WHERE expires IS NOT NULL`,
  `CREATE INDEX record_key ON ${s}.record (key, priority, turn, place) WHERE lane = 3 AND reason = 'ConcurrencyKey'`,
  // Keys that several jobs share: what is ready of them, or runs.
  `CREATE INDEX record_shared ON ${s}.record (key) WHERE lane = 1 AND key >= '@' AND key < 'A'`,
  `CREATE INDEX record_after ON ${s}.record (blocked_on) WHERE lane = 3 AND reason = 'Unique'`,
  // What cancels a record or completes a waitpoint of it, of those that something does. No write changes it but new contents.
  `CREATE INDEX record_listens ON ${s}.record USING gin (listens) WHERE listens IS NOT NULL`,
  `CREATE INDEX record_parked ON ${s}.record (tag, version) WHERE lane = 3 AND reason IN ('NoHandler', 'NewerPayload')`,

  // What each worker has claimed, a row a claim, in place of an index of what runs. It goes when the process that has the
  // answer says that all of it is settled; else a renewal makes the worker's rows one, of number 0, of what it still runs.
  // Kept in the row itself: a list of 500 fits.
  `CREATE TABLE ${s}.claimed (
    worker int NOT NULL,
    num bigint NOT NULL DEFAULT nextval('${s}.claim'),
    ids uuid[] NOT NULL
  ) WITH (toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)`,
  `ALTER TABLE ${s}.claimed ALTER ids SET STORAGE EXTERNAL`,
  `CREATE INDEX claimed_worker ON ${s}.claimed (worker, num)`,

  `CREATE TABLE ${s}.detail (
    id uuid PRIMARY KEY,
    progress text,
    logs jsonb
  )`,
  `CREATE TABLE ${s}.checkpoint (
    id uuid NOT NULL,
    name text COLLATE "C" NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (id, name)
  )`,

  // state: 4 completed, 5 cancelled, 6 dead. expires_at is when readers stop seeing it; NULL: never.
  `CREATE TABLE ${s}.history (
    id uuid NOT NULL,
    enqueued_at bigint NOT NULL,
    claimed_at bigint,
    ended_at bigint,
    finished_at bigint NOT NULL,
    expires_at bigint,
    fence int NOT NULL,
    settled int NOT NULL,
    attempt int NOT NULL,
    version int NOT NULL,
    key_limit int,
    part smallint NOT NULL,
    state smallint NOT NULL,
    priority smallint NOT NULL,
    crashes smallint NOT NULL,
    flags smallint NOT NULL,
    keep_count int,
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
  ) PARTITION BY LIST (part)`,
  ...Array.from(
    { length: parts },
    (_, part) =>
      `CREATE TABLE ${s}.history_${part} PARTITION OF ${s}.history FOR VALUES IN (${part})
      WITH (autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 1000000)`
  ),
  `CREATE INDEX history_id ON ${s}.history (id)`,
  // The dead and the cancelled are few, and are what people look for.
  `CREATE INDEX history_ended ON ${s}.history (id) WHERE state > 4`,
  // Whose keys, and whose edges, are forgotten with it; its flags are 1, 32 and 2048 alone.
  `CREATE INDEX history_keyed ON ${s}.history (id) WHERE flags <> 0`,
  `CREATE INDEX history_counted ON ${s}.history (tag, state, keep_count, finished_at) WHERE keep_count IS NOT NULL`,

  `CREATE TABLE ${s}.delta (
    part smallint NOT NULL DEFAULT -1,
    queue text COLLATE "C" NOT NULL,
    blocked int NOT NULL DEFAULT 0,
    scheduled int NOT NULL DEFAULT 0,
    ready int NOT NULL DEFAULT 0,
    running int NOT NULL DEFAULT 0,
    completed int NOT NULL DEFAULT 0,
    cancelled int NOT NULL DEFAULT 0,
    dead int NOT NULL DEFAULT 0,
    parked int NOT NULL DEFAULT 0
  )`,
  `CREATE TABLE ${s}.counter (
    part smallint NOT NULL,
    queue text COLLATE "C" NOT NULL,
    blocked bigint NOT NULL,
    scheduled bigint NOT NULL,
    ready bigint NOT NULL,
    running bigint NOT NULL,
    completed bigint NOT NULL,
    cancelled bigint NOT NULL,
    dead bigint NOT NULL,
    parked bigint NOT NULL,
    PRIMARY KEY (queue, part)
  ) WITH (fillfactor = 50)`,

  `CREATE TABLE ${s}.idem (
    tag text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    PRIMARY KEY (tag, key)
  )`,
  `CREATE INDEX idem_id ON ${s}.idem (id)`,
  `CREATE TABLE ${s}.uniq (
    tag text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    until bigint,
    lasts bigint,
    until_started boolean NOT NULL DEFAULT false,
    successor uuid,
    PRIMARY KEY (tag, key)
  ) WITH (fillfactor = 70)`,
  `CREATE TABLE ${s}.key (
    name text COLLATE "C" PRIMARY KEY,
    lim int NOT NULL,
    held int NOT NULL,
    full_at float8 NOT NULL DEFAULT 0,
    closed_until bigint NOT NULL DEFAULT 0,
    opens_at bigint,
    failed int NOT NULL DEFAULT 0,
    turns jsonb
  ) WITH (fillfactor = 50)`,
  `CREATE INDEX key_opens ON ${s}.key (opens_at) WHERE opens_at IS NOT NULL`,
  // Of a queue, or of a space of keys, which begins with @. What holds of it is spread into columns.
  `CREATE TABLE ${s}.limits (
    name text COLLATE "C" PRIMARY KEY,
    release bigint NOT NULL DEFAULT -1,
    proposed jsonb NOT NULL DEFAULT '{}',
    override jsonb,
    concurrency int,
    gap float8,
    burst int,
    fair boolean,
    trips int,
    open_for bigint,
    full_at float8 NOT NULL DEFAULT 0,
    closed_until bigint NOT NULL DEFAULT 0
  ) WITH (fillfactor = 50)`,
  // What runs of queues whose concurrency is limited, and what ran: it is looked at record by record.
  `CREATE TABLE ${s}.started (
    queue text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    PRIMARY KEY (queue, id)
  )`,
  // Who (child) waits for whom (parent). state: NULL while it waits, else that of history, 0 when it is gone; value as
  // value_of says. on_failure: 0 fail, 1 cancel siblings, 2 continue, 3 a child that was left behind, 4 one with which it is done.
  // No index names what an end writes, for which a part of each page is kept free.
  `CREATE TABLE ${s}.dependency (
    child uuid NOT NULL,
    parent uuid NOT NULL,
    on_failure smallint NOT NULL,
    state smallint,
    name text COLLATE "C" NOT NULL,
    value text,
    PRIMARY KEY (child, parent, name)
  ) WITH (fillfactor = 60)`,
  `CREATE INDEX dependency_parent ON ${s}.dependency (parent)`,
  `CREATE TABLE ${s}.cancel (
    id uuid PRIMARY KEY,
    fence int NOT NULL,
    reason text NOT NULL,
    told boolean NOT NULL DEFAULT false
  )`,
  // What a caller's transaction left for the first exchange after its commit, which may take the locks that it must not,
  // and what a settlement found locked by one: a record to look at, or (frees) that may go on, or (value alone) whose siblings
  // are to be cancelled; how a record has ended of which nothing is kept (id, frees, the state in key, and in value what its
  // edges keep); a key with slots to give back or out; a signal; a record to store once its key is free; a record to cancel
  // (id, a reason in value, and a key that is none).
  `CREATE TABLE ${s}.agenda (
    num bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at bigint NOT NULL DEFAULT 0,
    id uuid,
    key text COLLATE "C",
    frees boolean NOT NULL DEFAULT false,
    waitpoint text COLLATE "C",
    value text,
    record text
  )`,
  `CREATE INDEX agenda_record ON ${s}.agenda (at, num) WHERE record IS NOT NULL`,
  `CREATE INDEX agenda_record_id ON ${s}.agenda (id) WHERE record IS NOT NULL`,
  // Of records of which nothing is kept: the settlements of a call, for their worker to send again, and for who asks whether
  // an enqueue was lost. Of worker -1: the id of an enqueue, and of the record that got its contents.
  `CREATE TABLE ${s}.spent (
    worker int NOT NULL,
    at bigint NOT NULL,
    ids uuid[] NOT NULL,
    fences int[] NOT NULL
  ) WITH (toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)`,
  `CREATE INDEX spent_worker ON ${s}.spent (worker, at)`,
  // Settlements of records that were deleted since, so that one that is sent again is known.
  `CREATE TABLE ${s}.gone (
    id uuid PRIMARY KEY,
    fence int NOT NULL,
    at bigint NOT NULL
  )`,
  `CREATE TABLE ${s}.schedule (
    name text COLLATE "C" PRIMARY KEY,
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
  )`,
  `CREATE INDEX schedule_attend ON ${s}.schedule (attend_at) WHERE attend_at IS NOT NULL`
]

/** Five classes of six slots, and one partition for what is kept for ever. */
export const parts = 31
