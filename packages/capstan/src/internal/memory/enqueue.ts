/**
 * Enqueue: idempotency first, then the unique key, then the row itself.
 *
 * Guarantee: a batch is stored whole. An id that is here already is answered as `Existing`, so a batch whose reply was
 * lost may be sent again.
 */
import type { JobId } from "../../JobRecord.ts"
import type { Enqueued, EnqueueRequest, NewRecord, UniqueClaim } from "../../JobStore.ts"
import { awaitAll, connect, Edge, unready } from "./edges.ts"
import { happen, listens } from "./listening.ts"
import { dueAt, Row } from "./row.ts"
import { type MemoryState, scoped } from "./state.ts"

/** Answers `undefined` when the attempt on whose behalf it is made is stale. */
export const enqueue = (
  state: MemoryState,
  request: EnqueueRequest,
  now: number
): ReadonlyArray<Enqueued> | undefined => {
  const by = request.by
  if (by !== undefined) {
    const row = state.rows.get(by.id)
    if (row === undefined || row.state !== "running" || row.fence !== by.fence) return undefined
  }
  const { cancels, completes, records, whole } = request
  const first = whole === undefined ? undefined : records.find(({ id }) => id === whole)
  const known = first === undefined ? undefined : knownAs(state, first)
  if (known !== undefined) return records.map(({ id }) => ({ id: id === whole ? known.id : id, outcome: "Existing" }))
  const isEvent = cancels !== undefined || completes !== undefined
  const refusal = records.length > 1 || whole !== undefined || isEvent || records[0]?.dependents !== undefined
    ? refuse(state, request, now)
    : undefined
  if (refusal !== undefined) return refusal
  if (isEvent) happen(state, request, new Set(records.flatMap((spec) => knownAs(state, spec) ?? [])), now)
  const answers = new Array<Enqueued>(records.length)
  for (let i = 0; i < records.length; i++) answers[i] = enqueueOne(state, records[i]!, now)
  return answers
}

export const enqueueOne = (state: MemoryState, spec: NewRecord, now: number): Enqueued => {
  const known = knownAs(state, spec)
  if (known !== undefined) return { id: known.id, outcome: "Existing" }
  if (spec.unique !== undefined) {
    const holder = state.holder(spec.tag, spec.unique, now)
    if (holder !== undefined) return resolveConflict(state, holder, spec, now)
  }
  insert(state, spec, now)
  return { id: spec.id, outcome: "Inserted" }
}

/**
 * Stores what a settlement or a tick brings: nobody is there to be told that it is refused, so it is not. Where its unique key
 * would change a member of a flow it is stored without that: once too often is better than never.
 */
export const enqueueAnyway = (state: MemoryState, spec: NewRecord, now: number): Enqueued => {
  const answer = enqueueOne(state, spec, now)
  return answer.outcome === "UniqueConflict" ? enqueueOne(state, { ...spec, unique: undefined }, now) : answer
}

/** The row that answers a call which was made before. */
const knownAs = (state: MemoryState, { id, idempotencyKey, tag }: NewRecord): Row | undefined =>
  state.rows.get(id) ?? (idempotencyKey === undefined ? undefined : state.idempotent.get(scoped(tag, idempotencyKey)))

/**
 * The answers of a batch of which nothing is stored: it would replace a member of a flow, is to be stored whole and cannot be,
 * has a member of a flow for which another record stands, or what is to wait for it has begun.
 */
const refuse = (
  state: MemoryState,
  { records, whole }: EnqueueRequest,
  now: number
): ReadonlyArray<Enqueued> | undefined => {
  /** Who of the batch has a unique key, or the next turn of it. */
  const own = new Map<string, NewRecord>()
  let conflicts: Map<NewRecord, Enqueued> | undefined
  const conflict = (spec: NewRecord, id: JobId) =>
    (conflicts ??= new Map()).set(spec, { id, outcome: "UniqueConflict" })
  for (const spec of records) {
    const { flowId, id, tag, unique } = spec
    if (unique === undefined && spec.dependents === undefined || knownAs(state, spec) !== undefined) continue
    const begun = unready(state, spec)
    if (begun !== undefined) (conflicts ??= new Map()).set(spec, { id: begun, outcome: "Begun" })
    if (unique === undefined) continue
    const key = scoped(tag, unique.key)
    const holder = state.holder(tag, unique, now)
    const row = holder === undefined ? undefined : replaceable(state, holder, unique.onConflict)
    const isBeside = holder === undefined || row === undefined && isFollowed(holder, unique.onConflict)
    /** It is stored under its own id, or nothing is. */
    const isItself = whole !== undefined || flowId !== undefined
    const first = own.get(key)
    if (row?.spec.flowId !== undefined) conflict(spec, row.id)
    else if (
      first !== undefined && first.id !== id &&
      (isItself || first.flowId !== undefined && changes(unique.onConflict, holder))
    ) {
      conflict(spec, first.id)
    } else if (isItself && !isBeside) conflict(spec, holder!.id)
    else if (isBeside && first === undefined) own.set(key, spec)
  }
  return conflicts === undefined
    ? undefined
    : records.map((spec) => conflicts?.get(spec) ?? { id: spec.id, outcome: "Refused" })
}

