/**
 * A page of records for who may see some queues alone: it is asked for queue by queue and put together, so that neither its length nor
 * where it ends tells anything of the others. Its cursor says how far each queue was read; one that is not in it has no more.
 */
import type { JobError, Jobs } from "capstan"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { BadRequest } from "../ApiError.ts"

type Failure = JobError.JobStoreError | JobError.JobControlError
type Records = Jobs.Page["records"]

/** Each is a call of the store, and a part of the cursor, which stands in an address. */
export const mostQueues = 32
/** Calls of one page at a time: the store has others who ask. */
const atOnce = 4
const usualLimit = 50

/** What was read of one queue. */
interface Part {
  readonly queue: string
  /** Where it was read from; empty for the beginning. */
  readonly from: string
  readonly records: Records
  /** Where it goes on after all of them. */
  readonly next: Option.Option<string>
}

export const page = (
  jobs: Jobs.Shape,
  queues: ReadonlyArray<string>,
  { cursor, ...query }: Omit<Jobs.Query, "queue">
): Effect.Effect<Jobs.Page, Failure | BadRequest> =>
  Effect.gen(function*() {
    if (queues.length > mostQueues) {
      return yield* new BadRequest({ detail: `queue: one page is of ${mostQueues} queues at most: name a queue` })
    }
    const places = cursor === undefined ? new Map(queues.map((queue) => [queue, ""])) : placesOf(cursor)
    if (places === undefined) {
      return yield* new BadRequest({ detail: "cursor: is none that was given: pass that of the page before as it is" })
    }
    const read = (queue: string, from: string, limit: number | undefined): Effect.Effect<Part, Failure> =>
      Effect.map(
        jobs.query({ ...query, queue, limit, cursor: from === "" ? undefined : from }),
        ({ cursor, records }) => ({ queue, from, records, next: cursor })
      )
    const parts = yield* Effect.forEach(
      queues.filter((queue) => places.has(queue)),
      (queue) => read(queue, places.get(queue)!, query.limit),
      { concurrency: atOnce }
    )
    const isFirst = comesBefore(query.order ?? "newest")
    const given = counted(parts, query.limit ?? usualLimit, isFirst)
    const ends = yield* Effect.forEach(parts, (part, i) => {
      const many = given[i]!
      if (many === part.records.length) return Effect.succeed(part)
      return many === 0
        ? Effect.succeed({ ...part, records: [], next: Option.some(part.from) })
        // Where the page ends in the middle of these only the store can say: what counts are those that come then, for others may have
        // come or gone meanwhile.
        : read(part.queue, part.from, many)
    }, { concurrency: atOnce })
    return {
      records: ends.flatMap(({ records }) => records).toSorted((a, b) => isFirst(a, b) ? -1 : 1),
      cursor: cursorOf(ends),
      looked: undefined
    }
  })

type Order = (a: Records[number], b: Records[number]) => boolean

const comesBefore = (order: NonNullable<Jobs.Query["order"]>): Order => (a, b) => {
  const isOlder = a.enqueuedAt < b.enqueuedAt || a.enqueuedAt === b.enqueuedAt && a.id < b.id
  return order === "oldest" ? isOlder : !isOlder
}

/** How many of each part the page has. It ends also where one has no more, but its queue may have: these would come in between. */
const counted = (parts: ReadonlyArray<Part>, limit: number, isFirst: Order): ReadonlyArray<number> => {
  const given = parts.map(() => 0)
  for (let found = 0; found < limit; found++) {
    let first: number | undefined
    for (const [i, { next, records }] of parts.entries()) {
      const head = records[given[i]!]
      if (head === undefined && Option.isSome(next)) return given
      if (head === undefined) continue
      if (first === undefined || isFirst(head, parts[first]!.records[given[first]!]!)) first = i
    }
    if (first === undefined) return given
    given[first]!++
  }
  return given
}

const cursorOf = (parts: ReadonlyArray<Part>): Option.Option<string> => {
  const places = parts.flatMap(({ next, queue }) => Option.isSome(next) ? [[queue, next.value] as const] : [])
  return places.length === 0 ? Option.none() : Option.some(JSON.stringify(places))
}

const placesOf = (cursor: string): ReadonlyMap<string, string> | undefined => {
  try {
    const places: unknown = JSON.parse(cursor)
    return Array.isArray(places) && places.every(isPlace) ? new Map(places) : undefined
  } catch {
    return undefined
  }
}

const isPlace = (place: unknown): place is readonly [queue: string, from: string] =>
  Array.isArray(place) && place.length === 2 && place.every((text) => typeof text === "string")
