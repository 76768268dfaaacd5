/** Figures of several partitions as those of one store. */
import type { JobRecord, JobStore } from "capstan"

export const sumStats = (all: ReadonlyArray<JobStore.Stats>): JobStore.Stats => {
  const queues = new Map<string, JobStore.QueueStats>()
  const workers = new Map<string, JobStore.WorkerStats>()
  for (const stats of all) {
    for (const one of stats.queues) queues.set(one.queue, addQueue(queues.get(one.queue), one))
    for (const one of stats.workers) workers.set(one.worker, addWorker(workers.get(one.worker), one))
  }
  return { now: Math.max(...all.map(({ now }) => now)), queues: [...queues.values()], workers: [...workers.values()] }
}

const larger = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : Math.max(a, b)

const addQueue = (sum: JobStore.QueueStats | undefined, one: JobStore.QueueStats): JobStore.QueueStats => {
  if (sum === undefined) return one
  const counts = { ...sum.counts }
  for (const state of Object.keys(counts) as Array<JobRecord.State>) counts[state] += one.counts[state]
  return {
    queue: one.queue,
    counts,
    parked: sum.parked + one.parked,
    oldestReadyAge: larger(sum.oldestReadyAge, one.oldestReadyAge),
    paused: sum.paused || one.paused
  }
}

/** A worker has a lease in every partition: the one that ends first says whether it lives. */
const addWorker = (sum: JobStore.WorkerStats | undefined, one: JobStore.WorkerStats): JobStore.WorkerStats =>
  sum === undefined ? one : {
    worker: one.worker,
    holds: sum.holds + one.holds,
    leaseLeft: Math.min(sum.leaseLeft, one.leaseLeft),
    queues: one.queues,
    process: sum.process ?? one.process
  }
