/**
 * The tables at the end, from the records' own history.
 */
import type { Job, JobRecord } from "capstan"
import { Jobs } from "capstan"
import { Effect, Stream } from "effect"
import { Webhooks } from "./jobs.ts"
import type { Sent } from "./sender.ts"
import type { Call } from "./service.ts"
import { bold, dim, green, red, table, yellow } from "./terminal.ts"

const percentile = (values: ReadonlyArray<number>, at: number): string => {
  if (values.length === 0) return "–"
  const sorted = values.toSorted((a, b) => a - b)
  return `${Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * at))]!)} ms`
}

/** What the records of one job say. */
export interface Figures {
  readonly job: string
  readonly records: number
  readonly runs: number
  readonly retried: number
  readonly snoozed: number
  readonly dead: number
  /** Milliseconds from the enqueue to the first attempt, and of each attempt. */
  readonly waits: ReadonlyArray<number>
  readonly durations: ReadonlyArray<number>
}

const figuresOf = (job: Job.Any, records: ReadonlyArray<JobRecord.JobRecord>): Figures => {
  const attempts = records.flatMap((record) => record.attempts)
  const decided = (decision: JobRecord.Decision) => attempts.filter((attempt) => attempt.decision === decision).length
  return {
    job: job._tag,
    records: records.length,
    runs: attempts.length,
    retried: decided("retried"),
    snoozed: decided("snoozed"),
    dead: records.filter(({ state }) => state === "dead").length,
    waits: records.flatMap(({ attempts, enqueuedAt }) =>
      attempts[0] === undefined ? [] : [attempts[0].startedAt - enqueuedAt]
    ),
    durations: attempts.map(({ endedAt, startedAt }) => endedAt - startedAt)
  }
}

export const figures = Effect.gen(function*() {
  const jobs = yield* Jobs.Jobs
  return yield* Effect.forEach(
    Webhooks.jobs.values(),
    (job) =>
      Effect.map(Stream.runCollect(jobs.stream({ tag: job._tag, limit: 500 })), (records) => figuresOf(job, records))
  )
})

const rowOf = ({ dead, durations, job, records, retried, runs, snoozed, waits }: Figures): ReadonlyArray<string> => [
  bold(job),
  String(records),
  String(runs),
  String(retried),
  String(snoozed),
  dead > 0 ? red(String(dead)) : "0",
  dim(`${percentile(waits, 0.5)} / ${percentile(waits, 0.95)}`),
  dim(`${percentile(durations, 0.5)} / ${percentile(durations, 0.95)}`)
]

export const jobsTable = (figures: ReadonlyArray<Figures>): string =>
  table(["job", "records", "runs", "retried", "snoozed", "dead", "wait p50/p95", "run p50/p95"], figures.map(rowOf))

export const deliveriesTable = (sent: ReadonlyArray<Sent>): string => {
  const count = (which: (sent: Sent) => boolean) => String(sent.filter(which).length)
  return table(["deliveries", "", "answered"], [
    ["accepted", count(({ status }) => status === 202), "202"],
    ["repeated: the record is there already", count(({ isRepetition }) => isRepetition), "200"],
    ["forged: the signature is wrong", yellow(count(({ isForged }) => isForged)), "401"]
  ])
}

/** The service's calls by what it answered, as the seed says. */
export const callsTable = (calls: ReadonlyArray<Call>): string => {
  const counts = new Map<string, number>()
  for (const { answer } of calls) counts.set(answer, (counts.get(answer) ?? 0) + 1)
  const rows = [...counts].toSorted(([, a], [, b]) => b - a)
  return table(["the service answered", "calls"], rows.map(([answer, count]) => [answer, String(count)]))
}

/** A dead record, as somebody on call would want to see it. */
export const deadRecord = (record: JobRecord.JobRecord): string => {
  const failure = record.failures.at(-1)
  return [
    `  ${bold(record.tag)} ${record.id}  ${red(`dead: ${record.deadReason ?? ""}`)}`,
    `  payload   ${record.payload}`,
    `  error     ${failure?.error ?? ""}  ${dim(failure?.message ?? "")}`,
    ...record.attempts.map(({ attempt, decision, failure }) =>
      `  attempt ${attempt} ${decision}${failure === undefined ? "" : `: ${failure.tag ?? failure.kind}`}`
    ),
    ...record.logs.map(({ message }) => `  log       ${message}`)
  ].join("\n")
}

export const replayed = (record: JobRecord.JobRecord): string =>
  `  ${record.state === "completed" ? green("completed") : red(record.state)} after its replay, ` +
  `${record.attempts.length} attempts in its history`
