/** Records, queues and workers as a person reads them. */
import { JobRecord, type JobStore } from "capstan"
import { type Column, counted, cutMiddle, duration, fields, instant, plain, plainLines, table } from "./text.ts"

const reasonOf = (record: JobRecord.JobRecord): string => {
  const last = record.failures.at(-1)
  const failure = last === undefined ? undefined : `${last.tag ?? last.kind}: ${last.message}`
  switch (record.state) {
    case "dead":
      return [record.deadReason, failure].filter((part) => part !== undefined).join(", ")
    case "blocked":
      return [record.blocked?.reason, record.blocked?.on].filter((part) => part !== undefined).join(" ")
    case "completed":
      return ""
    default:
      return failure ?? ""
  }
}

const recordColumns: ReadonlyArray<Column> = [
  { title: "ID" },
  { title: "JOB", width: 32 },
  { title: "QUEUE", width: 24 },
  { title: "STATE" },
  { title: "ATTEMPT", align: "right" },
  { title: "AGE", align: "right" },
  { title: "WHY", width: 60 }
]

export const recordTable = (records: ReadonlyArray<JobRecord.JobRecord>, now: number): string =>
  table(
    recordColumns,
    records.map((record) => [
      record.id,
      record.tag,
      record.queue,
      record.state,
      String(record.attempt),
      duration(now - record.enqueuedAt),
      reasonOf(record)
    ])
  )

const indented = (text: string): string => plainLines(text).split("\n").map((line) => `  ${line}`).join("\n")

/** JSON with its own line breaks; what is no JSON, or was cut, as it is. */
const pretty = (json: string): string => {
  try {
    return JSON.stringify(JSON.parse(json), undefined, 2)
  } catch {
    return json
  }
}

const section = (title: string, text: string | undefined): ReadonlyArray<string> =>
  text === undefined ? [] : [`\n${title}\n${indented(text)}`]

/** All of one record. */
export const recordText = (record: JobRecord.JobRecord, now: number): string => {
  const at = (millis: number | undefined) =>
    millis === undefined ?
      undefined :
      `${instant(millis)}, ${millis <= now ? `${duration(now - millis)} ago` : `in ${duration(millis - now)}`}`
  const why = reasonOf(record)
  return [
    fields([
      ["id", record.id],
      ["job", `${record.tag}, payload version ${record.version}`],
      ["queue", `${record.queue}, priority ${record.priority}`],
      ["state", why === "" ? record.state : `${record.state}: ${why}`],
      ["enqueued", at(record.enqueuedAt)],
      ["due", at(record.dueAt)],
      ["claimed", at(record.claimedAt)],
      ["worker", record.worker],
      ["finished", at(record.finishedAt)],
      ["kept until", at(record.expiresAt)],
      ["cancel asked", record.cancelRequested],
      ["idempotency key", record.idempotencyKey],
      ["unique key", record.uniqueKey],
      ["concurrency key", record.concurrencyKey],
      ["rate key", record.rateKey],
      ["flow", record.flowId],
      ["parent", record.parent],
      ["tags", record.tags.length === 0 ? undefined : record.tags.join(", ")],
      ["trace", record.headers["traceparent"]]
    ]),
    ...section("payload", pretty(record.payload)),
    ...section("result", record.result === undefined ? undefined : pretty(record.result)),
    ...section("progress", record.progress === undefined ? undefined : pretty(record.progress)),
    ...section("attempts", record.attempts.length === 0 ? undefined : record.attempts.map(attemptText).join("\n")),
    ...section(
      "log",
      record.logs.length === 0
        ? undefined
        : record.logs.map(({ at, attempt, message }) => `${instant(at)}  ${attempt}  ${message}`).join("\n")
    )
  ].join("\n")
}

const attemptText = ({ attempt, decision, endedAt, failure, startedAt, worker }: JobRecord.Attempt): string =>
  `${attempt}  ${instant(startedAt)}  ${duration(endedAt - startedAt)}  ${decision}  ${worker}${
    failure === undefined ? "" : `\n   ${failure.tag ?? failure.kind}: ${failure.message}`
  }`

