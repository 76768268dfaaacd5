/**
 * What follows a payment: each step a job with its own retries and its own dead letter.
 *
 * Declarations only: the web server bundles these, and nothing of the worker.
 */
import { Job, JobGroup } from "capstan"
import { Schedule, Schema } from "effect"

export const Order = { orderId: Schema.String, email: Schema.String, cents: Schema.Int }

/** A third party answered, and said no: trying again does not help. */
export class Refused extends Schema.TaggedError<Refused>()("Refused", { by: Schema.String, why: Schema.String }) {
  override get message() {
    return `${this.by} refused: ${this.why}`
  }
}

/** A third party did not answer. */
export class Unreachable extends Schema.TaggedError<Unreachable>()("Unreachable", { who: Schema.String }) {
  override get message() {
    return `${this.who} did not answer`
  }
}

const error = Schema.Union([Refused, Unreachable])
const onError = { Refused: "dead" } as const
const retry = Schedule.exponential("50 millis").pipe(Schedule.jittered)
/** What follows a payment at once is one trace with it. A job that waits for days is better off with a trace of its own. */
const trace = "child"

export class UpdateCrm extends Job.make("UpdateCrm", { payload: Order, queue: "crm", error, onError, retry, trace }) {}

export class ShipOrder extends Job.make("ShipOrder", {
  payload: Order,
  success: Schema.Struct({ parcel: Schema.String }),
  queue: "shipping",
  error,
  onError,
  retry,
  trace,
  // One parcel per order, however often the payment is announced.
  unique: { key: ({ orderId }) => orderId }
}) {}

export class SendInvoice
  extends Job.make("SendInvoice", { payload: Order, queue: "billing", error, onError, retry, trace })
{}

export class SendMail extends Job.make("SendMail", {
  payload: { to: Schema.String, subject: Schema.String, orderId: Schema.String },
  queue: "mail",
  error,
  onError,
  retry,
  trace,
  priority: "low"
}) {}

export class Pipeline extends JobGroup.make(UpdateCrm, ShipOrder, SendInvoice, SendMail) {}
