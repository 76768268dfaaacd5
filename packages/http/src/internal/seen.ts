/** Figures of records that were looked at. */
import { JobRecord } from "capstan"
import type * as Insight from "../ApiInsight.ts"
import { present } from "./view.ts"

/** A record without what it carries: some hundreds of these are kept for a moment. */
export interface Slim
  extends Pick<JobRecord.JobRecord, "id" | "tag" | "queue" | "version" | "state" | "enqueuedAt" | "flowId" | "tags">
{
  readonly attempts: ReadonlyArray<Pick<JobRecord.Attempt, "startedAt" | "endedAt" | "decision">>
  readonly last: JobRecord.Failure | undefined
}

export const slim = (
  { attempts, enqueuedAt, failures, flowId, id, queue, state, tag, tags, version }: JobRecord.JobRecord
): Slim => ({
  id,
  tag,
  queue,
  version,
  state,
  enqueuedAt,
  flowId,
  tags,
  attempts: attempts.map(({ decision, endedAt, startedAt }) => ({ decision, endedAt, startedAt })),
  last: failures.at(-1)
})

type Counts = Record<JobRecord.State, number>

export const noCounts = (): Counts => Object.fromEntries(JobRecord.states.map((state) => [state, 0])) as Counts

const countsOf = (records: ReadonlyArray<Pick<JobRecord.JobRecord, "state">>): Counts => {
  const counts = noCounts()
  for (const { state } of records) counts[state]++
  return counts
}

const grouped = <A>(records: ReadonlyArray<A>, keyOf: (record: A) => string): ReadonlyMap<string, ReadonlyArray<A>> => {
  const groups = new Map<string, Array<A>>()
  for (const record of records) {
    const key = keyOf(record)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [record])
    else group.push(record)
  }
  return groups
}

const percentiles = (values: ReadonlyArray<number>) => {
  if (values.length === 0) return undefined
  const sorted = values.toSorted((a, b) => a - b)
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!
  return { p50: at(0.5), p95: at(0.95) }
}

const distinct = <A>(values: ReadonlyArray<A>): ReadonlyArray<A> => [...new Set(values)]

export const jobsOf = (records: ReadonlyArray<Slim>): typeof Insight.JobsSeen.Type => ({
  looked: records.length,
  jobs: [...grouped(records, ({ tag }) => tag)].map(([job, of]) => {
    const attempts = of.flatMap(({ attempts }) => attempts)
    return present({
      job,
      queues: distinct(of.map(({ queue }) => queue)),
      versions: distinct(of.map(({ version }) => version)),
      counts: countsOf(of),
      attempts: attempts.length,
      failures: attempts.filter(({ decision }) =>
        decision === "retried" || decision === "dead" || decision === "crashed"
      ).length,
      wait: percentiles(
        of.flatMap(({ attempts: [first], enqueuedAt }) =>
          first === undefined ? [] : [Math.max(0, first.startedAt - enqueuedAt)]
        )
      ),
      run: percentiles(attempts.map(({ endedAt, startedAt }) => endedAt - startedAt)),
      newest: Math.max(...of.map(({ enqueuedAt }) => enqueuedAt))
    })
  }).toSorted((a, b) => a.job < b.job ? -1 : 1)
})

export const errorsOf = (records: ReadonlyArray<Slim>): typeof Insight.ErrorGroups.Type => {
  const failed = records.flatMap((record) => record.last === undefined ? [] : [{ ...record, last: record.last }])
  const groups = grouped(failed, ({ last, tag }) => JSON.stringify([tag, last.kind, last.tag]))
  return {
    looked: records.length,
    errors: [...groups.values()].map((of) => {
      const newest = of.reduce((a, b) => b.last.at > a.last.at ? b : a)
      const dead = of.filter(({ state }) => state === "dead").length
      return present({
        job: newest.tag,
        tag: newest.last.tag,
        kind: newest.last.kind,
        message: newest.last.message.slice(0, 300),
        dead,
        retrying: of.length - dead,
        first: Math.min(...of.map(({ last }) => last.at)),
        last: newest.last.at,
        queues: distinct(of.map(({ queue }) => queue)),
        example: newest.id
      })
    }).toSorted((a, b) => b.dead + b.retrying - a.dead - a.retrying)
  }
}

/** Of the tag that a flow gives to its records: `Flow/node`. */
export const nodeOf = (tags: ReadonlyArray<string>): readonly [flow: string, node: string] | undefined => {
  const label = tags.find((tag) => /^[^/]+\/[^/]+$/.test(tag))
  return label === undefined ? undefined : label.split("/") as [string, string]
}

export const flowsOf = (records: ReadonlyArray<Slim>): typeof Insight.FlowsSeen.Type => {
  const members = records.flatMap((record) => record.flowId === undefined ? [] : [{ ...record, flowId: record.flowId }])
  return {
    looked: records.length,
    flows: [...grouped(members, ({ flowId }) => flowId)].map(([id, of]) =>
      present({
        id,
        name: of.map(({ tags }) => nodeOf(tags)?.[0]).find((name) => name !== undefined),
        counts: countsOf(of),
        newest: Math.max(...of.map(({ enqueuedAt }) => enqueuedAt))
      })
    )
  }
}
