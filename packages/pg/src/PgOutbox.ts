/**
 * The outbox: jobs that live in another store, enqueued in a transaction of Postgres.
 *
 * What a program enqueues in an outbox commits or rolls back with its transaction; a relay then hands it to the other store
 * and removes it once that has acknowledged it. At least once: a relay that dies in between hands it over again under the
 * same id, which the other store answers with `Existing`: Redis for as long as it retains the record, another Postgres until
 * the record has ended.
 *
 * The enqueue itself always answers `Inserted`: who holds a key is known to the other store alone.
 *
 * @since 0.1.0
 */
import { PgClient } from "@effect/sql-pg/PgClient"
import { type JobError, JobStore } from "capstan"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { Client, numbers, texts, uuids } from "./internal/client.ts"
import { enqueueOnly, incompatible } from "./internal/enqueueOnly.ts"
import * as Migrate from "./internal/migrate.ts"
import { namesOf } from "./internal/names.ts"
import { decode, encode } from "./internal/outboxRecord.ts"

/**
 * Which outbox.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** The name of the relay that the records are for, such as `"redis"`. */
  readonly relay: string
  /**
   * The schema that holds the outbox, with the tables of the Postgres store.
   *
   * @default "capstan"
   */
  readonly schema?: string | undefined
}

/**
 * How a relay moves records from the outbox to the store that they are for.
 *
 * @category options
 * @since 0.1.0
 */
export interface RelayOptions extends Options {
  /**
   * How many records are handed over in one call.
   *
   * @default 100
   */
  readonly batch?: number | undefined
  /**
   * How often an empty outbox is looked at.
   *
   * @default "200 millis"
   */
  readonly poll?: Duration.Input | undefined
  /**
   * How long a relay keeps what it took from the others. Longer than the other store may take to answer: what is taken
   * again meanwhile is handed over twice.
   *
   * @default "30 seconds"
   */
  readonly lease?: Duration.Input | undefined
}

/**
 * The store of a program that enqueues through an outbox. It brings the schema to this release, and takes enqueues alone:
 * whatever else is asked of it fails with `Incompatible`, as does to publish an event that cancels records or completes
 * waitpoints (`cancelOn`, `completeOn`).
 *
 * **Example**
 *
 * ```ts
 * yield* sql.withTransaction(Effect.gen(function*() {
 *   yield* sql`INSERT INTO orders ${sql.insert(order)}`
 *   yield* ShipOrder.enqueue(order)
 * })).pipe(Effect.provide(PgOutbox.layer({ relay: "redis" })))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: Options & {
    /**
     * Whether the layer brings the schema to this release. With `false` it only checks.
     *
     * @default true
     */
    readonly migrate?: boolean | undefined
  }
): Layer.Layer<JobStore.JobStore, JobError.JobStoreError, PgClient> =>
  Layer.effect(
    JobStore.JobStore,
    Effect.gen(function*() {
      const pg = yield* PgClient
      const names = yield* namesOf(options.schema)
      if (options.migrate === false) yield* Migrate.check(pg, names)
      else yield* Migrate.migrate(pg, names)
      const client = yield* clientOf(options)
      const text = `INSERT INTO ${client.schema}.outbox (relay, at, id, record)
        SELECT $1, ${client.schema}.clock(), id, record FROM unnest($2::uuid[], $3::text[]) AS g(id, record)`
      return enqueueOnly(
        `the outbox of ${options.relay}`,
        ({ cancels = [], completes = [], records }) =>
          cancels.length + completes.length > 0 ? Effect.fail(incompatible("publish", ofOthers(options))) : Effect.as(
            client.ambient("enqueue", text, [
              options.relay,
              uuids(records.map(({ id }) => id)),
              texts(records.map(encode))
            ]),
            records.map(({ id }): JobStore.Enqueued => ({ id, outcome: "Inserted" }))
          ),
        { inTransaction: (context) => client.isInTransaction(context) }
      )
    })
  )

const ofOthers = ({ relay }: Options): string =>
  `what the event cancels or completes (cancelOn, completeOn) lies in the other store, where no transaction of this one changes ` +
  `anything, and the outbox of ${relay} takes jobs alone: publish it with the other store after the commit, or from a job that ` +
  "you enqueue here"

