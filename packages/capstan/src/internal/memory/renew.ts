/**
 * Renewal: the lease belongs to the worker, so one write keeps all of its claims.
 *
 * Guarantee (P14): a claim whose reply was lost is in no worker's hands; it is given back here with a higher fence.
 */
import type { AttemptRef, RenewReply, RenewRequest } from "../../JobStore.ts"
import { maintainIn, unpark } from "./exchange.ts"
import { endAttempt, release } from "./settle.ts"
import type { MemoryState, WorkerState } from "./state.ts"
import { mustUndo } from "./write.ts"

export const renew = (state: MemoryState, request: RenewRequest, now: number): RenewReply => {
  const worker = state.worker(request.worker)
  worker.queues = request.queues
  worker.process = request.process
  worker.handles = new Map(request.handles.map(({ tag, version }) => [tag, version]))
  worker.lease = request.lease
  worker.leaseUntil = now + request.lease
  const lost: Array<AttemptRef> = []
  const known = new Set<string>()
  for (const held of request.holding) {
    const row = state.rows.get(held.id)
    if (row?.worker === worker && row.fence === held.fence) known.add(held.id)
    else lost.push(held)
  }
  const reconciled = reconcile(state, worker, known, now - request.reconcileOlderThan, now)
  const unparked = unpark(state, worker, now)
  if (worker.held.size > 0) state.foresee(worker.leaseUntil)
  // A worker that leaves renews with no lease and holds nothing.
  if (request.lease === 0 && worker.held.size === 0) state.workers.delete(worker.id)
  worker.cancel = []
  return {
    now,
    lost,
    // All of them, each time: a reply that told one may have been lost.
    cancel: [...worker.held.values()]
      .filter((row) => row.more?.cancelReason !== undefined)
      .map((row) => ({ id: row.id, fence: row.fence, reason: row.more!.cancelReason! })),
    reconciled,
    unparked,
    maintainIn: maintainIn(state, now)
  }
}

/** Gives back what the worker does not know that it holds. */
const reconcile = (
  state: MemoryState,
  worker: WorkerState,
  known: ReadonlySet<string>,
  claimedBefore: number,
  now: number
): number => {
  let given = 0
  for (const row of worker.held.values()) {
    if (known.has(row.id) || row.at > claimedBefore) continue
    endAttempt(row, "released", now)
    const reason = row.more?.cancelReason
    if (reason === undefined || mustUndo(row, { _tag: "Cancel", reason })) release(state, row, now)
    else state.finish(row, "cancelled", "cancelled", now, reason)
    given++
  }
  return given
}
