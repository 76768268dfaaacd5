/** For a person or, with `--json`, for a program. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stdio from "effect/Stdio"
import * as Terminal from "effect/Terminal"
import { root } from "./connection.ts"
import { type CommandFailed, failed } from "./failure.ts"
import { plain } from "./text.ts"

/**
 * Absent values are left out, and `None` is null. What would act on a terminal stands in strings alone, where its escape is
 * the same JSON.
 */
const encode = (value: unknown): string =>
  plain(JSON.stringify(value, function(this: Readonly<Record<string, unknown>>, key, inner: unknown) {
    // What the holder has: an Option would already be what its own `toJSON` makes of it.
    const held = this[key]
    return Option.isOption(held) ? Option.getOrNull(held) : inner
  }))

/** One document, or the text that a person reads. */
export const print = (value: unknown, text: () => string) =>
  Effect.flatMap(root, ({ json }) => Console.log(json ? encode(value) : text()))

/** One document a line, or the text. */
export const printAll = (values: ReadonlyArray<unknown>, text: () => string) =>
  Effect.flatMap(
    root,
    ({ json }) =>
      json ? Effect.forEach(values, (value) => Console.log(encode(value)), { discard: true }) : Console.log(text())
  )

export const jsonLine = encode

/** `head` has seen enough; any other error is one. Node ignores the signal, and its console what a write to a pipe fails with. */
const readerGone = Effect.callback<void, CommandFailed>((resume) => {
  const gone = ({ code, message }: NodeJS.ErrnoException) =>
    resume(code === "EPIPE" ? Effect.void : Effect.fail(failed("Failed", `the output cannot be written: ${message}`)))
  process.stdout.once("error", gone)
  return Effect.sync(() => process.stdout.off("error", gone))
})

/** Goes on for as long as somebody reads what it prints. */
export const whileRead = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A | void, E | CommandFailed, R> =>
  Effect.raceFirst(effect, readerGone)

/** How long a line of the output may be: what a terminal has, and whatever a file or another program takes. */
export const lineWidth = Effect.gen(function*() {
  const isTerminal = yield* (yield* Stdio.Stdio).stdoutIsTerminal
  return isTerminal ? yield* (yield* Terminal.Terminal).columns : Infinity
})
