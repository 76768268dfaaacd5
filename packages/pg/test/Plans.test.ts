/**
 * What hot statements read at a million ready records, beside scheduled, blocked and finished ones: the planner has its own
 * defaults and statistics, and rows and pages are counted, not only names of nodes. The plans are in `plans.txt`.
 */
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { JobRecord, type JobStore } from "capstan"
import { Cause, Effect, Redacted } from "effect"
import { readFileSync } from "node:fs"
import { expect } from "vitest"
import { fastPostgres, ServerMissing, startPostgres } from "../../../scripts/servers/index.ts"
import * as Harness from "./harness.ts"
import { type Side } from "./harness.ts"
import { areAlike, Recorder, type Statement } from "./plans.ts"

const schema = Harness.schemaName("plans")
const recorder = new Recorder()

const id = (kind: number, n: string) => `('0199${kind}000-0000-7000-8000-' || lpad(to_hex(${n}), 12, '0'))::uuid`
const ready = 1_000_000

/** Rows as the functions would write them, a hundred times as fast. */
const fill = ({ sql }: Side) =>
  Effect.gen(function*() {
    const s = schema
    const run = (text: string) => sql.unsafe(text).unprepared
    // It would come by when it likes, and what is planned anew after it reads the catalog again: 200 to 400 pages.
    yield* run(`DO $$
      DECLARE t regclass;
      BEGIN
        FOR t IN SELECT oid FROM pg_class WHERE relnamespace = '${s}'::regnamespace AND relkind = 'r' LOOP
          EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = false)', t);
        END LOOP;
      END $$`)
    const columns =
      `id, place, at, enqueued_at, ready_at, expire_at, version, state, priority, queue, tag, key, key_limit,
      reason, blocked_on, payload`
    const insert = (rows: string) =>
      run(`INSERT INTO ${s}.record (${columns}, lane, due, expires)
        SELECT *, CASE WHEN state > 1 THEN state ELSE 0 END, CASE WHEN state = 2 THEN at END, expire_at
        FROM (${rows}) r (${columns})`)
    const payload = "repeat('x', 100)"
    // Indexes are made when the rows are there: half the time.
    const indexes = yield* sql.unsafe<{ name: string; text: string }>(`
      SELECT c.oid::regclass::text AS name, pg_get_indexdef(c.oid) AS text FROM pg_index i
      JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = '${s}.record'::regclass AND NOT i.indisprimary`)
    for (const { name } of indexes) yield* run(`DROP INDEX ${name}`)
    yield* insert(`SELECT ${id(1, "n")}, n, ${s}.clock(), ${s}.clock(), ${s}.clock(),
      CASE WHEN n % 10 = 0 THEN ${s}.clock() + 3600000 END, 1, 0, 0, 'default', 'Task', NULL::text, NULL::int, NULL::text, NULL::text,
      ${payload} FROM generate_series(1, ${ready}) n`)
    yield* insert(
      `SELECT ${id(2, "n")}, ${ready} + n, ${s}.clock() + 3600000 + n, ${s}.clock(), ${s}.clock(), NULL::bigint,
      1, 2, 0, 'default', 'Task', NULL::text, NULL::int, NULL::text, NULL::text, ${payload} FROM generate_series(1, 100000) n`
    )
    // Due already, and such that came back to an earlier place.
    yield* insert(`SELECT ${id(5, "n")}, 1500000 + n, ${s}.clock() - 1000 + n % 1000, ${s}.clock(), ${s}.clock(),
      NULL::bigint, 1, 2, 0, 'due', 'Task', NULL::text, NULL::int, NULL::text, NULL::text, ${payload} FROM generate_series(1, 10000) n`)
    yield* insert(`SELECT ${id(6, "n")}, 1700000 + n, ${s}.clock(), ${s}.clock(), ${s}.clock(), NULL::bigint, 1, 0, 0,
      'back', 'Task', NULL::text, NULL::int, NULL::text, NULL::text, ${payload} FROM generate_series(1, 50000) n`)
    yield* run(`UPDATE ${s}.record SET flags = 16, lane = 1 WHERE queue = 'back' AND place % 20 = 0`)
    yield* insert(`SELECT ${id(3, "n")}, 2000000 + n, ${s}.clock(), ${s}.clock(), ${s}.clock(), NULL::bigint, 1, 3, 0,
      'default', 'Task', 'key ' || n % 1000, 1, 'ConcurrencyKey', 'key ' || n % 1000, ${payload}
      FROM generate_series(1, 50000) n`)
    yield* insert(`SELECT ${id(4, "n")}, 3000000 + n, ${s}.clock(), ${s}.clock(), ${s}.clock(), NULL::bigint, 1, 3, 0,
      'default', 'Task', NULL::text, NULL::int, 'Dependencies', NULL::text, ${payload} FROM generate_series(1, 20000) n`)
    yield* run(
      `INSERT INTO ${s}.dependency SELECT ${id(4, "n")}, ${id(2, "n")}, 0, NULL, 'd' FROM generate_series(1, 20000) n`
    )
    yield* run(`UPDATE ${s}.record SET flags = flags | 1024 WHERE id IN (SELECT parent FROM ${s}.dependency)`)
    yield* run(`UPDATE ${s}.record SET flags = flags | 2048 WHERE reason = 'Dependencies'`)
    yield* run(`INSERT INTO ${s}.key SELECT 'key ' || n, 1, 1 FROM generate_series(0, 999) n`)
    yield* run(
      `INSERT INTO ${s}.history (id, enqueued_at, claimed_at, ended_at, finished_at, expires_at, fence, settled,
        attempt, version, part, state, priority, crashes, flags, queue, tag, payload)
      SELECT ${
        id(0, "n")
      }, ${s}.clock() - 1000, ${s}.clock() - 10, ${s}.clock(), ${s}.clock(), ${s}.clock() + 3600000, 2, 1,
        1, 1, ${s}.part((ARRAY[86400000, 604800000, 2592000000, NULL])[n % 4 + 1], ${s}.clock()), 4, 0, 0, 0, 'default', 'Task',
        ${payload} FROM generate_series(1, 300000) n`
    )
    // Dead ones, of which few are of another queue, job and error; they lie behind all others.
    const died = (kind: number, from: number, to: number, queue: string, tag: string, error: string) =>
      run(
        `INSERT INTO ${s}.history (id, enqueued_at, finished_at, fence, settled, attempt, version, part, state, priority,
          crashes, flags, queue, tag, reason, failures, payload)
        SELECT ${id(kind, "n")}, ${s}.clock(), ${s}.clock(), 2, 1, 1, 1, 30, 6, 0, 0, 0, '${queue}', '${tag}', 'Failed',
          '[{"tag":"${error}"}]', ${payload} FROM generate_series(${from}, ${to}) n`
      )
    yield* died(0, 500_001, 500_020, "seldom", "Seldom", "Seldom")
    yield* died(0, 600_001, 640_000, "default", "Task", "Declined")
    // Ready ones of a queue that has few, which are older than all others too.
    yield* insert(`SELECT ${id(0, "n")}, 4000000 + n, ${s}.clock(), ${s}.clock(), ${s}.clock(), NULL::bigint, 1, 0, 0,
      'few', 'Task', NULL::text, NULL::int, NULL::text, NULL::text, ${payload} FROM generate_series(700001, 700020) n`)
    for (const { text } of indexes) yield* run(text)
    yield* run(`SELECT setval('${s}.place', 10000000)`)
    yield* run(`INSERT INTO ${s}.counter SELECT -1, 'default', 70000, 100000, ${ready}, 0, 0, 0, 0, 0`)
    for (const table of ["record", "history", "dependency", "key"]) yield* run(`ANALYZE ${s}.${table}`)
  })

