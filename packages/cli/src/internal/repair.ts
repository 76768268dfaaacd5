/** `repair`: makes what a store derives from its records anew, where that can get lost without them. */
import { JobStore } from "capstan"
import { Command, Flag } from "effect/cli"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { confirm, yes } from "./act.ts"
import type { Session } from "./connection.ts"
import { failed } from "./failure.ts"
import { print } from "./print.ts"
import { counted, plain } from "./text.ts"

const dryRun = Flag.Boolean("dry-run").pipe(
  Flag.withDescription("Look at every record, say what is missing, and change nothing; exit code 4 where something is"),
  Flag.withDefault(false)
)

type Repairing = JobStore.Repairing

/** So many records lie between two lines that say how far it is. */
const step = 10_000

/** So many names are for people. */
const named = 5

const isWhole = ({ lacking, lost, missing }: Repairing): boolean => lacking.length + lost + missing === 0

const lackingText = (lacking: ReadonlyArray<string>): string =>
  `${lacking.slice(0, named).map(plain).join(", ")}${
    lacking.length > named ? ` and ${lacking.length - named} more` : ""
  }`

const sentence = (did: string, { lacking, lost, missing }: Repairing): string =>
  [
    did,
    missing > 0 ? `${missing} not in all of them` : "",
    lacking.length > 0 ? `incomplete: ${lackingText(lacking)}` : "",
    lost > 0 ? `${lost} with a part of their own lost, which nothing makes anew` : ""
  ].filter((part) => part !== "").join("; ")

export const repair = (session: Session) =>
  Command.make("repair", { yes, dryRun }, ({ dryRun, yes }) =>
    session(Effect.gen(function*() {
      const { describe, repair } = yield* JobStore.JobStore
      if (repair === undefined) {
        const { kind } = yield* describe
        return yield* failed(
          "Usage",
          `${kind} has nothing to repair: what is derived from records is written with them. \`capstan check\` looks at the ` +
            "indexes, and says what mends one"
        )
      }
      const all = (dryRun: boolean) => {
        let told = 0
        return repair({ dryRun }).pipe(
          Stream.tap(({ records, seen }) => {
            if (seen < told + step || seen >= records) return Effect.void
            told = seen
            return Console.error(`${dryRun ? "looked at" : "made anew"} ${seen} of ${counted(records, "record")} …`)
          }),
          Stream.runLast,
          Effect.map(Option.getOrElse((): Repairing => ({ records: 0, seen: 0, missing: 0, lost: 0, lacking: [] })))
        )
      }
      const found = yield* all(true)
      const foundText = isWhole(found)
        ? `looked at ${counted(found.seen, "record")}: nothing is missing`
        : sentence(`looked at the indexes of ${counted(found.seen, "record")}`, found)
      if (dryRun) {
        yield* print({ dryRun, ...found }, () => foundText)
        if (!isWhole(found)) return yield* failed("Found", "there is something to repair; nothing was changed")
        return
      }
      if (!yes) {
        yield* Console.error(foundText)
        yield* confirm(
          `Make all indexes of ${
            counted(found.records, "record")
          } anew? Workers go on, but wait while the records are counted.`
        )
      }
      const made = yield* all(false)
      // What counting them puts right stands in no record.
      const both = {
        ...made,
        missing: Math.max(found.missing, made.missing),
        lacking: [...new Set([...found.lacking, ...made.lacking])]
      }
      yield* print(
        { dryRun, ...both },
        () => sentence(`made the indexes of ${counted(made.seen, "record")} anew`, both)
      )
      if (made.lost > 0) return yield* failed("Found", `${counted(made.lost, "record")} cannot be made whole`)
    }))).pipe(
      Command.withDescription(
        "Make what a Redis store derives from its records anew, where keys were deleted or evicted; --dry-run looks at each record"
      )
    )
