/**
 * A page of records by what is inside of their payloads, which no store has an index of: read from those that all other
 * conditions leave, a bounded number a call.
 */
import * as Effect from "effect/Effect"
import type { JobStoreError } from "../JobError.ts"
import type { JobRecord } from "../JobRecord.ts"
import type { JobStore, QueryReply, QueryRequest } from "../JobStore.ts"
import { masked } from "./view.ts"

/** What stands at a place of a payload, by JSON pointer (RFC 6901). */
export type Inside = Readonly<Record<string, string | number | boolean | null>>

/** How many records a call reads at most. */
export const mostRead = 10_000
/** How many of them come from the store at a time. */
const chunk = 500

/** What is wrong with the places, if anything. */
export const issueOf = (inside: Inside): string | undefined => {
  const places = Object.keys(inside)
  if (places.length === 0) return "must name a place, such as { \"/to\": \"ada@example.com\" }"
  const wrong = places.find((place) => place !== "" && !place.startsWith("/"))
  return wrong === undefined ? undefined : `must be JSON pointers, such as "/to", one is ${JSON.stringify(wrong)}`
}

/**
 * Like the store's own page, of fewer records. It stops when the page is full, after `mostRead` records, and where the store has no
 * more; `looked` says at how many. What is masked is compared as the mask, so that nothing can be guessed by asking.
 */
export const queryInside = (
  store: JobStore["Service"],
  request: QueryRequest,
  inside: Inside
): Effect.Effect<QueryReply, JobStoreError> =>
  Effect.gen(function*() {
    const steps = Object.entries(inside).map(([place, value]) => [keysOf(place), value] as const)
    const matches = (record: JobRecord) => {
      const payload = parsed(masked(record).payload)
      return steps.every(([keys, value]) => at(payload, keys) === value)
    }
    const records: Array<JobRecord> = []
    let read = 0
    let looked = 0
    let { cursor } = request
    do {
      let limit = Math.min(chunk, mostRead - read)
      let page: QueryReply
      for (;;) {
        page = yield* store.query({ ...request, cursor, limit })
        const found = page.records.flatMap((record, i) => matches(record) ? [i] : [])
        const last = found[request.limit - records.length - 1]
        // A store that gives more than it was asked for is not asked for less: it would give the same.
        if (last === undefined || last + 1 >= page.records.length || page.records.length > limit) {
          for (const i of found) records.push(page.records[i]!)
          break
        }
        // The page is full in the middle of these: asked for again, they end where the next page is to begin. What counts are those that
        // come then, for others may have come or gone meanwhile.
        limit = last + 1
      }
      read += page.records.length
      looked += page.looked ?? page.records.length
      cursor = page.cursor
      yield* Effect.yieldNow
    } while (cursor !== undefined && records.length < request.limit && read < mostRead && looked < mostRead)
    return { records, cursor, looked }
  })

const keysOf = (pointer: string): ReadonlyArray<string> =>
  pointer.split("/").slice(1).map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"))

const parsed = (json: string): unknown => {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

const at = (value: unknown, keys: ReadonlyArray<string>): unknown =>
  keys.reduce<unknown>(
    (inner, key) =>
      typeof inner === "object" && inner !== null && Object.hasOwn(inner, key)
        ? (inner as Readonly<Record<string, unknown>>)[key]
        : undefined,
    value
  )