const right = (title: string): Column => ({ title, align: "right" })

export const queueTable = (queues: ReadonlyArray<JobStore.QueueStats>): string =>
  table(
    [
      { title: "QUEUE", width: 40 },
      ...["READY", "RUNNING", "SCHEDULED", "BLOCKED", "COMPLETED", "CANCELLED", "DEAD", "OLDEST READY"].map(right),
      { title: "" }
    ],
    queues.toSorted((a, b) => a.queue < b.queue ? -1 : 1).map((stats) => {
      const { counts, oldestReadyAge, queue } = stats
      return [
        queue,
        ...[
          counts.ready,
          counts.running,
          counts.scheduled,
          counts.blocked,
          counts.completed,
          counts.cancelled,
          counts.dead
        ].map(String),
        oldestReadyAge === undefined ? "" : duration(oldestReadyAge),
        noteOf(stats)
      ]
    })
  )

/** Leaves a table's first column what its others, which need no more than `rest`, leave of the line. */
const nameWidth = (columns: number, rest: number): number => Math.min(40, Math.max(8, columns - rest))

const noteOf = ({ parked, paused }: JobStore.QueueStats): string =>
  [paused ? "paused" : "", parked > 0 ? `${parked} without a handler` : ""].filter((part) => part !== "").join(", ")

/** What somebody on call looks at, in so many columns: what has ended well is left out. */
export const briefQueueTable = (queues: ReadonlyArray<JobStore.QueueStats>, columns: number): string => {
  const rows = queues.map((stats) => {
    const { counts, oldestReadyAge, queue } = stats
    return [
      queue,
      ...[counts.ready, counts.running, counts.scheduled, counts.blocked, counts.dead].map(String),
      oldestReadyAge === undefined ? "" : duration(oldestReadyAge),
      noteOf(stats)
    ]
  })
  const titles = ["READY", "RUN", "LATER", "BLOCKED", "DEAD", "OLDEST"]
  const rest = [...titles, ""].reduce(
    (sum, title, i) => sum + 2 + Math.max(title.length, ...rows.map((row) => row[i + 1]!.length)),
    0
  )
  return table(
    [{ title: "QUEUE" }, ...titles.map(right), { title: "" }],
    rows.map(([name, ...figures]) => [cutMiddle(plain(name!), nameWidth(columns, rest)), ...figures])
  )
}

export const briefWorkerTable = (workers: ReadonlyArray<JobStore.WorkerStats>, columns: number): string =>
  table(
    [{ title: "WORKER" }, right("HOLDS"), right("LEASE"), { title: "QUEUES" }],
    workers.map(workerRow).map(([name, ...rest]) => [cutMiddle(plain(name!), nameWidth(columns, 28)), ...rest])
  )

const workerRow = ({ holds, leaseLeft, queues, worker }: JobStore.WorkerStats): ReadonlyArray<string> => [
  worker,
  String(holds),
  leaseLeft < 0 ? `over for ${duration(-leaseLeft)}` : duration(leaseLeft),
  queues.join(" ")
]

export const workerTable = (workers: ReadonlyArray<JobStore.WorkerStats>): string =>
  table(
    [{ title: "WORKER", width: 60 }, right("HOLDS"), right("LEASE"), { title: "QUEUES", width: 60 }],
    workers.map(workerRow)
  )

export const statsText = ({ queues, workers }: JobStore.Stats): string =>
  [
    queues.length === 0 ? "no queue has a record" : queueTable(queues),
    "",
    workers.length === 0 ? "no worker is registered" : workerTable(workers)
  ].join("\n")

/** What an action did. */
export const countsText = (
  did: string,
  { changed, notFound, requested, unchanged }: {
    readonly changed: number
    readonly requested: number
    readonly unchanged: number
    readonly notFound: number
  }
): string =>
  [
    `${counted(changed, "record")} ${did}`,
    requested > 0 ? `${requested} running asked to stop` : "",
    unchanged > 0 ? `${unchanged} left as they were` : "",
    notFound > 0 ? `${notFound} not found` : ""
  ].filter((part) => part !== "").join(", ")
