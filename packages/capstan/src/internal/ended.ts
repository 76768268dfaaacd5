/**
 * The header of a record that tells of the end of another one, which a store decided by itself: JSON of why that is dead, and of
 * its last failure.
 */
import type { DeadReason, Failure } from "../JobRecord.ts"

export const endedHeader = "capstan-ended"

export interface Ended {
  readonly reason: DeadReason
  readonly failure?: Failure | null | undefined
}
