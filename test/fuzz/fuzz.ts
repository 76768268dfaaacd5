/**
 * Calls with what comes from outside, and what may come of them: an answer, or an error that says who is to do what. A defect,
 * a rejection without a tag, an answer of 500 and a call that does not end are findings.
 */
import { Cause, Effect, Exit, Option } from "effect"
import { Arbitrary } from "./arbitrary.ts"

/** One kind of call. What it fails with must be one of its errors. */
export interface Target<R> {
  readonly name: string
  /** Tags of the errors that it may fail with. */
  readonly errors: ReadonlyArray<string>
  readonly call: (arbitrary: Arbitrary, note: (input: unknown) => void) => Effect.Effect<unknown, unknown, R>
}

export interface Finding {
  readonly target: string
  readonly seed: number
  readonly input: string
  readonly problem: string
}

export interface Tally {
  answered: number
  refused: number
}

/** No call takes so long, also on a machine that does other things. */
const patience = "20 seconds"

/** Makes one call; the seed alone decides its input. */
export const once = <R>(target: Target<R>, seed: number, tally?: Tally): Effect.Effect<Finding | undefined, never, R> =>
  Effect.suspend(() => {
    let input: unknown
    const found = (problem: string): Finding => ({ target: target.name, seed, input: shown(input), problem })
    return Effect.suspend(() => target.call(new Arbitrary(seed), (given) => input = given)).pipe(
      Effect.timeoutOption(patience),
      Effect.exit,
      Effect.map((exit) => {
        if (Exit.isSuccess(exit)) {
          if (Option.isNone(exit.value)) return found("it did not end")
          if (tally !== undefined) tally.answered++
          return undefined
        }
        const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
        const tag = (error as { readonly _tag?: unknown } | undefined)?._tag
        if (typeof tag !== "string" || !target.errors.includes(tag)) return found(Cause.pretty(exit.cause))
        if (tally !== undefined) tally.refused++
        return undefined
      })
    )
  })

/** A fault of a call that is no Effect's error, such as an answer of 500. */
export const isWrong = (what: string): Effect.Effect<never> => Effect.die(new Error(what))

/** What code that is loaded may throw: a sentence, and not a mistake of ours. */
export const declared = (make: () => unknown): Effect.Effect<unknown, unknown> =>
  Effect.try({
    try: make,
    catch: (error) =>
      error instanceof Error && error.constructor === Error && error.message !== ""
        ? { _tag: "Declaration" }
        : { _tag: "Mistake", error }
  })

const shown = (input: unknown): string => {
  const text = JSON.stringify(
    input,
    (_, value: unknown) =>
      typeof value === "bigint" || typeof value === "symbol" || typeof value === "function" ||
        typeof value === "number"
        ? String(value)
        : value === undefined
        ? "<undefined>"
        : value
  ) ?? "undefined"
  return text.length > 1000 ? `${text.slice(0, 1000)}… (${text.length})` : text
}