/**
 * A server of its own, of the given one's version, where that can be started. In a shared one, what others do adds thousands of
 * pages: their snapshots hold up all cleaning of a database, and the schemas that they make empty everyone's cache of the catalog.
 */
const ownServer = Effect.gen(function*() {
  const sql = yield* PgClient.PgClient
  const [given] = yield* sql.unsafe<{ version: number }>(
    "SELECT current_setting('server_version_num')::int / 10000 AS version"
  )
  const { url } = yield* Effect.acquireRelease(
    Effect.tryPromise(() => startPostgres({ version: given!.version, settings: fastPostgres })),
    (server) => Effect.promise(() => server.stop())
  )
  return url
}).pipe(
  Effect.provide(Harness.client()),
  Effect.catchIf(
    (error) => error instanceof Cause.UnknownError && error.cause instanceof ServerMissing,
    () => Effect.succeed(Harness.url())
  )
)

const side = Harness.shared(
  schema,
  Effect.gen(function*() {
    const url = yield* ownServer
    const one = yield* Harness.open(schema, { listen: false }, { ...recorder.clientOf(url), maxConnections: 1 })
    const filler = Harness.open(schema, {}, { url: Redacted.make(url) })
    yield* Effect.provide(Effect.scoped(Effect.flatMap(filler, fill)), one.context)
    yield* alone(one)
    return one
  }).pipe(Effect.orDie)
)

