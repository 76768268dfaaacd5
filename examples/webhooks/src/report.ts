/**
 * The tables at the end, from the records' own history.
 */
import type { Job, JobRecord } from "capstan"
import { Jobs } from "capstan"
import { Effect, Stream } from "effect"
import { Webhooks } from "./jobs.ts"
import type { Sent } from "./sender.ts"
import { bold, dim, green, red, table, yellow } from "./terminal.ts"

const percentile = (values: ReadonlyArray<number>, at: number): string => {
  if (values.length === 0) return "–"
  const sorted = values.toSorted((a, b) => a - b)
  return `${Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * at))]!)} ms`
}

const rowOf = (job: Job.Any, records: ReadonlyArray<JobRecord.JobRecord>): ReadonlyArray<string> => {
  const attempts = records.flatMap((record) => record.attempts)
  const decided = (decision: JobRecord.Decision) => attempts.filter((attempt) => attempt.decision === decision).length
  const dead = records.filter(({ state }) => state === "dead").length
  const waits = records.flatMap(({ attempts, enqueuedAt }) =>
    attempts[0] === undefined ? [] : [attempts[0].startedAt - enqueuedAt]
  )
  const runs = attempts.map(({ endedAt, startedAt }) => endedAt - startedAt)
  return [
    bold(job._tag),
    String(records.length),
    String(attempts.length),
    String(decided("retried")),
    String(decided("snoozed")),
    dead > 0 ? red(String(dead)) : "0",
    dim(`${percentile(waits, 0.5)} / ${percentile(waits, 0.95)}`),
    dim(`${percentile(runs, 0.5)} / ${percentile(runs, 0.95)}`)
  ]
}

export const jobsTable = Effect.gen(function*() {
  const jobs = yield* Jobs.Jobs
  const rows = yield* Effect.forEach(
    Webhooks.jobs.values(),
    (job) => Effect.map(Stream.runCollect(jobs.stream({ tag: job._tag, limit: 500 })), (records) => rowOf(job, records))
  )
  return table(["job", "records", "runs", "retried", "snoozed", "dead", "wait p50/p95", "run p50/p95"], rows)
})

export const deliveriesTable = (sent: ReadonlyArray<Sent>): string => {
  const count = (which: (sent: Sent) => boolean) => String(sent.filter(which).length)
  return table(["deliveries", "", "answered"], [
    ["accepted", count(({ status }) => status === 202), "202"],
    ["repeated: the record is there already", count(({ isRepetition }) => isRepetition), "200"],
    ["forged: the signature is wrong", yellow(count(({ isForged }) => isForged)), "401"]
  ])
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
