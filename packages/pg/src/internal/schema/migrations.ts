/**
 * The schema as code: additive steps, each in one transaction with its entry, under one lock.
 *
 * Guarantee: any number of processes may start at once; one migrates and the others find it done. Nothing that a release
 * before this one calls is removed or changes its meaning, so that two releases run side by side (P11). A schema that is
 * newer than the code is accepted while it says that this code can still read it, and refused with `Incompatible` else.
 */
import * as Agenda from "./functions/agenda.ts"
import * as Control from "./functions/control.ts"
import * as Enqueue from "./functions/enqueue.ts"
import * as EnqueueKeyed from "./functions/enqueueKeyed.ts"
import * as Exchange from "./functions/exchange.ts"
import * as Flow from "./functions/flow.ts"
import * as HandOver from "./functions/handOver.ts"
import * as Keep from "./functions/keep.ts"
import * as Keys from "./functions/keys.ts"
import * as Limits from "./functions/limits.ts"
import * as Maintain from "./functions/maintain.ts"
import * as Pages from "./functions/pages.ts"
import * as Parts from "./functions/parts.ts"
import * as Public from "./functions/public.ts"
import * as Read from "./functions/read.ts"
import * as Schedules from "./functions/schedules.ts"
import * as Settle from "./functions/settle.ts"
import * as Steps from "./functions/steps.ts"
import * as Unique from "./functions/unique.ts"
import { lists, reasons } from "./lists.ts"
import { outbox } from "./outbox.ts"
import { processes } from "./processes.ts"
import { tables } from "./tables.ts"
import { texts } from "./texts.ts"

/** How long a step may wait for a lock that somebody's work holds, before it gives up and changes nothing. */
export const lockTimeout = "10s"

/** A schema's name as SQL, and the channel of its notifications. */
export interface Names {
  readonly schema: string
  readonly channel: string
}

export interface Migration {
  readonly version: number
  readonly name: string
  /** The oldest version of the code that can work on the schema after this step. */
  readonly readableBy: number
  readonly statements: (names: Names) => ReadonlyArray<string>
  /**
   * What makes writers wait until the end of the transaction. It comes after all else, which may read for long, and takes no lock
   * that an exchange has while it waits for it.
   */
  readonly last?: (names: Names) => ReadonlyArray<string>
}

/**
 * What makes a plan the same at a hundred and at ten million records, whatever the statistics say: each statement of these
 * functions is written for an index, and a plan that was made while a table was empty stays in the cache.
 */
const planned = `
  SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off
  SET enable_mergejoin = off SET enable_material = off SET jit = off`

/** The functions that are called from outside: what they call is planned alike. */
const entries = [
  "exchange",
  "commit_one",
  "enqueue",
  "enqueue_plain",
  "enqueue_each",
  "enqueue_keyed",
  "renew",
  "register",
  "write_entries",
  "maintain",
  "control_one",
  "lock_for_control",
  "signal",
  "put_schedule",
  "tick",
  "read_one",
  "oldest_ready",
  "live_page",
  "past_page",
  "change_limit",
  "limit_keys",
  "results"
]

/**
 * Pages beside that are never sorted, nor read by way of a bitmap: what is known of a value is a guess, and a walk by the index ends
 * where the page is full, whatever the guess. What has no order but one made for it is sorted all the same.
 */
const walked = "SET enable_sort = off SET enable_bitmapscan = off"
const walks = ["live_page", "past_page"]

type Module = Readonly<Record<string, (schema: string, channel: string) => string>>

const made = (modules: ReadonlyArray<Module>, { channel, schema }: Names): ReadonlyArray<string> =>
  modules.flatMap((module) => Object.values(module).map((define) => define(schema, channel)))

/** As they are by now: made anew after whatever steps a schema lacks. */
const functions = (names: Names): ReadonlyArray<string> =>
  made([
    Parts,
    Keys,
    Limits,
    Flow,
    Agenda,
    Enqueue,
    Unique,
    EnqueueKeyed,
    Steps,
    Settle,
    Exchange,
    HandOver,
    Keep,
    Schedules,
    Maintain,
    Control,
    Public,
    Read,
    Pages
  ], names)