interface Bounds {
  /** That one statement takes into its hands. */
  readonly rows: number
  /** Of 8 KiB, that all of them look at. */
  readonly pages: number
}

const plans: Array<string> = []

/** Before Postgres 14 an expression of a function is a SELECT, and an assignment does not say to what. */
const nameless = (text: string) =>
  text.replaceAll(`"${schema}".`, "").replaceAll(/history_\d+/g, "history_*").replaceAll(/\s+/g, " ").trim()
    .replace(/^(SELECT |[\w.]+(\[\w+\])? := )/, "").slice(0, 100)

const nothing = () => Effect.void

/**
 * Waits until whoever has a transaction open by now has ended it. What it may still see is not cleaned, so that each statement
 * would look again at what those before it have left (a claim of one: 400 pages), and an index that was made meanwhile is not used.
 */
const alone = ({ sql }: Side) =>
  Effect.gen(function*() {
    const [now] = yield* sql.unsafe<{ xid: string }>("SELECT pg_current_xact_id()::xid::text AS xid")
    // One that only reads has no number of its own, and a snapshot that holds up as much: an ANALYZE, for one.
    yield* Harness.until(
      "the end of other tests' transactions",
      Effect.map(
        sql.unsafe<{ over: boolean }>(
          `SELECT coalesce(bool_and(age(seen) <= age($1::xid)), true) AS over FROM (
            SELECT unnest(ARRAY[backend_xid, backend_xmin]) AS seen FROM pg_stat_activity WHERE pid <> pg_backend_pid()
          ) others WHERE seen IS NOT NULL`,
          [now!.xid]
        ),
        ([answer]) => answer!.over
      ),
      60
    )
  })

/** A statement is planned anew as often as it likes before its plan stays: only then is it looked at. */
const warmUp = 6

const hot = <A, B>(
  name: string,
  bounds: Bounds,
  prepare: (one: Side) => Effect.Effect<A, unknown>,
  call: (one: Side, prepared: A) => Effect.Effect<B, unknown>,
  tidy: (one: Side, answer: B) => Effect.Effect<unknown, unknown> = nothing
) =>
  it.live(name, () =>
    Effect.gen(function*() {
      const one = yield* side
      const once = Effect.gen(function*() {
        yield* tidy(one, yield* call(one, yield* prepare(one)))
      })
      for (let i = 1; i < warmUp; i++) yield* once
      yield* alone(one)
      yield* once
      const prepared = yield* prepare(one)
      const { answer, pages, statements } = yield* recorder.record(call(one, prepared))
      yield* tidy(one, answer)
      plans.push(`# ${name}\n`, ...textOf(statements), `pages ${pages}\n`)
      assert.isAbove(statements.length, 0)
      for (const { lines, rows, text } of statements) {
        assert.isAtMost(rows, bounds.rows, `rows of: ${nameless(text)}\n${lines.join("\n")}`)
      }
      assert.isAtMost(pages, bounds.pages, "pages")
      assert.deepStrictEqual(statements.flatMap(({ sequential }) => sequential).filter(isLarge), [])
    }), 120_000)

