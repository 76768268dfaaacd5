/**
 * Commands that change records. Each takes ids, or the flags of `list`; says how many records it is about to change; and
 * asks, unless `--yes` says that it need not.
 */
import { type JobError, JobRecord, Jobs, type JobStore } from "capstan"
import { Argument, Command, Flag, Prompt } from "effect/cli"
import * as Effect from "effect/Effect"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import type { Session } from "./connection.ts"
import { type CommandFailed, failed } from "./failure.ts"
import { print } from "./print.ts"
import { known } from "./queue.ts"
import { countsText } from "./view.ts"
import { atOf, ids, isEverything, selectionOf, type Where, where } from "./where.ts"

export const yes = Flag.Boolean("yes").pipe(
  Flag.withAlias("y"),
  Flag.withDescription("Do not ask"),
  Flag.withDefault(false)
)

const consent = {
  yes,
  dryRun: Flag.Boolean("dry-run").pipe(
    Flag.withDescription("Say how many records it would meet, and change nothing"),
    Flag.withDefault(false)
  )
}

export const selected = {
  ids,
  ...where,
  all: Flag.Boolean("all").pipe(
    Flag.withDescription("Every record of the store, where neither ids nor another flag says which"),
    Flag.withDefault(false)
  ),
  ...consent
}

export type Selected = Where & {
  readonly ids: ReadonlyArray<string>
  readonly all: boolean
  readonly yes: boolean
  readonly dryRun: boolean
}

interface Action {
  readonly verb: string
  readonly done: string
  /** The states in which it does something. Others are not looked at unless they are asked for. */
  readonly states: ReadonlyArray<JobRecord.State>
  readonly run: (
    jobs: Jobs.Shape,
    where: JobStore.Selection
  ) => Effect.Effect<Jobs.Counts, JobError.JobStoreError | JobError.JobControlError>
}

/** A count is for a person who decides: beyond that it reads "at least". */
export const most = 10_000

export const atLeast = (count: number): string =>
  count >= most ? `at least ${most} records` : `${count} record${count === 1 ? "" : "s"}`

export const confirm = (question: string): Effect.Effect<void, CommandFailed, Prompt.Environment | Stdio.Stdio> =>
  Effect.gen(function*() {
    if (!(yield* (yield* Stdio.Stdio).stdinIsTerminal)) {
      return yield* failed("Usage", `${question} Nobody is there to answer: say --yes`)
    }
    const isMeant = yield* Prompt.run(Prompt.Confirm({ message: question, initial: false })).pipe(
      Effect.orElseSucceed(() => false)
    )
    if (!isMeant) return yield* failed("Usage", "nothing was changed")
  })

const act = (session: Session, { done, run, states, verb }: Action, given: Selected) =>
  session(Effect.gen(function*() {
    const jobs = yield* Jobs.Jobs
    const { now } = yield* jobs.stats
    const asked = yield* selectionOf(given, given.ids, now)
    if (isEverything(asked) && !given.all) {
      return yield* failed("Usage", `${verb} what? Give ids, or flags such as --job and --state, or --all`)
    }
    const selection = asked.states === undefined && given.ids.length === 0 ? { ...asked, states } : asked
    const count = yield* jobs.stream({ ...selection, limit: 1000 }).pipe(Stream.take(most), Stream.runCount)
    if (given.dryRun) {
      return yield* print({ matched: count, isAtLeast: count >= most }, () => `would ${verb} ${atLeast(count)}`)
    }
    if (count === 0) {
      return yield* failed("NotFound", given.ids.length > 0 ? "there is no such record" : "no record matches")
    }
    if (!given.yes) yield* confirm(`${verb} ${atLeast(count)}?`)
    const counts = yield* run(jobs, selection)
    yield* print(counts, () => countsText(done, counts))
  }))

const reason = Flag.String("reason").pipe(
  Flag.withDescription("Is kept with the records"),
  Flag.withDefault("by the command line")
)

