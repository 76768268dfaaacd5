/** The program of docs/deploying.md, word for word as it stands there: a rollout asks it. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, JobStore, JobWorker } from "capstan"
import { Context, Effect, Exit, Layer, Schema, Scope } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { readFileSync } from "node:fs"
import { createServer } from "node:http"

const Ready = HttpRouter.use((router) =>
  Effect.gen(function*() {
    const worker = yield* JobWorker.JobWorker
    const answer = Effect.map(worker.health, ({ lastError = "", running, status }) =>
      HttpServerResponse.jsonUnsafe({ status, running, lastError }, { status: status === "ready" ? 200 : 503 }))
    yield* router.add("GET", "/ready", answer)
  })
)

const Greetings = JobGroup.make(Job.make("Greet", { payload: { name: Schema.String } }))

const WorkerLive = JobWorker.layer(Greetings).pipe(
  Layer.provide(Greetings.toLayer({ Greet: () => Effect.void })),
  Layer.provide(JobStore.layerMemory())
)

describe("docs/deploying.md", () => {
  it("has this program", () => {
    const guide = readFileSync(new URL("../../../docs/deploying.md", import.meta.url), "utf8")
    const block = /```ts\n([^]*?)```/.exec(guide)![1]!
    assert.include(readFileSync(new URL(import.meta.url), "utf8"), block)
  })

  it.live("which is ready while the worker works, and not when it has stopped", () =>
    Effect.gen(function*() {
      const ofWorker = yield* Scope.make()
      const workers = yield* Layer.buildWithScope(WorkerLive, ofWorker)
      yield* Context.get(workers, JobWorker.JobWorker).awaitReady
      const server = yield* Layer.build(
        HttpRouter.serve(Ready, { disableListenLog: true, disableLogger: true }).pipe(
          Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })),
          Layer.provide(Layer.succeedContext(workers))
        )
      )
      const { address } = Context.get(server, HttpServer.HttpServer)
      const ask = Effect.promise(async () => {
        const response = await fetch(`${HttpServer.formatAddress(address)}/ready`)
        return [response.status, await response.json()] as const
      })
      assert.deepStrictEqual(yield* ask, [200, { status: "ready", running: 0, lastError: "" }])
      yield* Scope.close(ofWorker, Exit.void)
      assert.deepStrictEqual(yield* ask, [503, { status: "stopped", running: 0, lastError: "" }])
    }))
})
