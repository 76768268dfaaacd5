/**
 * Reads: pages, results and figures.
 *
 * A cursor is the position of the last record in the order of enqueue, so it stays valid while records come and go.
 */
import type { JobId, State } from "../../JobRecord.ts"
import type {
  DependenciesReply,
  DependenciesRequest,
  QueryReply,
  QueryRequest,
  ResultAnswer,
  Selection,
  Stats
} from "../../JobStore.ts"
import type { Catalogue } from "./catalogue.ts"
import { few, type List, merged, type Named, type Range } from "./lists.ts"
import type { QueueState } from "./queue.ts"
import { type Row, view } from "./row.ts"
import type { MemoryState } from "./state.ts"

export const query = (state: MemoryState, request: QueryRequest): QueryReply => {
  const { cursor, looked, rows } = select(state, request.where, request.order, request.limit, request.cursor)
  return { records: rows.map(view), cursor, looked }
}

/** How many rows one call looks at: it holds the thread meanwhile. */
const most = 10_000
/** Of so few rows all are gathered from where they wait, run or lie. */
const gatherable = 2000

/** Up to `limit` rows that match, with the cursor of the next page: there is one also where the call stopped looking. */
export const select = (
  state: MemoryState,
  where: Selection,
  order: "newest" | "oldest",
  limit: number,
  cursor: string | undefined
): { readonly rows: ReadonlyArray<Row>; readonly cursor: string | undefined; readonly looked: number } => {
  if (where.ids !== undefined) return byIds(state, where.ids, where, order, limit, cursor)
  const range = rangeOf(state.catalogue, where, order, cursor)
  const next = merged(narrowest(state, where).map((list) => list.walk(order, range)), order)
  const rows: Array<Row> = []
  let looked = 0
  for (let row = next(); row !== undefined; row = next()) {
    looked++
    if (!row.isGone && matches(row, where)) rows.push(row)
    if (rows.length === limit || looked === most) return { rows, cursor: String(row.seq), looked }
  }
  return { rows, cursor: undefined, looked }
}

export const isCursor = (text: string): boolean => /^\d{1,15}$/.test(text)

/** Between which rows all that is selected lies. */
const rangeOf = (
  { isInTime, order: all }: Catalogue,
  { enqueuedBefore, enqueuedFrom }: Selection,
  order: "newest" | "oldest",
  cursor: string | undefined
): Range => {
  let from = -Infinity
  let before = Infinity
  if (isInTime) {
    if (enqueuedFrom !== undefined) from = all.numberAt(enqueuedFrom)
    if (enqueuedBefore !== undefined) before = all.numberAt(enqueuedBefore)
  }
  if (cursor === undefined) return { from, before }
  return order === "newest"
    ? { from, before: Math.min(before, Number(cursor)) }
    : { from: Math.max(from, Number(cursor) + 1), before }
}

/** Of the lists that have all that is selected, the one with the fewest rows; of some states, a list for each queue. */
const narrowest = (state: MemoryState, where: Selection): ReadonlyArray<List> => {
  const { catalogue } = state
  let best: ReadonlyArray<List> = [catalogue.order]
  let fewest = catalogue.order.size
  const consider = (list: List | undefined) => {
    const size = list?.size ?? 0
    if (size >= fewest) return
    fewest = size
    best = list === undefined ? [] : [list]
  }
  if (where.queue !== undefined) consider(state.queues.get(where.queue)?.lists.all)
  if (where.tag !== undefined) consider(catalogue.ofJob.get(where.tag))
  if (where.deadReason !== undefined) consider(catalogue.deadFor.get(where.deadReason))
  if (where.tag !== undefined && isDeadAlone(where)) consider(catalogue.deadOf.get(where.tag))
  if (where.errorTag !== undefined) consider(catalogue.withError.get(where.errorTag))
  if (where.label !== undefined) consider(catalogue.withLabel.get(where.label))
  if (where.flowId !== undefined) consider(catalogue.ofFlow.get(where.flowId))
  if (where.parent !== undefined) consider(catalogue.childrenOf.get(where.parent))
  if (where.worker !== undefined) {
    const held = state.workers.get(where.worker)?.held
    if (held === undefined || held.size <= gatherable) {
      consider(held === undefined ? undefined : few([...held.values()]))
    }
  }
  return ofStates(state, where, fewest) ?? best
}

