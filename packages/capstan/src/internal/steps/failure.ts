/**
 * How a step failed that the handler went on after, as a later step that is to be undone keeps it.
 *
 * A failure is not a result: the next attempt runs the step again. Only when the record is undone it is needed, since the way to the
 * later step leads through it, and to run the step then could do its effect once more.
 *
 * Gotcha: no schema of it is known. It comes back with its `_tag`, message and fields as JSON has them, and is no instance of its class.
 */
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/** An error, a defect with its message, or after how many milliseconds it was interrupted. */
export type Failure =
  | { readonly error?: unknown; readonly isError?: true }
  | { readonly defect: string }
  | { readonly interrupted: number }

/** By the name of the step. */
export type Failures = Readonly<Record<string, Failure>>

/** A step may be called `constructor`. */
export const find = (failures: Failures | undefined, name: string): Failure | undefined =>
  failures !== undefined && Object.hasOwn(failures, name) ? failures[name] : undefined

/** Of one error, in characters of JSON, and of one text: an error may have a whole response in it. */
const maxJson = 1024
const maxText = 256
/** Of one record: a handler may go on after any number, and each step that is to be undone keeps them. */
const maxFailures = 32

/** The steps of an attempt that have failed so far. */
export class Failed {
  private readonly causes = new Map<string, readonly [cause: Cause.Cause<unknown>, millis: number]>()

  add(name: string, exit: Exit.Exit<unknown, unknown>, millis: number): void {
    if (Exit.isFailure(exit)) this.causes.set(name, [exit.cause, millis])
  }

  get kept(): Failures | undefined {
    if (this.causes.size === 0) return undefined
    const last = [...this.causes].slice(-maxFailures)
    return Object.fromEntries(last.map(([name, [cause, millis]]) => [name, failureOf(cause, millis)]))
  }
}

const failureOf = (cause: Cause.Cause<unknown>, millis: number): Failure => {
  const reason = cause.reasons.find(Cause.isFailReason) ?? cause.reasons.find(Cause.isDieReason)
  if (reason === undefined) return { interrupted: millis }
  if (Cause.isDieReason(reason)) return { defect: textOf(reason.defect) }
  const { error } = reason
  if (typeof error !== "object" || error === null) return { error: jsonOf(error) }
  if (!(error instanceof Error)) return { error: jsonOf(error) ?? tagged(error) }
  const named = { ...tagged(error), name: error.name, message: textOf(error) }
  return { error: jsonOf({ ...error, ...named }) ?? named, isError: true }
}

const tagged = (error: object): { readonly _tag?: unknown } => "_tag" in error ? { _tag: error._tag } : {}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).slice(0, maxText)

/** `undefined` for what JSON cannot hold, and for what is long. */
const jsonOf = (value: unknown): unknown => {
  try {
    const json = JSON.stringify(value)
    return json.length > maxJson ? undefined : JSON.parse(json)
  } catch {
    return undefined
  }
}

/** It can be yielded, as the errors of Effect can. */
class Again extends Data.Error<Record<string, unknown>> {}

/** Fails as it did. What was interrupted waits for that, as long as it took then. */
export const again = (failure: Failure, patience: number): Effect.Effect<void, unknown> => {
  if ("interrupted" in failure) return Effect.sleep(failure.interrupted + patience)
  if ("defect" in failure) return Effect.die(new Error(failure.defect))
  return Effect.fail(failure.isError === true ? new Again(failure.error as Record<string, unknown>) : failure.error)
}
