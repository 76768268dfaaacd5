/** What happens, and what is done about it. */
import { Job, JobLimit, Topic } from "capstan"
import { Schedule, Schema } from "effect"

const invoice = { tenant: Schema.String, invoice: Schema.String }

export const InvoicePaid = Topic.make("InvoicePaid", invoice)

/** One record for each event: it finds the endpoints, and leaves a delivery for each. */
export class FanOut extends Job.make("FanOut", {
  payload: invoice,
  on: [Topic.on(InvoicePaid, { payload: (event) => event })]
}) {}

/** What a tenant's servers can take. Each tenant has its own, and they take turns. */
export const perTenant = { concurrency: 2, rate: { limit: 60, per: "1 second", burst: 2 } } as const

export const Tenant = JobLimit.make("tenant", {
  ...perTenant,
  order: "fair",
  breaker: { consecutive: 3, openDuration: "500 millis" }
})

export class Unreachable extends Schema.TaggedError<Unreachable>()("Unreachable", { status: Schema.Number }) {}

export class Deliver extends Job.make("Deliver", {
  payload: { ...invoice, url: Schema.String },
  error: Unreachable,
  queue: "deliveries",
  limit: { by: Tenant, key: ({ tenant }) => tenant },
  retry: Schedule.spaced("50 millis")
}) {}