const isLarge = (table: string) => /^(record|history|dependency|idem|uniq)/.test(table)

/**
 * Each statement once. Partitions of history are one line without its number: in how many of them there is something, and so
 * how many rows are looked at to merge them, depends on the hour. The bounds hold for them all the same.
 */
const textOf = (statements: ReadonlyArray<Statement>): ReadonlyArray<string> => {
  const seen = new Set<string>()
  return statements.flatMap(({ lines, text }) => {
    const one = `${nameless(text)}\n${merged(lines).map((line) => `    ${line}`).join("\n")}\n`
    if (seen.has(one)) return []
    seen.add(one)
    return [one]
  })
}

const merged = (lines: ReadonlyArray<string>): ReadonlyArray<string> => {
  const read = lines.map((line) => {
    const [, name, rows] = /^(.*) (\d+)$/.exec(line.replaceAll(/history_\d+/g, "history_*"))!
    return { name: name!, rows: Number(rows) }
  })
  const isHistory = (name: string) => name.includes("history_*")
  // How an empty partition is read is the planner's to say, where there is one that is not.
  const hasSome = read.some(({ name, rows }) => isHistory(name) && rows > 0)
  const all: Array<[line: string, rows: number]> = []
  for (const { name, rows } of read) {
    if (hasSome && isHistory(name) && rows === 0) continue
    const last = all.at(-1)
    if (last !== undefined && last[0] === name) last[1] += rows
    else all.push([name, rows])
  }
  return all.map(([line, rows]) => `${line} ${rows > 0 && isHistory(line) ? "some" : rows}`)
}

const claim = (one: Side, slots: number, queue = "default") => Harness.claim(one, slots, queue)

const settle = (one: Side, claimed: ReadonlyArray<JobStore.Claimed>) =>
  Harness.exchange(one, {
    settlements: claimed.map(({ fence, id }) => ({ id, fence, outcome: Harness.complete, finishedAfter: 1 }))
  })

const newRecords = (count: number, given: Partial<JobStore.NewRecord> = {}) =>
  Array.from({ length: count }, () => Harness.record(given))

const idOf = (kind: number, n: number) =>
  JobRecord.JobId(`0199${kind}000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`)

const query = (where: JobStore.Selection, order: "newest" | "oldest" = "newest") => (one: Side) =>
  one.store.query({ where, order, limit: 50 })

