/**
 * The order pipeline with what an operator wants of it: the dashboard behind a sign-in, and metrics for Prometheus. Payments come
 * in one after the other by themselves.
 *
 * - `HOST`, `PORT`: where it listens, 127.0.0.1 and 3000 unless they say otherwise.
 * - `ORDERS_URL`: Postgres or Redis; without it all is in memory. `ORDERS_PASSWORD_FILE`: a file with the password of that server.
 * - `OPERATOR_TOKEN_FILE`, `PROMETHEUS_TOKEN_FILE`: files with what an operator signs in with, and what Prometheus sends.
 */
import { Dashboard } from "@capstan/dashboard"
import { ApiError, Auth } from "@capstan/http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Jobs, JobSchedules } from "capstan"
import { Console, Effect, Layer, Schedule, Schema } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { createHash, randomBytes, randomUUID, timingSafeEqual } from "node:crypto"
import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import { Pipeline } from "../../examples/order-pipeline/src/jobs.ts"
import { ThirdParties } from "../../examples/order-pipeline/src/services.ts"

/** A secret by the variable that names its file. Without it nobody could be told apart from anybody. */
const secretIn = (variable: string): string => {
  const file = process.env[variable]
  if (file === undefined) throw new Error(`${variable} is not set: it names the file with the token`)
  const secret = readFileSync(file, "utf8").trim()
  if (secret.length < 24) throw new Error(`${file} has less than 24 characters: write \`openssl rand -hex 24\` into it`)
  return secret
}

const passwordFile = process.env["ORDERS_PASSWORD_FILE"]
if (passwordFile !== undefined) {
  const url = new URL(process.env["ORDERS_URL"]!)
  url.password = readFileSync(passwordFile, "utf8").trim()
  process.env["ORDERS_URL"] = url.href
}
// They look at ORDERS_URL when they are loaded.
const { StoresLive } = await import("../../examples/order-pipeline/src/stores.ts")
const { WorkerLive } = await import("../../examples/order-pipeline/src/worker.ts")
const { payments } = await import("../../examples/order-pipeline/src/web.ts")

const operatorToken = secretIn("OPERATOR_TOKEN_FILE")
const prometheusToken = secretIn("PROMETHEUS_TOKEN_FILE")

/** By their digests, which are of one length: the time says nothing of the token. */
const isSame = (a: string, b: string): boolean => {
  const [first, second] = [a, b].map((text) => createHash("sha256").update(text).digest())
  return timingSafeEqual(first!, second!)
}

/** Those who are signed in. They end with the process. */
const sessions = new Set<string>()

/** An application has sessions of its own; these are here so that there is something to look at. */
const AuthLive = Auth.layer((request) => {
  if (sessions.has(request.cookies["session"] ?? "")) return Effect.succeed(Auth.principal("operator", "operator"))
  return isSame(request.headers["authorization"] ?? "", `Bearer ${prometheusToken}`)
    ? Effect.succeed(Auth.principal("prometheus", "viewer"))
    : Effect.fail(new ApiError.Unauthorized({ detail: "sign in at /sign-in" }))
})

const form = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Sign in</title></head>
<body><form method="post" action="/sign-in">
<label>Token <input type="password" name="token" autocomplete="current-password" required autofocus></label>
<button>Sign in</button></form></body></html>`

const formHeaders = {
  "content-security-policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'",
  "cache-control": "no-store"
}

const showForm = Effect.succeed(HttpServerResponse.html(form).pipe(HttpServerResponse.setHeaders(formHeaders)))

const signIn = Effect.gen(function*() {
  const { token } = yield* HttpServerRequest.schemaBodyUrlParams(Schema.Struct({ token: Schema.String }))
  if (!isSame(token, operatorToken)) return HttpServerResponse.text("this is not the token", { status: 401 })
  const session = randomBytes(24).toString("base64url")
  sessions.add(session)
  return HttpServerResponse.redirect("/capstan", { status: 303 }).pipe(
    HttpServerResponse.setCookieUnsafe("session", session, { httpOnly: true, sameSite: "strict", path: "/" })
  )
}).pipe(Effect.catchTag("SchemaError", () => Effect.succeed(HttpServerResponse.text("send a token", { status: 400 }))))

const routes = Layer.mergeAll(
  payments,
  Dashboard.layer({ groups: [Pipeline] }),
  HttpRouter.add("GET", "/", Effect.succeed(HttpServerResponse.redirect("/sign-in"))),
  HttpRouter.add("GET", "/sign-in", showForm),
  HttpRouter.add("POST", "/sign-in", signIn),
  // That it answers, not that the store does: to start it anew would not mend that.
  HttpRouter.add("GET", "/healthy", Effect.succeed(HttpServerResponse.empty()))
)

const ServerLive = HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
  Layer.provide(AuthLive),
  Layer.provideMerge(NodeHttpServer.layer(createServer, {
    host: process.env["HOST"] ?? "127.0.0.1",
    port: Number(process.env["PORT"] ?? 3000),
    gracefulShutdownTimeout: "1 second"
  }))
)

/** One in so many customers is refused, so that some records die. */
const pay = (url: string, n: number) =>
  Effect.tryPromise(() => {
    const id = randomUUID()
    const email = `${n % 25 === 24 ? "refused" : `customer-${n % 100}`}@example.com`
    return fetch(`${url}/payments`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ paymentId: id, order: { orderId: `order-${id}`, email, cents: 100 + 7 * (n % 1000) } })
    })
  })

/** What a provider does that was told 503 is left out: the payment is gone. */
const CustomersLive = Layer.effectDiscard(Effect.gen(function*() {
  const { address } = yield* HttpServer.HttpServer
  if (address._tag === "UnixPathAddress") return
  const url = `http://127.0.0.1:${address.port}`
  yield* Console.log(`${url}/capstan`)
  let n = 0
  yield* Effect.suspend(() => Effect.ignore(pay(url, n++))).pipe(
    Effect.repeat(Schedule.jittered(Schedule.spaced("1 second"))),
    Effect.forkScoped
  )
}))

NodeRuntime.runMain(Layer.launch(
  Layer.merge(CustomersLive, Jobs.layerMetrics({ interval: "5 seconds" })).pipe(
    Layer.provide(ServerLive),
    Layer.provide(WorkerLive),
    Layer.provide(Layer.merge(Jobs.layer, JobSchedules.layer)),
    Layer.provide(ThirdParties.layer),
    Layer.provide(StoresLive)
  )
))
