/** The same in Capstan. */
import { JobGroup, JobWorker } from "capstan"
import { Effect, Layer } from "effect"
import { MakeReport, SendMail } from "./jobs.ts"

/** Where something happens. */
export const produce = Effect.gen(function*() {
  yield* SendMail.enqueue({ to: "ada@example.com", subject: "Welcome" })
  yield* SendMail.enqueue({ to: "ada@example.com", subject: "Still there?" }, { delay: "1 hour" })
  yield* SendMail.enqueue({ to: "ops@example.com", subject: "Disk full" }, { priority: "high" })
  // While a report of that day waits or runs there is no second one.
  yield* MakeReport.enqueue({ day: "2026-11-26" })
})

class Mail extends JobGroup.make(SendMail, MakeReport) {}

const Handlers = Mail.toLayer({
  SendMail: ({ subject, to }) => Effect.log(`${subject}, to ${to}`),
  MakeReport: ({ day }) => Effect.log(`the report of ${day}`)
})

/** Provide it with a store: of this process, on Postgres or on Redis. */
export const Work = JobWorker.layer(Mail, { queues: { mail: { concurrency: 10 } } }).pipe(Layer.provide(Handlers))
