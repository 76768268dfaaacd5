/**
 * A record as it may leave the store: what its job marked as sensitive is masked, also for a reader without the schema.
 */
import type { Attempt, Failure, JobRecord } from "../JobRecord.ts"
import { maskJson } from "./sensitive.ts"

export const masked = (record: JobRecord): JobRecord => {
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

const maskFailure = (failure: Failure, at: ReadonlyArray<string>): Failure =>
  failure.error === undefined ? failure : { ...failure, error: maskJson(failure.error, at) }