export const actions = (session: Session) =>
  [
    Command.make("retry", selected, (given) =>
      act(session, {
        verb: "retry",
        done: "to run again",
        states: ["dead", "cancelled"],
        run: (jobs, where) => jobs.retry(where)
      }, given)).pipe(
        Command.withDescription(
          "Run dead and cancelled records again with a fresh budget of attempts; with --state also completed or scheduled ones"
        ),
        Command.withExamples([
          { command: "capstan retry --job SendMail --dead Failed --dry-run", description: "How many that would be" }
        ])
      ),
    Command.make("cancel", { ...selected, reason }, ({ reason, ...given }) =>
      act(session, {
        verb: "cancel",
        done: "cancelled",
        states: ["blocked", "scheduled", "ready", "running"],
        run: (jobs, where) => jobs.cancelMany(where, { reason })
      }, given)).pipe(Command.withDescription("Cancel what waits, and ask what runs to stop")),
    Command.make("promote", selected, (given) =>
      act(session, {
        verb: "run now",
        done: "made ready",
        states: ["scheduled"],
        run: (jobs, where) => jobs.promote(where)
      }, given)).pipe(Command.withDescription("Make scheduled records ready now")),
    Command.make("reschedule", {
      ...selected,
      at: Flag.String("at").pipe(Flag.withDescription("An instant such as 2026-11-27T08:00Z"))
    }, ({ at, ...given }) =>
      Effect.flatMap(atOf("at", at), (runAt) =>
        act(session, {
          verb: "reschedule",
          done: "rescheduled",
          states: ["scheduled", "ready"],
          run: (jobs, where) => jobs.reschedule(where, { runAt })
        }, given))).pipe(Command.withDescription("Give waiting records another due instant")),
    Command.make("reprioritise", {
      ...selected,
      priority: Flag.Int("priority").pipe(Flag.withDescription("-100 to 100, higher first"))
    }, ({ priority, ...given }) =>
      act(session, {
        verb: "reprioritise",
        done: "given another priority",
        states: ["blocked", "scheduled", "ready"],
        run: (jobs, where) => jobs.reprioritise(where, priority)
      }, given)).pipe(Command.withDescription("Give waiting records another priority")),
    Command.make("delete", selected, (given) =>
      act(session, {
        verb: "delete",
        done: "deleted",
        states: JobRecord.states.filter((state) => state !== "running"),
        run: (jobs, where) => jobs.delete(where)
      }, given)).pipe(Command.withDescription("Remove records that do not run, for ever"))
  ] as const

const queue = Argument.String("queue").pipe(Argument.withDescription("The queue's name"))

const ahead = Flag.Boolean("ahead").pipe(
  Flag.withDescription("Also a queue that has no record yet"),
  Flag.withDefault(false)
)

export const queues = (session: Session) =>
  [
    Command.make("pause", { queue, ahead }, ({ ahead, queue }) =>
      session(Effect.gen(function*() {
        const jobs = yield* Jobs.Jobs
        // A mistyped name would be paused as well, and what was meant would go on.
        if (!ahead) yield* known(queue, "say --ahead to pause it before its first record")
        const changed = yield* jobs.pause(queue)
        yield* print({ queue, changed }, () => changed ? `${queue} is paused` : `${queue} was paused already`)
      }))).pipe(Command.withDescription("Stop claims from a queue in every worker; what runs goes on")),
    Command.make("resume", { queue }, ({ queue }) =>
      session(Effect.gen(function*() {
        const changed = yield* (yield* Jobs.Jobs).resume(queue)
        yield* print({ queue, changed }, () => changed ? `${queue} gives out again` : `${queue} was not paused`)
      }))).pipe(Command.withDescription("Let a paused queue give out again")),
    Command.make("drain", { queue, ...consent }, ({ dryRun, queue, yes }) =>
      session(Effect.gen(function*() {
        const jobs = yield* Jobs.Jobs
        const { blocked, ready, scheduled } = (yield* known(queue)).counts
        const count = blocked + ready + scheduled
        if (dryRun) return yield* print({ matched: count }, () => `would cancel ${atLeast(count)}`)
        if (!yes) yield* confirm(`Cancel ${count} waiting records of ${queue}?`)
        const counts = yield* jobs.drain(queue)
        yield* print(counts, () => countsText("cancelled", counts))
      }))).pipe(Command.withDescription("Cancel everything of a queue that waits; what runs goes on"))
  ] as const
