/** The programs of the guides, word for word as they stand there: here they run. */
import { Auth, JobsApi, JobsHttp, WaitpointUrl } from "@capstan/http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, it } from "@effect/vitest"
import { Job, JobGroup, Jobs, JobSchedules, JobStore, JobWorker, Step, Waitpoint } from "capstan"
import { Context, Deferred, Effect, Layer, Redacted, Schema } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest, HttpRouter, HttpServer } from "effect/http"
import { readFileSync } from "node:fs"
import { createServer } from "node:http"

const token = Redacted.make("a secret of at least sixteen characters")

const Server = HttpRouter.serve(JobsHttp.layer({ prefix: "/ops/jobs" })).pipe(
  Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })),
  Layer.provide(Auth.layerBearer([{ token, principal: Auth.principal("deploy script", "operator") }])),
  Layer.provide([Jobs.layer, JobSchedules.layer]),
  Layer.provide(JobStore.layerMemory())
)

const program = Effect.gen(function*() {
  const { address } = yield* HttpServer.HttpServer
  const { queues, records } = yield* JobsApi.client({
    url: `${HttpServer.formatAddress(address)}/ops/jobs`,
    transformClient: HttpClient.mapRequest(HttpClientRequest.bearerToken(token))
  })
  yield* queues.pause({ params: { queue: "mail" } })
  const { applies } = yield* records.count({ query: { action: "retry", errorTag: "Unreachable" } })
  const { changed } = yield* records.retry({ payload: { where: { errorTag: "Unreachable" } } })
  return { applies, changed }
}).pipe(Effect.provide(FetchHttpClient.layer), Effect.provide(Server))

it.live("the program of the guide runs", () =>
  Effect.gen(function*() {
    assert.deepStrictEqual(yield* program, { applies: 0, changed: 0 })
  }))

class Approval extends Waitpoint.make("Approval", { success: Schema.Struct({ by: Schema.String }) }) {}
class Buy extends Job.make("Buy", { success: Schema.String }) {}

// steps
const secret = Redacted.make("a secret of at least thirty-two characters")

const Approvals = WaitpointUrl.layer(Approval, { path: "/approvals", secret })

const linkOf = WaitpointUrl.at("https://shop.example.com/approvals")

// In the handler: what the mail has in it, made and sent in one step.
const link = Effect.map(Approval.token({ secret, expiresIn: "7 days" }), linkOf)
// steps

it.live("the link of the guide of steps lets its record go on", () =>
  Effect.gen(function*() {
    const sent = yield* Deferred.make<string>()
    const work = JobWorker.layer(JobGroup.make(Buy)).pipe(
      Layer.provide(Buy.toLayer(() =>
        Effect.gen(function*() {
          yield* Step.run("ask", Effect.flatMap(link, (link) => Deferred.succeed(sent, link)))
          return (yield* Approval.await).by
        })
      ))
    )
    const context = yield* Layer.build(
      Layer.merge(HttpRouter.serve(Approvals, { disableListenLog: true, disableLogger: true }), work).pipe(
        Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })),
        Layer.provideMerge(JobStore.layerMemory())
      )
    )
    const buy = yield* Effect.provide(Buy.enqueue(), context)
    const url = yield* Deferred.await(sent)
    assert.isTrue(url.startsWith("https://shop.example.com/approvals?sig="))
    const origin = HttpServer.formatAddress(Context.get(context, HttpServer.HttpServer).address)
    const here = url.replace("https://shop.example.com", origin)
    const response = yield* Effect.promise(() => fetch(here, { method: "POST", body: `{"by":"ada"}` }))
    assert.strictEqual(response.status, 200)
    assert.strictEqual(yield* Effect.provide(buy.await, context), "ada")
  }).pipe(Effect.scoped))

it("the guide of steps has what runs here", () => {
  const [, part] = text("./Guide.test.ts").split("\n// steps\n")
  assert.include(text("../../../docs/steps.md"), part ?? "nothing is marked")
  for (const line of text("../../../docs/http.md").match(/^const (Approvals|linkOf) = .*$/gm)!) {
    assert.include(part, line)
  }
})

const text = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8")

it("the guide has the program that runs here", () => {
  const [, block] = /```ts\n([^]*?)```/.exec(text("../../../docs/http.md"))!
  const [, program] = /\n\n([^]*)/.exec(block ?? "")!
  assert.include(text("./Guide.test.ts"), program ?? "the guide has no program")
})

/** As a program has it that installs the package, where the recipe keeps it apart. */
const imports = [
  ["import { express } from", `import express from "express"`],
  ["import { fastify } from", `import { fastify } from "fastify"`],
  ["import { Hono } from", `import { Hono } from "hono"`]
] as const

it.each(["jobs", "express", "fastify", "hono", "next"])("the guide of frameworks has the recipe %s", (name) => {
  let recipe = text(`../../../recipes/frameworks/${name}.ts`).replace(/^\/\*\*.*\*\/\n/, "")
  for (const [kept, own] of imports) recipe = recipe.replace(`${kept} "./client/index.ts"`, own)
  assert.include(text("../../../docs/frameworks.md"), `\`\`\`ts\n${recipe}\`\`\``)
})
