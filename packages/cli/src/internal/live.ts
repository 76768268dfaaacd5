/** Commands that go on until they are interrupted: `tail` and `top`. */
import { Jobs, type JobStore } from "capstan"
import { Command, Flag } from "effect/cli"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import * as Terminal from "effect/Terminal"
import { root, type Session } from "./connection.ts"
import { failed } from "./failure.ts"
import { jsonLine, print, printLines } from "./print.ts"
import { counted, cut, cutMiddle, instant, plain } from "./text.ts"
import { briefQueueTable, briefWorkerTable, statsText } from "./view.ts"

const types = [
  "enqueued",
  "started",
  "progress",
  "retried",
  "snoozed",
  "blocked",
  "completed",
  "cancelled",
  "dead",
  "deleted"
] as const satisfies ReadonlyArray<JobStore.RecordEvent["type"] | "snoozed">

/** What happened, as a person is told: an attempt that gave itself back has not failed. */
const happened = ({ snoozed, type }: JobStore.RecordEvent): (typeof types)[number] =>
  snoozed === true ? "snoozed" : type

/** All of an event, for files and other programs. */
export const wholeLine = (event: JobStore.RecordEvent): string => {
  const { at, attempt, id, queue, reason, tag } = event
  const parts = [
    instant(at),
    happened(event).padEnd(9),
    id,
    plain(tag),
    `${plain(queue)}#${attempt}`,
    plain(reason ?? "")
  ]
  return parts.join("  ").trimEnd()
}

/** What is in front of every line on a screen: the time of day, what happened, and the id whole, since it is copied. */
const front = 8 + 1 + 9 + 1 + 36 + 1

/** A line on a screen of so many columns, whatever names there are: a queue gives way to the job and the reason. */
export const eventLine = (event: JobStore.RecordEvent, columns: number): string => {
  const { at, attempt, id, reason } = event
  const room = Math.max(12, columns - front)
  const tried = attempt > 0 ? `#${attempt}` : ""
  const why = reason === undefined ? "" : ` ${cut(plain(reason), Math.floor(room / 2))}`
  const job = cutMiddle(plain(event.tag), Math.max(6, room - tried.length - why.length)) + tried
  const left = room - job.length - why.length
  const queue = left > 8 ? ` ${cutMiddle(plain(event.queue), left - 1)}` : ""
  return cut(`${instant(at).slice(11, 19)} ${happened(event).padEnd(9)} ${id} ${job}${queue}${why}`, columns)
}

export const tail = (session: Session) =>
  Command.make("tail", {
    job: Flag.String("job").pipe(Flag.withDescription("The job's tag"), Flag.optional),
    queue: Flag.String("queue").pipe(Flag.withDescription("The queue"), Flag.optional),
    type: Flag.Literals("type", types).pipe(
      Flag.withDescription("What happened; may be given more than once"),
      Flag.between(0, types.length)
    )
  }, ({ job, queue, type }) =>
    session(Effect.gen(function*() {
      const { json } = yield* root
      const isWanted = (event: JobStore.RecordEvent) =>
        (Option.isNone(job) || job.value === event.tag) && (Option.isNone(queue) || queue.value === event.queue) &&
        (type.length === 0 || type.includes(happened(event)))
      const terminal = yield* Terminal.Terminal
      const isScreen = yield* (yield* Stdio.Stdio).stdoutIsTerminal
      const lineOf = (event: JobStore.RecordEvent) =>
        json
          ? Effect.succeed(jsonLine(event))
          : isScreen
          ? Effect.map(terminal.columns, (columns) => eventLine(event, columns))
          : Effect.succeed(wholeLine(event))
      let isOpen = false
      const told = Effect.suspend(() => {
        const said = isOpen
          ? "… some events were missed"
          : `listening${isScreen && !json ? ", times in UTC" : ""}, until Ctrl-C`
        isOpen = true
        return Console.error(said)
      })
      yield* printLines((yield* Jobs.Jobs).events.pipe(
        Stream.tap(({ type }) => type === "missed" ? told : Effect.void),
        Stream.filter((event): event is JobStore.RecordEvent => event.type !== "missed" && isWanted(event)),
        Stream.mapEffect(lineOf)
      ))
    }))).pipe(
      Command.withDescription(
        "What happens to records, as it happens. Events are hints: a slow reader misses some, and is told"
      )
    )

/** What changed in a queue between two looks, a second. */
const rates = (before: JobStore.Stats, after: JobStore.Stats): string => {
  const seconds = Math.max(0.001, (after.now - before.now) / 1000)
  const finished = ({ queues }: JobStore.Stats) =>
    queues.reduce((sum, { counts }) => sum + counts.completed + counts.cancelled + counts.dead, 0)
  const live = ({ queues }: JobStore.Stats) =>
    queues.reduce((sum, { counts }) => sum + counts.ready + counts.running + counts.scheduled + counts.blocked, 0)
  const perSecond = (value: number) => `${value < 0 ? "−" : "+"}${Math.abs(value / seconds).toFixed(1)}/s`
  return `live ${live(after)} (${perSecond(live(after) - live(before))}), kept ${finished(after)} (${
    perSecond(finished(after) - finished(before))
  })`
}

