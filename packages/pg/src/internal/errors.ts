/** What a failure of the driver means for who called. */
import { JobError } from "capstan"
import type { SqlError } from "effect/sql/SqlError"

/**
 * Server shut down, out of connections or resources, cannot connect now, a standby that is not the primary yet (25006), or a
 * transaction that the server has ended because its client was silent or it took too long (25P03, 25P04): another try may succeed.
 */
const away = /^(53|57P|58|25006$|25P0[34]$)/
/** No such table, function or column, or another type of it: the schema is not the one that this code wants. */
const misfit = /^(42|3F)/

/** The role lacks a right. */
const forbidden = "42501"

export const toStoreError = (operation: string, error: SqlError): JobError.JobStoreError => {
  const detail = detailOf(error)
  const code = codeOf(error)
  return new JobError.JobStoreError({ reason: reasonOf() })

  function reasonOf(): JobError.JobStoreError["reason"] {
    switch (error.reason._tag) {
      case "ConnectionError":
        if (hasEnded(error)) return new JobError.Incompatible({ operation, detail: ended })
        // A statement that found no connection cannot have happened; a connection that broke leaves it open.
        return error.reason.operation === "connect"
          ? new JobError.Unavailable({ operation, detail })
          : new JobError.OutcomeUnknown({ operation, detail })
      case "DeadlockError":
      case "SerializationError":
      case "LockTimeoutError":
      case "StatementTimeoutError":
        return new JobError.Unavailable({ operation, detail })
    }
    if (code !== undefined && away.test(code)) return new JobError.Unavailable({ operation, detail })
    if (code === forbidden) {
      return new JobError.Incompatible({ operation, detail: `${detail}; docs/postgres.md has the rights of each role` })
    }
    if (code !== undefined && misfit.test(code)) {
      return new JobError.Incompatible({ operation, detail: `${detail}; run the migrations of this release` })
    }
    return new JobError.Incompatible({ operation, detail })
  }
}

/**
 * What the driver says to a fiber that was forked in a transaction and is still in it after its end. It has no code; the
 * text is tested.
 */
const hasEnded = (error: SqlError): boolean =>
  error.reason.cause instanceof Error && error.reason.cause.message === "Pinned connection was released"

const ended =
  "the transaction that this fiber was forked in has ended, and nothing was done: join the fiber before the " +
  "transaction ends, fork it outside, or hand its work to sql.afterCommit"

/** SQLSTATE, when the server answered. */
export const codeOf = (error: SqlError): string | undefined => {
  const cause = error.reason.cause
  return typeof cause === "object" && cause !== null && "code" in cause && typeof cause.code === "string"
    ? cause.code
    : undefined
}

const detailOf = (error: SqlError): string => {
  const cause = error.reason.cause
  const text = cause instanceof Error && cause.message !== "" ? cause.message : error.message
  const code = codeOf(error)
  return code === undefined ? text : `${text} (${code})`
}
