/** Commands that look: `stats`, `list`, `inspect`, `export`. */
import { Jobs, JobStore } from "capstan"
import { Argument, Command, Flag } from "effect/cli"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Session } from "./connection.ts"
import { failed } from "./failure.ts"
import { jsonLine, lineWidth, print, printAll, printLines } from "./print.ts"
import { counted } from "./text.ts"
import { recordTable, recordText, statsText, workersText } from "./view.ts"
import { idOf, inside, insideOf, otherReading, selectionOf, where } from "./where.ts"

export const stats = (session: Session) =>
  Command.make("stats", {}, () =>
    session(Effect.gen(function*() {
      const found = yield* (yield* Jobs.Jobs).stats
      yield* print(found, () => statsText(found))
    }))).pipe(
      Command.withDescription("Queues with their counts and the age of their oldest ready record, and workers"),
      Command.withAlias("queues")
    )

export const workers = (session: Session) =>
  Command.make("workers", {}, () =>
    session(Effect.gen(function*() {
      const { workers } = yield* (yield* Jobs.Jobs).stats
      yield* print(workers, () => workersText(workers))
    }))).pipe(
      Command.withDescription("Workers: what they hold, where they run, and which versions of the code")
    )

export const list = (session: Session) =>
  Command.make("list", {
    ...where,
    ...inside,
    order: Flag.Literals("order", ["newest", "oldest"]).pipe(
      Flag.withDescription("By the enqueue"),
      Flag.withDefault("newest")
    ),
    limit: Flag.Int("limit").pipe(Flag.withDescription("How many, 1 to 1000"), Flag.withDefault(50)),
    cursor: Flag.String("cursor").pipe(Flag.withDescription("The cursor of the page before"), Flag.optional)
  }, ({ cursor, data, limit, order, ...given }) =>
    session(Effect.gen(function*() {
      const jobs = yield* Jobs.Jobs
      const { now } = yield* jobs.stats
      const selection = yield* selectionOf(given, [], now)
      const payload = yield* insideOf(data, selection)
      const page = yield* jobs.query({ ...selection, payload, order, limit, cursor: Option.getOrUndefined(cursor) })
      const columns = yield* lineWidth
      yield* printAll(
        page.records,
        () => page.records.length > 0 ? recordTable(page.records, now, columns) : noneOf(page) + otherReading(payload)
      )
      // Where a person looks, and out of the way of who reads the records.
      if (Option.isSome(page.cursor)) yield* Console.error(goOn(page, limit, page.cursor.value))
    }))).pipe(
      Command.withDescription(
        "One page of records, by job, queue, state, tag, error, flow, time, and what stands in the payload"
      ),
      Command.withAlias("ls"),
      Command.withExamples([
        { command: "capstan list --state dead --since 2h", description: "What died of the last two hours' records" },
        {
          command: "capstan list --job SendMail --data /to=ada@example.com",
          description: "Those of one receiver, among the newest 10,000 of the job"
        },
        { command: "capstan list --job SendMail --json | jq .id", description: "For programs: one record a line" }
      ])
    )

const lookedAt = ({ looked }: Jobs.Page) => looked === undefined ? "" : `looked at ${counted(looked, "record")}`

/** What was looked at may be a part of what there is. */
const noneOf = (page: Jobs.Page) =>
  Option.isNone(page.cursor)
    ? "no record matches"
    : `no record matches so far${page.looked === undefined ? "" : `, ${lookedAt(page)}`}`

/** As a shell takes it: that of a store of several partitions has bars. */
const goOn = (page: Jobs.Page, limit: number, cursor: string) => {
  const option = /^[\w:.~-]+$/.test(cursor) ? `--cursor ${cursor}` : `--cursor '${cursor}'`
  return page.records.length < limit && page.looked !== undefined
    ? `${lookedAt(page)}; go on: ${option}`
    : `more: ${option}`
}

export const inspect = (session: Session) =>
  Command.make(
    "inspect",
    { id: Argument.String("id").pipe(Argument.withDescription("The record's id")) },
    ({ id }) =>
      session(Effect.gen(function*() {
        const jobs = yield* Jobs.Jobs
        const found = yield* jobs.get(yield* idOf(id))
        if (Option.isNone(found)) return yield* failed("NotFound", `there is no record ${id}`)
        const { now } = yield* jobs.stats
        yield* print(found.value, () => recordText(found.value, now))
      }))
  ).pipe(Command.withDescription("All of one record: payload, attempts, errors, log; sensitive parts masked"))

/** How many records are written, and read ahead, at a time. */
const page = 1000

/** Half an export must not pass for a whole one: it has its name when it is complete. Whatever has the name already is left alone. */
const intoNew = <E, R>(path: string, content: Stream.Stream<Uint8Array, E, R>) =>
  Effect.scoped(Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const half = `${path}.part`
    for (
      const [name, why] of [[path, "--out is for a file that is not there yet"], [
        half,
        "another export writes it, or one was cut off: remove it"
      ]]
    ) {
      if (yield* files.exists(name!)) return yield* failed("Usage", `${name} is there already: ${why}`)
    }
    yield* Effect.acquireRelease(files.writeFile(half, new Uint8Array(), { flag: "wx" }), () =>
      Effect.ignore(files.remove(half)))
    yield* Stream.run(content, files.sink(half, { flag: "a" }))
    yield* files.link(half, path)
  }))

export const exported = (session: Session) =>
  Command.make("export", {
    ...where,
    ...inside,
    out: Flag.Path("out").pipe(
      Flag.withDescription("A file that is not there yet. Without it the records go to the output"),
      Flag.optional
    )
  }, ({ data, out, ...given }) =>
    session(Effect.gen(function*() {
      const jobs = yield* Jobs.Jobs
      const { now } = yield* jobs.stats
      const selection = yield* selectionOf(given, [], now)
      const payload = yield* insideOf(data, selection)
      const query = { ...selection, payload, order: "oldest", limit: page } as const
      let count = 0
      let looked = 0
      let told = 0
      // Where few of many match, a page may have none for long.
      const tell = Effect.suspend(() => {
        if (Math.max(count, looked) < told + 10 * page) return Effect.void
        told = Math.max(count, looked)
        return Console.error(
          looked > count
            ? `${counted(count, "record")} of ${looked} that were looked at …`
            : `${counted(count, "record")} …`
        )
      })
      const lines = Stream.paginate(undefined as string | undefined, (cursor) =>
        Effect.gen(function*() {
          const found = yield* jobs.query({ ...query, cursor })
          count += found.records.length
          looked += found.looked ?? found.records.length
          yield* tell
          return [found.records, Option.map(found.cursor, (next): string | undefined => next)] as const
        })).pipe(Stream.map(jsonLine))
      if (Option.isNone(out)) {
        yield* printLines(lines)
      } else {
        yield* intoNew(out.value, Stream.encodeText(Stream.map(lines, (line) => `${line}\n`)))
      }
      yield* Console.error(counted(count, "record"))
    }))).pipe(Command.withDescription("Records as NDJSON, oldest first, in bounded memory; sensitive parts masked"))

export const describe = Effect.flatMap(JobStore.JobStore, (store) => store.describe)
