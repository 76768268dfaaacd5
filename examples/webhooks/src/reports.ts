/**
 * A flow beside the deliveries, and what its schedules run: a report of how many came. Counting takes one event after the
 * other.
 */
import { Flow, Job, JobContext, JobGroup, JobLimit, Jobs } from "capstan"
import { Effect, Schema } from "effect"

const Counting = JobLimit.make("counting", { concurrency: 1 })

export class CountEvents extends Job.make("CountEvents", {
  payload: { event: Schema.String },
  success: Schema.Int,
  queue: "reports",
  limit: { by: Counting, key: ({ event }) => event }
}) {}

export class WriteReport extends Job.make("WriteReport", {
  payload: { round: Schema.Int },
  success: Schema.String,
  queue: "reports"
}) {}

export class Reports extends JobGroup.make(CountEvents, WriteReport) {}

export class Report extends Flow.make("Report")
  .list("counts", CountEvents)
  .node("letter", WriteReport, { after: { counts: "fail" } })
{}

export const ReportsLive = Reports.toLayer(Effect.gen(function*() {
  const jobs = yield* Jobs.Jobs
  return Reports.of({
    CountEvents: Effect.fnUntraced(function*({ event }) {
      const { log } = yield* JobContext.JobContext
      const { records } = yield* Effect.orDie(jobs.query({ label: event, limit: 500 }))
      yield* log(`${records.length} of ${event}`)
      return records.length
    }),
    WriteReport: Effect.fnUntraced(function*({ round }) {
      const { counts } = yield* Report.results("letter")
      return `Round ${round}: ${counts.reduce((sum, count) => sum + count, 0)} deliveries of three kinds`
    })
  })
}))
