/**
 * The hot path: settle, let what is due become ready, claim. One atomic step, O(log n) per record at most and independent
 * of how many wait.
 */
import type { Claimed, ExchangeReply, ExchangeRequest, Settled } from "../../JobStore.ts"
import type { Edge } from "./edges.ts"
import { follow } from "./follow.ts"
import { admitDue, start } from "./limits.ts"
import { fairFrom, type QueueState } from "./queue.ts"
import type { Row } from "./row.ts"
import { settle } from "./settle.ts"
import type { MemoryState, WorkerState } from "./state.ts"

/** How many due records of a queue become ready in one exchange; the rest in the next, at once. */
const dueChunk = 1000
/** How many parked records an exchange releases. */
const unparkChunk = 1000

const none: ReadonlyArray<never> = []
const nothing: Readonly<Record<string, never>> = Object.freeze({})

export const exchange = (state: MemoryState, request: ExchangeRequest, now: number): ExchangeReply => {
  const worker = state.worker(request.worker)
  const settled: Array<Settled> = []
  for (const settlement of request.settlements) settled.push(settle(state, worker, settlement, now))
  if (worker.handles.size > 0 && state.parked.size > 0) unpark(state, worker, now)
  const claimed: Array<Claimed> = []
  let nextDueAt = Infinity
  let more: Array<string> | undefined
  if (request.demand.length > 0) {
    if (state.limits.agenda.size > 0) admitDue(state, now)
    for (const { queue } of request.demand) promoteDue(state, state.queue(queue), now)
    for (const { queue, share, slots } of request.demand) {
      claim(state, worker, state.queue(queue), Math.min(share, slots, request.total - claimed.length), now, claimed)
    }
    if (claimed.length < request.total) claimRest(state, worker, request, now, claimed)
    for (const { queue } of request.demand) {
      const found = state.queue(queue)
      if (found.paused) continue
      nextDueAt = Math.min(nextDueAt, found.due.peek()?.at ?? Infinity)
      if (found.peek(worker.suspects === 0) === undefined) continue
      if (found.room(now) > 0) (more ??= []).push(queue)
      else nextDueAt = Math.min(nextDueAt, found.opensAt())
    }
  }
  const key = state.limits.agenda.peek()
  if (key !== undefined && key.at < nextDueAt) nextDueAt = key.at
  if (claimed.length > 0) {
    worker.leaseUntil = Math.max(worker.leaseUntil, now + request.lease)
    state.foresee(worker.leaseUntil)
  }
  return {
    now,
    settled,
    claimed,
    nextDueIn: nextDueAt === Infinity ? undefined : Math.max(0, nextDueAt - now),
    maintainIn: maintainIn(state, now),
    cancel: takeCancels(worker),
    more: more ?? none
  }
}

export const maintainIn = (state: MemoryState, now: number): number | undefined =>
  state.maintainAt === Infinity ? undefined : Math.max(0, state.maintainAt - now)

/** The cancel requests that a worker has not been told yet. */
export const takeCancels = (worker: WorkerState): ExchangeReply["cancel"] => {
  if (worker.cancel.length === 0) return []
  const rows = worker.cancel
  worker.cancel = []
  return rows
    .filter((row) => row.worker === worker && row.more?.cancelReason !== undefined)
    .map((row) => ({ id: row.id, fence: row.fence, reason: row.more!.cancelReason! }))
}

/** Releases parked rows that this worker can run, at the place that they had. */
export const unpark = (state: MemoryState, worker: WorkerState, now: number): number => {
  let released = 0
  for (const [tag, version] of worker.handles) {
    for (const row of state.parked.get(tag) ?? []) {
      if (row.spec.version > version) continue
      if (released === unparkChunk) return released
      state.admit(row, "unblock", now)
      released++
    }
  }
  return released
}

const promoteDue = (state: MemoryState, queue: QueueState, now: number): void => {
  if (queue.paused) return
  for (let i = 0; i < dueChunk; i++) {
    const row = queue.due.peek()
    if (row === undefined || row.at > now) return
    state.run(row, row.state === "blocked" ? "unblock" : "due", now, row.at)
  }
}

/** Gives out what the shares left, in the order of the demands. */
const claimRest = (
  state: MemoryState,
  worker: WorkerState,
  request: ExchangeRequest,
  now: number,
  claimed: Array<Claimed>
): void => {
  for (const { queue, slots } of request.demand) {
    let left = slots
    for (const row of claimed) if (row.queue === queue) left--
    claim(state, worker, state.queue(queue), Math.min(left, request.total - claimed.length), now, claimed)
  }
}

const claim = (
  state: MemoryState,
  worker: WorkerState,
  queue: QueueState,
  limit: number,
  now: number,
  claimed: Array<Claimed>
): void => {
  if (queue.paused) return
  for (let left = Math.min(limit, queue.room(now)); left > 0;) {
    const row = queue.peek(worker.suspects === 0)
    if (row === undefined) return
    if (row.spec.startBefore !== undefined && row.untouched && now >= row.expiresAt!) {
      expire(state, row, now)
      continue
    }
    if (row.admitted && !start(state, row, now)) continue
    state.move(row, "claim", "running")
    if (queue.limit !== undefined) queue.gate.take(queue.limit.holds, now)
    if (row.place >= fairFrom) queue.turns.claimed(row.place - fairFrom)
    row.at = now
    // A claim before it was given back, where nothing has begun.
    if (!row.begun) row.begunAt = now
    row.attempt++
    row.fence++
    row.worker = worker
    worker.held.set(row.id, row)
    if (row.crashes > 0) worker.suspects++
    state.tell("started", row, now)
    claimed.push(toClaimed(row))
    left--
  }
}

export const expire = (state: MemoryState, row: Row, now: number): void => {
  row.fence++
  row.grow().deadReason = "Expired"
  state.finish(row, "expire", "dead", now, "Expired")
  follow(state, row, now)
}

/** Results of few go along with a claim; those of many are asked for. */
const carried = 100

const resultsOf = (edges: ReadonlyArray<Edge>): Readonly<Record<string, string | undefined>> =>
  edges.length > carried ? nothing : Object.fromEntries(
    edges.flatMap(({ answer, name }) =>
      answer === undefined ? [] : [[name, answer._tag === "Completed" ? answer.result : undefined]]
    )
  )

/** A copy: what the worker holds must not change when the row does, or a stale fence would look fresh. */
const toClaimed = (row: Row): Claimed => {
  const { more, spec } = row
  return {
    id: row.id,
    tag: spec.tag,
    version: spec.version,
    queue: spec.queue,
    priority: row.priority,
    payload: row.payload,
    attempt: row.attempt,
    fence: row.fence,
    crashes: row.crashes,
    enqueuedAt: row.enqueuedAt,
    begunAt: row.begunAt,
    readyAt: row.readyAt,
    failures: more === undefined ? [] : more.failures,
    tags: spec.tags,
    headers: spec.headers,
    idempotencyKey: spec.idempotencyKey,
    parent: spec.parent,
    flowId: spec.flowId,
    batchKey: spec.batchKey,
    checkpoints: more?.checkpoints ?? nothing,
    dependencies: more?.waitsFor === undefined ? nothing : resultsOf(more.waitsFor)
  }
}
