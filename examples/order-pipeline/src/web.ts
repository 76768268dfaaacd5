/**
 * The web server: a payment webhook becomes an order and three jobs, on Postgres in one transaction. It bundles declarations and no
 * worker. Run alone it is the web process.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer, Schema } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"
import { Order, SendInvoice, ShipOrder, UpdateCrm } from "./jobs.ts"
import { Orders } from "./orders.ts"
import { StoresLive } from "./stores.ts"

const Payment = Schema.Struct({ paymentId: Schema.String, order: Schema.Struct(Order) })

export const payments = HttpRouter.add(
  "POST",
  "/payments",
  Effect.gen(function*() {
    const orders = yield* Orders
    const payment = yield* HttpServerRequest.schemaBodyJson(Payment)
    const { order, paymentId } = payment
    // Providers announce a payment more than once: the payment's id makes the second time the same as the first.
    const once = { idempotencyKey: paymentId }
    const ids = yield* orders.paid(
      payment,
      Effect.gen(function*() {
        const crm = yield* UpdateCrm.enqueue(order, once)
        const shipment = yield* ShipOrder.enqueue(order, once)
        const invoice = yield* SendInvoice.enqueue(order, once)
        return { crm: crm.id, shipment: shipment.id, invoice: invoice.id }
      })
    )
    return HttpServerResponse.jsonUnsafe(ids, { status: 202 })
  }).pipe(
    Effect.catchTag("SchemaError", (error) => Effect.succeed(HttpServerResponse.text(error.message, { status: 400 }))),
    // Not stored: the provider is told so, and announces it again.
    Effect.catchTag(
      ["JobStoreError", "EnqueueError", "SqlError", "RedisError"],
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
  const Listening = Layer.effectDiscard(
    Effect.flatMap(HttpServer.HttpServer, ({ address }) => Console.log(`web: ${HttpServer.formatAddress(address)}`))
  )
  NodeRuntime.runMain(
    Layer.launch(Listening.pipe(
      Layer.provide(webLive(Number(process.env["PORT"] ?? 3000))),
      Layer.provide(StoresLive)
    ))
  )
}
