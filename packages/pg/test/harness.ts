/** What the tests of the Postgres store are written with. */
import { PgJobStore } from "@capstan/pg"
import { PgClient } from "@effect/sql-pg"
import { assert, it } from "@effect/vitest"
import { JobRecord, JobStore, type Transactional } from "capstan"
import { Context, Effect, Exit, Layer, Schedule, Scope } from "effect"
import { randomUUID } from "node:crypto"
import { afterAll } from "vitest"
import { type ClaimedLine, toClaimedLines } from "../src/internal/codec.ts"
import { bookkeeping, statementsFrom } from "../src/internal/schema/migrations.ts"
import { client, type ClientOptions, empty, store } from "./server.ts"

export * from "./server.ts"

/** One process of several on a store: a client and a store of its own. */
export interface Side {
  readonly schema: string
  readonly sql: PgClient.PgClient
  readonly store: JobStore.Shape
  readonly context: Context.Context<JobStore.JobStore | Transactional.Transactional | PgClient.PgClient>
}

export const open = (
  schema: string,
  options: PgJobStore.Options = {},
  clientOptions: ClientOptions = {}
): Effect.Effect<Side, never, Scope.Scope> =>
  Effect.map(Layer.build(Layer.fresh(store(schema, options, clientOptions))), (context) => ({
    schema,
    sql: Context.get(context, PgClient.PgClient),
    store: Context.get(context, JobStore.JobStore),
    context
  }))

/** Made once for all tests of a file, and closed after the last of them, when the schema is dropped. */
export const shared = <A>(schema: string, make: Effect.Effect<A, never, Scope.Scope>): Effect.Effect<A> => {
  const scope = Scope.makeUnsafe()
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)).then(() => drop(schema)))
  return Effect.runSync(Effect.cached(Scope.provide(make, scope)))
}

/** Facts of one side, which has nothing stored when each begins. */
export const factsOf =
  (side: Effect.Effect<Side>) => (name: string, test: (one: Side) => Effect.Effect<void, unknown, Scope.Scope>) =>
    it.live(name, () =>
      Effect.gen(function*() {
        const one = yield* side
        yield* empty(one)
        yield* test(one)
      }).pipe(Effect.scoped))

/** Runs an effect of a fiber in a transaction as if it were none's. */
export const outside = <A, E, R>({ sql }: Side, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.updateContext(
    effect,
    (context: Context.Context<R>) => Context.omit(sql.transactionService)(context) as Context.Context<R>
  )

/**
 * Removes the schemas of a test file. A statement of a process that was killed goes on without it, and may take a schema's
 * tables in another order than the drop of it does.
 */
export const drop = (...schemas: ReadonlyArray<string>): Promise<void> =>
  PgClient.PgClient.pipe(
    Effect.flatMap((sql) =>
      Effect.forEach(schemas, (schema) =>
        Effect.retry(sql.unsafe(`DROP SCHEMA IF EXISTS ${schema} CASCADE`).unprepared, {
          while: ({ reason }) => reason._tag === "DeadlockError",
          schedule: Schedule.spaced("100 millis").pipe(Schedule.upTo({ times: 100 }))
        }), { discard: true })
    ),
    Effect.provide(client()),
    Effect.runPromise
  )

/** One line of the schema's text, as it stands there once, and what stands there instead. `${s}` is the schema's name. */
export type Change = readonly [line: string, instead: string]

/** Makes a schema whose text differs by these lines from that of the package: what a must-fail twin lives in. */
export const altered = (schema: string, changes: ReadonlyArray<Change>) =>
  Effect.gen(function*() {
    const sql = yield* PgClient.PgClient
    const names = { schema: `"${schema}"`, channel: `capstan_${schema}` }
    let statements = [...bookkeeping(names.schema), ...statementsFrom(names, 0)]
    for (const change of changes) {
      const [line, instead] = change.map((part) => part.replaceAll("${s}", names.schema))
      assert.strictEqual(statements.join("\n").split(line!).length, 2, `stands once in the schema: ${line}`)
      statements = statements.map((statement) => statement.replace(line!, () => instead!))
    }
    yield* sql.withTransaction(
      Effect.forEach(statements, (statement) => sql.unsafe(statement).unprepared, { discard: true })
    )
  })

export const storeOn = (
  client: Layer.Layer<PgClient.PgClient>,
  schema: string,
  options: PgJobStore.Options = {}
): Layer.Layer<JobStore.JobStore | Transactional.Transactional | PgClient.PgClient> =>
  Layer.orDie(PgJobStore.layer({ ...options, schema })).pipe(Layer.provideMerge(client))

/**
 * Makes the store's clock stand still, and answers how it is moved. The clock of a store is one function of its schema, so
 * that the same facts are asked of it as of a store in virtual time.
 */
export const frozen = (schema: string) =>
  Effect.gen(function*() {
    const sql = yield* PgClient.PgClient
    yield* sql.unsafe(`CREATE TABLE IF NOT EXISTS ${schema}.now (at bigint NOT NULL)`).unprepared
    yield* sql.unsafe(`INSERT INTO ${schema}.now SELECT 1800000000000 WHERE NOT EXISTS (SELECT FROM ${schema}.now)`)
      .unprepared
    yield* sql.unsafe(
      `CREATE OR REPLACE FUNCTION ${schema}.clock() RETURNS bigint LANGUAGE sql VOLATILE AS
       'SELECT at FROM ${schema}.now'`
    ).unprepared
    return (millis: number) =>
      Effect.asVoid(sql.unsafe(`UPDATE ${schema}.now SET at = at + $1::float8::bigint`, [millis]))
  })

/** Waits for what nobody announces, and says what it waited for when that does not come. */
export const until = <A, E, R>(
  what: string,
  check: Effect.Effect<A | false | undefined, E, R>,
  seconds = 10
): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    const end = performance.now() + seconds * 1000
    for (;;) {
      const found = yield* check
      if (found !== false && found !== undefined) return found
      if (performance.now() > end) return assert.fail(`waited ${seconds} s in vain: ${what}`)
      yield* Effect.sleep("10 millis")
    }
  })

