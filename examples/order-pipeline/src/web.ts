/**
 * The web server: a payment webhook becomes three jobs. It bundles declarations and no worker.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { JobStore } from "capstan"
import { Effect, Layer, Schema } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"
import { Order, SendInvoice, ShipOrder, UpdateCrm } from "./jobs.ts"

const Payment = Schema.Struct({ paymentId: Schema.String, order: Schema.Struct(Order) })

const payments = HttpRouter.add(
  "POST",
  "/payments",
  Effect.gen(function*() {
    const { order, paymentId } = yield* HttpServerRequest.schemaBodyJson(Payment)
    // Providers announce a payment more than once: the payment's id makes the second time the same as the first.
    const once = { idempotencyKey: paymentId }
    const crm = yield* UpdateCrm.enqueue(order, once)
    const shipment = yield* ShipOrder.enqueue(order, once)
    const invoice = yield* SendInvoice.enqueue(order, once)
    return HttpServerResponse.jsonUnsafe({ crm: crm.id, shipment: shipment.id, invoice: invoice.id }, { status: 202 })
  }).pipe(
    Effect.catchTag("SchemaError", (error) => Effect.succeed(HttpServerResponse.text(error.message, { status: 400 }))),
    // Not stored: the provider is told so, and announces it again.
    Effect.catchTag(
      ["JobStoreError", "EnqueueError"],
      (error) => Effect.succeed(HttpServerResponse.text(error.message, { status: 503 }))
    )
  )
)

/** Listens on loopback; port 0 takes a free one. */
export const webLive = (port: number) =>
  HttpRouter.serve(payments, { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provideMerge(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port }))
  )

if (import.meta.main) {
  await Effect.runPromise(Layer.launch(webLive(3000)).pipe(Effect.provide(JobStore.layerMemory())))
}
