/**
 * The one way to the database: constant text, bound parameters, the caller's own client.
 *
 * What joins the caller's transaction says so (`ambient`); everything else runs outside of it, whatever fiber calls.
 * Deadlocks and serialization failures outside a transaction are tried again as a whole, and what gets no answer at all
 * ends as `OutcomeUnknown`.
 */
import type { PgClient } from "@effect/sql-pg/PgClient"
import * as PgTypes from "@effect/sql-pg/PgTypes"
import { JobError } from "capstan"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as References from "effect/References"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type { SqlClient } from "effect/sql/SqlClient"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import { bounded, usual } from "./bounded.ts"
import { toStoreError } from "./errors.ts"

/** Not on every platform. */
declare const process: { readonly env: Readonly<Record<string, string | undefined>> } | undefined

export type Row = Readonly<Record<string, unknown>>

export class Client {
  readonly pg: PgClient
  /** Quoted. */
  readonly schema: string
  readonly channel: string
  private readonly sql: SqlClient
  /** A second connection is not to be had. */
  readonly isAlone: boolean
  private hasWarned = false
  private readonly isDevelopment = typeof process === "undefined" || process.env.NODE_ENV !== "production"

  constructor(pg: PgClient, schema: string, channel: string) {
    this.pg = pg
    this.sql = pg.withoutTransforms()
    this.isAlone = "maxConnections" in pg.config && pg.config.maxConnections === 1
    this.schema = schema
    this.channel = channel
  }

  /** Outside of any transaction of the caller's. */
  readonly call = <A = Row>(
    operation: string,
    text: string,
    params: ReadonlyArray<unknown>,
    patience: number = usual,
    planned: "once" | "anew" = "once"
  ): Effect.Effect<ReadonlyArray<A>, JobError.JobStoreError> => {
    const call = this.outside(this.statement<A>(text, params, planned)).pipe(
      Effect.retry({ while: isContention, schedule: contention }),
      Effect.mapError((error) => toStoreError(operation, error)),
      (answer) => bounded(operation, patience, answer)
    )
    return this.isAlone ? this.unlessStuck(operation, call) : call
  }

  /** A call beside the caller's own transaction would wait for the one connection that the transaction holds. */
  private unlessStuck<A>(
    operation: string,
    call: Effect.Effect<A, JobError.JobStoreError>
  ): Effect.Effect<A, JobError.JobStoreError> {
    return Effect.withFiber((fiber) =>
      this.isInTransaction(fiber.context)
        ? Effect.fail(
          new JobError.JobStoreError({
            reason: new JobError.Incompatible({
              operation,
              detail: "it takes a second connection while a transaction is open, and the client has maxConnections: 1"
            })
          })
        )
        : call
    )
  }

  /** In the caller's transaction when there is one. */
  readonly ambient = <A = Row>(
    operation: string,
    text: string,
    params: ReadonlyArray<unknown>,
    patience?: number
  ): Effect.Effect<ReadonlyArray<A>, JobError.JobStoreError> =>
    Effect.withFiber((fiber) => {
      if (this.isInTransaction(fiber.context)) {
        return Effect.mapError(this.statement<A>(text, params), (error) => toStoreError(operation, error))
      }
      this.warnOfForeignTransaction(fiber.context)
      return this.call<A>(operation, text, params, patience)
    })

  isInTransaction(context: Context.Context<never>): boolean {
    return context.mapUnsafe.has(this.pg.transactionService.key)
  }

  /** One transaction of its own. What the effect fails with is handed on as it is, also when it comes from the database. */
  readonly transaction = <A, E, R>(
    operation: string,
    effect: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | JobError.JobStoreError, R> =>
    Effect.withFiber((fiber) => {
      const inside = Effect.mapError(
        Effect.withTracerEnabled(effect, fiber.getRef(References.TracerEnabled)),
        (error) => new Inside(error)
      )
      return Effect.catchCause(Effect.withTracerEnabled(this.sql.withTransaction(inside), false), (cause) =>
        Effect.failCause(Cause.map(
          causeOf(cause),
          (error) =>
            error instanceof Inside ? error.error as E : toStoreError(operation, error)
        )))
    })

  /**
   * Says once, in development, that a transaction of another client is open: what is enqueued in it commits by itself.
   * There is no public way to ask for it; the name of effect's key is tested.
   */
  warnOfForeignTransaction(context: Context.Context<never>): void {
    if (this.hasWarned || !this.isDevelopment) return
    for (const key of context.mapUnsafe.keys()) {
      if (!key.startsWith("effect/sql/SqlClient/TransactionConnection/")) continue
      this.hasWarned = true
      Effect.runFork(Effect.provideContext(
        Effect.logWarning(
          "a call of the job store runs inside a transaction of another SqlClient than the store's: it does not join it. " +
            "Give both the same PgClient layer"
        ),
        context
      ))
      return
    }
  }

  /** Runs an effect as if the caller had no transaction open. */
  readonly outside = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.updateContext(
      effect,
      (context: Context.Context<R>) => Context.omit(this.pg.transactionService)(context) as Context.Context<R>
    )

  /**
   * Polls and settlements are not worth a span each. What is planned once keeps the plan that it got, maybe on an empty table: what
   * is no call of a function, which has settings of its own against that, is planned anew.
   */
  private statement<A>(
    text: string,
    params: ReadonlyArray<unknown>,
    planned: "once" | "anew" = "once"
  ): Effect.Effect<ReadonlyArray<A>, SqlError> {
    const statement = this.sql.unsafe<A & object>(text, params)
    return Effect.withTracerEnabled(planned === "once" ? statement : statement.unprepared, false)
  }
}

/** A failure of what runs in a transaction, told from one of the transaction itself. */
class Inside<E> {
  readonly error: E

  constructor(error: E) {
    this.error = error
  }
}

/**
 * Where the connection is lost, the rollback fails too, and effect makes defects of both failures. The rollback has happened
 * all the same, on the server, so the first failure is the one that counts, as what it was.
 */
const causeOf = <E>(cause: Cause.Cause<E>): Cause.Cause<E | Inside<unknown>> => {
  const reasons = cause.reasons.flatMap((reason): ReadonlyArray<Cause.Reason<E | Inside<unknown>>> => {
    if (!Cause.isDieReason(reason)) return [reason]
    if (reason.defect instanceof Inside) return [Cause.makeFailReason(reason.defect as Inside<unknown>)]
    return isSqlError(reason.defect) ? [] : [reason]
  })
  return reasons.length === 0 ? cause : Cause.fromReasons(reasons)
}

/** A whole statement that lost a race against another one; nothing of it has happened. */
const isContention = (error: SqlError): boolean =>
  error.reason._tag === "DeadlockError" || error.reason._tag === "SerializationError"

const contention = Schedule.exponential("5 millis").pipe(Schedule.jittered, Schedule.upTo({ times: 5 }))

const array = (oid: number) => (values: ReadonlyArray<unknown>): unknown =>
  Result.getOrThrow(PgTypes.array(values, oid))

/** Arrays of one declared type: what the driver would infer depends on the values. */
export const uuids = array(PgTypes.OID.uuid)
export const texts = array(PgTypes.OID.text)
export const ints = array(PgTypes.OID.int4)
/** Cast to `bigint[]` in SQL: an `int8` parameter would want `bigint`s. */
export const numbers = array(PgTypes.OID.float8)
