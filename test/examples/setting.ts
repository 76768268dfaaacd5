/**
 * What the examples of the API are set in: the jobs of a shop, and what their lines name and do not declare. An example that
 * declares a name itself has its own.
 */
import { ApiError, Auth } from "@capstan/http"
import { PgClient } from "@effect/sql-pg"
import { Job, JobGroup, JobSchedule, JobStore, Topic, Waitpoint } from "capstan"
import { Context, Effect, Layer, Redacted, Schema } from "effect"

export * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
export { PgClient } from "@effect/sql-pg"
export { assert, it } from "@effect/vitest"
export { HttpRouter } from "effect/http"
export { createServer } from "node:http"

// ------------------------------------------------------------------------------------------------------------- jobs

export class CardDeclined extends Schema.TaggedError<CardDeclined>()("CardDeclined", {}) {}

export class ProviderBusy extends Schema.TaggedError<ProviderBusy>()("ProviderBusy", { retryAfter: Schema.Number }) {}

export class Rejected extends Schema.TaggedError<Rejected>()("Rejected", {}) {}

export class Unpaid extends Schema.TaggedError<Unpaid>()("Unpaid", {}) {}

export const Receipt = Schema.Struct({ receipt: Schema.String })

export class ChargeCard extends Job.make("ChargeCard", {
  payload: { invoiceId: Schema.String, amount: Schema.Number },
  success: Receipt
}) {}

export class SendReceipt extends Job.make("SendReceipt", { payload: { orderId: Schema.String } }) {}

export class Charge extends Job.make("Charge", { payload: { orderId: Schema.String }, success: Receipt }) {}

export class SendReport extends Job.make("SendReport", { payload: { day: Schema.Number } }) {}

export class SendMail extends Job.make("SendMail", { payload: { to: Schema.String, subject: Schema.String } }) {}

export class SendInvoice extends Job.make("SendInvoice", { payload: { id: Schema.String } }) {}

export class ShipOrder extends Job.make("ShipOrder", { payload: { id: Schema.String } }) {}

export class MarkPaid extends Job.make("MarkPaid", { payload: { invoice: Schema.String } }) {}

export class ListRegions extends Job.make("ListRegions", { success: Schema.Array(Schema.String) }) {}

export class SumSales extends Job.make("SumSales", {
  payload: { region: Schema.String },
  success: Schema.Number
}) {}

export class WriteReport extends Job.make("WriteReport", { payload: { day: Schema.String } }) {}

export class Billing extends JobGroup.make(ChargeCard, SendReceipt) {}

export const BillingLive = Billing.toLayer({
  ChargeCard: () => Effect.succeed({ receipt: "r" }),
  SendReceipt: () => Effect.void
})

export class Mails extends JobGroup.make(SendMail) {}

export const OrderPaid = Topic.make("OrderPaid", { id: Schema.String })

export class Approval extends Waitpoint.make("Approval", { success: Schema.Struct({ by: Schema.String }) }) {}

export const Nightly = JobSchedule.make("nightly", SendReport, { cron: "0 3 * * *", payload: { day: 1 } })

export const Hourly = JobSchedule.make("hourly", SendReport, { every: "1 hour", payload: { day: 1 } })

// ---------------------------------------------------------------------------------------------- what the lines name

export const id = "o1"
export const orderId = "o1"
export const order = { id: "o1" }
export const day = "2026-01-01"
export const regions = ["north", "south"]
export const to = "ada@example.com"
export const subject = "Your order"
export const secret = Redacted.make("a secret of at least thirty-two characters")
export const routingKey = Redacted.make("a key")
export const url = Redacted.make("https://hooks.example.com/a")

type Answers<In, Out> = (given: In) => Effect.Effect<Out>

export const charge: Answers<unknown, typeof Receipt.Type> = () => Effect.succeed({ receipt: "r" })
export const refund: Answers<typeof Receipt.Type, void> = () => Effect.void
export const send: Answers<unknown, void> = () => Effect.void

export const decodeEvent = Schema.decodeEffect(Schema.fromJsonString(Schema.Struct({
  type: Schema.String,
  data: Schema.Struct({ object: Schema.Struct({ id: Schema.String }) })
})))

export class Tenant extends Context.Service<Tenant, { readonly name: string }>()("Tenant") {}

export class Tenants extends Context.Service<Tenants, {
  readonly of: (name: string | undefined) => Effect.Effect<Tenant["Service"]>
}>()("Tenants") {}

export const Sessions = {
  userOf: (session: string | undefined) =>
    Effect.succeed(session === undefined ? undefined : { email: "ada@example.com", isOnCall: true })
}

export const AuthLive: Layer.Layer<Auth.Auth> = Auth.layer(() =>
  Effect.fail(new ApiError.Unauthorized({ detail: "sign in first" }))
)

export const StoreLive = JobStore.layerMemory()
export const RedisStoreLive = JobStore.layerMemory()
export const PgLive = PgClient.layer({ url: Redacted.make("postgres://localhost/shop") })
export const sql: PgClient.PgClient = undefined!

/** A driver that says what it was given. */
const said: Array<string> = []

export const client = {
  query: (text: string, values: ReadonlyArray<unknown> = []) => {
    said.push(text)
    const ids = /enqueue/.test(text) ? [{ id: values[0], outcome: "Inserted" }] : []
    return Promise.resolve({ rows: ids })
  }
}

const transaction = {
  $queryRawUnsafe: (text: string, ...values: ReadonlyArray<string>) => client.query(text, values)
}

export const prisma = {
  $transaction: <A>(run: (tx: typeof transaction) => Promise<A>) => run(transaction)
}
