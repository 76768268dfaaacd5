/**
 * Web server and worker in one process, with a customer or four to show what happens.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Jobs } from "capstan"
import { Console, Effect, Layer } from "effect"
import { HttpServer } from "effect/http"
import { ShipOrder } from "./jobs.ts"
import { Orders } from "./orders.ts"
import { ThirdParties } from "./services.ts"
import { StoresLive } from "./stores.ts"
import { webLive } from "./web.ts"
import { WorkerLive } from "./worker.ts"

const customers = ["ada@example.com", "grace@example.com", "refused@example.com", "barbara@example.com"]

const pay = (url: string, n: number) =>
  Effect.promise(() =>
    fetch(`${url}/payments`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        paymentId: `pay-${n}`,
        order: { orderId: `order-${n}`, email: customers[n], cents: 1000 * (n + 1) }
      })
    }).then((response) => response.json() as Promise<{ readonly shipment: string }>)
  )

const program = Effect.gen(function*() {
  const { address } = yield* HttpServer.HttpServer
  if (address._tag === "UnixPathAddress") return
  const url = `http://127.0.0.1:${address.port}`
  const accepted = yield* Effect.forEach(customers, (_, n) => pay(url, n))
  // The provider announces the first payment again.
  const again = yield* pay(url, 0)
  yield* Console.log(`announced twice, shipped once: ${again.shipment === accepted[0]!.shipment}`)

  for (const { shipment } of accepted) {
    const line = yield* ShipOrder.handle(shipment).await.pipe(
      Effect.map(({ parcel }) => `shipped as ${parcel}`),
      Effect.catchTag("Refused", (error) => Effect.succeed(`not shipped: ${error.message}`))
    )
    yield* Console.log(line)
  }

  const jobs = yield* Jobs.Jobs
  const unfinished = Effect.map(
    jobs.stats,
    ({ queues }) => queues.some(({ counts }) => counts.ready + counts.running + counts.scheduled > 0)
  )
  yield* Effect.repeat(Effect.delay(unfinished, "20 millis"), { while: (more) => more })
  const { records } = yield* jobs.query({ states: ["dead"], order: "oldest" })
  yield* Console.log(`orders: ${yield* (yield* Orders).count}`)
  yield* Console.log(`dead: ${records.map(({ tag }) => tag).join(", ")}`)
  yield* Console.log(`third parties did ${(yield* (yield* ThirdParties).ledger).length} things`)
})

const Live = Layer.merge(webLive(0), WorkerLive).pipe(
  Layer.provideMerge(ThirdParties.layer),
  Layer.provideMerge(StoresLive)
)

/** The whole shop: it takes the payments, and ends when all is done. */
export const shop = Effect.provide(program, Live)

if (import.meta.main) NodeRuntime.runMain(shop)
