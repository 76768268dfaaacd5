/** Pages of records: a bounded number of them is looked at in one call. */
import type { JobError, JobRecord, JobStore } from "capstan"
import * as Effect from "effect/Effect"
import type { Calls } from "./client.ts"
import * as Codec from "./codec.ts"
import * as Decode from "./decode.ts"
import * as Ids from "./ids.ts"

/** How many records one query looks at, and how many of them in one call of its script. */
export const looked = 10_000
export const lookedAtOnce = 500

export interface Page {
  readonly records: ReadonlyArray<JobRecord.JobRecord>
  /** Where a query goes on after each of the records. */
  readonly cursors: ReadonlyArray<string>
  /** Where it goes on after all that was looked at; empty at the end. */
  readonly cursor: string
  /** How much of the budget it took. */
  readonly looked: number
  /** How many records were seen, also those that were sorted out by the hundred, which cost little. */
  readonly passed: number
}

/** As `stop` of the script puts them: a chunk, and a packed id or the beginning or end of the chunk. */
const cursorPattern = /^\d{1,15}:(?:[-\w.]{22}|~)?$/

export const isCursor = (text: string): boolean => cursorPattern.test(text)

export const page = (
  client: Calls,
  { cursor, limit, order, where }: JobStore.QueryRequest,
  budget: number
): Effect.Effect<Page, JobError.JobStoreError> =>
  Effect.map(
    client.call<[string, string, string, number, string, number]>("query", "page", [
      Codec.whereOf(where),
      order,
      String(limit),
      String(budget),
      cursor ?? ""
    ]),
    ([next, kindsText, lines, left, chunks, passed]) => {
      const kinds = Decode.kindsOf(kindsText)
      const records = Decode.linesOf(lines).map((line) => Decode.toRecord(line, kinds))
      const of = chunks.split(",")
      return {
        records,
        cursors: records.map(({ id }, i) => `${of[i]}:${Codec.packId(id)}`),
        cursor: next,
        looked: budget - Number(left),
        passed: Number(passed)
      }
    }
  )

export const select = (
  client: Calls,
  request: JobStore.QueryRequest
): Effect.Effect<JobStore.QueryReply, JobError.JobStoreError> =>
  Effect.gen(function*() {
    const { where } = request
    if (where.ids !== undefined) return yield* selectIds(where.ids, request, (ids) => byIds(client, where, ids))
    const records: Array<JobRecord.JobRecord> = []
    let cursor = request.cursor ?? ""
    let left = looked
    let passed = 0
    do {
      const limit = request.limit - records.length
      const found = yield* page(client, { ...request, limit, cursor }, Math.min(left, lookedAtOnce))
      records.push(...found.records)
      left -= found.looked
      passed += found.passed
      cursor = found.cursor
    } while (cursor !== "" && records.length < request.limit && left > 0)
    return { records, cursor: cursor === "" ? undefined : cursor, looked: passed }
  })

/**
 * A page of those that have one of these ids, each once, in the order of their ids, which begin with the instant at which they were made.
 * They are read a page at a time, and a cursor names the last that was looked at; in which chunk it lies does not matter here.
 */
export const selectIds = (
  ids: ReadonlyArray<JobRecord.JobId>,
  request: JobStore.QueryRequest,
  read: (
    ids: ReadonlyArray<JobRecord.JobId>
  ) => Effect.Effect<ReadonlyArray<JobRecord.JobRecord>, JobError.JobStoreError>
): Effect.Effect<JobStore.QueryReply, JobError.JobStoreError> =>
  Effect.gen(function*() {
    const records: Array<JobRecord.JobRecord> = []
    let rest = idsAfter(ids, request.order, request.cursor)
    let cursor: string | undefined
    let passed = 0
    while (rest.length > 0 && records.length < request.limit && passed < looked) {
      const some = rest.slice(0, Math.min(request.limit - records.length, lookedAtOnce))
      records.push(...yield* read(some.map(Ids.unpack)))
      passed += some.length
      rest = rest.slice(some.length)
      cursor = rest.length === 0 ? undefined : cursorOfId(some.at(-1)!)
    }
    return { records, cursor, looked: passed }
  })

