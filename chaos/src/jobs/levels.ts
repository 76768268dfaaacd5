/** A flow of levels, each record of which waits for all of the level before it. */
import { Flow, Job } from "capstan"
import { Effect, Schedule, Schema } from "effect"
import type { Write } from "../ledger.ts"
import { attempting, success, work } from "./attempt.ts"

export class Level extends Job.make("Level", { payload: { ...work, level: Schema.Int }, success }) {}

export const LevelLive = (write: Write) =>
  Level.toLayer(({ millis, n }) => attempting(write)({ n, millis }, Effect.sleep(millis)))

export const width = 50

/** The last node, which is one record, stands for an eleventh. */
export const depth = 10

class Levels extends Flow.make("Levels")
  .list("l1", Level)
  .list("l2", Level, { after: { l1: "fail" } })
  .list("l3", Level, { after: { l2: "fail" } })
  .list("l4", Level, { after: { l3: "fail" } })
  .list("l5", Level, { after: { l4: "fail" } })
  .list("l6", Level, { after: { l5: "fail" } })
  .list("l7", Level, { after: { l6: "fail" } })
  .list("l8", Level, { after: { l7: "fail" } })
  .list("l9", Level, { after: { l8: "fail" } })
  .list("l10", Level, { after: { l9: "fail" } })
  .node("end", Level, { after: { l10: "fail" } })
{}

const names = ["l1", "l2", "l3", "l4", "l5", "l6", "l7", "l8", "l9", "l10"] as const

/** Numbers of the records of one flow begin with that of the flow. */
const room = 1000

export const flowOf = (n: number): number => Math.floor(n / room)

/** Starts a flow, and writes down what it was told of each of its records. */
export const startLevels = (write: Write, flow: number, millis: () => number) => {
  const levels = names.map((_, i) =>
    Array.from({ length: width }, (_, j) => ({ n: flow * room + i * width + j, millis: millis(), level: i + 1 }))
  )
  const end = { n: flow * room + depth * width, millis: millis(), level: depth + 1 }
  const all = [...levels.flat(), end]
  return Effect.gen(function*() {
    for (const { n } of all) write("sent", { n })
    const payloads = Object.fromEntries(names.map((name, i) => [name, levels[i]!])) as Record<
      typeof names[number],
      typeof all
    >
    const started = yield* Levels.start({ ...payloads, end })
    // It is stored: the ids are read as often as it takes.
    const ids = yield* Effect.forEach(names, (name) => started.members(name)).pipe(
      Effect.retry(Schedule.spaced("100 millis"))
    )
    ids.forEach((members, i) => members.forEach(({ id }, j) => write("acknowledged", { n: levels[i]![j]!.n, id })))
    write("acknowledged", { n: end.n, id: started.node("end").id })
  }).pipe(
    Effect.tapError((error) =>
      Effect.sync(() => {
        const kind = error.reason._tag === "OutcomeUnknown" ? "unknown" : "refused"
        for (const { n } of all) write(kind, { n, word: error.reason._tag })
      })
    ),
    Effect.ignore
  )
}