// ------------------------------------------------------------------------------------------- the verbs of the seam

const forEver: JobRecord.Keep = { age: 365 * 24 * 60 * 60 * 1000, count: Infinity }
export const lease = 60_000

export const newId = (): JobRecord.JobId => JobRecord.JobId(randomUUID())

export const record = (given: Partial<JobStore.NewRecord> = {}): JobStore.NewRecord => ({
  id: newId(),
  tag: "Task",
  version: 1,
  queue: "default",
  priority: 0,
  payload: "null",
  delay: 0,
  retention: { completed: forEver, cancelled: forEver, dead: forEver },
  sensitive: { payload: [], result: [], error: [], progress: [] },
  tags: [],
  headers: {},
  ...given
})

export const keyed = (key: string, limit = 1): Partial<JobStore.NewRecord> => ({ concurrency: { key, limit } })

export const unique = (
  key: string,
  onConflict: JobStore.UniqueClaim["onConflict"] = "keep"
): Partial<JobStore.NewRecord> => ({ unique: { key, until: "finished", onConflict } })

export const after = (...ids: ReadonlyArray<JobRecord.JobId>): Partial<JobStore.NewRecord> => ({
  dependencies: ids.map((id, i) => ({ id, name: `d${i}` }))
})

type HasStore = Pick<Side, "store">

export const enqueue = ({ store }: HasStore, given: Partial<JobStore.NewRecord> = {}) =>
  Effect.map(Effect.suspend(() => store.enqueue({ records: [record(given)] })), ([answer]) => answer!)

export const exchange = ({ store }: HasStore, given: Partial<JobStore.ExchangeRequest> = {}) =>
  store.exchange({ worker: "worker", lease, settlements: [], demand: [], total: 0, ...given })

export const claim = (side: HasStore, slots = 1, queue = "default") =>
  Effect.map(
    exchange(side, { demand: [{ queue, slots, share: slots }], total: slots }),
    ({ claimed }) => claimed
  )

export const claimOne = (side: HasStore, queue = "default") =>
  Effect.map(claim(side, 1, queue), ([claimed]) => {
    assert.isDefined(claimed, "there was nothing to claim")
    return claimed!
  })

/** A claimed record as the schema writes it. */
export const anyLine = (): ClaimedLine =>
  toClaimedLines(1)("default\x1f1\x1e" + [newId(), "Task", 1, 0, 1, 1, 0, 1, "null"].join("\x1f")).lines[0]!

export const complete: JobStore.Outcome = { _tag: "Complete", result: "1" }
export const failure: JobStore.NewFailure = { kind: "Declared", tag: "Oops", message: "oops" }

export const settle = (side: HasStore, at: JobStore.AttemptRef, outcome: JobStore.Outcome = complete) =>
  Effect.map(
    exchange(side, { settlements: [{ id: at.id, fence: at.fence, outcome, finishedAfter: 0 }] }),
    ({ settled }) => settled[0]!
  )

