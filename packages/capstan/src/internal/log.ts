/**
 * What goes to the program's log. A logger is the program's own and may throw: whatever it does, who told it goes on.
 */
import * as Effect from "effect/Effect"

const told = (log: Effect.Effect<void>): Effect.Effect<void> => Effect.catchDefect(log, () => Effect.void)

export const debug = (...message: ReadonlyArray<unknown>): Effect.Effect<void> => told(Effect.logDebug(...message))

export const warning = (...message: ReadonlyArray<unknown>): Effect.Effect<void> => told(Effect.logWarning(...message))

export const error = (...message: ReadonlyArray<unknown>): Effect.Effect<void> => told(Effect.logError(...message))