/** What needs somebody comes first: what waits longest for a worker, then what is dead. */
const byNeed = (queues: ReadonlyArray<JobStore.QueueStats>): ReadonlyArray<JobStore.QueueStats> =>
  queues.toSorted((a, b) =>
    (b.oldestReadyAge ?? 0) - (a.oldestReadyAge ?? 0) || b.counts.dead - a.counts.dead ||
    b.counts.ready + b.counts.running - a.counts.ready - a.counts.running || (a.queue < b.queue ? -1 : 1)
  )

/** So many lines of a table, and how many it has besides. */
const fitting = (text: string, rows: number, what: string): ReadonlyArray<string> => {
  const lines = text.split("\n")
  if (lines.length <= rows) return lines
  const shown = Math.max(1, rows - 1)
  return [...lines.slice(0, shown), `… ${counted(lines.length - shown, `more ${what}`)}`]
}

/** One look: a title, what changed, queues and workers, as much as fits. The worst of both stay in sight. */
export const screen = (
  before: JobStore.Stats,
  after: JobStore.Stats,
  size: { readonly columns: number; readonly rows: number }
): ReadonlyArray<string> => {
  const columns = Math.max(20, size.columns)
  const dead = after.queues.reduce((sum, { counts }) => sum + counts.dead, 0)
  const holds = after.workers.reduce((sum, worker) => sum + worker.holds, 0)
  const queues = after.queues.length === 0
    ? "no queue has a record"
    : briefQueueTable(byNeed(after.queues), columns)
  const workers = after.workers.length === 0
    ? "no worker is registered"
    : briefWorkerTable(after.workers.toSorted((a, b) => a.leaseLeft - b.leaseLeft), columns)
  // Without the title, what changed, two empty lines and the line of who runs it.
  const room = Math.max(2, size.rows - 5)
  const workerRows = Math.min(
    workers.split("\n").length,
    Math.max(Math.floor(room / 3), room - queues.split("\n").length)
  )
  return [
    `capstan top   ${instant(after.now)}   ${counted(after.workers.length, "worker")}, ${holds} held   ${dead} dead`,
    rates(before, after),
    "",
    ...fitting(queues, room - workerRows, "queue"),
    "",
    ...fitting(workers, workerRows, "worker")
  ].map((line) => cut(line, columns)).slice(0, Math.max(1, size.rows - 1))
}

/** The other screen, the cursor hidden; and back, also when it is interrupted. */
const enter = "\u001b[?1049h\u001b[?25l"
const leave = "\u001b[?25h\u001b[?1049l"
const home = "\u001b[H"
const restOfLine = "\u001b[K"
const restOfScreen = "\u001b[J"

export const top = (session: Session) =>
  Command.make("top", {
    every: Flag.Int("every").pipe(Flag.withDescription("Seconds between two looks, 1 to 60"), Flag.withDefault(2))
  }, ({ every }) =>
    session(
      Effect.gen(function*() {
        if (every < 1 || every > 60) {
          return yield* failed("Usage", `--every must be from 1 to 60 seconds, it is ${every}`)
        }
        const jobs = yield* Jobs.Jobs
        const terminal = yield* Terminal.Terminal
        // Without a terminal there is no screen to draw again and again: one look, as `stats` gives it.
        if (!(yield* (yield* Stdio.Stdio).stdoutIsTerminal)) {
          const found = yield* jobs.stats
          return yield* print(found, () => statsText(found))
        }
        yield* Effect.acquireRelease(terminal.display(enter), () => Effect.ignore(terminal.display(leave)))
        const keys = yield* terminal.readInput
        const quits = Effect.repeat(Queue.take(keys), {
          until: ({ key }) => key.name === "q" || key.name === "escape" || key.ctrl && key.name === "c"
        })
        let before = yield* jobs.stats
        const look = Effect.gen(function*() {
          const after = yield* jobs.stats
          const size = { columns: yield* terminal.columns, rows: yield* terminal.rows }
          const lines = [...screen(before, after, size), "q quits"].map((line) => line + restOfLine)
          before = after
          yield* terminal.display(home + lines.join("\r\n") + restOfScreen)
        })
        yield* Effect.race(
          Effect.ignore(quits),
          Effect.forever(Effect.andThen(look, Effect.sleep(Duration.seconds(every))))
        )
      }).pipe(Effect.scoped)
    )).pipe(
      Command.withDescription("Queues and workers on one screen, looked at again and again; q quits")
    )