export const control = (side: HasStore, action: JobStore.ControlAction, ...ids: ReadonlyArray<JobRecord.JobId>) =>
  Effect.map(
    side.store.control({ action, where: { ids }, limit: 100 }),
    ({ outcomes }) => outcomes.map(({ outcome }) => outcome)
  )

export const cancel: JobStore.ControlAction = { _tag: "Cancel", reason: "test" }

/** The state of a record and why, in a word; `none` when there is none. */
export const stateOf = ({ store }: HasStore, id: JobRecord.JobId) =>
  Effect.map(store.get(id), (found) =>
    found === undefined
      ? "none"
      : [found.state, found.blocked?.reason ?? found.deadReason].filter((word) => word !== undefined).join(" "))

// ---------------------------------------------------------------------------------------------------- invariants

/** Lets the store do what callers' transactions have left, until there is nothing left. */
export const quiet = (side: Side) =>
  until(
    "an agenda with nothing on it",
    Effect.andThen(
      exchange(side, { worker: "quiet", demand: [{ queue: "none", slots: 1, share: 1 }], total: 1 }),
      Effect.map(side.sql.unsafe(`SELECT 1 FROM ${side.schema}.agenda`), (rows) => rows.length === 0)
    )
  )

/**
 * What must hold between any two transactions when the agenda is empty, counted anew: slots held are records that hold
 * them, counters are counts, and nobody waits for what has come. Answers a sentence for each row that does not fit.
 */