/** A new row. It waits for the end of another one when it is that one's successor; else it takes its unique key. */
const insert = (state: MemoryState, spec: NewRecord, now: number, waitsFor?: Row): void => {
  const queue = state.queue(spec.queue)
  const row = new Row(spec, state.shared(spec), queue, state.seq(), now)
  state.add(row)
  if (spec.idempotencyKey !== undefined) state.idempotent.set(scoped(spec.tag, spec.idempotencyKey), row)
  if (spec.startBefore !== undefined) state.watchExpiry(row)
  if (listens(spec)) state.listening.add(row)
  if (waitsFor === undefined) {
    if (spec.unique !== undefined) state.hold(row, now)
  } else {
    state.waitFor(row, "Unique", waitsFor.id)
    waitsFor.grow().successor = row
  }
  // Before its own: one that is dead at once is told to whoever waits for it.
  for (const { id, name, onFailure } of spec.dependents ?? []) {
    connect(state, new Edge(state.rows.get(id)!, spec.id, name, onFailure ?? "fail"))
  }
  if (spec.dependencies !== undefined && spec.dependencies.length > 0) {
    awaitAll(state, row, spec.dependencies, now)
  } else if (waitsFor === undefined) state.run(row, "unblock", now, spec.runAt ?? now + spec.delay)
  state.tell("enqueued", row, now)
}

/** The table of unique conflicts (DESIGN: `keep`, `replace`, `reschedule`, `runAfter` by how the holder stands). */
const resolveConflict = (state: MemoryState, holder: Row, spec: NewRecord, now: number): Enqueued => {
  const policy = spec.unique!.onConflict
  const row = replaceable(state, holder, policy)
  if (row !== undefined) {
    if (row.spec.flowId !== undefined || spec.flowId !== undefined) return { id: row.id, outcome: "UniqueConflict" }
    if (policy === "reschedule") reschedule(state, row, spec, now)
    else replace(state, row, spec, now)
    return { id: row.id, outcome: "Replaced" }
  }
  if (policy === "trailing") {
    // It waits for the window's end, and has the key from now on: the next one of this window finds it.
    const due = Math.max(state.heldUntil(holder) ?? now, spec.runAt ?? now + spec.delay)
    insert(state, { ...spec, runAt: due }, now)
    return { id: spec.id, outcome: "Inserted" }
  }
  if (!isFollowed(holder, policy)) {
    // Who waits for a member of a flow would not wait for the holder.
    return { id: holder.id, outcome: spec.flowId === undefined ? "Existing" : "UniqueConflict" }
  }
  // A finished holder has the key for the rest of its window: the new row takes it over.
  insert(state, spec, now, holder.state === "completed" ? undefined : holder)
  return { id: spec.id, outcome: "Inserted" }
}

/** Whether a conflict changes who waits since the same batch: for its first start, or for the end of a holder. */
const changes = (policy: UniqueClaim["onConflict"], holder: Row | undefined): boolean =>
  policy === "runAfter" ? holder !== undefined && holder.state !== "completed" : policy !== "keep"

/**
 * The row that a conflict changes: the holder while it waits, else its successor. One that was given back before it began may
 * have a successor by now: with `replace` the last contents belong into what runs last.
 */
const replaceable = (state: MemoryState, holder: Row, policy: UniqueClaim["onConflict"]): Row | undefined => {
  if (policy === "keep" || holder.state === "completed") return undefined
  const successor = policy === "replace" ? state.successorOf(holder) : undefined
  if (successor !== undefined) return successor
  if (holder.waits) return policy === "runAfter" ? undefined : holder
  return policy === "runAfter" ? state.successorOf(holder) : undefined
}

/** Whether a conflict stores the new record beside a holder that it does not change. */
const isFollowed = (holder: Row, policy: UniqueClaim["onConflict"]): boolean =>
  policy === "runAfter" || policy === "trailing" ? !holder.waits : policy === "replace" && holder.state !== "completed"

/**
 * New contents in the same record, due from now on.
 *
 * An idempotency key stays known when the contents that came with it are replaced: a call that is repeated because its
 * reply was lost would otherwise undo the replacement.
 */
const replace = (state: MemoryState, row: Row, spec: NewRecord, now: number): void => {
  const { idempotencyKey, queue } = row.spec
  if (idempotencyKey !== undefined) (row.grow().keys ??= []).push(idempotencyKey)
  if (spec.idempotencyKey !== undefined) state.idempotent.set(scoped(spec.tag, spec.idempotencyKey), row)
  row.priority = spec.priority
  row.payload = spec.payload
  state.edit(row, { ...spec, queue }, dueOf(row, spec, now), now)
}

/** When a record is due that is put off: no later than it may wait in all. */
const dueOf = (row: Row, { delay, runAt, unique }: NewRecord, now: number): number =>
  unique?.onConflict === "trailing"
    ? dueAt(row)
    : Math.min(runAt ?? now + delay, row.enqueuedAt + (unique?.maxWait ?? Infinity))

/** Another due instant in the same record: the same call again must not move it once more. */
const reschedule = (state: MemoryState, row: Row, spec: NewRecord, now: number): void => {
  const { idempotencyKey } = spec
  if (idempotencyKey !== undefined) {
    state.idempotent.set(scoped(row.spec.tag, idempotencyKey), row)
    ;(row.grow().keys ??= []).push(idempotencyKey)
  }
  state.edit(row, row.spec, dueOf(row, spec, now), now)
}
