/**
 * Which partition a record lies in. Every release must choose as the one before: records of a key that lie in two partitions
 * do not know of each other.
 */
import { JobError, type JobStore } from "capstan"

/** How many partitions each queue has; those with one are left out. */
export type Counts = ReadonlyMap<string, number>

/** Answers the number of a partition, or what keeps the record from lying in one. */
export type Choose = (record: JobStore.NewRecord) => number | JobError.CrossPartition

export const most = 256

export const choosing = (counts: Counts): Choose => (record) => {
  const count = counts.get(record.queue)
  if (count === undefined) return 0
  const issue = conflictOf(record)
  if (issue !== undefined) return new JobError.CrossPartition({ job: record.tag, queue: record.queue, issue })
  return hash(placeOf(record)) % count
}

const placeOf = ({ concurrency, flowId, id, idempotencyKey, partitionKey, unique }: JobStore.NewRecord): string =>
  partitionKey ?? concurrency?.key ?? unique?.key ?? idempotencyKey ?? flowId ?? id

/** Core puts the job before a concurrency key, or a limit's space. */
const bareKey = ({ concurrency, tag }: JobStore.NewRecord): string | undefined => {
  if (concurrency === undefined) return undefined
  const { key } = concurrency
  if (key.startsWith(`${tag}/`)) return key.slice(tag.length + 1)
  return key.startsWith("@") ? key.slice(key.indexOf("/") + 1) : key
}

const conflictOf = (record: JobStore.NewRecord): string | undefined => {
  const { partitionKey, unique } = record
  const concurrencyKey = bareKey(record)
  if (partitionKey === undefined) {
    return unique === undefined || concurrencyKey === undefined || unique.key === concurrencyKey
      ? undefined
      : `its concurrency key ${concurrencyKey} and its unique key ${unique.key} choose different ones: ` +
        "declare a partition of which both are part"
  }
  for (const [name, key] of [["unique", unique?.key], ["concurrency", concurrencyKey]] as const) {
    if (key === undefined || isPartOf(partitionKey, key)) continue
    return `its ${name} key ${key} is no part of its partition ${partitionKey}: let it begin with it, and a "/"`
  }
  return undefined
}

const isPartOf = (partition: string, key: string): boolean =>
  key === partition || key.startsWith(partition) && !/[\p{L}\p{N}]/u.test(key[partition.length]!)

/** FNV-1a over the units of the text, its bits mixed so that the low ones are as good as all (the end of MurmurHash3). */
const hash = (text: string): number => {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
