/**
 * Figures, from the counters and from what was not added up to them yet: each write leaves a row of its own, and whoever
 * maintains adds them up.
 *
 * Where nobody has for a while, as where no worker runs, what is read grows by every write. So who asks then has them added up, after
 * the answer and apart from it: a client that may only read asks in vain, and is answered all the same.
 */
import type { JobRecord, JobStore } from "capstan"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { search } from "./bounded.ts"
import type { Client } from "./client.ts"
import * as Query from "./query.ts"

/** So many rows are read in a millisecond. */
const few = 1000
/** How many `sum_counters` adds up at a time. */
const summed = 200_000

export const stats = (client: Client, scope: Scope.Scope): JobStore.Shape["stats"] => {
  let isSumming = false
  const sumUp = (rows: number) =>
    client.call("stats", `SELECT ${client.schema}.sum_counters()`, [], search).pipe(
      Effect.repeat({ times: Math.floor(rows / summed) }),
      Effect.ignore,
      Effect.ensuring(Effect.sync(() => {
        isSumming = false
      })),
      Effect.forkIn(scope)
    )
  return Effect.gen(function*() {
    const queues = yield* client.call<QueueRow>("stats", Query.stats(client.schema), [], search)
    const workers = yield* client.call<WorkerRow>("stats", Query.workers(client.schema), [])
    const deltas = queues.reduce((sum, { deltas }) => sum + deltas, 0)
    if (deltas > few && !isSumming) {
      isSumming = true
      yield* sumUp(deltas)
    }
    // A store that is new has no row to say it in.
    const told: ReadonlyArray<{ readonly now: number }> = workers.length > 0 ? workers : queues
    const [first] = told.length > 0
      ? told
      : yield* client.call<{ readonly now: number }>("stats", Query.clock(client.schema), [])
    return {
      now: first!.now,
      queues: queues.map((
        { blocked, cancelled, completed, dead, oldest, parked, paused, queue, ready, running, scheduled, now }
      ) => ({
        queue,
        counts: { blocked, scheduled, ready, running, completed, cancelled, dead },
        parked,
        oldestReadyAge: oldest === null ? undefined : now - oldest,
        paused
      })),
      workers: workers.map(({ holds, id, lease_left, process, queues }) => ({
        worker: id,
        holds,
        leaseLeft: lease_left,
        queues,
        process: process === null ? undefined : JSON.parse(process)
      }))
    }
  })
}

type QueueRow = Record<JobRecord.State, number> & {
  readonly queue: string
  readonly paused: boolean
  readonly now: number
  readonly parked: number
  readonly oldest: number | null
  /** How many rows of it are not added up. */
  readonly deltas: number
}

interface WorkerRow {
  readonly id: string
  readonly queues: ReadonlyArray<string>
  readonly lease_left: number
  readonly process: string | null
  readonly holds: number
  readonly now: number
}
