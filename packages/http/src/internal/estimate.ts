/** How many records an action would meet: by the store's figures where they say it, else by looking at so many. */
import type { Jobs, JobStore } from "capstan"
import { JobRecord } from "capstan"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type * as Model from "../ApiModel.ts"

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

export const estimate = (jobs: Jobs.Shape, action: Estimated, where: JobStore.Selection) =>
  Effect.map(byStateOf(jobs, where), (byState): typeof Model.Estimate.Type => {
    const sum = (states: ReadonlyArray<JobRecord.State>) => states.reduce((total, state) => total + byState[state], 0)
    const matched = sum(JobRecord.states)
    return { matched, applies: sum(applies[action]), byState, isAtLeast: matched >= most && !isFigure(where) }
  })

/** The store maintains counts by queue and state alone. */
const isFigure = (where: JobStore.Selection): boolean =>
  Object.keys(where).every((condition) => condition === "queue" || condition === "states")

const byStateOf = (jobs: Jobs.Shape, where: JobStore.Selection) => {
  const byState = Object.fromEntries(JobRecord.states.map((state) => [state, 0])) as Record<JobRecord.State, number>
  if (isFigure(where)) {
    return Effect.map(jobs.stats, ({ queues }) => {
      for (const { counts, queue } of queues) {
        if (where.queue !== undefined && where.queue !== queue) continue
        for (const state of where.states ?? JobRecord.states) byState[state] += counts[state]
      }
      return byState
    })
  }
  return jobs.stream({ ...where, limit: page }).pipe(
    Stream.take(most),
    Stream.runForEach(({ state }) => Effect.sync(() => byState[state]++)),
    Effect.as(byState)
  )
}
