/**
 * Storing records: which statement takes which, what goes out together, and what is asked for again when no answer came.
 *
 * In a caller's transaction all of it is part of that; outside, lone enqueues gather, and one that stays alone takes along a worker
 * that sleeps in this process.
 */
import { Coalescer, JobError, type JobStore, type StandBy } from "capstan"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { bounded, usual } from "./bounded.ts"
import { type Client, ints, numbers, texts, uuids } from "./client.ts"
import * as Codec from "./codec.ts"
import { type Exchanges, parameters } from "./exchange.ts"

/** More than this in one call goes out alone. */
const bulk = 100

/** More than records, each for itself. */
const isMore = (request: JobStore.EnqueueRequest): boolean => request.whole !== undefined || Codec.isEvent(request)

/** Records that are stored together would each have a slot of their key. */
const hasOneTwice = (records: ReadonlyArray<JobStore.NewRecord>): boolean =>
  new Set(records.map(({ id }) => id)).size < records.length

/** At once, and without a look at a key. */
const mayStart = (record: JobStore.NewRecord): boolean =>
  record.delay <= 0 && record.runAt === undefined && record.concurrency === undefined && !Codec.isSpecial(record)

const resend = Schedule.exponential("20 millis").pipe(Schedule.jittered, Schedule.upTo({ times: 4 }))

