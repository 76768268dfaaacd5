/**
 * The worker: handlers, limits, and an alert on every record that dies. Run alone it is the worker process.
 */
import { JobContext, Jobs, JobStore, JobWorker } from "capstan"
import { Effect, Layer, Stream } from "effect"
import { Pipeline, SendMail } from "./jobs.ts"
import { ThirdParties } from "./services.ts"

const Handlers = Pipeline.toLayer(Effect.gen(function*() {
  const { call } = yield* ThirdParties
  // The record's idempotency key makes a second attempt the same call.
  const once = (who: string, what: string) =>
    Effect.flatMap(JobContext.JobContext, ({ idempotencyKey }) => call(who, idempotencyKey, what))
  return Pipeline.of({
    UpdateCrm: ({ email }) => Effect.asVoid(once("CRM", `contact ${email}`)),
    ShipOrder: Effect.fnUntraced(function*({ email, orderId }) {
      yield* once("carrier", `parcel for order ${orderId}, ${email}`)
      // A child of this record: refused when this attempt is stale, so a second worker does not mail twice.
      yield* SendMail.enqueue({ to: email, subject: `Order ${orderId} is on its way` })
      return { parcel: `P-${orderId}` }
    }),
    SendInvoice: ({ cents, email, orderId }) =>
      Effect.asVoid(once("billing", `invoice of ${(cents / 100).toFixed(2)} for order ${orderId}, ${email}`)),
    SendMail: ({ subject, to }) => Effect.asVoid(once("mail", `${subject}, to ${to}`))
  })
}))

/** Here: a log line. In yours: a pager. */
const Alerts = Layer.effectDiscard(
  Effect.flatMap(Jobs.Jobs, (jobs) =>
    Stream.runForEach(jobs.events, (event) =>
      event.type === "dead"
        ? Effect.logError(`${event.tag} ${event.id} is dead: ${event.reason}`)
        : Effect.void)).pipe(Effect.forkScoped)
)

export const WorkerLive = Layer.merge(
  JobWorker.layer(Pipeline, { concurrency: 20, queues: { shipping: { concurrency: 5 }, crm: { weight: 2 } } }),
  Alerts
).pipe(Layer.provide(Handlers), Layer.provideMerge(Jobs.layer))

if (import.meta.main) {
  // On the memory store alone nobody enqueues into this process: a store of several processes goes here.
  await Effect.runPromise(
    Layer.launch(WorkerLive).pipe(Effect.provide(ThirdParties.layer), Effect.provide(JobStore.layerMemory()))
  )
}
