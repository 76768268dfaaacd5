/**
 * `replay`: runs records again, with their payloads read first by the application's schemas where it gives them, so that none
 * is run again only to be dead at once.
 */
import { type Job, type JobRecord, Jobs, type JobStore } from "capstan"
import { Command, Flag } from "effect/cli"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { atLeast, confirm, most, type Selected, selected } from "./act.ts"
import { app, declared, jobsOf } from "./app.ts"
import type { Session } from "./connection.ts"
import { failed } from "./failure.ts"
import { decoded, json, textOf, withoutServices } from "./payload.ts"
import { print } from "./print.ts"
import { counted, table } from "./text.ts"
import { countsText } from "./view.ts"
import { isEverything, selectionOf } from "./where.ts"

/** One record, and what its replay would come to. */
interface Outlook {
  readonly id: JobRecord.JobId
  readonly job: string
  readonly queue: string
  readonly state: JobRecord.State
  readonly version: number
  /** Whether the action applies to its state. */
  readonly runs: boolean
  readonly payload: "decodes" | "does not decode" | "unchecked"
  readonly issue: string | undefined
}

/** So many lines are for people. */
const shown = 100

const isReplayable = (state: JobRecord.State): boolean =>
  state === "dead" || state === "cancelled" || state === "completed" || state === "scheduled"

const outlookOf = (jobs: Jobs.Shape, apps: Option.Option<ReadonlyMap<string, Job.Any>>, record: JobRecord.JobRecord) =>
  Effect.gen(function*() {
    const { id, queue, state, tag, version } = record
    const about = { id, job: tag, queue, state, version, runs: isReplayable(state) }
    if (Option.isNone(apps)) return { ...about, payload: "unchecked", issue: undefined } as const
    const job = apps.value.get(tag)
    const issue = job === undefined
      ? Option.some(`the application exports no job ${tag}`)
      : yield* withoutServices(jobs.payloadIssue(job, record))
    return {
      ...about,
      payload: Option.isNone(issue) ? "decodes" : "does not decode",
      issue: Option.getOrUndefined(issue)
    } as const
  })

const isFailing = ({ payload, runs }: Outlook): boolean => runs && payload === "does not decode"

/** What is to be seen to comes first. */
const rank = (outlook: Outlook): number => isFailing(outlook) ? 0 : outlook.runs ? 2 : 1

const outlookText = (outlooks: ReadonlyArray<Outlook>): string => {
  const rows = outlooks.toSorted((a, b) => rank(a) - rank(b)).slice(0, shown).map((
    { id, issue, job, payload, queue, runs, state, version }
  ) => [
    id,
    job,
    queue,
    state,
    String(version),
    runs ? "runs again" : "is left",
    issue === undefined ? payload : `${payload}: ${issue.replaceAll(/\s+/g, " ")}`
  ])
  const columns = [
    { title: "ID" },
    { title: "JOB" },
    { title: "QUEUE" },
    { title: "STATE" },
    { title: "VERSION", align: "right" },
    { title: "REPLAY" },
    { title: "PAYLOAD" }
  ] as const
  const more = outlooks.length - rows.length
  return table(columns, rows) + (more > 0 ? `\nand ${more} more like the last` : "")
}

const outlookSummary = (outlooks: ReadonlyArray<Outlook>): string => {
  const runs = outlooks.filter(({ runs }) => runs)
  const failing = runs.filter(isFailing).length
  const unchecked = runs.filter(({ payload }) => payload === "unchecked").length
  return `would replay ${atLeast(runs.length)}` +
    (outlooks.length > runs.length ? `, leave ${outlooks.length - runs.length} as they are` : "") +
    (failing > 0 ? `; ${counted(failing, "payload")} would not decode` : "") +
    (unchecked > 0 ? "; payloads are unchecked: give --app" : failing === 0 ? "; all payloads decode" : "")
}

const selectionFor = (given: Selected) =>
  Effect.gen(function*() {
    const { now } = yield* (yield* Jobs.Jobs).stats
    const asked = yield* selectionOf(given, given.ids, now)
    if (isEverything(asked) && !given.all) {
      return yield* failed("Usage", "replay what? Give ids, or flags such as --job and --state, or --all")
    }
    const selection: JobStore.Selection = asked.states === undefined && given.ids.length === 0
      ? { ...asked, states: ["dead", "cancelled"] }
      : asked
    return selection
  })

