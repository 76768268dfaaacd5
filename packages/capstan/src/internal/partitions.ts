/**
 * What a declaration asks of a store with several partitions that such a store would refuse at every call, whatever the
 * payload: it is refused where a worker or a schedule is made. The types cannot say it: a job does not know its store.
 */
import type { LimitChange } from "../JobStore.ts"
import type { Definition } from "./definition.ts"
import type { Spec } from "./schedules/plan.ts"

/** How many partitions each queue has that has several. */
export type Partitions = Readonly<Record<string, number>>

/** `undefined` for one, also where a queue is called as something that every object has. */
const manyOf = (partitions: Partitions, queue: string): number | undefined =>
  Object.hasOwn(partitions, queue) ? partitions[queue] : undefined

/** What keeps the jobs of a worker from having their keys in one partition each. */
export const keysIssue = (jobs: ReadonlyArray<Definition>, partitions: Partitions): string | undefined => {
  const spaces = new Map<string, string>()
  for (const { concurrency, queue } of jobs) {
    if (concurrency === undefined) continue
    const other = spaces.get(concurrency.space) ?? queue
    spaces.set(concurrency.space, other)
    if (manyOf(partitions, other) === manyOf(partitions, queue)) continue
    return `the queues ${other} and ${queue} share the keys of ${concurrency.space}, and have not as many partitions: ` +
      "give them the same number"
  }
  for (const { concurrency, partition, queue, tag, unique } of jobs) {
    const many = manyOf(partitions, queue)
    if (concurrency === undefined || many === undefined) continue
    const its = `its queue ${queue} has ${many} partitions`
    if (concurrency.isWhole === true && (partition ?? unique) !== undefined) {
      return `job ${tag} has a circuit breaker for all of its records, which other keys spread, and ${its}: ` +
        "give it a concurrency key that begins with its partition"
    }
    if (unique === undefined || partition !== undefined) continue
    return `job ${tag} has a unique and a concurrency key, and ${its}: declare the partition of which both are part`
  }
  return undefined
}

/** Each partition would count for itself. The name of a limit that is no queue begins with another letter. */
export const limitsIssue = (limits: ReadonlyArray<LimitChange>, partitions: Partitions): string | undefined => {
  for (const { name, settings } of limits) {
    const many = manyOf(partitions, name)
    if (many === undefined || settings?.concurrency === undefined && settings?.rate === undefined) continue
    return `queue ${name} has a limit and ${many} partitions: give the limit keys, or leave the queue in one`
  }
  return undefined
}

/** A tick that looks at the run before is one write in the partition of the schedule, and keys choose another one. */
export const overlapIssue = (
  { overlap }: Spec,
  { concurrency, partition, queue, tag, unique }: Definition,
  partitions: Partitions
): string | undefined => {
  const many = manyOf(partitions, queue)
  if (overlap === "allow" || many === undefined || (concurrency ?? partition ?? unique) === undefined) return undefined
  return `overlap "${overlap}" looks at the run before, which the keys of job ${tag} put into another partition, and its queue ` +
    `${queue} has ${many}: allow overlaps, or leave the queue in one`
}
