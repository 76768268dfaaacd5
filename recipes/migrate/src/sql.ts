/**
 * What two sources in Postgres share. A page is one transaction: its rows are locked, so that no worker there takes them, until
 * they are removed. When the store is Capstan's on the same client its records commit in that very transaction.
 */
import { JobStore } from "capstan"
import { Context, Effect } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { type Reject, type Source, SourceError, type SourceJob } from "./source.ts"

/**
 * Why a job that waits was left out: a worker that takes it at this moment, or a mover that was killed, whose server does not know
 * yet. A later run finds it.
 */
export const locked = "another transaction has it: run again"

export interface Plan<Row> {
  readonly name: string
  /** The next rows in the order of the queue, locked; those that others have locked are left out. */
  readonly select: (after: Row | undefined) => Effect.Effect<ReadonlyArray<Row>, SqlError>
  readonly toJob: (row: Row) => SourceJob
  readonly remove: (ids: ReadonlyArray<string>) => Effect.Effect<unknown, SqlError>
  /** What was left out among them. */
  readonly others: Effect.Effect<ReadonlyArray<Omit<Reject, "source">>, SqlError>
}

export const sqlSource = Effect.fnUntraced(function*<Row>(plan: Plan<Row>) {
  const sql = yield* SqlClient
  const { capabilities } = yield* (yield* JobStore.JobStore).describe
  const ask = (operation: string) =>
    Effect.mapError((cause: SqlError) => new SourceError({ source: plan.name, operation, cause }))

  // A store that takes no part in SQL transactions would refuse an enqueue in one: it is called as if there were none.
  const enqueuing = <A, E>(effect: Effect.Effect<A, E>) =>
    capabilities.includes("transactional")
      ? effect
      : Effect.updateContext(effect, (context: Context.Context<never>) =>
        Context.omit(sql.transactionService)(context) as Context.Context<never>)

  const pages: Source["pages"] = Effect.fnUntraced(function*(removes, use) {
    const page = Effect.fnUntraced(function*(after: Row | undefined) {
      const rows = yield* ask("reading")(plan.select(after))
      if (rows.length === 0) return undefined
      const done = yield* enqueuing(use(rows.map(plan.toJob)))
      if (removes && done.length > 0) yield* ask("removing")(plan.remove(done))
      return rows.at(-1)
    })
    let after: Row | undefined
    do {
      after = yield* sql.withTransaction(page(after)).pipe(
        Effect.catchTag(
          "SqlError",
          (cause) => new SourceError({ source: plan.name, operation: "a transaction", cause })
        )
      )
    } while (after !== undefined)
  })

  return { name: plan.name, pages, others: ask("looking at what does not wait")(plan.others) } satisfies Source
})
