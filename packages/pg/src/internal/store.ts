/** The verbs of the seam over the functions of the schema. */
import { type JobRecord, JobStore, StandBy } from "capstan"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import { search } from "./bounded.ts"
import { type Client, ints, texts, uuids } from "./client.ts"
import * as Codec from "./codec.ts"
import { describe } from "./describe.ts"
import { enqueueOn } from "./enqueue.ts"
import { examine } from "./examine.ts"
import { Exchanges } from "./exchange.ts"
import * as Limits from "./limits.ts"
import { Listener } from "./listen.ts"
import { withLocalWakeups } from "./local.ts"
import { Marks } from "./marks.ts"
import * as Query from "./query.ts"
import * as Schedules from "./schedules.ts"
import { stats } from "./stats.ts"

export interface Settings {
  readonly identity: string
  readonly maxCrashes: number
  readonly listen: boolean
  /** How often the listener sends itself a message. For tests. */
  readonly beat?: Duration.Input
}

export const make = Effect.fnUntraced(function*(
  client: Client,
  settings: Settings
): Effect.fn.Return<JobStore.Shape, never, Scope.Scope> {
  const { schema: s } = client
  const scope = yield* Effect.scope
  const listenerId = `${settings.identity}:${yield* Random.nextIntBetween(0, 2 ** 48)}`
  const marks = new Marks()
  const exchanges = new Exchanges(client, marks)
  const standBy = new StandBy.StandBy()
  const listener = new Listener(client, scope, listenerId, marks.late, settings.beat)

  const store: JobStore.Shape = {
    identity: settings.identity,
    notifications: "hint",
    inTransaction: (context) => client.isInTransaction(context),
    describe: describe(client, settings),
    examine: examine(client),
    enqueue: enqueueOn(client, scope, exchanges, standBy),

    exchange: exchanges.exchange,

    standBy: standBy.wait,

    renew: (request) =>
      Effect.map(
        client.call<{ reply: Renewed }>(
          "renew",
          `SELECT ${s}.register($1, $2::float8::bigint, $3, $4::text::jsonb, $5, $6, $7::float8::bigint, $8) AS reply`,
          [
            request.worker,
            request.lease,
            texts(request.queues),
            JSON.stringify(request.handles),
            uuids(request.holding.map(({ id }) => id)),
            ints(request.holding.map(({ fence }) => fence)),
            // Far enough: a claim is never older.
            Math.min(request.reconcileOlderThan, 1e15),
            request.process === undefined ? null : JSON.stringify(request.process)
          ]
        ),
        ([row]) => {
          exchanges.renewed(request.worker)
          return { ...row!.reply, maintainIn: row!.reply.maintainIn ?? undefined }
        }
      ),

    write: (entries) =>
      Effect.map(
        client.call<{ answers: ReadonlyArray<JobStore.Settled> }>(
          "write",
          `SELECT ${s}.write_entries($1::text::json) AS answers`,
          [JSON.stringify(entries.map(Codec.writeJson))]
        ),
        ([row]) => row!.answers
      ),

    results: (ids) =>
      Effect.map(
        client.call<ResultRow>("results", `SELECT * FROM ${s}.results($1)`, [uuids(ids.filter(Codec.isId))]),
        (rows) => {
          const found = new Map(rows.map((row) => [row.id, row]))
          return ids.map((id) => toAnswer(id, found.get(id)))
        }
      ),

    dependencies: ({ cursor, id, limit }) =>
      !Codec.isId(id) ? Effect.succeed({ dependencies: [], cursor: undefined }) : Effect.map(
        client.call<DependencyRow>("dependencies", Query.dependencies(s), [
          id,
          cursor !== undefined && Codec.isId(cursor.slice(0, idLength)) ? cursor.slice(0, idLength) : beforeAll,
          cursor?.slice(idLength) ?? "",
          String(limit)
        ]),
        (rows) => {
          const last = rows.length === limit ? rows.at(-1) : undefined
          return {
            dependencies: rows.map(({ id, name, state, value }) => ({ name, answer: endOf(id, state, value) })),
            cursor: last === undefined ? undefined : last.id + last.name
          }
        }
      ),

    signal: ({ id, value, waitpoint }) =>
      Effect.withFiber((fiber) => {
        const inTransaction = client.isInTransaction(fiber.context)
        if (!Codec.isId(id)) return Effect.succeed("NotFound" as const)
        return Effect.map(
          client.ambient<{ answer: "Delivered" | "Early" | "NotFound" }>(
            "signal",
            `SELECT ${s}.signal($1::uuid, $2, $3, $4) AS answer`,
            [id, waitpoint, value, inTransaction]
          ),
          ([row]) => row!.answer
        )
      }),

    get: (id) =>
      !Codec.isId(id) ? Effect.undefined : Effect.map(
        client.call<{ found: Codec.ReadRow | null }>("get", `SELECT ${s}.read_one($1::uuid) AS found`, [id]),
        ([row]) => row!.found === null ? undefined : Codec.toRecord(row!.found)
      ),

    query: ({ cursor, limit, order, where }) =>
      Effect.map(
        page(client.call, s, where, order, limit, cursor),
        ({ cursor, looked, rows }) => ({ records: rows.map(Codec.toRecord), cursor, looked })
      ),

    isCursor: Codec.isId,

    stats: stats(client, scope),

    control: ({ action, cursor, limit, where }) =>
      Effect.withFiber((fiber) =>
        Effect.gen(function*() {
          const inTransaction = client.isInTransaction(fiber.context)
          // What the caller's transaction has done so far is among what it looks at.
          const { cursor: next, rows } = yield* page(client.ambient, s, where, "oldest", limit, cursor)
          const ids = rows.map(({ id }) => id)
          const found = new Set<string>(ids)
          // What is not there is told once, with the first chunk; later it may be gone by what that has done.
          const asked = cursor === undefined ? [...new Set(where.ids)] : []
          const missing = asked.filter((id) => Codec.isId(id) && !found.has(id))
          const none = asked.filter((id) => !Codec.isId(id))
          // One that exists but does not match was not asked for.
          const outcomes = yield* client.ambient<{ id: JobRecord.JobId; outcome: JobStore.ControlOutcome | null }>(
            "control",
            `SELECT u.id, CASE
               WHEN u.n <= $11::int THEN ${s}.control_one(u.id, $2, $3, $4, $5::int, $6::text::jsonb, coalesce($7::float8::bigint,
                 ${s}.clock() + $8::float8::bigint), $9::int, ${s}.clock(), $10)
               WHEN NOT ${s}.is_stored(u.id, true, ${s}.clock()) THEN 'NotFound' END AS outcome
             FROM ${inTransaction ? "" : `${s}.lock_for_control(($1::uuid[])[:$11::int], $2), `}
               unnest($1::uuid[]) WITH ORDINALITY AS u(id, n) ORDER BY u.n`,
            [uuids([...ids, ...missing]), ...actionParams(action), inTransaction, ids.length]
          )
          return {
            outcomes: [
              ...outcomes.flatMap(({ id, outcome }) => outcome === null ? [] : [{ id, outcome }]),
              ...none.map((id) => ({ id, outcome: "NotFound" as const }))
            ],
            cursor: next
          }
        })
      ),

    pause: (queue, paused) =>
      !Codec.isHeld(queue) ? Effect.succeed(false) : Effect.map(
        client.call<{ changed: boolean }>("pause", `SELECT ${s}.pause($1, $2) AS changed`, [queue, paused]),
        ([row]) => row!.changed
      ),

    ...Schedules.verbs(client),
    ...Limits.verbs(client),

    maintain: Effect.map(
      client.call<{ reply: Schedules.Maintained }>("maintain", `SELECT ${s}.maintain($1::int) AS reply`, [
        settings.maxCrashes
      ]),
      ([row]) => Schedules.maintained(row!.reply)
    ),

    wakeups: listener.wakeups,
    events: listener.events
  }
  return settings.listen ? store : withLocalWakeups(store, client, marks.late)
})

