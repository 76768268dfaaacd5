/** The program of the guide, word for word as it stands there: here it runs. */
import { Dashboard } from "@capstan/dashboard"
import { Auth } from "@capstan/http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, it } from "@effect/vitest"
import { Job, JobGroup, Jobs, JobSchedules, JobStore } from "capstan"
import { Effect, Layer, Schema } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import type { Server as NodeServer } from "node:http"
import type { AddressInfo } from "node:net"

class SendMail extends Job.make("SendMail", { payload: { to: Schema.String }, queue: "mail" }) {}
class Mails extends JobGroup.make(SendMail) {}

const Server = HttpRouter.serve(Dashboard.layer({ prefix: "/ops/jobs", groups: [Mails] })).pipe(
  Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })),
  Layer.provide(Auth.none),
  Layer.provide([Jobs.layer, JobSchedules.layer]),
  Layer.provide(JobStore.layerMemory())
)

const program = Effect.gen(function*() {
  const { address } = yield* HttpServer.HttpServer
  return `${HttpServer.formatAddress(address)}/ops/jobs`
}).pipe(Effect.provide(Server))

it.live("the program of the guide runs", () =>
  Effect.gen(function*() {
    assert.match(yield* program, /^http:\/\/127\.0\.0\.1:\d+\/ops\/jobs$/)
  }))

it.live("the page and the API are under one prefix, and the page is of the package", () =>
  Effect.gen(function*() {
    const { address } = yield* HttpServer.HttpServer
    const base = HttpServer.formatAddress(address)
    const ask = (path: string) =>
      Effect.promise(async () => {
        const response = await fetch(`${base}${path}`)
        return { status: response.status, text: await response.text() }
      })
    const page = yield* ask("/ops/jobs/queues/mail")
    assert.include(page.text, "<base href=\"/ops/jobs/\">")
    const [, script] = /src="\.\/(assets\/[^"]+\.js)"/.exec(page.text)!
    assert.strictEqual((yield* ask(`/ops/jobs/${script}`)).status, 200)
    assert.deepStrictEqual(
      JSON.parse((yield* ask("/ops/jobs/api/declarations")).text).jobs.map(({ job }: any) => job),
      [
        "SendMail"
      ]
    )
    // Charts show what was before: it has looked since it was mounted.
    assert.isAtLeast(JSON.parse((yield* ask("/ops/jobs/api/series")).text).samples.length, 1)
  }).pipe(Effect.provide(Server)))

it.live("the page and the API are served by a server of another framework, beside its own routes", () =>
  Effect.gen(function*() {
    const app = yield* HttpRouter.toHttpEffect(Dashboard.layer({ groups: [Mails] }))
    const jobs = yield* NodeHttpServer.makeHandler(app, { scope: yield* Effect.scope })
    const server = yield* Effect.acquireRelease(
      Effect.callback<NodeServer>((resume) => {
        const server = createServer((request, response) =>
          request.url!.startsWith("/capstan") ? jobs(request, response) : response.end("own")
        ).listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.sync(() => server.closeAllConnections()).pipe(Effect.andThen(Effect.sync(() => server.close())))
    )
    const { port } = server.address() as AddressInfo
    const ask = (path: string, init?: RequestInit) =>
      Effect.promise(async () => {
        const response = await fetch(`http://127.0.0.1:${port}${path}`, init)
        return { status: response.status, text: await response.text() }
      })
    assert.strictEqual((yield* ask("/")).text, "own")
    const page = yield* ask("/capstan/queues/mail")
    assert.include(page.text, "<base href=\"/capstan/\">")
    const [, script] = /src="\.\/(assets\/[^"]+\.js)"/.exec(page.text)!
    assert.strictEqual((yield* ask(`/capstan/${script}`)).status, 200)
    yield* SendMail.enqueue({ to: "ada" })
    const headers = { "x-capstan-request": "1", origin: `http://127.0.0.1:${port}` }
    const paused = yield* ask("/capstan/api/queues/mail/pause", { method: "POST", headers })
    assert.strictEqual(paused.status, 200, paused.text)
    assert.isTrue(JSON.parse((yield* ask("/capstan/api/stats")).text).queues[0].paused)
  }).pipe(
    Effect.provide(
      Layer.mergeAll(Auth.none, Jobs.layer, JobSchedules.layer).pipe(Layer.provideMerge(JobStore.layerMemory()))
    ),
    Effect.scoped
  ))

it("the guide has the program that runs here", () => {
  const text = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8")
  const [, block] = /```ts\n([^]*?)```/.exec(text("../../../docs/dashboard.md"))!
  const [, program] = /\n\n([^]*)/.exec(block ?? "")!
  assert.include(text("./Guide.test.ts"), program ?? "the guide has no program")
})
