/** Postgres under the faults: a throwaway server with its own defaults, so durable; a schema for each run. */
import { PgJobStore } from "@capstan/pg"
import { PgClient } from "@effect/sql-pg"
import { Transactional } from "capstan"
import { Effect, Exit, Layer, ManagedRuntime, Redacted, Result, Schedule, Scope } from "effect"
import { setTimeout as sleep } from "node:timers/promises"
import { type Postgres, startPostgres } from "../../../scripts/servers/index.ts"
import { accounts, Bank, opening, Transfer } from "../jobs/bank.ts"
import {
  type Ending,
  failedOf,
  type Framing,
  type Piece,
  type Safeguard,
  type Server,
  type Special,
  type Store,
  type Stored
} from "../store.ts"

/** What the runner looks with: its connections are not those that are cut. */
const operator = "chaos-operator"

/**
 * Messages of the backend: a type, a length, a body. All up to `ReadyForQuery` is one reply; that its transaction is over,
 * `I`, says that the statement is committed. What comes unasked, a notification for one, is not held up.
 */
const framing: Framing = () => {
  let rest: Uint8Array = new Uint8Array()
  let held: Array<Uint8Array> = []
  let isStarted = false
  return (chunk) => {
    const pieces: Array<Piece> = []
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    let at = 0
    while (bytes.length - at >= 5) {
      const end = at + 1 + view.getUint32(at + 1)
      if (end > bytes.length) break
      const type = String.fromCharCode(bytes[at]!)
      const message = bytes.subarray(at, end)
      if (held.length === 0 && "ANSE".includes(type)) {
        pieces.push({ bytes: message, isReply: false })
      } else {
        held.push(message)
        if (type === "Z") {
          pieces.push({ bytes: Buffer.concat(held), isReply: isStarted && message[5] === "I".charCodeAt(0) })
          held = []
          isStarted = true
        }
      }
      at = end
    }
    rest = bytes.slice(at)
    return pieces
  }
}

/**
 * What each safeguard is, as it stands in the functions of the schema, and what stands there without it. A text that is
 * not found fails the run: a control that removes nothing would be green for nothing.
 */
const safeguards: Readonly<Record<Safeguard, ReadonlyArray<readonly [name: string, text: string, instead: string]>>> = {
  fence: [
    ["complete", "WHERE r.id = g.id AND r.fence = g.fence", "WHERE r.id = g.id"],
    ["settle_one", "AND fence = (x ->> 'fence')::int FOR UPDATE", "FOR UPDATE"],
    ["write_entries", "AND fence = (x ->> 'fence')::int AND state = 1", ""],
    ["holds_fence", "AND fence = p_fence AND state = 1", ""]
  ],
  // The processes do without these themselves.
  commit: [],
  compatibility: [],
  tidiness: [],
  // The standby does.
  replication: [],
  uniqueness: [["enqueue_one", "IF v_idem IS NOT NULL THEN\n    INSERT", "IF false THEN\n    INSERT"]],
  revision: [["tick", "AND revision = p_revision AND next_at IS NOT DISTINCT FROM p_at", ""]],
  reconciling: [["give_back", "q.at <= p_now - p_older", "false"]],
  rescue: [["maintain", "lease_until <= v_now AND NOT ended", "false"]],
  slots: [
    ["take_slot", "WHERE k.held < excluded.lim", ""],
    ["enqueue_keyed", "<= (v_rooms ->> g.key)::int THEN 0", "<= 1000000 THEN 0"]
  ]
}

/** Without `commit` each of its statements stands alone, and the attempt ends after them. */
const bank = (schema: string, without: Safeguard | undefined) =>
  Layer.effect(
    Bank,
    Effect.gen(function*() {
      const sql = yield* PgClient.PgClient
      const transactional = yield* Transactional.Transactional
      const add = (id: number, amount: number) =>
        sql.unsafe(`UPDATE ${schema}.account SET balance = balance + $2 WHERE id = $1`, [id, amount])
      return Bank.of({
        move: ({ amount, from, to }, between) =>
          add(from, -amount).pipe(
            Effect.andThen(between),
            Effect.andThen(add(to, amount)),
            Effect.orDie,
            Effect.asVoid
          ),
        commit: (attempt) =>
          without === "commit"
            ? attempt
            : Effect.provideService(Transfer.commit(attempt), Transactional.Transactional, transactional)
      })
    })
  )

const states: Readonly<Record<number, Stored["state"]>> = { 1: "running", 4: "completed", 5: "cancelled", 6: "dead" }

