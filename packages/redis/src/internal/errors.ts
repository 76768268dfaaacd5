/** What a failure of the client or an error of the server means for who called. */
import { JobError } from "capstan"
import * as Exit from "effect/Exit"
import type { RedisError } from "effect/persistence/Redis"

/** The server is there and cannot now: another try may succeed. It did nothing. */
const away = /^(LOADING|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|READONLY|NOREPLICAS|MISCONF|OOM)\b/
/** A command that never left this process. */
const unsent = /client is closed|client is offline|ECONNREFUSED|ENOTFOUND|ECONNRESET during connect|disconnected, and/i

const nameOf = (cause: unknown): string => cause instanceof Error ? cause.constructor.name : ""

export const detailOf = (error: RedisError): string => {
  const { cause } = error
  return cause instanceof Error ? cause.message || nameOf(cause) : String(cause)
}

/** What the server itself said begins with a word in capitals. */
const isReply = (detail: string): boolean => /^[A-Z]{2,}\b/.test(detail)

/** Whether it failed for want of an answer, and not by one. */
export const isLost = (exit: Exit.Exit<unknown, RedisError | JobError.JobStoreError>): boolean =>
  Exit.isFailure(exit) &&
  exit.cause.reasons.some((reason) =>
    reason._tag !== "Fail" || reason.error._tag === "RedisError" && !isReply(detailOf(reason.error))
  )

export const isMissingScript = (error: RedisError): boolean => detailOf(error).startsWith("NOSCRIPT")

export const toStoreError = (operation: string, error: RedisError): JobError.JobStoreError => {
  const detail = detailOf(error)
  const reason = (): JobError.JobStoreError["reason"] => {
    if (away.test(detail) || /-(LOADING|OOM)\b|OOM command not allowed/.test(detail)) {
      return new JobError.Unavailable({ operation, detail })
    }
    if (unsent.test(detail) || /^Client(Closed|Offline)Error$/.test(nameOf(error.cause))) {
      return new JobError.Unavailable({ operation, detail })
    }
    if (isReply(detail)) return new JobError.Incompatible({ operation, detail })
    return new JobError.OutcomeUnknown({ operation, detail })
  }
  return new JobError.JobStoreError({ reason: reason() })
}