describe("at a million ready records", () => {
  hot("enqueue of 100", { rows: 200, pages: 1500 }, nothing, (one) => one.store.enqueue({ records: newRecords(100) }))

  hot(
    "enqueue of one with a key, a unique and an idempotency key",
    { rows: 10, pages: 100 },
    () => Effect.sync(Harness.newId),
    (one, id) =>
      Harness.enqueue(one, { id, ...Harness.keyed(id), ...Harness.unique(id), idempotencyKey: id, queue: "keyed" })
  )

  hot("claim of 100", { rows: 300, pages: 2500 }, nothing, (one) => claim(one, 100), settle)

  hot("claim of one", { rows: 10, pages: 200 }, nothing, (one) => claim(one, 1), settle)

  hot(
    "claim of 100, with some that came back",
    { rows: 600, pages: 3500 },
    nothing,
    (one) => claim(one, 100, "back"),
    settle
  )

  hot("claim of 100 in an empty queue", { rows: 10, pages: 120 }, nothing, (one) => claim(one, 100, "empty"), settle)

  hot("settlement of 100", { rows: 200, pages: 3000 }, (one) => claim(one, 100), settle)

  hot(
    "settlement of 100 and claim of 100",
    { rows: 300, pages: 5000 },
    (one) => claim(one, 100),
    (one, claimed) =>
      Harness.exchange(one, {
        settlements: claimed.map(({ fence, id }) => ({ id, fence, outcome: Harness.complete, finishedAfter: 1 })),
        demand: [{ queue: "default", slots: 100, share: 100 }],
        total: 100
      }),
    // A claim that begins at the front, as one does once in a while, passes all that runs.
    (one, { claimed }) => settle(one, claimed)
  )

  hot(
    "settlement of one that retries",
    { rows: 10, pages: 200 },
    (one) => claim(one, 1),
    (one, [claimed]) => Harness.settle(one, claimed!, { _tag: "RetryAfter", delay: 60_000, failure: Harness.failure })
  )

  hot(
    "settlement of one with a key that others wait for",
    { rows: 30, pages: 200 },
    (one) => claim(one, 1, "keyed"),
    settle
  )

  hot(
    "a settlement sent again",
    { rows: 10, pages: 200 },
    (one) => Effect.tap(claim(one, 1), (claimed) => settle(one, claimed)),
    settle
  )

  hot(
    "what is due becomes ready, 1000 of it",
    { rows: 3000, pages: 40_000 },
    nothing,
    (one) => claim(one, 1, "due"),
    settle
  )

  // 700 run by then, each of them found by its id, once among the claims and once to be compared.
  hot("renewal of 100", { rows: 3000, pages: 12_000 }, (one) => claim(one, 100), (one, claimed) =>
    one.store.renew({
      worker: "worker",
      lease: Harness.lease,
      queues: ["default"],
      handles: [{ tag: "Task", version: 1 }],
      holding: claimed.map(({ fence, id }) => ({ id, fence })),
      reconcileOlderThan: 60_000
    }))

  hot(
    "maintenance",
    { rows: 3000, pages: 1000 },
    ({ sql }) => sql.unsafe(`UPDATE ${schema}.housekeeping SET next_at = 0`),
    (one) => one.store.maintain
  )

  hot("get of a live record", { rows: 5, pages: 40 }, nothing, (one) => one.store.get(idOf(2, 77)))

  hot("get of a finished record", { rows: 5, pages: 120 }, nothing, (one) => one.store.get(idOf(0, 78)))

  hot(
    "results of 100",
    { rows: 300, pages: 10_000 },
    nothing,
    (one) => one.store.results(Array.from({ length: 100 }, (_, i) => idOf(i % 2 * 2, 1 + i)))
  )

  hot("the newest page", { rows: 400, pages: 600 }, nothing, query({}))

  hot("the oldest page", { rows: 400, pages: 600 }, nothing, query({}, "oldest"))

  hot(
    "the newest page of what is scheduled",
    { rows: 400, pages: 1000 },
    nothing,
    query({ states: ["scheduled"] })
  )

  hot("the newest page of what is blocked", { rows: 400, pages: 1000 }, nothing, query({ states: ["blocked"] }))

  // 700 run by then, found by their ids among the claims.
  hot("the newest page of what runs", { rows: 1500, pages: 1000 }, nothing, query({ states: ["running"] }))

  hot(
    "the page of what is ready of a queue that has little",
    { rows: 400, pages: 1000 },
    nothing,
    query({ states: ["ready"], queue: "few" })
  )

  hot("the newest page of the dead", { rows: 400, pages: 1000 }, nothing, query({ states: ["dead"] }))

  for (
    const [name, where] of [
      ["queue", { states: ["dead"], queue: "seldom" }],
      ["job", { states: ["dead"], tag: "Seldom" }],
      ["error", { states: ["dead"], errorTag: "Seldom" }]
    ] as const
  ) {
    hot(
      `the page of twenty dead of a ${name} among forty thousand`,
      { rows: 400, pages: 1000 },
      nothing,
      (one) => Effect.tap(query(where)(one), ({ records }) => Effect.sync(() => assert.strictEqual(records.length, 20)))
    )
  }

  // Half of what there is: the first fifty of twenty thousand, and not those sorted.
  hot(
    "the newest page of the dead by an error that most have",
    { rows: 400, pages: 1000 },
    nothing,
    query({ states: ["dead"], errorTag: "Declined" })
  )

  hot("the page of a reason that none is dead for", { rows: 10, pages: 300 }, nothing, query({ deadReason: "Crashed" }))

  hot(
    "the page of what is parked, which is none",
    { rows: 10, pages: 100 },
    nothing,
    query({ blockedReason: "NoHandler" })
  )

  hot(
    "the page of what is scheduled of a queue that has none",
    { rows: 10, pages: 100 },
    nothing,
    query({ states: ["scheduled"], queue: "few" })
  )

  // No index has tags: a walk looks at a thousand, and once more for where it ends.
  hot(
    "the page of the dead with a tag that none has",
    { rows: 2200, pages: 2500 },
    nothing,
    query({ states: ["dead"], label: "none" })
  )

  hot("a page of a flow that has no records", { rows: 4200, pages: 5000 }, nothing, query({ flowId: idOf(1, 1) }))

  hot("a page that finds nothing", { rows: 4200, pages: 5000 }, nothing, query({ tag: "None" }))

  hot("a page by ids", { rows: 10, pages: 300 }, nothing, query({ ids: [idOf(1, 900_000), idOf(0, 78)] }))

  // What each worker holds is counted by id: 700 of them here.
  hot("figures", { rows: 3000, pages: 7000 }, nothing, (one) => one.store.stats)

  hot(
    "a cancel",
    { rows: 10, pages: 200 },
    (one) => Harness.enqueue(one, { queue: "other" }),
    (one, { id }) => Harness.control(one, Harness.cancel, id)
  )
})

