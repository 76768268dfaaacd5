/**
 * What a program's own functions have to say of an attempt that has ended: its policies, the schemas of its errors, what follows.
 * It has its slot until they have, so they have a limit, also where they cannot be interrupted.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

/** Milliseconds. One that asks something elsewhere has its time; what has not answered by then never will. */
const limit = 300_000

/** What answers at once, as nearly all of them do, is not timed. */
export const inTime = <A, E>(effect: Effect.Effect<A, E>, late: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.flatMap(Effect.forkDetach(effect, { startImmediately: true }), (fiber) => {
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return exit
    return Effect.timeoutOrElse(Fiber.join(fiber), { duration: limit, orElse: () => late }).pipe(
      Effect.onExit(() => Effect.sync(() => fiber.interruptUnsafe()))
    )
  })