interface Row {
  readonly id: string
  readonly tag: string
  readonly payload: string
  readonly state: number
  readonly result: string | null
  readonly attempt: number
  readonly attempts:
    | ReadonlyArray<
      Ending & { readonly decision: string }
    >
    | null
}

/** Failures of the operator's statements that are gone when these are sent again. */
const passing: ReadonlySet<string> = new Set(["ConnectionError", "DeadlockError", "UnknownError"])

const settings = { max_connections: "200" }

/** Milliseconds in which a standby that no longer follows falls behind. */
const behind = 500

/** Megabytes: enough for what a run leaves in the time in which nothing is full. */
const littleRoom = 48

const runtimeOf = ({ url }: Postgres) =>
  ManagedRuntime.make(PgClient.layer({ url: Redacted.make(url), applicationName: operator, maxConnections: 2 }))

const start = async (special?: Special): Promise<Server> => {
  const primary = await startPostgres({ settings, ...special === "little room" ? { smallDisk: littleRoom } : {} })
  let follower: Postgres | undefined
  if (special === "standby") {
    await primary.halt()
    follower = await startPostgres({ settings, standbyOf: primary })
    await primary.restart()
  }
  const standby = follower
  let postgres = primary
  let runtime = runtimeOf(primary)
  let isReplicated = true
  /**
   * The server may have been crashed a moment ago. A statement of a killed process goes on without it, and may take a
   * schema's tables in another order than the drop of it does.
   */
  const query = <A extends object>(text: string, params: ReadonlyArray<unknown> = []): Promise<ReadonlyArray<A>> =>
    runtime.runPromise(
      Effect.flatMap(PgClient.PgClient, (sql) => sql.unsafe<A>(text, params).unprepared).pipe(
        Effect.retry({
          while: ({ reason }) => passing.has(reason._tag),
          schedule: Schedule.spaced("100 millis").pipe(Schedule.upTo({ times: 100 }))
        })
      )
    )
  if (standby !== undefined) {
    // What is acknowledged is on both.
    await query("ALTER SYSTEM SET synchronous_standby_names = '*'")
    await query("SELECT pg_reload_conf()")
  }
  const [row] = await query<{ described: string }>(
    `SELECT 'postgres ' || current_setting('server_version') || ', fsync ' || current_setting('fsync') ||
       ', synchronous_commit ' || current_setting('synchronous_commit') AS described`
  )
  return {
    described: row!.described,
    get port() {
      return postgres.port
    },
    urlAt: (port) => `postgres://postgres@127.0.0.1:${port}/postgres`,
    crash: primary.crash,
    restart: primary.restart,
    stop: async () => {
      await runtime.dispose()
      await Promise.all([primary.stop(), standby?.stop()])
    },
    ...special !== "little room" ? {} : {
      confine: async (schema) => {
        await query(`CREATE TABLESPACE small LOCATION '${primary.smallDisk}'`)
        const relations = await query<{ kind: string; name: string }>(
          `SELECT CASE relkind WHEN 'r' THEN 'TABLE' ELSE 'INDEX' END AS kind, oid::regclass::text AS name FROM pg_class
           WHERE relnamespace = '${schema}'::regnamespace AND relkind IN ('r', 'i')`
        )
        for (const { kind, name } of relations) await query(`ALTER ${kind} ${name} SET TABLESPACE small`)
      },
      // By the server, since nobody else sees its disk. It ends when nothing more goes onto it.
      fill: async () => {
        const reply = await runtime.runPromise(Effect.result(Effect.flatMap(
          PgClient.PgClient,
          (sql) =>
            sql.unsafe(
              `COPY (SELECT repeat('x', 1000) FROM generate_series(1, ${
                littleRoom * 2000
              })) TO '${primary.smallDisk}/ballast'`
            ).unprepared
        )))
        const said = Result.isFailure(reply) ? String(reply.failure.reason.cause) : "nothing"
        if (!said.includes("No space left")) throw new Error(`the small disk is not full, the server said: ${said}`)
      },
      empty: async () => {
        await query(`COPY (SELECT 1) TO PROGRAM 'rm -f ${primary.smallDisk}/ballast'`)
      }
    },
    ...standby === undefined ? {} : {
      failOver: async () => {
        if (!isReplicated) {
          await query("ALTER SYSTEM RESET synchronous_standby_names")
          await query("SELECT pg_reload_conf()")
          const follower = runtimeOf(standby)
          for (const text of ["ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()"]) {
            await follower.runPromise(Effect.flatMap(PgClient.PgClient, (sql) => sql.unsafe(text).unprepared))
          }
          await follower.dispose()
          await sleep(behind)
        }
        await primary.crash()
        await runtime.dispose()
        postgres = standby
        runtime = runtimeOf(standby)
      },
      promote: async () => {
        await query("SELECT pg_promote()")
      }
    },
    prepare: async (schema) => {
      await runtime.runPromise(PgJobStore.migrate({ schema }))
      await query(`CREATE TABLE ${schema}.account (id int PRIMARY KEY, balance int NOT NULL)`)
      await query(
        `INSERT INTO ${schema}.account SELECT n, $1::int FROM generate_series(1, $2::int) n`,
        [opening, accounts]
      )
    },
    cut: async () => {
      const [row] = await query<{ count: number }>(
        `SELECT count(pg_terminate_backend(pid))::int AS count FROM pg_stat_activity
         WHERE backend_type = 'client backend' AND application_name <> '${operator}'`
      )
      return row!.count
    },
    hold: async () => {
      // With an id of its own, which nothing younger can be vacuumed past.
      const scope = await Effect.runPromise(Scope.make())
      const connection = await runtime.runPromise(
        Effect.flatMap(PgClient.PgClient, (sql) => sql.reserve).pipe(Scope.provide(scope))
      )
      const ask = (text: string) => Effect.runPromise(connection.executeUnprepared(text, [], undefined))
      await ask("BEGIN")
      await ask("SELECT pg_current_xact_id()::text")
      return async () => {
        const [row] = await ask("SELECT extract(epoch FROM clock_timestamp() - now())::float8 * 1000 AS open")
        await ask("COMMIT")
        await Effect.runPromise(Scope.close(scope, Exit.void))
        return (row as { readonly open: number }).open
      }
    },
    sizes: async (schema) => {
      const [row] = await query<{ records: number; bytes: number }>(
        `SELECT (SELECT count(*) FROM ${schema}.record)::int + (SELECT count(*) FROM ${schema}.history)::int AS records,
           sum(pg_total_relation_size(oid))::float8 AS bytes FROM pg_class
         WHERE relnamespace = '${schema}'::regnamespace AND relkind = 'r'`
      )
      return { records: row!.records, bytes: row!.bytes }
    },
    unfinished: async (schema) => {
      const [row] = await query<{ count: number }>(`SELECT count(*)::int AS count FROM ${schema}.record`)
      return row!.count
    },
    balances: async (schema) => {
      const rows = await query<{ balance: number }>(`SELECT balance FROM ${schema}.account ORDER BY id`)
      return rows.map(({ balance }) => balance)
    },
    running: async (schema) => {
      const [row] = await query<{ count: number }>(
        `SELECT count(*)::int AS count FROM ${schema}.record WHERE state = 1`
      )
      return row!.count
    },
    records: async (schema) => {
      const rows = await query<Row>(
        `SELECT id::text, tag, payload, state, NULL AS result, attempt, attempts FROM ${schema}.record
         UNION ALL SELECT id::text, tag, payload, state, result, attempt, attempts FROM ${schema}.history`
      )
      return rows.map(({ attempt, attempts, id, payload, result, state, tag }) => ({
        id,
        tag,
        payload,
        state: states[state] ?? "waiting",
        result: result ?? undefined,
        attempt,
        failed: failedOf(attempts ?? []),
        deaths: (attempts ?? []).filter(({ decision }) => decision === "crashed")
          .map(({ endedAt, failure }) => ({ at: endedAt, charged: failure !== undefined }))
      }))
    },
    without: async (safeguard, schema) => {
      if (safeguard === "replication") isReplicated = false
      for (const [name, text, instead] of safeguards[safeguard]) {
        const [row] = await query<{ definition: string }>(
          `SELECT pg_get_functiondef(p.oid) AS definition FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
           WHERE n.nspname = $1 AND p.proname = $2`,
          [schema, name]
        )
        const definition = row?.definition ?? ""
        if (!definition.includes(text)) throw new Error(`${name} does not say "${text}": nothing to take away`)
        await query(definition.replaceAll(text, () => instead))
      }
    },
    drop: async (schema) => {
      // Sent again when its reply was lost: it may be gone by then.
      await query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
    }
  }
}

export const store: Store = {
  layer: ({ namespace, url, without }) =>
    bank(namespace, without).pipe(
      Layer.provideMerge(PgJobStore.layer({ schema: namespace })),
      Layer.provideMerge(PgClient.layer({ url: Redacted.make(url), maxConnections: 5 }))
    ),
  framing,
  cutEvery: 5000,
  resumesIn: 1000,
  abilities: ["balances", "hold"],
  special: ["little room", "standby"],
  start
}