/** Which records a chunk of an action is about: some of the ids, be they there or not, else what a page has; and where the next begins. */
export const chunkOf = (
  request: JobStore.QueryRequest,
  page: (request: JobStore.QueryRequest) => Effect.Effect<JobStore.QueryReply, JobError.JobStoreError>
): Effect.Effect<
  { readonly ids: ReadonlyArray<JobRecord.JobId>; readonly next: string | undefined },
  JobError.JobStoreError
> => {
  const { cursor, limit, order, where } = request
  if (where.ids === undefined) {
    return Effect.map(page(request), ({ cursor, records }) => ({ ids: records.map(({ id }) => id), next: cursor }))
  }
  const rest = idsAfter(where.ids, order, cursor)
  const some = rest.slice(0, limit)
  return Effect.succeed({
    ids: some.map(Ids.unpack),
    next: rest.length > limit ? cursorOfId(some.at(-1)!) : undefined
  })
}

/** What is no id is told once, with the first chunk. */
export const notIds = (
  { cursor, where: { ids } }: Pick<JobStore.QueryRequest, "cursor" | "where">
): JobStore.ControlReply["outcomes"] =>
  cursor !== undefined
    ? []
    : [...new Set(ids?.filter((id) => Ids.pack(id) === undefined))].map((id) => ({ id, outcome: "NotFound" }))

/** Those of the ids that come after a cursor, packed, in the order of the page. What is no id is not here. */
const idsAfter = (
  ids: ReadonlyArray<JobRecord.JobId>,
  order: JobStore.QueryRequest["order"],
  cursor: string | undefined
): ReadonlyArray<string> => {
  const packed = [...new Set(ids.flatMap((id) => Ids.pack(id) ?? []))].toSorted()
  const after = cursor?.slice(cursor.indexOf(":") + 1)
  if (order === "oldest") return after === undefined ? packed : packed.filter((id) => id > after)
  return (after === undefined ? packed : packed.filter((id) => id < after)).toReversed()
}

const cursorOfId = (packed: string): string => `0:${packed}`

const byIds = (client: Calls, where: JobStore.Selection, ids: ReadonlyArray<JobRecord.JobId>) =>
  Effect.map(
    client.call<[string, string, string]>("query", "get", ids.map(Codec.packId)),
    ([, kinds, lines]) => {
      const found = Decode.kindsOf(kinds)
      return Decode.linesOf(lines).map((line) => Decode.toRecord(line, found)).filter((record) =>
        matches(record, where)
      )
    }
  )

const matches = (record: JobRecord.JobRecord, where: JobStore.Selection): boolean =>
  (where.tag === undefined || record.tag === where.tag) &&
  (where.queue === undefined || record.queue === where.queue) &&
  (where.states === undefined || where.states.includes(record.state)) &&
  (where.deadReason === undefined || record.deadReason === where.deadReason) &&
  (where.blockedReason === undefined || record.blocked?.reason === where.blockedReason) &&
  (where.errorTag === undefined || record.failures.at(-1)?.tag === where.errorTag) &&
  (where.label === undefined || record.tags.includes(where.label)) &&
  (where.flowId === undefined || record.flowId === where.flowId) &&
  (where.parent === undefined || record.parent === where.parent) &&
  (where.concurrencyKey === undefined || record.concurrencyKey === where.concurrencyKey) &&
  (where.worker === undefined || record.worker === where.worker) &&
  (where.enqueuedFrom === undefined || record.enqueuedAt >= where.enqueuedFrom) &&
  (where.enqueuedBefore === undefined || record.enqueuedAt < where.enqueuedBefore)
