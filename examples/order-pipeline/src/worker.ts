/**
 * The worker: handlers, limits, and an alert on every record that dies. Run alone it is the worker process.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { JobContext, Jobs, JobWorker } from "capstan"
import { Console, Effect, Layer, Stream } from "effect"
import { Pipeline, SendMail } from "./jobs.ts"
import { Orders } from "./orders.ts"
import { ThirdParties } from "./services.ts"
import { StoresLive } from "./stores.ts"

const Handlers = Pipeline.toLayer(Effect.gen(function*() {
  const { call } = yield* ThirdParties
  const orders = yield* Orders
  // The record's idempotency key makes a second attempt the same call.
  const once = (who: string, what: string) =>
    Effect.flatMap(JobContext.JobContext, ({ idempotencyKey }) => call(who, idempotencyKey, what))
  return Pipeline.of({
    UpdateCrm: ({ email }) => Effect.asVoid(once("CRM", `contact ${email}`)),
    ShipOrder: Effect.fnUntraced(function*({ email, orderId }) {
      yield* once("carrier", `parcel for order ${orderId}, ${email}`)
      // A child of this record: refused when this attempt is stale, so a second worker does not mail twice.
      yield* SendMail.enqueue({ to: email, subject: `Order ${orderId} is on its way`, orderId })
      return { parcel: `P-${orderId}` }
    }),
    SendInvoice: ({ cents, email, orderId }) =>
      Effect.asVoid(once("billing", `invoice of ${(cents / 100).toFixed(2)} for order ${orderId}, ${email}`)),
    SendMail: ({ orderId, subject, to }) =>
      Effect.andThen(
        once("mail", `${subject}, to ${to}`),
        // A database that is away is nobody's answer: a defect, and the attempt is made again.
        Effect.orDie(orders.told(orderId))
      )
  })
}))

/**
 * Here: a log line. In yours: a pager. Events are hints: who missed some looks at what has died since it began. So it begins
 * before the worker does.
 */
const Alerts = Layer.effectDiscard(Effect.gen(function*() {
  const jobs = yield* Jobs.Jobs
  const began = (yield* jobs.stats).now
  const alerted = new Set<string>()
  const alert = (tag: string, id: string, reason: string | undefined) =>
    Effect.suspend(() => {
      if (alerted.has(id)) return Effect.void
      alerted.add(id)
      return Effect.logError(`${tag} ${id} is dead: ${reason}`)
    })
  const look = Effect.flatMap(
    jobs.query({ states: ["dead"], limit: 100 }),
    ({ records }) =>
      Effect.forEach(
        records.filter(({ finishedAt = 0 }) => finishedAt >= began),
        ({ deadReason, failures, id, tag }) => alert(tag, id, failures.at(-1)?.tag ?? deadReason)
      )
  )
  yield* Effect.forkScoped(Stream.runForEach(
    jobs.events,
    (event) =>
      event.type === "missed" ? look : event.type === "dead" ? alert(event.tag, event.id, event.reason) : Effect.void
  ))
}))

export const WorkerLive = JobWorker.layer(Pipeline, {
  concurrency: 20,
  queues: { shipping: { concurrency: 5 }, crm: { weight: 2 } }
}).pipe(Layer.provide(Alerts), Layer.provide(Handlers), Layer.provideMerge(Jobs.layer))

if (import.meta.main) {
  // In memory nobody enqueues into this process: ORDERS_URL names the server that it shares with the web server.
  const Working = Layer.effectDiscard(Console.log("worker: ready"))
  NodeRuntime.runMain(
    Layer.launch(Working.pipe(
      Layer.provide(WorkerLive),
      Layer.provide(ThirdParties.layer),
      Layer.provide(StoresLive)
    ))
  )
}
