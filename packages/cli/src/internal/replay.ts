/**
 * `replay`: runs records again, with their payloads read first by the application's schemas where it gives them, so that none
 * is run again only to be dead at once.
 */
import { type Job, type JobRecord, Jobs, type JobStore } from "capstan"
import { Command, Flag } from "effect/cli"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { atLeast, confirm, most, type Selected, selected } from "./act.ts"
import { app, declared, jobsOf } from "./app.ts"
import type { Session } from "./connection.ts"
import { failed } from "./failure.ts"
import { textOf, withoutServices } from "./payload.ts"
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

/** So many records are read, and run again, at a time. */
const page = 1000

type Apps = Option.Option<ReadonlyMap<string, Job.Any>>

/** What all of them come to. */
interface Reading {
  matched: number
  runs: number
  failing: number
  unchecked: number
  /** The first of each kind, by what is to be seen to first: not more than somebody is told of. */
  readonly told: readonly [failing: Array<Outlook>, left: Array<Outlook>, runs: Array<Outlook>]
}

const isReplayable = (state: JobRecord.State): boolean =>
  state === "dead" || state === "cancelled" || state === "completed" || state === "scheduled"

const outlookOf = (jobs: Jobs.Shape, apps: Apps, record: JobRecord.JobRecord) =>
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
const rank = (outlook: Outlook): 0 | 1 | 2 => isFailing(outlook) ? 0 : outlook.runs ? 2 : 1

/** Reads all that match, page by page. Where no payload is checked it only counts, as far as a count is for a person. */
const readAll = (jobs: Jobs.Shape, apps: Apps, selection: JobStore.Selection) =>
  Effect.gen(function*() {
    const reading: Reading = { matched: 0, runs: 0, failing: 0, unchecked: 0, told: [[], [], []] }
    const all = jobs.stream({ ...selection, limit: page })
    yield* (Option.isNone(apps) ? Stream.take(all, most) : all).pipe(
      Stream.mapEffect((record) => outlookOf(jobs, apps, record), { concurrency: 8 }),
      Stream.runForEach((outlook) => {
        reading.matched++
        if (outlook.runs) reading.runs++
        if (outlook.runs && outlook.payload === "unchecked") reading.unchecked++
        if (isFailing(outlook)) reading.failing++
        const told = reading.told[rank(outlook)]
        if (told.length < most) told.push(outlook)
        return Option.isSome(apps) && reading.matched % most === 0
          ? Console.error(`${reading.matched} payloads read …`)
          : Effect.void
      })
    )
    return reading
  })

const outlooksOf = ({ told: [failing, left, runs] }: Reading, many: number): ReadonlyArray<Outlook> =>
  [...failing, ...left, ...runs].slice(0, many)

const readingText = (reading: Reading): string => {
  const rows = outlooksOf(reading, shown).map((
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
  const more = reading.matched - rows.length
  return table(columns, rows) + (more > 0 ? `\nand ${more} more` : "")
}

/** Whether there may be more than were read. */
const isAtLeast = ({ matched }: Reading, apps: Apps): boolean => Option.isNone(apps) && matched >= most

const recordsText = (count: number, reading: Reading, apps: Apps): string =>
  isAtLeast(reading, apps) ? atLeast(count) : counted(count, "record")

const readingSummary = (reading: Reading, apps: Apps): string => {
  const { failing, matched, runs, unchecked } = reading
  return `would replay ${recordsText(runs, reading, apps)}` +
    (matched > runs ? `, leave ${matched - runs} as they are` : "") +
    (failing > 0 ? `; ${counted(failing, "payload")} would not decode` : "") +
    (unchecked > 0 ? "; payloads are unchecked: give --app" : failing === 0 ? "; all payloads decode" : "")
}

/**
 * Runs again what was read, page by page, each page read once more: what has come to match meanwhile is checked, too, and left where it
 * would not decode.
 */
const retryChecked = (jobs: Jobs.Shape, apps: Apps, selection: JobStore.Selection) =>
  Effect.gen(function*() {
    const counts = { changed: 0, requested: 0, unchanged: 0, notFound: 0, undecodable: 0 }
    let told = 0
    let cursor: string | undefined
    do {
      const found = yield* jobs.query({ ...selection, limit: page, cursor })
      const outlooks = yield* Effect.forEach(found.records, (record) => outlookOf(jobs, apps, record), {
        concurrency: 8
      })
      const failing = outlooks.filter(isFailing).length
      const ids = outlooks.filter((outlook) => !isFailing(outlook)).map(({ id }) => id)
      counts.undecodable += failing
      if (ids.length > 0) {
        const done = yield* jobs.retry({ ...selection, ids })
        counts.changed += done.changed
        counts.requested += done.requested
        counts.unchanged += done.unchanged
        counts.notFound += done.notFound
      }
      if (counts.changed >= told + most) {
        told = counts.changed
        yield* Console.error(`${counts.changed} run again …`)
      }
      cursor = Option.getOrUndefined(found.cursor)
    } while (cursor !== undefined)
    return counts
  })

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
    // As `inspect` shows it: what is masked in it stays as it was.
    const payload = yield* textOf(text)
    if (given.dryRun) {
      yield* withoutServices(jobs.checkEditJson(job.value, id, payload))
      const runs = record.state !== "running"
      return yield* print(
        { id, state: record.state, runs, payload: "decodes" },
        () => runs ? `${id} would run again with the new payload` : `${id} runs: it would be left as it is`
      )
    }
    const outcome = yield* withoutServices(jobs.editAndReplayJson(job.value, id, payload))
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
    const reading = yield* readAll(jobs, apps, selection)
    if (reading.matched === 0) {
      return yield* failed(
        "NotFound",
        given.ids.length === 1
          ? `there is no record ${given.ids[0]}`
          : given.ids.length > 0
          ? "there is no such record"
          : "no record matches"
      )
    }
    const [first] = outlooksOf(reading, 1)
    if (given.dryRun) {
      yield* print(
        {
          matched: reading.matched,
          isAtLeast: isAtLeast(reading, apps),
          runs: reading.runs,
          undecodable: reading.failing,
          records: outlooksOf(reading, most)
        },
        () => `${readingText(reading)}\n${readingSummary(reading, apps)}`
      )
      if (reading.failing > 0) {
        return yield* failed("Found", `${counted(reading.failing, "payload")} would not decode`)
      }
      return
    }
    if (reading.failing > 0) {
      return yield* failed(
        "Usage",
        `${counted(reading.failing, "payload")} would not decode, such as that of ${first!.id}: ` +
          `${first!.issue}. Nothing was changed; --dry-run says which`
      )
    }
    // Who names one record means it.
    if (given.ids.length === 1) {
      const { changed } = yield* jobs.retry(selection)
      return yield* print(
        { id: first!.id, changed: changed > 0 },
        () => changed > 0 ? `${first!.id} runs again` : `${first!.id} is ${first!.state}: it was left as it is`
      )
    }
    if (!given.yes) yield* confirm(`replay ${recordsText(reading.matched, reading, apps)}?`)
    if (Option.isNone(apps) || given.ids.length > 0) {
      const counts = yield* jobs.retry(selection)
      return yield* print(counts, () => countsText("to run again", counts))
    }
    const counts = yield* retryChecked(jobs, apps, selection)
    yield* print(counts, () =>
      countsText("to run again", counts) +
      (counts.undecodable > 0 ? `, ${counts.undecodable} left that came meanwhile and would not decode` : ""))
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
