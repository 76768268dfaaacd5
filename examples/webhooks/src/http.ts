/**
 * Routes on a free port of loopback, for as long as the scope lives.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Context, Effect, Layer } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http"

export const listen = <E, R>(routes: Layer.Layer<never, E, R>) =>
  Effect.gen(function*() {
    const served = HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
      Layer.provideMerge(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 }))
    )
    const { address } = Context.get(yield* Layer.build(Layer.fresh(served)), HttpServer.HttpServer)
    return HttpServer.formatAddress(address)
  })