/** How the planner is set for the entries: told again after one of them is made anew. */
export const settings = (names: Names): ReadonlyArray<string> => [
  setFor(names, entries, planned),
  setFor(names, walks, walked)
]

const setFor = ({ schema }: Names, functions: ReadonlyArray<string>, settings: string): string => `
DO $do$
DECLARE f regprocedure;
BEGIN
  FOR f IN SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = '${schema.replaceAll("\"", "")}' AND p.proname IN (${
  functions.map((name) => `'${name}'`).join(", ")
})
  LOOP
    EXECUTE format('ALTER FUNCTION %s ${settings.trim().replaceAll(/\s+/g, " ")}', f);
  END LOOP;
END $do$`

/** What release 0.1.0 has and nobody calls from outside: a function that others took the place of. Without a notice where there is none. */
const drop = ({ schema }: Names, name: string): string => `
DO $do$
BEGIN
  IF to_regprocedure('${schema}.${name}') IS NOT NULL THEN
    DROP FUNCTION ${schema}.${name};
  END IF;
END $do$`

/** What the steps do to tables. A step that has nothing to do there stands for functions that have changed. */
export const migrations: ReadonlyArray<Migration> = [
  {
    version: 1,
    name: "init",
    readableBy: 1,
    statements: ({ schema }) => [...tables(schema), ...outbox(schema)]
  },
  {
    version: 2,
    name: "lists",
    readableBy: 1,
    statements: () => [],
    last: ({ schema }) => lists(schema)
  },
  {
    version: 3,
    name: "pages",
    readableBy: 1,
    statements: (names) => [
      ...processes(names.schema),
      drop(names, "happen(json, bigint, boolean)"),
      drop(names, "was_stored(uuid)")
    ],
    last: ({ schema }) => reasons(schema)
  },
  {
    version: 4,
    name: "texts",
    readableBy: 1,
    statements: ({ schema }) => texts(schema)
  }
]

/** The version of the schema that this code writes. */
export const latest = migrations.at(-1)!.version

/** All that brings a schema of a version to this release's: the steps that it lacks, and the functions of this release. */
export const statementsFrom = (names: Names, from: number): ReadonlyArray<string> => {
  const missing = migrations.filter(({ version }) => version > from)
  return from >= latest ? [] : [
    ...missing.flatMap((migration) => [...migration.statements(names), record(names.schema, migration)]),
    ...functions(names),
    ...settings(names),
    ...missing.flatMap(({ last }) => last?.(names) ?? [])
  ]
}

/**
 * The same as a script, for whoever runs migrations by hand. It does what the layer does: one transaction, one
 * lock, no long wait for the locks of others; and nothing where the schema has another version than was said.
 */
export const script = (names: Names, from: number): string =>
  [
    "BEGIN",
    `SET LOCAL lock_timeout = '${lockTimeout}'`,
    `DO $do$ BEGIN PERFORM pg_advisory_xact_lock(hashtextextended('${names.schema}', 0)); END $do$`,
    ...(from === 0 ? bookkeeping(names.schema) : []),
    `DO $do$
DECLARE v_version int := (SELECT coalesce(max(version), 0) FROM ${names.schema}.migration);
BEGIN
  IF v_version <> ${from} THEN
    RAISE EXCEPTION 'schema ${names.schema} has version %, and this script is for version ${from}', v_version;
  END IF;
END $do$`,
    ...statementsFrom(names, from),
    "COMMIT"
  ].map((statement) => `${statement.trim()};\n`).join("\n")

export const bookkeeping = (schema: string): ReadonlyArray<string> => [
  // Of a schema that is there, Postgres would ask for the right to make one all the same.
  `DO $do$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = '${schema.replaceAll("\"", "")}') THEN
    CREATE SCHEMA IF NOT EXISTS ${schema};
  END IF;
END $do$`,
  `CREATE TABLE IF NOT EXISTS ${schema}.migration (
    version int PRIMARY KEY,
    name text NOT NULL,
    readable_by int NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
  )`
]

export const record = (schema: string, { name, readableBy, version }: Migration): string =>
  `INSERT INTO ${schema}.migration (version, name, readable_by) VALUES (${version}, '${name}', ${readableBy})`
