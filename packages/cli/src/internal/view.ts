/** Records, queues and workers as a person reads them. */
import { JobRecord, type JobStore } from "capstan"
import { type Column, counted, cut, cutMiddle, duration, fields, instant, plain, plainLines, table } from "./text.ts"

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

/** Narrower than this a name, or a reason, says nothing. */
const leastName = 8
const leastWhy = 20

/**
 * A page of records in so many columns. The id is whole, since it is copied; where there is no room for why, it has a line of its own.
 */
export const recordTable = (
  records: ReadonlyArray<JobRecord.JobRecord>,
  now: number,
  columns = Infinity
): string => {
  const rows = records.map((record) => ({
    id: record.id,
    job: plain(record.tag),
    queue: plain(record.queue),
    figures: [record.state, String(record.attempt), duration(now - record.enqueuedAt)],
    why: plain(reasonOf(record))
  }))
  const titles = ["STATE", columns === Infinity ? "ATTEMPT" : "TRY", "AGE"]
  const longest = (title: string, texts: ReadonlyArray<string>) =>
    Math.max(title.length, ...texts.map((text) => [...text].length))
  const figures = titles.map((title, i) => longest(title, rows.map(({ figures }) => figures[i]!)))
  const width = sharing(columns - 36 - 2 - figures.reduce((sum, width) => sum + width + 2, 0), {
    job: Math.min(32, longest("JOB", rows.map(({ job }) => job))),
    queue: Math.min(24, longest("QUEUE", rows.map(({ queue }) => queue))),
    why: columns === Infinity ? 60 : longest("WHY", rows.map(({ why }) => why))
  })
  const [title, ...lines] = table(
    [
      { title: "ID" },
      { title: "JOB" },
      ...width.queue === 0 ? [] : [{ title: "QUEUE" }],
      { title: titles[0]! },
      ...titles.slice(1).map(right),
      ...width.why === 0 ? [] : [{ title: "WHY", width: width.why }]
    ],
    rows.map(({ figures, id, job, queue, why }) => [
      id,
      cutMiddle(job, width.job),
      ...width.queue === 0 ? [] : [cutMiddle(queue, width.queue)],
      ...figures,
      ...width.why === 0 ? [] : [why]
    ])
  ).split("\n")
  return [
    title!,
    ...lines.flatMap((line, i) => {
      const why = width.why > 0 ? "" : rows[i]!.why
      return why === "" ? [line] : [line, cut(`  ${why}`, columns)]
    })
  ].join("\n")
}

/** What job, queue and why get of the rest of a line: 0 is no column. */
const sharing = (
  room: number,
  { job, queue, why }: { readonly job: number; readonly queue: number; readonly why: number }
) => {
  if (job + queue + why + 4 <= room) return { job, queue, why }
  const ofJob = Math.min(job, Math.max(leastName, Math.floor(room / 3)))
  const left = room - ofJob - 2
  if (left >= leastWhy) {
    const ofQueue = left >= 2 * leastWhy ? Math.min(queue, Math.floor(left / 3)) : 0
    return { job: ofJob, queue: ofQueue, why: Math.min(why, left - (ofQueue === 0 ? 0 : ofQueue + 2)) }
  }
  const whole = Math.min(job, Math.max(leastName, room))
  return { job: whole, queue: room - whole - 2 >= leastName ? Math.min(queue, room - whole - 2) : 0, why: 0 }
}

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

/** In a wide terminal beside where each of them runs. */
export const briefWorkerTable = (workers: ReadonlyArray<JobStore.WorkerStats>, columns: number): string => {
  const isWide = columns >= 110 && workers.some(({ process }) => process !== undefined)
  return table(
    [
      { title: "WORKER" },
      right("HOLDS"),
      right("LEASE"),
      ...isWide ? [{ title: "RUNS ON", width: 24 }, { title: "VERSION", width: 16 }] : [],
      { title: "QUEUES" }
    ],
    workers.map((worker) => [
      cutMiddle(plain(worker.worker), nameWidth(columns, isWide ? 72 : 28)),
      String(worker.holds),
      leaseOf(worker),
      ...isWide ? [placeOf(worker), versionOf(worker)] : [],
      worker.queues.join(" ")
    ])
  )
}

const leaseOf = ({ leaseLeft }: JobStore.WorkerStats): string =>
  leaseLeft < 0 ? `over for ${duration(-leaseLeft)}` : duration(leaseLeft)

/** `web-1#4711`, as far as the worker says it. */
const placeOf = ({ process }: JobStore.WorkerStats): string =>
  `${process?.host ?? ""}${process?.pid === undefined ? "" : `#${process.pid}`}`

/** The application's, else that of Capstan. */
const versionOf = ({ process }: JobStore.WorkerStats): string => process?.appVersion ?? process?.capstanVersion ?? ""

export const workerTable = (workers: ReadonlyArray<JobStore.WorkerStats>): string =>
  table(
    [
      { title: "WORKER", width: 60 },
      right("HOLDS"),
      right("LEASE"),
      { title: "RUNS ON", width: 60 },
      { title: "VERSION", width: 40 },
      { title: "CAPSTAN", width: 20 },
      { title: "QUEUES", width: 60 }
    ],
    workers.map((worker) => [
      worker.worker,
      String(worker.holds),
      leaseOf(worker),
      placeOf(worker),
      worker.process?.appVersion ?? "",
      worker.process?.capstanVersion ?? "",
      worker.queues.join(" ")
    ])
  )

export interface Skew {
  /** `capstan` or the application. */
  readonly of: "capstan" | "the application"
  /** Versions with how many workers run them, the most first; that of those which say none is undefined. */
  readonly versions: ReadonlyArray<readonly [version: string | undefined, workers: number]>
}

/** Where workers that live run several versions beside each other. */
export const skewsOf = (workers: ReadonlyArray<JobStore.WorkerStats>): ReadonlyArray<Skew> =>
  (["capstanVersion", "appVersion"] as const).flatMap((field) => {
    const many = new Map<string | undefined, number>()
    for (const { leaseLeft, process } of workers) {
      if (leaseLeft >= 0) many.set(process?.[field], (many.get(process?.[field]) ?? 0) + 1)
    }
    const versions = [...many].toSorted(([, a], [, b]) => b - a)
    return versions.length < 2
      ? []
      : [{ of: field === "appVersion" ? "the application" : "capstan", versions } as const]
  })

export const skewText = ({ of, versions }: Skew): string =>
  `${versions.length} versions of ${of} at work: ${
    versions.map(([version, workers]) => `${version ?? "one that says none"} (${counted(workers, "worker")})`).join(
      ", "
    )
  }`

export const workersText = (workers: ReadonlyArray<JobStore.WorkerStats>): string =>
  workers.length === 0
    ? "no worker is registered"
    : [workerTable(workers), ...skewsOf(workers).map((skew) => `\n${plain(skewText(skew))}`)].join("\n")

export const statsText = ({ queues, workers }: JobStore.Stats): string =>
  [
    queues.length === 0 ? "no queue has a record" : queueTable(queues),
    "",
    workersText(workers)
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
