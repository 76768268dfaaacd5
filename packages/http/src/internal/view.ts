/** Records and figures as the API shows them. */
import type { JobRecord, JobStore } from "capstan"
import type * as Model from "../ApiModel.ts"

/** Of a payload in a list. */
const previewLength = 256

/** Of payload, result and progress of one record, where the request does not say. */
export const usualLength = 64 * 1024

/** The same without the fields that are `undefined`: in JSON they are absent. */
type Present<T> =
  & { [K in keyof T as undefined extends T[K] ? never : K]: T[K] }
  & { [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined> }

export const present = <T extends object>(fields: T): Present<T> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Present<T>

/** At most so many characters of a text. Half of a pair is no text. */
const beginning = (text: string, most: number): string =>
  text.length <= most ? text : text.slice(0, most).replace(/[\uD800-\uDBFF]$/, "")

/** The same, with a sign where something is missing. */
export const cut = (text: string, most: number): string => text.length <= most ? text : `${beginning(text, most)}…`

const excerpt = (text: string, most: number): typeof Model.Excerpt.Type => ({
  text: beginning(text, most),
  length: text.length
})

const excerptOf = (text: string | undefined, most: number) => text === undefined ? undefined : excerpt(text, most)

const failureOf = (failure: JobRecord.Failure): typeof Model.Failure.Type => present(failure)

/** What a list and a single record have in common. */
const common = (record: JobRecord.JobRecord, most: number) =>
  present({
    id: record.id,
    tag: record.tag,
    version: record.version,
    queue: record.queue,
    priority: record.priority,
    state: record.state,
    attempt: record.attempt,
    crashes: record.crashes,
    enqueuedAt: record.enqueuedAt,
    dueAt: record.dueAt,
    claimedAt: record.claimedAt,
    finishedAt: record.finishedAt,
    expiresAt: record.expiresAt,
    worker: record.worker,
    blocked: record.blocked === undefined ? undefined : present(record.blocked),
    deadReason: record.deadReason,
    cancelRequested: record.cancelRequested,
    tags: record.tags,
    flowId: record.flowId,
    parent: record.parent,
    concurrencyKey: record.concurrencyKey,
    uniqueKey: record.uniqueKey,
    progress: excerptOf(record.progress, most),
    payload: excerpt(record.payload, most)
  })

export const summaryOf = (record: JobRecord.JobRecord): typeof Model.RecordSummary.Type => {
  const last = record.failures.at(-1)
  return { ...common(record, previewLength), ...last === undefined ? {} : { lastFailure: failureOf(last) } }
}

export const recordOf = (record: JobRecord.JobRecord, most: number): typeof Model.Record.Type => ({
  ...common(record, most),
  ...present({
    result: excerptOf(record.result, most),
    idempotencyKey: record.idempotencyKey,
    rateKey: record.rateKey,
    batchKey: record.batchKey
  }),
  fence: record.fence,
  failures: record.failures.map(failureOf),
  attempts: record.attempts.map((attempt) =>
    present({ ...attempt, failure: attempt.failure === undefined ? undefined : failureOf(attempt.failure) })
  ),
  logs: record.logs,
  headers: record.headers,
  steps: Object.keys(record.checkpoints ?? {}),
  sensitive: record.sensitive
})

/** The figures, of the queues that may be seen. A worker of none of them is left out, and what one holds where that is of others too. */
export const statsOf = (stats: JobStore.Stats, isSeen: (queue: string) => boolean): typeof Model.Stats.Type => ({
  now: stats.now,
  queues: stats.queues.filter(({ queue }) => isSeen(queue)).map((queue) => present(queue)),
  workers: stats.workers.flatMap(({ holds, process, ...worker }) => {
    const queues = worker.queues.filter(isSeen)
    if (queues.length === 0 && worker.queues.length > 0) return []
    const told = present({ ...worker, queues, process: process === undefined ? undefined : present(process) })
    return [queues.length === worker.queues.length ? { ...told, holds } : told]
  })
})