/** `enqueue` of the seam. What gathers is sent until the scope closes. */
export const enqueueOn = (
  client: Client,
  scope: Scope.Scope,
  exchanges: Exchanges,
  standBy: StandBy.StandBy
): JobStore.Shape["enqueue"] => {
  const { schema: s } = client

  const plainText = `SELECT ${s}.enqueue_plain($1, $2, $3, $4, $5, $6::float8[]::bigint[], $7::float8[]::bigint[], ` +
    `$8::float8[]::bigint[], $9, $10, $11, $12)::text[] AS stored`
  const keyedText = `SELECT ${s}.enqueue_keyed($1, $2, $3, $4, $5, $6::float8[]::bigint[], $7::float8[]::bigint[], ` +
    `$8::float8[]::bigint[], $9, $10, $11, $12, $13, $14::float8[]::int[])::text[] AS stored`
  const loneText =
    `SELECT ${s}.enqueue_lone($1::uuid, $2, $3::text::int, $4, $5::text::int, $6::float8::bigint, $7::float8::bigint, ` +
    `$8::float8::bigint, $9, $10, $11, $12) AS stored`
  const forText =
    `SELECT ${s}.enqueue_for($1::uuid, $2, $3::text::int, $4, $5::text::int, $6, $7, $8, $9::float8::bigint, ` +
    `${parameters(10)}) AS reply`
  const eachText = `SELECT id, outcome FROM ${s}.enqueue_each($1::text::json, $2, $3, $4::uuid, $5::text::json)`

  const columnsOf = (records: ReadonlyArray<JobStore.NewRecord>, inTransaction: boolean): ReadonlyArray<unknown> => [
    uuids(records.map(({ id }) => id)),
    texts(records.map(({ tag }) => tag)),
    ints(records.map(({ version }) => version)),
    texts(records.map(({ queue }) => queue)),
    ints(records.map(({ priority }) => -priority)),
    numbers(records.map(({ delay }) => Math.ceil(delay))),
    numbers(records.map(({ runAt }) => runAt === undefined ? null : Math.ceil(runAt))),
    numbers(records.map(({ startBefore }) => startBefore ?? null)),
    texts(records.map(({ retention }) => Codec.retentionOf(retention))),
    texts(records.map(Codec.specOf)),
    texts(records.map(({ payload }) => payload)),
    inTransaction
  ]

  const stored = (
    records: ReadonlyArray<JobStore.NewRecord>,
    [row]: ReadonlyArray<{ readonly stored: ReadonlyArray<string> | null }>
  ): ReadonlyArray<JobStore.Enqueued> => {
    const ids = row!.stored
    if (ids === null) return records.map(({ id }) => ({ id, outcome: "Inserted" }))
    const found = new Set(ids)
    // One that the batch has twice was inserted once.
    return records.map(({ id }) => ({ id, outcome: found.delete(id) ? "Inserted" : "Existing" }))
  }

  const enqueuePlain = (records: ReadonlyArray<JobStore.NewRecord>, inTransaction: boolean) =>
    Effect.map(
      client.ambient<{ stored: ReadonlyArray<string> | null }>("enqueue", plainText, columnsOf(records, inTransaction)),
      (rows) => stored(records, rows)
    )

  const enqueueKeyed = (records: ReadonlyArray<JobStore.NewRecord>, inTransaction: boolean) =>
    Effect.map(
      client.ambient<{ stored: ReadonlyArray<string> | null }>("enqueue", keyedText, [
        ...columnsOf(records, inTransaction),
        texts(records.map(({ concurrency }) => concurrency === undefined ? null : Codec.held(concurrency.key))),
        numbers(records.map(({ concurrency }) => concurrency?.limit ?? null))
      ]),
      (rows) => stored(records, rows)
    )

  const enqueueLone = (record: JobStore.NewRecord, inTransaction: boolean) =>
    Effect.map(
      client.ambient<{ stored: boolean }>("enqueue", loneText, [
        record.id,
        record.tag,
        // As text: of a number the driver makes a float, and a cast would round it.
        String(record.version),
        record.queue,
        String(-record.priority),
        Math.ceil(record.delay),
        record.runAt === undefined ? null : Math.ceil(record.runAt),
        record.startBefore ?? null,
        Codec.retentionOf(record.retention),
        Codec.specOf(record),
        record.payload,
        inTransaction
      ]),
      ([row]): ReadonlyArray<JobStore.Enqueued> => [{ id: record.id, outcome: row!.stored ? "Inserted" : "Existing" }]
    )

  /**
   * One that may start at once, and a worker who stands by. Where the two are refused together, the record is stored alone: who is to
   * blame then hears of it.
   */
  const enqueueFor = (record: JobStore.NewRecord, { receive, request }: StandBy.Taken) =>
    Clock.clockWith((clock) => {
      const asked = exchanges.ask(request, clock)
      const stored = client.call<{ reply: string | null }>("enqueue", forText, [
        record.id,
        record.tag,
        String(record.version),
        record.queue,
        String(-record.priority),
        Codec.retentionOf(record.retention),
        Codec.specOf(record),
        record.payload,
        record.startBefore ?? null,
        ...asked.params
      ])
      return stored.pipe(
        Effect.flatMap(([row]) => row!.reply === null ? Effect.undefined : asked.read(row!.reply)),
        Effect.onExit((exit) =>
          Effect.sync(() => {
            asked.ended()
            receive(toldOf(exit))
          })
        ),
        Effect.map((reply): ReadonlyArray<JobStore.Enqueued> => [
          { id: record.id, outcome: reply === undefined ? "Existing" : "Inserted" }
        ]),
        Effect.catch((error) =>
          error.reason._tag === "OutcomeUnknown" ? Effect.fail(error) : enqueueLone(record, false)
        )
      )
    })

  const enqueueEach = (request: JobStore.EnqueueRequest, again: boolean, inTransaction: boolean) =>
    client.ambient<JobStore.Enqueued>("enqueue", eachText, [
      Codec.batchJson(request),
      again,
      inTransaction,
      request.whole ?? null,
      Codec.isEvent(request) ? Codec.eventsJson(request) : null
    ])

  const enqueueAny = (request: JobStore.EnqueueRequest, inTransaction: boolean) => {
    const { records } = request
    const isKeyed = records.some(({ concurrency }) => concurrency !== undefined)
    return isMore(request) || records.some(Codec.isSpecial) || isKeyed && hasOneTwice(records)
      ? enqueueEach(request, false, inTransaction)
      : isKeyed
      ? enqueueKeyed(records, inTransaction)
      : records.length === 1
      ? enqueueLone(records[0]!, inTransaction)
      : enqueuePlain(records, inTransaction)
  }

  /**
   * A reply that was lost is asked for again under the same ids: nobody else stores them, so one that is there was inserted
   * by this call. Whatever hinders the asking, the outcome is unknown.
   */
  const askAgain = (
    records: ReadonlyArray<JobStore.NewRecord>,
    first: Effect.Effect<ReadonlyArray<JobStore.Enqueued>, JobError.JobStoreError>,
    again: Effect.Effect<ReadonlyArray<JobStore.Enqueued>, JobError.JobStoreError>
  ) =>
    Effect.catch(first, (lost) =>
      lost.reason._tag !== "OutcomeUnknown" ? Effect.fail(lost) : again.pipe(
        Effect.retry({ schedule: resend, while: (error) => error.isTransient }),
        Effect.mapBoth({
          onFailure: (error) => error.isTransient ? lost : error,
          onSuccess: (answers) =>
            answers.map((answer, i): JobStore.Enqueued =>
              answer.outcome === "Existing" && answer.id === records[i]!.id
                ? { ...answer, outcome: "Inserted" }
                : answer
            )
        })
      ))

  /** With a worker who stands by, where it is one record that may start at once and has nothing of its own. */
  const enqueueFirst = (request: JobStore.EnqueueRequest) =>
    Effect.suspend(() => {
      const [record, ...others] = request.records
      const taken = record === undefined || others.length > 0 || !mayStart(record) || isMore(request)
        ? undefined
        : standBy.take(record.queue)
      return taken === undefined ? enqueueAny(request, false) : enqueueFor(record!, taken)
    })

  const enqueueOutside = (request: JobStore.EnqueueRequest) =>
    askAgain(request.records, enqueueFirst(request), Effect.suspend(() => enqueueEach(request, true, false)))

  const outside = (records: ReadonlyArray<JobStore.NewRecord>) => client.outside(enqueueOutside({ records }))
  const coalescer = new Coalescer.Coalescer(outside, scope)
  /** On a way of their own, so that nobody else's enqueue waits with them. */
  const mayWait = new Coalescer.Coalescer(outside, scope)

  const holdsFence = (by: JobStore.AttemptRef, inTransaction: boolean) =>
    Effect.flatMap(
      client.ambient<{ holds: boolean }>("enqueue", `SELECT ${s}.holds_fence($1::uuid, $2::int, $3) AS holds`, [
        by.id,
        by.fence,
        inTransaction
      ]),
      ([row]) =>
        row?.holds === true ? Effect.void : Effect.fail(
          new JobError.JobStoreError({
            reason: new JobError.LeaseLost(by)
          })
        )
    )

  /** The fence and the records in one transaction: the caller's, or one of its own. */
  const enqueueBy = (by: JobStore.AttemptRef, request: JobStore.EnqueueRequest, inTransaction: boolean) => {
    if (inTransaction) return Effect.andThen(holdsFence(by, true), enqueueAny(request, true))
    const fenced = <A>(effect: Effect.Effect<A, JobError.JobStoreError>) =>
      bounded("enqueue", usual, client.transaction("enqueue", Effect.andThen(holdsFence(by, false), effect)))
    return askAgain(
      request.records,
      fenced(enqueueAny(request, false)),
      fenced(Effect.suspend(() => enqueueEach(request, true, false)))
    )
  }

  return (request) =>
    Effect.withFiber((fiber) => {
      const { by, records } = request
      const inTransaction = client.isInTransaction(fiber.context)
      // Here, for what gathers goes out in a fiber that has nothing of the caller's.
      if (!inTransaction) client.warnOfForeignTransaction(fiber.context)
      if (by !== undefined) return enqueueBy(by, request, inTransaction)
      if (inTransaction) return enqueueAny(request, true)
      if (isMore(request) || records.length > bulk) return enqueueOutside(request)
      return (records.some(Codec.mayWait) ? mayWait : coalescer).enqueue(records)
    })
}

/** What a worker hears of the call that took its exchange along. What is refused claimed nothing. */
const toldOf = (
  exit: Exit.Exit<JobStore.ExchangeReply | undefined, JobError.JobStoreError>
): Exit.Exit<JobStore.ExchangeReply | undefined, JobError.JobStoreError> => {
  if (Exit.isSuccess(exit)) return exit
  if (Cause.hasInterrupts(exit.cause)) return Exit.fail(unanswered)
  const error = Cause.findErrorOption(exit.cause)
  return error._tag === "Some" && !error.value.isTransient ? Exit.succeed(undefined) : exit
}

const unanswered = new JobError.JobStoreError({
  reason: new JobError.OutcomeUnknown({ operation: "exchange", detail: "the store is closing" })
})
