/**
 * A record as it may leave the store: what its job marked as sensitive is masked, also for a reader without the schema.
 */
import type { Attempt, Failure, JobRecord } from "../JobRecord.ts"
import { mask, maskJson } from "./sensitive.ts"

export const masked = (given: JobRecord): JobRecord => {
  const record = given.checkpoints === undefined ? given : withoutValues(given)
  const { sensitive } = record
  if (
    sensitive.payload.length === 0 && sensitive.result.length === 0 && sensitive.error.length === 0 &&
    sensitive.progress.length === 0
  ) return record
  return {
    ...record,
    payload: maskJson(record.payload, sensitive.payload),
    result: record.result === undefined ? undefined : maskJson(record.result, sensitive.result),
    progress: record.progress === undefined ? undefined : maskJson(record.progress, sensitive.progress),
    failures: record.failures.map((failure) => maskFailure(failure, sensitive.error)),
    attempts: record.attempts.map((attempt): Attempt =>
      attempt.failure === undefined ? attempt : { ...attempt, failure: maskFailure(attempt.failure, sensitive.error) }
    )
  }
}

/** The names of its steps. Their values have schemas that are known in the handler alone. */
const withoutValues = (record: JobRecord): JobRecord => ({
  ...record,
  checkpoints: Object.fromEntries(Object.keys(record.checkpoints ?? {}).map((name) => [name, mask]))
})

const maskFailure = (failure: Failure, at: ReadonlyArray<string>): Failure =>
  failure.error === undefined ? failure : { ...failure, error: maskJson(failure.error, at) }
