/** What a call may ask of records: any other word would be read by nobody. */
import * as Effect from "effect/Effect"
import { JobControlError } from "../JobError.ts"
import type { Selection } from "../JobStore.ts"

/** All of them, each once. */
const conditions: { readonly [Condition in keyof Selection]-?: true } = {
  ids: true,
  tag: true,
  queue: true,
  states: true,
  deadReason: true,
  blockedReason: true,
  errorTag: true,
  label: true,
  flowId: true,
  parent: true,
  concurrencyKey: true,
  worker: true,
  enqueuedFrom: true,
  enqueuedBefore: true
}

/** A condition that the call does not know: left out, it would mean more records than whoever wrote it has in mind. */
export const unknownOf = (where: Selection): JobControlError | undefined => {
  const name = Object.entries(where).find(([name, value]) => value !== undefined && !Object.hasOwn(conditions, name))
    ?.[0]
  if (name === undefined) return undefined
  return new JobControlError({
    option: `where.${name}`,
    issue: name === "payload"
      ? "is a condition of query and stream alone: find the records by it there, and give their ids here"
      : `is no condition, and nothing was read or changed: leave it out, or use one of ${
        Object.keys(conditions).join(", ")
      }`
  })
}

/** Fails with the first that is not known. */
export const known = (where: Selection): Effect.Effect<void, JobControlError> => {
  const unknown = unknownOf(where)
  return unknown === undefined ? Effect.void : Effect.fail(unknown)
}

/** Whether nothing is asked of a record. */
export const isAll = (where: Selection): boolean => Object.values(where).every((condition) => condition === undefined)
