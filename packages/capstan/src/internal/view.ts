/**
 * A record as it may leave the store: what its job marked as sensitive is masked, also for a reader without the schema.
 */
import type { Attempt, Failure, JobRecord } from "../JobRecord.ts"
import { type Ended, endedHeader } from "./ended.ts"
import { mask, maskError, maskJson } from "./sensitive.ts"

export const masked = (given: JobRecord): JobRecord => {
  const record = given.checkpoints === undefined ? given : withoutValues(given)
  const { sensitive } = record
  if (
    sensitive.payload.length === 0 && sensitive.result.length === 0 && sensitive.error.length === 0 &&
    sensitive.progress.length === 0
  ) return record
  return {
    ...record,
    headers: maskEnded(record.headers, sensitive.error),
    payload: maskJson(record.payload, sensitive.payload),
    result: record.result === undefined ? undefined : maskJson(record.result, sensitive.result),
    progress: record.progress === undefined ? undefined : maskJson(record.progress, sensitive.progress),
    failures: record.failures.map((failure) => shown(failure, record)),
    attempts: record.attempts.map((attempt): Attempt =>
      attempt.failure === undefined ? attempt : { ...attempt, failure: shown(attempt.failure, record) }
    )
  }
}

/** The names of its steps. Their values have schemas that are known in the handler alone. */
const withoutValues = (record: JobRecord): JobRecord => ({
  ...record,
  checkpoints: Object.fromEntries(Object.keys(record.checkpoints ?? {}).map((name) => [name, mask]))
})

/** A worker leaves out what it knows to be masked of a payload; one of an earlier release, or of another declaration, did not. */
const shown = (failure: Failure, { payload, sensitive }: JobRecord): Failure =>
  failure.error === undefined && failure.tag === "InvalidPayload"
    ? { ...failure, message: maskRest(failure.message, payload, sensitive.payload) }
    : maskFailure(failure, sensitive.error)

/** Masks that are in it already are not looked into: a value may be a part of their own text. */
const maskRest = (message: string, payload: string, at: ReadonlyArray<string>): string =>
  at.length === 0
    ? message
    : message.split(mask).map((part) => maskError({ error: payload, message: part }, at).message).join(mask)

const maskFailure = (failure: Failure, at: ReadonlyArray<string>): Failure => {
  const { error, message } = failure
  return error === undefined || at.length === 0 ? failure : { ...failure, ...maskError({ error, message }, at) }
}

/** What a record tells of a death is for its handler alone; the failure in it is masked as any other. */
const maskEnded = (headers: JobRecord["headers"], at: ReadonlyArray<string>): JobRecord["headers"] => {
  const told = headers[endedHeader]
  return told === undefined || at.length === 0 ? headers : { ...headers, [endedHeader]: endedWithout(told, at) }
}

const endedWithout = (told: string, at: ReadonlyArray<string>): string => {
  try {
    const ended = JSON.parse(told) as Ended
    return JSON.stringify(ended.failure ? { ...ended, failure: maskFailure(ended.failure, at) } : ended)
  } catch {
    return mask
  }
}