const isDeadAlone = ({ deadReason, states }: Selection): boolean =>
  deadReason !== undefined || states !== undefined && states.every((of) => of === "dead")

/** What is in the selected states, where that is less than what else was found. */
const ofStates = (state: MemoryState, where: Selection, fewest: number): ReadonlyArray<List> | undefined => {
  const states = where.deadReason !== undefined
    ? ["dead" as const]
    : where.blockedReason !== undefined
    ? ["blocked" as const]
    : where.states
  if (states === undefined) return undefined
  const queues = [...state.queues.values()].filter(({ name }) => where.queue === undefined || where.queue === name)
  const lists: Array<List> = []
  let size = 0
  for (const of of new Set(states)) {
    const many = queues.reduce((sum, { counts }) => sum + counts[of], 0)
    size += many
    if (size >= fewest && size > 0) return undefined
    if (many === 0) continue
    if (of === "blocked") lists.push(...queues.flatMap(({ lists }) => blockedFor(lists.blocked, where.blockedReason)))
    else if (of in queues[0]!.lists.states) {
      lists.push(...queues.map(({ lists }) => lists.states[of]!).filter(({ size }) => size > 0))
    } else {
      const gathered = gather(state, of, queues, many)
      if (gathered === undefined) return undefined
      lists.push(gathered)
    }
  }
  return lists
}

const blockedFor = (blocked: Named, reason: string | undefined): ReadonlyArray<List> => {
  if (reason === undefined) return [...blocked.all()]
  const list = blocked.get(reason)
  return list === undefined ? [] : [list]
}

/** Rows in a state that has no list, from where they are anyway. */
const gather = (
  state: MemoryState,
  of: State,
  queues: ReadonlyArray<QueueState>,
  many: number
): List | undefined => {
  if (of === "ready") return many > gatherable ? undefined : few(queues.flatMap((queue) => [...queue.ready()]))
  if (of === "running") {
    const held = [...state.workers.values()].reduce((sum, worker) => sum + worker.held.size, 0)
    return held > gatherable ? undefined : few([...state.workers.values()].flatMap(({ held }) => [...held.values()]))
  }
  const completed = [...state.queues.values()].reduce((sum, { counts }) => sum + counts.completed, 0)
  return completed > gatherable ? undefined : few([...state.finishedOf("completed")])
}

/** A page of those that have one of these ids, each once, in the order of all pages. */
const byIds = (
  state: MemoryState,
  ids: ReadonlyArray<JobId>,
  where: Selection,
  order: "newest" | "oldest",
  limit: number,
  cursor: string | undefined
): ReturnType<typeof select> => {
  const isOldest = order === "oldest"
  const after = cursor === undefined ? undefined : Number(cursor)
  const rows = [...new Set(ids)].flatMap((id) => state.rows.get(id) ?? []).filter((row) =>
    (after === undefined || (isOldest ? row.seq > after : row.seq < after)) && matches(row, where)
  ).toSorted((a, b) => isOldest ? a.seq - b.seq : b.seq - a.seq)
  const page = rows.slice(0, limit)
  return { rows: page, cursor: rows.length > limit ? String(page.at(-1)!.seq) : undefined, looked: ids.length }
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
  (where.concurrencyKey === undefined || row.spec.concurrency?.key === where.concurrencyKey) &&
  (where.worker === undefined || (row.state === "running" && row.worker?.id === where.worker)) &&
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
    leaseLeft: state.leaseOf(worker, now) - now,
    queues: worker.queues,
    process: worker.process
  }))
})
