/**
 * The facts of the suite as a caller's transactions ask them: what may take part in one does so, each call in one of its own.
 * The first exchange after the commit does what a transaction must not wait for; so one follows, of a worker that does no more.
 */
import { JobStoreSuite } from "@capstan/testing"
import type { PgClient } from "@effect/sql-pg"
import { JobStore } from "capstan"
import { Effect } from "effect"
import type { Fact } from "../../testing/src/internal/suite/harness.ts"

const worker = "looks"

const ambient = (sql: PgClient.PgClient, store: JobStore.Shape): JobStore.Shape => {
  const look = store.exchange({ worker, lease: 1e9, settlements: [], demand: [], total: 0 })
  const inside = <A, E>(call: Effect.Effect<A, E>) =>
    Effect.tap(Effect.catchTag(sql.withTransaction(call), "SqlError", Effect.die), () => look)
  return {
    ...store,
    enqueue: (request) => inside(store.enqueue(request)),
    control: (request) => inside(store.control(request)),
    signal: (request) => inside(store.signal(request)),
    stats: Effect.map(store.stats, (stats) => ({
      ...stats,
      workers: stats.workers.filter((each) => each.worker !== worker)
    }))
  }
}

export const inTransactions = (sql: PgClient.PgClient) => ({ name, run }: Fact): Fact => ({
  name: `${name}, in transactions`,
  run: Effect.flatMap(JobStore.JobStore, (store) => Effect.provideService(run, JobStore.JobStore, ambient(sql, store)))
})

/** All but those that take thousands of calls: in a transaction each takes four round trips in place of one. */
export const factsInTransactions = JobStoreSuite.facts.filter(({ name }) => !name.startsWith("under random calls"))