/** One record with another payload. */
const replayWith = (given: Selected, path: Option.Option<string>, text: string) =>
  Effect.gen(function*() {
    const jobs = yield* Jobs.Jobs
    const [id] = given.ids
    if (id === undefined || given.ids.length > 1) {
      return yield* failed("Usage", "another payload is for one record: give its id")
    }
    const record = Option.getOrUndefined(yield* jobs.get(id))
    if (record === undefined) return yield* failed("NotFound", `there is no record ${id}`)
    const job = yield* declared(path, record.tag)
    if (Option.isNone(job)) {
      return yield* failed(
        "Usage",
        "another payload goes through the job's schema: say with --app where it is declared"
      )
    }
    const value = yield* Effect.flatMap(textOf(text), json)
    const payload = yield* decoded(job.value, value)
    if (given.dryRun) {
      const runs = record.state !== "running"
      return yield* print(
        { id, state: record.state, runs, payload: "decodes" },
        () => runs ? `${id} would run again with the new payload` : `${id} runs: it would be left as it is`
      )
    }
    const outcome = yield* withoutServices(jobs.editAndReplay(job.value, id, payload))
    yield* print(
      { id, outcome },
      () => outcome === "Changed" ? `${id} runs again with the new payload` : `${id} was left as it is: ${outcome}`
    )
  })

const replaySelected = (given: Selected, path: Option.Option<string>) =>
  Effect.gen(function*() {
    const jobs = yield* Jobs.Jobs
    const selection = yield* selectionFor(given)
    const apps = Option.isSome(path) ? Option.some(yield* jobsOf(path.value)) : Option.none()
    const outlooks: ReadonlyArray<Outlook> = yield* jobs.stream({ ...selection, limit: 1000 }).pipe(
      Stream.take(most),
      Stream.mapEffect((record) => outlookOf(jobs, apps, record), { concurrency: 8 }),
      Stream.runCollect
    )
    if (outlooks.length === 0) {
      return yield* failed(
        "NotFound",
        given.ids.length === 1
          ? `there is no record ${given.ids[0]}`
          : given.ids.length > 0
          ? "there is no such record"
          : "no record matches"
      )
    }
    const failing = outlooks.filter(isFailing)
    if (given.dryRun) {
      yield* print(
        {
          matched: outlooks.length,
          isAtLeast: outlooks.length >= most,
          runs: outlooks.filter(({ runs }) => runs).length,
          undecodable: failing.length,
          records: outlooks
        },
        () => `${outlookText(outlooks)}\n${outlookSummary(outlooks)}`
      )
      if (failing.length > 0) {
        return yield* failed("Found", `${counted(failing.length, "payload")} would not decode`)
      }
      return
    }
    if (failing.length > 0) {
      return yield* failed(
        "Usage",
        `${counted(failing.length, "payload")} would not decode, such as that of ${failing[0]!.id}: ` +
          `${failing[0]!.issue}. Nothing was changed; --dry-run says which`
      )
    }
    const [one] = outlooks
    // Who names one record means it.
    if (given.ids.length === 1) {
      const { changed } = yield* jobs.retry(selection)
      return yield* print(
        { id: one!.id, changed: changed > 0 },
        () => changed > 0 ? `${one!.id} runs again` : `${one!.id} is ${one!.state}: it was left as it is`
      )
    }
    if (!given.yes) yield* confirm(`replay ${atLeast(outlooks.length)}?`)
    const counts = yield* jobs.retry(selection)
    yield* print(counts, () => countsText("to run again", counts))
  })

export const replay = (session: Session) =>
  Command.make("replay", {
    ...selected,
    dryRun: Flag.Boolean("dry-run").pipe(
      Flag.withDescription(
        "Say what would run again, and with --app whether each payload decodes; exit code 4 where one does not"
      ),
      Flag.withDefault(false)
    ),
    payload: Flag.String("payload").pipe(
      Flag.withDescription("JSON in place of one record's payload, or - to read it from the input; needs --app"),
      Flag.optional
    ),
    app
  }, ({ app, payload, ...given }) =>
    session(Option.isSome(payload) ? replayWith(given, app, payload.value) : replaySelected(given, app))).pipe(
      Command.withDescription(
        "Run records again, with --app only if their payloads decode by their schemas; or one with another payload"
      ),
      Command.withExamples([{
        command: "capstan replay --job SendMail --dead InvalidPayload --app ./dist/jobs.js --dry-run",
        description: "Whether a deploy has mended them"
      }])
    )