type Renewed = Omit<JobStore.RenewReply, "maintainIn"> & { readonly maintainIn: number | null }

interface ResultRow {
  readonly id: string
  readonly state: number
  readonly reason: string | null
  readonly result: string | null
  readonly failure: string | null
  readonly progress: string | null
}

interface DependencyRow {
  readonly id: JobRecord.JobId
  readonly name: string
  readonly state: number | null
  readonly value: string | null
}

const idLength = 36
const beforeAll = "00000000-0000-0000-0000-000000000000"

/** How a record that is or was waited for stands. */
const endOf = (id: JobRecord.JobId, state: number | null, value: string | null): JobStore.ResultAnswer => {
  if (state === null) return { _tag: "Pending", id, progress: undefined }
  switch (Codec.states[state]) {
    case "completed":
      return { _tag: "Completed", id, progress: undefined, result: value ?? undefined }
    case "cancelled":
      return { _tag: "Cancelled", id, progress: undefined, reason: value ?? "" }
    case "dead": {
      const { failure, reason }: { reason: JobRecord.DeadReason; failure: JobRecord.Failure | null } = JSON.parse(
        value!
      )
      return { _tag: "Dead", id, progress: undefined, reason, failure: failure ?? undefined }
    }
    default:
      return { _tag: "NotFound", id }
  }
}

const toAnswer = (id: JobRecord.JobId, row: ResultRow | undefined): JobStore.ResultAnswer => {
  if (row === undefined) return { _tag: "NotFound", id }
  const progress = row.progress ?? undefined
  switch (Codec.states[row.state]) {
    case "completed":
      return { _tag: "Completed", id, progress, result: row.result ?? undefined }
    case "cancelled":
      return { _tag: "Cancelled", id, progress, reason: row.reason ?? "" }
    case "dead":
      return {
        _tag: "Dead",
        id,
        progress,
        reason: (row.reason ?? "Defect") as JobRecord.DeadReason,
        failure: row.failure === null ? undefined : JSON.parse(row.failure)
      }
    default:
      return { _tag: "Pending", id, progress }
  }
}

/** Control looks in the caller's transaction: at what that has enqueued, and with no second connection. */
const page = (
  call: Client["call"],
  schema: string,
  where: JobStore.Selection,
  order: "newest" | "oldest",
  limit: number,
  cursor: string | undefined
) => {
  const { params, text } = Query.page(schema, where, order, limit, cursor)
  return Effect.map(call<Query.PageRow>("query", text, params, search), (rows) => ({
    rows: rows.flatMap(({ found }) => found ?? []),
    cursor: Query.cursorOf(rows, limit),
    looked: Query.lookedAt(rows, limit)
  }))
}

/** reason, payload, version, what is masked of it, instant, delay, priority. */
const actionParams = (action: JobStore.ControlAction): ReadonlyArray<unknown> => [
  action._tag,
  action._tag === "Cancel" ? Codec.clean(action.reason) : null,
  action._tag === "Retry" ? action.payload?.json ?? null : null,
  action._tag === "Retry" ? action.payload?.version ?? null : null,
  action._tag === "Retry" && action.payload !== undefined ? JSON.stringify(action.payload.sensitive) : null,
  action._tag === "Reschedule" ? action.runAt ?? null : null,
  action._tag === "Reschedule" ? Math.ceil(action.delay) : 0,
  action._tag === "Reprioritise" ? -action.priority : null
]
