/**
 * The live view: one line per queue, from figures that the store maintains.
 */
import { Jobs } from "capstan"
import { Effect, Schedule } from "effect"
import type { Sent } from "./sender.ts"
import { bar, barSize, bold, dim, type Output, red, redrawn, yellow } from "./terminal.ts"

const linesOf = (sent: ReadonlyArray<Sent>, planned: number, size: number) =>
  Effect.gen(function*() {
    const { queues } = yield* (yield* Jobs.Jobs).stats
    const lines = [`  ${bold("delivered".padEnd(10))} ${bar(sent.length, planned, size)} ${sent.length}/${planned}`]
    for (const { counts, queue } of queues) {
      const all = Object.values(counts).reduce((sum, count) => sum + count, 0)
      const notes = [
        counts.running > 0 ? `${counts.running} running` : "",
        counts.scheduled > 0 ? yellow(`${counts.scheduled} will be tried again`) : "",
        counts.dead > 0 ? red(`${counts.dead} dead`) : ""
      ].filter((note) => note !== "")
      lines.push(
        `  ${queue.padEnd(10)} ${bar(counts.completed, all, size)} ${counts.completed}/${all}  ${
          notes.join(dim(" · "))
        }`
      )
    }
    return lines
  })

/** Draws ten times a second until it is interrupted, and once more at the end. */
export const show = (sent: ReadonlyArray<Sent>, planned: number, output: Output = process.stdout) =>
  Effect.suspend(() => {
    const redraw = redrawn(output)
    const draw = Effect.map(linesOf(sent, planned, barSize(output)), redraw)
    return Effect.repeat(draw, Schedule.spaced("100 millis")).pipe(Effect.ensuring(Effect.orDie(draw)))
  }).pipe(Effect.withTracerEnabled(false))
