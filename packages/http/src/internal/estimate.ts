/** How many records an action would meet: by the store's figures where they say it, else by looking at so many. */
import type { Jobs, JobStore } from "capstan"
import { JobRecord } from "capstan"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Model from "../ApiModel.ts"
import * as Inside from "./inside.ts"

type Estimated = (typeof Model.EstimateQuery)["action"]["Type"]

/** Where an action changes something, or asks for it. */
const applies: Readonly<Record<Estimated, ReadonlyArray<JobRecord.State>>> = {
  cancel: ["blocked", "scheduled", "ready", "running"],
  retry: ["scheduled", "completed", "cancelled", "dead"],
  promote: ["scheduled"],
  reschedule: ["scheduled", "ready"],
  reprioritise: ["blocked", "scheduled", "ready"],
  delete: ["blocked", "scheduled", "ready", "completed", "cancelled", "dead"]
}

/** What is more is "at least": a figure on a button need not be exact, and must not read a million records. */
const most = 10_000
const page = 1000
/** Each page is one call of the store, which looks at a bounded number of records, also where next to none of them match. */
export const usualCalls = most / page

type ByState = Record<JobRecord.State, number>

interface Counted {
  readonly byState: Readonly<ByState>
  readonly isAtLeast: boolean
}

export const estimate = (jobs: Jobs.Shape, action: Estimated, where: Inside.Asked, calls: number) =>
  Effect.map(
    isFigure(where)
      ? ofFigures(jobs, where)
      : where.ids?.length === 0
      ? Effect.succeed({ byState: none(), isAtLeast: false })
      : where.payload === undefined
      ? ofPages(jobs, where, calls)
      : Effect.map(Inside.look(jobs, where), ({ found, isCut }) => ({ byState: countsOf(found), isAtLeast: isCut })),
    ({ byState, isAtLeast }): typeof Model.Estimate.Type => {
      const sum = (states: ReadonlyArray<JobRecord.State>) => states.reduce((total, state) => total + byState[state], 0)
      return { matched: sum(JobRecord.states), applies: sum(applies[action]), byState, isAtLeast }
    }
  )

/** Whether no record is read: the store maintains counts by queue and state alone. */
export const isFigure = (where: JobStore.Selection): boolean =>
  Object.keys(where).every((condition) => condition === "queue" || condition === "states")

const none = () => Object.fromEntries(JobRecord.states.map((state) => [state, 0])) as ByState

const countsOf = (records: ReadonlyArray<Pick<JobRecord.JobRecord, "state">>): ByState => {
  const byState = none()
  for (const { state } of records) byState[state]++
  return byState
}

const ofFigures = (jobs: Jobs.Shape, where: JobStore.Selection) =>
  Effect.map(jobs.stats, ({ queues }): Counted => {
    const byState = none()
    for (const { counts, queue } of queues) {
      if (where.queue !== undefined && where.queue !== queue) continue
      for (const state of where.states ?? JobRecord.states) byState[state] += counts[state]
    }
    return { byState, isAtLeast: false }
  })

const ofPages = Effect.fnUntraced(function*(jobs: Jobs.Shape, where: JobStore.Selection, calls: number) {
  const byState = none()
  let cursor: string | undefined
  let found = 0
  for (let read = 0; read < calls && found < most; read++) {
    const reply = yield* jobs.query({ ...where, limit: page, cursor })
    for (const { state } of reply.records) byState[state]++
    found += reply.records.length
    cursor = Option.getOrUndefined(reply.cursor)
    if (cursor === undefined) break
  }
  return { byState, isAtLeast: cursor !== undefined }
})
