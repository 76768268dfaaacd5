/**
 * Pages over all partitions, merged by the instant of the enqueue: each partition keeps its own order, and a cursor says how
 * far each of them was read.
 */
import type { JobError, JobRecord, JobStore } from "capstan"
import * as Effect from "effect/Effect"
import type { Calls } from "../client.ts"
import { isCursor as isPlaceIn, looked, lookedAtOnce, type Page, page } from "../query.ts"
import type { Places } from "./places.ts"

/** Where one partition is read. */
interface Reader {
  readonly partition: number
  /** Where it goes on; `undefined` at the end. */
  cursor: string | undefined
  /** What was read and not given out, and where it goes on after each of it. */
  records: ReadonlyArray<JobRecord.JobRecord>
  cursors: ReadonlyArray<string>
  given: number
  /** Where it goes on after all that was read. */
  next: string | undefined
}

const ended = "!"
const divider = "|"
/** Behind a cursor: the record that it names is of the next page. */
const itself = "~"

/** One of so many partitions. */
export const isCursor = (text: string, partitions: number): boolean => {
  const cursors = text.split(divider)
  return cursors.length === partitions &&
    cursors.every((cursor) =>
      cursor === "" || cursor === ended || isPlaceIn(cursor.endsWith(itself) ? cursor.slice(0, -itself.length) : cursor)
    )
}

/**
 * For pages of ids, which are read by their ids alone: how far is told by the place of the first partition, and of the others that there
 * is nothing more.
 */
export const spread = (cursor: string | undefined, partitions: number): string | undefined =>
  cursor === undefined ? undefined : [cursor, ...Array.from({ length: partitions - 1 }, () => ended)].join(divider)

/** The other way round. */
export const gathered = (cursor: string | undefined): string | undefined => cursor?.split(divider)[0]

const isBefore = (order: JobStore.QueryRequest["order"], a: JobRecord.JobRecord, b: JobRecord.JobRecord): boolean => {
  const isOlder = a.enqueuedAt < b.enqueuedAt || a.enqueuedAt === b.enqueuedAt && a.id < b.id
  return order === "oldest" ? isOlder : !isOlder
}

const headOf = ({ given, records }: Reader): JobRecord.JobRecord | undefined => records[given]

export const select = (
  partitions: ReadonlyArray<Calls>,
  places: Places,
  request: JobStore.QueryRequest
): Effect.Effect<JobStore.QueryReply, JobError.JobStoreError> =>
  Effect.gen(function*() {
    const from = request.cursor?.split(divider)
    const readers = partitions.map((_, partition): Reader => {
      const cursor = from?.[partition] ?? ""
      return {
        partition,
        cursor: cursor === ended ? undefined : cursor,
        records: [],
        cursors: [],
        given: 0,
        next: cursor === ended ? undefined : cursor
      }
    })
    const found: Array<JobRecord.JobRecord> = []
    let left = looked
    let passed = 0
    while (found.length < request.limit) {
      const dry = readers.filter((reader) => headOf(reader) === undefined && reader.next !== undefined)
      if (dry.length > 0) {
        const budget = Math.min(lookedAtOnce, Math.floor(left / dry.length))
        if (budget === 0) break
        const limit = request.limit - found.length
        const seen = yield* read(partitions, dry, { ...request, limit }, budget)
        left -= seen.looked
        passed += seen.passed
        continue
      }
      const first = firstOf(readers, request.order)
      if (first === undefined) break
      found.push(take(first, places))
    }
    const cursors = readers.map(({ cursor }) => cursor ?? ended)
    return {
      records: found,
      cursor: cursors.every((cursor) => cursor === ended) ? undefined : cursors.join(divider),
      looked: passed
    }
  })

const read = (
  partitions: ReadonlyArray<Calls>,
  dry: ReadonlyArray<Reader>,
  request: JobStore.QueryRequest,
  budget: number
): Effect.Effect<Pick<Page, "looked" | "passed">, JobError.JobStoreError> =>
  Effect.map(
    Effect.forEach(
      dry,
      (reader) => page(partitions[reader.partition]!, { ...request, cursor: reader.next }, budget),
      { concurrency: "unbounded" }
    ),
    (pages) => {
      const sum = { looked: 0, passed: 0 }
      pages.forEach(({ cursor, cursors, looked, passed, records }, i) => {
        const reader = dry[i]!
        reader.records = records
        reader.cursors = cursors
        reader.given = 0
        reader.next = cursor === "" ? undefined : cursor
        // Newer ones that come before the next page are not of it: it goes on with the first that was there, itself included.
        if (reader.cursor === "" && records.length > 0 && request.order === "newest") {
          reader.cursor = cursors[0] + itself
        }
        if (records.length === 0) reader.cursor = reader.next
        sum.looked += looked
        sum.passed += passed
      })
      return sum
    }
  )

const firstOf = (
  readers: ReadonlyArray<Reader>,
  order: JobStore.QueryRequest["order"]
): Reader | undefined => {
  let first: Reader | undefined
  for (const reader of readers) {
    const head = headOf(reader)
    if (head !== undefined && (first === undefined || isBefore(order, head, headOf(first)!))) first = reader
  }
  return first
}

const take = (reader: Reader, places: Places): JobRecord.JobRecord => {
  const record = reader.records[reader.given]!
  const isLast = reader.given === reader.records.length - 1
  reader.cursor = isLast ? reader.next : reader.cursors[reader.given]
  reader.given++
  places.note(record.id, reader.partition)
  return record
}
