/** The dashboard on a port of loopback. It is loaded when it is asked for: `@capstan/dashboard` need not be installed. */
import { Dashboard } from "@capstan/dashboard"
import { ApiError, Auth, type Permission } from "@capstan/http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import type { JobGroup } from "capstan"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import { createServer } from "node:http"
import * as Door from "./door.ts"
import { failed } from "./failure.ts"

export interface Options {
  readonly port: number
  readonly role: Permission.Role
  readonly groups: ReadonlyArray<JobGroup.Any>
}

const page = "/capstan"

/** Serves until the scope closes, and answers the address that opens it once. */
export const serve = ({ groups, port, role }: Options) =>
  Effect.gen(function*() {
    const listening = yield* Layer.build(
      // Pages that are open end their streams only when the server does.
      NodeHttpServer.layer(createServer, { host: "127.0.0.1", port, gracefulShutdownTimeout: "100 millis" })
    ).pipe(Effect.mapError(({ cause }) => failed("Failed", notListening(port, cause))))
    const address = HttpServer.formatAddress(Context.get(listening, HttpServer.HttpServer).address)
    const door = yield* Door.make({ name: `capstan-${new URL(address).port}`, page, api: `${page}/api` })
    const principal = Auth.principal("capstan dashboard", role)
    const auth = Auth.layer((request) =>
      door.isIn(request) ? Effect.succeed(principal) : new ApiError.Unauthorized({ detail: Door.notSignedIn })
    )
    const routes = Layer.merge(
      Dashboard.layer({ prefix: page, groups }),
      HttpRouter.middleware(door.guard, { global: true })
    )
    yield* Layer.build(
      HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
        Layer.provide(auth),
        // The token stands in an address, and a span would keep that.
        Layer.provide(Layer.succeed(HttpMiddleware.TracerDisabledWhen, ({ url }) => url.startsWith("/login"))),
        Layer.provide(Layer.succeedContext(listening))
      )
    )
    return `${address}/login?token=${door.token}`
  })

const notListening = (port: number, cause: unknown): string =>
  cause instanceof Error && "code" in cause && cause.code === "EADDRINUSE"
    ? `port ${port} is taken, perhaps by another dashboard: give --port another one, or 0 for any that is free`
    : `cannot listen on 127.0.0.1:${port}: ${cause instanceof Error ? cause.message : String(cause)}`
