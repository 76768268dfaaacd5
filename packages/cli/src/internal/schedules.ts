/** `schedules`: those that code declares, and those that are data. */
import { JobSchedules } from "capstan"
import { Argument, Command, Flag } from "effect/cli"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Session } from "./connection.ts"
import { print, printAll } from "./print.ts"
import { duration, instant, table } from "./text.ts"

const name = Argument.String("name").pipe(Argument.withDescription("The schedule's name"))

/** `list` answers so many at a time. */
const page = 100

const all = (schedules: JobSchedules.Shape) =>
  Stream.runCollect(
    Stream.paginate(undefined as string | undefined, (after) =>
      Effect.map(schedules.list({ after }), (found) =>
        [found, found.length < page ? Option.none() : Option.some(found.at(-1)!.name)] as const))
  )

const timeOf = ({ cron, every, timeZone }: JobSchedules.Schedule): string =>
  cron === undefined ? `every ${duration(every ?? 0)}` : [cron, timeZone].filter((part) => part !== undefined).join(" ")

const lastOf = ({ last }: JobSchedules.Schedule): string =>
  Option.match(last, {
    onNone: () => "",
    onSome: ({ at, outcome, run }) =>
      [
        instant(at),
        outcome === "Skipped" ? "skipped" : Option.match(run, { onNone: () => "", onSome: ({ state }) => state })
      ].join(" ")
  })

const statusOf = ({ paused, status }: JobSchedules.Schedule): string =>
  Option.match(paused, { onNone: () => status, onSome: ({ reason }) => `paused: ${reason}` })

export const schedules = (session: Session) =>
  Command.make("schedules").pipe(
    Command.withDescription("Schedules: list, pause, resume, run"),
    Command.withSubcommands([
      Command.make("list", {}, () =>
        session(Effect.gen(function*() {
          const found = yield* all(yield* JobSchedules.JobSchedules)
          yield* printAll(found, () =>
            found.length === 0 ? "there is no schedule" : table(
              [
                { title: "NAME", width: 40 },
                { title: "JOB", width: 32 },
                { title: "WHEN", width: 40 },
                { title: "STATUS" },
                { title: "NEXT" },
                { title: "LAST" },
                { title: "RUNS", align: "right" }
              ],
              found.map((schedule) => [
                schedule.name,
                schedule.job,
                timeOf(schedule),
                statusOf(schedule),
                Option.match(schedule.next, { onNone: () => "", onSome: ({ dueAt }) => instant(dueAt) }),
                lastOf(schedule),
                String(schedule.count)
              ])
            ))
        }))).pipe(Command.withDescription("All schedules with their next instant, their last run and its outcome")),
      Command.make("pause", {
        name,
        reason: Flag.String("reason").pipe(Flag.withDescription("Is kept with it"), Flag.optional)
      }, ({ name, reason }) =>
        session(Effect.gen(function*() {
          const changed = yield* (yield* JobSchedules.JobSchedules).pause(name, {
            reason: Option.getOrUndefined(reason)
          })
          yield* print({ name, changed }, () => changed ? `${name} is paused` : `${name} did not tick`)
        }))).pipe(Command.withDescription("Stop its ticks until it is resumed, across restarts")),
      Command.make("resume", { name }, ({ name }) =>
        session(Effect.gen(function*() {
          const changed = yield* (yield* JobSchedules.JobSchedules).resume(name)
          yield* print({ name, changed }, () => changed ? `${name} ticks again` : `${name} was not paused`)
        }))).pipe(Command.withDescription("Let it tick again from now on")),
      Command.make("run", { name }, ({ name }) =>
        session(Effect.gen(function*() {
          const answer = yield* (yield* JobSchedules.JobSchedules).runNow(name)
          yield* print(answer, () =>
            answer._tag === "Requested"
              ? "requested: a process that declares it makes its payload within seconds"
              : answer._tag === "Skipped"
              ? `skipped: ${answer.id} has not ended`
              : `enqueued ${answer.id}`)
        }))).pipe(Command.withDescription("Run it once now, besides its plan"))
    ])
  )
