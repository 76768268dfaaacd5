/** The command that a program of yours becomes: `--mode dry` (as it is), `--mode copy`, `--mode move`; `--report <file>`. */
import { Console, Effect } from "effect"
import { Command, Flag } from "effect/cli"
import { move } from "./move.ts"
import { reportTo } from "./report.ts"
import type { Route } from "./route.ts"
import type { Source } from "./source.ts"

/** Prints what has become of the jobs of a source. */
export const program = <E, R>(source: Effect.Effect<Source, E, R>, routes: ReadonlyArray<Route>) =>
  Command.make(
    "move",
    {
      mode: Flag.Literals("mode", ["dry", "copy", "move"]).pipe(
        Flag.withDescription("dry: read and report; copy: enqueue as well; move: remove what is enqueued"),
        Flag.withDefault("dry")
      ),
      report: Flag.String("report").pipe(
        Flag.withDescription("a file for what does not move, one JSON object a line"),
        Flag.withDefault("rejects.ndjson")
      )
    },
    Effect.fnUntraced(function*({ mode, report }) {
      const counts = yield* move({ source: yield* source, routes, mode, report: yield* reportTo(report) })
      yield* Console.log(JSON.stringify({ mode, ...counts }, null, 2))
    }, Effect.scoped)
  ).pipe(Command.run({ version: "1.0.0" }))
