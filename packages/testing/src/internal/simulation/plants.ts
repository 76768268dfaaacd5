/** Defects of a store that a simulation must find: one that cannot is no evidence. */
import type { JobStore } from "capstan"
import { Effect } from "effect"
import { tag } from "./memberLog.ts"

export type Plant = (store: JobStore.Shape) => JobStore.Shape

/** Settles with the fence that the record has by now: what a store without fences does. */
export const noFence: Plant = (store) => ({
  ...store,
  exchange: (request) =>
    Effect.flatMap(
      Effect.forEach(request.settlements, (settlement) =>
        Effect.map(store.get(settlement.id), (record) =>
          record?.state === "running" ? { ...settlement, fence: record.fence } : settlement)),
      (settlements) =>
        store.exchange({ ...request, settlements })
    )
})

export const noReconcile: Plant = (store) => ({
  ...store,
  renew: (request) => store.renew({ ...request, reconcileOlderThan: Infinity })
})

/** No limit that a worker proposes holds. */
export const noLimit: Plant = (store) => ({ ...store, limits: () => store.limits([]) })

/** Stores each record as if it had no unique key. */
export const noUnique: Plant = (store) => ({
  ...store,
  enqueue: (request) =>
    store.enqueue({ ...request, records: request.records.map((record) => ({ ...record, unique: undefined })) })
})

/** Who comes right after a claim is given the same record. */
export const racyClaim: Plant = (store) => {
  let last: { readonly worker: string; readonly claimed: JobStore.Claimed } | undefined
  return {
    ...store,
    exchange: (request) =>
      Effect.map(store.exchange(request), (reply) => {
        const before = last
        const [claimed] = reply.claimed
        last = claimed === undefined ? undefined : { worker: request.worker, claimed }
        return before !== undefined && before.worker !== request.worker && reply.claimed.length === 0 &&
            request.total > 0
          ? { ...reply, claimed: [before.claimed] }
          : reply
      })
  }
}

/** Ticks a schedule however it stands by now: what a store does that does not compare. */
export const noCompare: Plant = (store) => ({
  ...store,
  tick: (request) =>
    Effect.flatMap(store.schedules({ names: [request.name], limit: 1 }), ({ rows: [row] }) =>
      row === undefined
        ? Effect.succeed(undefined)
        : store.tick({ ...request, revision: row.revision, at: row.nextAt }))
})

/** Moves a schedule on without the record of its tick. */
export const noRecord: Plant = (store) => ({
  ...store,
  tick: (request) => store.tick({ ...request, ticks: request.ticks.slice(1) })
})

/** Settles the records of a batch by each other's ends. */
export const mixedEnds: Plant = (store) => {
  const batched = new Set<string>()
  return {
    ...store,
    exchange: (request) => {
      const places = request.settlements.flatMap(({ id }, i) => batched.has(id) ? [i] : [])
      const settlements = request.settlements.map((settlement, i) => {
        const at = places.indexOf(i)
        if (at < 0) return settlement
        const { outcome } = request.settlements[places[(at + 1) % places.length]!]!
        // By its result alone nobody would know.
        const own = outcome._tag === "Complete" ? { ...outcome, result: String(settlement.fence) } : outcome
        return { ...settlement, outcome: own }
      })
      return Effect.tap(store.exchange({ ...request, settlements }), ({ claimed }) =>
        Effect.sync(() => {
          for (const { id, tag: of } of claimed) if (of === tag) batched.add(id)
        }))
    }
  }
}

/** Keeps steps with the fence that the record has by now. */
export const unfencedSteps: Plant = (store) => ({
  ...store,
  write: (entries) =>
    Effect.flatMap(
      Effect.forEach(entries, (entry) =>
        Effect.map(store.get(entry.at.id), (record) =>
          record?.state === "running" ? { ...entry, at: { id: entry.at.id, fence: record.fence } } : entry)),
      store.write
    )
})

/** Hands out records without what they have kept. */
export const forgottenSteps: Plant = (store) => ({
  ...store,
  exchange: (request) =>
    Effect.map(store.exchange(request), (reply) => ({
      ...reply,
      claimed: reply.claimed.map((claimed) => ({ ...claimed, checkpoints: {} }))
    }))
})
