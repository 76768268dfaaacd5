/** What `cron.schedule("0 3 * * *", …)` becomes. */
import { Job, JobSchedule } from "capstan"
import { Effect } from "effect"

export class Report extends Job.make("Report") {}
export const ReportLive = Report.toLayer(() => Effect.log("the report"))
export const Every = JobSchedule.layer(Report, { cron: "0 3 * * *", timeZone: "Europe/Berlin", overlap: "skip" })