export const unsound = ({ schema: s, sql }: Pick<Side, "schema" | "sql">) =>
  Effect.map(
    sql.unsafe<{ found: string }>(`
      WITH counted AS (
        SELECT part, queue, ready, running, scheduled, blocked, parked, completed, cancelled, dead FROM ${s}.counter
        UNION ALL
        SELECT part, queue, ready, running, scheduled, blocked, parked, completed, cancelled, dead FROM ${s}.delta
      )
      SELECT format('key %s: held %s, records that hold a slot %s', name, k.held, r.held) AS found
        FROM ${s}.key k FULL JOIN (
          SELECT key AS name, count(*) AS held FROM ${s}.record WHERE flags & 8 = 8 GROUP BY key) r USING (name)
        WHERE coalesce(k.held, 0) <> coalesce(r.held, 0)
      UNION ALL SELECT format('key %s: %s held, its limit is %s', name, held, lim) FROM ${s}.key WHERE held > lim
      UNION ALL SELECT format('record %s: state %s with a key and no slot', id, state) FROM ${s}.record
        WHERE state IN (0, 1) AND key IS NOT NULL AND flags & 8 = 0
      UNION ALL SELECT format('record %s: waits for key %s, which has a free slot', r.id, r.key) FROM ${s}.record r
        LEFT JOIN ${s}.key k ON k.name = r.key
        WHERE r.state = 3 AND r.reason = 'ConcurrencyKey' AND coalesce(k.held, 0) < coalesce(k.lim, 1)
      UNION ALL SELECT format('record %s: waits for the end of %s, which is not there', id, blocked_on)
        FROM ${s}.record r WHERE state = 3 AND reason = 'Unique'
        AND NOT EXISTS (SELECT FROM ${s}.record h WHERE h.id::text = r.blocked_on)
      UNION ALL SELECT format('record %s: blocked for %s, and waits for nobody', r.id, r.reason) FROM ${s}.record r
        WHERE r.state = 3 AND r.reason IN ('Dependencies', 'Children') AND NOT EXISTS (SELECT FROM ${s}.dependency d
          WHERE d.child = r.id AND d.state IS NULL AND (d.on_failure = 3) = (r.reason = 'Children'))
      UNION ALL SELECT format('record %s: waits, though %s has failed', r.id, d.parent)
        FROM ${s}.record r JOIN ${s}.dependency d ON d.child = r.id
        WHERE r.state = 3 AND r.reason IN ('Dependencies', 'Unique') AND d.on_failure < 2 AND d.state <> 4
      UNION ALL SELECT format('record %s: waits for %s, which is not there or does not know', d.child, d.parent)
        FROM ${s}.dependency d JOIN ${s}.record r ON r.id = d.child
        WHERE r.state = 3 AND d.state IS NULL
          AND NOT EXISTS (SELECT FROM ${s}.record p WHERE p.id = d.parent AND p.flags & 1024 = 1024)
      UNION ALL SELECT format('record %s: waits for others, and does not say so', d.child)
        FROM ${s}.dependency d JOIN ${s}.record r ON r.id = d.child WHERE r.flags & 2048 = 0
      UNION ALL SELECT format('dependency: %s, which waits for %s, is not there', d.child, d.parent) FROM ${s}.dependency d
        WHERE NOT EXISTS (SELECT FROM ${s}.record r WHERE r.id = d.child)
          AND NOT EXISTS (SELECT FROM ${s}.history h WHERE h.id = d.child)
      UNION ALL SELECT format('record %s: waits for %s, which has come', r.id, r.blocked_on)
        FROM ${s}.record r JOIN ${s}.checkpoint c ON c.id = r.id AND c.name = r.blocked_on
        WHERE r.state = 3 AND r.reason = 'Waitpoint'
      UNION ALL SELECT format('record %s: a worker although in state %s, or none although it runs', id, state)
        FROM ${s}.record WHERE (state = 1) <> (worker > 0)
      UNION ALL SELECT format('record %s: in lane %s although in state %s', id, lane, state) FROM ${s}.record
        WHERE lane <> CASE WHEN state > 1 THEN state WHEN state = 1 THEN least(lane, 1)
          ELSE (crashes > 0 OR flags & 16 = 16)::int END
      UNION ALL SELECT format('record %s: due %s and expires %s do not follow', id, due, expires) FROM ${s}.record
        WHERE due IS DISTINCT FROM CASE WHEN state = 2 THEN at END
          OR expires IS DISTINCT FROM CASE WHEN state <> 1 THEN expire_at END
      UNION ALL SELECT format('record %s: runs, and is no claim of its worker', id) FROM ${s}.record r
        WHERE state = 1 AND NOT EXISTS (SELECT FROM ${s}.claimed c WHERE c.worker = r.worker AND r.id = ANY (c.ids))
      UNION ALL SELECT format('record %s: live and finished', id) FROM ${s}.record JOIN ${s}.history USING (id)
      UNION ALL SELECT format('record %s: finished twice', id) FROM ${s}.history GROUP BY id HAVING count(*) > 1
      UNION ALL SELECT format('cancel: %s does not run', id) FROM ${s}.cancel c
        WHERE NOT EXISTS (SELECT FROM ${s}.record r WHERE r.id = c.id AND r.state = 1)
      UNION ALL SELECT format('detail of %s, which does not live or does not say so', id) FROM ${s}.detail d
        WHERE NOT EXISTS (SELECT FROM ${s}.record r WHERE r.id = d.id AND r.flags & 2 = 2)
      UNION ALL SELECT format('checkpoint of %s, which does not live or does not say so', id) FROM ${s}.checkpoint d
        WHERE NOT EXISTS (SELECT FROM ${s}.record r WHERE r.id = d.id AND r.flags & 2 = 2)
      UNION ALL SELECT format('agenda: %s', num) FROM ${s}.agenda
      UNION ALL SELECT format('queue %s: counted %s, is %s', queue, c.counts, r.counts)
        FROM (SELECT queue, ARRAY[sum(ready), sum(running), sum(scheduled), sum(blocked), sum(parked)]::int[] AS counts
          FROM counted GROUP BY queue) c
        FULL JOIN (SELECT queue, ARRAY[count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 1),
            count(*) FILTER (WHERE state = 2), count(*) FILTER (WHERE state = 3),
            count(*) FILTER (WHERE state = 3 AND reason IN ('NoHandler', 'NewerPayload'))]::int[] AS counts
          FROM ${s}.record GROUP BY queue) r USING (queue)
        WHERE coalesce(c.counts, '{0,0,0,0,0}') <> coalesce(r.counts, '{0,0,0,0,0}')
      UNION ALL SELECT format('queue %s, part %s: counted %s, is %s', queue, part, c.counts, r.counts)
        FROM (SELECT queue, part, ARRAY[sum(completed), sum(cancelled), sum(dead)]::int[] AS counts
          FROM counted GROUP BY queue, part) c
        FULL JOIN (SELECT queue, part, ARRAY[count(*) FILTER (WHERE state = 4), count(*) FILTER (WHERE state = 5),
            count(*) FILTER (WHERE state = 6)]::int[] AS counts
          FROM ${s}.history GROUP BY queue, part) r USING (queue, part)
        WHERE coalesce(c.counts, '{0,0,0}') <> coalesce(r.counts, '{0,0,0}')`),
    (rows) => rows.map(({ found }) => found)
  )

/** Fails unless the store is sound once it has done what was left to do. */
export const assertSound = (side: Side) =>
  Effect.gen(function*() {
    yield* quiet(side)
    assert.deepStrictEqual(yield* unsound(side), [])
  })
