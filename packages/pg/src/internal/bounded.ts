/**
 * Bounds what asks the server: a connection that is half-open takes what it is sent, and answers nothing for ever.
 *
 * Guarantee: a call ends in time, as `OutcomeUnknown` when it had no answer, and at once when its caller is interrupted.
 * The driver holds an interrupted statement until its connection can be used again, for five seconds where that is silent;
 * a worker has no such time, so nobody waits for it.
 */
import { JobError } from "capstan"
import * as Effect from "effect/Effect"

/** Milliseconds that a call may take. */
export const usual = 10_000
/** The same for one that may have much to read. */
export const search = 120_000

export const bounded = <A, E>(
  operation: string,
  patience: number,
  call: Effect.Effect<A, E>
): Effect.Effect<A, E | JobError.JobStoreError> =>
  Effect.timeoutOrElse(apart(call), {
    duration: patience,
    orElse: () =>
      Effect.fail(
        new JobError.JobStoreError({
          reason: new JobError.OutcomeUnknown({ operation, detail: `no reply within ${patience} ms` })
        })
      )
  })

/** In a fiber of its own, which is interrupted with this one and not waited for. */
const apart = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.withFiber((fiber) =>
    Effect.callback<A, E>((resume) => {
      const running = Effect.runForkWith(fiber.context)(effect)
      running.addObserver(resume)
      return Effect.sync(() => running.interruptUnsafe())
    })
  )
