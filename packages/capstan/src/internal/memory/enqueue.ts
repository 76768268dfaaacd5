/**
 * Enqueue: idempotency first, then the unique key, then the row itself.
 *
 * Guarantee: a batch is stored whole. An id that is here already is answered as `Existing`, so a batch whose reply was
 * lost may be sent again.
 */
import type { Enqueued, EnqueueRequest, NewRecord } from "../../JobStore.ts"
import { Row } from "./row.ts"
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
  const { records } = request
  const answers = new Array<Enqueued>(records.length)
  for (let i = 0; i < records.length; i++) answers[i] = enqueueOne(state, records[i]!, now)
  return answers
}

export const enqueueOne = (state: MemoryState, spec: NewRecord, now: number): Enqueued => {
  if (state.rows.has(spec.id)) return { id: spec.id, outcome: "Existing" }
  if (spec.idempotencyKey !== undefined) {
    const known = state.idempotent.get(scoped(spec.tag, spec.idempotencyKey))
    if (known !== undefined) return { id: known.id, outcome: "Existing" }
  }
  if (spec.unique !== undefined) {
    const holder = state.holder(spec.tag, spec.unique, now)
    if (holder !== undefined) return resolveConflict(state, holder, spec, now)
  }
  insert(state, spec, now)
  return { id: spec.id, outcome: "Inserted" }
}

const insert = (state: MemoryState, spec: NewRecord, now: number): Row => {
  const queue = state.queue(spec.queue)
  const row = new Row(spec, queue, state.seq(), now)
  state.rows.set(spec.id, row)
  state.order.push(row)
  queue.counts.blocked++
  if (spec.idempotencyKey !== undefined) state.idempotent.set(scoped(spec.tag, spec.idempotencyKey), row)
  if (spec.startBefore !== undefined) {
    state.expiring.add(row.expiresAt!, row)
    state.foresee(row.expiresAt!)
  }
  if (spec.unique !== undefined && state.holder(spec.tag, spec.unique, now) === undefined) state.hold(row, now)
  if (spec.dependencies !== undefined && spec.dependencies.length > 0) {
    awaitDependencies(state, row, spec.dependencies, now)
  } else if (spec.unique === undefined || state.unique.get(scoped(spec.tag, spec.unique.key))?.row === row) {
    state.run(row, "unblock", now, spec.runAt ?? now + spec.delay)
  }
  state.tell("enqueued", row, now)
  return row
}

const awaitDependencies = (
  state: MemoryState,
  row: Row,
  dependencies: NonNullable<NewRecord["dependencies"]>,
  now: number
): void => {
  const more = row.grow()
  more.blocked = "Dependencies"
  more.pending = dependencies.length
  for (const { id, name } of dependencies) {
    const dependency = state.rows.get(id)
    if (
      dependency === undefined || dependency.state === "completed" || dependency.state === "cancelled" ||
      dependency.state === "dead"
    ) {
      state.dependencyEnded(row, name, dependency, now)
    } else {
      ;(dependency.grow().dependents ??= []).push({ row, name })
    }
  }
}

/** The table of unique conflicts (DESIGN: `keep`, `replace`, `reschedule`, `runAfter` by how the holder stands). */
const resolveConflict = (state: MemoryState, holder: Row, spec: NewRecord, now: number): Enqueued => {
  const existing: Enqueued = { id: holder.id, outcome: "Existing" }
  const policy = spec.unique!.onConflict
  if (holder.state === "completed") {
    if (policy !== "runAfter") return existing
    insertOver(state, spec, now)
    return { id: spec.id, outcome: "Inserted" }
  }
  const waits = holder.untouched && holder.state !== "running"
  if (waits) {
    if (policy === "keep" || policy === "runAfter") return existing
    if (holder.spec.flowId !== undefined) return { id: holder.id, outcome: "UniqueConflict" }
    replace(
      state,
      holder,
      policy === "replace" ? { ...spec, id: holder.id } : {
        ...holder.spec,
        delay: spec.delay,
        runAt: spec.runAt
      },
      now
    )
    return { id: holder.id, outcome: "Replaced" }
  }
  if (policy === "keep" || policy === "reschedule") return existing
  const successor = holder.more?.successor
  if (successor !== undefined) {
    successor.spec = { ...spec, id: successor.id }
    successor.fence++
    return { id: successor.id, outcome: "Replaced" }
  }
  const row = insert(state, spec, now)
  const more = row.grow()
  more.blocked = "Unique"
  more.blockedOn = holder.id
  holder.grow().successor = row
  return { id: spec.id, outcome: "Inserted" }
}

/** Takes over the key of a holder that is finished. */
const insertOver = (state: MemoryState, spec: NewRecord, now: number): void => {
  state.unique.delete(scoped(spec.tag, spec.unique!.key))
  insert(state, spec, now)
}

/** New contents in the same record. A ready one keeps its place unless it is to run later. */
export const replace = (state: MemoryState, row: Row, spec: NewRecord, now: number): void => {
  const before = row.spec
  if (before.concurrency?.key !== spec.concurrency?.key) state.freeSlot(row, now)
  row.spec = spec.queue === before.queue ? spec : { ...spec, queue: before.queue }
  row.priority = spec.priority
  row.fence++
  if (before.idempotencyKey !== undefined) state.idempotent.delete(scoped(before.tag, before.idempotencyKey))
  if (spec.idempotencyKey !== undefined) state.idempotent.set(scoped(spec.tag, spec.idempotencyKey), row)
  if (row.state === "blocked" && row.more?.blocked !== "ConcurrencyKey") return
  const dueAt = spec.runAt ?? now + spec.delay
  if (dueAt > now || row.state === "scheduled") state.run(row, "edit", now, dueAt)
  else state.admit(row, "edit", now)
}
