/**
 * Partitions whose node is away: nobody waits for them for long. One that fails or is silent is left out for some seconds by
 * those who need not have its answer, so that a worker goes on with the others.
 */
import { JobError } from "capstan"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** Milliseconds for which one that has failed is left out. */
const rest = 5000
/** The longest that a silent one holds up the others, in milliseconds. */
const patience = 2000

/** By this process's monotonic clock, in milliseconds: its wall clock may be set back, or ahead. */
export const monotonicMillis: Effect.Effect<number> = Effect.map(
  Clock.monotonicTimeNanos,
  (nanos) => Number(nanos) / 1e6
)

/** It failed for want of an answer: the same may succeed later. */
export const isAway = (cause: Cause.Cause<JobError.JobStoreError>): boolean =>
  cause.reasons.every((reason) => Cause.isFailReason(reason) && reason.error.isTransient)

const detail = "the partition is silent: the others go on without it"

export class Away {
  private readonly until: Array<number> = []

  /** The partitions that are worth asking now. */
  readonly present = (many: number): Effect.Effect<ReadonlySet<number>> =>
    Effect.map(monotonicMillis, (now) => {
      const found = new Set<number>()
      for (let at = 0; at < many; at++) if (!(this.until[at]! > now)) found.add(at)
      return found
    })

  /** A call of a partition for a worker with this lease, of which several calls must fit into a renewal. */
  readonly ask = <A>(
    partition: number,
    operation: string,
    lease: number,
    call: Effect.Effect<A, JobError.JobStoreError>
  ): Effect.Effect<A, JobError.JobStoreError> =>
    call.pipe(
      Effect.timeoutOrElse({
        duration: lease > 0 ? Math.min(patience, lease / 6) : patience,
        orElse: () =>
          Effect.fail(new JobError.JobStoreError({ reason: new JobError.OutcomeUnknown({ operation, detail }) }))
      }),
      Effect.tapError((error) =>
        error.isTransient
          ? Effect.map(monotonicMillis, (now) => void (this.until[partition] = now + rest))
          : Effect.void
      )
    )
}