/**
 * Hands over what is in the outbox, for as long as the layer lives. The store that it is provided with is the other one.
 *
 * **Details**
 *
 * Several relays of one name may run. A record that the other store refuses for good stays in the outbox with the reason,
 * is logged once, and holds up nobody; see `waiting`.
 *
 * A store that is set up wrongly fails over every record: a right is missing, or a password or a schema is another. So one over which
 * it fails is only refused when it fails over it once more after it has taken another one in the same step; else all stay, and the
 * relay goes on trying.
 *
 * **Example**
 *
 * ```ts
 * const RelayLive = PgOutbox.relay({ relay: "redis" }).pipe(Layer.provide(RedisStoreLive), Layer.provide(PgLive))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const relay = (
  options: RelayOptions
): Layer.Layer<never, JobError.JobStoreError, PgClient | JobStore.JobStore> =>
  Layer.effectDiscard(Effect.gen(function*() {
    const { batch, poll } = settingsOf(options)
    // A name that is no schema's fails here, and not in the background.
    yield* clientOf(options)
    const step = handOver(options).pipe(
      Effect.tapError((error) => Effect.logWarning(`the relay ${options.relay} goes on trying: ${error.message}`)),
      Effect.retry(outage),
      Effect.flatMap((count) => count < batch ? Effect.sleep(poll) : Effect.void)
    )
    yield* Effect.forkScoped(Effect.forever(step))
  }))

/** While one of the two stores is away. */
const outage = Schedule.exponential("100 millis").pipe(
  Schedule.jittered,
  (schedule) => Schedule.min([schedule, Schedule.spaced("5 seconds")])
)

/**
 * One step of a relay: takes up to a batch, hands it over, removes what was acknowledged. Answers how many were taken.
 *
 * @category relay
 * @since 0.1.0
 */
export const handOver = (
  options: RelayOptions
): Effect.Effect<number, JobError.JobStoreError, PgClient | JobStore.JobStore> =>
  Effect.gen(function*() {
    const client = yield* clientOf(options)
    const target = yield* JobStore.JobStore
    const { batch, lease } = settingsOf(options)
    const { schema: s } = client
    const take = (place: keyof typeof places, count: number) =>
      client.call<Taken>(
        "relay",
        `WITH few AS (
          SELECT num FROM ${s}.outbox WHERE ${isFree(s)} ${places[place](s)} LIMIT $2::int FOR UPDATE SKIP LOCKED
        ), took AS (
          UPDATE ${s}.outbox o SET taken_until = ${s}.clock() + $3::float8::bigint FROM few WHERE o.num = few.num
          RETURNING o.num, o.at, o.record
        )
        SELECT num::float8 AS num, (${s}.clock() - at)::float8 AS waited, record FROM took ORDER BY took.num`,
        [options.relay, count, Math.ceil(Duration.toMillis(lease))]
      )
    const remove = (some: ReadonlyArray<Taken>) =>
      client.call("relay", `DELETE FROM ${s}.outbox WHERE num = ANY ($1::float8[]::bigint[])`, [
        numbers(some.map(({ num }) => num))
      ])
    const release = (some: ReadonlyArray<Taken>) =>
      client.call("relay", `UPDATE ${s}.outbox SET taken_until = 0 WHERE num = ANY ($1::float8[]::bigint[])`, [
        numbers(some.map(({ num }) => num))
      ])
    const refuse = (one: Taken, reason: string) =>
      Effect.andThen(
        Effect.logError(`the relay ${options.relay} keeps record ${one.num}, which is refused: ${reason}`),
        client.call("relay", `UPDATE ${s}.outbox SET refused = $2 WHERE num = $1::float8::bigint`, [one.num, reason])
      )

    /** Hands some over, and answers over which of them the other store fails. */
    const send = (some: ReadonlyArray<Taken>): Effect.Effect<ReadonlyArray<Failed>, JobError.JobStoreError> =>
      Effect.matchEffect(target.enqueue({ records: some.map(({ record, waited }) => decode(record, waited)) }), {
        onSuccess: (answers) => {
          const refused = answers.find((answer) => refusals[answer.outcome] !== undefined)
          if (refused === undefined) return Effect.as(remove(some), [])
          return some.length > 1 ? apart(some) : Effect.as(refuse(some[0]!, refusals[refused.outcome]!(refused.id)), [])
        },
        onFailure: (error) =>
          error.isTransient
            ? Effect.fail(error)
            : some.length > 1
            ? apart(some)
            : Effect.succeed([{ one: some[0]!, error }])
      })
    /** One of them is refused, and none was stored: now each for itself. */
    const apart = (some: ReadonlyArray<Taken>) =>
      Effect.map(Effect.forEach(some, (one) => send([one])), (all) => all.flat())

    const orRelease = <A>(some: ReadonlyArray<Taken>, step: Effect.Effect<A, JobError.JobStoreError>) =>
      Effect.tapError(step, () => Effect.ignore(release(some)))

    const taken = yield* take("oldest", batch)
    /** Whether it takes one of these, where it has failed over all others: each is held until the next has been tried. */
    const takesOneOf = (
      place: keyof typeof places,
      ...more: ReadonlyArray<keyof typeof places>
    ): Effect.Effect<boolean, JobError.JobStoreError> =>
      Effect.gen(function*() {
        const some = yield* take(place, 1)
        if (some.length === 0) return false
        return yield* orRelease(
          some,
          Effect.gen(function*() {
            const failed = yield* send(some)
            if (failed.length === 0) return true
            const [next, ...rest] = more
            const isSound = next !== undefined && (yield* takesOneOf(next, ...rest))
            yield* release(some)
            return isSound
          })
        )
      })
    const step = Effect.gen(function*() {
      const failed = yield* send(taken)
      if (failed.length === taken.length && !(yield* takesOneOf("newest", "any"))) return yield* failed[0]!.error
      // It takes some by now, and may have been mended since it failed over these.
      const again = yield* apart(failed.map(({ one }) => one))
      yield* Effect.forEach(again, ({ error, one }) => refuse(one, error.message), { discard: true })
    })
    if (taken.length > 0) yield* orRelease(taken, step)
    return taken.length
  })

