/**
 * A page of records for who may see some queues alone: it is asked for queue by queue and put together. Where the store stops before it has
 * found enough, which may be among records of other queues, it is asked to go on, so that the page ends where another begins or at the
 * end. It stops after so many calls: a short page with a cursor tells that more was looked at. Its cursor says how far each queue was
 * read; one that is not in it has no more.
 */
import type { JobError, Jobs } from "capstan"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { BadRequest } from "../ApiError.ts"
import type * as Model from "../ApiModel.ts"
import type { Bounded } from "./bounded.ts"
import { summaryOf } from "./view.ts"

type Failure = JobError.JobStoreError | JobError.JobControlError
/** Of a record no more is kept than is shown: whole ones are those of the calls that are under way. */
type Records = ReadonlyArray<typeof Model.RecordSummary.Type>

/** Each is a call of the store, and a part of the cursor, which stands in an address. */
export const mostQueues = 32
/** Calls of one page at a time: the store has others who ask. */
const atOnce = 4
const usualLimit = 50
/** Records of one page that are read before others take their turn. */
const mostAtWill = 1000
/** Records of one page that are read for it, those included that the next one has: of many queues fewer of each. */
const mostRead = 4000
/** Calls of one reading, in which the store passes over records that are not meant. */
export const mostCalls = 100

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
  bounded: Bounded["Service"],
  queues: ReadonlyArray<string>,
  { cursor, ...query }: Omit<Jobs.Query, "queue">
) =>
  Effect.gen(function*() {
    if (queues.length > mostQueues) {
      return yield* new BadRequest({ detail: `queue: one page is of ${mostQueues} queues at most: name a queue` })
    }
    const places = cursor === undefined ? new Map(queues.map((queue) => [queue, ""])) : placesOf(cursor)
    if (places === undefined) {
      return yield* new BadRequest({ detail: "cursor: is none that was given: pass that of the page before as it is" })
    }
    const asked = queues.filter((queue) => places.has(queue))
    const limit = query.limit ?? usualLimit
    const limitOfEach = asked.length * limit > mostRead ? Math.floor(mostRead / asked.length) : limit
    const call = (part: Part, limit: number): Effect.Effect<Part, Failure> =>
      Effect.map(
        jobs.query({
          ...query,
          queue: part.queue,
          limit,
          cursor: Option.getOrUndefined(Option.filter(part.next, (from) => from !== ""))
        }),
        ({ cursor, records }) => ({ ...part, records: [...part.records, ...records.map(summaryOf)], next: cursor })
      )
    let calls = mostCalls
    /** Until it has so many. A search inside of payloads goes on by itself. */
    const goOn = (part: Part, many: number): Effect.Effect<Part, Failure> =>
      isFull(part, many) || query.payload !== undefined || calls-- <= 0
        ? Effect.succeed(part)
        : Effect.flatMap(call(part, many - part.records.length), (part) => goOn(part, many))
    const begun = (queue: string, from: string): Part => ({ queue, from, records: [], next: Option.some(from) })
    const read = Effect.forEach(
      asked,
      (queue) => call(begun(queue, places.get(queue)!), limitOfEach),
      { concurrency: atOnce }
    )
    const put = Effect.fnUntraced(function*(found: ReadonlyArray<Part>) {
      const parts = yield* Effect.forEach(found, (part) => goOn(part, limitOfEach), { concurrency: atOnce })
      const isFirst = comesBefore(query.order ?? "newest")
      const given = counted(parts, limit, isFirst)
      // What is read again takes as many.
      calls = mostCalls
      const ends = yield* Effect.forEach(parts, (part, i) => {
        const many = given[i]!
        if (many === part.records.length) return Effect.succeed(part)
        const anew = begun(part.queue, part.from)
        return many === 0
          ? Effect.succeed(anew)
          // Where the page ends in the middle of these only the store can say: what counts are those that come then, for others may have
          // come or gone meanwhile.
          : Effect.flatMap(call(anew, many), (part) => goOn(part, many))
      }, { concurrency: atOnce })
      return {
        records: ends.flatMap(({ records }) => records).toSorted((a, b) => isFirst(a, b) ? -1 : 1),
        cursor: cursorOf(ends)
      }
    })
    if (asked.length * limit > mostAtWill) return yield* bounded.read(Effect.flatMap(read, put))
    const found = yield* read
    return yield* found.every((part) => isFull(part, limitOfEach)) ? put(found) : bounded.read(put(found))
  })

/** Whether the store has found so many, or all that there are. */
const isFull = ({ next, records }: Part, many: number): boolean => Option.isNone(next) || records.length >= many

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
