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

it("the guide has the program that runs here", () => {
  const text = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8")
  const [, block] = /```ts\n([^]*?)```/.exec(text("../../../docs/dashboard.md"))!
  const [, program] = /\n\n([^]*)/.exec(block ?? "")!
  assert.include(text("./Guide.test.ts"), program ?? "the guide has no program")
})