/**
 * How many records wait for a relay, how many of them the other store has refused, and how long the oldest has waited.
 *
 * @category relay
 * @since 0.1.0
 */
export const waiting = (
  options: Options
): Effect.Effect<
  { readonly waiting: number; readonly refused: number; readonly oldestMillis: number },
  JobError.JobStoreError,
  PgClient
> =>
  Effect.flatMap(clientOf(options), (client) =>
    Effect.map(
      client.call<{ waiting: number; refused: number; oldestMillis: number }>(
        "relay",
        `SELECT count(*) FILTER (WHERE refused IS NULL)::int AS waiting, count(refused)::int AS refused,
          coalesce(${client.schema}.clock() - min(at) FILTER (WHERE refused IS NULL), 0)::float8 AS "oldestMillis"
         FROM ${client.schema}.outbox WHERE relay = $1`,
        [options.relay]
      ),
      ([row]) => row!
    ))

/** What no relay holds of those that are for this one. */
const isFree = (s: string) => `relay = $1 AND refused IS NULL AND taken_until <= ${s}.clock()`

/** Any: from a place by chance on, so that each has its turn in the end, however many are refused around it. */
const places = {
  oldest: () => "ORDER BY num",
  newest: () => "ORDER BY num DESC",
  any: (s: string) =>
    `AND num >= (SELECT min(num) + floor(random() * (max(num) - min(num) + 1))::bigint
        FROM ${s}.outbox WHERE ${isFree(s)}) ORDER BY num`
}

/** Why the other store has not stored it, by what it answers of the record with an id. */
const refusals: { readonly [outcome in JobStore.Enqueued["outcome"]]?: (id: string) => string } = {
  UniqueConflict: (id) => `its unique key is held by ${id}, and one of the two is a member of a flow`,
  Begun: (id) => `${id}, which was to wait for it, waits for nothing any more`,
  Refused: () => "the other store gives no reason"
}

interface Taken {
  readonly num: number
  readonly waited: number
  readonly record: string
}

/** It is refused, or the other store is not what it should be. */
interface Failed {
  readonly one: Taken
  readonly error: JobError.JobStoreError
}

const settingsOf = ({ batch = 100, lease = "30 seconds", poll = "200 millis" }: RelayOptions) => ({
  batch,
  lease: Duration.fromInputUnsafe(lease),
  poll: Duration.fromInputUnsafe(poll)
})

const clientOf = ({ relay, schema }: Options): Effect.Effect<Client, JobError.JobStoreError, PgClient> =>
  relay === ""
    ? Effect.fail(incompatible("relay", "option relay: a relay has a name"))
    : Effect.flatMap(PgClient, (pg) =>
      Effect.map(namesOf(schema), (names) => new Client(pg, names.schema, names.channel)))
