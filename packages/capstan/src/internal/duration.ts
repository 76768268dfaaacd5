/** A duration that comes from outside the program, as text of a form or of a setting may: what is none is told, and no defect. */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

/** Milliseconds; NaN where it is no duration. */
export const toMillis = (input: Duration.Input): number =>
  Option.match(Duration.fromInput(input), { onNone: () => Number.NaN, onSome: Duration.toMillis })

/** How an issue names it. */
export const shown = (input: Duration.Input, millis: number): string =>
  Number.isNaN(millis) ? `no duration: ${String(input)}` : `${millis} ms`
