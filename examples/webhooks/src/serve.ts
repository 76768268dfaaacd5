/**
 * The dashboard on live data: the same deliveries, one after another and from the start again, until Ctrl-C.
 */
import { Dashboard } from "@capstan/dashboard"
import { Auth } from "@capstan/http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { JobSchedules, JobWorker } from "capstan"
import { Console, Context, Effect, Layer, Random } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http"
import { routes } from "./endpoint.ts"
import { HandlersLive, ServiceAddress } from "./handlers.ts"
import { listen } from "./http.ts"
import { Webhooks } from "./jobs.ts"
import { chance } from "./random.ts"
import { CountEvents, Report, Reports, ReportsLive } from "./reports.ts"
import { deliver, type Planned } from "./sender.ts"
import type { Service } from "./service.ts"
import { bold, dim } from "./terminal.ts"

/** Ctrl-C is to be over within two seconds: what still runs then is given back. */
const grace = "1 second"

/** Everybody on this machine, and nobody else. */
const dashboard = (port: number) =>
  HttpRouter.serve(Dashboard.layer({ groups: [Webhooks, Reports] }), { disableLogger: true, disableListenLog: true })
    .pipe(
      Layer.provideMerge(
        NodeHttpServer.layer(createServer, { host: "127.0.0.1", port, gracefulShutdownTimeout: "100 millis" })
      ),
      Layer.provide(Auth.none)
    )

export const serve = (
  { planned, port, seed, service }: {
    readonly planned: ReadonlyArray<Planned>
    readonly service: Service
    readonly seed: number
    readonly port: number
  }
) =>
  Effect.gen(function*() {
    const serviceUrl = yield* listen(service.routes)
    yield* Layer.build(
      JobWorker.layer(Webhooks, { concurrency: 8, shutdownGrace: grace }).pipe(
        Layer.provide(HandlersLive),
        Layer.provide(Layer.succeed(ServiceAddress, { url: serviceUrl, careless: undefined }))
      )
    )
    yield* Layer.build(
      JobWorker.layer(Reports, { concurrency: 2, shutdownGrace: grace }).pipe(Layer.provide(ReportsLive))
    )
    const endpointUrl = yield* listen(routes)
    const schedules = yield* JobSchedules.JobSchedules
    // The examples are in the order of their kinds: as they come in, they are not.
    const mixed = planned.toSorted((a, b) => chance(seed, "order", a.id) - chance(seed, "order", b.id))
    yield* schedules.upsert("count-pushes", CountEvents, { every: "20 seconds", payload: { event: "push" } })
    yield* schedules.upsert("nightly-count", CountEvents, {
      cron: "30 2 * * *",
      timeZone: "Europe/Berlin",
      payload: { event: "issues" }
    })
    const { address } = Context.get(yield* Layer.build(dashboard(port)), HttpServer.HttpServer)
    yield* Console.log(`\n  ${bold(`${HttpServer.formatAddress(address)}/capstan`)}`)
    yield* Console.log(dim(`  webhooks are delivered over and over, seed ${seed}; Ctrl-C ends it\n`))
    for (let round = 0;; round++) {
      yield* Report.start({ counts: ["push", "issues", "release"].map((event) => ({ event })), letter: { round } })
      for (const delivery of mixed) {
        // A repetition of another round is a delivery of its own.
        const id = round === 0 ? delivery.id : `${delivery.id}-${round}`
        yield* deliver(endpointUrl, [{ ...delivery, id }], () => {})
        // As they come in: some at once, then none for a while.
        yield* Effect.sleep(yield* Random.nextIntBetween(0, 1200))
      }
    }
  }).pipe(Effect.scoped)
