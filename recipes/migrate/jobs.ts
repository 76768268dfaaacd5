/** The jobs that the guides move to, and by which names they were known. */
import { Job } from "capstan"
import { Schema } from "effect"
import { route } from "./src/route.ts"

export class SendMail extends Job.make("SendMail", {
  payload: { to: Schema.String, subject: Schema.String },
  queue: "mail"
}) {}

export class MakeReport extends Job.make("MakeReport", {
  payload: { day: Schema.String },
  queue: "mail",
  unique: { key: ({ day }) => day }
}) {}

export const routes = [
  route("send-mail", SendMail),
  // What was stored under other names than the schema has.
  route("make-report", MakeReport, { payload: (data) => ({ day: (data as { date?: unknown }).date }) })
]
