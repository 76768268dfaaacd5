/** The program of the guide, word for word as it stands there: here it runs. */
import { Auth, JobsApi, JobsHttp } from "@capstan/http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, it } from "@effect/vitest"
import { Jobs, JobSchedules, JobStore } from "capstan"
import { Effect, Layer, Redacted } from "effect"
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