it.live(
  "pages of what is rare skip and double nothing, however far apart live and finished records are",
  () =>
    Effect.gen(function*() {
      const one = yield* side
      const live = [idOf(2, 500), idOf(2, 99_000), idOf(3, 40_000), idOf(6, 49_999)]
      const finished = [idOf(2, 600), idOf(2, 99_500), idOf(7, 1)]
      yield* one.sql.unsafe(`UPDATE ${schema}.record SET tag = 'Rare' WHERE id = ANY ($1::uuid[])`, [live])
      yield* one.sql.unsafe(
        `INSERT INTO ${schema}.history (id, enqueued_at, finished_at, fence, settled, attempt, version, part, state, priority,
         crashes, flags, queue, tag, payload)
       SELECT id, 0, 0, 1, 1, 1, 1, 30, 4, 0, 0, 0, 'default', 'Rare', 'null' FROM unnest($1::uuid[]) AS id`,
        [finished]
      )
      for (const order of ["oldest", "newest"] as const) {
        const found: Array<string> = []
        let cursor: string | undefined = order === "oldest" ? idOf(2, 0) : undefined
        do {
          const page = yield* one.store.query({ where: { tag: "Rare" }, order, limit: 2, cursor })
          for (const { id } of page.records) found.push(id)
          cursor = page.cursor
        } while (cursor !== undefined && cursor > idOf(2, 0) && found.length < 100)
        const expected = [...live, ...finished].toSorted()
        assert.deepStrictEqual(found, order === "oldest" ? expected : expected.toReversed())
      }
    }),
  60_000
)

describe("the plans", () => {
  it("are those in plans.txt", async () => {
    const text = plans.join("\n")
    const file = new URL("../plans.txt", import.meta.url)
    if (areAlike(readFileSync(file, "utf8"), text)) return
    await expect(text).toMatchFileSnapshot("../plans.txt")
  })

  it("are others when rows or pages are of a higher order of magnitude, or an index is another one", () => {
    const plan = "Read record_ready 100\nRead worker 0\npages 700\n"
    for (
      const same of [
        plan,
        "Read record_ready 120\nRead worker 1\npages 300\n",
        "Read record_ready 2\nRead worker 0\npages 7\n"
      ]
    ) {
      assert.isTrue(areAlike(plan, same), same)
    }
    const others = [
      "Read record_ready 1000\nRead worker 0\npages 700\n",
      "Read record_ready 100\nRead worker 0\npages 7000\n",
      "Read record_key 100\nRead worker 0\npages 700\n",
      "Read record 100\nRead worker 0\npages 700\n",
      "Read record_ready 100\npages 700\n"
    ]
    for (const other of others) {
      assert.isFalse(areAlike(plan, other), other)
    }
  })
})
