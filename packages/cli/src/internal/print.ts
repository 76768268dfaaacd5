/** For a person or, with `--json`, for a program. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Sink from "effect/Sink"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import * as Terminal from "effect/Terminal"
import { root } from "./connection.ts"
import { failed } from "./failure.ts"
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
  Effect.flatMap(root, ({ json }) => printLines(Stream.sync(() => json ? encode(value) : text())))

/** One document a line, or the text. */
export const printAll = (values: ReadonlyArray<unknown>, text: () => string) =>
  Effect.flatMap(
    root,
    ({ json }) => printLines(json ? Stream.map(Stream.fromIterable(values), encode) : Stream.sync(text))
  )

export const jsonLine = encode

/**
 * One line after another, for as long as somebody reads them: `head` has seen enough. By `Stdio`, which says that a disk is
 * full; Node's console keeps that to itself.
 */
export const printLines = <E, R>(lines: Stream.Stream<string, E, R>) =>
  Effect.flatMap(Stdio.Stdio, ({ stdout }) =>
    Stream.run(
      Stream.map(lines, (line) => `${line}\n`),
      Sink.catch(stdout(), ({ reason: { cause, message } }) =>
        // Nobody reads the pipe any more. Node ignores the signal.
        cause instanceof Error && "code" in cause && cause.code === "EPIPE"
          ? Effect.void
          : Effect.fail(
            failed("Failed", `the output cannot be written: ${cause instanceof Error ? cause.message : message}`)
          ))
    ))

/** How long a line of the output may be: what a terminal has, and whatever a file or another program takes. */
export const lineWidth = Effect.gen(function*() {
  const isTerminal = yield* (yield* Stdio.Stdio).stdoutIsTerminal
  return isTerminal ? yield* (yield* Terminal.Terminal).columns : Infinity
})
