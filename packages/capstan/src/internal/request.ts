/**
 * A record that somebody else is to store: what follows an attempt, or an event.
 */
import * as Effect from "effect/Effect"
import type { EnqueueError } from "../JobError.ts"
import type { NewRecord } from "../JobStore.ts"
import type { Definition } from "./definition.ts"
import { type Options, prepareMany } from "./enqueue.ts"

export class Request {
  readonly job: Definition
  readonly payload: unknown
  readonly options: Options

  constructor(job: Definition, payload: unknown, options: Options | undefined) {
    this.job = job
    this.payload = payload
    this.options = options ?? {}
  }
}

/** What a function of the program may answer. */
export type Requests = Request | ReadonlyArray<Request> | undefined

export const recordsOf = (requests: Requests): Effect.Effect<ReadonlyArray<NewRecord>, EnqueueError> => {
  const all = requests === undefined ? [] : requests instanceof Request ? [requests] : requests
  return Effect.map(
    Effect.forEach(all, ({ job, options, payload }) => prepareMany(job, [payload], options)),
    (records) => records.flat()
  )
}
