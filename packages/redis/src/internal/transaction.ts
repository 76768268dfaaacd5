/**
 * Enqueues inside an SQL transaction: Redis takes no part in it, so by default they are refused. A job whose transaction is
 * rolled back would run all the same, and one that commits late would run before its data is there.
 */
import { JobError, JobStore } from "capstan"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import { SqlClient } from "effect/sql/SqlClient"

export type InsideSqlTransaction = "fail" | "afterCommit" | "ignore"

type Answers = Effect.Effect<ReadonlyArray<JobStore.Enqueued>, JobError.JobStoreError>

/** Relies on how effect names the service of an open transaction: there is no public way to ask. A test watches it. */
const prefix = "effect/sql/SqlClient/TransactionConnection/"

/** The name of the transaction that a fiber has open. */
export const openTransaction = (context: Context.Context<never>): string | undefined => {
  for (const key of context.mapUnsafe.keys()) if (key.startsWith(prefix)) return key
  return undefined
}

const refused = (detail: string) =>
  Effect.fail(new JobError.JobStoreError({ reason: new JobError.EnqueueInTransaction({ detail }) }))

/** After the commit an enqueue is tried for some ten seconds, under the same ids. */
const again = Schedule.exponential("50 millis").pipe(Schedule.jittered, Schedule.upTo({ times: 8 }))

/** Stores records, or says why not, or when. */
export const guarded = (
  mode: InsideSqlTransaction,
  fiber: Fiber.Fiber<unknown, unknown>,
  request: JobStore.EnqueueRequest,
  store: (request: JobStore.EnqueueRequest) => Answers
): Answers => {
  const open = mode === "ignore" ? undefined : openTransaction(fiber.context)
  if (open === undefined) return store(request)
  if (mode === "fail") return refused("")
  const sql = Context.getOption(fiber.context, SqlClient)
  if (sql._tag === "None" || sql.value.transactionService.key !== open) {
    return refused("; its SqlClient is not in the context of the enqueue, so afterCommit has nothing to wait for")
  }
  const lost = (why: unknown) =>
    Effect.logError(
      `the transaction has committed, and ${request.records.length} jobs that were enqueued in it are lost`,
      request.records.map(({ id, tag }) => `${tag} ${id}`),
      why
    )
  const later = Effect.retry(store(request), { schedule: again, while: (error) => error.isTransient }).pipe(
    Effect.flatMap((answers) => answers.every(JobStore.isStored) ? Effect.void : lost(answers.flatMap(blame))),
    Effect.catchCause(lost)
  )
  return Effect.as(
    sql.value.afterCommit(later),
    request.records.map(({ id }): JobStore.Enqueued => ({ id, outcome: "Deferred" }))
  )
}

/** Nobody asks for the answer any more: so it is said here. */
const blame = ({ id, outcome }: JobStore.Enqueued): ReadonlyArray<string> =>
  outcome === "UniqueConflict"
    ? [`the unique key of one is held by ${id}, and one of the two is a member of a flow`]
    : outcome === "Begun"
    ? [`${id}, which was to wait for one of them, waits for nothing any more`]
    : []
