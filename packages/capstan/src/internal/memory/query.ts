/**
 * Reads: pages, results and figures.
 *
 * A cursor is the position of the last record in the order of enqueue, so it stays valid while records come and go.
 */
import type { JobId } from "../../JobRecord.ts"
import type {
  DependenciesReply,
  DependenciesRequest,
  QueryReply,
  QueryRequest,
  ResultAnswer,
  Selection,
  Stats
} from "../../JobStore.ts"
import { type Row, view } from "./row.ts"
import type { MemoryState } from "./state.ts"

export const query = (state: MemoryState, request: QueryRequest): QueryReply => {
  const { cursor, rows } = select(state, request.where, request.order, request.limit, request.cursor)
  return { records: rows.map(view), cursor }
}

/** How many rows one call looks at: it holds the thread meanwhile. */
const looked = 10_000

/** Up to `limit` rows that match, with the cursor of the next page: there is one also where the call stopped looking. */
export const select = (
  state: MemoryState,
  where: Selection,
  order: "newest" | "oldest",
  limit: number,
  cursor: string | undefined
): { readonly rows: ReadonlyArray<Row>; readonly cursor: string | undefined } => {
  if (where.ids !== undefined) return { rows: byIds(state, where), cursor: undefined }
  if (isNoneIn(state, where)) return { rows: [], cursor: undefined }
  const rows: Array<Row> = []
  const step = order === "newest" ? -1 : 1
  const all = state.order
  let left = looked
  for (let i = start(all, order, cursor); i >= 0 && i < all.length; i += step) {
    const row = all[i]!
    if (!row.isGone && matches(row, where)) rows.push(row)
    if (rows.length === limit || --left === 0) return { rows, cursor: String(row.seq) }
  }
  return { rows, cursor: undefined }
}

/** By the counts: a page that asks again and again for dead records finds none without a look at the others. */
const isNoneIn = (state: MemoryState, { queue, states }: Selection): boolean =>
  states !== undefined &&
  [...state.queues.values()].every(({ counts, name }) =>
    (queue !== undefined && queue !== name) || states.every((of) => counts[of] === 0)
  )

const byIds = (state: MemoryState, where: Selection): ReadonlyArray<Row> => {
  const rows: Array<Row> = []
  for (const id of where.ids!) {
    const row = state.rows.get(id)
    if (row !== undefined && matches(row, where)) rows.push(row)
  }
  return rows
}

/** The first position after the cursor, by binary search: positions rise and never change. */
const start = (all: ReadonlyArray<Row>, order: "newest" | "oldest", cursor: string | undefined): number => {
  if (cursor === undefined) return order === "newest" ? all.length - 1 : 0
  const seq = Number(cursor)
  let low = 0
  let high = all.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (order === "newest" ? all[middle]!.seq < seq : all[middle]!.seq <= seq) low = middle + 1
    else high = middle
  }
  return order === "newest" ? low - 1 : low
}

const matches = (row: Row, where: Selection): boolean =>
  (where.tag === undefined || row.spec.tag === where.tag) &&
  (where.queue === undefined || row.spec.queue === where.queue) &&
  (where.states === undefined || where.states.includes(row.state)) &&
  (where.deadReason === undefined || (row.state === "dead" && row.more?.deadReason === where.deadReason)) &&
  (where.blockedReason === undefined || (row.state === "blocked" && row.more?.blocked === where.blockedReason)) &&
  (where.errorTag === undefined || row.more?.failures.at(-1)?.tag === where.errorTag) &&
  (where.label === undefined || row.spec.tags.includes(where.label)) &&
  (where.flowId === undefined || row.spec.flowId === where.flowId) &&
  (where.parent === undefined || row.spec.parent === where.parent) &&
  (where.enqueuedFrom === undefined || row.enqueuedAt >= where.enqueuedFrom) &&
  (where.enqueuedBefore === undefined || row.enqueuedAt < where.enqueuedBefore)

export const results = (state: MemoryState, ids: ReadonlyArray<JobId>): ReadonlyArray<ResultAnswer> =>
  ids.map((id) => answerOf(state, id))

export const answerOf = (state: MemoryState, id: JobId): ResultAnswer => {
  const row = state.rows.get(id)
  if (row === undefined) return { _tag: "NotFound", id, by: state.gone.get(id)?.by }
  const progress = row.more?.progress
  switch (row.state) {
    case "completed":
      return { _tag: "Completed", id, progress, result: row.more?.result }
    case "cancelled":
      return { _tag: "Cancelled", id, progress, reason: row.more?.cancelReason ?? "" }
    case "dead":
      return {
        _tag: "Dead",
        id,
        progress,
        reason: row.more?.deadReason ?? "Defect",
        failure: row.more?.failures.at(-1)
      }
    default:
      return { _tag: "Pending", id, progress }
  }
}

/** What a record waits for, or has waited for, from a position on. */
export const dependencies = (
  state: MemoryState,
  { cursor, id, limit }: DependenciesRequest
): DependenciesReply => {
  const from = Number(cursor ?? 0)
  const all = state.rows.get(id)?.more?.waitsFor ?? []
  const next = from + limit
  return {
    dependencies: all.slice(from, next).map(({ answer, id, name }) => ({
      name,
      answer: answer ?? { _tag: "Pending", id, progress: undefined }
    })),
    cursor: next < all.length ? String(next) : undefined
  }
}

export const stats = (state: MemoryState, now: number): Stats => ({
  now,
  queues: [...state.queues.values()].map((queue) => {
    const oldest = queue.oldestReadyAt()
    return {
      queue: queue.name,
      counts: { ...queue.counts },
      parked: queue.parked,
      oldestReadyAge: oldest === undefined ? undefined : now - oldest,
      paused: queue.paused
    }
  }),
  workers: [...state.workers.values()].map((worker) => ({
    worker: worker.id,
    holds: worker.held.size,
    leaseLeft: worker.leaseUntil - now,
    queues: worker.queues
  }))
})
